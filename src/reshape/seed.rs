//! Seeding: the targets get what the sources hold, by link or by copy.

use super::catch_up::Endpoint;
use super::options::Transport;
use crate::catalog::OpenPartition;
use crate::engine::{
    Direction, Engine, EnginePartition, EngineSnapshot, PutRow, Read, ShardEngine,
};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ShardId;
use crate::placement::KeyRange;
use crate::placement::{PartitionRange, TokenRange};
use crate::read::{MergeCursor, PartitionCursor, RowFilter};
use crate::topology::PartitionName;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A target that is to be made.
pub(crate) struct TargetSpec {
    pub(crate) name: PartitionName,
    pub(crate) owner: ShardId,
    pub(crate) shard: Arc<ShardEngine>,
    pub(crate) span: PartitionRange,
    /// The rows of its span.
    pub(crate) filter: RowFilter,
}

/// The transport for a reshape: links where they are possible, unless a copy is asked for.
///
/// # Errors
///
/// `InvalidArgument` if links are asked for and not possible.
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
pub(crate) fn link(source: &OpenPartition, target: &TargetSpec) -> Result<EnginePartition> {
    target.shard.link_partition(target.name, &source.handle)
}

/// Makes a target of the rows of its span, as the sources hold them at one moment each. `pace` is
/// told of keys and bytes as they are read, and may end the copy with an error.
pub(crate) fn copy(
    sources: &[Endpoint],
    target: &TargetSpec,
    mut pace: impl FnMut(u64, u64) -> Result<()>,
) -> Result<EnginePartition> {
    let mut cuts: BTreeMap<ShardId, EngineSnapshot> = BTreeMap::new();
    let mut cursors = Vec::with_capacity(sources.len());
    for Endpoint { partition, filter } in sources {
        let cut = cuts.entry(partition.owner).or_insert_with(|| partition.shard.snapshot());
        let read = Read { at: Some(cut), bypass_cache: true, ..Read::PRESENT };
        let range = range_of(&target.span);
        let filter = narrower(filter, target);
        cursors.push(PartitionCursor::open(partition, filter, &range, Direction::Forward, read)?);
    }
    let mut rows = MergeCursor::new(cursors, Direction::Forward);
    target.shard.load_partition(target.name, |put: &mut PutRow<'_>| {
        /// What is read between two looks at the pace.
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

/// Of a source's rows, those of the target. A source without rows of others, all of which go to
/// the target, needs no look at each.
fn narrower(source: &RowFilter, target: &TargetSpec) -> RowFilter {
    match (source, &target.filter) {
        (RowFilter::All, RowFilter::All) => RowFilter::All,
        (_, RowFilter::Tokens(span, keyspace)) => {
            // Rows of the source's span and of the target's: one interval of tokens.
            let span = match source {
                RowFilter::Tokens(source, _) => intersection(source, span),
                _ => *span,
            };
            RowFilter::Tokens(span, Arc::clone(keyspace))
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

/// The keys among which those of a span are.
pub(crate) fn range_of(span: &PartitionRange) -> KeyRange {
    match span {
        PartitionRange::Tokens(_) => KeyRange::default(),
        PartitionRange::Keys(span) => span.clone(),
    }
}

/// How much of a target's files lies outside its span, in thousandths, when it shares those of its
/// source: by tokens in a hash keyspace, by the engine's estimate in a range keyspace.
pub(crate) fn out_of_range_permille(
    source: &OpenPartition,
    source_span: &PartitionRange,
    target: &TargetSpec,
) -> Result<u32> {
    let share = match (source_span.width(), target.span.width()) {
        (Some(whole), Some(part)) => part as f64 / (whole.max(1)) as f64,
        _ => {
            let whole = source.shard.usage(&source.handle)?.bytes_on_disk;
            let part = source.shard.bytes_in(&source.handle, &range_of(&target.span))?;
            if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
        }
    };
    let own = share.clamp(0.0, 1.0) * f64::from(1000 - source.out_of_range_permille.min(1000));
    let whole_span = *source_span == target.span;
    let foreign = 1000 - (own as u32).min(1000);
    // A part of a span shares files with the rest, however small that is by the estimate.
    Ok(if whole_span { source.out_of_range_permille } else { foreign.max(1) })
}

/// # Errors
///
/// `Io` if the disk of the target has not room for what is to be copied.
pub(crate) fn check_room(shard: &ShardEngine, owner: ShardId, bytes: u64) -> Result<()> {
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
