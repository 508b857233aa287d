//! Operations on the store as a whole: syncing, flushing, statistics, verification, closing.

use super::core::Core;
use super::each_shard::in_parallel;
use super::findings::{Problem, Recovered};
use super::retention::retain_changes;
use super::stats::{CallStats, ExpiryStats};
use super::{KeyspaceStats, ShardStats, Store, StoreStats, Verification, index, stats, verify};
use crate::catalog::Catalog;
use crate::engine::{Engine as _, HARDWARE_CHECKSUMS, ShardEngine};
use crate::error::Result;
use crate::os::parallel;
use crate::topology;
use std::sync::Arc;

impl Store {
    /// Ensures that every acknowledged write survives a power cut.
    ///
    /// Cost: one sync of the log, which serves all threads that ask for one at the same time, and
    /// one of the metadata's.
    ///
    /// # Errors
    ///
    /// [`Io`](crate::ErrorKind::Io) if a log cannot be synced: the store then takes no more writes, and
    /// those that were not synced before are in doubt until it is opened again;
    /// [`Closed`](crate::ErrorKind::Closed); [`ReadOnly`](crate::ErrorKind::ReadOnly).
    pub fn sync(&self) -> Result<()> {
        let catalog = &self.core().catalog;
        catalog.check_open()?;
        catalog.check_disk_writable()?;
        let Some(deadline) = self.deadline else { return sync(catalog) };
        let core = Arc::clone(self.core());
        self.core().work_by(deadline, "the sync", move || sync(&core.catalog))
    }

    /// Moves the content of the write buffers into files, so that the next opening has little of the
    /// log to replay.
    ///
    /// # Errors
    ///
    /// [`Io`](crate::ErrorKind::Io) if a shard cannot be written; [`Closed`](crate::ErrorKind::Closed);
    /// [`ReadOnly`](crate::ErrorKind::ReadOnly).
    pub fn flush(&self) -> Result<()> {
        let catalog = &self.core().catalog;
        catalog.check_open()?;
        catalog.check_disk_writable()?;
        catalog.check_places()?;
        let flushed = match self.deadline {
            None => on_every_shard(catalog, ShardEngine::flush),
            Some(deadline) => self.core().flush_by(deadline),
        };
        // What could be flushed is no longer needed, whatever became of the rest.
        retain_changes(catalog, self.core().hold_limits());
        catalog.release_log();
        flushed
    }

