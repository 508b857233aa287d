//! What is under way while an index is declared, emptied, or dropped, alone or with its keyspace.
//!
//! Each protection is also left out, in a process of its own, where the test must fail.

use super::unique::taken;
use super::{check, names, words};
#[cfg(feature = "failpoints")]
use crate::basic::apart;
use crate::basic::{both, quick_store, reopen};
use annulus::index::IndexSpec;
use annulus::topology::KeyspaceSpec;
use annulus::{ErrorKind, Index, Keyspace, Store};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread::sleep;
use std::time::Duration;

/// Long enough for threads to come to the commit gate. A test that is right does not depend on it.
const A_WHILE: Duration = Duration::from_millis(100);

/// More than there are parts of the commit gate, one of which a thread waits at: those who close it do so
/// part by part, so only writers of some of the parts wait.
const WRITERS: i64 = 24;

/// Runs the test of this name without a protection, up to five times: which thread comes first is not
/// decided. Returns true if it has failed.
#[cfg(feature = "failpoints")]
fn fails_without(protection: &str, test: &str) -> bool {
    (0..5).any(|_| !passes_without(protection, test))
}

#[cfg(feature = "failpoints")]
fn passes_without(protection: &str, test: &str) -> bool {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("index::meanwhile::{test}"), "--test-threads=1"])
        .env("ANNULUS_SKIP", protection)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("running 1 test"), "{text}");
    output.status.success()
}

#[cfg(feature = "failpoints")]
#[test]
fn each_protection_is_missed() {
    for (protection, test) in [
        ("index-gone", "a_row_is_changed_in_one_step_while_the_last_index_is_dropped"),
        ("index-again", "a_transaction_that_is_older_than_a_rebuild_is_not_committed"),
        ("index-outlives", "an_index_does_not_outlive_its_keyspace"),
        ("index-strays", "an_index_that_has_outlived_its_keyspace_is_dropped_by_an_opening"),
        ("index-begin", "entries_of_an_earlier_version_are_in_no_ones_way"),
    ] {
        assert!(
            fails_without(protection, test),
            "{protection} is left out, and nothing is noticed"
        );
    }
}

/// Keeps the commit gate from being closed while `start` runs, which starts threads that have to wait:
/// first one that closes the gate, and then those that pass it after that.
fn while_a_write_is_in_progress(store: &Store, start: impl FnOnce()) {
    let other = store.keyspace_or_create("other", KeyspaceSpec::hash()).unwrap();
    let ((began, begun), (end, ended)) = (channel(), channel::<()>());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            other.update("key", |_| {
                began.send(()).unwrap();
                ended.recv().unwrap();
                None::<Vec<u8>>
            })
        });
        begun.recv().unwrap();
        start();
        sleep(A_WHILE);
        end.send(()).unwrap();
    });
}

/// Drops the only index of a keyspace while writers, which have seen it, wait at the commit gate.
fn drop_index_under(rows: &Keyspace, store: &Store, write: impl Fn() + Sync) {
    rows.index(words()).unwrap();
    std::thread::scope(|scope| {
        while_a_write_is_in_progress(store, || {
            scope.spawn(|| rows.drop_index("words").unwrap());
            sleep(A_WHILE);
            (0..WRITERS).for_each(|_| drop(scope.spawn(&write)));
        });
    });
}

/// A past bug: writers that had found an index, and waited while it was dropped, owned nothing when
/// they went on. Of several updates of a row at once all but one were lost, and several `put_if_absent`
/// of one key were made.
#[test]
fn a_row_is_changed_in_one_step_while_the_last_index_is_dropped() {
    let (_directory, store) = quick_store();
    for rows in both(&store) {
        let one_more = |old: Option<&[u8]>| {
            let number = old.map_or(0, |old| i64::from_le_bytes(old.try_into().unwrap()));
            (number + 1).to_le_bytes()
        };
        let swap = || {
            let old = rows.get("swapped").unwrap();
            let new = one_more(old.as_deref());
            let swap = rows.compare_and_swap("swapped", old.as_deref(), Some(&new));
            swap.unwrap().is_swapped()
        };
        drop_index_under(&rows, &store, || {
            let updated = rows.update("updated", |old| {
                sleep(Duration::from_millis(10));
                Some(one_more(old))
            });
            updated.unwrap();
        });
        assert_eq!(rows.add("updated", 0).unwrap(), WRITERS);
        drop_index_under(&rows, &store, || {
            rows.add("added", 1).unwrap();
            while !swap() {}
            for n in 0..100 {
                let key = format!("absent {n}");
                if rows.put_if_absent(key, "").unwrap().is_swapped() {
                    rows.add("put if absent", 1).unwrap();
                }
            }
        });
        assert_eq!(rows.add("added", 0).unwrap(), WRITERS);
        assert_eq!(rows.add("swapped", 0).unwrap(), WRITERS);
        assert_eq!(rows.add("put if absent", 0).unwrap(), 100);
    }
}

