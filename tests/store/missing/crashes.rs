//! Goal: the shard comes back whole wherever the process dies that has the store open without it, or
//! with it again, and each protection of that is missed when it is left out. Method: a child process is
//! killed at each step, or leaves out a protection; then the shard is brought back.

use super::*;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus, Stdio};

const DIRECTORY: &str = "ANNULUS_TEST_MISSING_DIRECTORY";

fn run(directory: &Path, variable: &str, value: &str) -> ExitStatus {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "missing::crashes::child", "--nocapture", "--test-threads=1"]);
    command.env(DIRECTORY, directory).env(variable, value);
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap()
}

/// Writes to what is there and notes what was acknowledged; then flushes, drops a keyspace and
/// closes.
#[test]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let Ok((store, rows)) = opened(&directory, true) else { return };
    let round = fs::read_to_string(directory.join("acknowledged"));
    let round = round.map_or(0, |text| text.parse::<u64>().unwrap()) + 1;
    for key in ["0/round", "2/round"] {
        rows.put(key, round.to_string()).unwrap();
    }
    fs::write(directory.join("acknowledged"), round.to_string()).unwrap();
    store.flush().unwrap();
    if store.keyspace("passing").is_ok() {
        store.drop_keyspace("passing").unwrap();
    }
    store.close().unwrap();
}

fn check(directory: &Path) {
    let (store, rows) = open(directory);
    check_filled(&rows);
    let round = fs::read_to_string(directory.join("acknowledged"));
    let round = round.map_or(0, |text| text.parse::<u64>().unwrap());
    for key in ["0/round", "2/round"] {
        let found = rows.get(key).unwrap();
        let found = found.map_or(0, |it| String::from_utf8_lossy(&it).parse().unwrap());
        assert!(found == round || found == round + 1, "{key}: {found}, {round}");
    }
    assert!(store.verify().unwrap().is_sound());
}

#[test]
fn dies_at_every_step() {
    // Where the process dies, and whether the shard is there then.
    let steps = [
        ("opening-after-metadata", false),
        ("opening-after-shard@1", false),
        ("missing-after-record", false),
        ("opening-after-replay", false),
        ("log-before-release@1", false),
        ("topology-after-commit@1", false),
        ("drop-after-commit@1", false),
        ("opening-after-metadata", true),
        ("opening-after-shard@2", true),
        ("missing-after-record", true),
        ("replay-half", true),
        ("opening-after-replay", true),
        ("missing-before-forget", true),
        ("missing-after-forget", true),
    ];
    for (place, is_back) in steps {
        let directory = quick_directory();
        let directory = directory.path();
        let (store, _) = open(directory);
        store.create_keyspace("passing", KeyspaceSpec::hash()).unwrap();
        drop(store);
        fill(directory);
        take_away(directory);
        // An opening without the shard that ends well, so that there is a record.
        if is_back {
            drop(open_without(directory));
            bring_back(directory);
        }
        let status = run(directory, "ANNULUS_FAILPOINT", place);
        assert_eq!(status.signal(), Some(6), "{place}: {status}");
        // And once more without it, closed, which would release what is not kept.
        if is_back {
            take_away(directory);
        }
        assert!(run(directory, "ANNULUS_FAILPOINT", "none").success(), "{place}");
        bring_back(directory);
        check(directory);
    }
}

/// A past bug: an opening that has the shard again writes its own number into it. If the process died before
/// the shard's record went, and the shard was missing again, the record did not have that number: after two
/// more openings without it the shard was refused, as one that a copy of the store had opened.
#[test]
fn a_shard_that_was_back_for_a_moment_comes_back() {
    let directory = quick_directory();
    let directory = directory.path();
    fill(directory);
    take_away(directory);
    drop(open_without(directory));
    bring_back(directory);
    let status = run(directory, "ANNULUS_FAILPOINT", "missing-before-forget");
    assert_eq!(status.signal(), Some(6), "{status}");
    take_away(directory);
    for _ in 0..3 {
        assert!(run(directory, "ANNULUS_FAILPOINT", "none").success());
    }
    bring_back(directory);
    check(directory);
}

/// A disk that is full has room for nothing, not even for the number of an opening: its shard is served, so
/// that something can be deleted.
#[test]
fn a_shard_without_room_for_the_number_of_an_opening_is_served() {
    let directory = quick_directory();
    let directory = directory.path();
    fill(directory);
    let full = shard_directory(directory).join("FAIL-note-opening");
    fs::write(&full, "").unwrap();
    for allow in [false, true, false] {
        let (store, rows) = opened(directory, allow).unwrap();
        assert!(store.recovery().missing.is_empty());
        check_filled(&rows);
        store.close().unwrap();
    }
    assert_eq!(fs::read(&full).unwrap().len(), 3, "each has tried");
    fs::remove_file(&full).unwrap();
    for _ in 0..2 {
        check_filled(&open(directory).1);
    }
}

/// Each protection is left out while the shard is missing; its return must notice.
#[test]
fn each_protection_is_missed() {
    for protection in ["none", "missing-record", "missing-keeps-log"] {
        let directory = quick_directory();
        let directory = directory.path();
        fill(directory);
        take_away(directory);
        for _ in 0..3 {
            assert!(run(directory, "ANNULUS_SKIP", protection).success());
        }
        bring_back(directory);
        let back = opened(directory, false);
        match protection {
            "none" => check_filled(&back.unwrap().1),
            _ => assert_eq!(back.map(drop).expect_err(protection).kind(), ErrorKind::Damaged),
        }
    }
}

const MOVE_DIRECTORY: &str = "ANNULUS_TEST_MISSING_MOVE_DIRECTORY";

/// Moves a partition to the shard that will be missing, and dies before the commit.
#[test]
fn mover() {
    let Some(directory) = std::env::var_os(MOVE_DIRECTORY).map(PathBuf::from) else { return };
    let (store, rows) = open(&directory);
    let partition = rows.stats().unwrap().into_iter().find(|it| it.owner == ShardId(0)).unwrap();
    let request = annulus::planner::Request::Split {
        partition: partition.id,
        at: annulus::planner::SplitAt::Key(b"0/3".to_vec()),
        to: Some(ShardId(1)),
    };
    let _ = store.start(&request).and_then(|job| job.wait());
}

/// The target that an interrupted reshape has left on the shard is known as such when the shard is
/// back, although the metadata were opened without it in between.
#[test]
fn what_a_reshape_has_left_on_it_is_dropped_when_it_is_back() {
    for (protection, is_kept) in [("none", true), ("missing-keeps-intent", false)] {
        let directory = quick_directory();
        let directory = directory.path();
        fill(directory);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "missing::crashes::mover", "--nocapture", "--test-threads=1"]);
        command.env(MOVE_DIRECTORY, directory).env("ANNULUS_FAILPOINT", "reshape-sealed");
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert_eq!(status.signal(), Some(6), "{status}");
        take_away(directory);
        assert!(run(directory, "ANNULUS_SKIP", protection).success());
        bring_back(directory);
        let back = opened(directory, false);
        if is_kept {
            let (store, rows) = back.unwrap();
            assert_eq!(store.recovery().rolled_back.len(), 1);
            assert!(!store.recovery().orphans.is_empty());
            check_filled(&rows);
            assert_eq!(rows.scan("0/".."1/").unwrap().count(), 201);
            assert!(store.verify().unwrap().is_sound());
        } else {
            let error = back.map(drop).expect_err("the protection is missed");
            assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
        }
    }
}
