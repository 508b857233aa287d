//! Annulus: an embedded, sharded key-value store on RocksDB.
//!
//! A [`Store`] is a directory with metadata and a log, and a number of shards, each a RocksDB
//! instance in a directory of its own. It holds [`Keyspace`]s, whose keys are placed on the shards
//! by hash (a consistent-hash [ring](placement::Ring)) or by [range](placement::RangeMap).
//!
#![cfg_attr(feature = "rocksdb", doc = "```")]
#![cfg_attr(not(feature = "rocksdb"), doc = "```ignore")]
//! use annulus::{Batch, Store, topology::KeyspaceSpec};
//!
//! # fn main() -> annulus::Result<()> {
//! # let directory = tempfile::tempdir().unwrap();
//! # let path = directory.path().join("store");
//! let store = Store::open(path)?;
//! let users = store.keyspace_or_create("users", KeyspaceSpec::hash())?;
//! users.put("bob", "clerk")?;
//! assert_eq!(users.get("bob")?.as_deref(), Some(&b"clerk"[..]));
//!
//! // Over keyspaces and shards: all or nothing, through a crash too.
//! let log = store.keyspace_or_create("log", KeyspaceSpec::range().split_at(["2026-07"]))?;
//! let mut batch = Batch::new();
//! batch.put(&users, "ada", "countess");
//! batch.put(&log, "2026-11-21/ada", "joined");
//! store.write(batch)?;
//!
//! // One moment over everything.
//! let snapshot = store.snapshot()?;
//! users.delete("ada")?;
//! assert!(snapshot.get(&users, "ada")?.is_some());
//! for row in log.scan("2026-11".."2026-12")? {
//!     let (key, _) = row?;
//!     assert!(key.ends_with(b"ada"));
//! }
//! store.close()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Where to look
//!
//! * [`Store`], [`Keyspace`], [`Batch`], [`Transaction`], [`Snapshot`], [`Scan`]: what applications
//!   use. Keys are read and written through a [`Keyspace`].
//! * [`typed`]: the same with keys and values of types. [`tuple`](mod@tuple): the encoding of such
//!   keys, in their order.
//! * [`queue`]: a durable queue of jobs, with leases and retries, on transactions.
//! * [`Keyspace::index`], [`Index`]: rows by something other than their keys. The rest is in
//!   [`mod@index`].
//! * [`Store::move_partition`], [`split`](Store::split), [`merge`](Store::merge),
//!   [`add_shard`](Store::add_shard), [`remove_shard`](Store::remove_shard): placement changes while
//!   the application reads and writes; each returns a [`Job`](reshape::Job). [`Store::plan`] says
//!   what would happen. Their types are in [`reshape`].
//! * [`Store::heat`], [`Keyspace::hot_keys`], [`Store::rebalancer`]: where the load falls, and what
//!   is done about it. The types are in [`heat`] and [`rebalancer`].
//! * [`Store::stats`], [`Store::recovery`], [`Store::verify`]: how a store is. The types are in
//!   [`report`].
//! * [`Store::changes`], [`Consumer`], [`Store::watch`]: every write in order, for applications that
//!   follow. The types are in [`changes`].
//! * [`Store::backup`]: a backup while the application writes; [`mod@backup`] has what becomes of it.
//! * [`log`]: every write in order, to look at, to follow, and to bring a copy of a store to a moment.
//! * [`placement`]: the ring, the range map, partial-key hashing. Pure, usable alone.
//! * [`topology`]: the immutable value that says who owns what, and its invariants.
//! * [`planner`]: plans: what to move, split and merge when shards come, go or change weight.
//! * [`heat`]: where the load is, and where to split for it.
//! * [`Error`]: one type; [`ErrorKind`] says what to do.
//!
//! # What it promises
//!
//! * Reads and writes of a key are linearizable. A read waits for no writer: it takes no lock but those
//!   of the cache of hot keys, if there is one.
//! * An acknowledged write survives the end of the process; a [`Synced`](Durability::Synced) one
//!   survives a power cut, and what a power cut leaves is one prefix of everything that was written.
//! * A batch takes effect whole or not at all, over any keyspaces and shards.
//! * A snapshot is one cut over all shards.
//! * Transactions are serializable, over keyspaces, shards and ranges, in the order of commits.
//! * All of this holds while partitions move, split and merge. Reads never wait for that; writes to a
//!   partition wait when it is handed over, about as long as one sync takes, and some milliseconds where
//!   all processors are busy.
//! * Nothing is guessed: a damaged, swapped or foreign file is refused by name.
//!
//! # What it is not
//!
//! It is not a server, not replicated, and not a query engine.
//!
//! # Features
//!
//! * `rocksdb` (default): the store. Without it the crate is [`placement`], [`topology`],
//!   [`planner`], [`heat`] and [`tuple`](mod@tuple), and builds in seconds.
//! * `failpoints`: for the crate's own crash tests.

#![deny(unsafe_code)]
#![cfg_attr(
    not(feature = "rocksdb"),
    allow(
        dead_code,
        unused_imports,
        rustdoc::broken_intra_doc_links,
        reason = "the store is missing, which uses what is here"
    )
)]

