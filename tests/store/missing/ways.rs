//! Goal: each way in which a shard can be missing is found, named and survived. Method: directories are
//! emptied, exchanged, damaged, and opened by a copy of the store.

use super::*;

/// Whatever is wrong with a shard, the store opens without it, and says what it is.
#[test]
fn each_way_to_be_missing_is_found_and_named() {
    type Break = fn(&Path);
    let ways: [(&str, Break); 5] = [
        ("no SHARD file", |shard| fs::create_dir_all(shard).unwrap()),
        ("belongs to another store", |shard| {
            let other = shard.with_file_name("other");
            drop(Store::builder(&other).shards(2).open().unwrap());
            fs::rename(other.join("shards/1"), shard).unwrap();
            fs::remove_dir_all(other).unwrap();
        }),
        ("is shard 2", |shard| {
            fs::create_dir_all(shard).unwrap();
            fs::copy(shard.with_file_name("2").join("SHARD"), shard.join("SHARD")).unwrap();
        }),
        ("has no database", |shard| {
            fs::create_dir_all(shard).unwrap();
            let away = shard.ancestors().nth(3).unwrap().join("away");
            fs::copy(away.join("SHARD"), shard.join("SHARD")).unwrap();
        }),
        ("is missing", |_| ()),
    ];
    for (text, change) in ways {
        let directory = quick_directory();
        fill(directory.path());
        take_away(directory.path());
        change(&shard_directory(directory.path()));
        for _ in 0..3 {
            let (store, rows) = open_without(directory.path());
            let reason = &store.recovery().missing[0].reason;
            assert!(reason.contains(text), "{text}: {reason}");
            rows.put("0/x", text).unwrap();
            store.close().unwrap();
        }
        bring_back(directory.path());
        check_filled(&open(directory.path()).1);
    }
}

/// A disk that can be read and not written, other than one that is full, is done without.
#[test]
fn a_shard_that_cannot_note_the_opening_is_done_without() {
    let directory = quick_directory();
    fill(directory.path());
    let in_the_way = shard_directory(directory.path()).join("OPENED.tmp");
    fs::create_dir_all(&in_the_way).unwrap();
    opened(directory.path(), false).err().unwrap();
    for _ in 0..3 {
        let (store, rows) = open_without(directory.path());
        assert!(store.recovery().missing[0].reason.contains("OPENED.tmp"));
        is_unavailable(rows.get("1/004"));
        store.close().unwrap();
    }
    fs::remove_dir(in_the_way).unwrap();
    check_filled(&open(directory.path()).1);
}

/// An engine that cannot be opened is found after the opening has been noted in its directory.
#[test]
fn a_shard_with_a_damaged_database_is_taken_back_when_it_is_mended() {
    let directory = quick_directory();
    fill(directory.path());
    let current = shard_directory(directory.path()).join("data/CURRENT");
    let sound = fs::read(&current).unwrap();
    fs::write(&current, "nonsense\n").unwrap();
    opened(directory.path(), false).err().unwrap();
    for n in 0..3 {
        let (store, rows) = open_without(directory.path());
        rows.put(format!("0/while-{n}"), "").unwrap();
        is_unavailable(rows.get("1/004"));
        store.flush().unwrap();
        store.close().unwrap();
    }
    fs::write(&current, sound).unwrap();
    let (store, rows) = open(directory.path());
    check_filled(&rows);
    assert!(store.verify().unwrap().is_sound());
}

/// A copy of the store that had the shard meanwhile has written to it: it is refused as ever, and a
/// store may do without it.
#[test]
fn a_shard_that_a_copy_has_opened_is_not_taken_back() {
    let directory = quick_directory();
    let outside = directory.path().join("outside");
    let path = directory.path().join("store");
    let specs = || [ShardSpec::new("shards/0"), ShardSpec::new(&outside)];
    let builder = specs().into_iter().fold(Store::builder(&path), |it, spec| it.shard(spec));
    let store = builder.open().unwrap();
    let rows = store.create_keyspace("rows", KeyspaceSpec::range().split_at(["m"])).unwrap();
    ["a", "z"].iter().for_each(|key| rows.put(key, "mine").unwrap());
    store.close().unwrap();
    drop((store, rows));
    let away = directory.path().join("away");
    fs::rename(&outside, &away).unwrap();
    let open = |path: &Path, allow| {
        Store::builder(path).create(CreateMode::Never).allow_missing_shards(allow).open()
    };
    let copy = directory.path().join("copy");
    let copied = std::process::Command::new("cp").arg("-a").args([&path, &copy]).status().unwrap();
    assert!(copied.success());
    (0..2).for_each(|_| drop(open(&path, true).unwrap()));
    fs::rename(&away, &outside).unwrap();
    drop(open(&copy, false).unwrap());
    let refused = open(&path, false).unwrap_err();
    assert!(
        refused.kind() == ErrorKind::Damaged && refused.to_string().contains("was last opened by")
    );
    let store = open(&path, true).unwrap();
    assert!(store.recovery().missing[0].reason.contains("was last opened by"));
}

#[test]
fn a_store_without_any_of_its_shards_is_not_opened() {
    let directory = quick_directory();
    fill(directory.path());
    fs::rename(directory.path().join("store/shards"), directory.path().join("gone")).unwrap();
    let refused = opened(directory.path(), true).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::NotFound, "{refused}");
}
