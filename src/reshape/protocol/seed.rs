//! Seeding: the targets receive what the sources hold, by link or by copy.

use super::super::options::Transport;
use super::context::{Endpoint, Reshape, Tally, TargetSpec};
use super::follow::Follower;
use crate::catalog::OpenPartition;
use crate::engine::{
    Direction, Engine, EnginePartition, EngineSnapshot, PutRow, Read, ShardEngine,
};
use crate::error::{Error, ErrorKind, Result};
use crate::expiry::{Held, Moment};
use crate::id::ShardId;
use crate::os::failpoint;
use crate::placement::KeyRange;
use crate::placement::{PartitionRange, TokenRange};
use crate::read::{MergeCursor, PartitionCursor, RowFilter};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Reshape<'_> {
    /// Makes the targets, with what the sources hold at some moment after the follower began. A
    /// link begins with a flush, which a source that refuses writes also refuses; its rows can be
    /// copied nevertheless.
    pub(super) fn seed(&self, follower: &Follower, tally: &mut Tally) -> Result<Vec<Endpoint>> {
        failpoint::require(
            || follower.birth() == follower.position(),
            "what is read already is applied to no target",
        );
        match self.seed_by(self.transport, tally) {
            Err(error)
                if self.transport == Transport::Link
                    && self.options.transport.is_none()
                    && error.kind() == ErrorKind::Io =>
            {
                tracing::warn!(
                    reshape = self.number,
                    error = format_args!("{error:#}"),
                    "copies what cannot be linked"
                );
                let sources: Vec<_> =
                    self.sources.iter().map(|side| Arc::clone(&side.partition)).collect();
                check_disks(&sources, &self.target_specs)?;
                tally.bytes = 0;
                self.seed_by(Transport::Copy, tally)
            }
            seeded => seeded,
        }
    }

    fn seed_by(&self, transport: Transport, tally: &mut Tally) -> Result<Vec<Endpoint>> {
        tally.transport = Some(transport);
        let mut targets = Vec::with_capacity(self.target_specs.len());
        for target_spec in &self.target_specs {
            self.checkpoint()?;
            // An earlier attempt may have left a partition of this name behind.
            target_spec.shard.drop_partition(target_spec.name)?;
            let expiring = self.sources.first().and_then(|it| it.partition.expiring.as_ref());
            if let Some(expiring) = expiring {
                self.reshaper.catalog.resources.expiring.add(target_spec.name, expiring);
            }
            let (handle, out_of_range) = match (transport, self.sources.as_slice()) {
                (Transport::Link, [source, ..]) => {
                    let handle = link(&source.partition, target_spec)?;
                    let bytes = target_spec.shard.usage(&handle)?.bytes_on_disk;
                    tally.bytes += bytes;
                    self.control.add_done(0, bytes);
                    // A source without files shares none.
                    let out_of_range = match bytes {
                        0 => 0,
                        _ => out_of_range_permille(
                            &source.partition,
                            &self.source_range,
                            target_spec,
                        )?,
                    };
                    (handle, out_of_range)
                }
                _ => {
                    let pace = |keys, bytes| {
                        tally.bytes += bytes;
                        self.control.add_done(keys, bytes);
                        self.pace(bytes)
                    };
                    (copy(&self.sources, target_spec, self.held.as_ref().map(Held::at), pace)?, 0)
                }
            };
            if failpoint::skip("birth-position") {
                // As if writers wrote to it from now on.
                target_spec.shard.follow(&handle, self.reshaper.catalog.log.applied());
            }
            failpoint::hit("reshape-after-target");
            let shard = Arc::clone(&target_spec.shard);
            let partition = OpenPartition::new(target_spec.name, target_spec.owner, shard, handle);
            let partition = Arc::new(partition.with_out_of_range(out_of_range));
            targets.push(Endpoint { partition, filter: target_spec.filter.clone() });
        }
        Ok(targets)
    }
}

/// Returns the transport for a reshape: links where they are possible, unless a copy is requested.
///
/// # Errors
///
/// `InvalidArgument` if links are requested but not possible.
pub(crate) fn choose(
    wanted: Option<Transport>,
    sources: &[Arc<OpenPartition>],
    targets: &[Arc<ShardEngine>],
) -> Result<Transport> {
    let possible = match sources {
        [source] => targets.iter().all(|target| target.can_link(&source.shard)),
        _ => false,
    };
    match wanted {
        None if possible => Ok(Transport::Link),
        None => Ok(Transport::Copy),
        Some(Transport::Link) if !possible => Err(Error::invalid(
            "links need a single source on the filesystem of the targets; ask for a copy, or leave \
             the choice open",
        )),
        Some(wanted) => Ok(wanted),
    }
}

/// Makes a target that shares the files of the source. It holds what the source held at some
/// moment during the call.
fn link(source: &OpenPartition, target: &TargetSpec) -> Result<EnginePartition> {
    target.shard.link_partition(target.name, &source.handle)
}

