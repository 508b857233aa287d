//! Which shards an opening finds, and which it does without.
//!
//! A shard can turn out to be missing at three steps: its directory is not there or not the right one,
//! it cannot be locked because its disk does not take writes, or its engine cannot be opened or lacks a
//! partition. [`catalog::missing`](crate::catalog::missing) has the protocol that keeps what its return
//! needs.

use super::findings::MissingShard;
use super::recovery::wanted_partitions;
use super::shard_directory::check_shard;
use crate::catalog::directory::DirectoryLock;
use crate::catalog::missing::{self, Missing, MissingRecord, MissingRecords, MissingShards};
use crate::catalog::openings::{Accepted, Part};
use crate::catalog::{Home, Metadata, Shards};
use crate::engine::{Durability, Engine as _, LockGuard, LogDamage, MetadataBatch, ShardEngine};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ShardId;
use crate::log::Position;
use crate::os::parallel;
use crate::topology::Topology;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The shards of a store that is being opened.
pub(super) struct FoundShards {
    /// Those that are there, so far.
    pub(super) there: Vec<FoundShard>,
    /// Those that are not, with the reasons.
    missing: BTreeMap<ShardId, Error>,
    /// Whether the opening goes on without those that are missing.
    may_do_without: bool,
}

/// A shard that is there.
pub(super) struct FoundShard {
    pub(super) id: ShardId,
    /// Its directory, resolved.
    pub(super) directory: PathBuf,
    guard: LockGuard,
}

impl FoundShards {
    /// Looks for the shards of a topology. Changes nothing.
    ///
    /// # Errors
    ///
    /// The first reason why a shard cannot be opened, unless the opening may do without it; also if
    /// none is there.
    pub(super) fn find(
        store: &Path,
        id: u128,
        topology: &Topology,
        accepted: &Accepted,
        may_do_without: bool,
    ) -> Result<Self> {
        let mut found = Self { there: Vec::new(), missing: BTreeMap::new(), may_do_without };
        for shard in topology.shards() {
            let checked = check_shard(store, shard, id).and_then(|directory| {
                accepted.check(store, &part(shard.id, &directory))?;
                Ok(directory)
            });
            if let Some(directory) = found.unless_missing(shard.id, checked)? {
                found.there.push(FoundShard { id: shard.id, directory, guard: None });
            }
        }
        found.check_any()?;
        Ok(found)
    }

    /// Notes a shard as missing if it has failed, and the opening may do without it.
    fn unless_missing<T>(&mut self, id: ShardId, of: Result<T>) -> Result<Option<T>> {
        match of {
            Ok(of) => Ok(Some(of)),
            // It is there, and in use.
            Err(error) if !self.may_do_without || error.kind() == ErrorKind::InUse => Err(error),
            Err(error) => {
                self.missing.insert(id, error);
                Ok(None)
            }
        }
    }

    /// Refuses to open a store of which no shard is there.
    fn check_any(&mut self) -> Result<()> {
        if self.there.is_empty()
            && let Some((_, error)) = self.missing.pop_first()
        {
            return Err(error);
        }
        Ok(())
    }

    /// Locks those that are there.
    ///
    /// # Errors
    ///
    /// `InUse` if another process has one open; those of [`find`](Self::find).
    pub(super) fn lock(&mut self, home: &Home) -> Result<()> {
        for mut shard in std::mem::take(&mut self.there) {
            let locked = DirectoryLock::take_shard(&shard.directory);
            if let Some(lock) = self.unless_missing(shard.id, locked)? {
                shard.guard = home.guard_with(lock);
                self.there.push(shard);
            }
        }
        self.check_any()
    }

    /// Checks that the log has what shards need that are back.
    ///
    /// # Errors
    ///
    /// `Damaged`, unless the opening may do without the shard, or without what is lost.
    pub(super) fn check_log(
        &mut self,
        records: &MissingRecords,
        first: Position,
        damage: LogDamage,
    ) -> Result<()> {
        if damage == LogDamage::DropRest {
            return Ok(());
        }
        for shard in std::mem::take(&mut self.there) {
            let needed = records.get(&shard.id);
            let checked = needed.map_or(Ok(()), |record| record.check_log(shard.id, first));
            if self.unless_missing(shard.id, checked)?.is_some() {
                self.there.push(shard);
            }
        }
        self.check_any()
    }

    /// Goes on without the shards that could not note this opening. One whose disk is full is served:
    /// what it holds may be what is to be deleted.
    ///
    /// # Errors
    ///
    /// The first reason, unless the opening may do without the shard.
    pub(super) fn bear_not_noted(&mut self, not_noted: Vec<(ShardId, Error)>) -> Result<()> {
        for (shard, error) in not_noted {
            if is_full(&error) {
                tracing::warn!(
                    %shard, error = format_args!("{error:#}"),
                    "the disk of a shard is full: it does not know of this opening, and a copy of the \
                     store that opens it next is not noticed"
                );
                continue;
            }
            self.unless_missing::<()>(shard, Err(error))?;
            self.there.retain(|there| there.id != shard);
        }
        self.check_any()
    }

