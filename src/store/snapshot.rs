//! Snapshots: a cut over all shards at one moment.

use super::core::Core;
use super::keyspace::Keyspace;
use crate::catalog::View;
use crate::engine::{Engine, Read};
use crate::error::{Error, ErrorKind, Result};
use crate::expiry::{Held, Moment};
use crate::id::KeyspaceId;
use crate::log::CommitLog;
use crate::read::{
    Bounds, Cut, KeyBounds, MemoryRead, Prefix, ReadOptions, Scan, ScanOptions, ShardSnapshots,
    Value,
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
        Self::take_noting(core, |_| Ok(())).map(|(snapshot, ())| snapshot)
    }

    /// Takes a snapshot, and notes something of the log while the gate is closed: all records are
    /// applied then, and no other is appended.
    pub(super) fn take_noting<T>(
        core: &Core,
        note: impl FnOnce(&Arc<CommitLog>) -> Result<T>,
    ) -> Result<(Self, T)> {
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
            partition.snapshot_in(&mut cut)?;
        }
        let noted = note(&catalog.log)?;
        let expires = views.values().any(|view| view.expiring().is_some());
        let held = expires.then(|| catalog.home.horizon.hold());
        let (store, scan_threads) = (catalog.home.id, core.options.scan_threads);
        let (cut, _counted) = (Arc::new(Cut { shards: cut, held }), Arc::clone(&core.snapshots));
        let inner = Inner { store, views, cut, scan_threads, _counted };
        Ok((Self { inner: Arc::new(inner) }, noted))
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
        let value = self.unless_expired(view, value)?;
        keyspace.record_read(sampled, key, value.as_ref());
        Ok(value)
    }

    /// Returns what memory knows of a key, without reading a file: see
    /// [`Keyspace::get_from_memory`].
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub fn get_from_memory(
        &self,
        keyspace: &Keyspace,
        key: impl AsRef<[u8]>,
    ) -> Result<MemoryRead> {
        let (view, key) = (self.view(keyspace)?, key.as_ref());
        let partition = view.partition(view.index(key))?;
        let at = self.inner.cut.get(&partition.owner);
        let sampled = keyspace.sampler().begin();
        let found = partition.shard.get_from_memory(&partition.handle, key, at)?;
        let known = found.map(|value| self.unless_expired(view, value.map(Value::new)));
        let known = known.transpose()?;
        if let Some(value) = &known {
            keyspace.record_read(sampled, key, value.as_ref());
        }
        Ok(MemoryRead::new(known))
    }

    /// Returns the values of several keys, in the order of the keys. Keys of one partition are read
    /// in one call to its shard.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    pub fn get_many<K: AsRef<[u8]>>(
        &self,
        keyspace: &Keyspace,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<Value>>> {
        let view = self.view(keyspace)?;
        let keys: Vec<K> = keys.into_iter().collect();
        let mut by_partition: BTreeMap<usize, Vec<(usize, &[u8])>> = BTreeMap::new();
        for (position, key) in keys.iter().map(AsRef::as_ref).enumerate() {
            by_partition.entry(view.index(key)).or_default().push((position, key));
        }
        let mut values: Vec<(usize, Option<Value>)> = Vec::with_capacity(keys.len());
        for (index, asked) in by_partition {
            let partition = view.partition(index)?;
            let read = Read { at: self.inner.cut.get(&partition.owner), ..Read::PRESENT };
            let asked_keys: Vec<&[u8]> = asked.iter().map(|(_, key)| *key).collect();
            let found = partition.shard.get_many(&partition.handle, &asked_keys, read)?;
            for ((position, key), value) in asked.into_iter().zip(found) {
                let value = self.unless_expired(view, value.map(Value::new))?;
                keyspace.record_read_untimed(key, value.as_ref());
                values.push((position, value));
            }
        }
        values.sort_unstable_by_key(|(position, _)| *position);
        Ok(values.into_iter().map(|(_, value)| value).collect())
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
        self.scan_bounds(keyspace, &Bounds::of(&range)?, options)
    }

    pub(super) fn scan_bounds(
        &self,
        keyspace: &Keyspace,
        bounds: &Bounds,
        options: ScanOptions,
    ) -> Result<Scan> {
        let cut = Some(Arc::clone(&self.inner.cut));
        let watch = ScanSampler::begin(keyspace.sampler(), keyspace.id());
        let (view, threads) = (self.view(keyspace)?, self.inner.scan_threads);
        let at = self.moment(view);
        Scan::open(view, bounds, options, cut, at, threads, watch)?.ok_or_else(|| {
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

    /// Returns the moment at which rows of a keyspace have expired, if they expire.
    fn moment(&self, view: &View) -> Option<Moment> {
        view.expiring().and(self.inner.cut.held.as_ref()).map(Held::at)
    }

    /// Returns a value as it is stored without what says when it expires, unless it has.
    fn unless_expired(&self, view: &View, value: Option<Value>) -> Result<Option<Value>> {
        match (value, self.moment(view)) {
            (Some(value), Some(at)) => value.unless_expired(at),
            (value, _) => Ok(value),
        }
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
