//! Goal: each job of a queue takes effect exactly once, or is dead; whatever its workers, its clock
//! and the process do. And each call does what its documentation says.
//!
//! Method: a clock that the test sets. The rules by themselves; then workers that stall, fail and
//! vanish, through handles that know nothing of each other, with a clock that leaps and goes back;
//! then a process that is killed. Each protection is left out once, and a test must fail.

use crate::basic::{quick_store, reopen, small};
use crate::churn::quick_directory;
use annulus::queue::{JobId, Lease, Queue, QueueOptions};
use annulus::topology::KeyspaceSpec;
use annulus::{ErrorKind, Isolation, Keyspace, Store, TransactionOptions};
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// A clock that stands still until it is set. In milliseconds.
#[derive(Clone)]
struct Clock(Arc<AtomicU64>);

impl Clock {
    fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1_800_000_000_000)))
    }

    fn pass(&self, milliseconds: i64) {
        self.0.fetch_add(milliseconds as u64, Ordering::SeqCst);
    }

    fn options(&self) -> QueueOptions {
        let time = Arc::clone(&self.0);
        let now =
            move || SystemTime::UNIX_EPOCH + Duration::from_millis(time.load(Ordering::SeqCst));
        QueueOptions::new().lease(Duration::from_secs(10)).attempts_max(3).clock(now)
    }

    fn open(&self, store: &Store) -> Queue {
        Queue::open(store, "jobs", self.options()).unwrap()
    }
}

fn payload(lease: Option<Lease>) -> Option<String> {
    lease.map(|lease| String::from_utf8(lease.payload().to_vec()).unwrap())
}

fn is_gone(result: annulus::Result<()>) -> bool {
    match result {
        Ok(()) => false,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Gone, "{error:#}");
            assert!(!error.is_retryable());
            true
        }
    }
}

#[test]
fn jobs_come_in_order_and_delayed_ones_when_they_are_due() {
    let (_directory, store) = quick_store();
    let (clock, rows) =
        (Clock::new(), store.create_keyspace("rows", KeyspaceSpec::hash()).unwrap());
    let queue = clock.open(&store);
    assert!(queue.take().unwrap().is_none());
    queue.push_after("late", Duration::from_secs(5)).unwrap();
    for job in ["a", "b", "c"] {
        queue.push(job).unwrap();
    }
    let aborted = store.transact(|tx| {
        queue.push_in(tx, "never")?;
        Err::<(), _>(tx.abort("changed its mind"))
    });
    assert_eq!(aborted.unwrap_err().kind(), ErrorKind::Aborted);
    store
        .transact(|tx| {
            tx.put(&rows, "order", "")?;
            queue.push_in(tx, "d")
        })
        .unwrap();
    for job in ["a", "b", "c", "d"] {
        let lease = queue.take().unwrap().unwrap();
        assert_eq!((lease.payload(), lease.attempt()), (job.as_bytes(), 1));
        queue.finish(&lease).unwrap();
        assert!(is_gone(queue.finish(&lease)), "finished twice");
    }
    assert_eq!(payload(queue.take().unwrap()), None);
    clock.pass(5_000);
    assert_eq!(payload(queue.take().unwrap()).as_deref(), Some("late"));
}

#[test]
fn a_lease_that_has_run_out_is_the_next_workers_and_no_longer_the_first_ones() {
    let (_directory, store) = quick_store();
    let (clock, rows) =
        (Clock::new(), store.create_keyspace("rows", KeyspaceSpec::hash()).unwrap());
    let queue = clock.open(&store);
    queue.push("job").unwrap();
    let mut first = queue.take().unwrap().unwrap();
    clock.pass(9_000);
    assert!(queue.take().unwrap().is_none());
    let until = first.until();
    queue.extend(&mut first).unwrap();
    assert_eq!(first.until(), until + Duration::from_secs(9));
    clock.pass(9_999);
    assert!(queue.take().unwrap().is_none());
    clock.pass(1);
    // Late already, though no one has the job yet.
    assert!(is_gone(queue.finish(&first)));
    assert!(is_gone(queue.extend(&mut first)));
    let second = queue.take().unwrap().unwrap();
    assert_eq!((second.id(), second.attempt()), (first.id(), 2));
    let late = store.transact(|tx| {
        tx.put(&rows, "effect", "first")?;
        queue.finish_in(tx, &first)
    });
    assert!(is_gone(late) && is_gone(queue.fail(&first, "late")));
    assert!(!rows.contains("effect").unwrap());
    // Also to a worker whose clock goes back: the row says so.
    clock.pass(-60_000);
    assert!(is_gone(queue.finish(&first)));
    store
        .transact(|tx| {
            tx.put(&rows, "effect", "second")?;
            queue.finish_in(tx, &second)
        })
        .unwrap();
    assert_eq!(rows.get("effect").unwrap().unwrap(), "second");
    clock.pass(600_000);
    assert!(queue.take().unwrap().is_none());
}

