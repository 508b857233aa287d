//! Time series: readings of sensors that expire by the time at which they were measured, sums of them
//! that stay, and a view by time that a feed keeps; all of them right at every moment, though the
//! application is killed again and again.
//!
//! ```text
//! cargo run --release --example time_series -- check --kills 10
//! cargo run --release --example time_series -- run DIRECTORY
//! ```
//!
//! A reading and the sums that count it are one batch. The view is a mirror of the readings with
//! another key: it puts each row until the time at which the original expires, which the feed tells,
//! and nothing has to be said when a row expires.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "an example fails by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

use annulus::changes::{Change, Changes, ChangesFrom};
use annulus::topology::KeyspaceSpec;
use annulus::tuple;
use annulus::typed::{Counter, TypedKeyspace};
use annulus::{Batch, Consumer, Expect, Store};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn main() {
    support::main(run, check);
}

const SENSORS: u32 = 8;
const THREADS: u32 = 2;

/// How long a reading is kept, from when it was measured.
const KEEP: Duration = Duration::from_secs(4);

/// What the sums of a sensor are made for: tenths of a second since 1970.
type Interval = u64;

fn interval_of(time: SystemTime) -> Interval {
    u64::try_from(time.duration_since(UNIX_EPOCH).unwrap().as_millis() / 100).unwrap()
}

/// Returns when the last reading of an interval, at the latest, has expired.
fn all_expired(interval: Interval) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis((interval + 1) * 100) + KEEP
}

/// Returns when the first reading of an interval, at the earliest, expires.
fn none_expired(interval: Interval) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(interval * 100) + KEEP
}

struct Application {
    store: Store,
    /// By sensor and time: degrees, in hundredths.
    readings: TypedKeyspace<(u32, SystemTime), i64>,
    /// The same by time and sensor: what the consumer makes of the feed.
    by_time: TypedKeyspace<(SystemTime, u32), i64>,
    /// By sensor and interval: how many readings, and their sum. They stay.
    counts: TypedKeyspace<(u32, Interval), i64, Counter>,
    sums: TypedKeyspace<(u32, Interval), i64, Counter>,
    consumer: Consumer,
}

impl Application {
    fn open(directory: &Path) -> Self {
        let store = Store::builder(directory).shards(2).open().unwrap();
        let keyspace = |name, spec: KeyspaceSpec| store.keyspace_or_create(name, spec).unwrap();
        let expiring = || KeyspaceSpec::range().time_to_live_by_put();
        // Writes of different sensors go to different places.
        let halves = expiring().split_at([tuple::encode(&(SENSORS / 2,))]);
        Self {
            readings: keyspace("readings", halves.into()).typed(),
            by_time: keyspace("by time", expiring().into()).typed(),
            counts: keyspace("counts", KeyspaceSpec::hash().into()).typed_with(Counter),
            sums: keyspace("sums", KeyspaceSpec::hash().into()).typed_with(Counter),
            consumer: store.consumer_or_create("by time", ChangesFrom::Earliest).unwrap(),
            store,
        }
    }

    /// Takes a reading: it lives from when it was measured on, however late it is written. One of the
    /// same time is there already if a sensor sends a reading twice.
    fn measure(&self, sensor: u32, time: SystemTime, degrees: i64) {
        let mut batch = Batch::new();
        self.readings.require_in(&mut batch, (sensor, time), Expect::Absent).unwrap();
        self.readings.put_until_in(&mut batch, (sensor, time), &degrees, time + KEEP).unwrap();
        self.counts.add_in(&mut batch, (sensor, interval_of(time)), 1);
        self.sums.add_in(&mut batch, (sensor, interval_of(time)), degrees);
        drop(self.store.write_if(batch).unwrap());
    }

    fn changes(&self) -> Changes {
        self.consumer.changes().unwrap().keyspace(self.readings.keyspace()).open().unwrap()
    }