/// A unique index by what follows an `@`, whose function panics for the row `trap` while the trap is set.
fn names_with_a_trap(rows: &Keyspace) -> (Index, Arc<AtomicBool>) {
    let trap = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&trap);
    let spec = IndexSpec::new("names", 1, move |key, value| {
        assert!(key != b"trap" || !set.load(Ordering::SeqCst), "the trap");
        value.strip_prefix(b"@").map(<[u8]>::to_vec)
    });
    (rows.index(spec.unique()).unwrap(), trap)
}

/// A past bug: a transaction that had deleted a row, and with it the row's entry in a unique index that
/// was complete, was committed after the index was emptied to be built again. By then another row could
/// have taken the entry, and lost it.
#[test]
fn a_transaction_that_is_older_than_a_rebuild_is_not_committed() {
    let (_directory, store) = quick_store();
    for rows in both(&store) {
        let (index, trap) = names_with_a_trap(&rows);
        index.build().unwrap();
        rows.put("trap", "no name").unwrap();
        rows.put("1", "@ada").unwrap();
        let transaction = store.begin().unwrap();
        transaction.delete(&rows, "1").unwrap();
        let late = store.begin().unwrap();
        // It is emptied, and the build ends before it has added anything.
        trap.store(true, Ordering::SeqCst);
        catch_unwind(AssertUnwindSafe(|| index.rebuild())).unwrap_err();
        trap.store(false, Ordering::SeqCst);
        rows.put("2", "@ada").unwrap();
        assert_eq!(transaction.commit().unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(late.delete(&rows, "1").unwrap_err().kind(), ErrorKind::Conflict);
        store.transact(|tx| tx.delete(&rows, "1")).unwrap();
        index.build().unwrap();
        assert_eq!(index.keys("ada").unwrap(), [b"2"]);
        assert!(index.verify().unwrap().is_sound());
    }
}

/// A past bug: an index that was declared while its keyspace was being dropped stayed as a keyspace of
/// the store's own, hidden and for ever.
#[test]
fn an_index_does_not_outlive_its_keyspace() {
    let (_directory, store) = quick_store();
    store.create_keyspace("other", KeyspaceSpec::hash()).unwrap();
    let rows = store.create_keyspace("rows", KeyspaceSpec::hash()).unwrap();
    rows.index(words()).unwrap();
    std::thread::scope(|scope| {
        while_a_write_is_in_progress(&store, || {
            // It waits where it is about to empty the first index.
            scope.spawn(|| store.drop_keyspace("rows").unwrap());
            sleep(A_WHILE);
            scope.spawn(|| {
                let refused = rows.index(names()).unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::Closed, "{refused}");
            });
        });
    });
    let topology = store.topology();
    let left: Vec<_> = topology.keyspaces().map(|keyspace| keyspace.name().to_owned()).collect();
    assert_eq!(left, ["other"]);
    assert_eq!(rows.put("a", "x").unwrap_err().kind(), ErrorKind::Closed);
}

