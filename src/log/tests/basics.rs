//! Appending, reading, syncing, recycling; openings after an end without damage.

use super::*;
use std::sync::atomic::AtomicBool;

#[test]
fn records_come_back_after_a_close_a_drop_and_in_between() {
    for access in ACCESSES {
        let directory = tempfile::tempdir().unwrap();
        let log = open(directory.path(), access);
        let operations = [
            Owned::Put(1, b"a".into(), vec![7; 300]),
            Owned::Delete(u32::MAX, b"".into()),
            Owned::DeleteRange(3, b"a".into(), b"b".into()),
        ];
        let in_flight = log.append(operations.iter().map(Owned::lent)).unwrap();
        let (start, end) = (in_flight.start(), in_flight.end());
        assert_eq!((log.applied(), log.end()), (start, end));
        drop(in_flight);
        assert_eq!(log.applied(), end);
        drop(log.append(std::iter::empty()).unwrap());
        for round in 0..3 {
            let log = if round == 0 { Arc::clone(&log) } else { open(directory.path(), access) };
            let mut reader = log.read(log.first()).unwrap();
            let record = reader.next().unwrap().unwrap();
            assert_eq!((record.start(), record.end()), (start, end));
            assert!(record.time().elapsed().unwrap() < Duration::from_secs(600));
            let back: Vec<_> = record.operations().map(|it| Owned::of(&it)).collect();
            assert_eq!(back, operations);
            assert_eq!(reader.next().unwrap().unwrap().operations().count(), 0);
            assert!(reader.next().unwrap().is_none());
            assert!(log.lost().is_empty());
            if round == 1 {
                log.close().unwrap();
                let error = log.append(std::iter::empty()).err().unwrap();
                assert_eq!(error.kind(), crate::error::ErrorKind::Closed);
            }
        }
    }
}

#[test]
fn records_larger_than_a_segment_and_many_segments() {
    for access in ACCESSES {
        let directory = tempfile::tempdir().unwrap();
        let log = open(directory.path(), access);
        for key in 0..100 {
            put(&log, key, if key % 10 == 5 { 100_000 } else { 3_000 });
            if key % 7 == 0 {
                log.sync().unwrap();
            }
        }
        let expected: Vec<_> = (0..100).collect();
        assert_eq!(keys(&log), expected);
        drop(log);
        let log = open(directory.path(), access);
        assert!(log.lost().is_empty());
        assert_eq!(keys(&log), expected);
        put(&log, 100, 10);
        assert_eq!(keys(&log).len(), 101);
    }
}

#[test]
fn a_read_only_opening_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let nothing = CommitLog::open_read_only(options(directory.path(), LogAccess::Mapped)).unwrap();
    assert!(nothing.read(nothing.first()).unwrap().next().unwrap().is_none());
    assert!(!directory.path().join("log").exists());
    let log = open(directory.path(), LogAccess::Mapped);
    put_all(&log, 0..20, 1000);
    log.close().unwrap();
    let before: Vec<_> =
        files(directory.path()).iter().map(|it| std::fs::read(it).unwrap()).collect();
    let log = CommitLog::open_read_only(options(directory.path(), LogAccess::Mapped)).unwrap();
    assert_eq!(keys(&log), (0..20).collect::<Vec<_>>());
    assert_eq!(
        log.append(std::iter::empty()).err().unwrap().kind(),
        crate::error::ErrorKind::ReadOnly
    );
    log.sync().unwrap();
    log.close().unwrap();
    let after: Vec<_> =
        files(directory.path()).iter().map(|it| std::fs::read(it).unwrap()).collect();
    assert!(before == after);
}

#[test]
fn applied_is_where_the_oldest_record_in_flight_begins() {
    let directory = tempfile::tempdir().unwrap();
    let log = CommitLog::open(options(directory.path(), LogAccess::Mapped)).unwrap();
    put(&log, 1, 10);
    assert_eq!(log.applied(), log.first(), "during the replay");
    log.finish_replay();
    assert_eq!(log.applied(), log.end());
    let append = || log.append(std::iter::empty()).unwrap();
    let (a, b, c) = (append(), append(), append());
    assert_eq!(log.applied(), a.start());
    drop(b);
    assert_eq!(log.applied(), a.start());
    drop(a);
    assert_eq!(log.applied(), c.start());
    let pin = log.pin();
    drop(c);
    assert_eq!(log.applied(), log.end());
    log.release(log.end());
    assert_eq!(log.first(), pin.position());
    assert!(log.read(Position(0)).is_err());
    assert!(log.read(Position(pin.position().0 + 8)).is_err());
    drop(pin);
    assert_eq!(log.first(), log.end());
}

