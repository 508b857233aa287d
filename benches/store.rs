//! The cost of each operation of a store, by partitioning, next to one plain RocksDB.
//!
//! ```text
//! cargo bench --bench store                 everything, about two minutes
//! cargo bench --bench store -- get/         one group
//! cargo bench --bench store -- --test       each once, to see whether it runs
//! ```
//!
//! 100,000 rows of 216 bytes, all in the cache, one thread. `hash` and `range` are stores of four
//! shards with four partitions each, without the cache of hot keys; `hash_hot` has it, with an
//! eighth of the same memory; `rocksdb` is one instance with the same cache, write buffer,
//! compression, filters and threads. All keys are equally likely.
//!
//! `get_many` and `batch` are of sixteen keys, `scan_short` is of ten rows, `scan_long` of a
//! thousand; their times are a row's. `snapshot` takes one and reads a key from it.
//!
//! Criterion measures one side after the other, so a slow moment of the machine can hit only one of
//! them: for ratios, see the bench `versus` and `annulus bench`, which take turns.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark fails by panicking"
)]

#[path = "support/mod.rs"]
mod support;

use annulus::topology::KeyspaceSpec;
use annulus::{Batch, Keyspace, Options, ScanOptions, Store};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rocksdb::{DB, WriteBatch};
use std::hint::black_box;
use std::time::Duration;
use support::{CACHE_BYTES, WRITE_BUFFER_BYTES, key, value};
use tempfile::TempDir;

const ROWS: u64 = 100_000;
const SHARDS: u32 = 4;
const KEYS_AT_ONCE: usize = 16;
const SHORT: usize = 10;
const LONG: usize = 1_000;

criterion_group!(benches, store);
criterion_main!(benches);

type Keys = Vec<[u8; 16]>;

/// The operations that are measured. Each returns something that depends on what it read.
trait Side {
    fn get(&self, key: &[u8]) -> usize;
    fn get_many(&self, keys: &Keys) -> usize;
    fn put(&self, key: &[u8], value: &[u8]);
    fn batch(&self, keys: &Keys, value: &[u8]);
    fn scan(&self, from: &[u8], rows: usize) -> usize;
    fn snapshot(&self, key: &[u8]) -> usize;
}

struct Sharded {
    store: Store,
    rows: Keyspace,
}

impl Side for Sharded {
    fn get(&self, key: &[u8]) -> usize {
        self.rows.get(key).unwrap().unwrap().len()
    }

    fn get_many(&self, keys: &Keys) -> usize {
        let values = self.rows.get_many(keys).unwrap();
        values.into_iter().map(|value| value.unwrap().len()).sum()
    }

    fn put(&self, key: &[u8], value: &[u8]) {
        self.rows.put(key, value).unwrap();
    }

    fn batch(&self, keys: &Keys, value: &[u8]) {
        let mut batch = Batch::new();
        for key in keys {
            batch.put(&self.rows, key, value);
        }
        self.store.write(batch).unwrap();
    }

    fn scan(&self, from: &[u8], rows: usize) -> usize {
        let options = ScanOptions::new().limit(rows as u64);
        let mut scan = self.rows.scan_with(from.., options).unwrap();
        let mut bytes = 0;
        while let Some((key, value)) = scan.next_row().unwrap() {
            bytes += key.len() + value.len();
        }
        bytes
    }

    fn snapshot(&self, key: &[u8]) -> usize {
        let snapshot = self.store.snapshot().unwrap();
        snapshot.get(&self.rows, key).unwrap().unwrap().len()
    }
}

impl Side for DB {
    fn get(&self, key: &[u8]) -> usize {
        self.get_pinned(key).unwrap().unwrap().len()
    }

    fn get_many(&self, keys: &Keys) -> usize {
        let values = self.multi_get(keys);
        values.into_iter().map(|value| value.unwrap().unwrap().len()).sum()
    }

    fn put(&self, key: &[u8], value: &[u8]) {
        self.put(key, value).unwrap();
    }

