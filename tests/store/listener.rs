//! What a listener may do, it can do from every event: also while the store is closed or dropped.
//!
//! A listener that asked for the heat when it was notified of a hot key waited forever, and the
//! store's drop with it: it was notified while what is known of the load was locked. Closing
//! notified it while changes of the topology were locked out. Here a listener calls everything that
//! the documentation of `StoreBuilder::listener` permits, and everything that it forbids, for every
//! kind of event; a watchdog fails the test if anything hangs, and says which call.

use crate::basic::small;
use crate::churn::quick_directory;
use crate::reshape::elsewhere;
use annulus::heat::{HeatEvent, HeatOptions};
use annulus::planner::{Request, SplitAt};
use annulus::reshape::{Event, Job, Throttle, Transport};
use annulus::topology::KeyspaceSpec;
use annulus::{Batch, Durability, ErrorKind, Keyspace, Options, ShardId, Store};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

/// A test that has not ended after this long hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many reshapes a listener starts.
const STARTS_MAX: usize = 30;

/// The listener's handles of its store, and what it has seen.
#[derive(Default)]
struct Shared {
    store: Mutex<Option<Store>>,
    keyspace: Mutex<Option<Keyspace>>,
    jobs: Mutex<Vec<Job>>,
    /// How many splits it has requested.
    started: AtomicUsize,
    bytes_per_second: Mutex<Option<u64>>,
    /// The kinds of events, and the threads on which they arrived.
    seen: Mutex<BTreeSet<String>>,
    threads: Mutex<Vec<ThreadId>>,
    /// The call in progress.
    call: Mutex<String>,
    wrong: Mutex<Vec<String>>,
}

fn kind(event: &Event) -> String {
    match event {
        Event::Phase { phase, .. } => format!("{phase}"),
        Event::Ended(outcome) if outcome.error.is_some() => "ended early".into(),
        Event::Ended(_) => "ended".into(),
        Event::Heat(HeatEvent::KeyHot(_)) => "key hot".into(),
        Event::Heat(HeatEvent::KeyCooled(_)) => "key cooled".into(),
        Event::Heat(HeatEvent::PartitionHot(_)) => "partition hot".into(),
        Event::Heat(HeatEvent::PartitionCooled(_)) => "partition cooled".into(),
        Event::Disk(_) => "disk".into(),
        other => panic!("a new kind of event, to be added here: {other:?}"),
    }
}

impl Shared {
    fn all_is_well(&self) -> bool {
        self.wrong.lock().unwrap().is_empty()
    }

    fn has_seen(&self, kinds: &[&str]) -> bool {
        let seen = self.seen.lock().unwrap();
        kinds.iter().all(|kind| seen.contains(*kind))
    }

    /// A throttle that the listener does not reset.
    fn set_throttle(&self, store: &Store, bytes_per_second: Option<u64>) {
        let mut set = self.bytes_per_second.lock().unwrap();
        *set = bytes_per_second;
        store.set_throttle(Throttle::new().bytes_per_second(bytes_per_second)).unwrap();
    }

    /// Makes a call that is permitted: it may fail for other reasons, but not because it is made in
    /// a listener.
    fn may<T>(&self, event: &str, call: &str, made: impl FnOnce() -> annulus::Result<T>) {
        *self.call.lock().unwrap() = format!("{call} from \"{event}\"");
        if let Err(error) = made()
            && !matches!(error.kind(), ErrorKind::Closed | ErrorKind::Busy | ErrorKind::NotFound)
        {
            self.wrong.lock().unwrap().push(format!("{call} from \"{event}\": {error}"));
        }
    }

    /// Makes a call that must be refused, and not wait.
    fn must_not<T>(&self, event: &str, call: &str, made: impl FnOnce() -> annulus::Result<T>) {
        *self.call.lock().unwrap() = format!("{call} from \"{event}\"");
        match made() {
            Err(error)
                if error.kind() == ErrorKind::InvalidArgument
                    && error.to_string().contains("a listener cannot") => {}
            Err(error) => self.wrong.lock().unwrap().push(format!("{call}: {error}")),
            Ok(_) => self.wrong.lock().unwrap().push(format!("{call} from \"{event}\" went well")),
        }
    }

