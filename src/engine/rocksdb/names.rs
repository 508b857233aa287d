//! The names of column families.

use crate::id::PartitionId;
use crate::topology::PartitionName;

/// Returns the name of a partition's column family: `p`, its number, `.`, its generation.
pub(super) fn family(name: PartitionName) -> String {
    format!("p{}.{}", name.id, name.generation)
}

pub(super) fn parse_family(family: &str) -> Option<PartitionName> {
    let (id, generation) = family.strip_prefix('p')?.split_once('.')?;
    let id = PartitionId(id.parse().ok()?);
    Some(PartitionName { id, generation: generation.parse().ok()? })
}