#[test]
fn what_is_released_is_recycled_and_not_read_again() {
    for access in ACCESSES {
        let directory = tempfile::tempdir().unwrap();
        let log = open(directory.path(), access);
        let mut kept = Position(0);
        for key in 0..500 {
            let position = put(&log, key, 1000);
            if key % 10 == 0 {
                log.release(kept);
                kept = position;
            }
        }
        until(|| log.bytes() <= 7 * (16 << 10));
        assert!(files(directory.path()).len() <= 7, "{:?}", files(directory.path()));
        let first = log.first();
        let expected = keys(&log);
        assert_eq!(expected, (480..500).collect::<Vec<_>>());
        drop(log);
        let log = open(directory.path(), access);
        assert!(log.first() <= first);
        let last = keys_from(&log, first);
        assert_eq!(last, expected);
        assert!(log.lost().is_empty());
        // The log may append a mark at any moment.
        let end = log.end();
        log.release(end);
        log.close().unwrap();
        let log = open(directory.path(), access);
        assert!(log.first() >= end);
        assert!(keys(&log).is_empty());
    }
}

#[test]
fn readers_and_pins_keep_segments() {
    for access in ACCESSES {
        let directory = tempfile::tempdir().unwrap();
        let log = open(directory.path(), access);
        let mut reader = log.read(log.first()).unwrap();
        let pin = log.pin();
        put_all(&log, 0..100, 1000);
        log.release(log.end());
        assert_eq!(log.first(), Position(0).max(pin.position()).min(log.first()));
        for key in 0..100_u32 {
            let record = reader.next().unwrap().unwrap();
            let operation = record.operations().next().unwrap();
            assert!(matches!(operation, Operation::Put { key: it, .. } if it == key.to_be_bytes()));
        }
        assert_eq!(keys_from(&log, pin.position()).len(), 100);
        drop((pin, reader));
        until(|| log.bytes() <= 4 * (16 << 10));
    }
}

#[test]
fn several_threads_sync_together_while_one_follows() {
    for access in ACCESSES {
        let directory = tempfile::tempdir().unwrap();
        let log = open(directory.path(), access);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4)
                .map(|thread| {
                    let log = &log;
                    scope.spawn(move || {
                        for key in 0..200 {
                            let value = [thread; 200];
                            let key = [thread, key];
                            let keyspace = KeyspaceId(1);
                            let put = Operation::Put { keyspace, key: &key, value: &value };
                            let in_flight = log.append(std::iter::once(put)).unwrap();
                            log.sync_to(in_flight.end()).unwrap();
                            assert!(log.synced() >= in_flight.end());
                        }
                    })
                })
                .collect();
            let follower = scope.spawn(|| {
                let mut reader = log.read(log.first()).unwrap();
                let mut next = [0_u8; 4];
                loop {
                    let ended = done.load(Ordering::Acquire);
                    let Some(record) = reader.next().unwrap() else {
                        if ended {
                            return next;
                        }
                        std::thread::sleep(Duration::from_millis(1));
                        continue;
                    };
                    for operation in record.operations() {
                        let Operation::Put { key, .. } = operation else { panic!() };
                        assert_eq!(next[key[0] as usize], key[1]);
                        next[key[0] as usize] += 1;
                    }
                }
            });
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            done.store(true, Ordering::Release);
            assert_eq!(follower.join().unwrap(), [200; 4]);
        });
        let before = log.end();
        log.sync().unwrap();
        assert_eq!(log.end(), before, "a sync with nothing to sync appends no mark");
    }
}

#[test]
fn a_sync_that_failed_is_not_repeated() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path(), LogAccess::Written);
    put(&log, 1, 10);
    let switch = directory.path().join("log/FAIL-log-sync");
    if cfg!(feature = "failpoints") {
        std::fs::write(&switch, "").unwrap();
        assert_eq!(log.sync().unwrap_err().kind(), crate::error::ErrorKind::Io);
        std::fs::remove_file(&switch).unwrap();
        log.sync().unwrap_err();
        log.check().unwrap_err();
        log.append(std::iter::empty()).err().unwrap();
        assert_eq!(keys(&log), [1]);
    }
}
