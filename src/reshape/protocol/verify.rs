//! The comparison of targets and sources, which must be equal before a reshape is committed.
//!
//! Writers continue meanwhile, so both sides are compared as of one cut. The sources are sealed for
//! the microseconds of the cut; what was written and not yet applied to the targets at that moment
//! is in the log before the cut, and is left out on both sides. Everything else must be equal.

use super::super::options::Check;
use super::context::{Endpoint, ReshapePair, Tally};
use super::follow::{Change, Changes, Follower};
use super::retry_budget::RetryBudget;
use crate::engine::{Direction, Engine, EngineSnapshot, Read};
use crate::error::{Error, ErrorKind, Result};
use crate::expiry;
use crate::id::ShardId;
use crate::log::Position;
use crate::os::failpoint;
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
    /// What was written and not yet applied.
    pending: Changes,
    pending_keys: HashSet<Box<[u8]>>,
    pending_ranges: Vec<KeyRange>,
    /// The moment at which rows that have expired do not count: compactions of the two sides may
    /// have removed others of them.
    expired_at: Option<expiry::Moment>,
}

impl Moment {
    fn new(
        snapshots: BTreeMap<ShardId, EngineSnapshot>,
        pending: Changes,
        expired_at: Option<expiry::Moment>,
    ) -> Self {
        let (mut pending_keys, mut pending_ranges) = (HashSet::new(), Vec::new());
        for change in pending.iter() {
            match change {
                Change::Put { key, .. } | Change::Delete { key } => {
                    pending_keys.insert(key.into());
                }
                Change::DeleteRange { start, end } => {
                    pending_ranges.push(KeyRange::new(start, Some(end)));
                }
            }
        }
        Self { snapshots, pending, pending_keys, pending_ranges, expired_at }
    }

    fn is_pending(&self, key: &[u8]) -> bool {
        self.pending_keys.contains(key)
            || self.pending_ranges.iter().any(|range| range.contains(key))
    }
}

/// What is left to be done after a comparison that found no difference.
pub(super) struct Compared {
    /// What was written before the cut and is still to be applied.
    pub(super) pending: Changes,
    /// How long writes had to wait for the cut.
    pub(super) sealed: Duration,
}

/// Compares both sides, after the follower has caught up with the sources. `pace` receives the number of bytes that were read, and may end the
/// comparison with an error.
///
/// # Errors
///
/// `Damaged`, with what differs.
pub(super) fn compare(
    sides: &ReshapePair,
    follower: &mut Follower,
    check: Check,
    pause: Duration,
    tally: &mut Tally,
    mut pace: impl FnMut(u64) -> Result<()>,
) -> Result<Compared> {
    let (moment, sealed) = take(sides, follower, pause, tally, &mut pace)?;
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
    follower: &mut Follower,
    pause: Duration,
    tally: &mut Tally,
    pace: &mut impl FnMut(u64) -> Result<()>,
) -> Result<(Moment, Duration)> {
    let mut longest = Duration::ZERO;
    let (mut budget, mut wait) = (RetryBudget::new(), SNAPSHOT_PAUSE);
    while budget.allows_another() {
        let begun = Instant::now();
        let cut = cut(sides, follower, begun + pause / 5)?;
        longest = longest.max(begun.elapsed());
        if let Some((snapshots, end)) = cut {
            let pending = follower.follow_all(end, || pace(0))?;
            return Ok((Moment::new(snapshots, pending, sides.expired_at), longest));
        }
        // What is applied now need not be left out.
        let end = follower.end();
        pace(sides.advance(follower, end, tally)?.bytes)?;
        std::thread::sleep(wait);
        wait = (wait * 2).min(SNAPSHOT_PAUSE_MAX);
    }
    Err(Error::new(
        ErrorKind::Busy,
        "writes to the partition hold it for too long to compare the copy with it; try again later",
    ))
}

/// Returns snapshots of both sides, and the end of the log at the same moment: the sources have
/// everything before it, the targets what was applied. `None` if writers hold the sources until
/// after the deadline.
fn cut(
    sides: &ReshapePair,
    follower: &Follower,
    deadline: Instant,
) -> Result<Option<(BTreeMap<ShardId, EngineSnapshot>, Position)>> {
    let sealed: Option<Vec<_>> =
        sides.sources.iter().map(|side| side.partition.state.seal(Some(deadline))).collect();
    let Some(_sealed) = sealed else { return Ok(None) };
    let mut snapshots = BTreeMap::new();
    for Endpoint { partition, .. } in sides.sources.iter().chain(&sides.targets) {
        partition.snapshot_in(&mut snapshots)?;
    }
    Ok(Some((snapshots, follower.end())))
}

