//! Reshapes: neighbouring partitions are replaced by others that cover the same tokens or keys.
//!
//! A reshape is prepared on one topology, which names its targets, and committed on a later one: in
//! between data is copied, and other partitions are reshaped, too. Everything is therefore checked
//! twice, by the same code.

use super::keyspace::{KeyspaceLayout, PartitionName, Partitioning};
use super::split_point::{Division, SplitPoint};
use super::{ShardInfo, Topology};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{KeyspaceId, PartitionId, ShardId};
use crate::placement::{KeyRange, PartitionRange, TokenRange};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// A reshape: `n` neighbouring partitions become `m` that cover the same tokens or
/// keys, where `n` or `m` is 1.
///
/// ```
/// use annulus::placement::Token;
/// use annulus::topology::{Change, SplitPoint, KeyspaceSpec, ReshapeSpec, ShardInfo, Topology};
/// use annulus::{KeyspaceId, PartitionId, ShardId};
///
/// let shards = [0, 1].map(|n| ShardInfo::new(ShardId(n), format!("shards/{n}")));
/// let before = Topology::new(shards)?.apply(&Change::CreateKeyspace {
///     name: "users".into(),
///     spec: KeyspaceSpec::hash().arcs_per_shard(1).into(),
/// })?;
/// // The second half of the first arc goes to the second shard.
/// let spec = ReshapeSpec {
///     keyspace: KeyspaceId(1),
///     sources: vec![PartitionId(1)],
///     split_points: vec![SplitPoint::Token(Token(1 << 62))],
///     owners: vec![ShardId(0), ShardId(1)],
/// };
/// let (targets, numbered) = before.name_targets(&spec)?;
/// let after = numbered.apply(&Change::Reshape { spec, targets })?;
/// assert_eq!(after.partitions_of(ShardId(1)), 2);
/// # Ok::<(), annulus::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReshapeSpec {
    /// The keyspace of the partitions.
    pub keyspace: KeyspaceId,
    /// The partitions that are replaced, neighbours in the order of their tokens or keys.
    pub sources: Vec<PartitionId>,
    /// Where the targets meet: ascending, and strictly inside what the sources cover.
    #[serde(rename = "cuts")]
    pub split_points: Vec<SplitPoint>,
    /// The owner of each target, in the same order: one more than split
    /// points.
    pub owners: Vec<ShardId>,
}

/// How a reshape changes the number of partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ReshapeKind {
    /// One stays one: on another shard, or rewritten on the same.
    Move,
    /// One becomes several.
    Split,
    /// Several become one.
    Merge,
}

impl fmt::Display for ReshapeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Move => "move",
            Self::Split => "split",
            Self::Merge => "merge",
        })
    }
}

impl ReshapeSpec {
    /// Returns how it changes the number of partitions.
    #[must_use]
    pub fn kind(&self) -> ReshapeKind {
        match (self.sources.len(), self.split_points.len()) {
            (0 | 1, 0) => ReshapeKind::Move,
            (_, 0) => ReshapeKind::Merge,
            _ => ReshapeKind::Split,
        }
    }

    /// Checks what can be checked without a topology.
    fn check_shape(&self) -> Result<()> {
        let (sources, targets) = (self.sources.len(), self.split_points.len() + 1);
        if sources == 0 {
            return Err(Error::invalid("a reshape without partitions: name at least one"));
        }
        if sources > 1 && targets > 1 {
            return Err(Error::invalid(format!(
                "{sources} partitions cannot become {targets} at once: merge them first, or split \
                 them one by one"
            )));
        }
        if self.owners.len() != targets {
            return Err(Error::invalid(format!(
                "{targets} targets and {} owners: give each target an owner",
                self.owners.len()
            )));
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = self.sources.iter().find(|source| !seen.insert(**source)) {
            return Err(Error::invalid(format!(
                "partition {twice} is named twice; name each partition once"
            )));
        }
        Ok(())
    }
}

/// A reshape that fits a topology: its keyspace, the index of the first source, and how the range
/// of the sources is divided.
struct Site<'t> {
    keyspace: &'t Arc<KeyspaceLayout>,
    first: usize,
    division: Division<'t>,
}

