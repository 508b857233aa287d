//! Reclaiming while partitions are reshaped.

use super::{HOUR, clock, open};
use crate::basic::small;
use crate::churn::{Churn, Stop, quick_directory, seed};
use annulus::topology::KeyspaceSpec;
use std::sync::atomic::{AtomicBool, Ordering};

/// A past bug: when a reshape had replaced a partition whose turn came, the call failed as if the
/// keyspace had been dropped.
#[test]
fn what_has_expired_is_reclaimed_while_partitions_are_replaced() {
    let (directory, clock) = (quick_directory(), clock());
    let store = open(&directory.path().join("store"), &clock, small());
    let spec = KeyspaceSpec::range().split_at(["b", "c", "d"]).time_to_live(HOUR);
    let rows = store.create_keyspace("rows", spec).unwrap();
    let (stop, seed) = (AtomicBool::new(false), seed());
    std::thread::scope(|scope| {
        let _stop = Stop(&stop);
        scope.spawn(|| Churn::new(seed).run(&store, &stop));
        for round in 0..60 {
            for n in 0..40 {
                let letter = ["a", "b", "c", "d"][n % 4];
                rows.put(format!("{letter}{n}/{round}"), "value").unwrap();
            }
            if round % 3 == 2 {
                clock.advance(HOUR);
            }
            rows.reclaim_expired().unwrap();
        }
        stop.store(true, Ordering::Release);
    });
    clock.advance(HOUR);
    rows.reclaim_expired().unwrap();
    assert_eq!(rows.count_estimated().unwrap(), 0, "all space is back");
}
