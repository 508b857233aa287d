//! Goal: whatever happens to the paths of a store while it is open, or between two openings, no
//! file goes where it does not belong, and nothing of another store is removed. Method: directories
//! are moved, linked, copied and replaced under an open store.

use crate::basic::{both, small};
use annulus::topology::KeyspaceSpec;
use annulus::{CreateMode, ErrorKind, Keyspace, Options, ShardId, ShardSpec, Store};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What takes longer than this never happens.
const PATIENCE: Duration = Duration::from_secs(60);

fn options() -> Options {
    small().heat(None)
}

/// Opens a store with the shards that it has, or creates one with two.
fn open(path: &Path) -> Store {
    let builder = Store::builder(path).options(options());
    match builder.clone().create(CreateMode::Never).open() {
        Err(error) if error.kind() == ErrorKind::NotFound => builder.shards(2).open().unwrap(),
        opened => opened.unwrap(),
    }
}

fn refused(path: &Path) -> annulus::Error {
    Store::builder(path).create(CreateMode::Never).options(options()).open().unwrap_err()
}

fn fill(keyspace: &Keyspace, rows: usize) {
    (0..rows).for_each(|row| keyspace.put(format!("{row:05}"), "v").unwrap());
}

fn copy(from: &Path, to: &Path) {
    // Again if a file of an open store disappeared in the meantime.
    let copied = || std::process::Command::new("cp").arg("-r").arg(from).arg(to).status();
    while !copied().unwrap().success() {
        fs::remove_dir_all(to).unwrap();
    }
}

const DIRECTORY: &str = "ANNULUS_TEST_PATHS_DIRECTORY";

/// Runs one of the processes below to its end.
fn run_child(name: &str, directory: &Path) {
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("paths::{name}"), "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{name}: {status}");
}

/// Not a test in itself: a process that opens a store by a relative path and then changes to a
/// directory where there is another one.
#[test]
fn wandering_child() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    std::env::set_current_dir(directory.join("home")).unwrap();
    let store = open(Path::new("store"));
    std::env::set_current_dir(directory.join("away")).unwrap();
    for keyspace in both(&store) {
        fill(&keyspace, 1000);
    }
    store.flush().unwrap();
    let later = store.create_keyspace("later", KeyspaceSpec::range()).unwrap();
    fill(&later, 1000);
    store.add_shard(ShardSpec::new("shards/2")).unwrap().wait().unwrap();
    store.close().unwrap();
}

/// A past bug: two stores were lost with every call `Ok`. One was opened by a relative path, the
/// process changed its directory, and what was flushed from then on went to the other.
#[test]
fn a_relative_path_is_that_of_the_opening() {
    let directory = tempfile::tempdir().unwrap();
    let [home, away] = ["home", "away"].map(|name| directory.path().join(name));
    fs::create_dir_all(&home).unwrap();
    fs::create_dir_all(&away).unwrap();
    let other = open(&away.join("store"));
    other.create_keyspace("other", KeyspaceSpec::range()).unwrap().put("k", "v").unwrap();
    other.close().unwrap();
    drop(other);
    run_child("wandering_child", directory.path());
    let store = open(&home.join("store"));
    assert_eq!(store.topology().shards().len(), 3);
    for name in ["hash", "range", "later"] {
        assert_eq!(store.keyspace(name).unwrap().scan(..).unwrap().count(), 1000, "{name}");
    }
    let other = open(&away.join("store"));
    assert_eq!(other.keyspaces().len(), 1);
    assert_eq!(other.keyspace("other").unwrap().get("k").unwrap().unwrap(), "v");
    assert!(other.verify().unwrap().is_sound());
}

#[test]
fn a_link_that_is_changed_changes_nothing_for_an_open_store() {
    let directory = tempfile::tempdir().unwrap();
    let [one, two, link] = ["one", "two", "link"].map(|name| directory.path().join(name));
    fs::create_dir(&one).unwrap();
    fs::create_dir(&two).unwrap();
    symlink(&one, &link).unwrap();
    let store = open(&link.join("store"));
    fs::remove_file(&link).unwrap();
    symlink(&two, &link).unwrap();
    for keyspace in both(&store) {
        fill(&keyspace, 100);
    }
    store.close().unwrap();
    assert_eq!(fs::read_dir(&two).unwrap().count(), 0);
    drop(store);
    assert_eq!(open(&one.join("store")).keyspaces().len(), 2);
}

