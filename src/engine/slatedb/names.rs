//! What a partition is called in its database: the first bytes of its keys.
//!
//! They make it a segment, with an LSM tree of its own, which can be compacted and removed by itself.

use crate::id::PartitionId;
use crate::topology::PartitionName;
use slatedb::bytes::{BufMut as _, Bytes, BytesMut};
use slatedb::{PrefixExtractor, PrefixTarget};

/// The length of what comes before each key: one byte that is always the same, number, generation.
pub(super) const PREFIX_BYTES: usize = 13;

/// The first byte of every key. It is not the last one there is, so a key after all of a partition's
/// always exists.
const FIRST: u8 = 1;

/// The first bytes of a partition's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prefix([u8; PREFIX_BYTES]);

impl Prefix {
    pub(super) fn of(name: PartitionName) -> Self {
        let mut bytes = [FIRST; PREFIX_BYTES];
        if let Some((id, generation)) =
            bytes.get_mut(1..).and_then(|rest| rest.split_at_mut_checked(8))
        {
            id.copy_from_slice(&name.id.0.to_be_bytes());
            generation.copy_from_slice(&name.generation.to_be_bytes());
        }
        Self(bytes)
    }

    /// Returns the bytes themselves.
    pub(super) fn bytes(&self) -> Bytes {
        Bytes::copy_from_slice(&self.0)
    }

    /// Returns a key as the database has it.
    pub(super) fn key(&self, key: &[u8]) -> Bytes {
        let mut whole = BytesMut::with_capacity(PREFIX_BYTES + key.len());
        whole.put_slice(&self.0);
        whole.put_slice(key);
        whole.freeze()
    }

    /// Returns the first key that is after all of the partition.
    pub(super) fn end(&self) -> Bytes {
        let mut end = self.0;
        for byte in end.iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                break;
            }
        }
        Bytes::copy_from_slice(&end)
    }
}

/// Returns the partition to which a segment, or a key of the database, belongs.
pub(super) fn name_of(key: &[u8]) -> Option<PartitionName> {
    let (first, rest) = key.get(..PREFIX_BYTES)?.split_first()?;
    let (id, generation) = rest.split_at_checked(8)?;
    let (id, generation) = (id.try_into().ok()?, generation.try_into().ok()?);
    (*first == FIRST).then(|| PartitionName {
        id: PartitionId(u64::from_be_bytes(id)),
        generation: u32::from_be_bytes(generation),
    })
}

/// Returns a key without what says whose it is.
pub(super) fn own_key(key: &[u8]) -> &[u8] {
    key.get(PREFIX_BYTES..).unwrap_or_default()
}

/// Divides a database into segments.
pub(super) struct Segments;

impl PrefixExtractor for Segments {
    fn name(&self) -> &'static str {
        "annulus.partition.13"
    }

    fn prefix_len(&self, target: &PrefixTarget) -> Option<usize> {
        let (PrefixTarget::Point(bytes) | PrefixTarget::Prefix(bytes)) = target;
        (bytes.len() >= PREFIX_BYTES).then_some(PREFIX_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_between_its_prefix_and_its_end() {
        let last = PartitionName { id: PartitionId(u64::MAX), generation: u32::MAX };
        for name in [PartitionName { id: PartitionId(7), generation: u32::MAX }, last] {
            let prefix = Prefix::of(name);
            let (first, end) = (prefix.key(b""), prefix.end());
            assert!(first < prefix.key(&[0xff; 99]) && prefix.key(&[0xff; 99]) < end);
            assert_eq!(name_of(&prefix.key(b"key")), Some(name));
            assert_eq!(own_key(&prefix.key(b"key")), b"key");
            assert_ne!(name_of(&end), Some(name));
        }
        assert_eq!(name_of(b"short"), None);
    }
}