impl Topology {
    /// Returns the keyspace of a partition and the partition's index in it. Linear in the number of
    /// partitions.
    #[must_use]
    pub fn find_partition(&self, id: PartitionId) -> Option<(KeyspaceId, usize)> {
        self.keyspaces().find_map(|keyspace| Some((keyspace.id, keyspace.index_of(id)?)))
    }

    /// Returns what the targets of a reshape will cover, in order. Linear in the partitions of the
    /// keyspace.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) for a keyspace, a partition or an owner that does
    /// not exist; [`InvalidArgument`](ErrorKind::InvalidArgument) for partitions that are not
    /// neighbours in this order or named twice, for split points of the other kind of keyspace, out
    /// of order, or not strictly inside, and for numbers of sources, split points and owners that
    /// do not match.
    pub fn target_ranges(&self, spec: &ReshapeSpec) -> Result<Vec<PartitionRange>> {
        Ok(self.site(spec)?.division.parts())
    }

    /// Returns names for the targets of a reshape, and this topology with the numbers of these
    /// names assigned, at the same epoch. A partition that only moves keeps its number, one
    /// generation later (a still later one will do, too); other targets get new numbers. Linear in
    /// the partitions of the keyspace.
    ///
    /// # Errors
    ///
    /// Like [`target_ranges`](Self::target_ranges), and [`Internal`](ErrorKind::Internal) when the
    /// numbers are used up.
    pub fn name_targets(&self, spec: &ReshapeSpec) -> Result<(Vec<PartitionName>, Self)> {
        let site = self.site(spec)?;
        if spec.kind() == ReshapeKind::Move {
            return Ok((vec![site.moved()?], self.clone()));
        }
        let first = self.next_partition.0;
        let end = first
            .checked_add(spec.owners.len() as u64)
            .ok_or_else(|| used_up("partition numbers"))?;
        let names =
            (first..end).map(|id| PartitionName { id: PartitionId(id), generation: 0 }).collect();
        Ok((names, Self { next_partition: PartitionId(end), ..self.clone() }))
    }

    /// Replaces the sources by the targets.
    pub(super) fn reshape(&mut self, spec: &ReshapeSpec, targets: &[PartitionName]) -> Result<()> {
        let site = self.site(spec)?;
        site.check_names(self, spec, targets)?;
        let keyspace = Arc::new(site.reshaped(spec, targets)?);
        for target in targets {
            let after = target.id.0.checked_add(1).ok_or_else(|| used_up("partition numbers"))?;
            self.next_partition = self.next_partition.max(PartitionId(after));
        }
        self.keyspaces.insert(spec.keyspace, keyspace);
        Ok(())
    }

    /// Finds the sources and checks everything but the names.
    fn site<'t>(&'t self, spec: &'t ReshapeSpec) -> Result<Site<'t>> {
        spec.check_shape()?;
        let id = spec.keyspace;
        let keyspace = self.keyspace(id).ok_or_else(|| {
            let message = format!("there is no keyspace with number {id}; list the keyspaces");
            Error::new(ErrorKind::NotFound, message)
        })?;
        let first = neighbours(keyspace, &spec.sources)?;
        for owner in &spec.owners {
            self.require_shard(*owner)?;
        }
        let total = total_range(keyspace, first, spec.sources.len());
        let division = Division::new(keyspace, total, &spec.split_points)?;
        Ok(Site { keyspace, first, division })
    }

    /// Returns the shard with this number.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub(crate) fn require_shard(&self, id: ShardId) -> Result<&ShardInfo> {
        self.shard(id).ok_or_else(|| {
            let message = format!("there is no shard {id}; list the shards");
            Error::new(ErrorKind::NotFound, message)
        })
    }
}

