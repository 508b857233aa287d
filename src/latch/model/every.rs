//! The two moments on which everything rests, each alone: small enough to try every schedule.

use super::super::DirtySet;
use super::client::Call::{self, Get, Put};
use super::engine::Rows;
use super::reshape::Step::Move;
use super::schedules::explore;
use super::store::{Broken, KEYS, Store};
use shuttle::scheduler::DfsScheduler;
use std::sync::Arc;

/// More than there are.
const SCHEDULES_MAX: usize = 2_000_000;

fn every(run: impl Fn() + Send + Sync + 'static) {
    let count = explore(DfsScheduler::new(Some(SCHEDULES_MAX), false), run);
    println!("{count} schedules");
    assert!((1_000..SCHEDULES_MAX).contains(&count), "{count} schedules");
}

fn begin(store: &Arc<Store>, call: Call) -> shuttle::thread::JoinHandle<()> {
    let store = Arc::clone(store);
    shuttle::thread::spawn(move || store.call(call).expect("no task closes it"))
}

/// A write that is not in the copy is recorded.
#[test]
fn tracking_begins_while_a_key_is_written() {
    every(|| {
        let store = Arc::new(Store::new(Broken::Nothing));
        let dirty = Arc::new(DirtySet::new(1 << 20));
        let writer = begin(&store, Put(b'a'));
        let source = Arc::clone(store.view().route(b'a'));
        store.track(&source.state, &dirty);
        let copy = store.shard(&source).snapshot().rows(source.name);
        writer.join().expect("the writer has no part in the copy");
        assert!(copy.contains_key(&b'a') || dirty.take().len() == 1, "neither copied nor recorded");
    });
}

/// A reader sees one value before, while and after the sources are replaced and dropped.
#[test]
#[ignore = "takes a minute"]
fn partitions_are_handed_over_while_a_key_is_read() {
    every(|| {
        let store = Arc::new(Store::new(Broken::Nothing));
        store.call(Put(b'a')).expect("no task closes it");
        let sides = store.sides(Move(0));
        let (source, target) = (&sides.sources[0], &sides.targets[0]);
        store.copy(source, target, &store.shard(source).snapshot());
        let (view, seals) = (store.view_with(&sides), store.seal(&sides));
        let reader = begin(&store, Get(b'a'));
        store.hand_over(&sides, view, seals);
        store.shard(source).drop_column(source.name);
        reader.join().expect("the reader finds a view");
        store.history.check(&Rows::new(), &KEYS);
    });
}