    /// Makes every call, for one event. The store catches a panic of its listener, and so would
    /// hide it.
    fn hear(&self, event: &Event) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.call_everything(event))) {
            let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
            self.wrong.lock().unwrap().push(format!("a panic from {event:?}: {text}"));
        }
    }

    fn call_everything(&self, event: &Event) {
        let kind = kind(event);
        let keyspace = self.keyspace.lock().unwrap().clone();
        if let Some(keyspace) = &keyspace {
            self.call_keyspace(&kind, keyspace);
        }
        let store = self.store.lock().unwrap().clone();
        if let (Some(store), Some(keyspace)) = (&store, &keyspace) {
            self.call_store(&kind, store, keyspace);
            self.call_reshapes(&kind, store, keyspace);
        }
        *self.call.lock().unwrap() = "nothing".into();
        self.threads.lock().unwrap().push(std::thread::current().id());
        self.seen.lock().unwrap().insert(kind);
    }

    fn call_keyspace(&self, event: &str, keyspace: &Keyspace) {
        self.may(event, "put", || keyspace.put("listener", event));
        self.may(event, "synced put", || keyspace.put_with("l2", event, Durability::Synced));
        self.may(event, "put_if_absent", || keyspace.put_if_absent("l3", event));
        self.may(event, "compare_and_swap", || {
            keyspace.compare_and_swap("l3", Some(event.as_bytes()), Some(b"other"))
        });
        self.may(event, "get", || keyspace.get("listener"));
        self.may(event, "get_many", || keyspace.get_many(["a", "listener"]));
        self.may(event, "scan", || keyspace.scan(..)?.collect::<annulus::Result<Vec<_>>>());
        self.may(event, "delete", || keyspace.delete("l2"));
        self.may(event, "delete_range", || keyspace.delete_range("l".."m"));
        self.may(event, "stats", || keyspace.stats());
        self.may(event, "count_estimated", || keyspace.count_estimated());
        self.may(event, "hot_keys", || Ok(keyspace.hot_keys(3)));
    }

    fn call_store(&self, event: &str, store: &Store, keyspace: &Keyspace) {
        self.may(event, "batch", || {
            let mut batch = Batch::new();
            (0..8).for_each(|n| batch.put(keyspace, format!("{n} listener"), event));
            store.write(batch)
        });
        self.may(event, "snapshot", || {
            store.snapshot()?.scan(keyspace, ..)?.collect::<annulus::Result<Vec<_>>>()
        });
        self.may(event, "store stats", || store.stats());
        self.may(event, "sync", || store.sync());
        self.may(event, "flush", || store.flush());
        self.may(event, "verify", || store.verify());
        self.may(event, "heat", || Ok(store.heat()));
        self.may(event, "topology", || Ok((store.topology(), store.keyspaces())));
        self.may(event, "hot_cache_stats", || Ok(store.hot_cache_stats()));
        self.may(event, "rebalancer", || {
            let rebalancer = store.rebalancer();
            rebalancer.pause();
            rebalancer.resume();
            rebalancer.set_policy(rebalancer.policy());
            let _ = rebalancer.explain(3);
            rebalancer.plan()
        });
        self.may(event, "rebalancer's run", || store.rebalancer().run());
        self.may(event, "create_keyspace", || {
            store
                .keyspace_or_create(&format!("of {event}").replace(' ', "-"), KeyspaceSpec::range())
        });
    }

    fn call_reshapes(&self, event: &str, store: &Store, keyspace: &Keyspace) {
        self.may(event, "jobs", || Ok(store.jobs().iter().map(Job::progress).count()));
        self.may(event, "reshape_history", || store.reshape_history());
        let bytes_per_second = self.bytes_per_second.lock().unwrap();
        let throttle = store.throttle().bytes_per_second(*bytes_per_second);
        self.may(event, "set_throttle", || store.set_throttle(throttle));
        drop(bytes_per_second);
        self.may(event, "plan", || store.plan(&Request::RemoveShard(ShardId(1))));
        // Each leads to further events.
        let started = self.started.fetch_add(1, Ordering::Relaxed);
        self.may(event, "split", || {
            if started >= STARTS_MAX {
                return Ok(());
            }
            // Each has a separate key, in case one is committed before it is aborted.
            let cut = format!("b{started:02}");
            let placement = keyspace.placement();
            let index = placement.partitioning().find(cut.as_bytes());
            let partition = placement.partition(index).unwrap().id;
            let job = store.split(partition, SplitAt::Key(cut.into()))?;
            job.pause();
            job.abort();
            self.jobs.lock().unwrap().push(job);
            Ok(())
        });
        self.must_not(event, "close", || store.close());
        self.must_not(event, "drop_keyspace", || store.drop_keyspace(keyspace.name()));
        for job in store.jobs().into_iter().filter(|job| !job.has_ended()) {
            self.call_wait(event, &job);
        }
    }

    /// The job may end between the check and the call.
    fn call_wait(&self, event: &str, job: &Job) {
        *self.call.lock().unwrap() = format!("wait from \"{event}\"");
        let _ = (job.wait(), job.wait_timeout(Duration::MAX));
    }
}

