//! Whether there is room for puts to a shard.

use super::event::DiskRoom;
use crate::error::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a shard's disk, and that of the log, have room for its puts. Each put asks.
#[derive(Debug, Default)]
pub(crate) struct Room {
    is_low: AtomicBool,
    low: Mutex<Vec<DiskRoom>>,
}

impl Room {
    /// Returns true if puts are to be refused.
    #[inline]
    pub(crate) fn is_low(&self) -> bool {
        self.is_low.load(Ordering::Relaxed)
    }

    /// Sets which disks have too little room; none if all have enough.
    pub(crate) fn set(&self, low: Vec<DiskRoom>) {
        let is_low = !low.is_empty();
        *self.low.lock() = low;
        self.is_low.store(is_low, Ordering::Relaxed);
    }

    /// Refuses a put if there is too little room.
    ///
    /// # Errors
    ///
    /// `DiskFull`, with what is on the disk, where, and how much is left.
    #[cold]
    pub(crate) fn check(&self) -> Result<()> {
        let low = self.low.lock();
        let Some(DiskRoom { place, directory, bytes_free, reserve }) = low.first() else {
            return Ok(());
        };
        Err(Error::new(
            ErrorKind::DiskFull,
            format!(
                "the disk of {place}, in {}, has {bytes_free} bytes left, and {reserve} are kept in \
                 reserve (option disk_reserve); nothing was written. Deletes are accepted: delete rows, \
                 and compact their keyspace; or make room otherwise, or move partitions to another \
                 shard",
                directory.display()
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::DiskPlace;
    use crate::id::ShardId;

    #[test]
    fn a_refusal_names_place_path_room_and_reserve() {
        let room = Room::default();
        assert!(!room.is_low() && room.check().is_ok());
        room.set(vec![DiskRoom::new(DiskPlace::Shard(ShardId(3)), "/disk3".into(), 17, 4096)]);
        let error = room.check().unwrap_err();
        assert!(room.is_low() && error.kind() == ErrorKind::DiskFull && !error.is_retryable());
        for part in ["shard 3", "/disk3", "17 bytes", "4096", "disk_reserve", "nothing was written"]
        {
            assert!(error.to_string().contains(part), "{error}");
        }
        room.set(Vec::new());
        assert!(!room.is_low() && room.check().is_ok());
    }
}
