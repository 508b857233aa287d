//! A thread that does one operation after the other.

use super::pace::Pace;
use super::settings::{Length, Run};
use super::shared::Shared;
use super::tally::Tally;
use crate::engine::Result;
use crate::hot::HotRange;
use crate::keys::{KEY_BYTES, Key, Keys};
use crate::operations::{Kind, Operation, Operations};
use crate::values::Values;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// One read in this many is compared byte by byte, the others by their head and length.
const WHOLE_EVERY: u64 = 16;

/// The shard is looked up for one operation in this many.
const SHARD_EVERY: u64 = 32;

/// When a worker has done its part.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    /// After this many operations.
    After(u64),
    /// When this moment has come.
    At(Instant),
}

impl End {
    /// Returns the end of one thread's share of a length.
    pub(super) fn of(length: Length, thread: usize, threads: usize, started: Instant) -> Self {
        match length {
            Length::Operations(operations) => {
                let (thread, threads) = (thread as u64, threads.max(1) as u64);
                Self::After(operations / threads + u64::from(thread < operations % threads))
            }
            Length::Time(time) => Self::At(started + time),
        }
    }
}

pub(super) struct Worker<'a> {
    thread: usize,
    keys: Keys,
    values: &'a Values,
    operations: Operations,
    /// Set until it has appeared.
    hot: Option<HotRange>,
    value: Vec<u8>,
    pub(super) tally: Tally,
}

impl<'a> Worker<'a> {
    pub(super) fn new(
        run: &Run<'a>,
        thread: usize,
        operations: Operations,
        hot: Option<HotRange>,
    ) -> Result<Self> {
        Ok(Self {
            thread,
            keys: run.keys,
            values: run.values,
            operations,
            hot,
            value: Vec::new(),
            tally: Tally::new()?,
        })
    }

    pub(super) const fn thread(&self) -> usize {
        self.thread
    }

    /// Forgets what was measured in the warm-up.
    pub(super) fn forget(&mut self) {
        self.tally.clear();
    }

    /// Works until its end, or until all threads should stop.
    pub(super) fn work(&mut self, shared: &Shared<'_>, started: Instant, end: End) -> Result<()> {
        let run = shared.run;
        let mut pace = run.rate.map(|rate| Pace::new(started, rate, self.thread, run.threads));
        // The number of its own operations after which the hot spot appears; a run whose length is
        // a time is notified.
        let hot_from = match (end, run.hotspot_at) {
            (End::After(operations), Some(percent)) => operations * u64::from(percent) / 100,
            _ => u64::MAX,
        };
        let mut number = 0;
        let mut now = started;
        while !shared.stop.load(Ordering::Relaxed) {
            let over = match end {
                End::After(operations) => number >= operations,
                End::At(end) => now >= end,
            };
            if over {
                break;
            }
            if number >= hot_from || shared.hot.load(Ordering::Relaxed) {
                self.hot.take().into_iter().for_each(|hot| self.operations.set_hot(hot));
            }
            let intended = pace.as_mut().map(Pace::next);
            if let (Some(intended), End::At(end)) = (intended, end)
                && intended >= end
            {
                break;
            }
            now = self.one(shared, number, started, intended)?;
            number += 1;
            if let Some(done) = shared.done.get(self.thread) {
                done.0.store(number, Ordering::Relaxed);
            }
        }
        self.tally.flush(&shared.slots);
        Ok(())
    }

    /// Does one operation; returns the time of its end.
    #[inline]
    fn one(
        &mut self,
        shared: &Shared<'_>,
        number: u64,
        started: Instant,
        intended: Option<Instant>,
    ) -> Result<Instant> {
        let operation = self.operations.next(shared.growth.readable());
        let key_number = self.keys.number(operation.record);
        let key = crate::keys::key_of_number(key_number);
        if matches!(operation.kind, Kind::Update | Kind::ReadModifyWrite) {
            self.values.fill(&mut self.value, key_number, operation.nonce);
        }
        if number.is_multiple_of(SHARD_EVERY)
            && operation.kind != Kind::Insert
            && let Some((shard, shards)) = shared.engine.shard_of(&key)
        {
            self.tally.on_shard(shard, shards);
        }
        intended.into_iter().for_each(Pace::wait_until);
        let begun = intended.unwrap_or_else(Instant::now);
        let whole = number.is_multiple_of(WHOLE_EVERY);
        match operation.kind {
            Kind::Read => self.read(shared, key_number, &key, whole)?,
            Kind::Update => shared.engine.put(&key, &self.value)?,
            Kind::Insert => self.insert(shared, operation)?,
            Kind::Scan => self.scan(shared, key_number, &key, operation.rows, whole)?,
            Kind::ReadModifyWrite => {
                self.read(shared, key_number, &key, whole)?;
                shared.engine.put(&key, &self.value)?;
            }
        }
        let ended = Instant::now();
        let (latency, since) = (ended - begun, ended - started);
        self.tally.record(operation.kind, latency, since, &shared.slots);
        Ok(ended)
    }

    /// Reads. The record exists, so it must be found, with a value that was written for it.
    #[inline]
    fn read(&mut self, shared: &Shared<'_>, key_number: u64, key: &Key, whole: bool) -> Result<()> {
        let mut right = false;
        let values = self.values;
        let mut found = |value: &[u8]| right = values.check(value, key_number, whole);
        shared.engine.get(key, &mut found)?;
        self.tally.wrong_reads += u64::from(!right);
        Ok(())
    }

    fn insert(&mut self, shared: &Shared<'_>, operation: Operation) -> Result<()> {
        let Self { keys, values, value, thread, .. } = self;
        shared.growth.insert(*thread, |record| {
            let key_number = keys.number(record);
            values.fill(value, key_number, operation.nonce);
            shared.engine.put(&crate::keys::key_of_number(key_number), value)
        })
    }

    /// Scans. The first row must be the record itself, and each row must follow the one before.
    fn scan(
        &mut self,
        shared: &Shared<'_>,
        key_number: u64,
        key: &Key,
        rows: usize,
        whole: bool,
    ) -> Result<()> {
        let (mut seen, mut right) = (0_usize, true);
        let mut last = [0; KEY_BYTES];
        let values = self.values;
        let mut row = |row: &[u8], value: &[u8]| {
            right &= if seen == 0 {
                row == key && values.check(value, key_number, whole)
            } else {
                *row > last[..]
            };
            if let Some(row) = row.first_chunk() {
                last = *row;
            }
            seen += 1;
        };
        shared.engine.scan(key, rows, &mut row)?;
        self.tally.wrong_reads += u64::from(!right || seen == 0 || seen > rows);
        self.tally.rows += seen as u64;
        Ok(())
    }
}
