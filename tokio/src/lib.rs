//! [Annulus](annulus) for tasks of [tokio]: the calls of stores, keyspaces (also [typed](Keyspace::typed)),
//! snapshots, [indexes](Index), [queues](Queue) and consumers as asynchronous functions. For others, as of
//! reshapes and verification, [`Store::run`] runs a closure on the pool.
//!
//! ```
//! use annulus::topology::KeyspaceSpec;
//! use annulus_tokio::Store;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> annulus::Result<()> {
//! # let directory = tempfile::tempdir().unwrap();
//! # let path = directory.path().join("store");
//! let store = Store::open(path).await?;
//! let users = store.keyspace_or_create("users", KeyspaceSpec::hash()).await?;
//! users.put("ada", "countess").await?;
//! assert_eq!(users.get("ada").await?.as_deref(), Some(&b"countess"[..]));
//!
//! let mut rows = users.scan(..).await?;
//! while let Some(row) = rows.next().await {
//!     let (key, value) = row?;
//!     println!("{key:?}: {value:?}");
//! }
//! store.shutdown().await
//! # }
//! ```
//!
//! # What runs where
//!
//! A [`get`](Keyspace::get), alone or of several keys, is answered **in the task** where memory has
//! the answer: the cache of hot keys, the memtables, or blocks in the block cache
//! ([`annulus::Keyspace::get_from_memory`]). It takes no lock that a writer or a disk holds. So is a
//! buffered [`put`](Keyspace::put) or [`delete`](Keyspace::delete) that finds all that it needs free
//! ([`annulus::Keyspace::put_at_once`]): it takes less time than waking a thread. Both count in tokio's
//! budget of a task, so that a loop of them lets other tasks run.
//!
//! **Everything else runs on the pool**: reads of files, other writes, and those that may have to wait for
//! others, for a sync or for a partition that is being handed over, scans, and the closures of
//! [`transact`](Store::transact) and [`update`](Keyspace::update).
//!
//! Any runtime may poll the futures. Only [`Changes`] needs tokio's timers, where it has to sync what
//! others have written.
//!
//! # The pool
//!
//! Each store has a pool of its own; neither tokio's blocking threads nor another store's operations
//! are in its way. [`PoolOptions`] bounds it: `threads` run operations, and `in_flight_max`
//! operations have a place, running or next in turn. **When it is full**, a task waits for a place,
//! in the order of arrival; the pool holds nothing for it meanwhile. With `waiting_max`, a task that
//! finds that many waiting gets [`Busy`](annulus::ErrorKind::Busy) at once, and nothing is done: for
//! servers that would rather refuse than be late. What is done in the task needs no place.
//! [`Store::pool_stats`] says how full it is.
//!
//! IMPORTANT: a closure that runs on the pool must not wait for a future of this crate: with all
//! threads waiting so, none would be left to answer. It uses the blocking handles.
//!
//! # What becomes of an operation whose future is dropped
//!
//! By `select!`, a timeout, or the end of a task: it is done or not done, never half.
//!
//! * It has no place in the pool yet, or no thread has taken it: it is not done.
//! * A thread runs it: it runs to its end, and its result is dropped. A transaction commits, unless
//!   it fails.
//!
//! In the second case it may take effect **after** the future was dropped, and after later operations
//! of the same task. A task for which this matters makes the later one conditional
//! ([`Store::write_if`], [`Keyspace::compare_and_swap`]), or waits in a task of its own
//! (`tokio::spawn`) that is not dropped.
//!
//! # The end
//!
//! [`Store::shutdown`] refuses new operations and those that wait for a place, with
//! [`Closed`](annulus::ErrorKind::Closed), runs what has a place to its end, and closes the store.
//! A store that is only dropped finishes what has a place on its threads, unless the process ends
//! before; acknowledged writes are as safe as in any other store that was not closed.

mod changes;
mod consumer;
mod feed;
mod index;
mod inner;
mod keyspace;
mod on_pool;
mod options;
mod pool;
mod portions;
mod queue;
mod scan;
mod snapshot;
mod store;
mod typed;

pub use changes::{Changes, Watch};
pub use consumer::Consumer;
pub use index::{Index, IndexRows, IndexScan};
pub use keyspace::Keyspace;
pub use options::PoolOptions;
pub use pool::PoolStats;
pub use queue::{DeadJobs, Queue};
pub use scan::Scan;
pub use snapshot::Snapshot;
pub use store::Store;
pub use typed::{
    TypedIndex, TypedIndexRows, TypedIndexScan, TypedKeyspace, TypedScan, TypedSnapshot,
};