#[test]
fn a_job_that_fails_too_often_is_dead_until_it_is_revived() {
    let (_directory, store) = quick_store();
    let clock = Clock::new();
    let queue = clock.open(&store);
    let id = queue.push("job").unwrap();
    // Twice as long each time.
    for (attempt, wait) in [(1, 1_000), (2, 2_000)] {
        let lease = queue.take().unwrap().unwrap();
        assert_eq!((lease.id(), lease.attempt()), (id, attempt));
        queue.fail(&lease, "no answer").unwrap();
        clock.pass(wait - 1);
        assert!(queue.take().unwrap().is_none());
        clock.pass(1);
    }
    queue.fail(&queue.take().unwrap().unwrap(), "still no answer").unwrap();
    // This one's workers vanish.
    let other = queue.push("vanishes").unwrap();
    for attempt in 1..=3 {
        assert_eq!(queue.take().unwrap().unwrap().attempt(), attempt);
        clock.pass(10_000);
    }
    queue.push("after it").unwrap();
    assert_eq!(payload(queue.take().unwrap()).as_deref(), Some("after it"));
    let dead: Vec<_> = queue.dead().unwrap().map(Result::unwrap).collect();
    let found: Vec<_> = dead.iter().map(|job| (job.id, &job.payload[..], job.attempts)).collect();
    assert_eq!(found, [(id, &b"job"[..], 3), (other, &b"vanishes"[..], 3)]);
    assert_eq!(dead[0].reason, "still no answer");
    assert_eq!(dead[1].reason, "its last lease ran out");
    queue.revive(id).unwrap();
    queue.remove_dead(other).unwrap();
    for call in [queue.revive(id), queue.remove_dead(other)] {
        assert_eq!(call.unwrap_err().kind(), ErrorKind::NotFound);
    }
    let lease = queue.take().unwrap().unwrap();
    assert_eq!((lease.id(), lease.attempt(), lease.payload()), (id, 1, &b"job"[..]));
    assert_eq!(queue.dead().unwrap().count(), 0);
}

/// A past bug: as many dead jobs as one transaction buries could have more bytes than it may
/// remember. Then each `take` failed, and the queue was blocked for good.
#[test]
fn dead_jobs_with_long_payloads_do_not_block_a_queue() {
    const DEAD: usize = 33;
    let directory = quick_directory();
    // Transactions of the queue have the room of others.
    let options = small().value_bytes_max(3 << 20);
    let store = Store::builder(directory.path().join("store")).options(options).open().unwrap();
    let clock = Clock::new();
    let queue = Queue::open(&store, "jobs", clock.options().attempts_max(1)).unwrap();
    let payload_of = |n: usize| vec![b'a' + n as u8; 2 << 20];
    for n in 0..DEAD {
        queue.push(payload_of(n)).unwrap();
        assert_eq!(queue.take().unwrap().unwrap().attempt(), 1);
    }
    clock.pass(10_000);
    queue.push("after them").unwrap();
    assert_eq!(payload(queue.take().unwrap()).as_deref(), Some("after them"));
    let dead: Vec<_> = queue.dead().unwrap().map(|job| job.unwrap().payload).collect();
    assert_eq!(dead.len(), DEAD);
    assert!((0..DEAD).all(|n| dead[n] == payload_of(n)));
}

