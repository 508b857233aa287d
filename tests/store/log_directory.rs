//! Goal: a log in a directory of its own choice is never mistaken, lost, or shared with a copy of the
//! store. Method: stores are created with it, moved to it, killed on the way; links dangle, lead to
//! empty directories, to the logs of others.

use crate::basic::{apart, both, log_files, small};
use crate::churn::quick_directory;
use annulus::{Durability, ErrorKind, LogDamage, Options, ShardSpec, Store};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const ROWS: usize = 300;

fn options() -> Options {
    small().heat(None)
}

fn open_with(store: &Path, options: Options) -> annulus::Result<Store> {
    Store::builder(store).shards(2).options(options).open()
}

fn refused(store: &Path, options: Options) -> (ErrorKind, String) {
    let error = open_with(store, options).map(drop).unwrap_err();
    (error.kind(), format!("{error:#}"))
}

/// Writes rows that are only in the log, and drops the store.
fn fill(store: Store, from: usize) {
    let [hash, _] = both(&store);
    (from..from + ROWS).for_each(|n| hash.put(format!("{n:06}"), n.to_string()).unwrap());
}

/// Checks that exactly the first rows are there.
fn check(store: &Store, rows: usize) {
    let [hash, _] = both(store);
    let found: Vec<_> = hash.scan(..).unwrap().map(Result::unwrap).collect();
    assert_eq!(found.len(), rows);
    for (n, (key, value)) in found.into_iter().enumerate() {
        assert_eq!((key, value), (format!("{n:06}").into(), n.to_string().into()));
    }
}

/// A store with its log elsewhere, and rows that are only there.
fn with_log_elsewhere() -> (TempDir, PathBuf, PathBuf) {
    let directory = quick_directory();
    let top = directory.path().canonicalize().unwrap();
    let (store, log) = (top.join("store"), top.join("disk"));
    fill(open_with(&store, options().log_directory(log.clone())).unwrap(), 0);
    (directory, store, log)
}

#[test]
fn the_log_is_where_it_was_to_be_and_stays_there() {
    let (_directory, store, log) = with_log_elsewhere();
    assert_eq!(fs::read_link(store.join("log")).unwrap(), log);
    assert!(log_files(&store).iter().all(|file| log.join(file.file_name().unwrap()).is_file()));
    assert!(!log_files(&store).is_empty());
    let opened = open_with(&store, options()).unwrap();
    check(&opened, ROWS);
    assert_eq!(opened.recovery().lost, []);
    fill(opened, ROWS);
    let again = open_with(&store, options().log_directory(log.clone())).unwrap();
    check(&again, 2 * ROWS);
    // It is locked against a copy, which has the same link.
    let copy = store.with_file_name("copy");
    let copied = std::process::Command::new("cp").arg("-r").args([&store, &copy]).status();
    assert!(copied.unwrap().success());
    let (kind, text) = refused(&copy, options());
    assert!(kind == ErrorKind::InUse && text.contains(log.to_str().unwrap()), "{text}");
    drop(again);
    let read_only = Store::builder(&store).read_only(true).options(options()).open().unwrap();
    check(&read_only, 2 * ROWS);
    drop(read_only);
    // Whichever is opened next, the other one is refused from then on.
    fill(open_with(&store, options()).unwrap(), 2 * ROWS);
    let (kind, text) = refused(&copy, options());
    assert!(kind == ErrorKind::Damaged && text.contains("copy of the other"), "{text}");
    check(&open_with(&store, options()).unwrap(), 3 * ROWS);
}

#[test]
fn a_relative_directory_is_below_the_store_and_moves_with_it() {
    let directory = quick_directory();
    let store = directory.path().join("store");
    fill(open_with(&store, options().log_directory(PathBuf::from("wal/of it"))).unwrap(), 0);
    assert!(store.join("wal/of it").is_dir());
    let moved = directory.path().join("moved");
    fs::rename(&store, &moved).unwrap();
    check(&open_with(&moved, options()).unwrap(), ROWS);
    // The store's own directory is one, too.
    let plain = directory.path().join("plain");
    fill(open_with(&plain, options().log_directory(PathBuf::from("log"))).unwrap(), 0);
    assert!(fs::read_link(plain.join("log")).is_err());
    check(&open_with(&plain, options().log_directory(PathBuf::from("log"))).unwrap(), ROWS);
}

