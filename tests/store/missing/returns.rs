//! Goal: the running store takes back a shard that was missing at its opening, wherever the process dies, and
//! says meanwhile what the wait costs. Method: the directory comes back under an open store.

use super::*;
use annulus::reshape::Event;
use std::sync::mpsc::channel;
use std::time::Instant;

/// What takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) fn wait_until_back(store: &Store) {
    let begun = Instant::now();
    while store.stats().unwrap().shards.iter().any(|it| it.health.state != ShardState::Serving) {
        assert!(begun.elapsed() < PATIENCE, "{:?}", store.stats().unwrap().shards);
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_running_store_takes_it_back() {
    let directory = quick_directory();
    fill(directory.path());
    take_away(directory.path());
    drop(open_without(directory.path()));
    let (store, rows) = open_without(directory.path());
    rows.put("0/meanwhile", "on").unwrap();
    assert!(is_unavailable(rows.get("1/004")).is_retryable());
    bring_back(directory.path());
    wait_until_back(&store);
    check_filled(&rows);
    rows.put("1/after", "back").unwrap();
    let snapshot = store.snapshot().unwrap();
    assert_eq!(snapshot.get(&rows, "1/after").unwrap().unwrap(), "back");
    assert!(store.verify().unwrap().is_sound());
    drop((snapshot, store, rows));
    let (store, rows) = open(directory.path());
    assert_eq!(rows.get("1/after").unwrap().unwrap(), "back");
    assert!(store.recovery().missing.is_empty());
    drop((store, rows));
    // Nothing is left of it: it may be missing again.
    take_away(directory.path());
    drop(open_without(directory.path()));
    bring_back(directory.path());
    assert_eq!(open(directory.path()).1.get("1/after").unwrap().unwrap(), "back");
}

/// A shard that is not the right one is not taken back, and its state says why.
#[test]
fn another_directory_is_not_taken_for_it() {
    let directory = quick_directory();
    fill(directory.path());
    take_away(directory.path());
    let (store, rows) = open_without(directory.path());
    let shard = shard_directory(directory.path());
    fs::create_dir_all(&shard).unwrap();
    fs::copy(shard.with_file_name("2").join("SHARD"), shard.join("SHARD")).unwrap();
    let begun = Instant::now();
    loop {
        let health = store.stats().unwrap().shards[1].health.clone();
        assert_eq!(health.state, ShardState::Missing);
        if health.reason.unwrap().contains("is shard 2") {
            break;
        }
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(10));
    }
    is_unavailable(rows.get("1/004"));
    bring_back(directory.path());
    wait_until_back(&store);
    check_filled(&rows);
}

/// What is kept of the log for it is counted, and events say that it grows.
#[test]
fn the_log_that_is_kept_for_it_is_shown() {
    let directory = quick_directory();
    fill(directory.path());
    take_away(directory.path());
    let (sender, events) = channel();
    let options = small().write_buffer_bytes(4 << 20).heat(None);
    let builder = Store::builder(directory.path().join("store")).options(options);
    let builder = builder.allow_missing_shards(true).listener(move |event| {
        if let Event::LogKept { shard, bytes } = event {
            sender.send((*shard, *bytes)).unwrap();
        }
    });
    let store = builder.open().unwrap();
    let rows = store.keyspace("rows").unwrap();
    let needed = || store.stats().unwrap().shards[1].log_bytes_needed;
    let (before, value) = (needed(), vec![b'.'; 64 << 10]);
    (0..300).for_each(|n| rows.put(format!("0/bulk/{n}"), &value).unwrap());
    store.flush().unwrap();
    assert!(needed() > before + (300 << 16), "{} of {before}", needed());
    let (shard, bytes) = events.recv_timeout(PATIENCE).unwrap();
    assert!(shard == ShardId(1) && bytes >= 8 << 20, "{bytes}");
    (0..600).for_each(|n| rows.put(format!("0/bulk/{n}"), &value).unwrap());
    let (_, later) = events.recv_timeout(PATIENCE).unwrap();
    assert!(later >= 2 * bytes, "{later} of {bytes}");
    bring_back(directory.path());
    wait_until_back(&store);
    store.flush().unwrap();
    assert!(needed() < bytes, "{}", needed());
}

#[cfg(feature = "failpoints")]
mod steps {
    use super::*;
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Command, Stdio};

    const DIRECTORY: &str = "ANNULUS_TEST_RETURN_DIRECTORY";

    #[test]
    fn child() {
        let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
        let (store, rows) = open_without(&directory);
        rows.put("0/meanwhile", "on").unwrap();
        bring_back(&directory);
        wait_until_back(&store);
        rows.put("1/after", "back").unwrap();
        std::process::exit(0);
    }

    /// Wherever the process dies, the shard may be missing again, and comes back whole.
    #[test]
    fn a_process_may_die_at_every_step() {
        for step in [
            "missing-before-admission",
            "take-back-after-open",
            "take-back-after-replay",
            "take-back-before-views",
            "missing-before-forget",
            "missing-after-forget",
            "none",
        ] {
            let directory = quick_directory();
            let directory = directory.path();
            fill(directory);
            take_away(directory);
            drop(open_without(directory));
            let mut command = Command::new(std::env::current_exe().unwrap());
            let test = "missing::returns::steps::child";
            command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
            command.env(DIRECTORY, directory).env("ANNULUS_FAILPOINT", step);
            let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
            assert_eq!(status.signal(), (step != "none").then_some(6), "{step}: {status}");
            take_away(directory);
            (0..3).for_each(|_| drop(open_without(directory)));
            bring_back(directory);
            let (store, rows) = open(directory);
            assert_eq!(rows.get("0/meanwhile").unwrap().unwrap(), "on", "{step}");
            // The process may have died before or after this write.
            let after = rows.get("1/after").unwrap();
            assert!(after.is_some() || step != "none", "{step}");
            rows.delete("1/after").unwrap();
            check_filled(&rows);
            assert!(store.verify().unwrap().is_sound());
        }
    }
}