#[cfg(feature = "rocksdb")]
#[expect(clippy::disallowed_methods, reason = "acts: it draws names of temporary directories")]
pub mod backup;
#[cfg(feature = "rocksdb")]
mod cache;
#[cfg(feature = "rocksdb")]
#[expect(clippy::disallowed_methods, reason = "acts: it may ask the clock and start threads")]
mod catalog;
#[cfg(feature = "rocksdb")]
#[expect(clippy::disallowed_methods, reason = "acts: it may ask the clock and start threads")]
pub mod changes;
#[cfg(feature = "rocksdb")]
#[expect(clippy::disallowed_methods, reason = "acts: it asks the clock of the system")]
pub mod clock;
#[cfg(feature = "rocksdb")]
#[expect(clippy::disallowed_methods, reason = "acts: it may ask the clock and start threads")]
mod engine;
mod error;
#[cfg(feature = "rocksdb")]
mod expiry;
pub mod heat;
mod id;
#[cfg(feature = "rocksdb")]
pub mod index;
#[cfg(any(feature = "rocksdb", annulus_shuttle))]
mod latch;
#[cfg(feature = "rocksdb")]
#[expect(clippy::disallowed_methods, reason = "acts: it may ask the clock and start threads")]
pub mod log;
#[cfg(feature = "rocksdb")]
#[expect(clippy::disallowed_methods, reason = "acts: it may ask the clock and start threads")]
mod os;
pub mod placement;
pub mod planner;
#[cfg(feature = "rocksdb")]
#[expect(clippy::disallowed_methods, reason = "acts: it may ask the clock and random numbers")]
pub mod queue;
#[cfg(feature = "rocksdb")]
#[expect(clippy::disallowed_methods, reason = "acts: it may ask the clock and start threads")]
mod read;
#[cfg(feature = "rocksdb")]
#[expect(clippy::disallowed_methods, reason = "acts: it may ask the clock and start threads")]
pub mod rebalancer;
#[cfg(feature = "rocksdb")]
#[expect(clippy::disallowed_methods, reason = "acts: it may ask the clock and start threads")]
pub mod reshape;
#[cfg(feature = "rocksdb")]
#[expect(clippy::disallowed_methods, reason = "acts: it may ask the clock and start threads")]
mod sampling;
mod setters;
#[cfg(feature = "rocksdb")]
#[expect(clippy::disallowed_methods, reason = "acts: it may ask the clock and start threads")]
mod store;
pub mod topology;
#[cfg(feature = "rocksdb")]
#[expect(clippy::disallowed_methods, reason = "acts: it may ask the clock, and it waits")]
mod transaction;
pub mod tuple;
#[cfg(feature = "rocksdb")]
pub mod typed;
mod units;
#[cfg(feature = "rocksdb")]
#[expect(clippy::disallowed_methods, reason = "acts: it may ask the clock and start threads")]
mod write;

pub use error::{Error, ErrorKind, Result};
pub use id::{Epoch, KeyspaceId, PartitionId, ShardId};
#[cfg(feature = "rocksdb")]
pub use {
    engine::{Compression, Durability},
    log::{LogAccess, LogDamage, LogMirror},
    read::{KeyBounds, MemoryRead, Prefix, ReadOptions, Scan, ScanOptions, Value},
    store::{
        AdoptOptions, ChangesBuilder, Consumer, ConsumerInfo, CreateMode, Index, IndexEntry,
        IndexProgress, IndexReader, IndexRow, IndexRows, IndexScan, Keyspace, Once, Options,
        ShardSpec, Snapshot, Store, StoreBuilder, Transaction, TransactionScan,
    },
    transaction::{Isolation, TransactionOptions},
    write::{Batch, ConditionalWrite, Expect, Swap, Unmet},
};

/// What a store says of itself: statistics, what an opening put right, what a verification or a
/// scan found damaged.
#[cfg(feature = "rocksdb")]
pub mod report {
    pub use crate::cache::HotCacheStats;
    pub use crate::log::{CopyRepair, LogLoss};
    pub use crate::read::LeftOut;
    pub use crate::store::{
        DamagedPartition, ExpiryStats, IndexProblem, IndexState, IndexStats, IndexVerification,
        KeyspaceStats, KeyspaceVerification, Leftover, LogCopyStats, PartitionStats, Problem,
        Recovered, RecoveryReport, RolledBack, ShardStats, StoreStats, Verification,
    };
    pub use crate::write::Replayed;
}

/// What the fuzz target of the commit log calls.
#[cfg(feature = "failpoints")]
#[doc(hidden)]
pub mod log_fuzzing {
    pub use crate::log::fuzzing::check;
}

/// The examples of README.md.
#[cfg(all(doctest, feature = "rocksdb"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// The programs of docs/patterns.md.
#[cfg(all(doctest, feature = "rocksdb"))]
#[doc = include_str!("../docs/patterns.md")]
struct Patterns;
