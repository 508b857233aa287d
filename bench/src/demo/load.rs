//! Threads that read and write, one row or many, and check each value that they read.

use super::check::{Differences, Expected, Row, Version, value_of};
use annulus::{Batch, Keyspace, ScanOptions, Store};
use fastrand::Rng;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Threads that read and write.
const THREADS: usize = 4;

/// The pause between two calls, as the clients of a store have other things to do: with processors
/// that do nothing but call it, the figures would show the wait for a processor.
const THINK: Duration = Duration::from_micros(100);

/// Rows of a scan, and of a batch.
const SCAN_ROWS: usize = 20;
const BATCH_ROWS: usize = 4;

/// What is read and written.
#[derive(Debug)]
pub struct Load<'a> {
    /// The store.
    pub store: &'a Store,
    /// Two keyspaces of the store, and what each holds.
    pub keyspaces: [(&'a Keyspace, Expected<'a>); 2],
    /// The seed of the operations.
    pub seed: u64,
}

/// What a thread did and found.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Reads of one row.
    pub reads: u64,
    /// Rows that were written.
    pub writes: u64,
    /// Scans of some rows.
    pub scans: u64,
    /// Reads that found what they must not.
    pub differences: Differences,
    /// Rows of scans that were not what they should have been.
    pub wrong_scans: u64,
    /// The longest read or scan, in milliseconds.
    pub slowest_read_ms: f64,
    /// The longest write, in milliseconds.
    pub slowest_write_ms: f64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.reads += other.reads;
        self.writes += other.writes;
        self.scans += other.scans;
        self.differences += other.differences;
        self.wrong_scans += other.wrong_scans;
        self.slowest_read_ms = self.slowest_read_ms.max(other.slowest_read_ms);
        self.slowest_write_ms = self.slowest_write_ms.max(other.slowest_write_ms);
    }
}

/// Ends the threads, even if the work that they accompany panics.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Load<'_> {
    /// Does something while the threads work. Returns the results of both.
    ///
    /// # Errors
    ///
    /// Those of the store that a thread met, or those of `work`.
    pub fn during<T, E: From<annulus::Error>>(
        &self,
        act: impl FnOnce() -> Result<T, E>,
    ) -> Result<(T, Counts), E> {
        let stop = AtomicBool::new(false);
        let (acted, worked) = std::thread::scope(|scope| {
            let work = |thread| Worker::new(self, thread).work(&stop);
            let threads: Vec<_> =
                (0..THREADS).map(|thread| scope.spawn(move || work(thread))).collect();
            let stopper = Stop(&stop);
            let acted = act();
            drop(stopper);
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            let worked: annulus::Result<Vec<Counts>> = threads.into_iter().map(join).collect();
            (acted, worked)
        });
        let mut counts = Counts::default();
        worked?.into_iter().for_each(|thread| counts += thread);
        Ok((acted?, counts))
    }
}

/// A thread that reads any row and writes only its own: every row is written by one thread.
struct Worker<'a> {
    load: &'a Load<'a>,
    thread: usize,
    random: Rng,
    counts: Counts,
}

impl<'a> Worker<'a> {
    fn new(load: &'a Load<'a>, thread: usize) -> Self {
        let random = Rng::with_seed(load.seed.wrapping_add(thread as u64));
        Self { load, thread, random, counts: Counts::default() }
    }

    fn work(mut self, stop: &AtomicBool) -> annulus::Result<Counts> {
        while !stop.load(Ordering::Relaxed) {
            let begun = Instant::now();
            let writes = match self.random.u8(..32) {
                0..16 => self.read()?,
                16..17 => self.scan()?,
                17..28 => self.put()?,
                28..30 => self.swap()?,
                _ => self.batch()?,
            };
            let ms = begun.elapsed().as_secs_f64() * 1e3;
            let Counts { slowest_read_ms, slowest_write_ms, .. } = &mut self.counts;
            let slowest = if writes { slowest_write_ms } else { slowest_read_ms };
            *slowest = slowest.max(ms);
            std::thread::sleep(THINK);
        }
        Ok(self.counts)
    }

