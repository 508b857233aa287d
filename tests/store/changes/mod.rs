//! Goal: a reader of changes gets every write once, whole, in the order in which the store made it,
//! whatever reshapes do meanwhile; nothing that is not applied, and by default nothing that a power
//! cut could take. Method: what it returns is compared with the store, and with what writers did.

mod consumers;
#[cfg(feature = "failpoints")]
mod crash;
mod pace;
#[cfg(feature = "failpoints")]
mod retention;
mod under_reshapes;

use crate::basic::{both, quick_store, reopen};
use annulus::changes::{Change, Changes, ChangesFrom, Commit, OldValue, Watched};
use annulus::topology::KeyspaceSpec;
use annulus::{Batch, Durability, ErrorKind, Expect, Keyspace, Store};
use std::collections::BTreeMap;
use std::time::Duration;

/// Longer than any test takes.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Rows of a keyspace, by its number and by key.
pub(crate) type Rows = BTreeMap<(u32, Vec<u8>), Vec<u8>>;

/// Applies a commit to rows.
pub(crate) fn apply(rows: &mut Rows, commit: &Commit) {
    for change in commit.changes() {
        match change {
            Change::Put { keyspace, key, value, .. } => {
                rows.insert((keyspace.0, key.to_vec()), value.to_vec());
            }
            Change::Delete { keyspace, key, .. } => {
                rows.remove(&(keyspace.0, key.to_vec()));
            }
            Change::DeleteRange { keyspace, start, end } => {
                let range = (keyspace.0, start.to_vec())..(keyspace.0, end.to_vec());
                let keys: Vec<_> = rows.range(range).map(|(key, _)| key.clone()).collect();
                keys.iter().for_each(|key| drop(rows.remove(key)));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Returns what keyspaces have.
pub(crate) fn content(keyspaces: &[Keyspace]) -> Rows {
    let mut rows = Rows::new();
    for keyspace in keyspaces {
        for row in keyspace.scan(..).unwrap() {
            let (key, value) = row.unwrap();
            rows.insert((keyspace.id().0, key.to_vec()), value.to_vec());
        }
    }
    rows
}

/// Returns changes in words.
pub(crate) fn words(commit: &Commit) -> Vec<String> {
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let before = |old| match old {
        OldValue::NotLogged => String::new(),
        OldValue::Absent => " (none)".to_owned(),
        OldValue::Value(old) => format!(" ({})", text(old)),
    };
    let word = |change| match change {
        Change::Put { key, value, old, .. } => {
            format!("{}={}{}", text(key), text(value), before(old))
        }
        Change::Delete { key, old, .. } => format!("-{}{}", text(key), before(old)),
        Change::DeleteRange { start, end, .. } => format!("-{}..{}", text(start), text(end)),
        other => panic!("{other:?}"),
    };
    commit.changes().map(word).collect()
}

fn next(changes: &mut Changes) -> Commit {
    changes.next_timeout(LONG).unwrap().expect("a commit")
}

fn next_words(changes: &mut Changes) -> Vec<String> {
    words(&next(changes))
}

#[test]
fn commits_are_returned_whole_in_order_from_where_it_was_asked() {
    let (_directory, store) = quick_store();
    let [hash, range] = both(&store);
    hash.put("before", "1").unwrap();
    let middle = store.log_end();
    hash.put("a", "1").unwrap();
    let mut changes = store.changes().open().unwrap();
    assert!(changes.try_next().unwrap().is_none());
    let begin = changes.watermark();
    let mut batch = Batch::new();
    batch.put(&hash, "a", "2");
    batch.delete(&range, "b");
    batch.delete_range(&range, "c".."e");
    store.write(batch).unwrap();
    assert!(hash.compare_and_swap("a", Some(b"2"), Some(b"3")).unwrap().is_swapped());
    assert!(!hash.compare_and_swap("a", Some(b"2"), Some(b"4")).unwrap().is_swapped());
    let first = next(&mut changes);
    assert_eq!(words(&first), ["a=2", "-b", "-c..e"]);
    let keyspaces: Vec<_> = first.changes().map(|change| change.keyspace()).collect();
    assert_eq!(keyspaces, [hash.id(), range.id(), range.id()]);
    assert!(first.position() >= begin && first.end() > first.position());
    assert_eq!(changes.watermark(), first.end());
    let second = next(&mut changes);
    assert_eq!((words(&second), second.position() >= first.end()), (vec!["a=3".to_owned()], true));
    assert!(second.time() >= first.time());
    assert!(changes.next_timeout(Duration::from_millis(20)).unwrap().is_none());

    let of = |from| {
        let mut changes = store.changes().from(from).open().unwrap();
        std::iter::from_fn(move || changes.try_next().unwrap())
            .flat_map(|commit| words(&commit))
            .collect::<Vec<_>>()
    };
    let all = ["before=1", "a=1", "a=2", "-b", "-c..e", "a=3"];
    assert_eq!(of(ChangesFrom::Earliest), all);
    assert_eq!(of(middle.into()), all[1..]);
    assert_eq!(of(first.end().into()), all[5..]);
    assert_eq!(of(ChangesFrom::Now), [] as [&str; 0]);

    let beyond = annulus::log::Position::new(store.log_end().get() + 8);
    let error = store.changes().from(beyond).open().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    let inside = annulus::log::Position::new(first.position().get() + 8);
    let error = store.changes().from(inside).open().unwrap_err();
    assert!(error.to_string().contains(&inside.to_string()), "{error}");
}

#[test]
fn filters_leave_out_the_rest_and_the_watermark_passes_it() {
    let (_directory, store) = quick_store();
    let [hash, range] = both(&store);
    let mut changes =
        store.changes().prefix(&hash, "x/").keyspace(&range).sync_after(Duration::ZERO).open();
    let changes = changes.as_mut().unwrap();
    let mut batch = Batch::new();
    batch.put(&hash, "x/1", "v");
    batch.put(&hash, "y/1", "v");
    batch.put(&range, "k", "v");
    store.write(batch).unwrap();
    hash.put("x", "v").unwrap();
    hash.delete_range("w".."y").unwrap();
    hash.delete_range("a".."x/").unwrap();
    assert_eq!(next_words(changes), ["x/1=v", "k=v"]);
    assert_eq!(next_words(changes), ["-w..y"]);
    let before = changes.watermark();
    assert!(changes.try_next().unwrap().is_none());
    assert!(changes.watermark() > before, "the rest was seen");
    assert_eq!(changes.bytes_behind(), store.log_end().get() - changes.watermark().get());

    let (_other, elsewhere) = quick_store();
    let [foreign, _] = both(&elsewhere);
    let error = store.changes().keyspace(&foreign).open().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
}

/// Keyspaces that are gone have their numbers, which no later one gets.
#[test]
fn changes_of_dropped_keyspaces_have_their_numbers() {
    let (_directory, store) = quick_store();
    let mut changes = store.changes().open().unwrap();
    let passing = store.create_keyspace("passing", KeyspaceSpec::range()).unwrap();
    passing.put("k", "1").unwrap();
    store.drop_keyspace("passing").unwrap();
    let again = store.create_keyspace("passing", KeyspaceSpec::range()).unwrap();
    again.put("k", "2").unwrap();
    let of = |commit: &Commit| commit.changes().next().unwrap().keyspace();
    assert_eq!(of(&next(&mut changes)), passing.id());
    assert_eq!(of(&next(&mut changes)), again.id());
    assert_ne!(passing.id(), again.id());
}

#[test]
fn old_values_are_logged_where_that_is_set() {
    let (directory, store) = quick_store();
    let [hash, range] = both(&store);
    hash.put("a", "0").unwrap();
    hash.log_old_values(true).unwrap();
    let mut changes = store.changes().open().unwrap();
    hash.put("a", "1").unwrap();
    // Also where the value is in the cache of hot keys.
    (0..3).for_each(|_| drop(hash.get("a").unwrap()));
    hash.put("a", "").unwrap();
    hash.delete("a").unwrap();
    hash.delete("a").unwrap();
    assert!(hash.put_if_absent("a", "2").unwrap().is_swapped());
    assert!(hash.compare_and_swap("a", Some(b"2"), None).unwrap().is_swapped());
    range.put("a", "1").unwrap();
    let expected = ["a=1 (0)", "a= (1)", "-a ()", "-a (none)", "a=2 (none)", "-a (2)", "a=1"];
    for expected in expected {
        assert_eq!(next_words(&mut changes), [expected]);
    }

    ["b", "c", "d"].iter().for_each(|key| hash.put(key, "0").unwrap());
    (0..3).for_each(|_| drop(next(&mut changes)));
    let mut batch = Batch::new();
    batch.put(&hash, "b", "1");
    batch.put(&range, "b", "1");
    batch.delete(&hash, "b");
    batch.delete_range(&hash, "c"..);
    batch.put(&hash, "c", "1");
    batch.put(&hash, "c", "2");
    store.write(batch).unwrap();
    let words = next_words(&mut changes);
    assert_eq!(words[..3], ["b=1 (0)", "b=1", "-b (1)"]);
    assert_eq!(words[4..], ["c=1 (none)", "c=2 (1)"]);
    assert!(words[3].starts_with("-c..d"), "{words:?}");

    // It stays set; and what is replayed is the new value.
    drop((changes, hash, range, store));
    let store = reopen(&directory);
    let [hash, _] = both(&store);
    assert_eq!(hash.get("c").unwrap().as_deref(), Some(&b"2"[..]));
    assert!(hash.get("b").unwrap().is_none() && hash.get("d").unwrap().is_none());
    let mut changes = store.changes().open().unwrap();
    hash.put("c", "3").unwrap();
    assert_eq!(next_words(&mut changes), ["c=3 (2)"]);
    hash.log_old_values(false).unwrap();
    hash.put("c", "4").unwrap();
    assert_eq!(next_words(&mut changes), ["c=4"]);
    drop((changes, hash, store));
    let store = reopen(&directory);
    let [hash, _] = both(&store);
    let mut changes = store.changes().open().unwrap();
    hash.put("c", "5").unwrap();
    assert_eq!(next_words(&mut changes), ["c=5"]);
    let error = {
        store.drop_keyspace("hash").unwrap();
        hash.log_old_values(true).unwrap_err()
    };
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
}

#[test]
fn outcomes_are_returned_with_the_old_values_of_what_was_read() {
    let (_directory, store) = quick_store();
    let [hash, range] = both(&store);
    hash.log_old_values(true).unwrap();
    let mut changes = store.changes().open().unwrap();
    let counter = |n: i64| n.to_le_bytes().escape_ascii().to_string();
    let [one, two, five, nine] = [1, 2, 5, 9].map(counter);

    assert_eq!(hash.add("n", 1).unwrap(), 1);
    assert_eq!(hash.add("n", 1).unwrap(), 2);
    hash.update("u", |old| old.is_none().then_some("new")).unwrap();
    assert!(hash.update("u", |old| old.is_none().then_some("new")).unwrap().is_none());
    let expected = [
        format!("n={one} (none)"),
        format!("n={two} ({one})"),
        "u=new (none)".into(),
        "-u (new)".into(),
    ];
    for expected in expected {
        assert_eq!(next_words(&mut changes), [expected]);
    }

    // What a batch adds to is what its earlier operations have left.
    let mut batch = Batch::new();
    batch.require(&hash, "n", Expect::Present);
    batch.add(&hash, "n", 3);
    batch.add(&hash, "n", 4);
    batch.delete_range(&hash, "n".."o");
    batch.add(&hash, "n", 1);
    batch.put(&hash, "n", "x");
    batch.add(&range, "n", 1);
    assert!(store.write_if(batch).unwrap().is_written());
    let expected = [
        format!("n={five} ({two})"),
        format!("n={nine} ({five})"),
        "-n..o".to_owned(),
        format!("n={one} (none)"),
        format!("n=x ({one})"),
        format!("n={one}"),
    ];
    assert_eq!(next_words(&mut changes), expected);

    // Neither a batch that is not written nor a transaction that meets a conflict is returned.
    let mut batch = Batch::new();
    batch.require(&hash, "n", Expect::Absent);
    batch.delete(&hash, "n");
    assert!(!store.write_if(batch).unwrap().is_written());
    let late = store.begin().unwrap();
    late.get(&hash, "n").unwrap();
    late.put(&hash, "m", "late").unwrap();
    store
        .transact(|tx| {
            tx.put(&hash, "n", "y")?;
            tx.delete(&range, "n")
        })
        .unwrap();
    assert_eq!(late.commit().unwrap_err().kind(), ErrorKind::Conflict);
    hash.put("end", "").unwrap();
    let mut words = next_words(&mut changes);
    words.sort();
    assert_eq!(words, ["-n", "n=y (x)"]);
    assert_eq!(next_words(&mut changes), ["end= (none)"]);
}

#[test]
fn what_is_not_synced_is_not_returned() {
    let (_directory, store) = quick_store();
    let [hash, _] = both(&store);
    let reader = || store.changes().sync_after(LONG);
    let mut synced = reader().open().unwrap();
    let mut buffered = reader().durability(Durability::Buffered).open().unwrap();
    hash.put_with("a", "1", Durability::Buffered).unwrap();
    assert_eq!(words(&buffered.try_next().unwrap().unwrap()), ["a=1"]);
    assert!(synced.try_next().unwrap().is_none());
    assert!(synced.next_timeout(Duration::from_millis(30)).unwrap().is_none());
    // Whichever thread syncs.
    hash.put_with("b", "1", Durability::Synced).unwrap();
    assert_eq!(next_words(&mut synced), ["a=1"]);
    assert_eq!(next_words(&mut synced), ["b=1"]);
    // The reader itself, once it has waited long enough.
    let mut changes = store.changes().sync_after(Duration::ZERO).open().unwrap();
    hash.put_with("c", "1", Durability::Buffered).unwrap();
    assert_eq!(next_words(&mut changes), ["c=1"]);
    assert_eq!(words(&synced.try_next().unwrap().unwrap()), ["c=1"], "it was synced for all");
}

/// A write that was refused, because it could not be synced, is never returned; what was on the disk
/// before is.
#[cfg(feature = "failpoints")]
#[test]
fn a_refused_write_is_not_returned() {
    let (_directory, store) = quick_store();
    let [hash, _] = both(&store);
    let from = store.log_end();
    hash.put_with("a", "1", Durability::Synced).unwrap();
    hash.put_with("b", "1", Durability::Buffered).unwrap();
    std::fs::write(store.path().join("log/FAIL-log-sync"), "").unwrap();
    hash.put_with("c", "1", Durability::Synced).unwrap_err();
    for durability in [Durability::Buffered, Durability::Synced] {
        let mut changes = store.changes().from(from).durability(durability).open().unwrap();
        assert_eq!(next_words(&mut changes), ["a=1"]);
        let error = changes.next_timeout(LONG).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        assert_eq!(changes.next().unwrap().unwrap_err().kind(), ErrorKind::Io);
    }
}

#[test]
fn readers_that_wait_are_woken_and_end_with_the_store() {
    let (_directory, store) = quick_store();
    let [hash, _] = both(&store);
    for durability in [Durability::Buffered, Durability::Synced] {
        let changes = store.changes().durability(durability).open().unwrap();
        let all = std::thread::scope(|scope| {
            let readers: Vec<_> = (0..2)
                .map(|_| {
                    let from = changes.watermark();
                    let changes = store.changes().from(from).durability(durability).open();
                    scope.spawn(move || changes.unwrap().take(200).map(Result::unwrap).count())
                })
                .collect();
            for n in 0..200 {
                hash.put(n.to_string(), "v").unwrap();
                if n % 20 == 0 {
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
            readers.into_iter().map(|reader| reader.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(all, [200, 200]);
    }
    let waiting = store.changes().open().unwrap();
    let mut idle = store.changes().open().unwrap();
    let watch = store.watch(&hash, "").unwrap();
    let reader = std::thread::spawn(move || waiting.map(Result::unwrap).count());
    let watcher = std::thread::spawn(move || watch.map(Result::unwrap).count());
    std::thread::sleep(Duration::from_millis(20));
    hash.put("last", "v").unwrap();
    store.close().unwrap();
    assert_eq!((reader.join().unwrap(), watcher.join().unwrap()), (1, 1));
    assert_eq!(next_words(&mut idle), ["last=v"], "what was written before");
    assert_eq!(idle.try_next().unwrap_err().kind(), ErrorKind::Closed);
    assert!(idle.next().is_none());
    assert_eq!(store.changes().open().unwrap_err().kind(), ErrorKind::Closed);
}

/// No one can write any more, so no one is to wait.
#[test]
fn readers_end_when_the_last_handle_is_dropped() {
    let (directory, store) = quick_store();
    let [hash, range] = both(&store);
    let changes = store.changes().open().unwrap();
    hash.put("k", "v").unwrap();
    let reader = std::thread::spawn(move || changes.map(Result::unwrap).count());
    drop((hash, range, store));
    assert_eq!(reader.join().unwrap(), 1);
    reopen(&directory);
}

#[test]
fn a_watch_says_what_it_has_dropped() {
    let (_directory, store) = quick_store();
    let [hash, _] = both(&store);
    hash.put("a/0", "v").unwrap();
    let mut watch = store.watch_within(&hash, "a/", 4096).unwrap();
    hash.put_with("a/1", "v", Durability::Buffered).unwrap();
    hash.put("b/1", "v").unwrap();
    let Some(Watched::Commit(commit)) = watch.try_next().unwrap() else { panic!("no commit") };
    assert_eq!(words(&commit), ["a/1=v"]);
    assert!(watch.try_next().unwrap().is_none());
    (0..100).for_each(|n| hash.put(format!("a/{n}"), [b'.'; 100]).unwrap());
    let end = store.log_end();
    let dropped = watch.next_timeout(LONG).unwrap();
    let Some(Watched::Dropped { from, until }) = dropped else { panic!("{dropped:?}") };
    assert!(from >= commit.end() && until == end, "{from} {until} {end}");
    assert!(watch.try_next().unwrap().is_none());
    hash.put("a/2", "v").unwrap();
    let Some(Watched::Commit(commit)) = watch.next().transpose().unwrap() else { panic!() };
    assert_eq!(words(&commit), ["a/2=v"]);
}

#[test]
fn a_store_that_is_read_only_has_no_feed() {
    let (directory, store) = quick_store();
    store.close().unwrap();
    let path = directory.path().join("store");
    let read_only = Store::builder(path).read_only(true).open().unwrap();
    assert_eq!(read_only.changes().open().unwrap_err().kind(), ErrorKind::ReadOnly);
    assert!(read_only.consumers().unwrap().is_empty());
}
