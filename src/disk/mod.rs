//! Disks: the room that is left on them, and calls that take long.
//!
//! An application that is told early can act before a disk is full or has failed. Its
//! [listener](crate::StoreBuilder::listener) receives a [`DiskEvent`] when a disk has less room than the
//! [reserve](crate::Options::disk_reserve), when it has enough again, and when its calls take longer than
//! [a bound](crate::Options::slow_io), or do not return.
//!
//! While a disk has less room than the reserve, the store refuses what would make it fuller, puts, as
//! [`DiskFull`](crate::ErrorKind::DiskFull). Deletes, reads, flushes and compactions go on within the
//! reserve; so a disk that is nearly full can be emptied by deleting.

mod event;
mod io_watch;
mod reserve;
mod room;

pub(crate) use event::Slow;
pub use event::{DiskCall, DiskEvent, DiskPlace, DiskRoom, SlowCalls};
pub(crate) use io_watch::IoWatch;
pub(crate) use reserve::Reserve;
pub(crate) use room::Room;
