//! Data to move, and threads that read and write during it.

use annulus::{Batch, Durability, Keyspace, Store};
use hdrhistogram::Histogram;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Instant;

/// Rows of the moved partition: a kilobyte that does not compress, so that bytes on disk are
/// bytes of rows.
pub(crate) const ROW_BYTES: u64 = 1000;

pub(crate) fn key(n: u64) -> [u8; 16] {
    let mut key = *b"row/000000000000";
    let text = format!("{n:012}");
    key[4..].copy_from_slice(text.as_bytes());
    key
}

/// Fills a keyspace with rows in key order, a batch at a time, and flushes.
pub(crate) fn fill(store: &Store, keyspace: &Keyspace, bytes: u64) -> u64 {
    let rows = bytes / ROW_BYTES;
    let mut random = fastrand::Rng::with_seed(1);
    let mut value = vec![0; (ROW_BYTES - 16) as usize];
    for first in (0..rows).step_by(500) {
        let mut batch = Batch::new();
        for n in first..(first + 500).min(rows) {
            random.fill(&mut value);
            batch.put(keyspace, key(n), &value);
        }
        store.write(batch).unwrap();
    }
    store.flush().unwrap();
    rows
}

/// Which part of a run a latency belongs to.
pub(crate) const PARTS: usize = 3;

/// Latencies of single operations, by part of the run, in nanoseconds.
#[derive(Default)]
pub(crate) struct Latencies {
    pub(crate) reads: [Option<Histogram<u64>>; PARTS],
    pub(crate) writes: [Option<Histogram<u64>>; PARTS],
}

/// Ends the threads in whichever way the work ends; otherwise a panic would wait for them forever.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Two threads that read and write random rows for as long as `work` runs. `work` sets the part.
pub(crate) fn under_load(
    keyspace: &Keyspace,
    rows: u64,
    durability: Durability,
    reads_percent: u32,
    work: impl FnOnce(&AtomicU8),
) -> Latencies {
    let (done, part) = (AtomicBool::new(false), AtomicU8::new(0));
    let all: Mutex<Latencies> = Mutex::default();
    std::thread::scope(|scope| {
        for thread in 0..2_u64 {
            let (done, part, all) = (&done, &part, &all);
            scope.spawn(move || {
                let mine =
                    one_thread(keyspace, rows, durability, reads_percent, thread, done, part);
                let mut all = all.lock().unwrap();
                for at in 0..PARTS {
                    add(&mut all.reads[at], &mine.reads[at]);
                    add(&mut all.writes[at], &mine.writes[at]);
                }
            });
        }
        let _done = Done(&done);
        work(&part);
    });
    all.into_inner().unwrap()
}

fn add(to: &mut Option<Histogram<u64>>, from: &Option<Histogram<u64>>) {
    if let Some(from) = from {
        to.get_or_insert_with(|| Histogram::new_with_bounds(1, 60_000_000_000, 3).unwrap())
            .add(from)
            .unwrap();
    }
}

fn one_thread(
    keyspace: &Keyspace,
    rows: u64,
    durability: Durability,
    reads_percent: u32,
    seed: u64,
    done: &AtomicBool,
    part: &AtomicU8,
) -> Latencies {
    let mut random = fastrand::Rng::with_seed(seed + 100);
    let mut value = [0; 200];
    let mut latencies = Latencies::default();
    while !done.load(Ordering::Relaxed) {
        let key = key(random.u64(..rows));
        let reads = random.u32(..100) < reads_percent;
        let begun = Instant::now();
        if reads {
            std::hint::black_box(keyspace.get(key).unwrap());
        } else {
            random.fill(&mut value[..32]);
            keyspace.put_with(key, value, durability).unwrap();
        }
        let nanos = begun.elapsed().as_nanos() as u64;
        let at = usize::from(part.load(Ordering::Relaxed));
        let histogram = if reads { &mut latencies.reads[at] } else { &mut latencies.writes[at] };
        histogram
            .get_or_insert_with(|| Histogram::new_with_bounds(1, 60_000_000_000, 3).unwrap())
            .saturating_record(nanos);
    }
    latencies
}

/// Returns percentiles in milliseconds.
pub(crate) fn describe(histogram: &Option<Histogram<u64>>) -> String {
    let Some(histogram) = histogram else { return "none".to_owned() };
    let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e6;
    format!(
        "p50 {:.4} p99 {:.3} p99.9 {:.3} max {:.2} ms ({} operations)",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
        histogram.len()
    )
}

pub(crate) fn p999(histogram: &Option<Histogram<u64>>) -> f64 {
    histogram.as_ref().map_or(f64::NAN, |h| h.value_at_quantile(0.999) as f64)
}
