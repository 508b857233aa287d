//! Durable records: a format version and a checksum around an encoded value.
//!
//! ```text
//! offset  bytes
//!      0      2  format version, little-endian
//!      2      4  CRC-32 (IEEE) of everything after it, little-endian
//!      6      …  the value in postcard's encoding
//! ```

use super::{KeyspaceLayout, ShardInfo, TimeToLive, Topology};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{Epoch, KeyspaceId, PartitionId, ShardId};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The format of records.
pub const FORMAT: u16 = 2;

/// The format of a topology that has, or has had, keyspaces whose rows expire: after the rest of it
/// come their numbers and how long their rows live. Versions that do not know it take their rows for
/// others, and their puts in the log for damage.
const FORMAT_EXPIRING: u16 = 3;

const HEADER_BYTES: usize = 6;

/// Returns a value as a record.
pub(crate) fn encode<T: Serialize>(what: &str, value: &T) -> Result<Vec<u8>> {
    encode_as(FORMAT, what, value)
}

fn encode_as<T: Serialize>(format: u16, what: &str, value: &T) -> Result<Vec<u8>> {
    let payload = postcard::to_stdvec(value).map_err(|error| {
        Error::new(ErrorKind::Internal, format!("{what} cannot be encoded")).with_source(error)
    })?;
    let mut record = Vec::with_capacity(HEADER_BYTES + payload.len());
    record.extend_from_slice(&format.to_le_bytes());
    record.extend_from_slice(&crc32fast::hash(&payload).to_le_bytes());
    record.extend_from_slice(&payload);
    Ok(record)
}

/// Returns the value of a record; `what` names it in errors.
pub(crate) fn decode<T: DeserializeOwned>(what: &str, record: &[u8]) -> Result<T> {
    decode_as(FORMAT, what, record)
}

fn decode_as<T: DeserializeOwned>(expected: u16, what: &str, record: &[u8]) -> Result<T> {
    let damaged = |why: &str| Error::new(ErrorKind::Damaged, format!("{what} is damaged: {why}"));
    let Some((header, payload)) = record.split_first_chunk::<HEADER_BYTES>() else {
        return Err(damaged("it is shorter than its header; restore it from a copy"));
    };
    let [v0, v1, checksum @ ..] = *header;
    let format = u16::from_le_bytes([v0, v1]);
    if format != expected {
        return Err(Error::new(
            ErrorKind::Incompatible,
            format!(
                "{what} has format {format}, this version reads format {expected}; \
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
    if !topology.has_had_expiry {
        return encode("the topology", topology);
    }
    let time_to_live = |keyspace: &Arc<KeyspaceLayout>| Some((keyspace.id, keyspace.time_to_live?));
    let expiring: ExpiringKeyspaces =
        topology.keyspaces.values().filter_map(time_to_live).collect();
    encode_as(FORMAT_EXPIRING, "the topology", &(topology, expiring))
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
    let has_had_expiry = record.starts_with(&FORMAT_EXPIRING.to_le_bytes());
    let (mut fields, expiring): (Fields, ExpiringKeyspaces) = if has_had_expiry {
        decode_as(FORMAT_EXPIRING, "the topology", record)?
    } else {
        (decode("the topology", record)?, ExpiringKeyspaces::new())
    };
    fields.has_had_expiry = has_had_expiry;
    for (id, time_to_live) in expiring {
        let keyspace = fields.keyspaces.get_mut(&id).ok_or_else(|| {
            let text =
                format!("the topology is damaged: rows of keyspace {id}, which is not there");
            Error::new(ErrorKind::Damaged, text)
        })?;
        let time_to_live = Some(time_to_live);
        *keyspace = Arc::new(KeyspaceLayout { time_to_live, ..KeyspaceLayout::clone(keyspace) });
    }
    Topology::try_from(fields).map_err(|error| {
        Error::new(ErrorKind::Damaged, "the topology is damaged; restore it from a copy")
            .with_source(error)
    })
}

/// How long rows live, in the keyspaces whose rows expire.
type ExpiringKeyspaces = BTreeMap<KeyspaceId, TimeToLive>;

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
    #[serde(skip)]
    has_had_expiry: bool,
}

impl TryFrom<Fields> for Topology {
    type Error = Error;

    fn try_from(fields: Fields) -> Result<Self> {
        let Fields { epoch, shards, keyspaces, .. } = fields;
        let Fields { next_keyspace, next_partition, next_shard, has_had_expiry, .. } = fields;
        let topology = Self {
            epoch,
            shards,
            keyspaces,
            next_keyspace,
            next_partition,
            next_shard,
            has_had_expiry,
        };
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
