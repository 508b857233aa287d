//! Goal: whatever the moment at which the process dies, every acknowledged write is there after the
//! next opening, and every batch and transaction is there whole or not at all, at either
//! durability. Method: a child process writes rounds and notes each acknowledged one in a file
//! outside the store; it dies at a chosen step (feature `failpoints`) or is killed at a random
//! moment; the parent opens the store and compares. The random delays come from a seed that is
//! printed; `ANNULUS_SEED` sets it.

use crate::basic::{both, reopen, small};
use annulus::topology::KeyspaceSpec;
use annulus::{Batch, Durability, Expect, Store, TransactionOptions};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const DIRECTORY: &str = "ANNULUS_TEST_CRASH_DIRECTORY";
const WRITERS: usize = 3;
/// More than any test here lets a process die.
const CRASHES: u64 = 50;
/// Keys a batch writes in each keyspace: enough to be on every shard.
const KEYS: usize = 12;

/// Starts this test binary again, to run only the child below.
fn start(directory: &Path, failpoint: Option<&str>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "crash::child", "--nocapture", "--test-threads=1"]);
    command.env(DIRECTORY, directory).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(place) = failpoint {
        command.env("ANNULUS_FAILPOINT", place);
    }
    command.spawn().unwrap()
}

fn key(writer: usize, n: usize) -> String {
    format!("{n:02}/{writer}")
}

fn counter(writer: usize) -> String {
    format!("counter/{writer}")
}

fn note(directory: &Path, writer: usize) -> PathBuf {
    directory.join(format!("acknowledged-{writer}"))
}

fn acknowledged(directory: &Path, writer: usize) -> u64 {
    let bytes = fs::read(note(directory, writer)).unwrap_or_default();
    bytes.chunks_exact(8).next_back().map_or(0, |last| u64::from_le_bytes(last.try_into().unwrap()))
}

/// Not a test in itself: the process that dies. Each writer writes round after round to its own
/// keys of both keyspaces, in one batch, and then a plain put; keyspaces come and go during that.
#[test]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let store = Store::builder(directory.join("store")).shards(3).options(small()).open().unwrap();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (store, directory) = (&store, &directory);
            scope.spawn(move || write_rounds(store, directory, writer));
        }
        for n in 0_u64.. {
            let name = format!("passing-{n}");
            let _ = store.create_keyspace(&name, KeyspaceSpec::hash().arcs_per_shard(1));
            let _ = store.drop_keyspace(&name);
            for keyspace in store.keyspaces() {
                // Those that an earlier child left behind.
                if keyspace.name().starts_with("passing") {
                    store.drop_keyspace(keyspace.name()).unwrap();
                }
            }
        }
    });
}

fn write_rounds(store: &Store, directory: &Path, writer: usize) {
    use std::io::Write as _;
    let keyspaces = both(store);
    let mut notes =
        fs::OpenOptions::new().create(true).append(true).open(note(directory, writer)).unwrap();
    // Large enough that files are made, and the log gets shorter, every few dozens of rounds.
    let padding = vec![b'.'; 8 << 10];
    for round in acknowledged(directory, writer) + 1.. {
        let value = [&round.to_le_bytes(), &padding[..]].concat();
        let mut batch = Batch::new();
        for keyspace in &keyspaces {
            (0..KEYS).for_each(|n| batch.put(keyspace, key(writer, n), &value));
        }
        // Both counters, which only this thread changes, if they are still the same.
        let counted = keyspaces[0].get(counter(writer)).unwrap();
        let expect = counted.as_deref().map_or(Expect::Absent, Expect::Value);
        for keyspace in &keyspaces {
            batch.require(keyspace, counter(writer), expect);
            batch.add(keyspace, counter(writer), 1);
        }
        let synced = round.is_multiple_of(3);
        let durability = if synced { Durability::Synced } else { Durability::Buffered };
        assert!(store.write_if_with(batch, durability).unwrap().is_written());
        keyspaces[0].put(format!("plain/{writer}"), round.to_le_bytes()).unwrap();
        keyspaces[1].add(format!("single/{writer}"), 1).unwrap();
        // Shared by all writers, which meet.
        let transfer = |tx: &annulus::Transaction| {
            for keyspace in &keyspaces {
                let sums = tx.scan_prefix(keyspace, "shared/")?.count();
                assert!(sums <= WRITERS, "{sums}");
                tx.add(keyspace, format!("shared/{writer}"), 1)?;
            }
            Ok(())
        };
        let options = TransactionOptions::new().durability(durability).attempts_max(1000);
        store.transact_with(options, transfer).unwrap();
        notes.write_all(&round.to_le_bytes()).unwrap();
    }
}

