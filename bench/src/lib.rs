//! The measurements and checks of `annulus` under load: the replay of traces, the report on hash
//! against range, and the load of the demonstration.
//!
//! Nothing here reads a command line or prints: the commands of the tool say what to do and show
//! the results. Progress goes to callbacks, which may also end the work early.

pub mod demo;
pub mod loader;
pub mod replay;
pub mod report;
