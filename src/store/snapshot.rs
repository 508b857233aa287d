//! Snapshots: a cut over all shards at one moment.

use super::core::Core;
use super::keyspace::Keyspace;
use crate::catalog::View;
use crate::engine::{Engine, Read};
use crate::error::{Error, ErrorKind, Result};
use crate::id::KeyspaceId;
use crate::read::{
    Bounds, KeyBounds, Prefix, ReadOptions, Scan, ScanOptions, ShardSnapshots, Value,
};
use crate::sampling::ScanSampler;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Everything in the store as it was at one moment; made by
/// [`Store::snapshot`](crate::Store::snapshot).
///
/// A write that was acknowledged before the snapshot was taken is in it; one that began afterwards
/// is not; a batch is in it whole or not at all, over all keyspaces and shards. Cheap to clone.
/// While it is held, the shards keep the old versions of what it sees.
#[derive(Clone)]
pub struct Snapshot {
    inner: Arc<Inner>,
}

struct Inner {
    store: u128,
    views: BTreeMap<KeyspaceId, Arc<View>>,
    cut: ShardSnapshots,
    scan_threads: usize,
    _counted: Arc<()>,
}

impl Snapshot {
    /// Takes a snapshot. Closes the commit gate for as long as it takes each engine to note a
    /// sequence number.
    ///
    /// # Errors
    ///
    /// That of a partition that is behind the log: what the shards show of a batch may be a part of
    /// it.
    pub(super) fn take(core: &Core) -> Result<Self> {
        let catalog = &core.catalog;
        let _closed = catalog.gate.close();
        // IMPORTANT: take the views before the engines' snapshots. No write is in progress, so the
        // partitions of a view hold everything that was acknowledged, even if a reshape supersedes
        // them meanwhile; a target that a view shows was complete before it was shown.
        let keyspaces = catalog.keyspaces();
        let views: BTreeMap<_, _> =
            keyspaces.iter().map(|(id, keyspace)| (*id, keyspace.view())).collect();
        let mut cut = BTreeMap::new();
        for partition in views.values().flat_map(|view| view.partitions.iter()) {
            // With the gate closed, so that no write is between the log and its partitions.
            partition.check_up_to_date()?;
            cut.entry(partition.owner).or_insert_with(|| partition.shard.snapshot());
        }
        let (store, scan_threads) = (catalog.home.id, core.options.scan_threads);
        let (cut, _counted) = (Arc::new(cut), Arc::clone(&core.snapshots));
        Ok(Self { inner: Arc::new(Inner { store, views, cut, scan_threads, _counted }) })
    }

    /// Returns the value of a key.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) for a keyspace that was created after the snapshot;
    /// otherwise those of [`Keyspace::get`].
    pub fn get(&self, keyspace: &Keyspace, key: impl AsRef<[u8]>) -> Result<Option<Value>> {
        self.get_with(keyspace, key, ReadOptions::new())
    }

    /// Returns the value of a key, read as the options say.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get), and [`DeadlineExceeded`](ErrorKind::DeadlineExceeded).
    pub fn get_with(
        &self,
        keyspace: &Keyspace,
        key: impl AsRef<[u8]>,
        options: ReadOptions,
    ) -> Result<Option<Value>> {
        let (view, key) = (self.view(keyspace)?, key.as_ref());
        let index = view.index(key);
        let partition = view.partition(index)?;
        let at = self.inner.cut.get(&partition.owner);
        let read = Read { at, ..super::keyspace::read(options, "get")? };
        let sampled = keyspace.sampler().begin();
        let value = partition.shard.get(&partition.handle, key, read)?.map(Value::new);
        keyspace.record_read(sampled, key, value.as_ref());
        Ok(value)
    }

    /// Returns the rows of a range of keys, in order.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get), and [`InvalidArgument`](ErrorKind::InvalidArgument) for an
    /// inverted range.
    pub fn scan(&self, keyspace: &Keyspace, range: impl KeyBounds) -> Result<Scan> {
        self.scan_with(keyspace, range, ScanOptions::new())
    }

    /// Returns the rows of a range of keys, as the options say.
    ///
    /// # Errors
    ///
    /// Those of [`scan`](Self::scan).
    pub fn scan_with(
        &self,
        keyspace: &Keyspace,
        range: impl KeyBounds,
        options: ScanOptions,
    ) -> Result<Scan> {
        let cut = Some(Arc::clone(&self.inner.cut));
        let watch = ScanSampler::begin(keyspace.sampler(), keyspace.id());
        let (view, threads) = (self.view(keyspace)?, self.inner.scan_threads);
        Scan::open(view, &Bounds::of(&range)?, options, cut, threads, watch)?.ok_or_else(|| {
            Error::new(ErrorKind::Internal, "a snapshot's partitions were superseded")
        })
    }

    /// Returns the rows whose keys begin with a prefix, in order: [`scan`](Self::scan) of a
    /// [`Prefix`].
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub fn scan_prefix(&self, keyspace: &Keyspace, prefix: impl AsRef<[u8]>) -> Result<Scan> {
        self.scan(keyspace, Prefix::new(prefix.as_ref()))
    }

    pub(super) fn views(&self) -> impl Iterator<Item = &Arc<View>> {
        self.inner.views.values()
    }

    pub(super) fn cut(&self) -> &ShardSnapshots {
        &self.inner.cut
    }

    fn view(&self, keyspace: &Keyspace) -> Result<&Arc<View>> {
        let view = self.inner.views.get(&keyspace.id());
        view.filter(|_| keyspace.store_id() == self.inner.store).ok_or_else(|| {
            let name = keyspace.name();
            Error::new(
                ErrorKind::NotFound,
                format!(
                    "the snapshot has no keyspace `{name}`: it was created later, or elsewhere"
                ),
            )
        })
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("keyspaces", &self.inner.views.len())
            .finish_non_exhaustive()
    }
}