    fn keyspace(&mut self) -> (&'a Keyspace, Expected<'a>) {
        let [hash, range] = self.load.keyspaces;
        if self.random.bool() { hash } else { range }
    }

    /// Returns a row that only this thread writes.
    fn own(&mut self, expected: Expected<'a>) -> Option<(&'a Row, &'a Version)> {
        let number = (expected.rows.len() + THREADS - 1 - self.thread) / THREADS;
        let own = (number > 0).then(|| self.random.usize(..number))?;
        expected.row(own * THREADS + self.thread)
    }

    fn read(&mut self) -> annulus::Result<bool> {
        let (keyspace, expected) = self.keyspace();
        let place = self.random.usize(..expected.rows.len());
        let Some((row, version)) = expected.row(place) else { return Ok(false) };
        let acknowledged = version.acknowledged();
        match keyspace.get(&row.0)? {
            Some(value) if expected.may_be(place, &value, acknowledged) => {}
            Some(_) => self.counts.differences.wrong += 1,
            None => self.counts.differences.lost += 1,
        }
        self.counts.reads += 1;
        Ok(false)
    }

    /// Scans some neighbouring rows: all must be there, in order, none older than it may be.
    fn scan(&mut self) -> annulus::Result<bool> {
        let (keyspace, expected) = self.keyspace();
        let first = self.random.usize(..expected.rows.len());
        let places = first..expected.rows.len().min(first + SCAN_ROWS);
        let rows: Vec<_> = places
            .filter_map(|place| expected.row(place).map(|(row, v)| (place, row, v.acknowledged())))
            .collect();
        let Some((_, (from, _), _)) = rows.first() else { return Ok(false) };
        let bounds = (Bound::Included(from.clone()), Bound::Unbounded);
        let mut scan = keyspace.scan_with(bounds, ScanOptions::new().limit(SCAN_ROWS as u64))?;
        for (place, row, acknowledged) in rows {
            let right = scan.next_row()?.is_some_and(|(key, value)| {
                key == row.0 && expected.may_be(place, value, acknowledged)
            });
            self.counts.wrong_scans += u64::from(!right);
        }
        self.counts.scans += 1;
        Ok(false)
    }

    fn put(&mut self) -> annulus::Result<bool> {
        let (keyspace, expected) = self.keyspace();
        let Some((row, version)) = self.own(expected) else { return Ok(true) };
        let next = version.begin();
        keyspace.put(&row.0, value_of(&row.1, next))?;
        version.acknowledge(next);
        self.counts.writes += 1;
        Ok(true)
    }

    /// Swaps a row. No other thread writes it, so what this thread wrote last must be there.
    fn swap(&mut self) -> annulus::Result<bool> {
        let (keyspace, expected) = self.keyspace();
        let Some((row, version)) = self.own(expected) else { return Ok(true) };
        let present = value_of(&row.1, version.acknowledged());
        let next = version.begin();
        let new = value_of(&row.1, next);
        let swap = keyspace.compare_and_swap(&row.0, Some(&present), Some(&new))?;
        if !swap.is_swapped() {
            self.counts.differences.wrong += 1;
            keyspace.put(&row.0, new)?;
        }
        version.acknowledge(next);
        self.counts.writes += 1;
        Ok(true)
    }

    /// Writes some rows of both keyspaces.
    fn batch(&mut self) -> annulus::Result<bool> {
        let mut batch = Batch::new();
        let mut begun = Vec::with_capacity(BATCH_ROWS);
        for _ in 0..BATCH_ROWS {
            let (keyspace, expected) = self.keyspace();
            let Some((row, version)) = self.own(expected) else { continue };
            let next = version.begin();
            batch.put(keyspace, &row.0, value_of(&row.1, next));
            begun.push((version, next));
        }
        self.load.store.write(batch)?;
        for (version, next) in begun {
            version.acknowledge(next);
            self.counts.writes += 1;
        }
        Ok(true)
    }
}
