//! Partitions: how they come, go, and what is known of them.

use super::{Fixture, ONE, Subject, TWO, name, row, rows_of, wait_until};
use crate::engine::{Cursor as _, Direction, Engine, Read};
use crate::error::{Error, ErrorKind};
use crate::placement::KeyRange;
use crate::topology::PartitionName;

/// Names next to each other, and keys at the ends.
pub(in crate::engine) fn partitions_share_no_keys<S: Subject>() {
    let mut fixture = Fixture::<S>::new();
    let names = [
        name(0),
        PartitionName { generation: u32::MAX, ..name(0) },
        name(1),
        PartitionName { generation: 1, ..name(1) },
        name(255),
        name(256),
        PartitionName { generation: u32::MAX, ..name(u64::MAX) },
    ];
    for name in names {
        let partition = fixture.shard().create_partition(name).unwrap();
        for key in [&[][..], &[0], &[0xff; 16]] {
            fixture.shard().put(&partition, key, format!("{name}").as_bytes()).unwrap();
        }
    }
    for _ in 0..2 {
        assert_eq!(fixture.shard().partitions(), names);
        for name in names {
            let partition = fixture.partition(name);
            for direction in [Direction::Forward, Direction::Reverse] {
                let rows = rows_of(
                    fixture.shard(),
                    &partition,
                    &KeyRange::whole(),
                    direction,
                    Read::PRESENT,
                );
                assert_eq!(rows.len(), 3);
                assert!(rows.iter().all(|(_, value)| *value == format!("{name}").as_bytes()));
            }
        }
        fixture.shard().flush().unwrap();
        fixture.crash();
    }
}

pub(in crate::engine) fn a_partition_is_there_after_a_crash<S: Subject>() {
    let mut fixture = Fixture::<S>::new();
    assert_eq!(fixture.shard().partitions(), []);
    assert!(fixture.shard().partition(ONE).is_none());
    fixture.shard().create_partition(TWO).unwrap();
    fixture.crash();
    fixture.shard().create_partition(ONE).unwrap();
    fixture.crash();
    assert_eq!(fixture.shard().partitions(), [ONE, TWO]);
    assert_eq!(fixture.rows(&fixture.partition(ONE)), []);
    assert!(!fixture.shard().is_stranded(ONE));
}

pub(in crate::engine) fn a_dropped_partition_stays_readable_and_does_not_come_back<S: Subject>() {
    let (mut fixture, one) = Fixture::<S>::with_partition();
    let two = fixture.shard().create_partition(TWO).unwrap();
    fixture.put(&one, b"a", b"file");
    fixture.put(&two, b"a", b"other");
    fixture.shard().flush().unwrap();
    fixture.put(&one, b"b", b"memory");
    let value = fixture.shard().get(&one, b"a", Read::PRESENT).unwrap().unwrap();
    let snapshot = fixture.shard().snapshot().unwrap();
    let all = KeyRange::whole();
    let cursor = fixture.shard().cursor(&one, &all, Direction::Forward, Read::PRESENT).unwrap();
    fixture.shard().drop_partition(ONE).unwrap();
    fixture.shard().drop_partition(ONE).unwrap();
    assert_eq!(fixture.shard().partitions(), [TWO]);
    assert!(fixture.shard().partition(ONE).is_none());
    fixture.shard().flush().unwrap();
    fixture.shard().compact(&two).unwrap();
    let expected = [row("a", "file"), row("b", "memory")];
    assert_eq!(super::rest(cursor), expected);
    assert_eq!(fixture.rows(&one), expected);
    let read = Read { at: Some(&snapshot), ..Read::PRESENT };
    assert_eq!(rows_of(fixture.shard(), &one, &all, Direction::Forward, read), expected);
    assert_eq!(&*value, b"file");
    drop((one, two, snapshot, value));
    fixture.crash();
    assert_eq!(fixture.shard().partitions(), [TWO]);
    assert_eq!(fixture.rows(&fixture.partition(TWO)), [row("a", "other")]);
}