#[test]
fn a_disk_that_is_not_mounted_is_named_and_nothing_is_made_in_its_place() {
    let (_directory, store, log) = with_log_elsewhere();
    let aside = log.with_file_name("aside");
    fs::rename(&log, &aside).unwrap();
    for damage in [LogDamage::Refuse, LogDamage::DropRest] {
        for given in [None, Some(log.clone()), Some(log.with_file_name("new"))] {
            let options = options().log_damage(damage).log_directory(given);
            let (kind, text) = refused(&store, options);
            assert_eq!(kind, ErrorKind::NotFound, "{text}");
            assert!(text.contains(log.to_str().unwrap()), "{text}");
            assert!(text.contains(store.join("log").to_str().unwrap()), "{text}");
            assert!(text.contains("mount"), "{text}");
            assert!(!log.exists());
        }
    }
    // The mount point is an empty directory.
    fs::create_dir(&log).unwrap();
    let (kind, text) = refused(&store, options());
    assert!(kind == ErrorKind::Damaged && text.contains("no segments"), "{text}");
    assert_eq!(log_files(&store), [] as [PathBuf; 0]);
    fs::remove_dir_all(&log).unwrap();
    // Where it was moved to is for the link to say.
    fs::remove_file(store.join("log")).unwrap();
    symlink(&aside, store.join("log")).unwrap();
    check(&open_with(&store, options()).unwrap(), ROWS);
}

/// A past bug: a log that had lost all its files was taken for one that had never had any, and what
/// was only there was gone without a word.
#[test]
fn a_log_without_segments_is_refused_unless_it_is_to_be_dropped() {
    let directory = quick_directory();
    let store = directory.path().join("store");
    let opened = open_with(&store, options()).unwrap();
    both(&opened)[0].put_with("key", "value", Durability::Synced).unwrap();
    drop(opened);
    log_files(&store).iter().for_each(|file| fs::remove_file(file).unwrap());
    let (kind, text) = refused(&store, options());
    assert_eq!(kind, ErrorKind::Damaged, "{text}");
    assert!(text.contains(store.join("log").to_str().unwrap()), "{text}");
    let opened = open_with(&store, options().log_damage(LogDamage::DropRest)).unwrap();
    assert_eq!(opened.recovery().lost.len(), 1);
    assert!(both(&opened)[0].get("key").unwrap().is_none());
    drop(opened);
    let opened = open_with(&store, options()).unwrap();
    assert_eq!(opened.recovery().lost, []);
}