/// Makes a target from the rows of its range, as each source holds them at one moment. `pace`
/// receives the numbers of keys and bytes as they are read, and may end the copy with an error.
/// Rows that have expired at a moment are left out.
fn copy(
    sources: &[Endpoint],
    target: &TargetSpec,
    expired_at: Option<Moment>,
    mut pace: impl FnMut(u64, u64) -> Result<()>,
) -> Result<EnginePartition> {
    let mut snapshots: BTreeMap<ShardId, EngineSnapshot> = BTreeMap::new();
    let mut cursors = Vec::with_capacity(sources.len());
    for Endpoint { partition, filter } in sources {
        let snapshot = partition.snapshot_in(&mut snapshots)?;
        let read = Read { at: Some(snapshot), bypass_cache: true, expired_at, ..Read::PRESENT };
        let range = range_of(&target.range);
        let filter = narrower(filter, target);
        cursors.push(PartitionCursor::open(partition, filter, &range, Direction::Forward, read)?);
    }
    let mut rows = MergeCursor::new(cursors, Direction::Forward);
    target.shard.load_partition(target.name, |put: &mut PutRow<'_>| {
        /// How many bytes are read between two calls of `pace`.
        const PACE_BYTES: usize = 256 << 10;
        let (mut keys, mut bytes) = (0, 0);
        while let Some((key, value)) = rows.row() {
            put(key, value)?;
            keys += 1;
            bytes += key.len() + value.len();
            if bytes >= PACE_BYTES {
                pace(keys, bytes as u64)?;
                (keys, bytes) = (0, 0);
            }
            rows.advance()?;
        }
        pace(keys, bytes as u64)
    })
}

/// Returns a filter for the target's rows among a source's rows. Rows need not be checked one by
/// one if the source has no rows of other partitions and all of its rows go to the target.
fn narrower(source: &RowFilter, target: &TargetSpec) -> RowFilter {
    match (source, &target.filter) {
        (RowFilter::All, RowFilter::All) => RowFilter::All,
        (_, RowFilter::Tokens(range, keyspace)) => {
            // The rows in both the source's and the target's range: one interval of tokens.
            let range = match source {
                RowFilter::Tokens(source, _) => intersection(source, range),
                _ => *range,
            };
            RowFilter::Tokens(range, Arc::clone(keyspace))
        }
        (RowFilter::Keys(_), _) => source.clone(),
        (_, filter) => filter.clone(),
    }
}

fn intersection(one: &TokenRange, other: &TokenRange) -> TokenRange {
    let end = match (one.end, other.end) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    TokenRange::new(one.start.max(other.start), end)
}

/// Returns a range of keys that includes all keys of a partition's range.
fn range_of(range: &PartitionRange) -> KeyRange {
    match range {
        PartitionRange::Tokens(_) => KeyRange::default(),
        PartitionRange::Keys(range) => range.clone(),
    }
}

/// Returns how much of a target's files lies outside its range, in thousandths, when it shares the
/// files of its source: by tokens in a hash keyspace, by the engine's estimate in a range keyspace.
fn out_of_range_permille(
    source: &OpenPartition,
    source_range: &PartitionRange,
    target: &TargetSpec,
) -> Result<u32> {
    let share = match (source_range.width(), target.range.width()) {
        (Some(whole), Some(part)) => part as f64 / (whole.max(1)) as f64,
        _ => {
            let whole = source.shard.usage(&source.handle)?.bytes_on_disk;
            let part = source.shard.bytes_in(&source.handle, &range_of(&target.range))?;
            if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
        }
    };
    let own = share.clamp(0.0, 1.0) * f64::from(1000 - source.out_of_range_permille.min(1000));
    let is_whole = *source_range == target.range;
    let outside = 1000 - (own as u32).min(1000);
    // A part of a range shares files with the rest, however small that is by the estimate.
    Ok(if is_whole { source.out_of_range_permille } else { outside.max(1) })
}

/// Checks that the targets' disks have enough space for a copy of the sources.
///
/// # Errors
///
/// `Io` if a target's disk has too little space for a copy.
pub(super) fn check_disks(sources: &[Arc<OpenPartition>], targets: &[TargetSpec]) -> Result<()> {
    let mut bytes = 0;
    for source in sources {
        let usage = source.shard.usage(&source.handle)?;
        bytes += usage.bytes_on_disk + usage.bytes_in_memory;
    }
    targets.iter().try_for_each(|target| check_room(&target.shard, target.owner, bytes))
}

/// # Errors
///
/// `Io` if the disk of the target has too little space for what is to be copied.
fn check_room(shard: &ShardEngine, owner: ShardId, bytes: u64) -> Result<()> {
    match shard.bytes_free() {
        Some(free) if free < bytes => Err(Error::new(
            ErrorKind::Io,
            format!(
                "the disk of shard {owner} has {free} bytes left, the copy needs about {bytes}; make \
                 room, or choose another shard"
            ),
        )),
        _ => Ok(()),
    }
}
