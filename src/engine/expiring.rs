//! Which partitions of a store have rows that expire: what compactions ask.

use crate::expiry::Expiring;
use crate::topology::PartitionName;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The partitions of a store whose rows expire.
#[derive(Debug, Default)]
pub(crate) struct ExpiringPartitions(Mutex<BTreeMap<PartitionName, Arc<Expiring>>>);

impl ExpiringPartitions {
    /// Notes that the rows of a partition expire. IMPORTANT: before the partition is made or
    /// opened.
    pub(crate) fn add(&self, name: PartitionName, expiring: &Arc<Expiring>) {
        self.0.lock().insert(name, Arc::clone(expiring));
    }

    pub(crate) fn get(&self, name: PartitionName) -> Option<Arc<Expiring>> {
        self.0.lock().get(&name).cloned()
    }

    pub(in crate::engine) fn remove(&self, name: PartitionName) {
        self.0.lock().remove(&name);
    }
}
