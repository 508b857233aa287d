//! What a close leaves, and what the next opening makes of it.

use super::*;

/// A past bug: a pin that was dropped after the close, as that of a partition that is behind is, freed
/// the segments that it had kept, and the next opening missed them.
#[test]
fn a_close_keeps_what_is_pinned_for_good() {
    for access in ACCESSES {
        let directory = tempfile::tempdir().unwrap();
        let log = open(directory.path(), access);
        put_all(&log, 0..20, 1000);
        log.release(Position(0));
        let pin = log.pin();
        put_all(&log, 20..50, 1000);
        log.release(log.end());
        let mut reader = log.read(pin.position()).unwrap();
        log.close().unwrap();
        let mut read = 0;
        while reader.next().unwrap().is_some() {
            read += 1;
        }
        assert_eq!(read, 30, "a reader goes on behind a close");
        drop((reader, pin, log));
        let log = open(directory.path(), access);
        assert_eq!(keys(&log), (20..50).collect::<Vec<_>>());
    }
}
