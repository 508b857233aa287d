//! One thread of a replay: does its part of the script, and checks what it reads.

use super::script::{Act, Keys, Op, Part};
use super::timeline::Timeline;
use super::value::{self, Held};
use annulus::{Keyspace, ScanOptions, ShardId};
use hdrhistogram::Histogram;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What all threads share.
pub(super) struct Run<'a> {
    pub(super) keyspace: &'a Keyspace,
    pub(super) keys: &'a Keys,
    /// The shards, in order.
    pub(super) shards: &'a [ShardId],
    /// The size of a value for which the script has none.
    pub(super) value_bytes: u32,
    /// Whether no one else has ever written the keyspace.
    pub(super) alone: bool,
    pub(super) verify: bool,
    pub(super) begun: Instant,
    pub(super) end: End,
    pub(super) stop: &'a AtomicBool,
    /// Operations of all threads, for the progress bar.
    pub(super) done: &'a AtomicU64,
}

/// When a thread has finished.
#[derive(Debug, Clone, Copy)]
pub enum End {
    /// After this many passes through the script.
    Passes(u64),
    /// After this time, however many passes that takes.
    After(Duration),
}

/// What a thread did and found.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Reads of one key.
    pub reads: u64,
    /// Writes of one key.
    pub writes: u64,
    /// Deletes of one key.
    pub deletes: u64,
    /// Scans, however many rows each had.
    pub scans: u64,
    /// Reads that found nothing.
    pub absent: u64,
    /// Reads of what was there before, which may be anything.
    pub unchecked: u64,
    /// Reads and scans that found something other than what was written: must be 0.
    pub wrong: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.reads += other.reads;
        self.writes += other.writes;
        self.deletes += other.deletes;
        self.scans += other.scans;
        self.absent += other.absent;
        self.unchecked += other.unchecked;
        self.wrong += other.wrong;
    }
}

/// The result of a thread's part.
pub(super) struct Worked {
    pub(super) counts: Counts,
    pub(super) timeline: Timeline,
    pub(super) nanos: Histogram<u64>,
    /// When its last operation ended.
    pub(super) ended: Duration,
}

pub(super) struct Worker<'a> {
    run: &'a Run<'a>,
    held: Vec<Held>,
    /// Time between the intended starts of two operations; `None` for full speed.
    pace: Option<Duration>,
    worked: Worked,
    buffer: Vec<u8>,
    sequence: u64,
}

/// Operations between two checks of the shared state.
const LOOK_EVERY: u64 = 64;

/// Sleeping takes about this much longer than requested; the rest is spent spinning.
const SLEEP_SLACK: Duration = Duration::from_micros(150);

/// Returns a histogram of nanoseconds to three digits, up to an hour.
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(3_600_000_000_000, 3)
        .unwrap_or_else(|_| unreachable!("the bounds are constants"))
}

impl<'a> Worker<'a> {
    pub(super) fn new(run: &'a Run<'a>, held: Vec<Held>, pace: Option<Duration>) -> Self {
        let worked = Worked {
            counts: Counts::default(),
            timeline: Timeline::new(run.shards.len()),
            nanos: histogram(),
            ended: Duration::ZERO,
        };
        // What was preloaded has the number 1.
        Self { run, held, pace, worked, buffer: Vec::new(), sequence: 1 }
    }

    /// Plays the part to its end.
    pub(super) fn work(mut self, mut part: Part<'_>) -> annulus::Result<Worked> {
        let pass = part.pass();
        let operations = match self.run.end {
            End::Passes(passes) => pass.saturating_mul(passes),
            End::After(_) if pass > 0 => u64::MAX,
            End::After(_) => 0,
        };
        for number in 0..operations {
            if number % LOOK_EVERY == 0 && self.run.stop.load(Ordering::Relaxed) {
                break;
            }
            let Some(op) = part.op(number % pass) else { break };
            let intended = self.wait(number);
            if let End::After(end) = self.run.end
                && intended >= end
            {
                break;
            }
            self.act(op, intended)?;
            if number % LOOK_EVERY == LOOK_EVERY - 1 {
                self.run.done.fetch_add(LOOK_EVERY, Ordering::Relaxed);
            }
        }
        Ok(self.worked)
    }

