//! Batches and deletions of ranges.

use super::{Fixture, Subject, TWO, row};
use crate::engine::{Engine, Read, WriteBatch as _};
use std::sync::atomic::{AtomicBool, Ordering};

pub(in crate::engine) fn a_batch_takes_effect_in_the_order_of_its_operations<S: Subject>() {
    let (mut fixture, one) = Fixture::<S>::with_partition();
    fixture.put(&one, b"b", b"before");
    fixture.put(&one, b"d", b"before");
    let mut batch = fixture.shard().batch();
    batch.put(&one, b"a", b"first");
    batch.put(&one, b"a", b"second");
    batch.put(&one, b"b", b"deleted with its range");
    batch.put(&one, b"c", b"deleted with its range");
    batch.delete_range(&one, b"b", b"d");
    batch.put(&one, b"c", b"after");
    batch.delete(&one, b"d");
    batch.put(&one, b"e", b"deleted");
    batch.delete(&one, b"e");
    fixture.shard().write(batch).unwrap();
    let expected = [row("a", "second"), row("c", "after")];
    assert_eq!(fixture.rows(&one), expected);
    fixture.shard().flush().unwrap();
    assert_eq!(fixture.rows(&one), expected);
    drop(one);
    fixture.crash();
    assert_eq!(fixture.rows(&fixture.partition(super::ONE)), expected);
}

/// Each batch puts the same number into two partitions; no snapshot sees two numbers.
pub(in crate::engine) fn a_batch_is_whole_for_readers<S: Subject>() {
    let (fixture, one) = Fixture::<S>::with_partition();
    let two = fixture.shard().create_partition(TWO).unwrap();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut n = 0_u32;
            while !ended.load(Ordering::Acquire) {
                n += 1;
                let mut batch = fixture.shard().batch();
                batch.put(&one, b"a", &n.to_be_bytes());
                batch.put(&one, b"z", &n.to_be_bytes());
                batch.put(&two, b"a", &n.to_be_bytes());
                fixture.shard().write(batch).unwrap();
            }
            n
        });
        let looked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for n in 0..200 {
                if n == 100 {
                    fixture.shard().flush().unwrap();
                }
                let snapshot = fixture.shard().snapshot().unwrap();
                let read = Read { at: Some(&snapshot), ..Read::PRESENT };
                let get = |partition, key: &[u8]| {
                    let value = fixture.shard().get(partition, key, read).unwrap();
                    value.map(|value| value.to_vec())
                };
                let seen = [get(&one, b"a"), get(&one, b"z"), get(&two, b"a")];
                assert!(seen.iter().all(|value| *value == seen[0]), "{seen:?}");
            }
        }));
        ended.store(true, Ordering::Release);
        assert!(writer.join().unwrap() > 0);
        looked.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

pub(in crate::engine) fn a_range_is_deleted_without_its_end<S: Subject>() {
    let (fixture, one) = Fixture::<S>::with_partition();
    let two = fixture.shard().create_partition(TWO).unwrap();
    for key in ["", "a", "b", "c", "d"] {
        fixture.put(&one, key.as_bytes(), b"1");
        fixture.put(&two, key.as_bytes(), b"1");
    }
    fixture.shard().flush().unwrap();
    fixture.put(&one, b"bb", b"1");
    let delete = |start: &[u8], end: &[u8]| {
        let mut batch = fixture.shard().batch();
        batch.delete_range(&one, start, end);
        fixture.shard().write(batch).unwrap();
        fixture.rows(&one).into_iter().map(|(key, _)| String::from_utf8(key).unwrap())
    };
    assert!(delete(b"b", b"d").eq(["", "a", "d"]));
    assert!(delete(b"d", b"d").eq(["", "a", "d"]), "an empty range");
    assert!(delete(b"", b"a").eq(["a", "d"]));
    assert!(delete(b"", &[0xff; 8]).eq([""; 0]));
    assert_eq!(fixture.rows(&two).len(), 5, "the neighbour's");
    fixture.put(&one, b"b", b"2");
    assert_eq!(fixture.rows(&one), [row("b", "2")]);
}

pub(in crate::engine) fn an_empty_batch_changes_nothing<S: Subject>() {
    let (fixture, one) = Fixture::<S>::with_partition();
    fixture.put(&one, b"a", b"1");
    fixture.shard().write(fixture.shard().batch()).unwrap();
    fixture.shard().write_at_once(fixture.shard().batch()).unwrap();
    let mut batch = fixture.shard().batch();
    batch.delete_range(&one, b"x", b"y");
    fixture.shard().write(batch).unwrap();
    assert_eq!(fixture.rows(&one), [row("a", "1")]);
}

pub(in crate::engine) fn a_batch_that_does_not_wait_is_applied<S: Subject>() {
    let (fixture, one) = Fixture::<S>::with_partition();
    fixture.put(&one, b"a", b"1");
    let mut batch = fixture.shard().batch();
    batch.delete(&one, b"a");
    batch.put(&one, b"b", b"1");
    fixture.shard().write_at_once(batch).unwrap();
    assert_eq!(fixture.rows(&one), [row("b", "1")]);
}
