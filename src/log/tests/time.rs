//! Timestamps: they grow in the order of the log, whatever the clock does, over openings and cuts.

use super::super::record::{Header, Kind, MARK_BYTES};
use super::super::segment::{CONTENT, SegmentHeader};
use super::super::walk;
use super::*;
use crate::clock::{ManualClock, Timestamp};
use std::time::UNIX_EPOCH;

const HOUR: Duration = Duration::from_secs(3600);

fn clock() -> ManualClock {
    ManualClock::at(UNIX_EPOCH + 500_000 * HOUR)
}

fn options_by(directory: &Path, clock: &ManualClock) -> LogOptions {
    let clock = Arc::new(HybridClock::new(Arc::new(clock.clone())));
    LogOptions { clock, keep_bytes: 1 << 30, ..options(directory, LogAccess::Mapped) }
}

fn open_by(directory: &Path, clock: &ManualClock) -> Arc<CommitLog> {
    let log = CommitLog::open(options_by(directory, clock)).unwrap();
    log.finish_replay();
    log
}

/// Returns the timestamps of all records, after a check that they grow.
fn timestamps(log: &Arc<CommitLog>) -> Vec<Timestamp> {
    let mut reader = log.read(log.begin()).unwrap();
    let mut found: Vec<Timestamp> = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        found.push(record.timestamp());
    }
    assert!(found.is_sorted_by(|one, next| one < next), "{found:?}");
    found
}

#[test]
fn they_grow_with_the_log_over_threads_segments_and_a_clock_that_is_set_back() {
    let directory = tempfile::tempdir().unwrap();
    let clock = clock();
    for opening in 0..3 {
        let log = open_by(directory.path(), &clock);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (log, clock) = (&log, &clock);
                scope.spawn(move || {
                    for n in 0..50 {
                        put(log, n, 200);
                        clock.advance(Duration::from_millis(thread));
                    }
                });
            }
        });
        assert_eq!(timestamps(&log).len(), 200 * (opening + 1));
        assert!(files(directory.path()).len() > 1, "it has several segments");
        if opening == 1 {
            log.close().unwrap();
        }
        // Otherwise as after an end of the process.
        drop(log);
        clock.rewind(HOUR);
    }
}

#[test]
fn a_time_that_was_shown_bounds_the_next_opening() {
    let directory = tempfile::tempdir().unwrap();
    let clock = clock();
    let options = options_by(directory.path(), &clock);
    let hybrid = Arc::clone(&options.clock);
    let log = CommitLog::open(options).unwrap();
    log.finish_replay();
    put(&log, 1, 10);
    // The mark that follows has the time of this moment; nothing that the close syncs has a later one.
    log.sync().unwrap();
    clock.advance(HOUR);
    let shown = hybrid.now();
    log.close().unwrap();
    // Of what a power cut may leave, the last record has that time.
    let bytes = std::fs::read(files(directory.path()).remove(0)).unwrap();
    let seed = SegmentHeader::decode(&bytes).unwrap().seed();
    let Ok(synced) = walk::walk(&mut &bytes[..], seed, 0, Some(log.synced().get()));
    assert!(synced.latest > shown);
    drop(log);
    clock.rewind(2 * HOUR);
    let log = open_by(directory.path(), &clock);
    put(&log, 2, 10);
    assert!(timestamps(&log).last().is_some_and(|last| *last > shown));
}

/// A segment that is full but for a few bytes has no room for the mark.
#[test]
fn a_time_that_was_shown_bounds_the_next_opening_if_the_segment_is_full() {
    let directory = tempfile::tempdir().unwrap();
    let clock = clock();
    let options = options_by(directory.path(), &clock);
    let (hybrid, content) = (Arc::clone(&options.clock), options.segment_bytes - CONTENT);
    let log = CommitLog::open(options).unwrap();
    log.finish_replay();
    let start = put(&log, 1, 0).get();
    let header = log.end().get() - start;
    let left = MARK_BYTES - 8;
    let fill = content - log.end().get() - header - left;
    put(&log, 2, usize::try_from(fill).unwrap() - 8);
    assert!((1..MARK_BYTES).contains(&(content - log.end().get())), "{}", log.end().get());
    clock.advance(HOUR);
    let shown = hybrid.now();
    log.close().unwrap();
    drop(log);
    clock.rewind(2 * HOUR);
    let log = open_by(directory.path(), &clock);
    put(&log, 3, 10);
    assert!(timestamps(&log).last().is_some_and(|last| *last > shown));
}

/// Without the mark that a close appends, the tests above must fail.
#[test]
#[cfg(feature = "failpoints")]
fn a_missing_mark_is_noticed() {
    let test = "log::tests::time::a_time_that_was_shown_bounds_the_next_opening";
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .arg(test)
        .env("ANNULUS_SKIP", "log-close-mark")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("2 failed"), "{text}");
}

/// The segment after one that is missing is dropped as a whole, with the times that it has.
#[test]
fn no_timestamp_of_a_segment_that_was_dropped_is_issued_again() {
    let directory = tempfile::tempdir().unwrap();
    let clock = clock();
    let log = open_by(directory.path(), &clock);
    let mut n = 0;
    while log.end().get() < 40 << 10 {
        put(&log, n, 1000);
        n += 1;
    }
    clock.advance(HOUR);
    put(&log, n, 100);
    let last = *timestamps(&log).last().unwrap();
    log.sync().unwrap();
    drop(log);
    std::fs::remove_file(files(directory.path()).remove(1)).unwrap();
    clock.rewind(2 * HOUR);
    let drop_rest =
        LogOptions { damage: LogDamage::DropRest, ..options_by(directory.path(), &clock) };
    let log = CommitLog::open(drop_rest).unwrap();
    log.finish_replay();
    assert!(keys(&log).len() < n as usize);
    put(&log, 4, 100);
    assert!(timestamps(&log).last().is_some_and(|next| *next > last));
}

#[test]
fn no_timestamp_of_what_was_cut_off_is_issued_again() {
    let directory = tempfile::tempdir().unwrap();
    let clock = clock();
    let log = open_by(directory.path(), &clock);
    put(&log, 1, 100);
    let damaged = put(&log, 2, 100);
    clock.advance(HOUR);
    put(&log, 3, 100);
    let last = *timestamps(&log).last().unwrap();
    log.sync().unwrap();
    drop(log);
    let file = files(directory.path()).remove(0);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[4096 + damaged.get() as usize + 50] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    clock.rewind(2 * HOUR);
    let drop_rest =
        LogOptions { damage: LogDamage::DropRest, ..options_by(directory.path(), &clock) };
    let log = CommitLog::open(drop_rest).unwrap();
    log.finish_replay();
    assert_eq!(keys(&log), [1], "the damage and what follows is dropped");
    put(&log, 4, 100);
    assert!(timestamps(&log).last().is_some_and(|next| *next > last));
}

/// What the version before this one wrote: milliseconds alone, which are taken as such.
#[test]
fn milliseconds_of_an_earlier_version_are_read() {
    let millis = 1_800_000_000_123_u64;
    let header = Header {
        bytes: 48,
        payload_check: 0,
        position: 64,
        synced: 0,
        timestamp: Timestamp::from_millis(millis),
        kind: Kind::Mark,
    };
    let mut earlier = header.encode(7);
    earlier[24..32].copy_from_slice(&millis.to_le_bytes());
    let check = crc32c::crc32c_append(7, &earlier[..36]);
    earlier[36..].copy_from_slice(&check.to_le_bytes());
    assert_eq!(Header::decode(&earlier, 7), Some(header));
}
