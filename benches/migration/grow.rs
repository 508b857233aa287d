//! From four shards to five under load.

use crate::load::{describe, fill, key, under_load};
use crate::{Settings, ms};
use annulus::reshape::Transport;
use annulus::topology::{KeyspaceSpec, RangeSpec};
use annulus::{Durability, Options, ShardId, ShardSpec, Store};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

fn ranges(rows: u64) -> RangeSpec {
    KeyspaceSpec::range().split_at((1..16).map(|n| key(rows * n / 16)))
}

pub(crate) fn run(settings: &Settings) {
    for partitioning in ["hash", "range"] {
        let mib = settings.bytes_grow >> 20;
        println!(
            "\n== grow: 4 to 5 shards and back, {mib} MiB in a {partitioning} keyspace, under load"
        );
        let directory = tempfile::tempdir().unwrap();
        let store = Store::builder(directory.path().join("store"))
            .shards(4)
            .options(Options::new().arcs_per_shard(16))
            .open()
            .unwrap();
        let rows = settings.bytes_grow / crate::load::ROW_BYTES;
        let keyspace = match partitioning {
            "hash" => store.create_keyspace("rows", KeyspaceSpec::hash()),
            _ => store.create_keyspace("rows", ranges(rows)),
        };
        let keyspace = keyspace.unwrap();
        fill(&store, &keyspace, settings.bytes_grow);
        let calm = Duration::from_millis(if settings.turns > 2 { 5000 } else { 200 });
        let latencies = under_load(&keyspace, rows, Durability::Buffered, 50, |part| {
            std::thread::sleep(calm);
            part.store(1, Ordering::Relaxed);
            report("grown", || store.add_shard(ShardSpec::new("shards/4")).unwrap());
            report("shrunk", || store.remove_shard(ShardId(0)).unwrap());
            part.store(2, Ordering::Relaxed);
            std::thread::sleep(calm);
        });
        for (part, name) in ["before", "during", "after"].into_iter().enumerate() {
            println!("reads {name}:  {}", describe(&latencies.reads[part]));
            println!("writes {name}: {}", describe(&latencies.writes[part]));
        }
        let stats = store.reshape_stats();
        let pause = [stats.pause_p50, stats.pause_p999, stats.pause_max].map(ms);
        println!(
            "{} reshapes; pause p50 {:.2} p99.9 {:.2} max {:.2} ms",
            stats.committed, pause[0], pause[1], pause[2]
        );
    }
}

fn report(what: &str, start: impl FnOnce() -> annulus::reshape::Job) {
    let begun = Instant::now();
    let outcomes = start().wait().unwrap();
    let bytes = |transport| -> u64 {
        let mine = outcomes.iter().filter(|outcome| outcome.transport == transport);
        mine.map(|outcome| outcome.bytes).sum::<u64>() >> 20
    };
    println!(
        "{what} in {:.2} s by {} reshapes: {} MiB linked, {} MiB copied",
        begun.elapsed().as_secs_f64(),
        outcomes.len(),
        bytes(Transport::Link),
        bytes(Transport::Copy)
    );
}
