//! What the closure of a transaction must not call, since it may be run with all other writes waiting.

use crate::basic::quick_store;
use annulus::changes::ChangesFrom;
use annulus::index::IndexSpec;
use annulus::queue::{Queue, QueueOptions};
use annulus::topology::KeyspaceSpec;
use annulus::{Error, ErrorKind, Result, Store, Transaction, TransactionOptions};
use std::sync::mpsc::channel;
use std::time::Duration;

fn words() -> IndexSpec {
    IndexSpec::new("words", 1, |_key, value| [value.to_vec()])
}

/// Long enough for threads to come to the commit gate. A test that is right does not depend on it.
const A_WHILE: Duration = Duration::from_millis(100);

/// Of all calls, in the first attempt already: what is refused once in a thousand runs is not found.
#[test]
fn what_waits_for_writers_is_refused_in_each_closure() {
    let (_directory, store) = quick_store();
    let rows = store.create_keyspace("rows", KeyspaceSpec::hash()).unwrap();
    let queue = Queue::open(&store, "jobs", QueueOptions::new()).unwrap();
    let index = rows.index(words()).unwrap();
    store.consumer_or_create("there", ChangesFrom::Now).unwrap();
    type Call<'a> = (&'a str, Box<dyn Fn() -> Result<()> + 'a>);
    let of_index = IndexSpec::new("other", 1, |_key, value| [value.to_vec()]);
    let calls: Vec<Call<'_>> = vec![
        ("declare an index", Box::new(|| rows.index(of_index.clone()).map(drop))),
        ("build an index", Box::new(|| index.build())),
        ("build an index", Box::new(|| index.rebuild())),
        ("drop an index", Box::new(|| rows.drop_index("words"))),
        (
            "create a keyspace",
            Box::new(|| store.keyspace_or_create("other", KeyspaceSpec::hash()).map(drop)),
        ),
        ("drop a keyspace", Box::new(|| store.drop_keyspace("rows"))),
        (
            "create a consumer",
            Box::new(|| store.consumer_or_create("other", ChangesFrom::Now).map(drop)),
        ),
        ("delete a consumer", Box::new(|| store.delete_consumer("there"))),
        ("take a job", Box::new(|| queue.take().map(drop))),
        ("close", Box::new(|| store.close())),
    ];
    for (name, call) in &calls {
        let run = |tx: &Transaction| tx.put(&rows, "a", "x").and_then(|()| call());
        let refused = store.transact(run).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{name}: {refused}");
        assert!(refused.to_string().contains(name), "{name}: {refused}");
    }
    assert!(!rows.contains("a").unwrap(), "and nothing was written");
    // What is there is found in a closure, too, and other stores are not concerned.
    let (_other_directory, other) = quick_store();
    store
        .transact(|tx| {
            store.keyspace_or_create("rows", KeyspaceSpec::hash())?;
            store.consumer_or_create("there", ChangesFrom::Now)?;
            queue.push_in(tx, "job")?;
            other.keyspace_or_create("rows", KeyspaceSpec::hash())?;
            other.close()
        })
        .unwrap();
    // Outside all of them are done; the store is closed at last.
    calls.iter().for_each(|(name, call)| call().unwrap_or_else(|error| panic!("{name}: {error}")));
}

/// A past bug: an attempt that had all other writes waiting declared an index, while another thread,
/// which declared one, had the lock for that and waited with the other writes: both waited for ever.
#[test]
fn a_transaction_that_runs_alone_does_not_wait_for_one_who_declares_an_index() {
    let (_directory, store) = quick_store();
    let (done, ended) = channel();
    // Not joined, if they hang.
    std::thread::spawn(move || done.send(declare_at_once(&store)));
    let refused = ended.recv_timeout(Duration::from_secs(60)).expect("they wait for each other");
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{refused}");
}

fn declare_at_once(store: &Store) -> Error {
    let [one, other] =
        ["one", "other"].map(|name| store.create_keyspace(name, KeyspaceSpec::hash()).unwrap());
    let alone = TransactionOptions::new().exclusive_after(0);
    std::thread::scope(|scope| {
        let run = |tx: &Transaction| {
            tx.put(&one, "a", "x")?;
            scope.spawn(|| other.index(words()).unwrap());
            std::thread::sleep(A_WHILE);
            one.index(words()).map(drop)
        };
        store.transact_with(alone, run).unwrap_err()
    })
}

/// Without the refusal, something of it is done.
#[cfg(feature = "failpoints")]
#[test]
fn a_missing_refusal_is_noticed() {
    let test = "running::what_waits_for_writers_is_refused_in_each_closure";
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--test-threads=1"])
        .env("ANNULUS_SKIP", "transaction-refuses")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("1 failed"), "{text}");
}