/// A past bug: a job that was longer than what a transaction remembers by default could be pushed, but
/// not taken, and no one came past it. And one whose row was as long as a value may be could not be
/// moved to the dead ones, whose rows are longer.
#[test]
fn a_job_that_can_be_pushed_can_be_moved_to_its_end() {
    let directory = quick_directory();
    let path = directory.path().join("store");
    let values = 65 << 20;
    let options = small().value_bytes_max(values);
    let store = Store::builder(&path).shards(1).options(options).open().unwrap();
    let clock = Clock::new();
    let queue = Queue::open(&store, "jobs", clock.options().attempts_max(2)).unwrap();
    let longest = vec![7; values - 9];
    let id = queue.push(&longest).unwrap();
    let mut lease = queue.take().unwrap().unwrap();
    queue.extend(&mut lease).unwrap();
    queue.fail(&lease, "no answer").unwrap();
    clock.pass(1_000);
    queue.fail(&queue.take().unwrap().unwrap(), "no answer, either").unwrap();
    let dead: Vec<_> = queue.dead().unwrap().map(Result::unwrap).collect();
    // There is no room for the reason.
    assert_eq!((dead.len(), dead[0].id, &*dead[0].reason), (1, id, ""));
    queue.revive(id).unwrap();
    let lease = queue.take().unwrap().unwrap();
    assert!(lease.payload() == longest);
    queue.finish(&lease).unwrap();
    assert!(queue.take().unwrap().is_none());
    let longer = vec![7; values - 8];
    let room = TransactionOptions::new().bytes_max(2 * values);
    for refused in [queue.push(&longer), store.transact_with(room, |tx| queue.push_in(tx, &longer))]
    {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert!(error.to_string().contains("value_bytes_max it may have"), "{error}");
    }
}

/// Moves the mark of a queue, which happens every 128 jobs.
fn move_mark(queue: &Queue) {
    let mark = || queue.keyspace().get([0]).unwrap().map(|mark| mark.to_vec());
    let before = mark();
    while mark() == before {
        queue.push("passing").unwrap();
        queue.finish(&queue.take().unwrap().unwrap()).unwrap();
    }
}

#[test]
fn a_job_that_is_pushed_after_a_clock_was_set_back_is_found() {
    let (_directory, store) = quick_store();
    let clock = Clock::new();
    let queue = clock.open(&store);
    move_mark(&queue);
    clock.pass(-3_600_000);
    queue.push("job").unwrap();
    store.transact(|tx| queue.push_in(tx, "another")).unwrap();
    for job in ["job", "another"] {
        assert_eq!(payload(queue.take().unwrap()).as_deref(), Some(job));
    }
}

/// A transaction that pushes, and commits after the mark has moved past the place of its job.
#[test]
fn a_push_that_the_mark_overtakes_is_a_conflict() {
    let (_directory, store) = quick_store();
    let clock = Clock::new();
    let queue = clock.open(&store);
    let (tx, before) = (store.begin().unwrap(), clock.open(&store));
    before.push_in(&tx, "overtaken").unwrap();
    clock.pass(10_000);
    move_mark(&queue);
    assert_eq!(tx.commit().unwrap_err().kind(), ErrorKind::Conflict);
    // And a handle that pushes by itself looks again.
    queue.push("job").unwrap();
    assert_eq!(payload(queue.take().unwrap()).as_deref(), Some("job"));
    let snapshot = TransactionOptions::new().isolation(Isolation::Snapshot);
    let refused = store.transact_with(snapshot, |tx| queue.push_in(tx, "job"));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[test]
fn a_worker_that_waits_is_woken_by_a_push() {
    let (_directory, store) = quick_store();
    let queue = Queue::open(&store, "jobs", QueueOptions::new()).unwrap();
    assert!(queue.take_within(Duration::from_millis(1)).unwrap().is_none());
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| queue.take_within(Duration::from_secs(600)).unwrap());
        queue.push("job").unwrap();
        assert_eq!(payload(waits.join().unwrap()).as_deref(), Some("job"));
    });
}

#[test]
fn options_and_keyspaces_that_do_not_fit_are_refused() {
    let (_directory, store) = quick_store();
    for (options, says) in [
        (QueueOptions::new().lease(Duration::ZERO), "lease"),
        (QueueOptions::new().attempts_max(0), "attempts_max"),
        (QueueOptions::new().retry_after(Duration::MAX), "retry_after"),
    ] {
        let error = Queue::open(&store, "jobs", options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(says), "{error}");
    }
    let other = store.create_keyspace("other", KeyspaceSpec::range()).unwrap();
    other.put([1, 0, 0, 0, 0, 0, 0, 0, 0, 7], "no job").unwrap();
    let error = Queue::open(&store, "other", QueueOptions::new()).unwrap().take().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongType);
    store.create_keyspace("hash", KeyspaceSpec::hash()).unwrap();
    let error = Queue::open(&store, "hash", QueueOptions::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}