/// Not a test in itself: a process that makes a store in the place of another, or finds it.
#[test]
fn second_child() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let there = directory.join("store").exists();
    let store = open(&directory.join("store"));
    let second = store.keyspace_or_create("second", KeyspaceSpec::hash()).unwrap();
    assert_eq!(store.keyspaces().len(), 1);
    if there {
        assert_eq!(second.get("k").unwrap().unwrap(), "v");
        assert!(store.verify().unwrap().is_sound());
    }
    second.put("k", "v").unwrap();
    store.close().unwrap();
}

/// Not a test in itself: a process that finds the store that was moved aside, with every row.
#[test]
fn first_child() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let store = open(&directory.join("store"));
    assert_eq!(store.keyspace("first").unwrap().scan(..).unwrap().count(), 1000);
    assert!(store.verify().unwrap().is_sound());
}

/// Not a test in itself: a process whose store is moved aside, and another made in its place.
#[test]
fn displaced_child() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let [path, aside] = ["store", "aside"].map(|name| directory.join(name));
    let heat = if directory.ends_with("0") { None } else { small().heat };
    let builder = Store::builder(&path).shards(2).options(small().heat(heat));
    let store = builder.open().unwrap();
    let keyspace = store.create_keyspace("first", KeyspaceSpec::hash()).unwrap();
    fill(&keyspace, 1000);
    fs::rename(&path, &aside).unwrap();
    run_child("second_child", &directory);
    let error = store.create_keyspace("more", KeyspaceSpec::hash()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    assert!(format!("{error:#}").contains(&*path.to_string_lossy()), "{error:#}");
    assert_eq!(store.flush().unwrap_err().kind(), ErrorKind::Io);
    let error = keyspace.put("later", "v").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    assert!(format!("{error:#}").contains("no longer the one that was opened"), "{error:#}");
    assert_eq!(keyspace.scan(..).unwrap().count(), 1000, "it can be read");
    assert_eq!(store.close().unwrap_err().kind(), ErrorKind::Io);
}

/// A past bug: a store was moved aside and another created in its place; the first continued and
/// put its files among those of the second. RocksDB does so when it is closed, too.
#[test]
fn a_store_that_was_moved_aside_takes_no_more_writes() {
    let directory = tempfile::tempdir().unwrap();
    for number in ["0", "1"] {
        let directory = directory.path().join(number);
        let [path, aside] = ["store", "aside"].map(|name| directory.join(name));
        fs::create_dir(&directory).unwrap();
        run_child("displaced_child", &directory);
        run_child("second_child", &directory);
        fs::remove_dir_all(&path).unwrap();
        fs::rename(&aside, &path).unwrap();
        run_child("first_child", &directory);
    }
}