impl Site<'_> {
    /// Returns the name of the only source after it has moved.
    fn moved(&self) -> Result<PartitionName> {
        let PartitionName { id, generation } = self.keyspace.name_of(self.first);
        let next = generation.checked_add(1);
        let generation = next.ok_or_else(|| used_up("generations of a partition"))?;
        Ok(PartitionName { id, generation })
    }

    /// Checks that the targets have names that `name_targets` returns, for this topology or an
    /// earlier one.
    fn check_names(
        &self,
        topology: &Topology,
        spec: &ReshapeSpec,
        targets: &[PartitionName],
    ) -> Result<()> {
        if targets.len() != spec.owners.len() {
            return Err(Error::invalid(format!(
                "{} targets and {} names: give each target a name",
                spec.owners.len(),
                targets.len()
            )));
        }
        if spec.kind() == ReshapeKind::Move {
            let moved = self.moved()?;
            return match targets.first() {
                Some(name) if name.id == moved.id && name.generation >= moved.generation => Ok(()),
                _ => Err(Error::invalid(format!(
                    "a partition that moves is named {moved} next, or of a later generation; \
                     prepare the reshape again"
                ))),
            };
        }
        let mut taken: BTreeSet<PartitionId> =
            topology.keyspaces().flat_map(|keyspace| &keyspace.partitions).map(|n| n.id).collect();
        let bad = targets.iter().find(|name| !taken.insert(name.id) || name.generation != 0);
        match bad {
            Some(name) => Err(Error::invalid(format!(
                "{name} is no name for a new partition: its number is taken, or its generation is \
                 not 0"
            ))),
            None => Ok(()),
        }
    }

    /// Returns the keyspace with the sources replaced by the targets.
    fn reshaped(&self, spec: &ReshapeSpec, targets: &[PartitionName]) -> Result<KeyspaceLayout> {
        let (first, count) = (self.first, spec.sources.len());
        let partitioning = match (&self.keyspace.partitioning, &self.division) {
            (Partitioning::Hash { ring, hashed }, Division::Tokens(_, points)) => {
                let ring = ring.reshape(first, count, points, &spec.owners)?;
                Partitioning::Hash { ring, hashed: *hashed }
            }
            (Partitioning::Range { map, owners }, Division::Keys(_, points)) => {
                let map = map.replace(first, count, points)?;
                let mut owners = owners.clone();
                owners.splice(first..first + count, spec.owners.iter().copied());
                Partitioning::Range { map, owners }
            }
            (Partitioning::Hash { .. }, Division::Keys(..))
            | (Partitioning::Range { .. }, Division::Tokens(..)) => {
                let message = "split points of the other kind of keyspace were accepted";
                return Err(Error::new(ErrorKind::Internal, message));
            }
        };
        let mut partitions = self.keyspace.partitions.clone();
        partitions.splice(first..first + count, targets.iter().copied());
        let (id, name) = (self.keyspace.id, self.keyspace.name.clone());
        let time_to_live = self.keyspace.time_to_live;
        Ok(KeyspaceLayout { id, name, partitioning, partitions, time_to_live })
    }
}

/// Returns the index of the first of `sources`, which must follow each other.
fn neighbours(keyspace: &KeyspaceLayout, sources: &[PartitionId]) -> Result<usize> {
    let find = |id: PartitionId| {
        keyspace.index_of(id).ok_or_else(|| {
            let message = format!(
                "keyspace `{}` has no partition {id} (any more); list its partitions",
                keyspace.name
            );
            Error::new(ErrorKind::NotFound, message)
        })
    };
    let Some(first) = sources.first() else {
        return Err(Error::new(
            ErrorKind::Internal,
            "a reshape has passed its checks without sources",
        ));
    };
    let first = find(*first)?;
    for (index, id) in (first..).zip(sources) {
        if keyspace.partitions.get(index).is_none_or(|name| name.id != *id) {
            find(*id)?;
            return Err(Error::invalid(format!(
                "partition {id} does not follow the one named before it; name neighbours, in the \
                 order of their tokens or keys"
            )));
        }
    }
    Ok(first)
}

/// Returns what `count` partitions from `first` on cover together.
fn total_range(keyspace: &KeyspaceLayout, first: usize, count: usize) -> PartitionRange {
    match (keyspace.range(first), keyspace.range(first + count - 1)) {
        (PartitionRange::Tokens(first), PartitionRange::Tokens(last)) => {
            TokenRange::new(first.start, last.end).into()
        }
        (PartitionRange::Keys(first), PartitionRange::Keys(last)) => {
            KeyRange { start: first.start, end: last.end }.into()
        }
        _ => unreachable!("a keyspace has ranges of one kind"),
    }
}

/// Returns the error for numbers of which there are no more.
pub(super) fn used_up(what: &str) -> Error {
    Error::new(ErrorKind::Internal, format!("the store has used up its {what}"))
}
