//! What a close leaves, and what the next opening makes of it.

use super::*;

#[test]
fn a_close_leaves_one_segment_of_a_log_that_was_released() {
    for access in ACCESSES {
        let directory = tempfile::tempdir().unwrap();
        let log = open(directory.path(), access);
        put_all(&log, 0..50, 1000);
        log.release(log.end());
        put_all(&log, 50..55, 1000);
        let end = log.end();
        log.release(end);
        log.close().unwrap();
        let left = files(directory.path());
        assert_eq!(left.len(), 1, "{left:?}");
        let content = std::fs::read(&left[0]).unwrap();
        let used = content.iter().rposition(|byte| *byte != 0).unwrap();
        assert!(used < 4096 + 200, "{used} bytes for the next opening to read");
        drop(log);
        let log = open(directory.path(), access);
        assert!(log.first() >= end && keys(&log).is_empty() && log.lost().is_empty());
        put_all(&log, 0..50, 1000);
        drop(log);
        assert_eq!(keys(&open(directory.path(), access)), (0..50).collect::<Vec<_>>());
    }
}

/// Each opening would otherwise be followed by a new segment.
#[test]
fn a_close_keeps_a_segment_in_which_there_is_little() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..5 {
        let segment_bytes = 1 << 20;
        let log = LogOptions { segment_bytes, ..options(directory.path(), LogAccess::Mapped) };
        let log = CommitLog::open(log).unwrap();
        log.finish_replay();
        put(&log, 1, 10);
        log.release(log.end());
        log.close().unwrap();
        assert_eq!(files(directory.path()), [directory.path().join("log/0000000001.log")]);
    }
}

/// A past bug: a pin that was dropped after the close, as that of a partition that is behind is,
/// freed the segments that it had kept, and the next opening missed them.
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
        assert_eq!(read, 30, "a reader goes on after a close");
        drop((reader, pin, log));
        let log = open(directory.path(), access);
        assert_eq!(keys(&log), (20..50).collect::<Vec<_>>());
    }
}

/// A reader that has read everything, and whose segment is gone after the close.
#[test]
fn a_reader_at_the_end_stays_there() {
    for access in ACCESSES {
        let directory = tempfile::tempdir().unwrap();
        let log = open(directory.path(), access);
        put_all(&log, 0..20, 1000);
        let mut at_end = log.read(log.end()).unwrap();
        let mut reader = log.read(log.first()).unwrap();
        while reader.next().unwrap().is_some() {}
        log.release(log.end());
        log.close().unwrap();
        assert!(reader.next().unwrap().is_none());
        assert!(at_end.next().unwrap().is_none());
    }
}

#[test]
fn a_close_keeps_what_is_to_be_kept() {
    let directory = tempfile::tempdir().unwrap();
    let kept = LogOptions { keep_bytes: 1 << 20, ..options(directory.path(), LogAccess::Mapped) };
    let log = CommitLog::open(kept).unwrap();
    log.finish_replay();
    put_all(&log, 0..50, 1000);
    log.release(log.end());
    log.close().unwrap();
    let view = LogView::of_segments(&directory.path().join("log"), Some(7)).unwrap();
    let mut records = view.records(view.begin()).unwrap();
    let mut count = 0;
    while records.next().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 50);
    assert!(view.segments().iter().all(|segment| segment.state != SegmentState::Spare));
}

#[test]
fn a_log_with_little_in_it_has_no_segment_ready() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path(), LogAccess::Mapped);
    put(&log, 1, 10);
    log.sync().unwrap();
    drop(log);
    assert_eq!(files(directory.path()).len(), 1);
    let log = open(directory.path(), LogAccess::Mapped);
    put(&log, 2, 10_000);
    until(|| files(directory.path()).len() == 2);
    assert_eq!(keys(&log), [1, 2]);
}
