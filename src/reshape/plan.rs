//! The plan of a request, with what only an open store knows: transports and bytes.

use super::options::Transport;
use crate::engine::ShardEngine;
use crate::id::ShardId;
use crate::planner::{Plan, Step};
use crate::topology::Topology;
use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};

/// A step of a plan, and how it would be done.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PlannedStep {
    /// Which partitions, where to, and why.
    pub step: Step,
    /// How the content would be transferred.
    pub transport: Transport,
}

/// What a request would do; made by [`Store::plan`](crate::Store::plan).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ReshapePlan {
    /// The reshapes, which may be carried out in any order.
    pub steps: Vec<PlannedStep>,
    /// Bytes of files that would be linked.
    pub linked_bytes: u64,
    /// Bytes of rows that would be copied.
    pub copied_bytes: u64,
    /// Bytes that would move to another shard.
    pub moved_bytes: u64,
    /// What was considered and not done.
    pub notes: Vec<String>,
}

impl fmt::Display for ReshapePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for PlannedStep { step, transport } in &self.steps {
            writeln!(f, "{step}, by {transport}")?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "note: {note}"))?;
        write!(
            f,
            "{} reshapes; {} bytes linked, {} copied, {} change shard",
            self.steps.len(),
            self.linked_bytes,
            self.copied_bytes,
            self.moved_bytes
        )
    }
}

/// Adds transports to a plan. `store` is the directory to which the shards' relative directories
/// refer, `added` the directory of a shard that is not in the topology yet.
pub(crate) fn annotate(
    plan: Plan,
    topology: &Topology,
    store: &Path,
    added: Option<&Path>,
) -> ReshapePlan {
    let place = |shard: ShardId| {
        let known = topology.shard(shard).map(|shard| shard.directory.as_path());
        known.or(added).map(|directory| existing(&store.join(directory)))
    };
    let moved_bytes = plan.moved_bytes();
    let steps: Vec<PlannedStep> = plan
        .steps
        .into_iter()
        .map(|step| PlannedStep { transport: transport(&step, topology, place), step })
        .collect();
    let bytes = |transport| {
        let mine = steps.iter().filter(|planned| planned.transport == transport);
        mine.map(|planned| planned.step.bytes).sum()
    };
    let (linked_bytes, copied_bytes) = (bytes(Transport::Link), bytes(Transport::Copy));
    ReshapePlan { steps, linked_bytes, copied_bytes, moved_bytes, notes: plan.notes }
}

fn transport(
    step: &Step,
    topology: &Topology,
    place: impl Fn(ShardId) -> Option<PathBuf>,
) -> Transport {
    let [source] = step.sources.as_slice() else { return Transport::Copy };
    let keyspace = topology.keyspace(step.keyspace);
    let owner = keyspace
        .and_then(|keyspace| keyspace.partitions().find(|partition| partition.id == *source))
        .and_then(|partition| place(partition.owner));
    let same = |target: ShardId| match (&owner, place(target)) {
        (Some(from), Some(to)) => ShardEngine::same_filesystem(from, &to),
        _ => false,
    };
    if step.owners.iter().all(|target| same(*target)) { Transport::Link } else { Transport::Copy }
}

/// Returns a directory, or its nearest ancestor that exists.
fn existing(directory: &Path) -> PathBuf {
    directory.ancestors().find(|path| path.exists()).unwrap_or(directory).to_owned()
}
