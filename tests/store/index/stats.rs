//! Statistics say what an index occupies, and how far it is.

use super::words;
use crate::basic::{both, reopen, store};
use annulus::Store;
use annulus::index::IndexSpec;
use annulus::report::IndexState;

#[test]
fn statistics_say_what_it_occupies_and_how_far_it_is() {
    let (directory, store) = store();
    let of = |store: &Store| {
        let stats = store.stats().unwrap();
        let mut keyspaces = stats.keyspaces.into_iter();
        keyspaces.find(|keyspace| keyspace.name == "hash").unwrap().indexes
    };
    let [rows, _] = both(&store);
    assert!(of(&store).is_empty());
    (0..100).for_each(|n| rows.put(format!("{n:02}"), "@one two").unwrap());
    let index = rows.index(words()).unwrap();
    let stats = &of(&store)[0];
    assert_eq!(
        (&*stats.name, stats.state, stats.declared),
        ("words", IndexState::Incomplete, true)
    );
    assert_eq!((stats.version, stats.unique, stats.rows_passed), (Some(1), Some(false), 0));
    index.build().unwrap();
    rows.index(IndexSpec::new("keys", 7, |key, _| [key.to_vec()]).unique()).unwrap();
    store.flush().unwrap();
    let [words_stats, keys] = &of(&store)[..] else { panic!("two") };
    assert_eq!((words_stats.state, words_stats.rows_passed), (IndexState::Complete, 100));
    assert_eq!(words_stats.entries_estimated, 200);
    assert!(words_stats.bytes_on_disk > 0);
    assert_eq!(
        (keys.state, keys.version, keys.unique),
        (IndexState::Incomplete, Some(7), Some(true))
    );
    drop((rows, index, store));
    // What is known without the functions.
    let store = reopen(&directory);
    let [words_stats, keys] = &of(&store)[..] else { panic!("two") };
    let known = (words_stats.state, words_stats.version, words_stats.unique, words_stats.declared);
    assert_eq!(known, (IndexState::Complete, Some(1), Some(false), false));
    assert_eq!((keys.state, keys.version, keys.unique), (IndexState::Incomplete, None, None));
}