/// A past bug: an index that had outlived its keyspace, as above, stayed after that was mended.
#[cfg(feature = "failpoints")]
#[test]
fn an_index_that_has_outlived_its_keyspace_is_dropped_by_an_opening() {
    let name = "an_index_that_has_outlived_its_keyspace_is_dropped_by_an_opening";
    let skipped = std::env::var("ANNULUS_SKIP").unwrap_or_default();
    let skipped = format!("index-outlives,{skipped}");
    if !apart(&format!("index::meanwhile::{name}"), &[("ANNULUS_SKIP", &skipped)]) {
        return;
    }
    let (directory, store) = quick_store();
    store.create_keyspace("other", KeyspaceSpec::hash()).unwrap();
    let names_of = |store: &Store| {
        let topology = store.topology();
        let names = topology.keyspaces().map(|keyspace| keyspace.name().to_owned());
        names.collect::<Vec<_>>()
    };
    let mut number = None;
    // Which of the threads comes first is not decided.
    for _ in 0..20 {
        let rows = store.create_keyspace("rows", KeyspaceSpec::hash()).unwrap();
        rows.index(words()).unwrap();
        std::thread::scope(|scope| {
            while_a_write_is_in_progress(&store, || {
                scope.spawn(|| store.drop_keyspace("rows").unwrap());
                sleep(A_WHILE);
                scope.spawn(|| rows.index(names()).map(drop));
            });
        });
        number = Some(rows.id());
        if names_of(&store).len() > 1 {
            break;
        }
    }
    assert!(names_of(&store)[1].starts_with("annulus/index/"), "{:?}", names_of(&store));
    drop(store);
    let store = reopen(&directory);
    assert_eq!(names_of(&store), ["other"]);
    let number = number.unwrap();
    let orphans: Vec<_> = store.recovery().orphans.iter().map(ToString::to_string).collect();
    let text = format!("index `names` of keyspace {number}, which had been dropped");
    assert_eq!(orphans, [text]);
    drop(store);
    let store = reopen(&directory);
    assert!(store.recovery().orphans.is_empty() && store.verify().unwrap().is_sound());
}

/// A past bug: a build was refused until all other indexes of the keyspace were declared, although it
/// writes no row.
#[test]
fn an_index_is_built_while_another_one_is_not_declared() {
    let (directory, store) = quick_store();
    for rows in both(&store) {
        rows.put("a", "@x y").unwrap();
        rows.index(words()).unwrap();
        rows.index(names()).unwrap().build().unwrap();
    }
    drop(store);
    let store = reopen(&directory);
    for rows in both(&store) {
        let index = rows.index(words()).unwrap();
        index.build().unwrap();
        assert_eq!(index.keys("y").unwrap(), [b"a"]);
        assert!(index.repair().unwrap().is_sound());
        index.rebuild().unwrap();
        let refused = rows.put("b", "x").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
        assert!(refused.to_string().contains("`names`"), "{refused}");
        assert!(rows.index(names()).unwrap().is_ready());
        rows.put("b", "x").unwrap();
        check(&index);
    }
}

/// A past bug: a transaction that was begun before another version of a unique index was declared
/// compared with the entries of the earlier one, and refused a row for good that no other row excludes:
/// with `AlreadyExists`, which [`Store::transact`] returns, and not with `Conflict`.
#[test]
fn entries_of_an_earlier_version_are_in_no_ones_way() {
    let (_directory, store) = quick_store();
    for rows in both(&store) {
        rows.index(names()).unwrap().build().unwrap();
        rows.put("1", "@ada").unwrap();
        let (earlier, mut attempts) = (store.begin().unwrap(), 0);
        let whole = || IndexSpec::new("names", 2, |_key, value| [value.to_vec()]).unique();
        rows.index(whole()).unwrap().build().unwrap();
        assert_eq!(earlier.put(&rows, "2", "ada").unwrap_err().kind(), ErrorKind::Conflict);
        drop(earlier);
        rows.index(names()).unwrap().build().unwrap();
        store
            .transact(|tx| {
                attempts += 1;
                std::thread::scope(|scope| {
                    if attempts == 1 {
                        scope.spawn(|| rows.index(whole()).unwrap().build().unwrap());
                    }
                });
                tx.put(&rows, "2", "ada")
            })
            .unwrap();
        assert_eq!(attempts, 2);
        taken(&store.transact(|tx| tx.put(&rows, "3", "ada")).unwrap_err());
        assert!(rows.index(whole()).unwrap().verify().unwrap().is_sound());
    }
}