/// What a worker does with a job: most finish it, with an effect; some are late, fail, or vanish.
fn work(
    store: &Store,
    queue: &Queue,
    effects: &Keyspace,
    clock: &Clock,
    random: &mut fastrand::Rng,
    lease: &Lease,
) {
    let finish = |lease: &Lease| {
        store.transact(|tx| {
            tx.add(effects, lease.id().to_bytes(), 1)?;
            queue.finish_in(tx, lease)
        })
    };
    match random.u32(0..20) {
        0 => {}
        1 => {
            let _ = is_gone(queue.fail(lease, "as it likes"));
        }
        2 | 3 => {
            clock.pass(random.i64(0..12_000));
            let _ = is_gone(finish(lease));
        }
        4 => {
            // Twice, because it has not heard that the first time was a success.
            let (one, other) = (is_gone(finish(lease)), is_gone(finish(lease)));
            assert!(other, "finished twice: {one}");
        }
        _ => {
            let _ = is_gone(finish(lease));
        }
    }
}

/// Each job has one effect and is not dead, or none and is.
fn check(queue: &Queue, effects: &Keyspace, pushed: &[JobId]) -> u64 {
    let dead: Vec<JobId> = queue.dead().unwrap().map(|job| job.unwrap().id).collect();
    let mut done: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
    for row in effects.scan(..).unwrap() {
        let (id, count) = row.unwrap();
        done.insert(id, i64::from_le_bytes(count.try_into().unwrap()));
    }
    for id in pushed {
        let (effect, dead) = (done.remove(&id.to_bytes()[..]), dead.contains(id));
        assert!(effect == (!dead).then_some(1), "job {id}: {effect:?} effects, dead: {dead}");
    }
    assert!(done.is_empty(), "effects of no job");
    dead.len() as u64
}

/// Takes all jobs that are left, whatever time they take.
fn drain(store: &Store, queue: &Queue, effects: &Keyspace, clock: &Clock) {
    for _ in 0..100 {
        while let Some(lease) = queue.take().unwrap() {
            store
                .transact(|tx| {
                    tx.add(effects, lease.id().to_bytes(), 1)?;
                    queue.finish_in(tx, &lease)
                })
                .unwrap();
        }
        clock.pass(20_000);
    }
}

fn seed() -> u64 {
    let seed = std::env::var("ANNULUS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("ANNULUS_SEED={seed}");
    seed
}

#[test]
fn each_job_takes_effect_once_whatever_workers_and_clock_do() {
    let mut random = fastrand::Rng::with_seed(seed());
    let (_directory, store) = quick_store();
    let (clock, over) = (Clock::new(), AtomicBool::new(false));
    let effects = store.create_keyspace("effects", KeyspaceSpec::hash()).unwrap();
    let pushed = Mutex::new(Vec::new());
    // Two handles that share nothing but the rows.
    let queues = [clock.open(&store), clock.open(&store)];
    std::thread::scope(|scope| {
        for n in 0..4 {
            let (store, effects, clock, over) = (&store, &effects, &clock, &over);
            let (queue, mut random) = (&queues[n % 2], random.fork());
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    match queue.take().unwrap() {
                        Some(lease) => work(store, queue, effects, clock, &mut random, &lease),
                        None => clock.pass(random.i64(0..500)),
                    }
                }
            });
        }
        let pushers = queues.each_ref().map(|queue| {
            let (store, clock, pushed, mut random) = (&store, &clock, &pushed, random.fork());
            scope.spawn(move || {
                for n in 0..600 {
                    let delay = Duration::from_millis(random.u64(0..2) * random.u64(0..5_000));
                    let id = match random.bool() {
                        true => queue.push_after([], delay).unwrap(),
                        false => store.transact(|tx| queue.push_after_in(tx, [], delay)).unwrap(),
                    };
                    pushed.lock().unwrap().push(id);
                    if n % 50 == 49 {
                        clock.pass(random.i64(-30_000..5_000));
                    }
                }
            })
        });
        pushers.into_iter().for_each(|pusher| pusher.join().unwrap());
        over.store(true, Ordering::Relaxed);
    });
    drain(&store, &queues[0], &effects, &clock);
    let pushed = pushed.into_inner().unwrap();
    assert_eq!(pushed.len(), 1200);
    println!("{} dead", check(&queues[1], &effects, &pushed));
}

