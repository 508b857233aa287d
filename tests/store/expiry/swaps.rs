//! Writes on a condition whose rows have lifetimes of their own.

use super::{HOUR, SECOND, clock, open, text, with_rows};
use crate::basic::small;
use crate::churn::quick_directory;
use annulus::topology::KeyspaceSpec;
use annulus::{ErrorKind, Keyspace, Swap};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Returns the rows that there are, with the hours since the clock's beginning at which they expire.
fn until(rows: &Keyspace) -> Vec<(String, Option<u64>)> {
    let (mut scan, mut until) = (rows.scan(..).unwrap(), Vec::new());
    while let Some((key, _, at)) = scan.next_row_until().unwrap() {
        let hours = |at: SystemTime| {
            let since = at.duration_since(UNIX_EPOCH + 500_000 * HOUR).unwrap();
            assert_eq!(since.as_secs() % 3600, 0, "{since:?}");
            since.as_secs() / 3600
        };
        until.push((String::from_utf8(key.to_vec()).unwrap(), at.map(hours)));
    }
    until
}

/// A lease: one holder at a time, who makes it last longer, and which ends by itself.
#[test]
fn a_swap_sets_the_lifetime_of_its_row_and_leaves_that_of_another() {
    let (directory, clock) = (quick_directory(), clock());
    let (_store, keyspaces) = with_rows(&directory.path().join("store"), &clock);
    for (round, rows) in keyspaces.iter().enumerate() {
        let hours = |hours: u64| (round as u64 * 10 + hours, hours as u32 * HOUR);
        let at = |hours: u64| UNIX_EPOCH + 500_000 * HOUR + Duration::from_secs(hours * 3600);
        let (two, lifetime) = hours(2);
        assert!(rows.put_if_absent_for("lease", "one", lifetime).unwrap().is_swapped());
        assert!(rows.put_if_absent_until("ever", "one", None).unwrap().is_swapped());
        assert!(rows.put_if_absent_until("past", "one", UNIX_EPOCH).unwrap().is_swapped());
        let found = rows.put_if_absent_for("lease", "two", 9 * HOUR).unwrap();
        assert_eq!(text(found.found()).as_deref(), Some("one"));
        let other = rows.compare_and_swap_for("lease", Some(b"two"), "two", 9 * HOUR).unwrap();
        assert!(matches!(other, Swap::Found(Some(_))));
        let none = rows.compare_and_swap_until("past", Some(b"one"), "two", at(99)).unwrap();
        assert!(matches!(none, Swap::Found(None)), "it is past");
        let expected = [("ever".to_owned(), None), ("lease".to_owned(), Some(two))];
        assert_eq!(until(rows), expected);

        let three = Some(&b"one"[..]);
        assert!(rows.compare_and_swap_for("lease", three, "one", hours(3).1).unwrap().is_swapped());
        assert_eq!(until(rows)[1].1, Some(hours(3).0));
        assert!(
            rows.compare_and_swap_until("lease", three, "1", at(hours(4).0)).unwrap().is_swapped()
        );
        assert_eq!(until(rows)[1].1, Some(hours(4).0));
        // The default, where nothing is said.
        assert!(rows.compare_and_swap("lease", Some(b"1"), Some(b"2")).unwrap().is_swapped());
        assert_eq!(until(rows)[1].1, Some(hours(1).0));
        clock.advance(HOUR);
        assert!(rows.put_if_absent_for("lease", "two", SECOND).unwrap().is_swapped(), "it is over");
        clock.advance(9 * HOUR);
        assert_eq!(until(rows).len(), 1);
    }
}

/// Typed handles have the same, and a keyspace whose rows do not expire has none of it.
#[test]
fn typed_swaps_have_lifetimes_and_plain_rows_have_none() {
    let (directory, clock) = (quick_directory(), clock());
    let store = open(&directory.path().join("store"), &clock, small());
    let spec = KeyspaceSpec::range().time_to_live_by_put();
    let typed = store.create_keyspace("typed", spec).unwrap().typed::<u32, u64>();
    assert!(typed.put_if_absent_for(1, &10, HOUR).unwrap().is_swapped());
    assert_eq!(typed.put_if_absent_for(1, &11, HOUR).unwrap(), Swap::Found(Some(10)));
    assert!(typed.compare_and_swap_for(1, Some(&10), &12, 2 * HOUR).unwrap().is_swapped());
    let at = UNIX_EPOCH + 500_000 * HOUR + HOUR;
    assert!(typed.put_if_absent_until(2, &20, at).unwrap().is_swapped());
    assert!(typed.compare_and_swap_until(2, Some(&20), &21, None).unwrap().is_swapped());
    assert!(typed.compare_and_swap_until(3, None, &30, at).unwrap().is_swapped());
    clock.advance(HOUR);
    assert_eq!([1, 2, 3].map(|key| typed.get(key).unwrap()), [Some(12), Some(21), None]);

    let plain = store.create_keyspace("plain", KeyspaceSpec::hash()).unwrap();
    plain.put("a", "1").unwrap();
    for refused in [
        plain.put_if_absent_for("b", "1", HOUR),
        plain.put_if_absent_until("b", "1", None),
        plain.compare_and_swap_for("a", Some(b"1"), "2", HOUR),
        plain.compare_and_swap_until("a", Some(b"1"), "2", None),
    ] {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert!(error.to_string().contains("`plain`"), "{error}");
    }
    assert_eq!(text(plain.get("a").unwrap()).as_deref(), Some("1"));
    assert!(!plain.contains("b").unwrap());
}