#[test]
fn directories_that_hold_something_else_are_refused() {
    let directory = quick_directory();
    let top = directory.path().canonicalize().unwrap();
    let full = top.join("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("letter"), "dear").unwrap();
    let (_other_directory, other, others_log) = with_log_elsewhere();
    let store = top.join("store");
    let open = |log: &Path| {
        let builder = Store::builder(&store).shard(ShardSpec::new(top.join("shard")));
        let builder = builder.shard(ShardSpec::new("1"));
        builder.options(options().log_directory(log.to_owned())).open().map(drop)
    };
    let metadata = store.join("metadata");
    let cases: [(&Path, ErrorKind, &str); 8] = [
        (&full, ErrorKind::AlreadyExists, "letter"),
        (&others_log, ErrorKind::Damaged, "another store"),
        (&top.join("shard/log"), ErrorKind::InvalidArgument, "overlaps"),
        (Path::new("1"), ErrorKind::InvalidArgument, "overlaps"),
        (Path::new("metadata"), ErrorKind::InvalidArgument, "overlaps"),
        (&metadata, ErrorKind::InvalidArgument, "overlaps"),
        (&other.join("shards/0/x"), ErrorKind::InvalidArgument, "overlaps"),
        (&top.join("no disk/log"), ErrorKind::NotFound, "no disk"),
    ];
    // For a store that is to be created, and for one that is there.
    for round in 0..2 {
        for (log, kind, text) in &cases {
            let error = open(log).unwrap_err();
            let message = format!("{error:#}");
            assert!(error.kind() == *kind && message.contains(text), "{round} {log:?}: {message}");
        }
        if round == 0 {
            fs::remove_dir_all(&store).unwrap();
            open(Path::new("log")).unwrap();
        }
    }
    assert_eq!(fs::read(full.join("letter")).unwrap(), b"dear");
    check(&open_with(&other, options()).unwrap(), ROWS);
    assert!(fs::read_link(store.join("log")).is_err());
}

#[test]
fn an_opening_moves_the_log_and_leaves_nothing_behind() {
    let directory = quick_directory();
    let top = directory.path().canonicalize().unwrap();
    let store = top.join("store");
    fill(open_with(&store, options()).unwrap(), 0);
    let mut before = store.join("log");
    for (turn, place) in ["a", "b", "a"].into_iter().enumerate() {
        let place = top.join(place);
        let opened = open_with(&store, options().log_directory(place.clone())).unwrap();
        assert_eq!(opened.recovery().lost, []);
        check(&opened, (turn + 1) * ROWS);
        assert_eq!(fs::read_link(store.join("log")).unwrap(), place);
        let left = fs::read_dir(&before).into_iter().flatten();
        let left = left.map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = left.filter(|name| name != "LOCK").collect();
        assert!(turn == 0 || left.is_empty(), "{left:?}");
        let names = fs::read_dir(&store).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(
            names
                .into_iter()
                .all(|name| name == "log" || !name.display().to_string().starts_with("log"))
        );
        fill(opened, (turn + 1) * ROWS);
        before = place;
    }
    check(&open_with(&store, options()).unwrap(), 4 * ROWS);
}

/// Not a test in itself: opens a store with its log elsewhere.
#[cfg(feature = "failpoints")]
#[test]
fn moving_child() {
    let Some(directory) = std::env::var_os("ANNULUS_TEST_MOVING").map(PathBuf::from) else {
        return;
    };
    let log = directory.join("disk");
    open_with(&directory.join("store"), options().log_directory(log)).unwrap();
}

/// Goal: a kill at any step of creating or moving leaves a store that opens with every write, where
/// it was or where it was to be, and the same call completes it.
#[cfg(feature = "failpoints")]
#[test]
fn a_move_that_is_killed_at_any_step_loses_nothing() {
    if !apart(
        "log_directory::a_move_that_is_killed_at_any_step_loses_nothing",
        &[("ANNULUS_LOG_SEGMENT_BYTES", "65536")],
    ) {
        return;
    }
    const STEPS: [&str; 7] = [
        "log-directory-made",
        "log-arrive",
        "log-arrive@3",
        "log-move-copied",
        "log-move-linked",
        "log-move-aside",
        "log-move-switched",
    ];
    for step in STEPS {
        for linked in [false, true] {
            let directory = quick_directory();
            let store = directory.path().join("store");
            let rows = if step == "log-directory-made" { 0 } else { ROWS };
            if rows > 0 {
                let first = linked.then(|| directory.path().join("first"));
                let opened = open_with(&store, options().log_directory(first)).unwrap();
                let [_, range] = both(&opened);
                // Several segments.
                (0..20).for_each(|n| range.put(n.to_string(), [7; 20_000]).unwrap());
                fill(opened, 0);
            }
            let killed = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "log_directory::moving_child", "--nocapture"])
                .env("ANNULUS_TEST_MOVING", directory.path())
                .env("ANNULUS_FAILPOINT", step)
                .output()
                .unwrap();
            let passes = linked && step == "log-move-aside";
            assert_eq!(killed.status.success(), passes, "{step}, {linked}: {killed:?}");
            let log = directory.path().join("disk");
            // With the option, and without.
            let given = (rows == 0 || step.len() % 2 == 0).then(|| log.clone());
            let opened = open_with(&store, options().log_directory(given)).unwrap();
            assert_eq!(opened.recovery().lost, [], "{step}, {linked}");
            check(&opened, rows);
            if rows > 0 {
                assert_eq!(both(&opened)[1].scan(..).unwrap().count(), 20);
            }
            fill(opened, rows);
            let opened = open_with(&store, options().log_directory(log.clone())).unwrap();
            check(&opened, rows + ROWS);
            assert_eq!(fs::read_link(store.join("log")).unwrap(), log);
            assert!(!store.join("log.next").exists() && !store.join("log.before").exists());
        }
    }
}
