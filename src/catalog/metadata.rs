//! The store's metadata: a small engine instance that holds the topology and the records of
//! reshapes.

use super::record_key::numbered;
use crate::engine::{
    Cursor as _, Durability, EngineOptions, LockGuard, LogDamage, MetadataBatch, MetadataEngine,
    Resources,
};
use crate::error::{Error, ErrorKind, Result};
use crate::id::KeyspaceId;
use crate::log::{CopySet, RecordCopies};
use crate::placement::KeyRange;
use crate::topology::{KeyspaceSpec, ShardInfo, Topology};
use crate::topology::{decode, decode_topology, encode, encode_topology};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) const TOPOLOGY_KEY: &[u8] = b"topology";
pub(super) const STORE_KEY: &[u8] = b"store";
pub(super) const LOG_COPIES_KEY: &[u8] = b"log-copies";
const LOG_COPIES_RECORD: &str = "the record of the log's copies in the metadata";
pub(super) const FIRST_SHARDS_KEY: &[u8] = b"first-shards";
const SPEC_PREFIX: &[u8] = b"spec/";

pub(crate) struct Metadata {
    pub(crate) engine: Arc<MetadataEngine>,
    directory: PathBuf,
}

impl Metadata {
    /// Creates the metadata of a new store. What an interrupted creation wrote is overwritten.
    pub(crate) fn create(
        directory: &Path,
        store: u128,
        log_copies: CopySet,
        topology: &Topology,
    ) -> Result<()> {
        MetadataEngine::remove_unfinished(directory)?;
        let metadata = Self::open(directory, None, LogDamage::Refuse)?;
        let mut others = MetadataBatch::default();
        others.put(STORE_KEY, &store.to_be_bytes());
        Self::put_log_copies(&mut others, log_copies)?;
        let shards: Vec<&ShardInfo> = topology.shards().collect();
        others.put(FIRST_SHARDS_KEY, &encode("the list of a store's first shards", &shards)?);
        metadata.commit(&encode_topology(topology)?, others)
    }

    pub(crate) fn open(directory: &Path, keep: LockGuard, log_damage: LogDamage) -> Result<Self> {
        Self::open_by(directory, log_damage, |resources| {
            MetadataEngine::open(directory, resources, keep)
        })
    }

    pub(crate) fn open_read_only(directory: &Path, log_damage: LogDamage) -> Result<Self> {
        Self::open_by(directory, log_damage, |resources| {
            MetadataEngine::open_read_only(directory, resources, None)
        })
    }

    fn open_by(
        directory: &Path,
        log_damage: LogDamage,
        open: impl FnOnce(&Resources) -> Result<MetadataEngine>,
    ) -> Result<Self> {
        let engine = open(&Resources::new(&EngineOptions::small(log_damage), 1))
            .map_err(|error| describe(error, format_args!("the store's metadata")))?;
        Ok(Self { engine: Arc::new(engine), directory: directory.to_owned() })
    }

    /// Returns the present topology of the store with this number.
    pub(crate) fn topology(&self, store: u128) -> Result<Topology> {
        let place = self.directory.display();
        let owner = self.engine.get(STORE_KEY)?;
        if owner.as_deref() != Some(&store.to_be_bytes()) {
            return Err(Error::new(
                ErrorKind::Damaged,
                format!(
                    "the metadata in {place} belongs to another store; put the right one there"
                ),
            ));
        }
        let record = self.engine.get(TOPOLOGY_KEY)?.ok_or_else(|| {
            Error::new(
                ErrorKind::Damaged,
                format!("the metadata in {place} has no topology; restore it from a copy"),
            )
        })?;
        decode_topology(&record)
            .map_err(|error| describe(error, format_args!("the metadata in {place}")))
    }

    /// Returns the copies of the log that have everything that was written.
    pub(crate) fn log_copies(&self) -> Result<CopySet> {
        let Some(record) = self.engine.get(LOG_COPIES_KEY)? else { return Ok(CopySet::FIRST) };
        let bits: u8 = decode(LOG_COPIES_RECORD, &record)?;
        CopySet::from_bits(bits).filter(|set| !set.is_empty()).ok_or_else(|| {
            let place = self.directory.display();
            let text = format!("the metadata in {place} names no copy of the log; restore it");
            Error::new(ErrorKind::Damaged, text)
        })
    }

    /// Adds to a commit which copies of the log have everything.
    pub(super) fn put_log_copies(batch: &mut MetadataBatch, copies: CopySet) -> Result<()> {
        batch.put(LOG_COPIES_KEY, &encode(LOG_COPIES_RECORD, &copies.bits())?);
        Ok(())
    }

