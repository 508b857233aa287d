//! The room of file systems.

use super::failpoint;
use std::path::Path;

/// The room of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    /// Bytes that are left for this process.
    pub(crate) free: u64,
    /// Bytes of the whole file system.
    pub(crate) size: u64,
}

/// Returns the room of a directory's file system, or `None` if that cannot be known.
///
/// Asking may take as long as the file system takes to answer: forever, where it hangs.
pub(crate) fn space(directory: &Path) -> Option<Space> {
    failpoint::hang_in(directory, "space");
    let space = of_system(directory)?;
    Some(match failpoint::number_in(directory, "space") {
        Some(free) => Space { free, ..space },
        None => space,
    })
}

#[cfg(unix)]
fn of_system(directory: &Path) -> Option<Space> {
    let found = rustix::fs::statvfs(directory).ok()?;
    let bytes = |blocks: u64| blocks.checked_mul(found.f_frsize);
    Some(Space { free: bytes(found.f_bavail)?, size: bytes(found.f_blocks)? })
}

#[cfg(not(unix))]
fn of_system(_: &Path) -> Option<Space> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_free_is_a_part_of_the_whole() {
        let space = space(&std::env::temp_dir()).unwrap();
        assert!(space.free <= space.size && space.size > 0, "{space:?}");
        assert_eq!(super::space(Path::new("/no/such/directory")), None);
    }
}
