//! Goal: a disk that is nearly full refuses puts, with everything that one needs to know, and can be
//! emptied by deleting; a disk that is slow or hangs is reported while it is, and delays nothing else.
//! Method: files say how much room there is, and which calls hang (feature `failpoints`); and a small
//! file system that is really filled (`ANNULUS_TEST_SMALL_DISK`).

use crate::basic::small;
use crate::churn::quick_directory;
use annulus::disk::{DiskCall, DiskEvent, DiskPlace};
use annulus::reshape::Event;
use annulus::topology::KeyspaceSpec;
use annulus::{
    Batch, Durability, Error, ErrorKind, Expect, Keyspace, Options, Result, ShardId, ShardSpec,
    Store,
};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// What takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(60);

const RESERVE: u64 = 1 << 20;

/// A store on three shards, with what its listener has received of disks.
struct Watched {
    store: Store,
    rows: Keyspace,
    seen: Arc<Mutex<Vec<DiskEvent>>>,
}

impl Watched {
    /// The keys that begin with 0, 1 and 2 are on one shard each.
    fn open(directory: &Path, options: Options) -> Self {
        let seen = Arc::<Mutex<Vec<_>>>::default();
        let noted = Arc::clone(&seen);
        let listener = move |event: &Event| {
            if let Event::Disk(event) = event {
                noted.lock().unwrap().push(event.clone());
            }
        };
        let builder = Store::builder(directory.join("store")).shards(3).options(options);
        let store = builder.listener(listener).open().unwrap();
        let spec = KeyspaceSpec::range().split_at(["1", "2"]);
        let rows = store.keyspace_or_create("rows", spec).unwrap();
        Self { store, rows, seen }
    }

    fn owner(&self, key: &str) -> ShardId {
        let placement = self.rows.placement();
        let partitioning = placement.partitioning();
        partitioning.owner(partitioning.find(key.as_bytes())).unwrap()
    }

    fn directory(&self, shard: ShardId) -> PathBuf {
        self.store.path().join(&self.store.topology().shard(shard).unwrap().directory)
    }

    fn log(&self) -> PathBuf {
        self.store.stats().unwrap().log_copies[0].directory.clone()
    }

    fn wait_for(&self, what: &str, is_seen: impl Fn(&DiskEvent) -> bool) -> DiskEvent {
        wait_for(what, || self.seen.lock().unwrap().iter().find(|event| is_seen(event)).cloned())
    }
}

fn wait_for<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Says how much room a directory's file system has, until this is dropped.
struct Free(PathBuf);

impl Free {
    fn set(directory: &Path, bytes: u64) -> Self {
        let file = directory.join("SET-space");
        // As a whole: it is read at any moment.
        fs::write(directory.join("SET-space.new"), bytes.to_string()).unwrap();
        fs::rename(directory.join("SET-space.new"), &file).unwrap();
        Self(file)
    }
}

impl Drop for Free {
    fn drop(&mut self) {
        fs::remove_file(&self.0).unwrap();
    }
}

fn is_full(result: Result<impl Sized>) -> Option<Error> {
    let error = result.err()?;
    assert_eq!(error.kind(), ErrorKind::DiskFull, "{error:#}");
    Some(error)
}

fn options() -> Options {
    small().disk_reserve(RESERVE)
}

