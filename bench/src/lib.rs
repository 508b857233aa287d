//! What `annulus` measures and checks under load: the replay of traces, the report on hash against
//! range, and the load of the demonstration.
//!
//! Nothing here reads a command line or prints: the commands of the tool say what is to be done and
//! show what came of it. Progress goes to callbacks, which may also end the work early.

pub mod demo;
pub mod loader;
pub mod replay;
pub mod report;
