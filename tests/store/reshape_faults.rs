//! Goal: a reshape that fails, or comes at a bad moment, harms nothing and blocks no one. Method:
//! bad moments made on purpose, each with what must hold afterwards. Where something may hang, the
//! test waits for at most `PATIENCE` and then reports it.

use crate::basic::{both, quick_store, reopen, small, store};
use crate::churn::Stop;
use crate::reshape::{elsewhere, fill, rows};
use annulus::planner::{Request, SplitAt};
use annulus::reshape::{Check, Phase, ReshapeOptions, Throttle, Transport};
use annulus::topology::KeyspaceSpec;
use annulus::{Batch, ErrorKind, PartitionId, ShardId, ShardSpec, Store};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// What takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(120);

fn with(transport: Transport) -> ReshapeOptions {
    let transport = Some(transport);
    ReshapeOptions::new().transport(transport).check(Check::Full).trim(false)
}

fn move_to(store: &Store, partition: PartitionId, to: ShardId, transport: Transport) {
    let request = Request::Move { partition, to };
    store.start_with(&request, with(transport)).unwrap().wait().unwrap();
}

fn assert_sound(store: &Store) {
    let report = store.verify().unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
}

/// Runs something that may hang on a separate thread, and reports it if it does.
fn within_patience<T: Send + 'static>(what: &str, run: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, waiting) = mpsc::channel();
    std::thread::spawn(move || done.send(run()));
    waiting.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("hangs: {what}"))
}

/// A past bug: the record of a removed shard's directory stayed in the metadata until the next
/// opening, which then removed the content of that directory: by then the database of a shard that
/// had been added there since.
#[test]
fn a_shard_in_the_directory_of_a_removed_one_survives_the_next_opening() {
    let directory = tempfile::tempdir().unwrap();
    // Without the rebalancer: a plan that it makes just then would keep the removed shard open.
    let options = small().heat(None);
    let path = directory.path().join("store");
    let store = Store::builder(path).shards(3).options(options).open().unwrap();
    let keyspaces = both(&store);
    for keyspace in &keyspaces {
        fill(&store, keyspace);
    }
    let before: Vec<_> = keyspaces.iter().map(rows).collect();
    store.remove_shard(ShardId(1)).unwrap().wait().unwrap();
    store.add_shard(ShardSpec::new("shards/1")).unwrap().wait().unwrap();
    assert!(store.topology().partitions_of(ShardId(3)) > 0);
    store.close().unwrap();
    drop((keyspaces, store));
    let store = reopen(&directory);
    assert_eq!(both(&store).iter().map(rows).collect::<Vec<_>>(), before);
    assert_sound(&store);
    drop(store);
    let store = reopen(&directory);
    assert_eq!(both(&store).iter().map(rows).collect::<Vec<_>>(), before);
    assert!(store.recovery().orphans.is_empty(), "{:?}", store.recovery());
}

/// A past bug: a merge sealed its sources in the order of their keys, a batch takes stripes in the
/// order of the partitions' numbers. With a left neighbour of the higher number each waited for the
/// other, without a deadline while both sides were compared.
#[test]
fn a_merge_and_a_batch_over_its_sources_do_not_wait_for_each_other() {
    let (_directory, store) = quick_store();
    let spec = KeyspaceSpec::range().split_at(["m"]);
    let keyspace = store.create_keyspace("pair", spec).unwrap();
    for n in 0..200 {
        keyspace.put(format!("a{n:03}"), "").unwrap();
        keyspace.put(format!("z{n:03}"), "").unwrap();
    }
    let done = AtomicBool::new(false);
    let ids = || -> Vec<PartitionId> {
        keyspace.stats().unwrap().iter().map(|partition| partition.id).collect()
    };
    let merge = |left, right| {
        let job = store.merge(left, right).unwrap();
        // A panic would wait for the writers, which wait for the merge.
        job.wait_timeout(PATIENCE).unwrap_or_else(|| std::process::abort()).unwrap();
    };
    std::thread::scope(|scope| {
        let _stop = Stop(&done);
        for writer in 0..4 {
            let (store, keyspace, done) = (&store, &keyspace, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Acquire) {
                    let mut batch = Batch::new();
                    for key in 0..16 {
                        batch.put(keyspace, format!("a{key:03}/{writer}"), "");
                        batch.put(keyspace, format!("z{key:03}/{writer}"), "");
                    }
                    store.write(batch).unwrap();
                }
            });
        }
        for round in 0..20 {
            // Splitting the first gives its right part a higher number than its neighbour has.
            let key = SplitAt::Key(format!("a{round:03}").into_bytes());
            store.split(ids()[0], key).unwrap().wait().unwrap();
            let [_, left, right] = ids()[..] else { unreachable!() };
            assert!(left > right);
            merge(left, right);
            let [left, right] = ids()[..] else { unreachable!() };
            merge(left, right);
            store.split(ids()[0], SplitAt::Key(b"m".to_vec())).unwrap().wait().unwrap();
        }
    });
    assert_sound(&store);
}

