//! Annulus.

mod error;
#[cfg(feature = "rocksdb")]
mod failpoint;
mod id;
#[cfg(feature = "rocksdb")]
mod options;
pub mod placement;
#[cfg(feature = "rocksdb")]
mod shard;
#[cfg(feature = "rocksdb")]
mod store;
pub mod topology;
#[cfg(feature = "rocksdb")]
mod verify;

pub use error::{Error, ErrorKind, Result};
pub use id::{Epoch, KeyspaceId, PartitionId, ShardId};
#[cfg(feature = "rocksdb")]
pub use options::{Compression, Durability, Options, ReadOptions};
#[cfg(feature = "rocksdb")]
pub use store::{
    Batch, Creation, KeyBounds, Keyspace, KeyspaceStats, PartitionStats, Recovery, Scan,
    ScanOptions, ShardSpec, ShardStats, Snapshot, Store, StoreBuilder, StoreStats, Swap, Value,
};
#[cfg(feature = "rocksdb")]
pub use verify::{KeyspaceVerification, Verification};
