//! Durable records: a format version and a checksum around an encoded value.
//!
//! ```text
//! offset  bytes
//!      0      2  format version, little-endian
//!      2      4  CRC-32 (IEEE) of everything after it, little-endian
//!      6      …  the value in postcard's encoding
//! ```

use super::{KeyspaceLayout, ShardInfo, Topology};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Epoch, KeyspaceId, PartitionId, ShardId};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The format this version writes, and the only one it reads.
pub const FORMAT: u16 = 2;

const HEADER_BYTES: usize = 6;

/// Returns a value as a record.
pub(crate) fn encode<T: Serialize>(what: &str, value: &T) -> Result<Vec<u8>> {
    let payload = postcard::to_stdvec(value).map_err(|error| {
        Error::new(ErrorKind::Internal, format!("{what} cannot be encoded")).with_source(error)
    })?;
    let mut record = Vec::with_capacity(HEADER_BYTES + payload.len());
    record.extend_from_slice(&FORMAT.to_le_bytes());
    record.extend_from_slice(&crc32fast::hash(&payload).to_le_bytes());
    record.extend_from_slice(&payload);
    Ok(record)
}

/// Returns the value of a record; `what` names it in errors.
pub(crate) fn decode<T: DeserializeOwned>(what: &str, record: &[u8]) -> Result<T> {
    let damaged = |why: &str| Error::new(ErrorKind::Damaged, format!("{what} is damaged: {why}"));
    let Some((header, payload)) = record.split_first_chunk::<HEADER_BYTES>() else {
        return Err(damaged("it is shorter than its header; restore it from a copy"));
    };
    let [v0, v1, checksum @ ..] = *header;
    let format = u16::from_le_bytes([v0, v1]);
    if format != FORMAT {
        return Err(Error::new(
            ErrorKind::Incompatible,
            format!(
                "{what} has format {format}, this version reads format {FORMAT}; \
                 open it with the version of Annulus that wrote it"
            ),
        ));
    }
    if crc32fast::hash(payload) != u32::from_le_bytes(checksum) {
        return Err(damaged("its checksum does not match; restore it from a copy"));
    }
    let (value, rest) = postcard::take_from_bytes(payload)
        .map_err(|error| damaged("its content cannot be decoded").with_source(error))?;
    if !rest.is_empty() {
        return Err(damaged("it is longer than its content"));
    }
    Ok(value)
}

/// Returns a topology as a record with format version and checksum.
///
/// # Errors
///
/// [`Internal`](ErrorKind::Internal) if it cannot be encoded, which no valid topology causes.
pub fn encode_topology(topology: &Topology) -> Result<Vec<u8>> {
    encode("the topology", topology)
}

/// Returns the topology of a record. Any bytes may be passed: they are decoded without panics, and
/// without allocating much more than their length.
///
/// # Errors
///
/// [`Incompatible`](ErrorKind::Incompatible) for another format version,
/// [`Damaged`](ErrorKind::Damaged) for a wrong checksum, an undecodable content, or a content
/// that breaks an invariant.
pub fn decode_topology(record: &[u8]) -> Result<Topology> {
    let fields: Fields = decode("the topology", record)?;
    Topology::try_from(fields).map_err(|error| {
        Error::new(ErrorKind::Damaged, "the topology is damaged; restore it from a copy")
            .with_source(error)
    })
}

/// What a decoded topology is checked from.
#[derive(Deserialize)]
#[serde(rename = "Topology")]
struct Fields {
    epoch: Epoch,
    shards: BTreeMap<ShardId, ShardInfo>,
    keyspaces: BTreeMap<KeyspaceId, Arc<KeyspaceLayout>>,
    next_keyspace: KeyspaceId,
    next_partition: PartitionId,
    next_shard: ShardId,
}

impl TryFrom<Fields> for Topology {
    type Error = Error;

    fn try_from(fields: Fields) -> Result<Self> {
        let Fields { epoch, shards, keyspaces, next_keyspace, next_partition, next_shard } = fields;
        let topology = Self { epoch, shards, keyspaces, next_keyspace, next_partition, next_shard };
        topology.check()?;
        Ok(topology)
    }
}

/// Checks every invariant: a violation is an error.
impl<'de> Deserialize<'de> for Topology {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Fields::deserialize(deserializer)?.try_into().map_err(D::Error::custom)
    }
}
