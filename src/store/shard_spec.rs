//! The specification of a shard, as the application gives it.

use crate::catalog::Metadata;
use crate::error::{Error, Result};
use crate::id::ShardId;
use crate::topology::{ShardInfo, Topology};
use std::path::{Path, PathBuf};

/// A shard of a store that is about to be created.
///
/// ```
/// use annulus::ShardSpec;
///
/// let fast = ShardSpec::new("/disks/nvme0/annulus").weight(2).zone("controller 0");
/// # let _ = fast;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardSpec {
    directory: PathBuf,
    weight: u32,
    zone: Option<String>,
}

impl ShardSpec {
    /// Returns the specification of a shard in a directory, often on a separate disk. A relative
    /// path is taken from the store's directory. The directory is created, and for a relative path
    /// without `..` any missing directories between the two, too; otherwise its parent must exist,
    /// so that a disk that is not mounted is noticed.
    ///
    /// It must not overlap with the directory of another shard or with the store's metadata, nor be
    /// inside a shard of another store, not even through a symbolic link.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), weight: 1, zone: None }
    }

    /// Sets the shard's share of hash keyspaces, relative to the other shards. Default: 1.
    #[must_use]
    pub const fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Sets the zone, which names what fails together with the shard. Default: unknown.
    #[must_use]
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        self.zone = Some(zone.into());
        self
    }

    pub(super) fn info(&self, id: ShardId) -> ShardInfo {
        let info = ShardInfo::new(id, &self.directory).weight(self.weight);
        match &self.zone {
            Some(zone) => info.zone(zone),
            None => info,
        }
    }
}

/// Checks that an existing store has the shards that its opening specifies, if it specifies any:
/// those with which it was created, or those that it has now. Shards are added and removed later,
/// and an application that still specifies the first ones is right.
pub(super) fn check_specs(
    store: &Path,
    specs: &[ShardSpec],
    metadata: &Metadata,
    present: &Topology,
) -> Result<()> {
    if specs.is_empty() {
        return Ok(());
    }
    let first = metadata.first_shards()?.unwrap_or_default();
    let present: Vec<&ShardInfo> = present.shards().collect();
    let first: Vec<&ShardInfo> = first.iter().collect();
    if difference(specs, &first).is_none() {
        return Ok(());
    }
    let Some(difference) = difference(specs, &present) else { return Ok(()) };
    Err(Error::invalid(format!(
        "the store {} has {} shards, and its opening specifies {}, {difference}: specify none to \
         open the store as it is; `Store::add_shard`, `remove_shard` and `set_weight` (on the \
         command line, `annulus shard`) change it",
        store.display(),
        present.len(),
        specs.len()
    )))
}

/// Returns the first difference between shards that are specified and some that are there, in any
/// order.
fn difference(specs: &[ShardSpec], shards: &[&ShardInfo]) -> Option<String> {
    for spec in specs {
        let directory = spec.directory.display();
        let Some(shard) = shards.iter().find(|shard| shard.directory == spec.directory) else {
            return Some(format!("of which {directory} is none of them"));
        };
        if shard.weight != spec.weight {
            let (has, asked) = (shard.weight, spec.weight);
            return Some(format!("of which {directory} has weight {has}, not {asked}"));
        }
        if shard.zone != spec.zone {
            let zone = |zone: &Option<String>| match zone {
                Some(zone) => format!("zone `{zone}`"),
                None => "no zone".to_owned(),
            };
            let (has, asked) = (zone(&shard.zone), zone(&spec.zone));
            return Some(format!("of which {directory} has {has}, not {asked}"));
        }
    }
    let is_specified = |shard: &&&ShardInfo| specs.iter().any(|it| it.directory == shard.directory);
    let other = shards.iter().find(|shard| !is_specified(shard))?;
    Some(format!("without {}", other.directory.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        let shards = [0, 1].map(|n| ShardInfo::new(ShardId(n), format!("shards/{n}")).weight(2));
        let shards: Vec<&ShardInfo> = shards.iter().collect();
        let spec = |n| ShardSpec::new(format!("shards/{n}")).weight(2);
        let named = |specs: &[ShardSpec]| difference(specs, &shards).unwrap_or_default();
        assert_eq!(named(&[spec(0), spec(1)]), "");
        assert_eq!(named(&[spec(1), spec(0)]), "", "in another order");
        assert_eq!(named(&[spec(0), spec(1), spec(2)]), "of which shards/2 is none of them");
        assert_eq!(named(&[spec(1)]), "without shards/0");
        let heavy = [spec(0), spec(1).weight(3)];
        assert_eq!(named(&heavy), "of which shards/1 has weight 2, not 3");
        let zoned = [spec(0), spec(1).zone("z")];
        assert_eq!(named(&zoned), "of which shards/1 has no zone, not zone `z`");
    }
}