    /// Waits until the operation with this number should start, and returns when that is. One that
    /// starts late because those before it took long is measured from when it should have started.
    fn wait(&self, number: u64) -> Duration {
        let now = self.run.begun.elapsed();
        let Some(pace) = self.pace else { return now };
        let intended = Duration::from_nanos((pace.as_nanos() as f64 * number as f64) as u64);
        loop {
            let left = intended.saturating_sub(self.run.begun.elapsed());
            if left.is_zero() || self.run.stop.load(Ordering::Relaxed) {
                return intended;
            }
            match left.checked_sub(SLEEP_SLACK) {
                Some(sleep) => std::thread::sleep(sleep.min(Duration::from_millis(50))),
                None => std::hint::spin_loop(),
            }
        }
    }

    fn act(&mut self, op: Op, intended: Duration) -> annulus::Result<()> {
        let run = self.run;
        let key = run.keys.get(op.key);
        if let Act::Write { bytes } = op.act {
            // Made before the clock starts: it is the replay's work, not the store's.
            self.sequence += 1;
            value::write(&mut self.buffer, key, self.sequence, bytes.unwrap_or(run.value_bytes));
        }
        let started = run.begun.elapsed();
        let shard = self.shard_of(key);
        // At full speed an operation is due when it starts.
        let due = if self.pace.is_some() { intended } else { started };
        let counts = &mut self.worked.counts;
        let ended = match op.act {
            Act::Read => {
                let found = run.keyspace.get(key)?;
                let ended = run.begun.elapsed();
                counts.reads += 1;
                counts.absent += u64::from(found.is_none());
                if run.verify {
                    let held = self.held.get(op.key as usize).copied().unwrap_or(Held::Unknown);
                    counts.unchecked += u64::from(held == Held::Unknown);
                    counts.wrong += u64::from(!value::is_right(found.as_deref(), key, held));
                }
                ended
            }
            Act::Write { bytes } => {
                run.keyspace.put(key, &self.buffer)?;
                let bytes = bytes.unwrap_or(run.value_bytes);
                self.now_holds(op.key, Held::Value { sequence: self.sequence, bytes });
                self.worked.counts.writes += 1;
                run.begun.elapsed()
            }
            Act::Delete => {
                run.keyspace.delete(key)?;
                self.now_holds(op.key, Held::Nothing);
                self.worked.counts.deletes += 1;
                run.begun.elapsed()
            }
            Act::Scan { rows } => {
                self.scan(key, rows)?;
                run.begun.elapsed()
            }
        };
        let nanos = u64::try_from(ended.saturating_sub(due).as_nanos()).unwrap_or(u64::MAX);
        self.worked.nanos.saturating_record(nanos.max(1));
        self.worked.timeline.count(started, shard);
        self.worked.ended = ended;
        Ok(())
    }

    fn now_holds(&mut self, key: u32, held: Held) {
        if let Some(slot) = self.held.get_mut(key as usize) {
            *slot = held;
        }
    }

    /// Returns the place of the shard that owns a key at this moment.
    fn shard_of(&self, key: &[u8]) -> usize {
        let placement = self.run.keyspace.placement();
        let partitioning = placement.partitioning();
        let owner = partitioning.owner(partitioning.find(key));
        let place = owner.and_then(|owner| self.run.shards.binary_search(&owner).ok());
        place.unwrap_or(usize::MAX)
    }

    /// Scans rows from a key on: they must ascend, and where no one else has written, each value
    /// must belong to its key. Which value it is, only the key's own thread knows.
    fn scan(&mut self, from: &[u8], rows: u32) -> annulus::Result<()> {
        let options = ScanOptions::new().limit(u64::from(rows));
        let mut scan = self.run.keyspace.scan_with(from.to_vec().., options)?;
        let mut before: Option<Vec<u8>> = None;
        let mut wrong = false;
        while let Some((key, value)) = scan.next_row()? {
            if self.run.verify {
                let ascends = before.as_deref().map_or(key >= from, |before| before < key);
                let whole = !self.run.alone || value::sequence_of(value, key).is_some();
                wrong |= !(ascends && whole);
                before.get_or_insert_default().clear();
                before.get_or_insert_default().extend_from_slice(key);
            }
        }
        self.worked.counts.scans += 1;
        self.worked.counts.wrong += u64::from(wrong);
        Ok(())
    }
}
