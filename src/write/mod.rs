//! Writes of keys and batches: by the protocol of `latch::enter`, to the log and then to the engines
//! of shards; the replay of the log at an opening, and for partitions that are behind it.

mod batch;
mod bring_up;
mod commit;
mod condition;
mod counter;
mod indexed;
mod key_states;
mod late;
mod present;
mod previous;
mod replay;
mod routed;
mod single;
mod stripes;
#[cfg(all(test, feature = "failpoints"))]
mod tests;
mod writer;

pub use batch::Batch;
pub(crate) use batch::Write;
pub(crate) use bring_up::BringUp;
pub(crate) use condition::Condition;
pub use condition::{ConditionalWrite, Expect, Unmet};
pub(crate) use counter::sum;
pub(crate) use indexed::indexes_changed;
pub(crate) use late::Claim;
pub use replay::Replayed;
pub(crate) use replay::replay;
pub use single::Swap;
pub(crate) use writer::{Since, Writer};