    fn batch(&self, keys: &Keys, value: &[u8]) {
        let mut batch = WriteBatch::default();
        for key in keys {
            batch.put(key, value);
        }
        self.write(batch).unwrap();
    }

    fn scan(&self, from: &[u8], rows: usize) -> usize {
        let mut cursor = self.raw_iterator();
        cursor.seek(from);
        let mut bytes = 0;
        for _ in 0..rows {
            let Some((key, value)) = cursor.item() else { break };
            bytes += key.len() + value.len();
            cursor.next();
        }
        bytes
    }

    fn snapshot(&self, key: &[u8]) -> usize {
        self.snapshot().get(key).unwrap().unwrap().len()
    }
}

fn sharded(directory: &TempDir, name: &str, spec: KeyspaceSpec, options: Options) -> Box<dyn Side> {
    let builder = Store::builder(directory.path().join(name)).shards(SHARDS).options(options);
    let store = builder.open().unwrap();
    let rows = store.create_keyspace("rows", spec).unwrap();
    for row in 0..ROWS {
        rows.put(key(row), value(row)).unwrap();
    }
    store.flush().unwrap();
    Box::new(Sharded { store, rows })
}

/// Returns the sides, filled one after the other and open at the same time: reads find each in the
/// state in which it was filled.
fn sides(directory: &TempDir) -> Vec<(&'static str, Box<dyn Side>)> {
    let boundaries = (1..16_u8).map(|part| vec![part << 4]);
    let hot = support::options()
        .cache_bytes(CACHE_BYTES - CACHE_BYTES / 8)
        .hot_cache_bytes(CACHE_BYTES / 8);
    let hash = || KeyspaceSpec::from(KeyspaceSpec::hash());
    let plain = support::plain(&directory.path().join("rocksdb"), WRITE_BUFFER_BYTES);
    for row in 0..ROWS {
        plain.put(key(row), value(row)).unwrap();
    }
    plain.flush().unwrap();
    vec![
        ("hash", sharded(directory, "hash", hash(), support::options())),
        ("hash_hot", sharded(directory, "hash_hot", hash(), hot)),
        (
            "range",
            sharded(
                directory,
                "range",
                KeyspaceSpec::range().split_at(boundaries).into(),
                support::options(),
            ),
        ),
        ("rocksdb", Box::new(plain)),
    ]
}

fn store(criterion: &mut Criterion) {
    let directory = TempDir::new().unwrap();
    let sides = sides(&directory);
    let mut group = |name: &str, rows: usize, operation: &dyn Fn(&dyn Side, &mut Random)| {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(rows as u64));
        group.sample_size(20);
        group.warm_up_time(Duration::from_millis(300));
        group.measurement_time(Duration::from_millis(1500));
        for (name, side) in &sides {
            // Each side gets the same keys.
            let mut random = Random(fastrand::Rng::with_seed(1));
            group.bench_function(*name, |bencher| {
                bencher.iter(|| operation(&**side, &mut random));
            });
        }
        group.finish();
    };
    let written = value(7);
    group("get", 1, &|side, random| {
        black_box(side.get(&random.key()));
    });
    group("get_many", KEYS_AT_ONCE, &|side, random| {
        black_box(side.get_many(&random.keys()));
    });
    group("scan_short", SHORT, &|side, random| {
        black_box(side.scan(&random.key(), SHORT));
    });
    group("scan_long", LONG, &|side, random| {
        black_box(side.scan(&random.key(), LONG));
    });
    group("snapshot", 1, &|side, random| {
        black_box(side.snapshot(&random.key()));
    });
    group("put", 1, &|side, random| side.put(&random.key(), &written));
    group("batch", KEYS_AT_ONCE, &|side, random| side.batch(&random.keys(), &written));
}

/// Keys of existing rows.
struct Random(fastrand::Rng);

impl Random {
    fn key(&mut self) -> [u8; 16] {
        key(self.0.u64(..ROWS))
    }

    fn keys(&mut self) -> Keys {
        (0..KEYS_AT_ONCE).map(|_| self.key()).collect()
    }
}
