//! Runs operations against one engine, and measures them.
//!
//! Latencies are of the calls alone: what is written is made before the clock starts. With a
//! target rate, operations have the times at which they should start, and their latency counts from
//! then: an engine that stops for a second is charged with all the operations that had to wait, not
//! with one (Gil Tene's "coordinated omission").

mod drive;
mod observer;
mod outcome;
mod pace;
mod settings;
mod shared;
mod tally;
mod watch;
mod worker;

pub use drive::{load, run};
pub use observer::{Observer, Stage};
pub(crate) use outcome::max_over_mean;
pub use outcome::{EventTimes, Interval, Outcome};
pub use settings::{Length, Run};

#[cfg(test)]
mod tests;
