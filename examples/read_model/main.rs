//! A read model that is fed by changes (CQRS): orders are written, and views of them, by customer and
//! by day, follow; each order counts exactly once, though the application is killed again and again.
//!
//! ```text
//! cargo run --release --example read_model -- check --kills 10
//! cargo run --release --example read_model -- run DIRECTORY
//! ```
//!
//! The writing side knows nothing of the views. The reading side is a consumer of changes that commits
//! its position in the batch that has the views' changes: both or neither. The keyspace of orders logs
//! old values, so that an order that is changed or cancelled leaves the views as if it had never been
//! otherwise.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "an example fails by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

use annulus::changes::{Change, Changes, ChangesFrom, OldValue};
use annulus::topology::KeyspaceSpec;
use annulus::{Batch, Consumer, Keyspace, Store};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

fn main() {
    support::main(run, check);
}

/// The writing side, and the views: `customer/…` and `day/…`, each with a sum of cents.
struct Shop {
    store: Store,
    orders: Keyspace,
    views: Keyspace,
    consumer: Consumer,
}

impl Shop {
    fn open(directory: &Path) -> Self {
        let store = Store::builder(directory).shards(3).open().unwrap();
        let orders = store.keyspace_or_create("orders", KeyspaceSpec::hash()).unwrap();
        orders.log_old_values(true).unwrap();
        let views = store.keyspace_or_create("views", KeyspaceSpec::range()).unwrap();
        let consumer = store.consumer_or_create("views", ChangesFrom::Earliest).unwrap();
        Self { store, orders, views, consumer }
    }

    fn changes(&self) -> Changes {
        self.consumer.changes().unwrap().keyspace(&self.orders).open().unwrap()
    }

    /// Brings the views up to what has been written; waits for the first commit.
    fn follow(&self, changes: &mut Changes, wait: Duration) -> bool {
        const COMMITS: usize = 64;
        let Some(first) = changes.next_timeout(wait).unwrap() else { return false };
        let mut commits = vec![first];
        while commits.len() < COMMITS {
            let Some(commit) = changes.try_next().unwrap() else { break };
            commits.push(commit);
        }
        let mut sums = BTreeMap::new();
        for change in commits.iter().flat_map(|commit| commit.changes()) {
            let (old, new) = match change {
                Change::Put { old, value, .. } => (old, Some(value)),
                Change::Delete { old, .. } => (old, None),
                _ => panic!("orders are not deleted by ranges"),
            };
            if let OldValue::Value(old) = old {
                count(&mut sums, old, -1);
            }
            if let Some(new) = new {
                count(&mut sums, new, 1);
            }
        }
        let mut batch = Batch::new();
        sums.iter().for_each(|(view, sum)| batch.add(&self.views, view, *sum));
        self.consumer.commit_in(&mut batch, changes.watermark());
        self.store.write(batch).unwrap();
        true
    }
}

/// Adds an order, `customer day cents`, to sums by view, or takes it out.
fn count(sums: &mut BTreeMap<String, i64>, order: &[u8], sign: i64) {
    let order = std::str::from_utf8(order).unwrap();
    let [customer, day, cents] = order.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{order}")
    };
    let cents = cents.parse::<i64>().unwrap() * sign;
    for view in [format!("customer/{customer}"), format!("day/{day}")] {
        *sums.entry(view).or_default() += cents;
    }
}

/// The application: takes, changes and cancels orders until it is killed, and its views follow.
fn run(directory: &Path) {
    let shop = Shop::open(directory);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut changes = shop.changes();
            loop {
                shop.follow(&mut changes, Duration::from_secs(1));
            }
        });
        let mut random = fastrand::Rng::new();
        loop {
            // Several orders in one commit, now and then.
            let mut batch = Batch::new();
            for _ in 0..random.u32(1..4) {
                let order = format!("{:05}", random.u32(..20_000));
                if random.u8(..8) == 0 {
                    batch.delete(&shop.orders, order);
                } else {
                    let (customer, day) = (random.u32(..50), random.u32(1..29));
                    let what = format!("{customer} {day:02} {}", random.u32(1..10_000));
                    batch.put(&shop.orders, order, what);
                }
            }
            shop.store.write(batch).unwrap();
            std::thread::sleep(Duration::from_micros(150));
        }
    });
}

/// Kills the application at random moments, lets the views catch up, and compares them with the orders.
fn check(kills: u32) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    support::kill_repeatedly(&path, kills, &mut support::random());
    let shop = Shop::open(&path);
    let mut changes = shop.changes();
    while shop.follow(&mut changes, Duration::from_millis(500)) {}
    let (mut expected, mut orders) = (BTreeMap::new(), 0);
    for row in shop.orders.scan(..).unwrap() {
        count(&mut expected, &row.unwrap().1, 1);
        orders += 1;
    }
    let mut views = BTreeMap::new();
    for row in shop.views.scan(..).unwrap() {
        let (view, sum) = row.unwrap();
        let sum = i64::from_le_bytes(sum.try_into().unwrap());
        views.insert(String::from_utf8(view).unwrap(), sum);
    }
    // Of customers whose orders were all cancelled.
    views.retain(|_, sum| *sum != 0);
    assert!(orders > 100, "only {orders} orders");
    assert_eq!(views, expected, "the views are not those of the orders");
    println!("{orders} orders, {} views, each right to the cent", views.len());
}
