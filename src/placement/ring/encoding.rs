//! The encoding of a ring.

use super::Ring;
use super::member::{Member, Members};
use crate::error::{Error, Result};
use crate::id::ShardId;
use crate::placement::TokenFunction;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a decoded ring is checked from. The table is left out and built again. An arc has at
/// least two bytes here, so `n` bytes decode to at most `38 n` bytes of ring, or 16 KB.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Ring")]
struct Wire {
    token_function: TokenFunction,
    arcs_per_shard: u32,
    members: Vec<Member>,
    starts: Vec<u64>,
    owners: Vec<ShardId>,
}

impl From<&Ring> for Wire {
    fn from(ring: &Ring) -> Self {
        Self {
            token_function: ring.token_function,
            arcs_per_shard: ring.arcs_per_shard,
            members: ring.members.to_vec(),
            starts: ring.starts.to_vec(),
            owners: ring.owners.to_vec(),
        }
    }
}

impl TryFrom<Wire> for Ring {
    type Error = Error;

    fn try_from(wire: Wire) -> Result<Self> {
        if wire.arcs_per_shard == 0 {
            return Err(Error::invalid("0 arcs per shard: give at least 1"));
        }
        Self::from_parts(
            Members::new(wire.members)?,
            wire.token_function,
            wire.arcs_per_shard,
            wire.starts,
            wire.owners,
        )
    }
}

impl Serialize for Ring {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Wire::from(self).serialize(serializer)
    }
}

/// Checks every invariant: a violation is an error.
impl<'de> Deserialize<'de> for Ring {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Wire::deserialize(deserializer)?.try_into().map_err(D::Error::custom)
    }
}