    /// Brings the view up to the next commit; returns false if none comes.
    fn follow(&self, changes: &mut Changes, wait: Duration) -> bool {
        let Some(commit) = changes.next_timeout(wait).unwrap() else { return false };
        let mut batch = Batch::new();
        for change in commit.changes() {
            let Change::Put { key, value, expires, .. } = change else {
                panic!("readings are only put")
            };
            let (sensor, time): (u32, SystemTime) = tuple::decode(key).unwrap();
            let key = tuple::encode(&(time, sensor));
            batch.put_until(self.by_time.keyspace(), key, value, expires);
        }
        self.consumer.commit_in(&mut batch, commit.end());
        self.store.write(batch).unwrap();
        true
    }

    /// Compares readings, view and sums as of one moment. Returns how many readings there are, and how
    /// many have expired.
    fn audit(&self) -> (i64, i64) {
        let before = self.store.now().time();
        let snapshot = self.store.snapshot().unwrap();
        let after = self.store.now().time();
        let (mut readings, mut alive) = (BTreeMap::new(), BTreeMap::new());
        for row in self.readings.at(&snapshot).scan(..).unwrap() {
            let ((sensor, time), degrees) = row.unwrap();
            assert!(time + KEEP >= before, "a reading of {sensor} is there too long");
            readings.insert((time, sensor), degrees);
            let (count, sum) = alive.entry((sensor, interval_of(time))).or_insert((0, 0));
            (*count, *sum) = (*count + 1, *sum + degrees);
        }
        let view: BTreeMap<_, _> =
            self.by_time.at(&snapshot).scan(..).unwrap().map(Result::unwrap).collect();
        assert!(view == readings, "the view is not that of the readings");
        let mut counted = 0;
        for row in self.counts.at(&snapshot).scan(..).unwrap() {
            let ((sensor, interval), count) = row.unwrap();
            let sum = self.sums.at(&snapshot).get((sensor, interval)).unwrap().unwrap();
            let there = alive.remove(&(sensor, interval)).unwrap_or((0, 0));
            if none_expired(interval) > after {
                assert_eq!(there, (count, sum), "of sensor {sensor}, in {interval}");
            } else if all_expired(interval) <= before {
                assert_eq!(there, (0, 0), "of sensor {sensor}, in {interval}");
            }
            assert!(there.0 <= count, "of sensor {sensor}, in {interval}");
            counted += count;
        }
        assert!(alive.is_empty(), "readings that were not counted: {alive:?}");
        let there = i64::try_from(readings.len()).unwrap();
        (there, counted - there)
    }
}

/// The application: takes readings until it is killed, and its view follows.
fn run(directory: &Path) {
    let application = Application::open(directory);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut changes = application.changes();
            loop {
                application.follow(&mut changes, Duration::from_secs(1));
            }
        });
        for thread in 0..THREADS {
            let application = &application;
            scope.spawn(move || {
                let mut random = fastrand::Rng::new();
                loop {
                    let sensor = random.u32(0..SENSORS / THREADS) * THREADS + thread;
                    // Some arrive late.
                    let late = Duration::from_millis(random.u64(0..200));
                    let time = SystemTime::now() - late;
                    application.measure(sensor, time, random.i64(-2_000..4_000));
                    std::thread::sleep(Duration::from_micros(500));
                }
            });
        }
    });
}

/// Kills the application at random moments, lets the view catch up, and audits everything while the
/// readings expire.
fn check(kills: u32) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    support::kill_repeatedly(&path, kills, &mut support::random());
    let application = Application::open(&path);
    let mut changes = application.changes();
    while application.follow(&mut changes, Duration::from_millis(200)) {}
    let (there, expired) = application.audit();
    assert!(there > 100, "only {there} readings are there");
    // Compactions take what has expired, and nothing else.
    application.readings.keyspace().reclaim_expired().unwrap();
    std::thread::sleep(KEEP / 2);
    application.by_time.keyspace().reclaim_expired().unwrap();
    let (left, _) = application.audit();
    std::thread::sleep(KEEP / 2);
    let (none, all) = application.audit();
    assert_eq!((none, all), (0, there + expired), "everything has expired, and the sums stay");
    assert!(left < there, "nothing has expired in {:?}", KEEP / 2);
    println!(
        "{all} readings, each counted once; {expired} had expired at first, {left} were left later"
    );
}