/// A past bug: dropping a keyspace waited for the end of its reshapes, and a reshape that was
/// paused waited to be resumed.
#[test]
fn a_keyspace_can_be_dropped_while_its_reshape_is_paused() {
    let (_directory, store) = store();
    let [hash, _] = both(&store);
    fill(&store, &hash);
    // Slow, so that it is in the middle of the copy when it is paused.
    let slow = Throttle::new().bytes_per_second(1);
    store.set_throttle(slow).unwrap();
    let partition = hash.stats().unwrap()[0].clone();
    let moving = Request::Move { partition: partition.id, to: elsewhere(partition.owner) };
    let job = store.start_with(&moving, with(Transport::Copy)).unwrap();
    while job.progress().phase != Phase::Seeding {
        assert!(!job.has_ended());
        std::thread::yield_now();
    }
    job.pause();
    std::thread::sleep(Duration::from_millis(100));
    let dropping = store.clone();
    within_patience("a drop of a keyspace whose reshape is paused", move || {
        dropping.drop_keyspace("hash").unwrap();
    });
    assert_eq!(job.wait().unwrap_err().kind(), ErrorKind::Closed);
}

/// A past bug: the workers of a store that was only dropped released it a moment later. A caller
/// that opened it at once found it locked, and a process that ended in the meantime was aborted by
/// RocksDB, whose statics were gone.
#[test]
fn a_store_can_be_opened_anew_at_once_after_it_was_dropped_amid_a_reshape() {
    let directory = tempfile::tempdir().unwrap();
    let mut expected = None;
    for round in 0..6 {
        let store = reopen(&directory);
        let keyspaces = both(&store);
        let before = expected.get_or_insert_with(|| {
            keyspaces.each_ref().map(|keyspace| {
                fill(&store, keyspace);
                rows(keyspace)
            })
        });
        assert_eq!(&keyspaces.each_ref().map(rows), before);
        let partition = keyspaces[round % 2].stats().unwrap()[0].clone();
        let options = ReshapeOptions::new().trim(true);
        let at = SplitAt::Middle;
        let split = Request::Split { partition: partition.id, at, to: None };
        let job = store.start_with(&split, options).unwrap();
        if round % 3 > 0 {
            // The trim is in progress, or about to begin.
            job.wait().unwrap();
            std::thread::sleep(Duration::from_millis(10 * round as u64));
        }
    }
}

/// Goal: sequence numbers of the source's files are not above those of the target's writes. Method:
/// a source with many writes moves to a shard with none, by link; then overwrites.
#[test]
fn what_is_written_after_a_link_from_a_busy_shard_wins() {
    let (directory, store) = store();
    let spec = KeyspaceSpec::range().split_at(["m"]);
    let keyspace = store.create_keyspace("one", spec).unwrap();
    for n in 0..50_000_u32 {
        keyspace.put((n % 100).to_be_bytes(), n.to_be_bytes()).unwrap();
    }
    let snapshot = store.snapshot().unwrap();
    let partition = keyspace.stats().unwrap()[0].clone();
    move_to(&store, partition.id, ShardId(2), Transport::Link);
    let after = store.snapshot().unwrap();
    let old = |n: u32| (49_900 + n).to_be_bytes();
    for n in 0..100_u32 {
        assert_eq!(keyspace.get(n.to_be_bytes()).unwrap().unwrap()[..], old(n));
        assert_eq!(after.get(&keyspace, n.to_be_bytes()).unwrap().unwrap()[..], old(n));
        keyspace.put(n.to_be_bytes(), "new").unwrap();
        assert_eq!(keyspace.get(n.to_be_bytes()).unwrap().unwrap(), "new");
        assert_eq!(after.get(&keyspace, n.to_be_bytes()).unwrap().unwrap()[..], old(n));
        assert_eq!(snapshot.get(&keyspace, n.to_be_bytes()).unwrap().unwrap()[..], old(n));
    }
    keyspace.delete_range(..50_u32.to_be_bytes()).unwrap();
    drop((keyspace, snapshot, after, store));
    for _ in 0..2 {
        let store = reopen(&directory);
        let rows: Vec<_> = store.keyspace("one").unwrap().scan(..).unwrap().collect();
        assert_eq!(rows.len(), 50);
        assert!(rows.into_iter().all(|row| row.unwrap().1 == b"new"));
    }
}