/// Whatever puts is refused by name on that shard, and on no other. What deletes or reads is not.
#[test]
fn a_disk_that_is_nearly_full_refuses_puts_and_nothing_else() {
    let directory = quick_directory();
    let watched = Watched::open(directory.path(), options());
    let Watched { store, rows, .. } = &watched;
    for key in ["0/a", "1/a", "1/b", "1/c", "2/a"] {
        rows.put(key, "before").unwrap();
    }
    rows.add("1/n", 1).unwrap();
    let shard = watched.owner("1");
    let place = watched.directory(shard);
    let free = Free::set(&place, RESERVE - 1);
    let error = wait_for("puts are refused", || is_full(rows.put("1/d", "refused")));
    for part in [&format!("shard {shard}"), place.to_str().unwrap(), "1048575 bytes", "1048576"] {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
    assert!(!error.is_retryable());
    assert!(is_full(rows.put_if_absent("1/e", "refused")).is_some());
    assert!(is_full(rows.compare_and_swap("1/a", Some(b"before"), Some(b"after"))).is_some());
    assert!(is_full(rows.update("1/a", |_| Some("refused"))).is_some());
    assert!(is_full(rows.add("1/n", 1)).is_some());
    let mut batch = Batch::new();
    batch.put(rows, "0/b", "refused");
    batch.put(rows, "1/d", "refused");
    assert!(is_full(store.write(batch)).is_some());
    assert!(is_full(store.transact(|tx| tx.put(rows, "1/d", "refused"))).is_some());
    assert!(!rows.contains("0/b").unwrap(), "a batch is refused as a whole");
    // Others.
    rows.put("0/c", "accepted").unwrap();
    rows.put("2/c", "accepted").unwrap();
    // Deletes, in all forms, and batches that put elsewhere.
    rows.delete("1/a").unwrap();
    rows.update("1/b", |_| None::<&str>).unwrap();
    let mut batch = Batch::new();
    batch.require(rows, "1/c", Expect::Value(b"before"));
    batch.delete(rows, "1/c");
    batch.put(rows, "0/d", "accepted");
    assert!(store.write_if(batch).unwrap().is_written());
    rows.delete_range("1".."2").unwrap();
    assert_eq!(rows.scan("1".."2").unwrap().count(), 0);
    rows.compact().unwrap();
    // The store's own rows may use the reserve: the log is kept until positions are committed.
    let consumer =
        store.consumer_or_create("feed", annulus::changes::ChangesFrom::Earliest).unwrap();
    consumer.commit(consumer.position().unwrap()).unwrap();
    drop(free);
    wait_for("puts are accepted", || rows.put("1/d", "accepted").ok());
    let of_shard = |event: &DiskEvent, is_low: bool| match event {
        DiskEvent::Low(room) => is_low && room.place == DiskPlace::Shard(shard),
        DiskEvent::Enough(room) => !is_low && room.place == DiskPlace::Shard(shard),
        _ => false,
    };
    watched.wait_for("an event", |event| of_shard(event, true));
    watched.wait_for("another", |event| of_shard(event, false));
    assert_eq!(watched.seen.lock().unwrap().len(), 2, "one for each change");
    assert!(store.verify().unwrap().is_sound());
}

/// The log is where every write goes first.
#[test]
fn a_log_without_room_refuses_the_puts_of_all_shards() {
    let directory = quick_directory();
    let watched = Watched::open(directory.path(), options());
    let rows = &watched.rows;
    rows.put("0/a", "before").unwrap();
    let log = watched.log();
    let free = Free::set(&log, 0);
    for key in ["0/b", "1/b", "2/b"] {
        let error = wait_for("puts are refused", || is_full(rows.put(key, "refused")));
        assert!(error.to_string().contains("the log"), "{error}");
        assert!(error.to_string().contains(log.to_str().unwrap()), "{error}");
    }
    rows.delete("0/a").unwrap();
    drop(free);
    wait_for("puts are accepted", || rows.put("0/b", "accepted").ok());
}

#[test]
fn without_a_reserve_nothing_is_refused() {
    let directory = quick_directory();
    let watched = Watched::open(directory.path(), small().disk_reserve(0));
    let _free = Free::set(&watched.directory(watched.owner("1")), 0);
    std::thread::sleep(Duration::from_millis(600));
    watched.rows.put("1/a", "accepted").unwrap();
    assert!(watched.seen.lock().unwrap().is_empty());
}

/// A file system that does not answer is reported, and the others are looked at all the same. What is not
/// known is not refused.
#[test]
fn a_disk_that_does_not_answer_is_reported() {
    let directory = quick_directory();
    let options = options().slow_io(Duration::from_millis(20));
    let watched = Watched::open(directory.path(), options);
    let hang = watched.directory(watched.owner("1")).join("HANG-space");
    fs::write(&hang, "").unwrap();
    let event = watched.wait_for(
        "it hangs",
        |event| matches!(event, DiskEvent::Slow(slow) if slow.call == DiskCall::Room && slow.hangs),
    );
    let DiskEvent::Slow(slow) = event else { panic!("{event:?}") };
    assert!(slow.longest > Duration::from_millis(20), "{slow:?}");
    watched.rows.put("1/a", "accepted").unwrap();
    fs::remove_file(&hang).unwrap();
    let free = Free::set(&watched.log(), 0);
    wait_for("it is looked at again", || is_full(watched.rows.put("1/a", "refused")));
    drop(free);
}

/// A sync of the log that hangs is reported while it does, and its writer waits; a slow read when it ends.
#[test]
fn calls_that_take_long_are_reported() {
    let directory = quick_directory();
    let options = options().slow_io(Duration::from_millis(20)).hot_cache_bytes(0);
    let watched = Watched::open(directory.path(), options);
    let rows = &watched.rows;
    rows.put("1/a", "value").unwrap();
    let shard = watched.owner("1");
    let (log, data) = (watched.log(), watched.directory(shard).join("data"));
    wait_for("the shard is watched", || {
        let _slow = Hang::set(&data, "read", Some(Duration::from_millis(40)));
        rows.get("1/a").unwrap();
        let seen = watched.seen.lock().unwrap();
        seen.iter().find_map(|event| match event {
            DiskEvent::Slow(slow) if slow.call == DiskCall::Read => Some(slow.clone()),
            _ => None,
        })
    });
    std::thread::scope(|scope| {
        let hang = Hang::set(&log, "log-sync", None);
        let writer = scope.spawn(|| rows.put_with("1/a", "synced", Durability::Synced));
        let event = watched.wait_for("the sync hangs", |event| {
            matches!(event, DiskEvent::Slow(slow) if slow.call == DiskCall::Sync && slow.hangs)
        });
        let DiskEvent::Slow(slow) = event else { panic!("{event:?}") };
        assert_eq!((slow.place, &slow.directory), (DiskPlace::Log, &log));
        assert!(!writer.is_finished());
        drop(hang);
        writer.join().unwrap().unwrap();
    });
}

/// Has an operation on the files of a directory hang until this is dropped, or for a time.
struct Hang(PathBuf);

impl Hang {
    fn set(directory: &Path, operation: &str, time: Option<Duration>) -> Self {
        let file = directory.join(format!("HANG-{operation}"));
        fs::write(&file, "").unwrap();
        if let Some(time) = time {
            let file = file.clone();
            std::thread::spawn(move || {
                std::thread::sleep(time);
                let _ = fs::remove_file(file);
            });
        }
        Self(file)
    }
}

impl Drop for Hang {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The listener may call the store, and have the last handle of it.
#[test]
fn a_listener_of_disks_may_use_the_store() {
    let directory = quick_directory();
    let held = Arc::new(OnceLock::<Mutex<Option<Store>>>::new());
    let (mine, done) = (Arc::clone(&held), Arc::new(Mutex::new(Vec::new())));
    let noted = Arc::clone(&done);
    let listener = move |event: &Event| {
        let Event::Disk(DiskEvent::Low(_)) = event else { return };
        let Some(store) = mine.get().and_then(|store| store.lock().unwrap().take()) else { return };
        let rows = store.keyspace("rows").unwrap();
        rows.delete("a").unwrap();
        let refused = store.close().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{refused}");
        drop(store.snapshot().unwrap());
        drop((rows, store));
        noted.lock().unwrap().push(());
    };
    let path = directory.path().join("store");
    let builder = Store::builder(&path).shards(1).options(options());
    let store = builder.listener(listener).open().unwrap();
    store.create_keyspace("rows", KeyspaceSpec::hash()).unwrap().put("a", "").unwrap();
    let shard = path.join("shards/0");
    held.set(Mutex::new(Some(store))).ok().unwrap();
    let free = Free::set(&shard, 0);
    wait_for("the listener has dropped the store", || done.lock().unwrap().pop());
    drop(free);
    let reopened = || Store::builder(&path).options(options()).open().ok();
    let store = wait_for("the store can be opened again", reopened);
    assert!(!store.keyspace("rows").unwrap().contains("a").unwrap());
}

/// A disk that is really filled: puts end at the reserve, with the shard in good health; what is deleted
/// and compacted is room for other rows.
#[test]
#[ignore = "needs a small file system: see CONTRIBUTING.md"]
fn a_disk_that_was_filled_to_its_reserve_is_emptied_by_deleting() {
    let disk = PathBuf::from(std::env::var_os("ANNULUS_TEST_SMALL_DISK").unwrap());
    let directory = quick_directory();
    let options = small().write_buffer_bytes(4 << 20).disk_reserve(12 << 20);
    let specs = [ShardSpec::new("shards/0"), ShardSpec::new(disk.join("filled"))];
    let builder = Store::builder(directory.path().join("store")).options(options);
    let builder = specs.into_iter().fold(builder, |builder, spec| builder.shard(spec));
    let store = builder.open().unwrap();
    let rows = store.create_keyspace("rows", KeyspaceSpec::range().split_at(["1"])).unwrap();
    let owner = |key: &str| {
        let placement = rows.placement();
        let partitioning = placement.partitioning();
        partitioning.owner(partitioning.find(key.as_bytes())).unwrap()
    };
    let prefix = if owner("0") == ShardId(1) { "0" } else { "1" };
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..3 {
        let mut written = 0_u32;
        let error = loop {
            let value: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(4096).collect();
            match rows.put(format!("{prefix}/{round}/{written:06}"), value) {
                Ok(()) => written += 1,
                Err(error) => break error,
            }
            assert!(written < 100_000, "the disk takes everything");
            std::thread::sleep(Duration::from_micros(200));
        };
        assert_eq!(error.kind(), ErrorKind::DiskFull, "{error:#}");
        println!("round {round}: {written} rows until \"{error}\"");
        assert!(written > 100);
        store.flush().unwrap();
        rows.delete_range(prefix.to_owned()..format!("{prefix}~")).unwrap();
        rows.compact().unwrap();
        wait_for("there is room again", || rows.put(format!("{prefix}/"), "").ok());
        assert_eq!(store.stats().unwrap().shards[1].partitions_behind, 0);
    }
    assert!(store.verify().unwrap().is_sound());
    store.close().unwrap();
    let _ = fs::remove_dir_all(disk.join("filled"));
}
