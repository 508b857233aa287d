//! The two moments on which everything rests, each alone: small enough to try every schedule.

use super::client::Call::{self, Get, Put};
use super::engine::Rows;
use super::reshape::Step::Move;
use super::schedules::explore;
use super::store::{Broken, KEYS, Store};
use shuttle::scheduler::DfsScheduler;
use std::sync::Arc;

/// More than there are.
const SCHEDULES_MAX: usize = 20_000_000;

fn every(run: impl Fn() + Send + Sync + 'static) {
    let count = explore(DfsScheduler::new(Some(SCHEDULES_MAX), false), run);
    println!("{count} schedules");
    assert!((1_000..SCHEDULES_MAX).contains(&count), "{count} schedules");
}

fn begin(store: &Arc<Store>, call: Call) -> shuttle::thread::JoinHandle<()> {
    let store = Arc::clone(store);
    shuttle::thread::spawn(move || store.call(call).expect("no task closes it"))
}

/// A write that is not in the copy is in the log, from the position that was noted before.
#[test]
fn a_copy_begins_while_a_key_is_written() {
    every(|| {
        let store = Arc::new(Store::new(Broken::Nothing));
        let writer = begin(&store, Put(b'a'));
        let source = Arc::clone(store.view().route(b'a'));
        let mut position = store.log.applied();
        let copy = store.shard(&source).snapshot().rows(source.name);
        writer.join().expect("the writer has no part in the copy");
        let found = copy.contains_key(&b'a') || !store.log.read(&mut position).is_empty();
        assert!(found, "neither copied nor in the log");
    });
}

/// A reader sees one value before, while and after the sources are replaced and dropped.
#[test]
#[ignore = "takes minutes"]
fn partitions_are_handed_over_while_a_key_is_read() {
    every(|| {
        let store = Arc::new(Store::new(Broken::Nothing));
        store.call(Put(b'a')).expect("no task closes it");
        let sides = store.sides(Move(0));
        let (source, target) = (&sides.sources[0], &sides.targets[0]);
        store.copy(source, target, &store.shard(source).snapshot());
        // There is no writer: the source need not be sealed, which would multiply the schedules.
        let (view, seals) = (store.view_with(&sides), Vec::new());
        let reader = begin(&store, Get(b'a'));
        store.hand_over(&sides, view, seals);
        store.shard(source).drop_column(source.name);
        reader.join().expect("the reader finds a view");
        store.history.check(&Rows::new(), &KEYS);
    });
}
