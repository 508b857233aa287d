//! The shards of a ring.

use crate::error::{Error, ErrorKind, Result};
use crate::id::ShardId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A shard in a ring.
///
/// ```
/// use annulus::ShardId;
/// use annulus::placement::Member;
///
/// let member = Member::new(ShardId(7)).weight(2).zone("rack-1");
/// assert_eq!(member.weight, 2);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Member {
    /// The shard.
    pub id: ShardId,
    /// Its share of the token space in proportion to the weights of the others; at least 1, which
    /// is the default.
    pub weight: u32,
    /// How many arcs to give it, at least 1; `None`, the default, stands for the
    /// [number of its ring](super::RingBuilder::arcs_per_shard).
    pub arcs: Option<u32>,
    /// What it shares with shards that are likely to fail together with it, such as a machine or a
    /// rack. A shard without one, the default, fails alone.
    pub zone: Option<Arc<str>>,
}

impl Member {
    /// Returns a shard with weight 1, the ring's number of arcs and no zone.
    #[must_use]
    pub const fn new(id: ShardId) -> Self {
        Self { id, weight: 1, arcs: None, zone: None }
    }

    /// Sets [`weight`](Self#structfield.weight).
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Sets [`arcs`](Self#structfield.arcs).
    #[must_use]
    pub fn arcs(mut self, arcs: u32) -> Self {
        self.arcs = Some(arcs);
        self
    }

    /// Sets [`zone`](Self#structfield.zone).
    #[must_use]
    pub fn zone(mut self, zone: impl Into<Arc<str>>) -> Self {
        self.zone = Some(zone.into());
        self
    }

    fn check(&self) -> Result<()> {
        let id = self.id;
        if self.weight == 0 {
            let message = format!("shard {id} has weight 0: give at least 1, or remove the shard");
            return Err(Error::invalid(message));
        }
        if self.arcs == Some(0) {
            return Err(Error::invalid(format!("shard {id} has 0 arcs: give at least 1")));
        }
        Ok(())
    }
}

/// The members of a ring: at least one, in order of their ids, shared by the ring's clones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Members {
    list: Arc<[Member]>,
    /// Of the list; apart, so that searches for an id stay within a few cache lines.
    ids: Arc<[ShardId]>,
    zones: usize,
}

impl Members {
    /// Sorts members and checks them.
    pub(super) fn new(mut members: Vec<Member>) -> Result<Self> {
        members.sort_by_key(|member| member.id);
        let named: BTreeSet<&str> =
            members.iter().filter_map(|member| member.zone.as_deref()).collect();
        let alone = members.iter().filter(|member| member.zone.is_none()).count();
        let zones = named.len() + alone;
        let ids = members.iter().map(|member| member.id).collect();
        let members = Self { list: members.into(), ids, zones };
        members.check()?;
        Ok(members)
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.list.is_empty() {
            return Err(Error::invalid("a ring needs at least one shard"));
        }
        let pairs = self.list.iter().zip(self.list.iter().skip(1));
        if let Some((one, _)) = pairs.clone().find(|(one, next)| one.id >= next.id) {
            let id = one.id;
            return Err(Error::invalid(format!("shard {id} is in the ring twice or out of order")));
        }
        self.list.iter().try_for_each(Member::check)
    }

    /// Returns how many zones there are, with each member without one as a zone of its own.
    pub(super) fn zones(&self) -> usize {
        self.zones
    }

    /// Returns the index of a member; `None` if the shard is none.
    pub(super) fn index_of(&self, shard: ShardId) -> Option<usize> {
        self.ids.binary_search(&shard).ok()
    }

    /// Returns the index of a member.
    ///
    /// # Errors
    ///
    /// `NotFound`.
    pub(super) fn require(&self, shard: ShardId) -> Result<usize> {
        let missing =
            || Error::new(ErrorKind::NotFound, format!("shard {shard} is not in the ring"));
        self.index_of(shard).ok_or_else(missing)
    }

    /// Returns the index of a shard that owns an arc.
    #[expect(clippy::expect_used, reason = "a ring is checked to have its owners as members")]
    pub(super) fn index_of_owner(&self, shard: ShardId) -> usize {
        self.index_of(shard).expect("an owner is a member")
    }

    /// Returns the id of the member with this index, which must be below their number.
    #[expect(clippy::indexing_slicing, reason = "indices come from these members")]
    pub(super) fn id(&self, index: usize) -> ShardId {
        self.ids[index]
    }
}

impl std::ops::Deref for Members {
    type Target = [Member];

    fn deref(&self) -> &[Member] {
        &self.list
    }
}
