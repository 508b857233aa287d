//! Faults that are planted in an index are found by its verification, named, and repaired.

use super::{check, names, words};
use crate::basic::{apart, both, reopen, store};
use annulus::report::{IndexProblem, Problem};

fn test(name: &str) -> String {
    format!("index::planted::{name}")
}

#[test]
fn missing_entries_are_found_and_written() {
    if !apart(&test("missing_entries_are_found_and_written"), &[("ANNULUS_SKIP", "index-take")]) {
        return;
    }
    let (_directory, store) = store();
    for rows in both(&store) {
        rows.put("a", "x y").unwrap();
        let index = rows.index(words()).unwrap();
        // A build does not write as writers do.
        index.build().unwrap();
        check(&index);
        for n in 0..100 {
            rows.put(format!("r{n:03}"), "x lost").unwrap();
        }
        let report = index.verify().unwrap();
        assert_eq!((report.rows, report.entries), (101, 2));
        assert_eq!((report.missing, report.stale, report.problems.len()), (200, 0, 10));
        assert!(!report.is_sound());
        let IndexProblem::Missing { key, .. } = &report.problems[0] else { panic!("{report:?}") };
        assert!(key.starts_with(b"r"));
        let repaired = index.repair().unwrap();
        assert_eq!((repaired.missing, repaired.repaired), (200, 200));
        assert_eq!(index.keys("lost").unwrap().len(), 100);
        check(&index);
        assert_eq!(index.repair().unwrap().repaired, 0);
    }
}

#[test]
fn stale_entries_are_found_and_deleted() {
    if !apart(&test("stale_entries_are_found_and_deleted"), &[("ANNULUS_SKIP", "index-release")]) {
        return;
    }
    let (_directory, store) = store();
    for rows in both(&store) {
        let index = rows.index(words()).unwrap();
        index.build().unwrap();
        for n in 0..20 {
            rows.put(format!("r{n:03}"), "x").unwrap();
        }
        rows.delete_range("r010"..).unwrap();
        rows.put("r000", "y").unwrap();
        let report = index.verify().unwrap();
        assert_eq!((report.missing, report.stale), (0, 11));
        let stale = |problem: &IndexProblem| matches!(problem, IndexProblem::Stale { index_key, .. } if index_key == b"x");
        assert!(report.problems.iter().all(stale), "{report:?}");
        // At a moment, an entry without its row is damage; at the present it may just be gone.
        let snapshot = store.snapshot().unwrap();
        let rows_at = index.at(&snapshot).rows("x"..="x").unwrap();
        let error = rows_at.filter_map(Result::err).next().unwrap();
        assert_eq!(error.kind(), annulus::ErrorKind::Damaged);
        assert_eq!(index.rows("x"..="x").unwrap().map(Result::unwrap).count(), 9);
        let whole = store.verify().unwrap();
        let of_index = |problem: &&Problem| matches!(problem, Problem::Index { index, .. } if index == "words");
        assert_eq!(whole.problems.iter().filter(of_index).count(), 10, "the first of them");
        assert!(whole.problems[0].to_string().starts_with("index `words` of keyspace `"));
        assert_eq!(index.repair().unwrap().repaired, 11);
        check(&index);
        assert!(store.verify().unwrap().is_sound());
        rows.drop_index("words").unwrap();
    }
}

/// Without the function of an index, as in the tool: an entry must still have its row.
#[test]
fn entries_without_rows_are_found_in_an_index_that_is_not_declared() {
    let name = test("entries_without_rows_are_found_in_an_index_that_is_not_declared");
    if !apart(&name, &[("ANNULUS_SKIP", "index-release")]) {
        return;
    }
    let (directory, store) = store();
    for rows in both(&store) {
        rows.index(words()).unwrap().build().unwrap();
        rows.index(names()).unwrap().build().unwrap();
        (0..9).for_each(|n| rows.put(format!("r{n}"), format!("@x{n}")).unwrap());
    }
    assert!(store.verify().unwrap().is_sound());
    both(&store).iter().for_each(|rows| rows.delete("r7").unwrap());
    drop(store);
    let store = reopen(&directory);
    let mut found: Vec<_> =
        store.verify().unwrap().problems.iter().map(ToString::to_string).collect();
    found.sort();
    let problem = |keyspace, index, index_key| {
        format!(
            "index `{index}` of keyspace `{keyspace}`: the index has row `r7` at the index key \
             `{index_key}`, which the row does not have"
        )
    };
    let expected = [
        ("hash", "names", "x7"),
        ("range", "names", "x7"),
        ("hash", "words", "@x7"),
        ("range", "words", "@x7"),
    ];
    assert_eq!(found, expected.map(|(keyspace, index, key)| problem(keyspace, index, key)));
}

/// In a unique index, an entry that is stale keeps others from the index key.
#[test]
fn of_a_unique_index_too() {
    if !apart(&test("of_a_unique_index_too"), &[("ANNULUS_SKIP", "index-release")]) {
        return;
    }
    let (_directory, store) = store();
    let [rows, _] = both(&store);
    let index = rows.index(names()).unwrap();
    index.build().unwrap();
    rows.put("1", "@ada").unwrap();
    rows.put("1", "@bob").unwrap();
    assert!(rows.put("2", "@ada").is_err());
    let report = index.repair().unwrap();
    assert_eq!((report.missing, report.stale, report.repaired), (0, 1, 1));
    rows.put("2", "@ada").unwrap();
    assert_eq!(index.keys("ada").unwrap(), [b"2"]);
    assert!(index.verify().unwrap().is_sound());
}
