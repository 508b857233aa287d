//! Reads and writes that give up at a deadline: what a disk has to answer is asked on another thread.

use super::Keyspace;
use crate::catalog::OpenPartition;
use crate::engine::{Durability, Engine, EngineValue, Read, ShardEngine};
use crate::error::Result;
use crate::expiry::PutLifetime;
use crate::read::{Bounds, Scan, ScanOptions, deadline_exceeded};
use crate::store::deadline::{late_error, late_read};
use crate::write::{Claim, Writer};
use std::sync::Arc;
use std::time::Instant;

type PresentRead = Read<'static, <ShardEngine as Engine>::Snapshot>;

impl Keyspace {
    /// Returns what writes by this handle pass through.
    #[inline]
    pub(in crate::store) fn writer(&self) -> Writer<'_> {
        self.core.writer(self.deadline, self.claim.as_deref())
    }

    /// Returns a handle for a write on another thread, and by what it can be given up.
    pub(super) fn claiming(&self) -> (Self, Arc<Claim>) {
        let claim = Arc::new(Claim::default());
        (Self { claim: Some(Arc::clone(&claim)), ..self.clone() }, claim)
    }

    /// Returns the deadline if it may pass while a write waits for a sync.
    #[inline]
    pub(super) fn sync_deadline(&self, durability: Durability) -> Option<Instant> {
        self.deadline.filter(|_| durability == Durability::Synced)
    }

    /// Returns the settings of a read, with the deadline of this handle if it is sooner.
    #[inline]
    pub(super) fn in_time<'a, S>(&self, read: Read<'a, S>) -> Read<'a, S> {
        match self.deadline {
            None => read,
            Some(mine) => {
                let deadline = Some(read.deadline.map_or(mine, |deadline| deadline.min(mine)));
                Read { deadline, ..read }
            }
        }
    }

    #[inline]
    pub(super) fn put_stored(
        &self,
        key: &[u8],
        value: &[u8],
        lifetime: PutLifetime,
        durability: Durability,
    ) -> Result<()> {
        let _permit = self.admit(key, value.len())?;
        let Some(deadline) = self.sync_deadline(durability) else {
            return self.writer().put(&self.state, key, value, lifetime, durability);
        };
        let ((this, claim), key, value) = (self.claiming(), key.to_vec(), value.to_vec());
        self.core.write_by(deadline, &claim, move || {
            this.writer().put(&this.state, &key, &value, lifetime, durability)
        })
    }

    /// Reads a value of the present state until a deadline: from memory, or on a thread of its shard.
    pub(super) fn get_by(
        &self,
        key: &[u8],
        deadline: Instant,
        bypass_cache: bool,
    ) -> Result<Option<EngineValue>> {
        if let Some(known) = self.get_routed_from_memory(key)? {
            return Ok(known);
        }
        if Instant::now() >= deadline {
            return Err(deadline_exceeded("get"));
        }
        let (owner, shard) = {
            let route = self.state.route(key);
            (route.partition().owner, Arc::clone(&route.partition().shard))
        };
        let (this, key) = (self.clone(), key.to_vec());
        let read = move || {
            let read = PresentRead { deadline: Some(deadline), bypass_cache, ..Read::PRESENT };
            this.get_routed(&key, read)
        };
        shard.helpers().by(deadline, read).unwrap_or_else(|late| Err(late_read(owner, late)))
    }

    /// Opens a scan until a deadline.
    pub(super) fn scan_by(
        &self,
        deadline: Instant,
        bounds: Bounds,
        mut options: ScanOptions,
    ) -> Result<Scan> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(deadline_exceeded("scan"));
        }
        options.read.timeout = Some(options.read.timeout.map_or(left, |timeout| timeout.min(left)));
        let this = self.clone();
        let opened = self.core.helpers.by(deadline, move || this.open_scan(&bounds, options));
        opened.unwrap_or_else(|_| {
            let shards = self.placement();
            let mut shards: Vec<_> = shards.partitions().map(|it| it.owner.0).collect();
            shards.sort_unstable();
            shards.dedup();
            Err(late_error(format!("the first rows of a scan, from some of the shards {shards:?}")))
        })
    }
}

/// Reads several keys of a partition until a deadline, on a thread of its shard.
pub(super) fn get_many_by(
    partition: &Arc<OpenPartition>,
    keys: &[&[u8]],
    deadline: Instant,
    bypass_cache: bool,
) -> Result<Vec<Option<EngineValue>>> {
    let (read_from, keys) = (Arc::clone(partition), keys.iter().map(|key| key.to_vec()));
    let keys: Vec<Vec<u8>> = keys.collect();
    let get = move || {
        let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        let read = PresentRead { deadline: Some(deadline), bypass_cache, ..Read::PRESENT };
        read_from.shard.get_many(&read_from.handle, &keys, read)
    };
    let found = partition.shard.helpers().by(deadline, get);
    found.unwrap_or_else(|late| Err(late_read(partition.owner, late)))
}