/// The failure looked for: a partition on its way to a shard arrives after the removal of the shard
/// was planned, and one that the shard has was split.
#[test]
fn a_shard_is_removed_although_a_partition_is_on_its_way_to_it() {
    let (_directory, store) = store();
    let [hash, range] = both(&store);
    fill(&store, &hash);
    let before = rows(&hash);
    let slow = Throttle::new().bytes_per_second(100_000);
    store.set_throttle(slow).unwrap();
    let on = |shard: u32| {
        let all = hash.stats().unwrap();
        all.into_iter().find(|partition| partition.owner == ShardId(shard)).unwrap().id
    };
    let moving = Request::Move { partition: on(0), to: ShardId(1) };
    let arriving = store.start_with(&moving, with(Transport::Copy)).unwrap();
    let splitting = Request::Split { partition: on(1), at: SplitAt::Middle, to: None };
    let dividing = store.start_with(&splitting, with(Transport::Copy)).unwrap();
    while arriving.progress().phase == Phase::Queued || dividing.progress().phase == Phase::Queued {
        std::thread::yield_now();
    }
    let removing = store.remove_shard(ShardId(1)).unwrap();
    store.set_throttle(Throttle::default()).unwrap();
    println!("{:?} {:?}", arriving.wait(), dividing.wait());
    let removed = removing.wait();
    assert_eq!(rows(&hash), before);
    assert_sound(&store);
    drop(range);
    removed.unwrap();
    assert!(store.topology().shard(ShardId(1)).is_none());
}

/// The failure looked for: a split of a partition without bytes may send its right part to a shard
/// that is being removed.
#[test]
fn a_shard_that_is_being_removed_gets_no_part_of_an_empty_partition() {
    let (_directory, store) = store();
    let [hash, range] = both(&store);
    fill(&store, &range);
    let slow = Throttle::new().bytes_per_second(1000);
    store.set_throttle(slow).unwrap();
    let options = ReshapeOptions::new().transport(Transport::Copy);
    let job = store.start_with(&Request::RemoveShard(ShardId(1)), options).unwrap();
    let all = hash.stats().unwrap();
    let empty = all.into_iter().find(|partition| partition.owner == ShardId(0)).unwrap();
    let to = Some(ShardId(1));
    let split = Request::Split { partition: empty.id, at: SplitAt::Middle, to };
    let started = store.start(&split);
    store.set_throttle(Throttle::default()).unwrap();
    let removed = job.wait();
    assert_eq!(started.unwrap_err().kind(), ErrorKind::InvalidArgument);
    removed.unwrap();
}

/// A listener that panics at each event is notified of the next one all the same.
#[test]
fn a_listener_that_panics_does_not_matter() {
    let directory = tempfile::tempdir().unwrap();
    let told = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let mine = std::sync::Arc::clone(&told);
    let builder = Store::builder(directory.path().join("store")).shards(3).options(small());
    let listener = move |event: &annulus::reshape::Event| {
        mine.fetch_add(1, Ordering::AcqRel);
        panic!("on purpose, at {event:?}");
    };
    let store = builder.listener(listener).open().unwrap();
    let [hash, _] = both(&store);
    fill(&store, &hash);
    let before = rows(&hash);
    let partition = hash.stats().unwrap()[0].clone();
    move_to(&store, partition.id, elsewhere(partition.owner), Transport::Link);
    assert_eq!(rows(&hash), before);
    // Prepared, seeding, catching up, sealed, committed, cleaned, ended.
    assert!(told.load(Ordering::Acquire) >= 7);
}

