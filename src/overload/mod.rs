//! Overload: how many calls a shard works on at the same time, which of the others wait, and which are
//! refused at once.
//!
//! A store that is asked for more than it can do does not get faster by trying: calls wait for one another,
//! and all of them are late. With [`Options::overload`](crate::Options::overload) each shard works on as
//! many calls as it does well, which it finds out by their latency; some others wait, for a short time;
//! and the rest is refused as [`Overloaded`](crate::ErrorKind::Overloaded), which costs next to nothing,
//! with a [hint](crate::Error::retry_after) when to come again.
//!
//! * **How many at the same time** is decided by latency ([`limit`]). The limit grows while calls take about
//!   as long as they do at their best, and shrinks when they take longer: then they wait for one another
//!   in the shard.
//! * **Which of the others wait** is decided by a [`queue`]: within a bound; the more important first; and
//!   where the queue has not been empty for a while, only for a short time, and the last that came first,
//!   since whoever came first is about to give up.
//! * **What is in memory** on behalf of calls, of all shards together, is bounded, too.
//!
//! Both decide without a clock, a lock or a thread, from what they are handed; [`admission`] does the rest.
//! The limit is that of TCP Vegas (Brakmo and Peterson, 1995), as Netflix's concurrency-limits have it for
//! calls; the queue is that of Maurer, "Fail at Scale" (2015), after CoDel
//! (Nichols and Jacobson, 2012).

mod admission;
mod limit;
mod options;
mod queue;

pub(crate) use admission::{Admission, Permit};
pub use options::{OverloadOptions, Priority};
