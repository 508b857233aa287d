//! What concerns the store as a whole: syncing, flushing, statistics, verification, closing.

use super::core::Core;
use super::{KeyspaceStats, ShardStats, Store, StoreStats};
use crate::engine::{Engine, HARDWARE_CHECKSUMS, ShardEngine};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ShardId;
use crate::os::parallel;
use crate::store::verify::Verification;
use crate::topology;

impl Store {
    /// Makes every write that was acknowledged survive a power cut.
    ///
    /// # Errors
    ///
    /// [`Io`](ErrorKind::Io) if a shard cannot be synced; [`Closed`](ErrorKind::Closed);
    /// [`ReadOnly`](ErrorKind::ReadOnly).
    pub fn sync(&self) -> Result<()> {
        self.check_open()?;
        self.inner.core.check_disk_writable()?;
        on_every_shard(&self.inner.core, Engine::sync)?;
        self.inner.core.metadata.engine.sync()
    }

    /// Moves what is in write buffers into files, so that the next opening has nothing to read
    /// back.
    ///
    /// # Errors
    ///
    /// [`Io`](ErrorKind::Io) if a shard cannot be written; [`Closed`](ErrorKind::Closed);
    /// [`ReadOnly`](ErrorKind::ReadOnly).
    pub fn flush(&self) -> Result<()> {
        self.check_open()?;
        self.inner.core.check_disk_writable()?;
        self.inner.core.check_places()?;
        on_every_shard(&self.inner.core, Engine::flush)
    }

