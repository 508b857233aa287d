//! The comparison of targets and sources, which must be equal before a reshape is committed.
//!
//! Writers continue meanwhile, so both sides are compared as of one cut. The sources are sealed for
//! the microseconds of the cut; what was written and not yet copied at that moment is known, and is
//! left out on both sides. Everything else must be equal.

use super::super::options::Check;
use super::context::{Endpoint, ReshapePair};
use super::retry_budget::RetryBudget;
use crate::engine::{Direction, Engine, EngineSnapshot, Read};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ShardId;
use crate::latch::{Changes, DirtySet};
use crate::placement::KeyRange;
use crate::placement::just_after;
use crate::read::{MergeCursor, PartitionCursor};
use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

/// How many rows a sampled check reads at each place, and at how many places; a partition with
/// fewer keys is read whole.
const ROWS_PER_SAMPLE: usize = 128;
const SAMPLES: usize = 32;

/// The wait between two attempts to take a cut; it doubles each time, up to a limit.
const SNAPSHOT_PAUSE: Duration = Duration::from_micros(100);
const SNAPSHOT_PAUSE_MAX: Duration = Duration::from_millis(50);

/// Rows, summed so that their order makes no difference: the sum over the rows of a hash of key
/// and value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Digest {
    rows: u64,
    sum: u128,
}

impl Digest {
    fn add(&mut self, key: &[u8], value: &[u8]) {
        self.rows += 1;
        self.sum = self.sum.wrapping_add(xxh3_128_with_seed(value, xxh3_64(key)));
    }
}

/// Both sides as of one moment.
struct Moment {
    snapshots: BTreeMap<ShardId, EngineSnapshot>,
    /// What was written and not yet copied.
    pending: Changes,
    pending_keys: HashSet<Box<[u8]>>,
}

impl Moment {
    fn is_pending(&self, key: &[u8]) -> bool {
        self.pending_keys.contains(key)
            || self.pending.ranges.iter().any(|range| range.contains(key))
    }
}

/// What is left to be done after a comparison that found no difference.
pub(crate) struct Compared {
    /// What was written before the cut and is still to be copied.
    pub(crate) pending: Changes,
    /// How long writes had to wait for the cut.
    pub(crate) sealed: Duration,
}

/// Compares both sides. `pace` receives the number of bytes that were read, and may end the
/// comparison with an error.
///
/// # Errors
///
/// `Damaged`, with what differs.
pub(crate) fn compare(
    sides: &ReshapePair,
    dirty: &DirtySet,
    check: Check,
    pause: Duration,
    mut pace: impl FnMut(u64) -> Result<()>,
) -> Result<Compared> {
    let (moment, sealed) = take(sides, dirty, pause, &mut pace)?;
    let ranges = match check {
        Check::None => Vec::new(),
        Check::Full => vec![KeyRange::default()],
        Check::Sampled => samples(sides, &moment)?,
    };
    for range in &ranges {
        let sources = digest(&sides.sources, range, &moment, &mut pace)?;
        let targets = digest(&sides.targets, range, &moment, &mut pace)?;
        if sources != targets {
            return Err(mismatch(sides, range, &moment, sources, targets));
        }
    }
    Ok(Compared { pending: moment.pending, sealed })
}

/// Takes the cut, and returns how long writes waited for it. Where a writer holds its stripe for
/// too long, the others may continue, and the cut is tried again.
fn take(
    sides: &ReshapePair,
    dirty: &DirtySet,
    pause: Duration,
    pace: &mut impl FnMut(u64) -> Result<()>,
) -> Result<(Moment, Duration)> {
    let mut longest = Duration::ZERO;
    let (mut budget, mut wait) = (RetryBudget::new(), SNAPSHOT_PAUSE);
    while budget.allows_another() {
        let begun = Instant::now();
        let deadline = Some(begun + pause / 5);
        let sealed: Option<Vec<_>> =
            sides.sources.iter().map(|side| side.partition.state.seal(deadline)).collect();
        let cut = sealed.map(|sealed| {
            let mut snapshots = BTreeMap::new();
            for Endpoint { partition, .. } in sides.sources.iter().chain(&sides.targets) {
                snapshots.entry(partition.owner).or_insert_with(|| partition.shard.snapshot());
            }
            let pending = dirty.take();
            drop(sealed);
            (snapshots, pending)
        });
        longest = longest.max(begun.elapsed());
        if let Some((snapshots, pending)) = cut {
            let pending_keys = pending.keys.iter().cloned().collect();
            return Ok((Moment { snapshots, pending, pending_keys }, longest));
        }
        pace(0)?;
        std::thread::sleep(wait);
        wait = (wait * 2).min(SNAPSHOT_PAUSE_MAX);
    }
    Err(Error::new(
        ErrorKind::Busy,
        "writes to the partition hold it for too long to compare the copy with it; try again later",
    ))
}