/// Returns the rows of one side in a range, as of the moment, in order.
fn rows(
    side: &[Endpoint],
    range: &KeyRange,
    moment: &Moment,
) -> Result<MergeCursor<PartitionCursor>> {
    let cursors = side.iter().map(|Endpoint { partition, filter }| {
        let at = moment.snapshots.get(&partition.owner);
        let expired_at = if failpoint::skip("compare-expired") { None } else { moment.expired_at };
        let read = Read { at, bypass_cache: true, expired_at, ..Read::PRESENT };
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
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::catalog::OpenPartition;
    use crate::engine::ShardEngine;
    use crate::id::PartitionId;
    use crate::read::RowFilter;
    use crate::topology::{KeyspaceSpec, PartitionName};
    use crate::{Keyspace, Store};
    use std::sync::Arc;

    /// Returns a partition with rows and a copy of it that `spoil` may change, both large enough to
    /// be sampled.
    fn sides(
        store: &Store,
        keyspace: &Keyspace,
        spoil: impl FnOnce(&ShardEngine, &OpenPartition),
    ) -> ReshapePair {
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
            shard.put(&handle, key.as_bytes(), value.as_bytes()).unwrap();
        }
        let target = Arc::new(OpenPartition::new(name, source.owner, Arc::clone(&shard), handle));
        spoil(&shard, &target);
        let side = |partition| vec![Endpoint { partition, filter: RowFilter::All }];
        ReshapePair { sources: side(source), targets: side(target), expired_at: None }
    }

    /// Compares a copy with its source, into which `late` is written when the copy has all of the
    /// rest.
    fn compared(
        check: Check,
        late: impl FnOnce(&Keyspace),
        spoil: impl FnOnce(&ShardEngine, &OpenPartition),
    ) -> Result<Changes> {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("store")).unwrap();
        let keyspace = store.create_keyspace("rows", KeyspaceSpec::range()).unwrap();
        let sides = sides(&store, &keyspace, spoil);
        let catalog = &store.core().catalog;
        let mut follower = Follower::begin(catalog, keyspace.id(), RowFilter::All)?;
        late(&keyspace);
        let (pause, mut tally) = (Duration::from_secs(1), Tally::default());
        compare(&sides, &mut follower, check, pause, &mut tally, |_| Ok(()))
            .map(|compared| compared.pending)
    }

    fn full(spoil: impl FnOnce(&ShardEngine, &OpenPartition)) -> Error {
        compared(Check::Full, |_| {}, spoil).err().unwrap()
    }

    #[test]
    fn equal_sides_pass_and_a_difference_is_named() {
        for check in [Check::Full, Check::Sampled] {
            compared(check, |_| {}, |_, _| {}).unwrap();
        }
        let put = |key: &'static [u8], value: &'static [u8]| {
            move |shard: &ShardEngine, target: &OpenPartition| {
                shard.put(&target.handle, key, value).unwrap();
            }
        };
        let delete = |key: &'static [u8]| {
            move |shard: &ShardEngine, target: &OpenPartition| {
                shard.delete(&target.handle, key).unwrap();
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
        let sampled = compared(Check::Sampled, |_| {}, delete(b"000000"));
        named(sampled.err().unwrap(), "key `000000` is missing");
    }

    #[test]
    fn what_is_still_to_be_copied_may_differ() {
        let write = |keyspace: &Keyspace| keyspace.put("000777", "777").unwrap();
        let pending = compared(Check::Full, write, |shard, target| {
            shard.delete(&target.handle, b"000777").unwrap();
        });
        let pending = pending.unwrap();
        let put = Change::Put { key: b"000777", value: b"777" };
        assert_eq!(pending.iter().collect::<Vec<_>>(), [put]);

        let delete = |keyspace: &Keyspace| keyspace.delete_range("000777".."000779").unwrap();
        let pending = compared(Check::Full, delete, |_, _| {}).unwrap();
        let range = Change::DeleteRange { start: b"000777", end: b"000779" };
        assert_eq!(pending.iter().collect::<Vec<_>>(), [range]);
    }
}
