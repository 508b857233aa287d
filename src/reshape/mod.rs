//! Reshapes: n partitions become m others with the same tokens or keys, while the application
//! reads and writes. A move is 1 → 1, a split 1 → m, a merge n → 1; any target may be on any shard.
//!
//! The methods of [`Store`](crate::Store) that start them return a [`Job`], which reports its
//! [`Progress`], can be paused and aborted, and ends with an [`Outcome`] for each reshape.
//!
//! ```
//! use annulus::reshape::{Check, Phase, ReshapeOptions, Transport};
//! use annulus::{ShardId, Store, planner::Request, topology::KeyspaceSpec};
//!
//! # fn main() -> annulus::Result<()> {
//! # let directory = tempfile::tempdir().unwrap();
//! let store = Store::open(directory.path().join("store"))?;
//! let words = store.create_keyspace("words", KeyspaceSpec::range())?;
//! words.put("ant", "1")?;
//! let request = Request::Move { partition: words.stats()?[0].id, to: ShardId(3) };
//! let options = ReshapeOptions::new().transport(Transport::Copy).check(Check::Full);
//! let job = store.start_with(&request, options)?;
//! let outcomes = job.wait()?;
//! assert_eq!(outcomes[0].phase, Phase::Cleaned);
//! println!("{}", outcomes[0]);
//! # Ok(())
//! # }
//! ```
//!
//! There is one protocol for all of them. `docs/reshape.md` has the table of its [phases](Phase),
//! with what is on disk after each and what an opening does then, and the argument case by case.
//!
//! Up to the commit the sources have everything, and the opening drops the targets that an intent
//! names. From the commit on the targets have everything, and the opening drops the sources,
//! which the topology no longer knows. Readers never wait.

mod control;
mod event;
mod foreground;
mod job;
pub(crate) mod journal;
mod limiter;
mod options;
mod outcome;
mod phase;
mod plan;
mod protocol;
mod purpose;
mod registry;
mod reshaper;
mod totals;
mod trim;
mod worker;

pub use event::Event;
pub use job::{Job, Progress};
pub use options::{Check, ReshapeOptions, Throttle, Transport};
pub use outcome::Outcome;
pub use phase::Phase;
pub use plan::{PlannedStep, ReshapePlan};
pub use totals::ReshapeStats;

pub(crate) use event::Listener;
pub(crate) use foreground::Foreground;
pub(crate) use limiter::Pacer;
pub(crate) use plan::annotate;
pub(crate) use purpose::{Purpose, Steps};
pub(crate) use registry::Registry;
pub(crate) use reshaper::Reshaper;
pub(crate) use trim::start as start_trimming;
pub(crate) use worker::start;
