//! How long writes wait when a partition is handed over, and what reads notice of it.

use crate::load::{describe, fill, p999, under_load};
use crate::{Settings, ms, spread};
use annulus::topology::KeyspaceSpec;
use annulus::{Durability, Keyspace, Options, ShardId, Store};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

fn open(path: &std::path::Path) -> (Store, Keyspace) {
    let options = Options::new().write_buffer_bytes(64 << 20).arcs_per_shard(4);
    let store = Store::builder(path.join("store")).shards(4).options(options).open().unwrap();
    let keyspace = store.keyspace_or_create("rows", KeyspaceSpec::hash()).unwrap();
    (store, keyspace)
}

/// Moves partitions in turn, without pause.
fn reshape(store: &Store, keyspace: &Keyspace, reshapes: usize) -> f64 {
    let begun = Instant::now();
    for n in 0..reshapes {
        let partitions = keyspace.stats().unwrap();
        let partition = &partitions[n % partitions.len()];
        let to = ShardId((partition.owner.0 + 1) % 4);
        store.move_partition(partition.id, to).unwrap().wait().unwrap();
    }
    reshapes as f64 / begun.elapsed().as_secs_f64()
}

pub(crate) fn run(settings: &Settings) {
    for (name, durability, reads) in [
        ("two threads that only write, buffered", Durability::Buffered, 0),
        ("two threads that only write, synced", Durability::Synced, 0),
        ("two threads that read, and write one in ten", Durability::Buffered, 90),
    ] {
        println!("\n== pause: {} moves without pause under {name}", settings.reshapes);
        let directory = tempfile::tempdir().unwrap();
        let (store, keyspace) = open(directory.path());
        let rows = fill(&store, &keyspace, settings.bytes / 8);
        let calm = Duration::from_millis(if settings.turns > 2 { 5000 } else { 200 });
        let mut rate = 0.0;
        // Before and after, the same load without reshapes: part 0; during: part 1.
        let latencies = under_load(&keyspace, rows, durability, reads, |part| {
            std::thread::sleep(calm);
            part.store(1, Ordering::Relaxed);
            rate = reshape(&store, &keyspace, settings.reshapes);
            part.store(0, Ordering::Relaxed);
            std::thread::sleep(calm);
        });
        let stats = store.reshape_stats();
        let pause = [stats.pause_p50, stats.pause_p999, stats.pause_max].map(ms);
        println!(
            "pause: p50 {:.2} p99.9 {:.2} max {:.2} ms; {rate:.0} moves a second",
            pause[0], pause[1], pause[2]
        );
        for (what, sides) in [("reads", &latencies.reads), ("writes", &latencies.writes)] {
            if sides[0].is_none() {
                continue;
            }
            println!("{what} without reshapes: {}", describe(&sides[0]));
            println!("{what} during reshapes:  {}", describe(&sides[1]));
            let ratio = p999(&sides[1]) / p999(&sides[0]);
            println!("{what}: p99.9 during is {ratio:.2} times that without");
        }
        let outcomes = store.reshape_history().unwrap();
        let times = outcomes.iter().map(|outcome| ms(outcome.elapsed)).collect();
        println!("a move: {} ms", spread(times));
    }
}