/// Also without a commit or a flush, which would check: a thread checks once a second.
#[test]
fn a_directory_that_is_gone_is_noticed_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    for (number, moved) in ["shards/1", "shards/1/data", "metadata", "LOCK"].iter().enumerate() {
        let path = directory.path().join(format!("store-{number}"));
        let store = open(&path);
        let keyspace = store.create_keyspace("k", KeyspaceSpec::hash()).unwrap();
        fs::rename(path.join(moved), directory.path().join(format!("aside-{number}"))).unwrap();
        let begun = Instant::now();
        let error = loop {
            match keyspace.put("k", "v") {
                Err(error) => break error,
                Ok(()) => assert!(begun.elapsed() < PATIENCE, "{moved}: nobody noticed"),
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        assert!(format!("{error:#}").contains(moved), "{error:#}");
    }
}

/// A past bug: a shard was created inside another shard's database, through a symbolic link;
/// removing the one shard then deleted the other for good.
#[test]
fn shards_inside_one_another_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = open(&path);
    symlink(path.join("shards/0/data"), directory.path().join("link")).unwrap();
    let inside = [
        path.join("shards/0/data/2"),
        path.join("shards/0/data/scratch/2"),
        directory.path().join("link/2"),
        path.join("shards/../shards/1/2"),
        path.join("metadata/2"),
        PathBuf::from("shards/1"),
        PathBuf::from("."),
    ];
    for place in inside {
        let error = store.add_shard(ShardSpec::new(&place)).unwrap_err();
        let kind = error.kind();
        let is_refused = [ErrorKind::InvalidArgument, ErrorKind::AlreadyExists].contains(&kind);
        assert!(is_refused, "{}: {error}", place.display());
        assert_eq!(store.topology().shards().len(), 2);
    }
    both(&store)[0].put("k", "v").unwrap();
    store.close().unwrap();
    drop(store);
    // At creation, nothing is made.
    let new = directory.path().join("new");
    let overlapping = Store::builder(&new)
        .shard(ShardSpec::new(directory.path().join("a")))
        .shard(ShardSpec::new(directory.path().join("a/data/b")))
        .open();
    assert_eq!(overlapping.unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert!(!directory.path().join("a").exists());
    // At an opening, when a link has come to lead there.
    fs::rename(path.join("shards/1"), path.join("shards/0/data/1")).unwrap();
    symlink(path.join("shards/0/data/1"), path.join("shards/1")).unwrap();
    let error = refused(&path);
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    fs::remove_file(path.join("shards/1")).unwrap();
    fs::rename(path.join("shards/0/data/1"), path.join("shards/1")).unwrap();
    assert_eq!(both(&open(&path))[0].get("k").unwrap().unwrap(), "v");
}

/// A past bug: a shard was added in a directory whose name is not text. Its record could not be
/// encoded, the store took that for a commit in doubt, and refused all writes.
#[test]
fn a_path_that_is_no_text_is_a_path() {
    let directory = tempfile::tempdir().unwrap();
    let top = directory.path().join(OsStr::from_bytes(b"no \xff text"));
    fs::create_dir(&top).unwrap();
    let path = top.join(OsStr::from_bytes(b"store\xfe"));
    let store = open(&path);
    let [hash, _range] = both(&store);
    fill(&hash, 1000);
    let added = ShardSpec::new(top.join(OsStr::from_bytes(b"shard\xfd")));
    store.add_shard(added).unwrap().wait().unwrap();
    assert!(store.topology().partitions_of(ShardId(2)) > 0);
    fill(&hash, 2000);
    serde_json::to_value(store.stats().unwrap().shards).unwrap();
    store.close().unwrap();
    drop((hash, _range, store));
    let store = open(&path);
    assert_eq!(both(&store)[0].scan(..).unwrap().count(), 2000);
    store.remove_shard(ShardId(2)).unwrap().wait().unwrap();
    assert_eq!(both(&store)[0].scan(..).unwrap().count(), 2000);
}

/// Makes a store with a shard elsewhere, by an absolute path; and its copy, which has the same one.
fn original_and_copy(directory: &Path) -> [PathBuf; 2] {
    let [path, copied] = ["store", "copy"].map(|name| directory.join(name));
    let builder = Store::builder(&path).shard(ShardSpec::new("near")).options(options());
    let store = builder.shard(ShardSpec::new(directory.join("far"))).open().unwrap();
    fill(&both(&store)[0], 100);
    store.close().unwrap();
    drop(store);
    copy(&path, &copied);
    [path, copied]
}

/// A past bug: a copy of a store wrote into the original's shard, which had an absolute path.
#[test]
fn a_copy_does_not_write_into_a_shard_of_the_original() {
    let directory = tempfile::tempdir().unwrap();
    let [path, copied] = original_and_copy(directory.path());
    // While the original is open.
    let store = open(&path);
    let error = refused(&copied);
    assert!([ErrorKind::Damaged, ErrorKind::InUse].contains(&error.kind()), "{error}");
    fill(&both(&store)[0], 200);
    store.close().unwrap();
    drop(store);
    // And after that: it was the original that opened the shard last.
    let error = refused(&copied);
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
    for part in ["shard 1", "copy", &*path.to_string_lossy()] {
        assert!(format!("{error:#}").contains(part), "`{part}` is not in: {error:#}");
    }
    assert_eq!(both(&open(&path))[0].scan(..).unwrap().count(), 200);

    // The other way round, the original is refused, until its operator confirms that it belongs
    // there.
    let directory = tempfile::tempdir().unwrap();
    let [path, copied] = original_and_copy(directory.path());
    drop(open(&copied));
    let error = refused(&path);
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
    fs::remove_file(directory.path().join("far/OPENED")).unwrap();
    assert_eq!(both(&open(&path))[0].scan(..).unwrap().count(), 100);
}

/// A copy that was made while the original is open knows its last opening. The lock of the shard
/// keeps it out, and it leaves no trace that would keep the original out.
#[test]
fn a_copy_of_an_open_store_is_kept_out_by_the_lock_of_the_shard() {
    let directory = tempfile::tempdir().unwrap();
    let [path, _] = original_and_copy(directory.path());
    let store = open(&path);
    let copied = directory.path().join("another");
    copy(&path, &copied);
    let error = refused(&copied);
    assert_eq!(error.kind(), ErrorKind::InUse, "{error}");
    assert!(format!("{error:#}").contains("far"), "{error:#}");
    drop(store);
    assert_eq!(both(&open(&path))[0].scan(..).unwrap().count(), 100);
}

/// Not a test in itself: a process that dies while it opens a store.
#[test]
fn dying_child() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    open(&directory.join("store"));
}

