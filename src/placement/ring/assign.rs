//! Rings with other members or arcs.

use super::builder::targets;
use super::{Member, Ring};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ShardId;
use crate::placement::Token;

impl Ring {
    /// Returns this ring with one more shard.
    ///
    /// Of a ring in balance, exactly the part that the new shard's weight asks for moves,
    /// all of it to the new shard: of `n` equal shards each gives 1/(n + 1) of what it owns. A
    /// ring out of balance, for example after [`assign`](Self::assign), is balanced too, with the
    /// least possible movement. The new shard gets the number of arcs it should have, or more when
    /// there are more than twice as many other shards, because each of them has to give: at least
    /// half their number. O(arcs log arcs).
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](ErrorKind::AlreadyExists) if the shard is in the ring;
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if its weight or number of arcs is 0, or the
    /// ring would have more than [`ARCS_MAX`](super::ARCS_MAX) arcs.
    ///
    /// ```
    /// use annulus::ShardId;
    /// use annulus::placement::{Member, Ring};
    ///
    /// let shards = [0, 1, 2].map(|id| Member::new(ShardId(id)));
    /// let ring = Ring::builder().shards(shards).build()?;
    /// let grown = ring.add_shard(Member::new(ShardId(3)))?;
    /// assert_eq!(grown.shares()[3].tokens, 1 << 62);
    /// assert!(grown.remove_shard(ShardId(3))?.diff(&ring).is_empty());
    /// # Ok::<(), annulus::Error>(())
    /// ```
    pub fn add_shard(&self, member: Member) -> Result<Self> {
        let members = self.members_with(member)?;
        let targets = targets(&members);
        self.rebalance(&members, &targets, members.clone())
    }

    /// Returns this ring without a shard, whose space goes to the others in proportion to their
    /// weights.
    ///
    /// Of a ring in balance, only the removed shard's space moves. Right after
    /// [`add_shard`](Self::add_shard) on a ring in balance this is its exact inverse: every
    /// boundary and owner is as before. O(arcs log arcs).
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) if the shard is not in the ring;
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if it is the last one.
    pub fn remove_shard(&self, shard: ShardId) -> Result<Self> {
        let (index, members) = self.members_without(shard)?;
        let mut targets = targets(&members);
        targets.insert(index, 0);
        self.rebalance(&self.members, &targets, members)
    }

    /// Returns this ring with another weight for a shard. Of a ring in balance, exactly the
    /// difference moves, and only from or to this shard. O(arcs log arcs).
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) if the shard is not in the ring;
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if the weight is 0.
    pub fn set_weight(&self, shard: ShardId, weight: u32) -> Result<Self> {
        self.reweigh(shard, weight)?.balanced()
    }

    /// Returns this ring with a boundary at `at`, so that an arc becomes two of the same owner.
    /// O(arcs).
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](ErrorKind::AlreadyExists) if an arc begins there;
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if there are
    /// [`ARCS_MAX`](super::ARCS_MAX) arcs.
    ///
    /// ```
    /// use annulus::ShardId;
    /// use annulus::placement::{Member, Ring, Token};
    ///
    /// let ring = Ring::builder()
    ///     .arcs_per_shard(1)
    ///     .shards([0, 1].map(|id| Member::new(ShardId(id))))
    ///     .build()?;
    /// let split = ring.split_arc(Token(1000))?;
    /// let moved = split.assign(0, ShardId(1))?;
    /// assert_eq!(moved.owner(Token(999)), ShardId(1));
    /// assert_eq!(split.merge_arcs(0)?, ring);
    /// # Ok::<(), annulus::Error>(())
    /// ```
    pub fn split_arc(&self, at: Token) -> Result<Self> {
        let index = self.arc_of(at);
        let (mut starts, mut owners) = (self.starts.to_vec(), self.owners.to_vec());
        if starts.get(index) == Some(&at.0) {
            let message = format!("an arc begins at {at} already");
            return Err(Error::new(ErrorKind::AlreadyExists, message));
        }
        starts.insert(index + 1, at.0);
        owners.insert(index + 1, self.owner(at));
        self.with(self.members.clone(), starts, owners)
    }

    /// Returns this ring without the boundary between the arcs `left_index` and `left_index + 1`.
    /// O(arcs).
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) if there are no such two arcs;
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if they have different owners.
    pub fn merge_arcs(&self, left_index: usize) -> Result<Self> {
        let pair = (self.arc(left_index), self.arc(left_index.saturating_add(1)));
        let (Some(left), Some(right)) = pair else {
            let message = format!("the ring has no arc after arc {left_index} to merge it with");
            return Err(Error::new(ErrorKind::NotFound, message));
        };
        if left.owner != right.owner {
            return Err(Error::invalid(format!(
                "arcs {left_index} and {} belong to shards {} and {}: assign them to one first",
                right.index, left.owner, right.owner
            )));
        }
        let (mut starts, mut owners) = (self.starts.to_vec(), self.owners.to_vec());
        starts.remove(right.index);
        owners.remove(right.index);
        self.with(self.members.clone(), starts, owners)
    }

    /// Returns this ring with another owner for the arc `index`. O(arcs).
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) if there is no such arc, or the shard is not in the ring.
    pub fn assign(&self, index: usize, shard: ShardId) -> Result<Self> {
        self.members.require(shard)?;
        let mut owners = self.owners.to_vec();
        let Some(owner) = owners.get_mut(index) else {
            let message = format!("arc {index} of a ring of {}", self.len());
            return Err(Error::new(ErrorKind::NotFound, message));
        };
        *owner = shard;
        self.with(self.members.clone(), self.starts.to_vec(), owners)
    }

    /// Returns this ring with the `count` arcs from `first` on replaced by new ones, which begin
    /// where the first of them did and at each of `split_points`, and belong to `owners`. O(arcs),
    /// however many are replaced.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) if there are no such arcs, or an owner is not in the ring;
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if `count` is 0, the split points do not
    /// ascend strictly inside the arcs, there is not one owner for each new arc, or the ring would
    /// have more than [`ARCS_MAX`](super::ARCS_MAX) arcs.
    ///
    /// ```
    /// use annulus::ShardId;
    /// use annulus::placement::{Member, Ring, Token};
    ///
    /// let ring = Ring::builder()
    ///     .arcs_per_shard(1)
    ///     .shards([0, 1].map(|id| Member::new(ShardId(id))))
    ///     .build()?;
    /// let reshaped = ring.reshape(0, 1, &[Token(10), Token(20)], &[0, 1, 0].map(ShardId))?;
    /// assert_eq!(reshaped.owner(Token(15)), ShardId(1));
    /// assert_eq!(reshaped.reshape(0, 3, &[], &[ShardId(0)])?, ring);
    /// # Ok::<(), annulus::Error>(())
    /// ```
    pub fn reshape(
        &self,
        first: usize,
        count: usize,
        split_points: &[Token],
        owners: &[ShardId],
    ) -> Result<Self> {
        let end = first.saturating_add(count);
        if count == 0 {
            return Err(Error::invalid("no arc to reshape: give at least one"));
        }
        if end > self.len() {
            let message = format!("arcs {first} to {} of a ring of {}", end - 1, self.len());
            return Err(Error::new(ErrorKind::NotFound, message));
        }
        if owners.len() != split_points.len() + 1 {
            let (split_points, owners) = (split_points.len(), owners.len());
            return Err(Error::invalid(format!(
                "{split_points} split points and {owners} owners: give one owner more than split points"
            )));
        }
        owners.iter().try_for_each(|owner| self.members.require(*owner).map(drop))?;
        let (mut starts, mut all_owners) = (self.starts.to_vec(), self.owners.to_vec());
        starts.splice(first + 1..end, split_points.iter().map(|point| point.0));
        all_owners.splice(first..end, owners.iter().copied());
        // Split points that do not ascend strictly inside the arcs are found by the check of the starts.
        self.with(self.members.clone(), starts, all_owners)
    }
}
