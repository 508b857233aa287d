//! The keys of the metadata's numbered records: a prefix, and a number or a partition.

use crate::id::PartitionId;
use crate::topology::PartitionName;

/// How the keys of directories of removed shards begin.
pub(crate) const RETIRED: &[u8] = b"retired/";

pub(crate) fn numbered(prefix: &[u8], number: u64) -> Vec<u8> {
    [prefix, &number.to_be_bytes()].concat()
}

pub(crate) fn of_partition(prefix: &[u8], name: PartitionName) -> Vec<u8> {
    [prefix, &name.id.0.to_be_bytes(), &name.generation.to_be_bytes()].concat()
}

/// Parses what follows the prefix of a numbered key.
pub(crate) fn parse_number(suffix: &[u8]) -> Option<u64> {
    suffix.try_into().ok().map(u64::from_be_bytes)
}

/// Parses what follows the prefix of a partition's key.
pub(crate) fn parse_partition(suffix: &[u8]) -> Option<PartitionName> {
    let (id, generation) = suffix.split_first_chunk::<8>()?;
    let generation = u32::from_be_bytes(generation.try_into().ok()?);
    Some(PartitionName { id: PartitionId(u64::from_be_bytes(*id)), generation })
}