/// Whatever an opening that died has noted, and where: no later one is refused because of it.
#[cfg(feature = "failpoints")]
#[test]
fn openings_that_die_refuse_no_later_one() {
    let directory = tempfile::tempdir().unwrap();
    let [path, _] = original_and_copy(directory.path());
    let die = |place: &str| {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "paths::dying_child", "--nocapture"])
            .env(DIRECTORY, directory.path())
            .env("ANNULUS_FAILPOINT", place)
            .stderr(std::process::Stdio::null())
            .status()
            .unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(6), "{place}");
    };
    let places = ["opening-after-metadata", "opening-after-shard", "opening-after-shard@2"];
    for first in places {
        for second in places {
            die(first);
            die(second);
            die(first);
            assert_eq!(both(&open(&path))[0].scan(..).unwrap().count(), 100, "{first}, {second}");
        }
    }
}

/// A past bug: a file that a link led to was truncated, because the link was where the store
/// expected its lock.
#[test]
fn links_in_the_place_of_a_stores_own_files_are_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    let precious = directory.path().join("precious");
    fs::write(&precious, "precious").unwrap();
    let path = directory.path().join("store");
    fs::create_dir(&path).unwrap();
    symlink(&precious, path.join("STORE.tmp")).unwrap();
    drop(open(&path));
    symlink(&precious, path.join("HEAT.new")).unwrap();
    drop(Store::open(&path).unwrap().close());
    fs::remove_file(path.join("LOCK")).unwrap();
    symlink(&precious, path.join("LOCK")).unwrap();
    assert_eq!(refused(&path).kind(), ErrorKind::Io);
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
}

/// A past bug: overlaps were looked for only among the shards of one store. A shard of another
/// store, or a whole store, that had been made inside a shard was removed with it.
#[test]
fn nothing_is_made_inside_a_shard_of_another_store() {
    let directory = tempfile::tempdir().unwrap();
    let (outer, other) = (directory.path().join("outer"), directory.path().join("other"));
    drop(open(&outer));
    let inside = outer.join("shards/0/data/inside");
    let new = |path: &Path| Store::builder(path).create(CreateMode::New).options(options());
    let nested = new(&inside).open().unwrap_err();
    let created = new(&other).shard(ShardSpec::new(&inside)).open().unwrap_err();
    fs::remove_dir_all(&other).unwrap();
    let added = open(&other).add_shard(ShardSpec::new(&inside)).unwrap_err();
    for error in [nested, created, added] {
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        let shard = outer.join("shards/0").canonicalize().unwrap();
        assert!(
            format!("{error:#}").contains(&format!("with {} of", shard.display())),
            "{error:#}"
        );
    }
    assert!(!inside.exists());
}

/// A past bug: for a relative path with `..` the directories above the shard's were created,
/// outside the store, although a disk that is not mounted must be noticed.
#[test]
fn outside_of_the_store_only_the_directory_of_a_shard_is_created() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory.path().join("store"));
    let error = store.add_shard(ShardSpec::new("../disk/shard")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(!directory.path().join("disk").exists());
    store.add_shard(ShardSpec::new("../beside")).unwrap().wait().unwrap();
}
