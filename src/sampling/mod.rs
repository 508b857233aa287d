//! Samples application operations into sharded buffers, which the [rebalancer](crate::rebalancer)'s
//! thread drains.
//!
//! Each thread counts its operations on a store down to the next one to sample, in a thread-local
//! variable; the gaps are drawn at random, so that no rhythm of the application hides a key.
//! Samples go to one of a few buffers, each on separate cache lines. So an operation that is not
//! sampled touches no memory that another thread writes to, and one that is sampled waits for no
//! other thread: if its buffer is locked or full, the sample is lost, and counted as such.

mod scan;

pub(crate) use scan::ScanSampler;

use crate::heat::Operation;
use crate::id::KeyspaceId;
use crossbeam::utils::CachePadded;
use parking_lot::Mutex;
use std::cell::Cell;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Buffers; threads are distributed over them.
const BUFFERS: usize = 16;

/// The maximum number of samples in one buffer.
const SAMPLES_MAX: usize = 8192;
const KEY_BYTES_MAX: usize = 1 << 20;

/// On average one operation in `GAP_FIRST` is sampled at the beginning, and later no fewer than one
/// in `GAP_MAX`.
const GAP_FIRST: u32 = 16;
const GAP_MAX: u32 = 1024;

/// The gaps are chosen for about this many samples a second, over all threads: enough to tell the
/// tenth from the eleventh key of a Zipf distribution within a second, for about one hundredth of a
/// processor's time.
const SAMPLES_PER_SECOND: f64 = 32_000.0;

/// Where an idle store becomes busy, its gap is too small until samples are next drained. So the
/// gap is doubled each time a buffer has received this many samples.
const SAMPLES_A_DOUBLING: usize = 256;

/// Countdowns of a thread: one for the stores that sample nothing; the others are assigned to those
/// that do, in the order of their opening. If more are open, some share one. The samples stay
/// correct: each operation is as likely to be sampled as its weight says. But the gap of one store
/// is used for the other, too.
const COUNTDOWNS: usize = 16;

/// The countdown of stores that sample nothing.
const OF_NONE: usize = 0;

thread_local! {
    static THREAD: Thread = const {
        Thread {
            countdowns: [const { Countdown { left: Cell::new(0), gap: Cell::new(0) } }; COUNTDOWNS],
            random: Cell::new(0),
            buffer: Cell::new(0),
        }
    };
}

/// The thread-local state.
struct Thread {
    countdowns: [Countdown; COUNTDOWNS],
    /// State of a xorshift generator (Marsaglia 2003): all it needs is to be cheap and without a
    /// rhythm. 0 before the first draw.
    random: Cell<u64>,
    buffer: Cell<usize>,
}

/// How far a thread is from its next sample of a store.
struct Countdown {
    left: Cell<u32>,
    /// The mean of the distribution that `left` was drawn from; 0 before the first draw.
    gap: Cell<u32>,
}

impl Thread {
    /// Draws the distance to the next sample, uniformly from 0 to twice the mean.
    fn draw(&self, countdown: &Countdown, gap: u32) {
        let mut random = match self.random.get() {
            0 => self.begin(),
            random => random,
        };
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        self.random.set(random);
        countdown.gap.set(gap);
        countdown.left.set(((random >> 32) % u64::from(2 * gap - 1)) as u32);
    }

