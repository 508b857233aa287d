//! New members for the same arcs, and new arcs for the same members: the two halves of adding a
//! shard, for a caller that copies data between them.

use super::builder::targets;
use super::member::Members;
use super::rebalance::balance;
use super::{Member, Ring, segments};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ShardId;

impl Ring {
    /// Returns this ring with one more member, which owns no arc yet. O(members).
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](ErrorKind::AlreadyExists) if the shard is in the ring;
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if its weight or number of arcs is 0.
    ///
    /// ```
    /// use annulus::ShardId;
    /// use annulus::placement::{Member, Ring};
    ///
    /// let ring = Ring::builder().shards([0, 1].map(|id| Member::new(ShardId(id)))).build()?;
    /// let joined = ring.join(Member::new(ShardId(2)))?;
    /// assert!(ring.diff(&joined).is_empty());
    /// assert_eq!(joined.balanced()?, ring.add_shard(Member::new(ShardId(2)))?);
    /// assert_eq!(joined.leave(ShardId(2))?, ring);
    /// # Ok::<(), annulus::Error>(())
    /// ```
    pub fn join(&self, member: Member) -> Result<Self> {
        Ok(Self { members: self.members_with(member)?, ..self.clone() })
    }

    /// Returns this ring without a member that owns no arc. O(arcs).
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) if the shard is not in the ring;
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if it owns an arc or is the last one.
    pub fn leave(&self, shard: ShardId) -> Result<Self> {
        let (_, members) = self.members_without(shard)?;
        if let Some(arc) = self.arcs().find(|arc| arc.owner == shard) {
            return Err(Error::invalid(format!(
                "shard {shard} owns the arc {}: assign its arcs to others first",
                arc.range
            )));
        }
        Ok(Self { members, ..self.clone() })
    }

    /// Returns this ring with another weight for a member, and the same arcs: what it owns is then
    /// no longer what its weight asks for. O(members).
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) if the shard is not in the ring;
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if the weight is 0.
    ///
    /// ```
    /// use annulus::ShardId;
    /// use annulus::placement::{Member, Ring};
    ///
    /// let ring = Ring::builder().shards([0, 1].map(|id| Member::new(ShardId(id)))).build()?;
    /// let heavier = ring.reweigh(ShardId(1), 3)?;
    /// assert!(ring.diff(&heavier).is_empty());
    /// assert_eq!(heavier.balanced()?, ring.set_weight(ShardId(1), 3)?);
    /// # Ok::<(), annulus::Error>(())
    /// ```
    #[expect(clippy::indexing_slicing, reason = "the index of a member")]
    pub fn reweigh(&self, shard: ShardId, weight: u32) -> Result<Self> {
        let index = self.members.require(shard)?;
        let mut members = self.members.to_vec();
        members[index].weight = weight;
        Ok(Self { members: Members::new(members)?, ..self.clone() })
    }

    /// Returns this ring with arcs such that each member owns exactly what its weight asks for, to
    /// the token. Exactly the sum of what some own too much changes owner, and nothing does in a
    /// ring in balance. O(arcs log arcs).
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if that takes more than
    /// [`ARCS_MAX`](super::ARCS_MAX) arcs.
    pub fn balanced(&self) -> Result<Self> {
        self.rebalance(&self.members, &targets(&self.members), self.members.clone())
    }

    pub(super) fn members_with(&self, member: Member) -> Result<Members> {
        let id = member.id;
        if self.member(id).is_some() {
            let message = format!("shard {id} is already in the ring");
            return Err(Error::new(ErrorKind::AlreadyExists, message));
        }
        let mut members = self.members.to_vec();
        members.push(member);
        Members::new(members)
    }

    /// Returns the index of a member, and the members without it.
    pub(super) fn members_without(&self, shard: ShardId) -> Result<(usize, Members)> {
        let index = self.members.require(shard)?;
        let mut members = self.members.to_vec();
        members.remove(index);
        if members.is_empty() {
            let message =
                format!("shard {shard} is the last one of the ring: add another one first");
            return Err(Error::invalid(message));
        }
        Ok((index, Members::new(members)?))
    }

    /// Returns this ring with `targets`, one for each of `all`, which include this ring's members.
    pub(super) fn rebalance(
        &self,
        all: &Members,
        targets: &[u128],
        members: Members,
    ) -> Result<Self> {
        let wanted = |member: &Member| member.arcs.unwrap_or(self.arcs_per_shard);
        let wanted: Vec<u32> = all.iter().map(wanted).collect();
        let segments = balance(segments::from_ring(self, all), targets, &wanted);
        let (starts, owners) = segments::into_arcs(segments, all);
        self.with(members, starts, owners)
    }
}