    /// Returns the parts of the store that know their last opening, of the shards.
    pub(super) fn parts(&self) -> impl Iterator<Item = Part> {
        self.there.iter().map(|shard| part(shard.id, &shard.directory))
    }

    /// Returns the shards that are missing so far.
    pub(super) fn missing(&self) -> impl Iterator<Item = ShardId> {
        self.missing.keys().copied()
    }

    /// Opens those that are there.
    ///
    /// # Errors
    ///
    /// Those of the engine; `Damaged` if a partition is not there. Unless the opening may do without the
    /// shard.
    pub(super) fn open(
        &mut self,
        topology: &Topology,
        open: impl Fn(&Path, &LockGuard) -> Result<ShardEngine> + Sync,
    ) -> Result<Shards> {
        let checked = |shard: &FoundShard| {
            let engine = open(&shard.directory, &shard.guard)?;
            if self.may_do_without {
                let there = engine.partitions().into_iter().collect();
                wanted_partitions(topology, shard.id, &there)?;
            }
            Ok(engine)
        };
        let opened = open_shards(&self.there, |shard| shard.id, checked);
        let mut shards = Shards::new();
        for (shard, opened) in std::mem::take(&mut self.there).into_iter().zip(opened) {
            if let Some(engine) = self.unless_missing(shard.id, opened)? {
                shards.insert(shard.id, engine);
                self.there.push(shard);
            }
        }
        self.check_any()?;
        Ok(shards)
    }

    /// Records the shards that have turned out to be missing after this opening was noted, whose
    /// number they may know.
    pub(super) fn note_late(
        &self,
        metadata: &Metadata,
        records: &mut MissingRecords,
        noted: impl Fn(ShardId) -> bool,
        accepted: &[u128],
        first: Position,
    ) -> Result<()> {
        let late: Vec<ShardId> = self.missing().filter(|shard| !noted(*shard)).collect();
        if late.is_empty() {
            return Ok(());
        }
        let mut batch = MetadataBatch::default();
        for shard in late {
            let record =
                records.entry(shard).or_insert_with(|| MissingRecord::new(first, Vec::new()));
            record.openings.extend_from_slice(accepted);
            record.openings.sort_unstable();
            record.openings.dedup();
            missing::note(&mut batch, shard, record)?;
        }
        metadata.engine.write(batch, Durability::Synced)
    }

    /// Returns what is missing, for the catalog.
    pub(super) fn into_missing(self, records: &MissingRecords, first: Position) -> MissingShards {
        let missing = |(shard, cause): (ShardId, Error)| {
            let log_from = records.get(&shard).map_or(first, MissingRecord::log_from);
            (shard, Missing { cause, log_from })
        };
        self.missing.into_iter().map(missing).collect()
    }

    /// Returns what is missing, for people.
    pub(super) fn report(&self, store: &Path, topology: &Topology) -> Vec<MissingShard> {
        let of_one = |(id, error): (&ShardId, &Error)| MissingShard {
            shard: *id,
            directory: topology
                .shard(*id)
                .map_or_else(PathBuf::new, |it| store.join(&it.directory)),
            reason: format!("{error:#}"),
        };
        self.missing.iter().map(of_one).collect()
    }
}

/// Returns true if an error comes from a disk that is full, or from a quota that is used up.
fn is_full(error: &Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<std::io::Error>() {
            use std::io::ErrorKind::{QuotaExceeded, StorageFull};
            return matches!(cause.kind(), StorageFull | QuotaExceeded);
        }
        source = cause.source();
    }
    false
}

fn part(id: ShardId, directory: &Path) -> Part {
    Part { what: format!("shard {id}"), directory: directory.to_owned(), shard: Some(id) }
}

/// Opens all shards, in parallel.
fn open_shards<T: Sync>(
    shards: &[T],
    id: impl Fn(&T) -> ShardId,
    open: impl Fn(&T) -> Result<ShardEngine> + Sync,
) -> Vec<Result<Arc<ShardEngine>>> {
    let opened = parallel::each(shards, open);
    let engine = |(shard, opened): (&T, std::thread::Result<Result<ShardEngine>>)| {
        let id = id(shard);
        let engine = opened
            .map_err(|_| Error::new(ErrorKind::Internal, format!("opening shard {id} panicked")))?;
        let engine = engine.map_err(|error| {
            Error::new(error.kind(), format!("cannot open shard {id}")).with_source(error)
        })?;
        Ok(Arc::new(engine))
    };
    shards.iter().zip(opened).map(engine).collect()
}
