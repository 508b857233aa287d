//! The operator's requests.

use crate::id::{PartitionId, ShardId};
use crate::placement::Token;
use crate::topology::ShardInfo;
use serde::Serialize;

/// Where to split a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum SplitAt {
    /// Before this key, in a range keyspace.
    Key(Vec<u8>),
    /// Before this token, in a hash keyspace.
    Token(Token),
    /// Into halves: by bytes in a range keyspace, by tokens in a hash keyspace.
    Middle,
}

/// What the operator asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum Request {
    /// Moves a partition to another shard.
    Move {
        /// The partition.
        partition: PartitionId,
        /// Its new owner.
        to: ShardId,
    },
    /// Splits a partition into two.
    Split {
        /// The partition.
        partition: PartitionId,
        /// Where to split it.
        at: SplitAt,
        /// The owner of the right part; `None` leaves it where it is.
        to: Option<ShardId>,
    },
    /// Merges two neighbours into one.
    Merge {
        /// The partition that comes first in the order of tokens or keys.
        left: PartitionId,
        /// The one after it.
        right: PartitionId,
        /// The owner of the result; `None` is the owner of the larger of the two.
        to: Option<ShardId>,
    },
    /// Moves a share of every keyspace to a new shard. Its number is
    /// [`next_shard`](crate::topology::Topology::next_shard); the topology does not have it yet.
    AddShard(ShardInfo),
    /// Moves everything off a shard.
    RemoveShard(ShardId),
    /// Changes the weight of a shard, which receives or gives up the difference.
    SetWeight {
        /// The shard.
        shard: ShardId,
        /// Its weight, at least 1.
        weight: u32,
    },
}
