//! Plans as text.

use super::plan::{Plan, Step, StepSplitPoint};
use crate::topology::ReshapeKind;
use std::fmt::{self, Display};

/// Writes a line for each step, and one for each note.
///
/// ```
/// use annulus::planner::{Request, Sizes, plan};
/// use annulus::topology::{Change, KeyspaceSpec, ShardInfo, Topology};
/// use annulus::{PartitionId, ShardId};
///
/// let shards = [0, 1].map(|n| ShardInfo::new(ShardId(n), format!("shards/{n}")));
/// let topology = Topology::new(shards)?.apply(&Change::CreateKeyspace {
///     name: "log".into(),
///     spec: KeyspaceSpec::range().into(),
/// })?;
/// let sizes = Sizes::from([(PartitionId(1), 3 << 20)]);
/// let plan = plan(&topology, &sizes, &Request::Move { partition: PartitionId(1), to: ShardId(1) })?;
/// assert_eq!(
///     plan.to_string(),
///     "move partition 1 of keyspace 1 to shard 1: 3.0 MiB of 3.0 MiB change shard \
///      (requested: from shard 0 to shard 1)\n"
/// );
/// # Ok::<(), annulus::Error>(())
/// ```
impl Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))?;
        self.notes.iter().try_for_each(|note| writeln!(f, "note: {note}"))
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let partitions = if self.sources.len() == 1 { "partition" } else { "partitions" };
        write!(f, "{} {partitions} {}", self.kind, list(&self.sources))?;
        write!(f, " of keyspace {}", self.keyspace)?;
        if self.kind == ReshapeKind::Split {
            write!(f, " at {}", list(&self.split_points))?;
        }
        let shards = if self.owners.len() == 1 { "shard" } else { "shards" };
        write!(f, " to {shards} {}", list(&self.owners))?;
        let (moved, all) = (human(self.moved_bytes.into()), human(self.bytes.into()));
        write!(f, ": {moved} of {all} change shard ({})", self.reason)
    }
}

impl Display for StepSplitPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(point) => point.fmt(f),
            Self::Bytes { permille } => {
                write!(f, "{}.{} % of its bytes", permille / 10, permille % 10)
            }
        }
    }
}

fn list(items: &[impl Display]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    items.join(", ")
}

/// Returns a number of bytes with a unit and one decimal.
pub(super) fn human(bytes: u128) -> String {
    const LARGER: [&str; 4] = ["MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut amount, mut unit) = (bytes as f64 / 1024.0, "KiB");
    for larger in LARGER {
        if amount < 1024.0 {
            break;
        }
        (amount, unit) = (amount / 1024.0, larger);
    }
    format!("{amount:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn bytes_have_units() {
        assert_eq!(human(1023), "1023 B");
        assert_eq!(human(1536), "1.5 KiB");
        assert_eq!(human(1 << 30), "1.0 GiB");
        assert_eq!(human(u128::from(u64::MAX)), "16384.0 PiB");
    }
}
