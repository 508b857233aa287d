//! What the files show without the log being opened, and how a copy's log is continued.

use super::*;
use crate::error::ErrorKind;
use std::fs;

fn view(directory: &Path) -> LogView {
    LogView::of_segments(&directory.join("log"), Some(7)).unwrap()
}

fn read_all(mut reader: LogReader) -> Vec<u32> {
    let mut keys = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        keys.extend(record.operations().map(|it| key_of(&it)));
    }
    keys
}

fn key_of(operation: &Operation<'_>) -> u32 {
    u32::from_be_bytes(operation.key().try_into().unwrap())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.join("log")).unwrap();
    for entry in fs::read_dir(from.join("log")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join("log").join(entry.file_name())).unwrap();
    }
}

#[test]
fn a_view_shows_what_the_log_has_and_what_was_released_and_kept() {
    for access in ACCESSES {
        let directory = tempfile::tempdir().unwrap();
        let options = LogOptions { keep_bytes: 1 << 20, ..options(directory.path(), access) };
        let log = CommitLog::open(options).unwrap();
        log.finish_replay();
        put_all(&log, 0..100, 1_000);
        let middle = put(&log, 100, 1_000);
        put_all(&log, 101..200, 1_000);
        log.release(middle);
        log.close().unwrap();
        let seen = view(directory.path());
        assert_eq!((seen.begin(), seen.first(), seen.end()), (Position(0), middle, log.end()));
        assert!(seen.bytes() >= log.bytes(), "the log knows of no more");
        assert_eq!(read_all(seen.records(seen.begin()).unwrap()), (0..200).collect::<Vec<_>>());
        assert_eq!(read_all(seen.records(middle).unwrap()), (100..200).collect::<Vec<_>>());
        let inside = Position(middle.0 + 8);
        assert_eq!(read_all(seen.records(inside).unwrap()), (101..200).collect::<Vec<_>>());
        assert_eq!(seen.check().unwrap(), 200);
        let state = |state| seen.segments().iter().filter(|it| it.state == state).count();
        assert!(state(SegmentState::Needed) > 5 && state(SegmentState::Released) > 5);
        let beyond = seen.records(Position(seen.end().0 + 8)).unwrap_err();
        assert_eq!(beyond.kind(), ErrorKind::InvalidArgument);
        // What is kept is not replayed, and goes when less is to be kept.
        drop(log);
        let log = open(directory.path(), access);
        assert_eq!(log.first(), middle);
        log.release(log.end());
        log.close().unwrap();
        assert!(view(directory.path()).begin() > middle);
    }
}

#[test]
fn a_follower_reads_what_another_appends_until_its_place_is_used_again() {
    for access in ACCESSES {
        let directory = tempfile::tempdir().unwrap();
        let log = open(directory.path(), access);
        put_all(&log, 0..10, 100);
        let mut follower = view(directory.path()).follow(log.end()).unwrap();
        let mut slow = view(directory.path()).follow(Position(0)).unwrap();
        assert!(slow.next().unwrap().is_some());
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| put_all(&log, 10..3_000, 500));
            let mut next = 10;
            while next < 3_000 {
                match follower.next().unwrap() {
                    Some(record) => {
                        let keys: Vec<_> = record.operations().map(|it| key_of(&it)).collect();
                        assert_eq!(keys, [next]);
                        next += 1;
                    }
                    None => std::thread::yield_now(),
                }
            }
            writer.join().unwrap();
        });
        assert!(follower.next().unwrap().is_none());
        log.release(log.end());
        put_all(&log, 0..200, 500);
        // The keeper frees them in the background, and must be well ahead of the follower.
        while directory.path().join("log/0000000100.log").exists() {
            std::thread::yield_now();
        }
        let error = loop {
            match slow.next() {
                Ok(Some(_)) => {}
                Ok(None) => std::thread::yield_now(),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains(&format!("position {} ", slow.position())), "{error}");
    }
}

