//! What single operations cost, beside what they cost when the baseline was stored.
//!
//! ```text
//! cargo bench --bench regression                     about a minute
//! cargo bench --bench regression -- get put          only operations whose names contain these
//! cargo bench --bench regression -- --save           store the figures as the new baseline
//! cargo bench --bench regression -- --quick          few short turns, to see whether it runs
//! ```
//!
//! The baseline is `benches/baseline.json`. A cost is the processor time of the calling thread, which a
//! busy machine changes less than the time that passes. It is divided by that of a *yardstick*, some
//! hashing and some searching in memory that is measured in the same turn, so that a baseline can be
//! compared with on another machine; not with much precision on one of another kind. Printed are
//! nanoseconds, the cost in yardsticks, and its ratio to the baseline, each the median of all turns; the
//! ratio is called noise if the two 95 % intervals overlap.
//!
//! Nothing fails here, whatever the figures are: they are for people to look at.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a bench"
)]

#[path = "support/arguments.rs"]
mod arguments;
#[allow(dead_code, unreachable_pub, reason = "a part of the comparison of engines, too")]
#[path = "../workload/src/compare/estimate.rs"]
mod estimate;
#[path = "support/mod.rs"]
mod support;

use annulus::placement::{ARCS_PER_SHARD, Member, RangeMap, Ring};
use annulus::topology::KeyspaceSpec;
use annulus::{Batch, Keyspace, ShardId, Store};
use arguments::Arguments;
use estimate::Estimate;
use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::PathBuf;
use support::{key, value};
use tempfile::TempDir;
use xxhash_rust::xxh3::xxh3_64;

/// The costs of operations by their names, in yardsticks.
type Baseline = BTreeMap<String, Estimate>;

struct Settings {
    rows: u64,
    turns: usize,
    /// The processor time of a turn.
    turn_ns: u64,
    save: bool,
    arguments: Arguments,
}

impl Settings {
    fn from_arguments() -> Self {
        let arguments = Arguments::read();
        let save = std::env::args().any(|argument| argument == "--save");
        let (rows, turns, turn_ns) =
            if arguments.quick { (5_000, 4, 1_000_000) } else { (100_000, 40, 20_000_000) };
        Self { rows, turns, turn_ns, save, arguments }
    }
}

struct Operation {
    name: &'static str,
    run: Box<dyn FnMut(u64)>,
}

impl Operation {
    fn new(name: &'static str, run: impl FnMut(u64) + 'static) -> Self {
        Self { name, run: Box::new(run) }
    }

    /// Returns the nanoseconds that one takes, of many that take `turn_ns` together.
    fn measure(&mut self, turn_ns: u64, rows: u64, turn: usize) -> f64 {
        let mut random = fastrand::Rng::with_seed(turn as u64);
        let begun = thread_time_ns();
        let mut operations = 0_u64;
        loop {
            for _ in 0..16 {
                (self.run)(random.u64(..rows));
            }
            operations += 16;
            let taken = thread_time_ns() - begun;
            if taken >= turn_ns {
                return taken as f64 / operations as f64;
            }
        }
    }
}

fn thread_time_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// A unit of work that does not change with this library.
fn yardstick() -> Operation {
    let bytes = vec![b'y'; 4096];
    let map: BTreeMap<[u8; 16], u64> = (0..100_000).map(|n| (key(n), n)).collect();
    Operation::new("yardstick", move |n| {
        let hash = xxh3_64(&bytes[(n % 64) as usize..]);
        black_box(map.get(&key(hash % 100_000)));
        black_box(map.get(&key(n % 100_000)));
    })
}

fn routing() -> Vec<Operation> {
    let members = (0..64).map(|shard| Member::new(ShardId(shard)));
    let ring = Ring::builder().arcs_per_shard(64).shards(members).build().unwrap();
    let mut boundaries: Vec<[u8; 16]> = (0..10_000).map(key).collect();
    boundaries.sort_unstable();
    let map = RangeMap::new(&boundaries).unwrap();
    vec![
        Operation::new("ring: find the owner", move |n| {
            black_box(ring.owner_of(&key(n)));
        }),
        Operation::new("range map: find the partition", move |n| {
            black_box(map.find(&key(n)));
        }),
    ]
}

fn rows(store: &Store, name: &str, spec: impl Into<KeyspaceSpec>, rows: u64) -> Keyspace {
    let keyspace = store.keyspace_or_create(name, spec.into()).unwrap();
    (0..rows).for_each(|n| keyspace.put(key(n), value(n)).unwrap());
    keyspace
}

