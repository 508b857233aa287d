//! Typed identifiers: a shard is never taken for a partition, nor an epoch for a generation.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($int:ty)) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $int);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id! {
    /// A shard's number in its store. Numbers of removed shards are never reused.
    ShardId(u32)
}

id! {
    /// A keyspace's number in its store. Numbers of dropped keyspaces are never reused.
    KeyspaceId(u32)
}

id! {
    /// A partition's number in its store. Numbers of retired partitions are never reused.
    PartitionId(u64)
}

id! {
    /// The version of a topology; every change raises it by one.
    Epoch(u64)
}