/// Runs a scenario on a separate thread; if it hangs, the test fails.
fn watched(story: impl FnOnce(Arc<Shared>) + Send + 'static) -> Arc<Shared> {
    let shared: Arc<Shared> = Arc::default();
    let (done, waiting) = mpsc::channel();
    let mine = Arc::clone(&shared);
    let thread = std::thread::spawn(move || {
        story(mine);
        let _ = done.send(());
    });
    match waiting.recv_timeout(PATIENCE) {
        Ok(()) => {}
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            thread.join().unwrap();
        }
        Err(mpsc::RecvTimeoutError::Timeout) => {
            let (call, seen) = (shared.call.lock().unwrap(), shared.seen.lock().unwrap());
            let wrong = shared.wrong.lock().unwrap();
            panic!("it hangs in {call}; seen were {seen:?}; wrong was {wrong:?}");
        }
    }
    assert_eq!(*shared.wrong.lock().unwrap(), [] as [String; 0]);
    shared
}

fn forgetful() -> Options {
    small().heat(
        HeatOptions::new()
            .window(Duration::from_millis(100))
            .half_life_short(Duration::from_millis(100)),
    )
}

fn open(path: &Path, shared: &Arc<Shared>) -> (Store, Keyspace) {
    let mine = Arc::clone(shared);
    let store = Store::builder(path)
        .shards(3)
        .options(forgetful())
        .listener(move |event| mine.hear(event))
        .open()
        .unwrap();
    let keyspace =
        store.keyspace_or_create("k", KeyspaceSpec::range().split_at(["d", "m"])).unwrap();
    for n in 0..100 {
        keyspace.put(format!("{n:03}"), vec![b'x'; 1000]).unwrap();
        keyspace.put(format!("n{n:03}"), "x").unwrap();
    }
    *shared.keyspace.lock().unwrap() = Some(keyspace.clone());
    *shared.store.lock().unwrap() = Some(store.clone());
    (store, keyspace)
}

/// Makes the listener release its handles: a store is dropped with the last one.
fn let_go(shared: &Shared) {
    let store = shared.store.lock().unwrap().take();
    let keyspace = shared.keyspace.lock().unwrap().take();
    shared.jobs.lock().unwrap().clear();
    drop((store, keyspace));
}

/// Moves the first partition, and waits for the end.
fn move_once(store: &Store, keyspace: &Keyspace) {
    let first = keyspace.stats().unwrap()[0].clone();
    let to = elsewhere(first.owner);
    // The listener's own splits may conflict with it.
    let _ = store.move_partition(first.id, to).and_then(|job| job.wait());
}

#[test]
fn everything_permitted_is_possible_from_every_event() {
    const KINDS: [&str; 9] = [
        "prepared",
        "seeding",
        "catching_up",
        "sealed",
        "committed",
        "cleaned",
        "rolled_back",
        "ended",
        "ended early",
    ];
    const HEAT: [&str; 4] = ["key hot", "key cooled", "partition hot", "partition cooled"];
    watched(|shared| {
        let directory = quick_directory();
        let (store, keyspace) = open(directory.path(), &shared);
        let begun = Instant::now();
        while !(shared.has_seen(&KINDS) && shared.has_seen(&HEAT)) && shared.all_is_well() {
            // One key, then others elsewhere, for long enough that its partition cools: five
            // half-lives.
            let hot = (begun.elapsed().as_millis() / 500).is_multiple_of(2);
            for n in 0..2000 {
                let key = if hot { "007".into() } else { format!("n{:03}", n % 100) };
                keyspace.get(key).unwrap();
            }
            let _ = store.heat();
            if !shared.has_seen(&KINDS) {
                move_once(&store, &keyspace);
                begin_slowly(&shared, &store, &keyspace).abort();
                shared.set_throttle(&store, None);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(keyspace);
        let_go(&shared);
        store.close().unwrap();
    });
}

/// Starts a copy that has begun and waits, because it is throttled.
fn begin_slowly(shared: &Shared, store: &Store, keyspace: &Keyspace) -> Job {
    shared.set_throttle(store, Some(1024));
    let options = store.options().reshape.transport(Transport::Copy);
    let job = loop {
        let first = keyspace.stats().unwrap()[0].clone();
        let to = elsewhere(first.owner);
        let request = Request::Move { partition: first.id, to };
        match store.start_with(&request, options) {
            Ok(job) => break job,
            // It was split, or moved to where it should go.
            Err(error) => assert!(
                matches!(
                    error.kind(),
                    ErrorKind::Busy | ErrorKind::NotFound | ErrorKind::InvalidArgument
                ),
                "{error}"
            ),
        }
        // One that the listener started conflicts with it, and would be as slow.
        shared.set_throttle(store, None);
        std::thread::sleep(Duration::from_millis(1));
        shared.set_throttle(store, Some(1024));
    };
    let begun = Instant::now();
    while job.progress().phase == annulus::reshape::Phase::Queued && begun.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(1));
    }
    job
}