fn reads(store: &Store, count: u64) -> Vec<Operation> {
    let hash = rows(store, "read", KeyspaceSpec::hash().arcs_per_shard(ARCS_PER_SHARD), count);
    let range = rows(store, "scanned", KeyspaceSpec::range(), count);
    store.flush().unwrap();
    let (missed, several) = (hash.clone(), hash.clone());
    vec![
        Operation::new("get", move |n| {
            assert!(hash.get(key(n)).unwrap().is_some());
        }),
        Operation::new("get of what is not there", move |n| {
            assert!(missed.get(key(n + count)).unwrap().is_none());
        }),
        Operation::new("get_many of 10", move |n| {
            let keys: Vec<[u8; 16]> = (n..n + 10).map(|n| key(n % count)).collect();
            assert!(several.get_many(&keys).unwrap().iter().all(Option::is_some));
        }),
        Operation::new("scan of 10 rows of a range", move |n| {
            let found = range.scan(key(n)..).unwrap().take(10);
            found.for_each(|row| drop(black_box(row.unwrap())));
        }),
    ]
}

fn writes(store: &Store, count: u64) -> Vec<Operation> {
    let keyspace = rows(store, "written", KeyspaceSpec::hash(), count);
    let (store, in_batch, updated) = (store.clone(), keyspace.clone(), keyspace.clone());
    let (transacting, in_transaction) = (store.clone(), keyspace.clone());
    vec![
        Operation::new("put", move |n| keyspace.put(key(n), value(n)).unwrap()),
        Operation::new("batch of 8", move |n| {
            let mut batch = Batch::new();
            (n..n + 8).for_each(|n| batch.put(&in_batch, key(n % count), value(n)));
            store.write(batch).unwrap();
        }),
        Operation::new("update", move |n| {
            updated.update(key(n), |old| old.map(<[u8]>::to_vec)).unwrap();
        }),
        Operation::new("transaction of 2 reads, 2 writes", move |n| {
            let keys = [n, n + 1, n + 2, n + 3].map(|n| key(n % count));
            let tx = transacting.begin().unwrap();
            keys[..2]
                .iter()
                .for_each(|key| assert!(tx.get(&in_transaction, key).unwrap().is_some()));
            keys[2..].iter().for_each(|key| tx.put(&in_transaction, key, value(n)).unwrap());
            tx.commit().unwrap();
        }),
    ]
}

fn baseline_path() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/baseline.json"))
}

fn print(name: &str, ns: f64, cost: &Estimate, before: Option<&Estimate>) {
    let Estimate { median, low, high } = cost;
    let beside = before.map_or_else(
        || "no baseline".to_owned(),
        |before| {
            let overlap = before.low <= *high && *low <= before.high;
            format!("{:.3}{}", median / before.median, if overlap { " noise" } else { "" })
        },
    );
    println!("{name:<34} {ns:>9.1} {median:>9.3} [{low:.3} … {high:.3}]   {beside}");
}

fn main() {
    let settings = Settings::from_arguments();
    let baseline: Baseline = std::fs::read(baseline_path())
        .map_or_else(|_| Baseline::new(), |text| serde_json::from_slice(&text).unwrap());
    let directory = TempDir::new().unwrap();
    let options = support::options();
    let store = Store::builder(directory.path().join("s")).shards(4).options(options).open();
    let store = store.unwrap();
    let groups = [routing(), reads(&store, settings.rows), writes(&store, settings.rows)];
    let mut operations: Vec<Operation> = groups.into_iter().flatten().collect();
    operations.retain(|operation| settings.arguments.wants(operation.name));

    let mut yardstick = yardstick();
    let mut measured = vec![(Vec::new(), Vec::new()); operations.len()];
    // The first turn warms caches up, and does not count.
    for turn in 0..=settings.turns {
        for (operation, (ns, costs)) in operations.iter_mut().zip(&mut measured) {
            let unit = yardstick.measure(settings.turn_ns / 4, settings.rows, turn);
            let cost = operation.measure(settings.turn_ns, settings.rows, turn);
            if turn > 0 {
                ns.push(cost);
                costs.push(cost / unit);
            }
        }
    }
    println!("{:<34} {:>9} {:>9}{:20} to the baseline", "", "ns", "yardsticks", "");
    let mut costs = baseline.clone();
    for (operation, (ns, relative)) in operations.iter().zip(measured) {
        let (ns, cost) = (Estimate::of(ns).unwrap(), Estimate::of(relative).unwrap());
        print(operation.name, ns.median, &cost, baseline.get(operation.name));
        costs.insert(operation.name.to_owned(), cost);
    }
    if settings.save {
        std::fs::write(baseline_path(), serde_json::to_vec_pretty(&costs).unwrap()).unwrap();
        println!("stored as the baseline");
    }
}