/// A target that cannot take files: the job names the path, the sources continue to serve, and when
/// it is repaired the same reshape succeeds.
#[test]
fn a_target_that_takes_no_files_ends_the_job_and_nothing_else() {
    let (directory, store) = store();
    for keyspace in both(&store) {
        fill(&store, &keyspace);
        let before = rows(&keyspace);
        let partition = keyspace.stats().unwrap()[0].clone();
        let to = elsewhere(partition.owner);
        let info = store.topology().shard(to).unwrap().directory.clone();
        let scratch = store.path().join(info).join("data/scratch");
        let _ = std::fs::remove_dir_all(&scratch);
        std::fs::write(&scratch, "not a directory").unwrap();
        let requests = [
            Request::Move { partition: partition.id, to },
            Request::Split { partition: partition.id, at: SplitAt::Middle, to: Some(to) },
        ];
        for transport in [Transport::Link, Transport::Copy] {
            for request in &requests {
                let job = store.start_with(request, with(transport)).unwrap();
                let error = job.wait().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Io, "{error}");
                assert!(format!("{error:#}").contains(scratch.to_str().unwrap()), "{error:#}");
                assert_eq!(job.outcomes()[0].phase, Phase::RolledBack);
                assert_eq!(rows(&keyspace), before);
                keyspace.put("meanwhile", "x").unwrap();
                keyspace.delete("meanwhile").unwrap();
            }
        }
        std::fs::remove_file(&scratch).unwrap();
        move_to(&store, partition.id, to, Transport::Link);
        move_to(&store, partition.id, elsewhere(to), Transport::Copy);
        assert_eq!(rows(&keyspace), before);
    }
    assert_sound(&store);
    let before: Vec<_> = both(&store).iter().map(rows).collect();
    store.close().unwrap();
    drop(store);
    let store = reopen(&directory);
    assert!(store.recovery().rolled_back.is_empty() && store.recovery().orphans.is_empty());
    assert_eq!(both(&store).iter().map(rows).collect::<Vec<_>>(), before);
}

/// Goal: a bound of the rate holds. Method: what a job has copied, checked again and again, is
/// never more than the rate allows in the time since it began, apart from a tenth of a second's
/// worth and what is read between two checks of the pace.
#[test]
fn a_copy_is_no_faster_than_the_throttle_allows() {
    const RATE: u64 = 4 << 20;
    let (_directory, store) = store();
    let [_, range] = both(&store);
    for n in 0..3000_u32 {
        range
            .put(
                format!("a{n:05}"),
                fastrand::Rng::with_seed(n.into()).u128(..).to_string().repeat(40),
            )
            .unwrap();
    }
    store.flush().unwrap();
    store.set_throttle(Throttle::new().bytes_per_second(RATE)).unwrap();
    let options = with(Transport::Copy).check(Check::None);
    let mut looks = 0;
    // Once, unless this thread hardly got the processor in the meantime.
    while looks <= 10 {
        let partition = range.stats().unwrap()[0].clone();
        let moving = Request::Move { partition: partition.id, to: elsewhere(partition.owner) };
        let begun = Instant::now();
        let job = store.start_with(&moving, options).unwrap();
        while !job.has_ended() {
            let done = job.progress().bytes_done;
            let allowed = (begun.elapsed().as_secs_f64() + 0.1) * RATE as f64;
            assert!(done as f64 <= allowed + f64::from(512 << 10), "{done} of {allowed}");
            looks += 1;
            std::thread::sleep(Duration::from_millis(5));
        }
        let outcome = job.wait().unwrap().remove(0);
        assert!(outcome.bytes > 4 << 20, "{outcome:?}");
    }
}

const PANIC_DIRECTORY: &str = "ANNULUS_TEST_PANIC_DIRECTORY";