/// Events of closing arrive on the thread that closes, and from reshapes that it ends.
#[test]
fn everything_permitted_is_possible_while_the_store_is_closed() {
    let shared = watched(|shared| {
        let directory = quick_directory();
        // Until the closing, and not the rebalancer's thread before it, has found what is hot.
        while !shared.threads.lock().unwrap().contains(&std::thread::current().id()) {
            let (store, keyspace) = open(directory.path(), &shared);
            let _ = begin_slowly(&shared, &store, &keyspace);
            for _ in 0..20_000 {
                keyspace.get("007").unwrap();
            }
            store.close().unwrap();
            drop((store, keyspace));
            let_go(&shared);
        }
    });
    assert!(shared.has_seen(&["key hot", "rolled_back", "ended early"]));
}

/// A store that is only dropped: the listener has keyspaces, which outlive it.
#[test]
fn everything_permitted_is_possible_while_the_store_is_dropped() {
    watched(|shared| {
        let directory = quick_directory();
        let (store, keyspace) = open(directory.path(), &shared);
        let _ = begin_slowly(&shared, &store, &keyspace);
        let mine = shared.store.lock().unwrap().take();
        drop((mine, store, keyspace));
        // The last handle may have been the listener's own, which nothing waits for.
        while !shared.has_seen(&["rolled_back", "ended early"]) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let_go(&shared);
    });
}

/// A listener of one store may close another: only its own waits for it.
#[test]
fn a_listener_may_close_another_store() {
    watched(|shared| {
        let (directory, other) = (quick_directory(), quick_directory());
        let other = Store::builder(other.path()).shards(1).options(small()).open().unwrap();
        let (told, mine) = (Arc::new(Mutex::new(None)), other.clone());
        let result = Arc::clone(&told);
        let store = Store::builder(directory.path())
            .shards(3)
            .options(small())
            .listener(move |_| {
                let _ = result.lock().unwrap().get_or_insert_with(|| mine.close());
            })
            .open()
            .unwrap();
        let keyspace = store.create_keyspace("k", KeyspaceSpec::range()).unwrap();
        *shared.call.lock().unwrap() = "closing another store".into();
        move_once(&store, &keyspace);
        let closed = told.lock().unwrap().take();
        assert!(matches!(closed, Some(Ok(()))), "{closed:?}");
        assert_eq!(other.sync().unwrap_err().kind(), ErrorKind::Closed);
    });
}

/// A past bug: a thread ended that had a store in a thread-local value. Where the store's drop
/// looked for the calls of its listener, that list was gone, and the process aborted.
#[test]
fn a_store_may_be_a_local_value_of_a_thread() {
    thread_local! {
        static STORE: RefCell<Option<(Store, Keyspace)>> = const { RefCell::new(None) };
    }
    let directory = quick_directory();
    let path = directory.path().to_owned();
    let thread = std::thread::spawn(move || {
        // Before anything in the store has thread-local values: the last to be created is the first
        // to be dropped.
        STORE.set(None);
        let store = Store::builder(&path).shards(2).options(forgetful()).open().unwrap();
        let keyspace = store.create_keyspace("k", KeyspaceSpec::hash()).unwrap();
        keyspace.put("key", "value").unwrap();
        let _ = store.heat();
        STORE.set(Some((store, keyspace)));
    });
    thread.join().unwrap();
    let store = Store::builder(directory.path()).options(small()).open().unwrap();
    assert_eq!(store.keyspace("k").unwrap().get("key").unwrap().as_deref(), Some(&b"value"[..]));
}