/// Returns the rows of one side in a range, as of the moment, in order.
fn rows(
    side: &[Endpoint],
    range: &KeyRange,
    moment: &Moment,
) -> Result<MergeCursor<PartitionCursor>> {
    let cursors = side.iter().map(|Endpoint { partition, filter }| {
        let at = moment.snapshots.get(&partition.owner);
        let read = Read { at, bypass_cache: true, ..Read::PRESENT };
        PartitionCursor::open(partition, filter.clone(), range, Direction::Forward, read)
    });
    Ok(MergeCursor::new(cursors.collect::<Result<Vec<_>>>()?, Direction::Forward))
}

fn digest(
    side: &[Endpoint],
    range: &KeyRange,
    moment: &Moment,
    pace: &mut impl FnMut(u64) -> Result<()>,
) -> Result<Digest> {
    const PACE_BYTES: u64 = 1 << 20;
    let mut digest = Digest::default();
    let mut bytes = 0;
    let mut rows = rows(side, range, moment)?;
    while let Some((key, value)) = rows.row() {
        if !moment.is_pending(key) {
            digest.add(key, value);
        }
        bytes += (key.len() + value.len()) as u64;
        if bytes >= PACE_BYTES {
            pace(std::mem::take(&mut bytes))?;
        }
        rows.advance()?;
    }
    pace(bytes)?;
    Ok(digest)
}

/// Returns ranges of some rows each, spread over the files of the sources; for a small partition, a
/// single range of everything.
fn samples(sides: &ReshapePair, moment: &Moment) -> Result<Vec<KeyRange>> {
    let mut keys = 0;
    let mut places = Vec::new();
    for Endpoint { partition, .. } in &sides.sources {
        keys += partition.shard.usage(&partition.handle)?.keys_estimated;
        places.extend(partition.shard.sample_keys(partition.name)?);
    }
    if keys < (SAMPLES * ROWS_PER_SAMPLE) as u64 || places.is_empty() {
        return Ok(vec![KeyRange::default()]);
    }
    places.sort_unstable();
    let step = places.len().div_ceil(SAMPLES);
    let mut ranges = Vec::with_capacity(SAMPLES);
    for start in places.into_iter().step_by(step) {
        let open = KeyRange { start: start.into(), end: None };
        let mut rows = rows(&sides.sources, &open, moment)?;
        let mut last = None;
        for _ in 0..ROWS_PER_SAMPLE {
            let Some((key, _)) = rows.row() else { break };
            last = Some(just_after(key).into());
            rows.advance()?;
        }
        ranges.push(KeyRange { end: last, ..open });
    }
    Ok(ranges)
}

#[cold]
fn mismatch(
    sides: &ReshapePair,
    range: &KeyRange,
    moment: &Moment,
    sources: Digest,
    targets: Digest,
) -> Error {
    let first = match first_difference(sides, range, moment) {
        Ok(Some(difference)) => difference,
        Ok(None) => "no single key that differs was found".to_owned(),
        Err(error) => format!("looking for the first difference failed: {error:#}"),
    };
    Error::new(
        ErrorKind::Damaged,
        format!(
            "the copy differs from its source: {} rows with digest {:032x} there, {} with {:032x} \
             in the copy; {first}; the source was kept",
            sources.rows, sources.sum, targets.rows, targets.sum
        ),
    )
}

