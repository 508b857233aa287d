//! Placement: pure values that map keys to partitions, without disks, clocks or threads.
//!
//! - [`Ring`] divides the `u64` tokens of a hash keyspace into arcs, each owned by a shard.
//! - [`RangeMap`] divides the keys of a range keyspace into ranges.
//! - [`TokenFunction`] and [`HashPart`] determine the token of a key.
//! - [`PartitionRange`] is what a partition covers: an arc's [`TokenRange`] or a range's [`KeyRange`].
//!
//! Every value here is immutable: an edit returns a new value and leaves the old one to its
//! readers. Lookups neither allocate nor fail. All of them can be serialised, and decoding checks
//! every invariant, so every value is valid.
//!
//! ```
//! use annulus::ShardId;
//! use annulus::placement::{Member, RangeMap, Ring};
//!
//! let ring = Ring::builder()
//!     .shard(Member::new(ShardId(0)))
//!     .shard(Member::new(ShardId(1)))
//!     .build()?;
//! let before = ring.owner_of(b"user:42");
//!
//! // One third of the tokens moves, all of it to the new shard.
//! let grown = ring.add_shard(Member::new(ShardId(2)))?;
//! let after = grown.owner_of(b"user:42");
//! assert!(after == before || after == ShardId(2));
//!
//! let map = RangeMap::new(["g", "p"])?;
//! assert_eq!(map.find(b"hello"), 1);
//! # Ok::<(), annulus::Error>(())
//! ```

mod range;
mod range_map;
mod ring;
mod token;

pub(crate) use range::just_after;
pub use range::{KeyRange, PartitionRange, TokenRange};
pub use range_map::RangeMap;
pub(crate) use ring::Target;
pub use ring::{ARCS_MAX, ARCS_PER_SHARD, Member, Moved, Ring, RingArc, RingBuilder, Share};
pub use token::{HashPart, Token, TokenFunction};