    /// Returns what records which copies of the log have everything: on the disk when it returns.
    ///
    /// IMPORTANT: it is called with locks of the log held, for which threads wait that flush shards. So
    /// it must not wait for a flush itself, not even for one of the metadata.
    pub(crate) fn recorder(&self) -> RecordCopies {
        let engine = Arc::clone(&self.engine);
        Arc::new(move |set: CopySet| {
            let record = encode(LOG_COPIES_RECORD, &set.bits())?;
            engine.put(LOG_COPIES_KEY, &record, Durability::Synced)
        })
    }

    /// Returns the shards with which the store was created; `None` if an earlier revision created it.
    pub(crate) fn first_shards(&self) -> Result<Option<Vec<ShardInfo>>> {
        let record = self.engine.get(FIRST_SHARDS_KEY)?;
        record.map(|record| decode("the list of the store's first shards", &record)).transpose()
    }

    /// Returns the specification by which a keyspace was created; `None` if an earlier revision
    /// created it.
    pub(crate) fn spec(&self, keyspace: KeyspaceId) -> Result<Option<KeyspaceSpec>> {
        let record = self.engine.get(&spec_key(keyspace))?;
        record.map(|record| decode("the specification of a keyspace", &record)).transpose()
    }

    /// Adds to a commit by which specification it creates a keyspace.
    pub(crate) fn note_spec(
        batch: &mut MetadataBatch,
        keyspace: KeyspaceId,
        spec: &KeyspaceSpec,
    ) -> Result<()> {
        batch.put(&spec_key(keyspace), &encode("the specification of a keyspace", spec)?);
        Ok(())
    }

    /// Adds to a commit that it drops a keyspace.
    pub(crate) fn forget_spec(batch: &mut MetadataBatch, keyspace: KeyspaceId) {
        batch.delete(&spec_key(keyspace));
    }

    /// Makes an encoded topology the present one, together with other records: durable when it
    /// returns.
    ///
    /// The record is synced in the write-ahead log first, which commits it, and then moved into a
    /// file. IMPORTANT: the second step is what makes damage to the log safe. The log's recovery
    /// takes a damaged record for the end of the log; if the topology were only there, an older one
    /// would come back, and the partitions it does not know would be dropped as orphans.
    pub(crate) fn commit(&self, topology: &[u8], others: MetadataBatch) -> Result<()> {
        self.record(topology, others)?;
        crate::os::failpoint::hit("topology-after-commit");
        if crate::os::failpoint::skip("flush-commit") { Ok(()) } else { self.engine.flush() }
    }

    /// The first step of [`commit`](Self::commit) alone: for a commit during which writers wait. IMPORTANT: the second step must follow before anything is removed
    /// that an older topology knows.
    pub(crate) fn record(&self, topology: &[u8], mut others: MetadataBatch) -> Result<()> {
        others.put(TOPOLOGY_KEY, topology);
        self.engine.write(others, Durability::synced_unless_skipped("commit"))
    }

    /// Returns the records whose keys begin with a prefix, in order, with what `parse` makes of the
    /// rest of their keys.
    ///
    /// # Errors
    ///
    /// `Damaged` if `parse` cannot read a key.
    pub(crate) fn records<K>(
        &self,
        prefix: &[u8],
        parse: impl Fn(&[u8]) -> Option<K>,
    ) -> Result<Vec<(K, Vec<u8>)>> {
        let range = KeyRange::of_prefix(prefix);
        let mut records = Vec::new();
        let mut cursor = self.engine.cursor(&range)?;
        while let Some((key, record)) = cursor.row() {
            let parsed = key.strip_prefix(prefix).and_then(&parse).ok_or_else(|| {
                let key = key.escape_ascii();
                Error::new(
                    ErrorKind::Damaged,
                    format!("the metadata holds a misnamed record `{key}`"),
                )
            })?;
            records.push((parsed, record.to_vec()));
            cursor.advance();
        }
        cursor.status()?;
        Ok(records)
    }
}

fn spec_key(keyspace: KeyspaceId) -> Vec<u8> {
    numbered(SPEC_PREFIX, u64::from(keyspace.0))
}

fn describe(error: Error, what: std::fmt::Arguments<'_>) -> Error {
    let message = match error.kind() {
        ErrorKind::Damaged => format!("{what} is damaged; restore it from a copy"),
        _ => format!("cannot open {what}"),
    };
    Error::new(error.kind(), message).with_source(error)
}
