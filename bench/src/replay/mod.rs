//! `annulus replay`: drives a store with a trace, checks every read, and shows where the load
//! falls.
//!
//! The operations on a key are done by one thread, in order, so that what a key must hold is known
//! without coordination.

mod play;
mod reshapes;
mod script;
mod stage;
mod summary;
mod timeline;
mod value;
mod worker;

pub use play::{Plan, play};
pub use reshapes::Reshape;
pub use script::{Act, Course, Keys, Op, Script};
pub use stage::{Preloaded, Setup, Stage};
pub use summary::Summary;
pub use timeline::Interval;
pub use worker::{Counts, End};