    /// What the store occupies.
    ///
    /// # Errors
    ///
    /// [`Io`](ErrorKind::Io) if a shard cannot say.
    pub fn stats(&self) -> Result<StoreStats> {
        let topology = self.topology();
        let keyspaces = self
            .keyspaces()
            .iter()
            .map(|keyspace| {
                Ok(KeyspaceStats {
                    name: keyspace.name().to_owned(),
                    partitioning: keyspace.placement().partitioning().name(),
                    partitions: keyspace.stats()?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let core = &self.inner.core;
        let shards = topology.shards().map(|shard| shard_stats(core, shard, &keyspaces)).collect();
        Ok(StoreStats {
            epoch: topology.epoch(),
            shards,
            keyspaces,
            reshapes: self.reshape_stats(),
            cache_bytes: core.resources.cache_bytes_used(),
            write_buffer_bytes: core.resources.write_buffer_bytes_used(),
            hardware_checksums: HARDWARE_CHECKSUMS,
        })
    }

    /// Reads the whole store, as of one moment, and checks it: the invariants of the topology,
    /// that each key stands in the partition that routing names, in order, and the checksum of every
    /// block on disk, of the metadata too. Reads and writes go on meanwhile.
    ///
    /// Cost: it reads everything twice, as rows and as blocks. It goes on after damage: each damaged
    /// partition is named with a file, and of the files that no row needed, the first of each shard.
    ///
    /// # Errors
    ///
    /// [`Closed`](ErrorKind::Closed) after the store was closed. What is wrong with the data is
    /// in the report, not an error.
    pub fn verify(&self) -> Result<Verification> {
        let snapshot = self.snapshot()?;
        let mut report = Verification::default();
        if let Err(violation) = self.topology().check() {
            report.problems.push(violation.to_string());
        }
        for view in snapshot.views() {
            let cut = |shard| snapshot.cut().get(&shard).cloned();
            let keyspace = crate::store::verify::keyspace(view, cut, &mut report.problems);
            report.keyspaces.push(keyspace);
        }
        self.verify_checksums(&mut report.problems);
        let recovery = self.recovery();
        report
            .problems
            .extend(recovery.damaged.iter().map(|damaged| format!("damaged: {damaged}")));
        report.lost.clone_from(&recovery.lost);
        report.recovered.clone_from(&recovery.orphans);
        report.recovered.extend(recovery.rolled_back.iter().cloned());
        Ok(report)
    }

    /// Compares what is on disk with its checksums, the shards at the same time.
    fn verify_checksums(&self, problems: &mut Vec<String>) {
        let core = &self.inner.core;
        let shards = core.shards.load_full();
        let shards = shards.iter().map(|(id, shard)| (format!("shard {id}"), &**shard));
        let engines: Vec<_> =
            shards.chain([("the metadata".to_owned(), &core.metadata.engine)]).collect();
        let verified = parallel::each(&engines, |(_, engine)| engine.verify_checksums());
        for ((name, _), verified) in engines.iter().zip(verified) {
            match verified {
                Ok(Ok(())) => {}
                Ok(Err(error)) => problems.push(format!("{name}: {error}")),
                Err(_) => problems.push(format!("{name}: a worker of the verification panicked")),
            }
        }
    }

    /// Ends all writes, then flushes and syncs everything, so that the next opening is fast and
    /// nothing is lost to a power cut. A store that is only dropped loses no acknowledged write
    /// either, as far as its durability goes, but the next opening reads it back from the logs.
    ///
    /// The directory can be opened again when the last handle is gone: stores, keyspaces, scans,
    /// snapshots and values. Closing twice does no harm.
    ///
    /// # Errors
    ///
    /// The first error of a shard; the others are closed all the same.
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) in a
    /// [listener](crate::StoreBuilder::listener) of this store: nothing was done.
    pub fn close(&self) -> Result<()> {
        self.reshapes().teller().refuse("close its store")?;
        // Reshapes end, those that are not committed by a rollback.
        self.reshapes().stop();
        self.reshapes().wait_until_idle();
        let core = &self.inner.core;
        if core.options.heat.is_some() && !core.is_closed() {
            // Before the lock: the listener hears of what was found, and may call the store.
            core.rebalancer.collect(self);
        }
        // So that no change of the topology comes between, and a second closing waits for this one.
        let _changing = self.inner.changing.lock();
        if !core.mark_closed() {
            return Ok(());
        }
        if core.options.heat.is_some() {
            core.rebalancer.save(self, true);
        }
        // Waits for the writes that passed before the mark.
        drop(core.gate.close());
        for keyspace in self.keyspaces() {
            keyspace.view().partitions.iter().for_each(|partition| partition.state.close());
        }
        if core.is_read_only() {
            return Ok(());
        }
        // Nothing is flushed to a path that leads elsewhere: it stays in the logs, which are open.
        let there = core.places().check();
        let flushed = there.and_then(|()| {
            let settled = core.redo.settle(core);
            let flushed = on_every_shard(core, Engine::flush);
            settled.and(flushed).and(core.metadata.engine.flush())
        });
        let synced = on_every_shard(core, Engine::sync).and(core.metadata.engine.sync());
        core.shards.load().values().for_each(|shard| shard.quiesce());
        core.metadata.engine.quiesce();
        flushed.and(synced)
    }
}

fn shard_stats(
    core: &Core,
    shard: &topology::ShardInfo,
    keyspaces: &[KeyspaceStats],
) -> ShardStats {
    let mut stats = ShardStats {
        id: shard.id,
        directory: core.path.join(&shard.directory),
        weight: shard.weight,
        zone: shard.zone.clone(),
        partitions: 0,
        keys_estimated: 0,
        bytes_on_disk: 0,
        bytes_in_memory: 0,
        foreign_bytes: 0,
        draining: shard.draining,
    };
    let partitions = keyspaces.iter().flat_map(|keyspace| &keyspace.partitions);
    for partition in partitions.filter(|partition| partition.owner == shard.id) {
        stats.partitions += 1;
        stats.keys_estimated += partition.keys_estimated;
        stats.bytes_on_disk += partition.bytes_on_disk;
        stats.bytes_in_memory += partition.bytes_in_memory;
        stats.foreign_bytes += partition.foreign_bytes;
    }
    stats
}

fn on_every_shard(core: &Core, job: impl Fn(&ShardEngine) -> Result<()> + Sync) -> Result<()> {
    in_parallel(core, |(_, shard)| job(shard))
}

/// Runs a job for every shard, in parallel, to the end even if one fails; gives the first error.
pub(super) fn in_parallel(
    core: &Core,
    job: impl Fn((&ShardId, &ShardEngine)) -> Result<()> + Sync,
) -> Result<()> {
    let shards = core.shards.load_full();
    let shards: Vec<_> = shards.iter().map(|(id, shard)| (id, &**shard)).collect();
    let panicked = || Error::new(ErrorKind::Internal, "a shard's worker panicked");
    parallel::each(&shards, |shard| job(*shard))
        .into_iter()
        .map(|done| done.unwrap_or_else(|_| Err(panicked())))
        .fold(Ok(()), Result::and)
}