fn round(value: &[u8]) -> u64 {
    u64::from_le_bytes(value[..8].try_into().unwrap())
}

/// Opens the store after a crash and compares it with the notes.
fn check(directory: &TempDir) {
    let store = reopen(directory);
    let keyspaces = both(&store);
    for writer in 0..WRITERS {
        let noted = acknowledged(directory.path(), writer);
        let present: Vec<u64> = keyspaces
            .iter()
            .flat_map(|keyspace| {
                (0..KEYS).map(|n| keyspace.get(key(writer, n)).unwrap().map_or(0, |v| round(&v)))
            })
            .collect();
        let first = present[0];
        assert!(present.iter().all(|round| *round == first), "cut: {present:?}, noted {noted}");
        assert!(first == noted || first == noted + 1, "round {first}, noted {noted}");
        let plain = keyspaces[0].get(format!("plain/{writer}")).unwrap().map_or(0, |v| round(&v));
        assert!(plain == noted || plain == noted + 1, "plain {plain}, noted {noted}");
        let count =
            |keyspace: &annulus::Keyspace, key: String| keyspace.add(key, 0).unwrap() as u64;
        let [hash, range] = keyspaces.each_ref().map(|keyspace| count(keyspace, counter(writer)));
        assert_eq!(hash, range, "counters that are always added to together");
        // One more for each crash at the most: a round that was not noted is made again.
        let shared = keyspaces.each_ref().map(|of| count(of, format!("shared/{writer}")));
        assert_eq!(shared[0], shared[1], "what one transaction has added to");
        for counted in [hash, count(&keyspaces[1], format!("single/{writer}")), shared[0]] {
            assert!((noted..noted + CRASHES).contains(&counted), "{counted}, noted {noted}");
        }
    }
    let report = store.verify().unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
    for keyspace in store.keyspaces() {
        keyspace.count().unwrap();
    }
}

#[cfg(feature = "failpoints")]
#[test]
fn dies_at_every_step() {
    // A place, and how often it is passed before it kills.
    let places = [
        "write-before-log@1",
        "write-before-log@40",
        "write-before-log@41",
        "write-before-log@42",
        "write-before-log@43",
        "write-after-log@52",
        "write-after-log@53",
        "write-after-log@54",
        "write-after-log@1",
        "write-after-log@2",
        "write-after-log@51",
        "write-after-sync@1",
        "write-after-sync@7",
        "batch-between-shards@1",
        "batch-between-shards@2",
        "batch-between-shards@3",
        "batch-between-shards@50",
        "batch-between-shards@51",
        "replay-half",
        "replay-half",
        "opening-after-replay",
        "log-prepare@2",
        "log-before-release@2",
        "log-recycle",
        "keyspace-after-partitions@2",
        "topology-after-commit@5",
        "topology-after-commit@6",
        "drop-after-commit@1",
    ];
    let directory = tempfile::tempdir().unwrap();
    both(&reopen(&directory));
    for place in places {
        let status = start(directory.path(), Some(place)).wait().unwrap();
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&status),
            Some(6),
            "{place}: {status}"
        );
        check(&directory);
    }
}

/// What is left of a process that died amid a replay is replayed by the next one; and what is
/// written then is not undone by a later replay of the same.
#[cfg(feature = "failpoints")]
#[test]
fn dies_amid_replays_and_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    both(&reopen(&directory));
    for place in ["write-after-log@60", "batch-between-shards@99"] {
        start(directory.path(), Some(place)).wait().unwrap();
        // Nothing has opened it in between.
        for _ in 0..3 {
            let status = start(directory.path(), Some("replay-half")).wait().unwrap();
            let signal = std::os::unix::process::ExitStatusExt::signal(&status);
            assert_eq!(signal, Some(6), "{place}: {status}");
        }
        let status = start(directory.path(), Some("batch-between-shards@20")).wait().unwrap();
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        assert_eq!(signal, Some(6), "{place}: {status}");
        check(&directory);
    }
}

#[test]
fn killed_at_random_moments() {
    let seed = std::env::var("ANNULUS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("ANNULUS_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let directory = tempfile::tempdir().unwrap();
    both(&reopen(&directory));
    for _ in 0..8 {
        let mut child = start(directory.path(), None);
        std::thread::sleep(Duration::from_millis(random.u64(20..400)));
        child.kill().unwrap();
        child.wait().unwrap();
        check(&directory);
    }
}
