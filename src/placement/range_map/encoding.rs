//! A range map as it is stored.

use super::{RangeMap, keys};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// What a decoded map is checked from. The search tree is left out and built again. A
/// boundary has at least two bytes here, so from `n` bytes at most `42 n` bytes of map come to be.
#[derive(Serialize, Deserialize)]
#[serde(rename = "RangeMap")]
pub(super) struct Wire {
    lengths: Vec<usize>,
    bytes: Vec<u8>,
}

impl From<RangeMap> for Wire {
    fn from(map: RangeMap) -> Self {
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