    /// Prepares a thread at its first operation: its generator and its buffer.
    fn begin(&self) -> u64 {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        let number = THREADS.fetch_add(1, Ordering::Relaxed);
        self.buffer.set(number % BUFFERS);
        (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// An operation that is sampled.
#[derive(Clone, Copy)]
pub(crate) struct SampleTicket {
    begun: Instant,
    /// How many operations it stands for.
    weight: u32,
}

impl SampleTicket {
    /// Returns how many operations it stands for.
    pub(crate) fn weight(self) -> u32 {
        self.weight
    }
}

/// The record of a sampled operation.
#[derive(Clone, Copy)]
pub(crate) struct SampledOperation<'a> {
    pub(crate) keyspace: KeyspaceId,
    pub(crate) key: &'a [u8],
    pub(crate) access: Operation<'a>,
    pub(crate) bytes: usize,
    /// How many operations it stands for.
    pub(crate) weight: u32,
    /// How long it took, where that is known.
    pub(crate) took: Option<Duration>,
}

#[derive(Default)]
struct Buffer {
    samples: Vec<Raw>,
    keys: Vec<u8>,
}

/// A [`SampledOperation`] whose keys are in the buffer.
struct Raw {
    keyspace: KeyspaceId,
    kind: Kind,
    key_bytes: u32,
    last_bytes: u32,
    weight: u32,
    rows: u64,
    bytes: usize,
    took: Option<Duration>,
}

#[derive(Clone, Copy)]
enum Kind {
    Read,
    Write,
    Scan,
}

pub(crate) struct Sampler {
    /// The countdown of a thread that counts for this store.
    countdown: usize,
    /// The present mean gap; 0 if nothing is sampled.
    gap: CachePadded<AtomicU32>,
    buffers: Box<[CachePadded<Mutex<Buffer>>]>,
    /// Operations whose samples were lost.
    lost: CachePadded<AtomicU64>,
}

impl Sampler {
    pub(crate) fn new(enabled: bool) -> Self {
        static SAMPLERS: AtomicUsize = AtomicUsize::new(0);
        let number = || SAMPLERS.fetch_add(1, Ordering::Relaxed);
        Self {
            countdown: if enabled { 1 + number() % (COUNTDOWNS - 1) } else { OF_NONE },
            gap: CachePadded::new(AtomicU32::new(if enabled { GAP_FIRST } else { 0 })),
            buffers: (0..BUFFERS).map(|_| CachePadded::default()).collect(),
            lost: CachePadded::default(),
        }
    }

    /// Called at the beginning of each operation. Returns a ticket if it is sampled.
    #[inline]
    pub(crate) fn begin(&self) -> Option<SampleTicket> {
        THREAD.with(|thread| {
            let countdown = thread.countdowns.get(self.countdown % COUNTDOWNS)?;
            match countdown.left.get().checked_sub(1) {
                Some(left) => {
                    countdown.left.set(left);
                    None
                }
                None => self.begin_sampled(thread, countdown),
            }
        })
    }

    #[cold]
    fn begin_sampled(&self, thread: &Thread, countdown: &Countdown) -> Option<SampleTicket> {
        let gap = self.gap.load(Ordering::Relaxed);
        if gap == 0 {
            countdown.left.set(GAP_MAX);
            return None;
        }
        let weight = countdown.gap.get();
        thread.draw(countdown, gap);
        (weight > 0).then(|| SampleTicket { begun: Instant::now(), weight })
    }

    /// Records the end of a read or a write, if it is sampled.
    #[inline]
    pub(crate) fn end(
        &self,
        sampled: Option<SampleTicket>,
        keyspace: KeyspaceId,
        key: &[u8],
        access: Operation<'_>,
        bytes: usize,
    ) {
        if let Some(SampleTicket { begun, weight }) = sampled {
            let took = Some(begun.elapsed());
            self.record(SampledOperation { keyspace, key, access, bytes, weight, took });
        }
    }

    #[cold]
    pub(crate) fn record(&self, seen: SampledOperation<'_>) {
        let buffer = THREAD.with(|thread| thread.buffer.get());
        match self.buffers.get(buffer).and_then(|buffer| buffer.try_lock()?.push(seen)) {
            None => {
                self.lost.fetch_add(seen.weight.into(), Ordering::Relaxed);
            }
            Some(samples) if samples.is_multiple_of(SAMPLES_A_DOUBLING) => {
                let gap = seen.weight.saturating_mul(2).min(GAP_MAX);
                self.gap.fetch_max(gap, Ordering::Relaxed);
            }
            Some(_) => {}
        }
    }

    /// Passes what was recorded since the last call to `take`, and chooses the next gap from how
    /// much that was in `elapsed`.
    pub(crate) fn drain(&self, elapsed: Duration, mut take: impl FnMut(SampledOperation<'_>)) {
        let mut operations = self.lost.swap(0, Ordering::Relaxed);
        let mut spare = Buffer::default();
        for buffer in &self.buffers {
            std::mem::swap(&mut spare, &mut *buffer.lock());
            operations += spare.samples.iter().map(|raw| u64::from(raw.weight)).sum::<u64>();
            spare.drain(&mut take);
        }
        let per_second = operations as f64 / elapsed.as_secs_f64().max(1e-3);
        let gap = (per_second / SAMPLES_PER_SECOND).clamp(1.0, f64::from(GAP_MAX));
        self.gap.store(gap as u32, Ordering::Relaxed);
    }
}

impl Buffer {
    /// Adds a sample. Returns how many there are now, or `None` if there is no room for this one.
    fn push(&mut self, seen: SampledOperation<'_>) -> Option<usize> {
        let (kind, last, rows) = match seen.access {
            Operation::Read => (Kind::Read, &[][..], 1),
            Operation::Write => (Kind::Write, &[][..], 1),
            Operation::Scan { last, rows } => (Kind::Scan, last, rows),
        };
        let room = KEY_BYTES_MAX.checked_sub(self.keys.len())?;
        if self.samples.len() >= SAMPLES_MAX || seen.key.len() + last.len() > room {
            return None;
        }
        self.keys.extend_from_slice(seen.key);
        self.keys.extend_from_slice(last);
        self.samples.push(Raw {
            keyspace: seen.keyspace,
            kind,
            key_bytes: u32::try_from(seen.key.len()).ok()?,
            last_bytes: u32::try_from(last.len()).ok()?,
            weight: seen.weight,
            rows,
            bytes: seen.bytes,
            took: seen.took,
        });
        Some(self.samples.len())
    }

    fn drain(&mut self, take: &mut impl FnMut(SampledOperation<'_>)) {
        let mut keys = self.keys.as_slice();
        for raw in self.samples.drain(..) {
            let Some((key, rest)) = keys.split_at_checked(raw.key_bytes as usize) else { break };
            let Some((last, rest)) = rest.split_at_checked(raw.last_bytes as usize) else { break };
            keys = rest;
            let access = match raw.kind {
                Kind::Read => Operation::Read,
                Kind::Write => Operation::Write,
                Kind::Scan => Operation::Scan { last, rows: raw.rows },
            };
            let Raw { keyspace, bytes, weight, took, .. } = raw;
            take(SampledOperation { keyspace, key, access, bytes, weight, took });
        }
        self.keys.clear();
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test that fails panics")]
mod tests {
    use super::*;

    /// The samples drained stand for all that was done, whatever the gap, the number of threads,
    /// and the rhythm of the keys.
    #[test]
    fn samples_stand_for_all_operations() {
        let sampler = Sampler::new(true);
        const OPERATIONS: usize = 400_000;
        let (mut counts, mut bytes) = ([0_u64; 8], 0);
        let mut total = 0;
        for round in 0..10 {
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        for number in 0..OPERATIONS / 20 {
                            // A rhythm with which every fixed power of two would coincide.
                            let key = [(number % 8) as u8];
                            let sampled = sampler.begin();
                            sampler.end(sampled, KeyspaceId(1), &key, Operation::Read, 10);
                        }
                    });
                }
            });
            // As if that had been a second's work, then ten times as much, and so on.
            let elapsed = Duration::from_millis(if round % 2 == 0 { 1000 } else { 100 });
            sampler.drain(elapsed, |seen| {
                counts[usize::from(seen.key[0])] += u64::from(seen.weight);
                bytes += seen.bytes as u64 * u64::from(seen.weight);
                total += u64::from(seen.weight);
            });
        }
        let expected = OPERATIONS as f64;
        assert!((total as f64 / expected - 1.0).abs() < 0.1, "{total} of {expected}");
        assert_eq!(bytes, total * 10);
        for count in counts {
            assert!((count as f64 * 8.0 / expected - 1.0).abs() < 0.2, "{counts:?}");
        }
    }

    /// A past bug: all stores of a process shared the countdown. So a store that samples nothing,
    /// used in turn with another, consumed all samples that fell on it, and set the other back by a
    /// thousand operations each time; and a busy store made the gaps of a quiet one long.
    #[test]
    fn stores_do_not_swallow_the_samples_of_others() {
        let (none, busy, quiet) = (Sampler::new(false), Sampler::new(true), Sampler::new(true));
        busy.gap.store(GAP_MAX, Ordering::Relaxed);
        const OPERATIONS: u64 = 200_000;
        let read = |sampler: &Sampler| {
            let sampled = sampler.begin();
            sampler.end(sampled, KeyspaceId(1), b"key", Operation::Read, 1);
        };
        for _ in 0..OPERATIONS {
            [&none, &busy, &quiet].into_iter().for_each(read);
        }
        let drain = |sampler: &Sampler| {
            let (mut operations, mut samples) = (0, 0_u64);
            sampler.drain(Duration::from_secs(10), |seen| {
                operations += u64::from(seen.weight);
                samples += 1;
            });
            (operations as f64 / OPERATIONS as f64, samples)
        };
        assert_eq!(drain(&none), (0.0, 0));
        let ((of_busy, _), (of_quiet, samples)) = (drain(&busy), drain(&quiet));
        assert!((of_busy - 1.0).abs() < 0.3, "{of_busy}");
        assert!((of_quiet - 1.0).abs() < 0.1, "{of_quiet}");
        // Each sample stands for few operations, apart from the doublings of a full buffer.
        assert!(samples > OPERATIONS / u64::from(GAP_MAX) * 2, "{samples}");
    }

    #[test]
    fn a_full_buffer_loses_samples_and_says_so() {
        let sampler = Sampler::new(true);
        let key = vec![7; KEY_BYTES_MAX / 2 + 1];
        for _ in 0..2 {
            let access = Operation::Scan { last: b"z", rows: 3 };
            let (keyspace, took) = (KeyspaceId(1), None);
            sampler.record(SampledOperation {
                keyspace,
                key: &key,
                access,
                bytes: 1,
                weight: 5,
                took,
            });
        }
        assert_eq!(sampler.lost.load(Ordering::Relaxed), 5);
        let mut seen = 0;
        sampler.drain(Duration::from_secs(1), |one| {
            assert_eq!(one.key, key);
            assert!(matches!(one.access, Operation::Scan { last: b"z", rows: 3 }));
            seen += 1;
        });
        assert_eq!(seen, 1);
    }
}
