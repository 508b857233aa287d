//! Cursors.

use super::{Fixture, Subject, TWO, rest, row, rows_of};
use crate::engine::{Cursor as _, Direction, Engine, Read, WriteBatch as _};
use crate::placement::KeyRange;

pub(in crate::engine) fn a_cursor_keeps_to_its_range<S: Subject>() {
    let (fixture, one) = Fixture::<S>::with_partition();
    let two = fixture.shard().create_partition(TWO).unwrap();
    for key in ["a", "b", "c", "d"] {
        fixture.put(&one, key.as_bytes(), key.as_bytes());
        fixture.put(&two, b"other", key.as_bytes());
    }
    let look = |start: &str, end: Option<&str>, direction| {
        let range = KeyRange::new(start, end);
        let rows = rows_of(fixture.shard(), &one, &range, direction, Read::PRESENT);
        rows.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect::<Vec<_>>()
    };
    for flushed in [false, true] {
        if flushed {
            fixture.shard().flush().unwrap();
        }
        assert_eq!(look("b", Some("d"), Direction::Forward), ["b", "c"]);
        assert_eq!(look("b", Some("d"), Direction::Reverse), ["c", "b"]);
        assert_eq!(look("b", None, Direction::Forward), ["b", "c", "d"]);
        assert_eq!(look("", Some("b"), Direction::Reverse), ["a"]);
        assert_eq!(look("", None, Direction::Reverse), ["d", "c", "b", "a"]);
        assert_eq!(look("aa", Some("ab"), Direction::Forward), [""; 0]);
        assert_eq!(look("x", None, Direction::Reverse), [""; 0]);
    }
}

/// A past bug: an engine panicked where it was asked for an empty range.
pub(in crate::engine) fn a_range_without_keys_has_no_rows<S: Subject>() {
    let (fixture, one) = Fixture::<S>::with_partition();
    fixture.put(&one, b"a", b"1");
    for direction in [Direction::Forward, Direction::Reverse] {
        for at in ["", "a", "b"] {
            let range = KeyRange::new(at, Some(at));
            let rows = rows_of(fixture.shard(), &one, &range, direction, Read::PRESENT);
            assert_eq!(rows, []);
        }
    }
}

pub(in crate::engine) fn a_cursor_shows_what_was_there_when_it_was_made<S: Subject>() {
    let (fixture, one) = Fixture::<S>::with_partition();
    let key = |n: u32| n.to_be_bytes();
    for n in 0..2_000 {
        fixture.put(&one, &key(n), b"before");
        if n == 1_000 {
            fixture.shard().flush().unwrap();
        }
    }
    let all = KeyRange::whole();
    let open = |direction| fixture.shard().cursor(&one, &all, direction, Read::PRESENT).unwrap();
    let (forward, mut reverse) = (open(Direction::Forward), open(Direction::Reverse));
    for _ in 0..10 {
        reverse.advance();
    }
    for n in 0..2_000 {
        match n % 3 {
            0 => fixture.shard().delete(&one, &key(n)).unwrap(),
            1 => fixture.shard().put(&one, &key(n), b"after").unwrap(),
            _ => {}
        }
    }
    let mut batch = fixture.shard().batch();
    batch.delete_range(&one, &key(100), &key(200));
    batch.put(&one, &key(5_000), b"after");
    fixture.shard().write(batch).unwrap();
    fixture.shard().flush().unwrap();
    fixture.shard().compact(&one).unwrap();
    assert_eq!(rest(forward), (0..2_000).map(|n| row(key(n), "before")).collect::<Vec<_>>());
    let expected: Vec<_> = (0..1_990).rev().map(|n| row(key(n), "before")).collect();
    assert_eq!(rest(reverse), expected);
}

/// From several files and from memory.
pub(in crate::engine) fn a_long_scan_is_in_order_in_both_directions<S: Subject>() {
    let (fixture, one) = Fixture::<S>::with_partition();
    let key = |n: u32| n.wrapping_mul(0x9e37_79b1).to_be_bytes();
    for n in 0..9_000 {
        fixture.shard().put(&one, &key(n), &n.to_be_bytes()).unwrap();
        if n % 4_000 == 3_999 {
            fixture.shard().flush().unwrap();
        }
    }
    let mut expected: Vec<_> = (0..9_000_u32).map(|n| row(key(n), n.to_be_bytes())).collect();
    expected.sort();
    assert_eq!(fixture.rows(&one), expected);
    expected.reverse();
    for bypass_cache in [false, true] {
        let read = Read { bypass_cache, read_ahead: Some(1 << 20), ..Read::PRESENT };
        let rows = rows_of(fixture.shard(), &one, &KeyRange::whole(), Direction::Reverse, read);
        assert_eq!(rows, expected);
    }
}
