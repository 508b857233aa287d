//! Finding the first row behind those that were deleted, and consuming a queue: the ways to do it,
//! side by side.
//!
//! ```text
//! cargo bench --bench queue                      everything, about two minutes
//! cargo bench --bench queue -- head              only what has this in its name
//! cargo bench --bench queue -- --quick           a tenth of it, to see whether it runs
//! ```
//!
//! `head`: the time of one look for the first row behind 50,000 deleted ones, on a plain RocksDB:
//! with the deletions in memory, in a file, and in a file of a column family whose files with many
//! deletions are compacted at once (`CompactOnDeletionCollector`), each also with a deletion of the
//! range on top; and with a lower bound where the deleted rows end.
//!
//! `consume`: 20,000 rows that are taken from the front and deleted, one by one: with a scan from the
//! beginning, with one from the beginning and a deletion of the range before it after each 128 rows,
//! from a mark that is stored after each 128, and from a position that is kept in memory. `queue` are
//! as many jobs of `annulus::queue`, each with a lease, in two transactions.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a bench"
)]

#[path = "support/arguments.rs"]
mod arguments;
#[path = "support/mod.rs"]
mod support;

use annulus::queue::{Queue, QueueOptions};
use annulus::topology::KeyspaceSpec;
use annulus::{Batch, Keyspace, ScanOptions, Store};
use arguments::Arguments;
use rocksdb::{DB, ReadOptions, WriteBatch};
use std::path::Path;
use std::time::{Duration, Instant};

/// How often the mark is moved, and the range deleted.
const STEP: u64 = 128;

fn main() {
    let arguments = Arguments::read();
    let scale = if arguments.quick { 10 } else { 1 };
    let directory = tempfile::tempdir().unwrap();
    if arguments.wants("head") {
        head(directory.path(), 50_000 / scale);
    }
    let rows = 20_000 / scale;
    for (name, consume) in [
        ("consume, from the beginning", from_the_beginning as fn(&Store, &Keyspace, u64)),
        ("consume, deleting the range", deleting_the_range),
        ("consume, from a stored mark", from_a_mark),
        ("consume, from a position in memory", from_a_position),
    ] {
        if arguments.wants(name) {
            let path = directory.path().join(name);
            let store = Store::builder(path).shards(1).options(support::options()).open().unwrap();
            let jobs = store.create_keyspace("jobs", KeyspaceSpec::range()).unwrap();
            (0..rows).for_each(|n| jobs.put(job(n), support::value(n)).unwrap());
            let begun = Instant::now();
            consume(&store, &jobs, rows);
            report(name, begun.elapsed(), rows);
            assert_eq!(jobs.scan("k"..).unwrap().count(), 0);
        }
    }
    if arguments.wants("queue") {
        queue(directory.path(), rows);
    }
}

fn report(name: &str, took: Duration, rows: u64) {
    let each = took.as_secs_f64() * 1e6 / rows as f64;
    println!("{name:<40} {:>8.3} s, {each:>7.1} µs each", took.as_secs_f64());
}

fn job(n: u64) -> Vec<u8> {
    format!("k{n:012}").into_bytes()
}

/// Returns the first row from a key on.
fn first(jobs: &Keyspace, from: &[u8]) -> Vec<u8> {
    let mut scan = jobs.scan_with(from.., ScanOptions::new().limit(1)).unwrap();
    scan.next_row().unwrap().unwrap().0.to_vec()
}

fn from_the_beginning(_: &Store, jobs: &Keyspace, rows: u64) {
    (0..rows).for_each(|_| jobs.delete(first(jobs, b"k")).unwrap());
}

fn deleting_the_range(_: &Store, jobs: &Keyspace, rows: u64) {
    for n in 0..rows {
        let head = first(jobs, b"k");
        jobs.delete(&head).unwrap();
        if n % STEP == 0 {
            jobs.delete_range(b"k".to_vec()..head).unwrap();
        }
    }
}

fn from_a_mark(store: &Store, jobs: &Keyspace, rows: u64) {
    for n in 0..rows {
        let mark = jobs.get("mark").unwrap().map_or(b"k".to_vec(), |mark| mark.to_vec());
        let head = first(jobs, &mark);
        let mut batch = Batch::new();
        batch.delete(jobs, &head);
        if n % STEP == 0 {
            batch.put(jobs, "mark", &head);
        }
        store.write(batch).unwrap();
    }
    jobs.delete("mark").unwrap();
}

fn from_a_position(_: &Store, jobs: &Keyspace, rows: u64) {
    let mut position = b"k".to_vec();
    for _ in 0..rows {
        position = first(jobs, &position);
        jobs.delete(&position).unwrap();
    }
}

fn queue(directory: &Path, rows: u64) {
    let path = directory.join("queue");
    let store = Store::builder(path).shards(1).options(support::options()).open().unwrap();
    let queue = Queue::open(&store, "jobs", QueueOptions::new()).unwrap();
    let begun = Instant::now();
    push(&queue, rows);
    report("queue, push", begun.elapsed(), rows);
    for (name, workers) in [("queue, take and finish", 1), ("queue, two workers", 2)] {
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    while let Some(lease) = queue.take().unwrap() {
                        queue.finish(&lease).unwrap();
                    }
                });
            }
        });
        report(name, begun.elapsed(), rows);
        push(&queue, rows);
    }
}

fn push(queue: &Queue, rows: u64) {
    for n in 0..rows {
        queue.push(support::value(n)).unwrap();
    }
}

/// Where the deletions are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Memory,
    File,
    CompactedFile,
}

fn head(directory: &Path, rows: u64) {
    for (name, place) in [
        ("head, deletions in memory", Place::Memory),
        ("head, in a file", Place::File),
        ("head, in a file that is compacted", Place::CompactedFile),
    ] {
        for range in [false, true] {
            let name = if range { format!("{name}, and of the range") } else { name.to_owned() };
            let db = deleted(&directory.join(&name), rows, place, range);
            look(&name, &db, ReadOptions::default());
            if place == Place::Memory && !range {
                let mut bounded = ReadOptions::default();
                bounded.set_iterate_lower_bound(job(rows));
                look("head, from a bound", &db, bounded);
            }
        }
    }
}

/// Returns a database of which all rows but the last are deleted.
fn deleted(path: &Path, rows: u64, place: Place, range: bool) -> DB {
    let mut options = support::plain_options(support::WRITE_BUFFER_BYTES);
    if place == Place::CompactedFile {
        // As the store does.
        options.add_compact_on_deletion_collector_factory(4096, 4032, 0.0);
    }
    let db = DB::open(&options, path).unwrap();
    (0..=rows).for_each(|n| db.put(job(n), support::value(n)).unwrap());
    if place != Place::Memory {
        db.flush().unwrap();
    }
    (0..rows).for_each(|n| db.delete(job(n)).unwrap());
    if range {
        let mut batch = WriteBatch::default();
        batch.delete_range(job(0), job(rows));
        db.write(batch).unwrap();
    }
    if place != Place::Memory {
        db.flush().unwrap();
        let mut wait = rocksdb::WaitForCompactOptions::default();
        wait.set_flush(false);
        db.wait_for_compact(&wait).unwrap();
    }
    db
}

fn look(name: &str, db: &DB, options: ReadOptions) {
    const LOOKS: u32 = 20;
    let mut iterator = db.raw_iterator_opt(options);
    let begun = Instant::now();
    for _ in 0..LOOKS {
        iterator.seek_to_first();
        assert!(iterator.valid());
    }
    println!("{name:<60} {:>9.1} µs", begun.elapsed().as_secs_f64() * 1e6 / f64::from(LOOKS));
}
