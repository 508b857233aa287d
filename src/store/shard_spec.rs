//! The specification of a shard, as the application gives it.

use crate::id::ShardId;
use crate::topology::ShardInfo;
use std::path::PathBuf;

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