/// Not a test in itself: a process in which a worker panics at the place that the environment
/// names. Before the commit the reshape is rolled back, and works the next time; in the commit the
/// store is in doubt.
#[cfg(feature = "failpoints")]
#[test]
fn panicking_child() {
    let Some(directory) = std::env::var_os(PANIC_DIRECTORY) else { return };
    let path = std::path::Path::new(&directory).join("store");
    let store = Store::builder(path).shards(3).options(small()).open().unwrap();
    let [hash, _range] = both(&store);
    fill(&store, &hash);
    let before = rows(&hash);
    let partition = hash.stats().unwrap()[0].clone();
    let to = elsewhere(partition.owner);
    let moving = Request::Move { partition: partition.id, to };
    let error = store.start(&moving).unwrap().wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
    assert!(format!("{error:#}").contains("panicked: failpoint"), "{error:#}");
    assert_eq!(rows(&hash), before);
    if std::env::var("ANNULUS_FAILPOINT").unwrap().contains("after-commit") {
        assert_eq!(hash.put("key", "value").unwrap_err().kind(), ErrorKind::InDoubt);
        return;
    }
    hash.put("key", "value").unwrap();
    hash.delete("key").unwrap();
    store.start(&moving).unwrap().wait().unwrap();
    assert_eq!(rows(&hash), before);
    assert_sound(&store);
}

/// The failure looked for: a panic in the worker takes the store with it, or what it had committed.
#[cfg(feature = "failpoints")]
#[test]
fn a_worker_that_panics_ends_only_its_reshape() {
    for place in
        ["reshape-after-target", "reshape-caught-up", "reshape-sealed", "reshape-after-commit"]
    {
        let directory = tempfile::tempdir().unwrap();
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "reshape_faults::panicking_child", "--nocapture"])
            .env(PANIC_DIRECTORY, directory.path())
            .env("ANNULUS_FAILPOINT", format!("panic:{place}"))
            .output()
            .unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{place}: {log}");
        let store = reopen(&directory);
        let [hash, _range] = both(&store);
        assert!(rows(&hash).len() > 1000);
        assert_sound(&store);
    }
}

/// Makes RocksDB fail to write files of options from now on, in a directory: each gets the next
/// number, and something else has that name already.
struct NoOptionsFiles(Vec<std::path::PathBuf>);

impl NoOptionsFiles {
    fn new(data: &std::path::Path) -> Self {
        let name = |number| data.join(format!("OPTIONS-{number:06}.dbtmp"));
        let taken: Vec<_> = (0..2000).map(name).collect();
        taken.iter().for_each(|path| std::fs::create_dir(path).unwrap());
        Self(taken)
    }
}

impl Drop for NoOptionsFiles {
    fn drop(&mut self) {
        self.0.iter().for_each(|path| std::fs::remove_dir(path).unwrap());
    }
}

/// A past bug: where RocksDB made a column family and could then not write its file of options, the
/// family stayed, and each later move of that partition to that shard ended with `Internal`. And
/// after an import whose own clean-up failed the intent was removed, so that an opening found a
/// partition with rows that it knew nothing of, and refused the store.
#[test]
fn what_an_error_leaves_in_an_engine_is_in_nobodys_way() {
    for transport in [Transport::Link, Transport::Copy] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        let options = small().heat(None);
        let open = || Store::builder(&path).shards(3).options(options.clone()).open().unwrap();
        let store = open();
        let [_, range] = both(&store);
        fill(&store, &range);
        let before = rows(&range);
        let source = range.stats().unwrap()[0].clone();
        let to = elsewhere(source.owner);
        let data = path.join(format!("shards/{to}/data"));
        let moving = Request::Move { partition: source.id, to };
        let failing = NoOptionsFiles::new(&data);
        for _ in 0..2 {
            let error = store.start_with(&moving, with(transport)).unwrap().wait().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Io, "{transport}: {error}");
        }
        drop(failing);
        store.start_with(&moving, with(transport)).unwrap().wait().unwrap();
        assert_eq!(rows(&range), before);
        // A split whose targets are left behind: their numbers were never committed.
        let failing = NoOptionsFiles::new(&data);
        let at = SplitAt::Middle;
        let splitting = Request::Split { partition: source.id, at, to: None };
        let error = store.start_with(&splitting, with(transport)).unwrap().wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{transport}: {error}");
        drop(failing);
        store.start_with(&splitting, with(transport)).unwrap().wait().unwrap();
        drop((range, store));
        for _ in 0..2 {
            let store = open();
            let [_, range] = both(&store);
            assert_eq!(rows(&range), before);
            assert_sound(&store);
        }
        let again = open();
        let recovery = again.recovery();
        assert!(recovery.orphans.is_empty() && recovery.rolled_back.is_empty(), "{recovery:?}");
    }
}
