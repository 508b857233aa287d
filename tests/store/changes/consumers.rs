//! Consumers: their positions are stored, travel with reshapes, and are committed with the work.

use super::{LONG, Rows, apply, content, words};
use crate::basic::{both, quick_store, reopen};
use annulus::changes::{Change, ChangesFrom};
use annulus::log::Position;
use annulus::topology::KeyspaceSpec;
use annulus::{Batch, Consumer, ErrorKind, Keyspace, Store, Transaction};
use std::ops::Range;
use std::time::Duration;

/// Returns what a consumer gets, from where it has committed to the end.
fn rest(consumer: &Consumer) -> Vec<String> {
    let mut changes = consumer.changes().unwrap().open().unwrap();
    std::iter::from_fn(|| changes.next_timeout(Duration::from_millis(50)).unwrap())
        .flat_map(|commit| words(&commit))
        .collect()
}

#[test]
fn a_consumer_goes_on_where_it_has_committed() {
    let (directory, store) = quick_store();
    let [hash, _] = both(&store);
    assert_eq!(store.consumer("mail").unwrap_err().kind(), ErrorKind::NotFound);
    hash.put("a", "1").unwrap();
    let mail = store.consumer_or_create("mail", ChangesFrom::Now).unwrap();
    let index = store.consumer_or_create("index", ChangesFrom::Earliest).unwrap();
    ["b", "c"].iter().for_each(|key| hash.put(key, "1").unwrap());
    let mut changes = mail.changes().unwrap().open().unwrap();
    let commit = changes.next_timeout(LONG).unwrap().unwrap();
    assert_eq!(words(&commit), ["b=1"]);
    mail.commit(commit.end()).unwrap();
    assert_eq!(rest(&mail), ["c=1"], "and nothing of its own");
    assert_eq!(rest(&index), ["a=1", "b=1", "c=1"]);
    assert_eq!(store.consumer("mail").unwrap().position().unwrap(), commit.end());
    let again = store.consumer_or_create("mail", ChangesFrom::Earliest).unwrap();
    assert_eq!(again.position().unwrap(), commit.end(), "it is there");
    let before = index.position().unwrap();
    assert_eq!(mail.commit(before).unwrap_err().kind(), ErrorKind::InvalidArgument);

    let list = store.consumers().unwrap();
    let names: Vec<_> = list.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["index", "mail"]);
    assert!(list[0].bytes_behind > list[1].bytes_behind && list[1].position == commit.end());
    drop((changes, mail, again, index, hash, store));

    let store = reopen(&directory);
    assert_eq!(rest(&store.consumer("mail").unwrap()), ["c=1"]);
    let index = store.consumer("index").unwrap();
    store.delete_consumer("index").unwrap();
    assert_eq!(index.position().unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(index.commit(commit.end()).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(store.delete_consumer("index").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(store.consumers().unwrap().len(), 1);
    let error = store.consumer_or_create("", ChangesFrom::Now).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    assert!(store.consumer_or_create("a\nb", ChangesFrom::Now).is_err());
    assert!(store.verify().unwrap().is_sound());
}

/// If a commit of a position moved the watermark, two consumers without work would commit for ever.
#[test]
fn consumers_without_work_write_nothing() {
    let (_directory, store) = quick_store();
    let [hash, _] = both(&store);
    let consumers =
        ["a", "b"].map(|name| store.consumer_or_create(name, ChangesFrom::Now).unwrap());
    hash.put("k", "v").unwrap();
    let mut feeds = consumers.each_ref().map(|it| it.changes().unwrap().open().unwrap());
    let mut ends = Vec::new();
    for _ in 0..6 {
        for (consumer, changes) in consumers.iter().zip(&mut feeds) {
            while changes.next_timeout(Duration::from_millis(30)).unwrap().is_some() {}
            consumer.commit(changes.watermark()).unwrap();
        }
        store.sync().unwrap();
        ends.push(store.log_end());
    }
    assert!(ends[2..].iter().all(|end| *end == ends[2]), "{ends:?}");
}

#[test]
fn the_keyspace_of_consumers_is_the_stores_own() {
    let (_directory, store) = quick_store();
    let keyspaces = both(&store);
    store.consumer_or_create("c", ChangesFrom::Now).unwrap();
    let names = store.keyspaces().iter().map(|it| it.name().to_owned()).collect::<Vec<_>>();
    assert_eq!(names, keyspaces.each_ref().map(|it| it.name().to_owned()));
    let spec = KeyspaceSpec::range();
    for refused in [
        store.create_keyspace("annulus/x", spec.clone()).map(drop),
        store.keyspace_or_create("annulus/consumers", spec).map(drop),
        store.keyspace("annulus/consumers").map(drop),
        store.drop_keyspace("annulus/consumers"),
    ] {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    }
    let stats = store.stats().unwrap();
    assert!(stats.keyspaces.iter().any(|it| it.name == "annulus/consumers"), "its bytes count");
}

/// Moves the consumers' partition on, and removes the shard that it was on.
fn move_positions(store: &Store) {
    let topology = store.topology();
    let own = topology.keyspace_named("annulus/consumers").unwrap();
    let partition = own.partition(0).unwrap();
    let to = topology.shards().map(|shard| shard.id).find(|shard| *shard != partition.owner);
    store.move_partition(partition.id, to.unwrap()).unwrap().wait().unwrap();
    store.remove_shard(partition.owner).unwrap().wait().unwrap();
}

#[test]
fn positions_travel_with_reshapes() {
    let (directory, store) = quick_store();
    let [hash, _] = both(&store);
    let consumer = store.consumer_or_create("c", ChangesFrom::Now).unwrap();
    hash.put("a", "1").unwrap();
    consumer.commit(store.log_end()).unwrap();
    move_positions(&store);
    hash.put("b", "1").unwrap();
    assert_eq!(rest(&consumer), ["b=1"]);
    consumer.commit(store.log_end()).unwrap();
    hash.put("c", "1").unwrap();
    drop((consumer, hash, store));
    let store = reopen(&directory);
    move_positions(&store);
    assert_eq!(rest(&store.consumer("c").unwrap()), ["c=1"]);
}

/// A keyspace that is derived from another one, with the position in the same batch.
#[test]
fn a_position_is_committed_with_the_work_or_not_at_all() {
    let (_directory, store) = quick_store();
    let [hash, range] = both(&store);
    let consumer = store.consumer_or_create("copy", ChangesFrom::Now).unwrap();
    for n in 0..50 {
        hash.put(format!("{}", n % 7), n.to_string()).unwrap();
    }
    hash.delete("3").unwrap();
    for _ in 0..51 {
        // Each time as if it had just been started.
        let mut changes = consumer.changes().unwrap().keyspace(&hash).open().unwrap();
        let commit = changes.next_timeout(LONG).unwrap().unwrap();
        let mut batch = Batch::new();
        for change in commit.changes() {
            match change {
                Change::Put { key, value, .. } => batch.put(&range, key, value),
                other => batch.delete(&range, other.key()),
            }
        }
        consumer.commit_in(&mut batch, commit.end());
        store.write(batch).unwrap();
    }
    let of = |keyspace: &Keyspace| {
        content(std::slice::from_ref(keyspace)).into_iter().map(|((_, key), value)| (key, value))
    };
    assert!(of(&hash).eq(of(&range)));
    let mut all = Rows::new();
    let changes = store.changes().from(ChangesFrom::Earliest).keyspace(&range).open().unwrap();
    let mut changes = changes;
    while let Some(commit) = changes.next_timeout(Duration::from_millis(50)).unwrap() {
        apply(&mut all, &commit);
    }
    assert!(all == content(std::slice::from_ref(&range)));
}

/// Transactions of two readers that have come to the same commit, and of one that begins again.
#[test]
fn a_position_is_committed_within_a_transaction_once() {
    let (_directory, store) = quick_store();
    let [hash, range] = both(&store);
    let consumer = store.consumer_or_create("sum", ChangesFrom::Now).unwrap();
    let begin = consumer.position().unwrap();
    hash.put("a", "1").unwrap();
    let mut changes = consumer.changes().unwrap().keyspace(&hash).open().unwrap();
    let from = changes.watermark();
    let commit = changes.next_timeout(LONG).unwrap().unwrap();
    let count = |tx: &Transaction| {
        tx.add(&range, "count", 1)?;
        consumer.commit_within(tx, from..commit.end())
    };
    let aborted = store.transact(|tx| count(tx).and(Err::<(), _>(tx.abort("not yet"))));
    assert_eq!(aborted.unwrap_err().kind(), ErrorKind::Aborted);
    assert_eq!((consumer.position().unwrap(), range.contains("count").unwrap()), (begin, false));

    // They have written nothing in common but the position.
    let (one, other) = (store.begin().unwrap(), store.begin().unwrap());
    count(&one).unwrap();
    other.put(&range, "other", "").unwrap();
    consumer.commit_within(&other, from..commit.end()).unwrap();
    one.commit().unwrap();
    assert_eq!(other.commit().unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(consumer.position().unwrap(), commit.end());
    let again = store.transact(count).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Gone, "{again}");
    assert!(!again.is_retryable());
    assert_eq!(range.add("count", 0).unwrap(), 1);
    assert!(!range.contains("other").unwrap());

    let beyond = Position::new(store.log_end().get() + 1_000_000);
    let from = commit.end();
    for wrong in [from..beyond, from..from, from..begin] {
        let refused = store.transact(|tx| consumer.commit_within(tx, wrong.clone())).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{refused}");
    }
    store.delete_consumer("sum").unwrap();
    hash.put("b", "1").unwrap();
    let end = store.log_end();
    let refused = store.transact(|tx| consumer.commit_within(tx, from..end)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound, "{refused}");
}

/// A past bug: of two readers of one consumer, the second was refused only if it had come no further than
/// the first. One that had done the work of two commits in a transaction, of which the other reader had
/// committed the first, wrote that one's work a second time.
#[test]
fn a_reader_that_was_overtaken_writes_nothing() {
    let (_directory, store) = quick_store();
    let [hash, range] = both(&store);
    let consumer = store.consumer_or_create("sum", ChangesFrom::Now).unwrap();
    ["a", "b"].iter().for_each(|key| hash.put(key, "1").unwrap());
    let mut changes = consumer.changes().unwrap().keyspace(&hash).open().unwrap();
    let from = changes.watermark();
    let [one, two] = [(); 2].map(|()| changes.next_timeout(LONG).unwrap().unwrap().end());
    let count = |part: Range<Position>, commits: i64| {
        store.transact(|tx| {
            tx.add(&range, "count", commits)?;
            consumer.commit_within(tx, part.clone())
        })
    };
    count(from..one, 1).unwrap();
    assert_eq!(count(from..two, 2).unwrap_err().kind(), ErrorKind::Gone);
    let mut batch = Batch::new();
    batch.add(&range, "count", 2);
    consumer.require_in(&mut batch, from);
    consumer.commit_in(&mut batch, two);
    assert!(!store.write_if(batch).unwrap().is_written());
    assert_eq!((consumer.position().unwrap(), range.add("count", 0).unwrap()), (one, 1));
    // Nor one that has passed over something.
    hash.put("c", "1").unwrap();
    assert_eq!(count(two..store.log_end(), 1).unwrap_err().kind(), ErrorKind::Gone);
    count(one..two, 1).unwrap();
    assert_eq!(range.add("count", 0).unwrap(), 2);
}

/// Takes up to three commits and counts them; once by a transaction, and once by a batch. Returns how
/// often another reader was sooner.
fn count_what_is_left(store: &Store, consumer: &Consumer, rows: [&Keyspace; 2], seed: u64) -> u32 {
    let (mut random, mut overtaken) = (fastrand::Rng::with_seed(seed), 0);
    let [hash, range] = rows;
    loop {
        let mut changes = consumer.changes().unwrap().keyspace(hash).open().unwrap();
        let (from, mut end, mut commits) = (changes.watermark(), None, 0);
        for _ in 0..random.usize(1..4) {
            let Some(commit) = changes.next_timeout(Duration::from_millis(30)).unwrap() else {
                break;
            };
            end = Some(commit.end());
            commits += 1;
        }
        let Some(end) = end else { return overtaken };
        let is_written = if random.bool() {
            let counted = store.transact(|tx| {
                tx.add(range, "count", commits)?;
                consumer.commit_within(tx, from..end)
            });
            counted.map_err(|error| assert_eq!(error.kind(), ErrorKind::Gone, "{error:#}")).is_ok()
        } else {
            let mut batch = Batch::new();
            batch.add(range, "count", commits);
            consumer.require_in(&mut batch, from);
            consumer.commit_in(&mut batch, end);
            store.write_if(batch).unwrap().is_written()
        };
        overtaken += u32::from(!is_written);
    }
}

/// Any number of readers of one consumer, each with transactions and batches over several commits.
#[test]
fn readers_of_one_consumer_count_each_commit_once() {
    let (_directory, store) = quick_store();
    let [hash, range] = both(&store);
    let consumer = store.consumer_or_create("sum", ChangesFrom::Now).unwrap();
    for n in 0..600 {
        hash.put(format!("{n}"), "").unwrap();
    }
    let overtaken: u32 = std::thread::scope(|scope| {
        let read = |seed| {
            let (store, consumer, rows) = (&store, &consumer, [&hash, &range]);
            scope.spawn(move || count_what_is_left(store, consumer, rows, seed))
        };
        let readers: Vec<_> = (0..3).map(read).collect();
        readers.into_iter().map(|reader| reader.join().unwrap()).sum()
    });
    assert!(overtaken > 0, "they were never at the same commits");
    assert_eq!(range.add("count", 0).unwrap(), 600);
}

/// Without the comparison with the position that is there, commits count twice.
#[cfg(feature = "failpoints")]
#[test]
fn a_missing_comparison_of_positions_is_noticed() {
    for test in [
        "a_position_is_committed_within_a_transaction_once",
        "a_reader_that_was_overtaken_writes_nothing",
        "readers_of_one_consumer_count_each_commit_once",
    ] {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("changes::consumers::{test}"), "--nocapture"])
            .arg("--test-threads=1")
            .env("ANNULUS_SKIP", "consumer-within")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("1 failed"), "{test}: {text}");
    }
}