/// After a drop, the name is free and empty, or it cannot be used, which the shard says.
pub(in crate::engine) fn a_name_is_used_again_empty_or_not_at_all<S: Subject>() {
    let (mut fixture, one) = Fixture::<S>::with_partition();
    fixture.put(&one, b"a", b"first life");
    fixture.shard().flush().unwrap();
    fixture.put(&one, b"b", b"first life");
    fixture.shard().drop_partition(ONE).unwrap();
    drop(one);
    for _ in 0..2 {
        // Where it is stranded, that ends.
        wait_until(|| !fixture.shard().is_stranded(ONE));
        let one = fixture.shard().create_partition(ONE).unwrap();
        assert_eq!(fixture.rows(&one), []);
        fixture.put(&one, b"c", b"second life");
        fixture.shard().flush().unwrap();
        assert_eq!(fixture.rows(&one), [row("c", "second life")]);
        drop(one);
        fixture.crash();
        assert_eq!(fixture.rows(&fixture.partition(ONE)), [row("c", "second life")]);
        fixture.shard().drop_partition(ONE).unwrap();
    }
}

/// Nothing of it is in the log.
pub(in crate::engine) fn a_load_is_there_after_a_crash<S: Subject>() {
    let mut fixture = Fixture::<S>::new();
    let rows: Vec<_> = (0..20_000_u32).map(|n| row(n.to_be_bytes(), [n as u8; 100])).collect();
    let loaded = fixture
        .shard()
        .load_partition(ONE, |put| rows.iter().try_for_each(|(key, value)| put(key, value)));
    let one = loaded.unwrap();
    assert_eq!(fixture.rows(&one), rows);
    let empty = fixture.shard().load_partition(TWO, |_| Ok(())).unwrap();
    assert_eq!(fixture.rows(&empty), []);
    drop((one, empty));
    fixture.crash();
    assert_eq!(fixture.shard().partitions(), [ONE, TWO]);
    assert_eq!(fixture.rows(&fixture.partition(ONE)), rows);
    assert_eq!(fixture.rows(&fixture.partition(TWO)), []);
}

pub(in crate::engine) fn a_load_that_fails_leaves_no_partition<S: Subject>() {
    let mut fixture = Fixture::<S>::new();
    let failed = fixture.shard().load_partition(ONE, |put| {
        (0..20_000_u32).try_for_each(|n| put(&n.to_be_bytes(), &[7; 100]))?;
        Err(Error::new(ErrorKind::Aborted, "enough"))
    });
    assert_eq!(failed.err().unwrap().kind(), ErrorKind::Aborted);
    assert!(fixture.shard().partition(ONE).is_none());
    for _ in 0..2 {
        assert_eq!(fixture.shard().partitions(), []);
        fixture.crash();
    }
    wait_until(|| !fixture.shard().is_stranded(ONE));
    let one = fixture.shard().create_partition(ONE).unwrap();
    assert_eq!(fixture.rows(&one), [], "what was written is not in its way");
}

pub(in crate::engine) fn a_link_shares_what_is_there_where_it_is_possible<S: Subject>() {
    let (mut fixture, one) = Fixture::<S>::with_partition();
    if !fixture.shard().can_link(fixture.shard()) {
        assert!(fixture.shard().link_partition(TWO, &one).is_err());
        assert_eq!(fixture.shard().partitions(), [ONE]);
        return;
    }
    fixture.put(&one, b"a", b"1");
    let two = fixture.shard().link_partition(TWO, &one).unwrap();
    fixture.put(&one, b"b", b"1");
    fixture.put(&two, b"c", b"1");
    assert_eq!(fixture.rows(&two), [row("a", "1"), row("c", "1")]);
    fixture.shard().drop_partition(ONE).unwrap();
    drop((one, two));
    fixture.crash();
    assert_eq!(fixture.rows(&fixture.partition(TWO)), [row("a", "1")]);
}

pub(in crate::engine) fn sizes_grow_with_what_is_stored<S: Subject>() {
    let (fixture, one) = Fixture::<S>::with_partition();
    let two = fixture.shard().create_partition(TWO).unwrap();
    let empty = fixture.shard().usage(&one).unwrap();
    let mut noise = fastrand::Rng::with_seed(1);
    let mut value = [0; 1_000];
    for n in 0..2_000_u32 {
        noise.fill(&mut value);
        fixture.shard().put(&one, &n.to_be_bytes(), &value).unwrap();
    }
    let written = fixture.shard().usage(&one).unwrap();
    assert!(written.bytes_in_memory >= empty.bytes_in_memory + 1_000_000, "{written:?}");
    fixture.shard().flush().unwrap();
    let flushed = fixture.shard().usage(&one).unwrap();
    assert!((1_900_000..2_500_000).contains(&flushed.bytes_on_disk), "{flushed:?}");
    assert!((1_900..2_100).contains(&flushed.keys_estimated), "{flushed:?}");
    assert!(flushed.bytes_in_memory < written.bytes_in_memory);
    assert_eq!(fixture.shard().usage(&two).unwrap().bytes_on_disk, 0);
    let bytes_in = |range: KeyRange| fixture.shard().bytes_in(&one, &range).unwrap();
    let key = |n: u32| n.to_be_bytes().to_vec();
    let (all, half) = (bytes_in(KeyRange::whole()), bytes_in(KeyRange::new(key(1_000), None)));
    assert!((1_900_000..2_500_000).contains(&all), "{all}");
    assert!((all * 2 / 5..all * 3 / 5).contains(&half), "{half} of {all}");
    assert!(bytes_in(KeyRange::new(key(3_000), None)) < all / 10);
}