#[test]
fn a_view_names_damage_and_shows_what_is_before_it() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path(), LogAccess::Written);
    put_all(&log, 0..50, 500);
    log.close().unwrap();
    let sound = view(directory.path());
    let segment = &sound.segments()[0];
    let mut content = fs::read(&segment.file).unwrap();
    content[9_000] ^= 1;
    fs::write(&segment.file, content).unwrap();
    let seen = view(directory.path());
    let damage = seen.damage().unwrap().to_string();
    assert!(damage.contains("0000000001.log is damaged at offset"), "{damage}");
    assert_eq!(seen.check().unwrap_err().kind(), ErrorKind::Damaged);
    let keys = read_all(seen.records(seen.begin()).unwrap());
    assert_eq!(keys, (0..keys.len() as u32).collect::<Vec<_>>());
    assert!((5..15).contains(&keys.len()));
    assert!(seen.segments().iter().any(|it| it.state == SegmentState::Dropped));
}

/// Each place of a long log, in one step and in two: the state after the first is that after a
/// crash between two renames.
#[test]
fn the_log_of_a_copy_is_continued_to_each_place() {
    let original = tempfile::tempdir().unwrap();
    let options = |directory: &Path| LogOptions {
        keep_bytes: 1 << 20,
        ..options(directory, LogAccess::Written)
    };
    let log = CommitLog::open(options(original.path())).unwrap();
    log.finish_replay();
    put_all(&log, 0..20, 500);
    log.release(log.end());
    log.close().unwrap();
    drop(log);
    let backup = tempfile::tempdir().unwrap();
    copy(original.path(), backup.path());
    let log = CommitLog::open(options(original.path())).unwrap();
    log.finish_replay();
    let places = (20..150).map(|key| {
        let place = put(&log, key, 500);
        log.release(if key % 20 == 0 { log.end() } else { Position(0) });
        place
    });
    let places: Vec<_> = places.collect();
    log.release(log.end());
    log.close().unwrap();
    let whole = view(original.path());
    let find = |copy: &Path, target| {
        Continuation::find(&view(copy), &whole, target, |keyspace| keyspace == KeyspaceId(1))
    };
    for (index, place) in places.iter().enumerate().skip(1).step_by(7) {
        for first in [None, Some(places[index / 2])] {
            let recovered = tempfile::tempdir().unwrap();
            copy(backup.path(), recovered.path());
            for target in first.into_iter().chain([*place]) {
                let target = RecoveryTarget::Position(target);
                find(recovered.path(), target).unwrap().install().unwrap();
            }
            let expected: Vec<_> = (0..20 + index as u32).collect();
            let seen = view(recovered.path());
            assert_eq!(read_all(seen.records(Position(0)).unwrap()), expected);
            // The original's files have more than the copy's.
            assert_eq!(seen.first(), view(backup.path()).first());
            assert!(seen.first() < whole.first());
            let target = RecoveryTarget::Position(*place);
            let log = open(recovered.path(), LogAccess::Mapped);
            assert!(log.lost().is_empty());
            drop(log);
            // It was opened, and nothing was written: the same once more changes nothing.
            assert_eq!(find(recovered.path(), target).unwrap().recovery.records, 0);
            let log = open(recovered.path(), LogAccess::Mapped);
            put(&log, 7, 10);
            drop(log);
            let error = find(recovered.path(), RecoveryTarget::End).unwrap_err();
            assert!(error.to_string().contains("opened for writing"), "{error}");
        }
    }
    let recovered = find(backup.path(), RecoveryTarget::End).unwrap().recovery;
    assert_eq!((recovered.records, recovered.operations), (130, 130));
    let unknown = Continuation::find(&view(backup.path()), &whole, RecoveryTarget::End, |_| false);
    let error = unknown.unwrap_err().to_string();
    assert!(error.contains(&format!("position {} writes to keyspace 1", places[0])), "{error}");
}
