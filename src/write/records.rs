//! The keys of redo records and fences in the metadata.

use crate::catalog::Metadata;
use crate::catalog::record_key::{self, parse_number};
use crate::error::{Error, ErrorKind, Result};
use crate::topology::PartitionName;
use std::collections::BTreeMap;

pub(crate) const RECORD_PREFIX: &[u8] = b"redo/";
pub(super) const FENCE_PREFIX: &[u8] = b"fence/";
/// The first key after all fences.
pub(super) const FENCE_END: &[u8] = b"fence0";

pub(crate) fn record_key(number: u64) -> Vec<u8> {
    record_key::numbered(RECORD_PREFIX, number)
}

pub(crate) fn fence_key(partition: PartitionName) -> Vec<u8> {
    record_key::of_partition(FENCE_PREFIX, partition)
}

pub(crate) fn read_fences(metadata: &Metadata) -> Result<BTreeMap<PartitionName, u64>> {
    let fences = metadata.records(FENCE_PREFIX, record_key::parse_partition)?;
    let number = |(name, number): (PartitionName, Vec<u8>)| {
        let number = parse_number(&number).ok_or_else(|| {
            let message = format!("the fence of partition {name} in the metadata is no number");
            Error::new(ErrorKind::Damaged, message)
        })?;
        Ok((name, number))
    };
    fences.into_iter().map(number).collect()
}
