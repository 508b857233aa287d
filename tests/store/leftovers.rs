//! Goal: what an error leaves in a shard is known to the next opening, by the intent. Method:
//! single operations on the files of a shard fail (`FAIL-…`), a reshape ends with the error, and
//! the store is opened again.

use crate::basic::{both, small};
use crate::reshape::{elsewhere, fill, rows};
use annulus::planner::{Request, SplitAt};
use annulus::{ErrorKind, Store};
use std::fs;

/// A past bug: a link had brought its files when a sync failed. The target was to be dropped, which failed; the rollback tried the same, found nothing to
/// drop, and removed the intent. The next opening found a partition with rows that it knew nothing
/// of, and refused the store.
#[test]
fn a_target_that_could_not_be_dropped_keeps_its_intent() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let options = small().heat(None);
    let open = || Store::builder(&path).shards(3).options(options.clone()).open().unwrap();
    let store = open();
    let [_, range] = both(&store);
    fill(&store, &range);
    let before = rows(&range);
    let source = range.stats().unwrap()[0].clone();
    let to = elsewhere(source.owner);
    let failing = ["sync-directory-after-arrival", "drop"]
        .map(|operation| path.join(format!("shards/{to}/data/FAIL-{operation}")));
    failing.iter().for_each(|file| fs::write(file, "").unwrap());
    let splitting = Request::Split { partition: source.id, at: SplitAt::Middle, to: Some(to) };
    let error = store.start(&splitting).unwrap().wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    assert!(failing.iter().all(|file| fs::metadata(file).unwrap().len() > 0), "{error}");
    failing.iter().for_each(|file| fs::remove_file(file).unwrap());
    assert_eq!(rows(&range), before);
    drop((range, store));
    let store = open();
    assert_eq!(store.recovery().rolled_back.len(), 1, "{:?}", store.recovery());
    let [_, range] = both(&store);
    assert_eq!(rows(&range), before);
    store.start(&splitting).unwrap().wait().unwrap();
    assert_eq!(rows(&range), before);
    assert!(store.verify().unwrap().is_sound());
}
