//! Preference lists: the shards to turn to for a token, one after the other.

use super::Ring;
use crate::id::ShardId;
use crate::placement::Token;
use std::collections::BTreeSet;

impl Ring {
    /// Returns the preference list of a token (DeCandia et al. 2007, Dynamo): up to `k` different
    /// shards, first the owner of the token, then the owners of the arcs that follow, around the
    /// ring. Shards in zones that the list does not have yet come first, as long as there are any;
    /// a shard without a zone is a zone of its own. A member that owns no arc is not on the list;
    /// with fewer than `k` members on the ring, all the others are.
    ///
    /// # Cost
    ///
    /// Usually a little more than `k` steps of O(log members) each. When a zone or the `k`-th shard
    /// is rare on the ring, up to all arcs are visited. Memory is O(k), or O(members) in that case.
    ///
    /// ```
    /// use annulus::ShardId;
    /// use annulus::placement::{Member, Ring, Token};
    ///
    /// let ring = Ring::builder()
    ///     .shards([0, 1].map(|id| Member::new(ShardId(id)).zone("left")))
    ///     .shard(Member::new(ShardId(2)).zone("right"))
    ///     .build()?;
    /// let shards = ring.preference(Token(0), 2);
    /// assert_eq!(shards.len(), 2);
    /// assert!(shards.contains(&ShardId(2)), "one in each zone");
    /// # Ok::<(), annulus::Error>(())
    /// ```
    #[must_use]
    pub fn preference(&self, token: Token, k: usize) -> Vec<ShardId> {
        let mut walk = Walk::new(self, k);
        let (before, after) = self.owners.split_at(self.arc_of(token));
        for &owner in after.iter().chain(before) {
            if walk.is_done() {
                break;
            }
            walk.visit(owner);
        }
        walk.into_list()
    }
}

struct Walk<'r> {
    ring: &'r Ring,
    k: usize,
    seen: BTreeSet<ShardId>,
    zones_used: BTreeSet<&'r str>,
    /// In a zone that none before it is in.
    first: Vec<ShardId>,
    /// In a zone that one of `first` is in.
    then: Vec<ShardId>,
}

impl<'r> Walk<'r> {
    fn new(ring: &'r Ring, k: usize) -> Self {
        Self {
            ring,
            k,
            seen: BTreeSet::new(),
            zones_used: BTreeSet::new(),
            first: Vec::new(),
            then: Vec::new(),
        }
    }

    fn is_done(&self) -> bool {
        let found = self.seen.len();
        let all_zones = self.first.len() >= self.ring.members.zones();
        self.first.len() >= self.k
            || all_zones && found >= self.k
            || found >= self.ring.members.len()
    }

    fn visit(&mut self, owner: ShardId) {
        if !self.seen.insert(owner) {
            return;
        }
        let zone = self.ring.member(owner).and_then(|member| member.zone.as_deref());
        if zone.is_none_or(|zone| self.zones_used.insert(zone)) {
            self.first.push(owner);
        } else {
            self.then.push(owner);
        }
    }

    fn into_list(self) -> Vec<ShardId> {
        let mut list = self.first;
        list.extend(self.then);
        list.truncate(self.k);
        list
    }
}