pub(in crate::engine) fn samples_are_keys_of_the_partition<S: Subject>() {
    let (fixture, one) = Fixture::<S>::with_partition();
    let two = fixture.shard().create_partition(TWO).unwrap();
    assert_eq!(fixture.shard().sample_keys(ONE).unwrap(), [] as [Vec<u8>; 0]);
    for n in 0..5_000_u32 {
        fixture.shard().put(&one, &n.to_be_bytes(), &[7; 100]).unwrap();
        fixture.shard().put(&two, &[0xee; 8], b"other").unwrap();
    }
    fixture.shard().flush().unwrap();
    let keys = fixture.shard().sample_keys(ONE).unwrap();
    assert!(!keys.is_empty() && keys.is_sorted_by(|a, b| a < b));
    for key in &keys {
        assert!(fixture.get(&one, key).is_some(), "{key:?}");
    }
    assert_eq!(fixture.shard().sample_keys(name(9)).unwrap(), [] as [Vec<u8>; 0]);
}

pub(in crate::engine) fn a_compaction_keeps_the_rows<S: Subject>() {
    let (mut fixture, one) = Fixture::<S>::with_partition();
    for round in 0..3_u32 {
        for n in 0..1_000_u32 {
            if n % 3 == round {
                fixture.shard().delete(&one, &n.to_be_bytes()).unwrap();
            } else {
                fixture.shard().put(&one, &n.to_be_bytes(), &round.to_be_bytes()).unwrap();
            }
        }
        fixture.shard().flush().unwrap();
    }
    let expected: Vec<_> = (0..1_000_u32)
        .filter(|n| n % 3 != 2)
        .map(|n| row(n.to_be_bytes(), 2_u32.to_be_bytes()))
        .collect();
    fixture.shard().set_few_first_level_files(&one, true).unwrap();
    fixture.shard().compact(&one).unwrap();
    assert_eq!(fixture.rows(&one), expected);
    let usage = fixture.shard().usage(&one).unwrap();
    assert_eq!(usage.keys_estimated, expected.len() as u64, "deletions and old versions are gone");
    drop(one);
    fixture.crash();
    assert_eq!(fixture.rows(&fixture.partition(ONE)), expected);
}

pub(in crate::engine) fn what_is_held_stays_readable_after_background_work_ends<S: Subject>() {
    let (mut fixture, one) = Fixture::<S>::with_partition();
    fixture.put(&one, b"a", b"1");
    fixture.shard().flush().unwrap();
    fixture.put(&one, b"b", b"1");
    let snapshot = fixture.shard().snapshot().unwrap();
    let all = KeyRange::whole();
    let mut cursor = fixture.shard().cursor(&one, &all, Direction::Forward, Read::PRESENT).unwrap();
    fixture.shard().quiesce();
    let read = Read { at: Some(&snapshot), ..Read::PRESENT };
    assert_eq!(fixture.shard().get(&one, b"a", read).unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(fixture.rows(&one).len(), 2);
    // A cursor is held longer than the shard.
    fixture.close();
    cursor.advance();
    assert_eq!(super::rest(cursor), [row("b", "1")]);
}

pub(in crate::engine) fn a_retired_shard_is_removed_with_its_last_handle<S: Subject>() {
    let (mut fixture, one) = Fixture::<S>::with_partition();
    fixture.put(&one, b"a", b"1");
    fixture.shard().flush().unwrap();
    fixture.subject.retire(fixture.shard());
    assert_eq!(fixture.get(&one, b"a").unwrap(), b"1");
    fixture.close();
    assert!(fixture.subject.is_there(), "a handle is held");
    drop(one);
    wait_until(|| !fixture.subject.is_there());
}
