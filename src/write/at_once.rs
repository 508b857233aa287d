//! Writes of one key for threads that must not wait, such as those of an asynchronous runtime.
//!
//! What such a write takes: locks that no one holds, a copy to the memory that is mapped to the log's file,
//! and an insertion into the shard's memory. Where anything else is to be expected, nothing is written, and
//! the caller makes the write on a thread that may wait:
//!
//! | to be expected | known by |
//! |---|---|
//! | a snapshot is being taken, or a transaction has the store to itself | the commit gate is not free |
//! | another write of the key, a seal | the stripe is not free, or a thread waits for all of them |
//! | another write appends; the log needs its next segment; the log is written by system calls | [`append_at_once`](CommitLog::append_at_once) |
//! | a sync | the durability, which is `Buffered` here |
//! | the shard has too much in memory, or too many files | [`has_writers_wait`](crate::engine::ShardEngine::has_writers_wait) |
//! | reads: of what an index, or a log of old values, needs | the keyspace |
//! | the copying of a long value | its length |
//!
//! Two waits are left. The shard may begin to have writers wait after it was asked: by then the record is in
//! the log, and is applied like any other. And the kernel may have a thread wait that writes to mapped
//! memory, where so much of it is dirty that it makes all writers of the machine wait.

use super::single::{KeyChange, KeyWrite};
use super::writer::Writer;
use crate::catalog::{KeyspaceState, OpenPartition};
use crate::engine::Durability;
use crate::error::Result;
use crate::expiry::{PutLifetime, WriteMoment};
use crate::latch::enter_at_once;
use crate::log::{CommitLog, InFlight};

/// The longest value that is written at once: to copy and to check it takes some microseconds.
const VALUE_BYTES_MAX: usize = 32 << 10;

impl Writer<'_> {
    /// Puts or deletes a row, buffered, if that takes no waiting. Returns whether it did.
    pub(crate) fn change_at_once(
        &self,
        keyspace: &KeyspaceState,
        key: &[u8],
        value: Option<&[u8]>,
        lifetime: PutLifetime,
    ) -> Result<bool> {
        self.catalog.check_key_bytes(key.len())?;
        let bytes = value.map_or(0, <[u8]>::len);
        self.catalog.check_value_bytes(bytes)?;
        keyspace.check_lifetime(lifetime)?;
        if bytes > VALUE_BYTES_MAX || keyspace.has_indexes() {
            return Ok(false);
        }
        let sampled = self.sampler.begin();
        let site = KeyWrite { catalog: self.catalog, keyspace, key };
        let change = KeyChange { keyspace, key, value, durability: Durability::Buffered };
        let written = enter_at_once(&site, |ticket| {
            let partition = ticket.routed().partition();
            let reads = keyspace.has_indexes() || keyspace.logs_old_values();
            if reads || partition.shard.has_writers_wait() {
                return Ok(false);
            }
            let stored = value.map(|it| keyspace.store(it, lifetime, &WriteMoment::default()));
            let change = KeyChange { value: stored.as_deref(), ..change };
            ticket.write(|| self.append_and_apply_at_once(partition, change))
        })?;
        if written.transpose()? != Some(true) {
            return Ok(false);
        }
        self.record(sampled, change);
        Ok(true)
    }

    fn append_and_apply_at_once<'a>(
        &'a self,
        partition: &OpenPartition,
        change: KeyChange<'_>,
    ) -> Result<bool> {
        let log: &'a CommitLog = &self.catalog.log;
        let operation = std::iter::once(change.operation());
        let Some(in_flight) = log.append_at_once(operation)? else { return Ok(false) };
        // From here on it is a write like any other.
        let apply = |in_flight: &InFlight<'_>| change.apply(partition, in_flight);
        let write = || self.log_and_apply(|_| Ok(in_flight), Durability::Buffered, apply);
        match self.cache {
            Some(cache) => {
                cache.write_through(change.keyspace.id(), change.key, change.value, write)
            }
            None => write(),
        }?;
        Ok(true)
    }
}
