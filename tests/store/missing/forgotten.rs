//! Goal: a shard that is lost is given up as a whole, by one commit, and nothing else is: the others keep what
//! they have, what it had can be written again, and what was derived from it is made again. Method: the
//! directory of a shard is taken away for good; processes die at each step.

use super::*;
use annulus::index::IndexSpec;

fn forget(directory: &Path, shard: u32) -> Result<(Store, Keyspace)> {
    let options = small().write_buffer_bytes(4 << 20).heat(None);
    let builder = Store::builder(directory.join("store")).options(options).shards(3);
    let store = builder.forget_shard(ShardId(shard)).open()?;
    let rows = store.keyspace("rows")?;
    Ok((store, rows))
}

/// Checks what is left of what `fill` has written when shard 1 was given up.
fn check_left(store: &Store, rows: &Keyspace) {
    assert_eq!(store.topology().shards().count(), 2);
    assert_eq!(rows.scan("0/".."1/").unwrap().count(), 200);
    assert_eq!(rows.scan("2/"..).unwrap().count(), 200);
    assert_eq!(rows.get("1/598").unwrap().unwrap(), "in the log", "what the log still has");
    assert!(rows.get("1/004").unwrap().is_none(), "what was in files only is lost");
    assert!(store.verify().unwrap().is_sound());
}

#[test]
fn a_shard_that_is_lost_is_given_up_and_nothing_else() {
    let directory = quick_directory();
    fill(directory.path());
    let (store, _) = open(directory.path());
    let hash = store.create_keyspace("hash", KeyspaceSpec::hash()).unwrap();
    (0..300).for_each(|n| hash.put(format!("{n}"), "before").unwrap());
    store.flush().unwrap();
    drop((store, hash));
    fill(directory.path());
    take_away(directory.path());
    drop(open_without(directory.path()));
    let (store, rows) = forget(directory.path(), 1).unwrap();
    let forgotten = &store.recovery().forgotten[0];
    assert_eq!(forgotten.shard, ShardId(1));
    assert!(forgotten.partitions.len() > 1 && forgotten.indexes.is_empty(), "{forgotten:?}");
    assert!(forgotten.operations_left > 100, "{forgotten}");
    assert!(store.recovery().missing.is_empty());
    check_left(&store, &rows);
    let hash = store.keyspace("hash").unwrap();
    let left = hash.count().unwrap();
    assert!(left > 100 && left < 290, "{left}");
    (0..300).for_each(|n| hash.put(format!("{n}"), "again").unwrap());
    assert_eq!(hash.count().unwrap(), 300);
    rows.put("1/new", "again").unwrap();
    store.close().unwrap();
    drop((store, rows, hash));

    // For good, also if the directory comes back.
    bring_back(directory.path());
    let (store, rows) = open(directory.path());
    check_left(&store, &rows);
    assert_eq!(rows.get("1/new").unwrap().unwrap(), "again");
    assert!(store.recovery().forgotten.is_empty());
    let job = store.add_shard(ShardSpec::new("shards/new")).unwrap();
    job.wait().unwrap();
    assert!(store.topology().shard(ShardId(1)).is_none(), "its number is not assigned again");
    assert!(store.verify().unwrap().is_sound());
    drop((store, rows));
    assert_eq!(forget(directory.path(), 1).map(drop).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn what_is_there_or_alone_is_not_given_up() {
    let directory = quick_directory();
    fill(directory.path());
    let kind = |shard| forget(directory.path(), shard).map(drop).unwrap_err().kind();
    assert_eq!(kind(1), ErrorKind::InvalidArgument, "it is there");
    assert_eq!(kind(9), ErrorKind::NotFound);
    let read_only = Store::builder(directory.path().join("store")).read_only(true);
    let refused = read_only.forget_shard(ShardId(1)).open().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
    let (store, rows) = open(directory.path());
    check_filled(&rows);
    assert_eq!(store.topology().shards().count(), 3);
}

/// One of two shards that are missing is given up; the other keeps what it has, and gets nothing.
#[test]
fn another_one_that_is_missing_gets_nothing() {
    let directory = quick_directory();
    fill(directory.path());
    take_away(directory.path());
    let other = directory.path().join("store/shards/2");
    let away = directory.path().join("other");
    fs::rename(&other, &away).unwrap();
    let (store, rows) = forget(directory.path(), 1).unwrap();
    assert_eq!(rows.get("1/598").unwrap().unwrap(), "in the log");
    let error = rows.get("2/599").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    drop((store, rows));
    fs::rename(&away, &other).unwrap();
    let (store, rows) = open(directory.path());
    check_left(&store, &rows);
}

/// An index that had a part on the shard is dropped, since it would say that it is complete; declared again,
/// it is built from the rows that are left.
#[test]
fn indexes_are_made_again() {
    let directory = quick_directory();
    let spec = || IndexSpec::new("values", 1, |_key, value: &[u8]| Some(value.to_vec()));
    let (store, rows) = open(directory.path());
    let index = rows.index(spec()).unwrap();
    index.build().unwrap();
    (0..60).for_each(|n| rows.put(format!("{}/{n:03}", n % 3), format!("{n}")).unwrap());
    store.flush().unwrap();
    drop((store, rows, index));
    take_away(directory.path());
    let (store, rows) = forget(directory.path(), 1).unwrap();
    let indexes = &store.recovery().forgotten[0].indexes;
    assert_eq!(indexes, &[("rows".to_owned(), "values".to_owned())]);
    rows.put("1/new", "new").unwrap();
    let index = rows.index(spec()).unwrap();
    index.build().unwrap();
    assert_eq!(index.keys("new").unwrap(), [b"1/new"]);
    assert!(index.verify().unwrap().is_sound() && store.verify().unwrap().is_sound());
    drop((store, rows, index));
    let (store, _rows) = open(directory.path());
    assert!(store.recovery().orphans.is_empty(), "{:?}", store.recovery().orphans);
}

#[cfg(feature = "failpoints")]
mod steps {
    use super::*;
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Command, Stdio};

    const DIRECTORY: &str = "ANNULUS_TEST_FORGET_DIRECTORY";

    #[test]
    fn child() {
        let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
        forget(&directory, 1).unwrap();
    }

    /// The store is as it was, or without the shard.
    #[test]
    fn a_process_may_die_at_every_step() {
        for (step, is_given_up) in [
            ("opening-after-shard@1", false),
            ("forget-after-partitions", false),
            ("topology-after-commit", true),
            ("forget-after-commit", true),
            ("opening-after-replay", true),
        ] {
            let directory = quick_directory();
            let directory = directory.path();
            fill(directory);
            take_away(directory);
            let mut command = Command::new(std::env::current_exe().unwrap());
            let test = "missing::forgotten::steps::child";
            command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
            command.env(DIRECTORY, directory).env("ANNULUS_FAILPOINT", step);
            let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
            assert_eq!(status.signal(), Some(6), "{step}: {status}");
            if is_given_up {
                let (store, rows) = open(directory);
                check_left(&store, &rows);
                continue;
            }
            // Either way goes on from here.
            let (store, rows) = open_without(directory);
            assert_eq!(rows.scan("0/".."1").unwrap().count(), 200);
            assert!(step == "opening-after-shard@1" || !store.recovery().orphans.is_empty());
            drop((store, rows));
            let (store, rows) = forget(directory, 1).unwrap();
            check_left(&store, &rows);
        }
    }
}
