//! Reads of single keys.

use super::{Fixture, ONE, Subject, TWO};
use crate::engine::{Engine, Read, WriteBatch as _};
use crate::error::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub(in crate::engine) fn a_write_is_read_at_once<S: Subject>() {
    let (fixture, one) = Fixture::<S>::with_partition();
    assert_eq!(fixture.get(&one, b"a"), None);
    fixture.put(&one, b"a", b"1");
    assert_eq!(fixture.get(&one, b"a").unwrap(), b"1");
    fixture.put(&one, b"a", b"2");
    assert_eq!(fixture.get(&one, b"a").unwrap(), b"2");
    fixture.shard().flush().unwrap();
    assert_eq!(fixture.get(&one, b"a").unwrap(), b"2", "from a file");
    fixture.shard().delete(&one, b"a").unwrap();
    assert_eq!(fixture.get(&one, b"a"), None, "deleted in memory, in a file still");
    fixture.shard().delete(&one, b"never").unwrap();
}

pub(in crate::engine) fn keys_and_values_may_be_any_bytes<S: Subject>() {
    let (mut fixture, one) = Fixture::<S>::with_partition();
    let long = vec![0xff; 1 << 10];
    let keys: [&[u8]; 6] = [b"", &[0], &[0, 0], &[0xff], &[0xff, 0xff], &long];
    let value = |n: usize| vec![n as u8; n * 50_000];
    for (n, key) in keys.iter().enumerate() {
        fixture.shard().put(&one, key, &value(n)).unwrap();
    }
    let check = |fixture: &Fixture<S>| {
        let one = fixture.partition(ONE);
        for (n, key) in keys.iter().enumerate() {
            assert_eq!(fixture.get(&one, key), Some(value(n)), "{key:?}");
        }
        let rows: Vec<_> = fixture.rows(&one).into_iter().map(|(key, _)| key).collect();
        assert_eq!(rows, keys);
    };
    check(&fixture);
    fixture.shard().flush().unwrap();
    check(&fixture);
    drop(one);
    fixture.crash();
    check(&fixture);
}

pub(in crate::engine) fn several_keys_are_read_in_their_order<S: Subject>() {
    let (fixture, one) = Fixture::<S>::with_partition();
    fixture.put(&one, b"a", b"1");
    fixture.shard().flush().unwrap();
    fixture.put(&one, b"b", b"2");
    let keys: [&[u8]; 5] = [b"b", b"x", b"a", b"b", b""];
    let found = fixture.shard().get_many(&one, &keys, Read::PRESENT).unwrap();
    let found: Vec<_> = found.iter().map(|value| value.as_deref()).collect();
    assert_eq!(found, [Some(&b"2"[..]), None, Some(b"1"), Some(b"2"), None]);
    assert!(fixture.shard().get_many(&one, &[], Read::PRESENT).unwrap().is_empty());
}

/// It may not know, but what it says is so.
pub(in crate::engine) fn memory_is_asked_without_a_guess<S: Subject>() {
    let (mut fixture, one) = Fixture::<S>::with_partition();
    fixture.put(&one, b"file", b"1");
    fixture.put(&one, b"gone", b"1");
    fixture.shard().flush().unwrap();
    fixture.shard().delete(&one, b"gone").unwrap();
    fixture.put(&one, b"memory", b"1");
    let snapshot = fixture.shard().snapshot().unwrap();
    for at in [None, Some(&snapshot)] {
        let keys: [(&[u8], Option<&[u8]>); 4] =
            [(b"file", Some(b"1")), (b"gone", None), (b"memory", Some(b"1")), (b"never", None)];
        for (key, expected) in keys {
            let known = fixture.shard().get_from_memory(&one, key, at).unwrap();
            if let Some(known) = known {
                assert_eq!(known.as_deref(), expected, "{key:?}");
            }
        }
    }
    drop((snapshot, one));
    fixture.crash();
    let one = fixture.partition(ONE);
    let known = fixture.shard().get_from_memory(&one, b"file", None).unwrap();
    assert!(known.is_none_or(|known| known.as_deref() == Some(b"1")));
}

pub(in crate::engine) fn a_deadline_ends_a_read_or_changes_nothing<S: Subject>() {
    let (fixture, one) = Fixture::<S>::with_partition();
    fixture.put(&one, b"a", b"1");
    fixture.shard().flush().unwrap();
    let read = |deadline| {
        let read = Read { deadline: Some(deadline), ..Read::PRESENT };
        let value = fixture.shard().get(&one, b"a", read);
        value.map(|value| value.map(|value| value.to_vec()))
    };
    assert_eq!(read(Instant::now() + Duration::from_secs(60)).unwrap().unwrap(), b"1");
    match read(Instant::now()) {
        Ok(value) => assert_eq!(value.unwrap(), b"1"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::DeadlineExceeded),
    }
}

/// Each key counts upwards, in batches over two partitions; a reader sees neither of them go back,
/// while memory becomes files.
pub(in crate::engine) fn a_reader_never_goes_back<S: Subject>() {
    let (fixture, one) = Fixture::<S>::with_partition();
    let two = fixture.shard().create_partition(TWO).unwrap();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for partition in [&one, &two] {
            let (fixture, ended) = (&fixture, &ended);
            scope.spawn(move || {
                let mut last = 0;
                while !ended.load(Ordering::Acquire) {
                    let now = fixture
                        .get(partition, b"n")
                        .map_or(0, |value| u32::from_be_bytes(value.try_into().unwrap()));
                    assert!(now >= last, "{now} after {last}");
                    last = now;
                }
            });
        }
        let ends = SetAtEnd(&ended);
        for n in 1_u32..400 {
            let mut batch = fixture.shard().batch();
            batch.put(&one, b"n", &n.to_be_bytes());
            batch.put(&two, b"n", &n.to_be_bytes());
            fixture.shard().write(batch).unwrap();
            if n % 100 == 0 {
                fixture.shard().flush().unwrap();
            }
        }
        drop(ends);
    });
}

/// Sets a flag when it goes, also by a panic.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
