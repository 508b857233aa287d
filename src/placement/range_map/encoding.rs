//! The encoding of a range map.

use super::{RangeMap, keys};
use crate::error::{Error, Result};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a decoded map is checked from. The search tree is left out and built again. A
/// boundary has at least two bytes here, so `n` bytes decode to at most `42 n` bytes of map.
#[derive(Serialize, Deserialize)]
#[serde(rename = "RangeMap")]
struct Wire {
    lengths: Vec<usize>,
    bytes: Vec<u8>,
}

impl From<&RangeMap> for Wire {
    fn from(map: &RangeMap) -> Self {
        let (bytes, lengths) = map.keys.parts();
        Self { lengths: lengths.collect(), bytes: bytes.to_vec() }
    }
}

impl TryFrom<Wire> for RangeMap {
    type Error = Error;

    fn try_from(wire: Wire) -> Result<Self> {
        let mut keys = keys::Builder::default();
        let mut rest = wire.bytes.as_slice();
        for length in wire.lengths {
            let Some((key, after)) = rest.split_at_checked(length) else {
                return Err(Error::invalid("the boundaries of a range map are cut off"));
            };
            keys.push(key)?;
            rest = after;
        }
        if !rest.is_empty() {
            return Err(Error::invalid("a range map has bytes after its last boundary"));
        }
        Ok(Self::from_keys(keys.finish()))
    }
}

impl Serialize for RangeMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Wire::from(self).serialize(serializer)
    }
}

/// Checks every invariant: a violation is an error.
impl<'de> Deserialize<'de> for RangeMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Wire::deserialize(deserializer)?.try_into().map_err(D::Error::custom)
    }
}
