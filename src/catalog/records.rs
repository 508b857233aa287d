//! The records of a store's metadata as a backup has them, and the metadata of a store that is
//! restored from it.

use super::metadata::{FIRST_SHARDS_KEY, LOG_COPIES_KEY, STORE_KEY, TOPOLOGY_KEY};
use super::openings::ACCEPTED_KEY;
use super::{Metadata, record_key};
use crate::engine::{LogDamage, MetadataBatch};
use crate::error::{Error, ErrorKind, Result};
use crate::log::CopySet;
use crate::topology::{ShardInfo, Topology, decode, decode_topology, encode, encode_topology};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

const FIRST_SHARDS: &str = "the list of a store's first shards";

/// The records of a store's metadata, as of one moment, by key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Records(Vec<(Vec<u8>, Vec<u8>)>);

impl Metadata {
    /// Returns all records that are true of a copy of the store, too. Those that are not: which
    /// openings the shards know, which copies of the log have everything, and directories of removed
    /// shards, which the opening of a copy would empty.
    pub(crate) fn records_for_copy(&self) -> Result<Records> {
        let mut records = self.records(b"", |key| Some(key.to_vec()))?;
        let is_own = |key: &[u8]| {
            key == ACCEPTED_KEY || key == LOG_COPIES_KEY || key.starts_with(record_key::RETIRED)
        };
        records.retain(|(key, _)| !is_own(key));
        Ok(Records(records))
    }

    /// Makes these the metadata of another store, whose shards are in other directories: durable when it
    /// returns. What is not true of a copy goes.
    pub(crate) fn adopt(
        &self,
        store: u128,
        directory_of: impl Fn(&ShardInfo) -> PathBuf,
    ) -> Result<()> {
        let (topology, mut others) = self.records_for_copy()?.of_store(store, directory_of)?;
        others.delete(ACCEPTED_KEY);
        for (key, _) in self.records(record_key::RETIRED, |key| Some(key.to_vec()))? {
            others.delete(&[record_key::RETIRED, key.as_slice()].concat());
        }
        self.commit(&topology, others)
    }
}

impl Records {
    fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.0.iter().find(|(of, _)| of == key).map(|(_, record)| &**record)
    }

    /// Returns the topology.
    ///
    /// # Errors
    ///
    /// `Damaged`.
    pub(crate) fn topology(&self) -> Result<Topology> {
        let record = self.get(TOPOLOGY_KEY).ok_or_else(|| {
            Error::new(ErrorKind::Damaged, "there is no topology among the records of the metadata")
        })?;
        decode_topology(record)
    }

    /// Creates metadata with these records, in a directory that has none, as those of the store with
    /// this number, whose shards are in other directories, and whose log has one copy.
    pub(crate) fn create(
        &self,
        directory: &Path,
        store: u128,
        directory_of: impl Fn(&ShardInfo) -> PathBuf,
    ) -> Result<()> {
        let (topology, others) = self.of_store(store, directory_of)?;
        let metadata = Metadata::open(directory, None, LogDamage::Refuse)?;
        metadata.commit(&topology, others)
    }

    /// Returns the encoded topology and the other records as those of a store with a number, whose
    /// shards are in other directories, and whose log has one copy.
    fn of_store(
        &self,
        store: u128,
        directory_of: impl Fn(&ShardInfo) -> PathBuf,
    ) -> Result<(Vec<u8>, MetadataBatch)> {
        let moved =
            |shard: &ShardInfo| ShardInfo { directory: directory_of(shard), ..shard.clone() };
        let topology = self.topology()?.with_shards(moved);
        let mut others = MetadataBatch::default();
        for (key, record) in &self.0 {
            others.put(key, record);
        }
        if let Some(first) = self.get(FIRST_SHARDS_KEY) {
            let first: Vec<ShardInfo> = decode(FIRST_SHARDS, first)?;
            let first: Vec<ShardInfo> = first.iter().map(moved).collect();
            others.put(FIRST_SHARDS_KEY, &encode(FIRST_SHARDS, &first)?);
        }
        others.put(STORE_KEY, &store.to_be_bytes());
        Metadata::put_log_copies(&mut others, CopySet::FIRST)?;
        Ok((encode_topology(&topology)?, others))
    }
}