fn first_difference(
    sides: &ReshapePair,
    range: &KeyRange,
    moment: &Moment,
) -> Result<Option<String>> {
    let mut sources = rows(&sides.sources, range, moment)?;
    let mut targets = rows(&sides.targets, range, moment)?;
    loop {
        while sources.row().is_some_and(|(key, _)| moment.is_pending(key)) {
            sources.advance()?;
        }
        while targets.row().is_some_and(|(key, _)| moment.is_pending(key)) {
            targets.advance()?;
        }
        let name = |key: &[u8]| key.escape_ascii().to_string();
        let missing = |key: &[u8]| format!("key `{}` is missing in the copy", name(key));
        let surplus = |key: &[u8]| format!("key `{}` is only in the copy", name(key));
        match (sources.row(), targets.row()) {
            (None, None) => return Ok(None),
            (Some((key, _)), None) => return Ok(Some(missing(key))),
            (None, Some((key, _))) => return Ok(Some(surplus(key))),
            (Some((one, _)), Some((other, _))) if one < other => return Ok(Some(missing(one))),
            (Some((one, _)), Some((other, _))) if one > other => return Ok(Some(surplus(other))),
            (Some((key, one)), Some((_, other))) if one != other => {
                return Ok(Some(format!("key `{}` has another value in the copy", name(key))));
            }
            _ => {}
        }
        sources.advance()?;
        targets.advance()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Store;
    use crate::catalog::OpenPartition;
    use crate::engine::Durability;
    use crate::engine::ShardEngine;
    use crate::id::PartitionId;
    use crate::read::RowFilter;
    use crate::topology::{KeyspaceSpec, PartitionName};
    use std::sync::Arc;

    /// Returns a partition with rows and a copy of it that `spoil` may change, both large enough to
    /// be sampled.
    fn sides(store: &Store, spoil: impl FnOnce(&ShardEngine, &OpenPartition)) -> ReshapePair {
        let keyspace = store.create_keyspace("rows", KeyspaceSpec::range()).unwrap();
        let rows = SAMPLES * ROWS_PER_SAMPLE * 4;
        for n in 0..rows {
            keyspace.put(format!("{n:06}"), n.to_string()).unwrap();
        }
        store.flush().unwrap();
        let source = Arc::clone(keyspace.view().partition(0).unwrap());
        let name = PartitionName { id: PartitionId(999), generation: 0 };
        let shard = Arc::clone(&source.shard);
        let handle = shard.create_partition(name).unwrap();
        for n in 0..rows {
            let (key, value) = (format!("{n:06}"), n.to_string());
            shard.put(&handle, key.as_bytes(), value.as_bytes(), Durability::Buffered).unwrap();
        }
        let target = Arc::new(OpenPartition::new(name, source.owner, Arc::clone(&shard), handle));
        spoil(&shard, &target);
        let side = |partition| vec![Endpoint { partition, filter: RowFilter::All }];
        ReshapePair { sources: side(source), targets: side(target) }
    }

    fn compared(
        check: Check,
        dirty: &DirtySet,
        spoil: impl FnOnce(&ShardEngine, &OpenPartition),
    ) -> Result<Changes> {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("store")).unwrap();
        let sides = sides(&store, spoil);
        compare(&sides, dirty, check, Duration::from_secs(1), |_| Ok(()))
            .map(|compared| compared.pending)
    }

    fn full(spoil: impl FnOnce(&ShardEngine, &OpenPartition)) -> Error {
        compared(Check::Full, &DirtySet::new(1 << 20), spoil).err().unwrap()
    }

    #[test]
    fn equal_sides_pass_and_a_difference_is_named() {
        let dirty = DirtySet::new(1 << 20);
        for check in [Check::Full, Check::Sampled] {
            compared(check, &dirty, |_, _| {}).unwrap();
        }
        let put = |key: &'static [u8], value: &'static [u8]| {
            move |shard: &ShardEngine, target: &OpenPartition| {
                shard.put(&target.handle, key, value, Durability::Buffered).unwrap();
            }
        };
        let delete = |key: &'static [u8]| {
            move |shard: &ShardEngine, target: &OpenPartition| {
                shard.delete(&target.handle, key, Durability::Buffered).unwrap();
            }
        };
        let named = |error: Error, words: &str| {
            assert_eq!(error.kind(), ErrorKind::Damaged);
            assert!(error.to_string().contains(words), "{error}");
        };
        named(full(put(b"000777", b"other")), "key `000777` has another value");
        named(full(put(b"000777x", b"")), "key `000777x` is only in the copy");
        named(full(delete(b"000777")), "key `000777` is missing in the copy");
        // The first key of a file is among the samples.
        let sampled = compared(Check::Sampled, &dirty, delete(b"000000"));
        named(sampled.err().unwrap(), "key `000000` is missing");
    }

    #[test]
    fn what_is_still_to_be_copied_may_differ() {
        let dirty = DirtySet::new(1 << 20);
        let access = crate::latch::PartitionState::default();
        let dirty = Arc::new(dirty);
        access.track(Arc::clone(&dirty));
        let stripe = access.latch.share(b"000777");
        access.record(b"000777");
        drop(stripe);
        let pending = compared(Check::Full, &dirty, |shard, target| {
            shard.delete(&target.handle, b"000777", Durability::Buffered).unwrap();
        });
        assert_eq!(pending.unwrap().keys, [Box::from(&b"000777"[..])]);
    }
}