const DIRECTORY: &str = "ANNULUS_QUEUE_DIRECTORY";

/// Not a test in itself: the process that is killed. It pushes jobs, and does them.
#[test]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(std::path::PathBuf::from) else { return };
    let store = Store::builder(directory.join("store")).shards(3).options(small()).open().unwrap();
    let effects = store.keyspace_or_create("effects", KeyspaceSpec::hash()).unwrap();
    let options = QueueOptions::new().lease(Duration::from_millis(20)).attempts_max(u32::MAX);
    let queue = Queue::open(&store, "jobs", options).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let (store, effects, queue) = (&store, &effects, queue.clone());
            scope.spawn(move || {
                loop {
                    let taken = queue.take_within(Duration::from_secs(60)).unwrap();
                    let Some(lease) = taken else { continue };
                    let _ = is_gone(store.transact(|tx| {
                        tx.add(effects, lease.id().to_bytes(), 1)?;
                        queue.finish_in(tx, &lease)
                    }));
                }
            });
        }
        let jobs = store.keyspace_or_create("pushed", KeyspaceSpec::hash()).unwrap();
        std::fs::write(directory.join("begun"), "").unwrap();
        loop {
            // The list of jobs and the job: one commit.
            store
                .transact(|tx| {
                    let id = queue.push_in(tx, "job")?;
                    tx.put(&jobs, id.to_bytes(), "")
                })
                .unwrap();
        }
    });
}

#[test]
fn each_job_takes_effect_once_though_the_process_is_killed() {
    let mut random = fastrand::Rng::with_seed(seed());
    let directory = quick_directory();
    let begun = directory.path().join("begun");
    for round in 0..8 {
        let _ = std::fs::remove_file(&begun);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "queue::child", "--test-threads=1"])
            .env(DIRECTORY, directory.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // At any moment, and, on a machine that is busy, also at one at which it does something.
        while round % 2 == 1 && !begun.exists() && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(random.u64(100..500)));
        child.kill().unwrap();
        assert!(child.wait().unwrap().code().is_none(), "it ended by itself");
    }
    let store = reopen(&directory);
    let clock = Clock(Arc::new(AtomicU64::new(4_000_000_000_000)));
    let queue = Queue::open(&store, "jobs", clock.options().attempts_max(u32::MAX)).unwrap();
    let effects = store.keyspace_or_create("effects", KeyspaceSpec::hash()).unwrap();
    drain(&store, &queue, &effects, &clock);
    let pushed = store.keyspace("pushed").unwrap().scan(..).unwrap();
    let id = |row: annulus::Result<(Vec<u8>, Vec<u8>)>| row.unwrap().0.try_into().unwrap();
    let pushed: Vec<JobId> = pushed.map(|row| JobId::from_bytes(id(row))).collect();
    assert!(pushed.len() > 100, "only {} jobs", pushed.len());
    assert_eq!(check(&queue, &effects, &pushed), 0);
}

/// Without each of its protections, one of the tests above must fail.
#[cfg(feature = "failpoints")]
#[test]
fn each_protection_of_the_queue_is_needed() {
    for (skipped, test) in [
        ("queue-clock-mark", "a_job_that_is_pushed_after_a_clock_was_set_back_is_found"),
        ("queue-push-mark", "a_push_that_the_mark_overtakes_is_a_conflict"),
        ("queue-lease-row", "jobs_come_in_order_and_delayed_ones_when_they_are_due"),
        (
            "queue-lease-time",
            "a_lease_that_has_run_out_is_the_next_workers_and_no_longer_the_first_ones",
        ),
        ("queue-dead-bytes", "dead_jobs_with_long_payloads_do_not_block_a_queue"),
        ("queue-room", "a_job_that_can_be_pushed_can_be_moved_to_its_end"),
        ("queue-payload", "a_job_that_can_be_pushed_can_be_moved_to_its_end"),
    ] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("queue::{test}")])
            .env("ANNULUS_SKIP", skipped)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("running 1 test") && !output.status.success(), "{skipped}: {text}");
    }
}
