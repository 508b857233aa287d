//! A check, while compiling, that what an application holds may go to any thread.

use super::{Keyspace, Snapshot, Store};
use crate::engine::EngineSnapshot;
use crate::error::Error;
use crate::read::{Scan, Value};
use crate::reshape::Job;
use crate::write::Batch;

/// The snapshots of an engine are shared, never copied.
const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<EngineSnapshot>();
    shared::<Store>();
    shared::<Keyspace>();
    shared::<Batch>();
    shared::<Snapshot>();
    shared::<Value>();
    shared::<Scan>();
    shared::<Job>();
    shared::<Error>();
};