    /// Returns what the store occupies.
    ///
    /// # Errors
    ///
    /// [`Io`](crate::ErrorKind::Io) if a shard cannot report it.
    pub fn stats(&self) -> Result<StoreStats> {
        let topology = self.topology();
        let keyspaces = self
            .all_keyspaces()
            .iter()
            .map(|keyspace| {
                Ok(KeyspaceStats {
                    name: keyspace.name().to_owned(),
                    partitioning: keyspace.placement().partitioning().as_str(),
                    partitions: keyspace.stats()?,
                    indexes: index::index_stats(keyspace)?,
                    expiry: keyspace.state().expiring().map(|it| ExpiryStats::of(it)),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let catalog = &self.core().catalog;
        let shards =
            topology.shards().map(|shard| shard_stats(self.core(), shard, &keyspaces)).collect();
        Ok(StoreStats {
            epoch: topology.epoch(),
            shards,
            keyspaces,
            reshapes: self.reshape_stats(),
            cache_bytes: catalog.resources.cache_bytes_used(),
            write_buffer_bytes: catalog.resources.write_buffer_bytes_used(),
            call_bytes: self.core().admission.as_ref().map_or(0, |admission| admission.bytes()),
            log_bytes: catalog.log.bytes(),
            log_copies: stats::log_copies(&catalog.log),
            hardware_checksums: HARDWARE_CHECKSUMS,
        })
    }

    /// Reads the whole store as of one moment, and checks the invariants of the topology, that each
    /// key is in the partition to which it is routed, and in order, the checksum of every block on
    /// disk, including the metadata, and that rows and [indexes](crate::index) agree; of indexes that
    /// are not declared, that each entry has its row. Reads and writes continue meanwhile.
    ///
    /// Cost: reads everything twice, as rows and as blocks. Verification continues after damage:
    /// each damaged partition is reported with a file, and among the files that no row needed, the
    /// first damaged one of each shard.
    ///
    /// # Errors
    ///
    /// Those of [`snapshot`](Self::snapshot). Problems with the data are in the report and are not
    /// an error.
    pub fn verify(&self) -> Result<Verification> {
        let snapshot = self.snapshot()?;
        let mut report = Verification::default();
        if let Err(violation) = self.topology().check() {
            report.problems.push(Problem::Topology(violation));
        }
        for view in snapshot.views() {
            let cut = |shard| snapshot.cut().get(&shard).cloned();
            let keyspace = verify::keyspace(view, cut, &mut report.problems);
            report.keyspaces.push(keyspace);
        }
        index::verify_all(&self.all_keyspaces(), &snapshot, &mut report.problems)?;
        self.verify_checksums(&mut report.problems);
        let recovery = self.recovery();
        report.problems.extend(recovery.damaged.iter().cloned().map(Problem::Damaged));
        report.lost.clone_from(&recovery.lost);
        report.recovered.extend(recovery.orphans.iter().cloned().map(Recovered::Leftover));
        report.recovered.extend(recovery.rolled_back.iter().cloned().map(Recovered::RolledBack));
        Ok(report)
    }

    /// Compares the content of the disks with its checksums, all shards in parallel.
    fn verify_checksums(&self, problems: &mut Vec<Problem>) {
        let catalog = &self.core().catalog;
        let shards = catalog.shards();
        let shards = shards.iter().map(|(id, shard)| (Some(*id), Some(&**shard)));
        let engines: Vec<_> = shards.chain([(None, None)]).collect();
        let verified = parallel::each(&engines, |(_, shard)| match shard {
            Some(shard) => shard.verify_checksums(),
            None => catalog.metadata.engine.verify_checksums(),
        });
        for ((shard, _), verified) in engines.iter().zip(verified) {
            match verified {
                Ok(Ok(())) => {}
                Ok(Err(error)) => problems.push(Problem::Checksum { shard: *shard, error }),
                Err(_) => problems.push(Problem::Unchecked { shard: *shard }),
            }
        }
    }

    /// Ends all writes, then flushes and syncs everything, so that the next opening is fast and a
    /// power cut loses nothing. A store that is only dropped loses no acknowledged write either,
    /// within the limits of each write's durability, but the next opening must replay the log.
    ///
    /// The directory can be opened again once the last handle is dropped: stores, keyspaces, scans,
    /// snapshots and values. Closing a store twice is harmless.
    ///
    /// # Errors
    ///
    /// The first error of a shard; the other shards are closed nevertheless, and the log is kept for
    /// the one that failed. [`InvalidArgument`](crate::ErrorKind::InvalidArgument) in a
    /// [listener](crate::StoreBuilder::listener) of this store; nothing was done.
    pub fn close(&self) -> Result<()> {
        self.core().reshaper.registry.teller().refuse("close its store")?;
        let Some(deadline) = self.deadline else { return self.close_now() };
        let store = Self { deadline: None, ..self.clone() };
        self.core().work_by(deadline, "the close", move || store.close_now())
    }

    fn close_now(&self) -> Result<()> {
        let (core, catalog) = (self.core(), &self.core().catalog);
        let registry = &core.reshaper.registry;
        // All reshapes end; those not yet committed are rolled back.
        registry.stop();
        registry.wait_until_idle();
        if core.options.heat.is_some() && !catalog.is_closed() {
            // Before taking the lock: the listener receives what is found, and may call the store.
            core.rebalancer.collect();
        }
        // Before taking the lock, for the same reason.
        core.disk_keeper.lock().take();
        // Excludes changes of the topology, and makes a second call of `close` wait for this one.
        let _changing = catalog.changing();
        if !catalog.mark_closed() {
            return Ok(());
        }
        if core.options.heat.is_some() {
            core.rebalancer.save(true);
        }
        // Waits for the writes that passed the gate before the store was marked as closed.
        drop(catalog.gate.close(None));
        for keyspace in catalog.keyspaces().values() {
            keyspace.view().partitions.iter().for_each(|partition| partition.state.close());
        }
        if catalog.is_read_only() {
            return Ok(());
        }
        core.log_keeper.lock().take();
        // Nothing is flushed to a path that leads elsewhere: the writes stay in the log, which is
        // open.
        let there = catalog.home.places.check();
        let flushed = there.and_then(|()| {
            let shards = on_every_shard(catalog, ShardEngine::flush);
            // All of it, unless a shard failed, or a partition is behind: then the log stays, from
            // where it is needed; and what consumers have not read.
            retain_changes(catalog, core.hold_limits());
            catalog.release_log();
            shards.and(catalog.metadata.engine.flush())
        });
        let closed = catalog.log.close().and(catalog.metadata.engine.sync());
        catalog.quiesce();
        flushed.and(closed)
    }
}

fn shard_stats(
    core: &Core,
    shard: &topology::ShardInfo,
    keyspaces: &[KeyspaceStats],
) -> ShardStats {
    let mut stats = ShardStats {
        id: shard.id,
        directory: core.catalog.home.path.join(&shard.directory),
        weight: shard.weight,
        zone: shard.zone.clone(),
        partitions: 0,
        keys_estimated: 0,
        bytes_on_disk: 0,
        bytes_in_memory: 0,
        foreign_bytes: 0,
        partitions_behind: 0,
        draining: shard.draining,
        disk_full: core.catalog.shards().get(&shard.id).is_some_and(|it| it.room().is_low()),
        calls: CallStats::of(core, shard.id),
    };
    let partitions = keyspaces.iter().flat_map(|keyspace| &keyspace.partitions);
    for partition in partitions.filter(|partition| partition.owner == shard.id) {
        stats.partitions += 1;
        stats.keys_estimated += partition.keys_estimated;
        stats.bytes_on_disk += partition.bytes_on_disk;
        stats.bytes_in_memory += partition.bytes_in_memory;
        stats.foreign_bytes += partition.foreign_bytes;
        stats.partitions_behind += usize::from(partition.behind);
    }
    stats
}

fn sync(catalog: &Catalog) -> Result<()> {
    catalog.log.sync()?;
    catalog.metadata.engine.sync()
}

fn on_every_shard(
    catalog: &Catalog,
    job: impl Fn(&ShardEngine) -> Result<()> + Sync,
) -> Result<()> {
    in_parallel(catalog, |(_, shard)| job(shard))
}
