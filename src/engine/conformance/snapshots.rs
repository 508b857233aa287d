//! Snapshots.

use super::{Fixture, Subject, TWO, row, rows_of};
use crate::engine::{Direction, Engine, Read, WriteBatch as _};
use crate::placement::KeyRange;

pub(in crate::engine) fn a_snapshot_sees_nothing_later<S: Subject>() {
    let (fixture, one) = Fixture::<S>::with_partition();
    fixture.put(&one, b"a", b"1");
    fixture.put(&one, b"b", b"1");
    let snapshot = fixture.shard().snapshot().unwrap();
    let shared = snapshot.clone();
    fixture.put(&one, b"a", b"2");
    fixture.shard().delete(&one, b"b").unwrap();
    fixture.put(&one, b"c", b"2");
    let three = super::name(3);
    let created_later = fixture.shard().create_partition(three).unwrap();
    fixture.put(&created_later, b"a", b"2");
    for at in [&snapshot, &shared] {
        let read = Read { at: Some(at), ..Read::PRESENT };
        let rows = |partition, direction| {
            rows_of(fixture.shard(), partition, &KeyRange::whole(), direction, read)
        };
        assert_eq!(rows(&one, Direction::Forward), [row("a", "1"), row("b", "1")]);
        assert_eq!(rows(&one, Direction::Reverse), [row("b", "1"), row("a", "1")]);
        assert_eq!(rows(&created_later, Direction::Forward), []);
        let keys: [&[u8]; 3] = [b"a", b"b", b"c"];
        let found = fixture.shard().get_many(&one, &keys, read).unwrap();
        let found: Vec<_> = found.iter().map(|value| value.as_deref()).collect();
        assert_eq!(found, [Some(&b"1"[..]), Some(b"1"), None]);
        assert_eq!(fixture.shard().get(&one, b"a", read).unwrap().as_deref(), Some(&b"1"[..]));
    }
    drop(snapshot);
    let read = Read { at: Some(&shared), ..Read::PRESENT };
    assert_eq!(fixture.shard().get(&one, b"b", read).unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(fixture.rows(&one), [row("a", "2"), row("c", "2")]);
}

/// Rows of three times: under it in a file, under it in memory, and over it.
pub(in crate::engine) fn a_snapshot_outlives_flush_and_compaction<S: Subject>() {
    let (fixture, one) = Fixture::<S>::with_partition();
    fixture.put(&one, b"a", b"1");
    fixture.put(&one, b"b", b"1");
    fixture.shard().flush().unwrap();
    fixture.put(&one, b"a", b"2");
    let snapshot = fixture.shard().snapshot().unwrap();
    fixture.put(&one, b"a", b"3");
    let mut batch = fixture.shard().batch();
    batch.delete_range(&one, b"", b"z");
    fixture.shard().write(batch).unwrap();
    let expected = [row("a", "2"), row("b", "1")];
    let look = || {
        let read = Read { at: Some(&snapshot), ..Read::PRESENT };
        rows_of(fixture.shard(), &one, &KeyRange::whole(), Direction::Forward, read)
    };
    assert_eq!(look(), expected);
    fixture.shard().flush().unwrap();
    assert_eq!(look(), expected);
    fixture.put(&one, b"c", b"4");
    fixture.shard().compact(&one).unwrap();
    assert_eq!(look(), expected);
    assert_eq!(fixture.rows(&one), [row("c", "4")]);
}

pub(in crate::engine) fn a_snapshot_is_one_moment_of_all_partitions<S: Subject>() {
    let (fixture, one) = Fixture::<S>::with_partition();
    let two = fixture.shard().create_partition(TWO).unwrap();
    for n in 0..50_u32 {
        let mut batch = fixture.shard().batch();
        batch.put(&one, b"n", &n.to_be_bytes());
        batch.put(&two, b"n", &n.to_be_bytes());
        fixture.shard().write(batch).unwrap();
        let snapshot = fixture.shard().snapshot().unwrap();
        fixture.shard().put(&two, b"n", b"later").unwrap();
        let read = Read { at: Some(&snapshot), ..Read::PRESENT };
        for partition in [&one, &two] {
            let value = fixture.shard().get(partition, b"n", read).unwrap();
            assert_eq!(value.as_deref(), Some(&n.to_be_bytes()[..]));
        }
    }
}
