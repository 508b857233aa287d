//! The rules one by one: each is broken, and the explorer must find out.

use super::Scenario;
use super::client::Call::{Add, Batch, BringUp, Get, Put, PutInVain, Snapshot, Transact};
use super::reshape::Step::{Merge, Move};
use super::schedules::explore;
use super::store::Broken;
use shuttle::scheduler::PctScheduler;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The rarest failures appeared about once in 500 schedules, of three changes or of five.
const ROUNDS: u64 = 20;
const SCHEDULES: usize = 1_000;

/// Breaks a rule, and expects a failure whose message contains one of `told`. The schedules are the
/// same every time, so that passing does not depend on chance.
#[track_caller]
fn caught(scenario: Scenario, broken: Broken, told: &[&str]) {
    let scenario = scenario.broken(broken);
    let found = catch_unwind(AssertUnwindSafe(|| {
        for seed in 0..ROUNDS {
            for changes in [3, 5] {
                let scheduler = PctScheduler::new_from_seed(seed, changes, SCHEDULES);
                explore(scheduler, move || scenario.run());
            }
        }
    }));
    let failure = found.expect_err("the explorer found nothing wrong with it");
    let text = failure.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| failure.downcast_ref::<&str>().copied()).unwrap_or_default();
    assert!(told.iter().any(|told| text.contains(told)), "it failed in another way: {text}");
}

/// No order explains the history of a key.
const ORDER: &str = "is not linearizable";
const COPY: &str = "the copy differs";
const LOG: &str = "the log differs";
const READ: &str = "what the log does not have";

/// Two writers of a key, whose partition moves.
const WRITERS: Scenario =
    Scenario::new(&[&[Put(b'a'), Get(b'a')], &[Put(b'a'), Get(b'a')]], &[&[Move(0)]]);

#[test]
fn a_reader_asks_after_its_read() {
    caught(WRITERS, Broken::CheckBeforeRead, &[ORDER]);
}

#[test]
fn a_writer_asks_under_its_stripe() {
    caught(WRITERS, Broken::CheckBeforeStripe, &[ORDER, LOG]);
}

#[test]
fn writers_of_a_key_exclude_each_other() {
    caught(WRITERS, Broken::StripeOfWriter, &[LOG, COPY]);
}

#[test]
fn a_writer_appends_before_it_applies() {
    caught(WRITERS, Broken::ApplyBeforeAppend, &[READ]);
}

#[test]
fn a_record_is_in_flight_until_it_is_applied() {
    caught(WRITERS, Broken::LandBeforeApply, &[COPY]);
}

#[test]
fn a_writer_owns_its_stripe_until_all_is_done() {
    caught(WRITERS, Broken::AppendAfterRelease, &[READ, LOG, COPY]);
    caught(WRITERS, Broken::ApplyAfterRelease, &[LOG, COPY, ORDER]);
}

#[test]
fn a_read_and_a_write_that_are_one_step_own_their_stripe() {
    let additions = Scenario::new(&[&[Add(b'a')], &[Add(b'a')]], &[&[Move(0)]]);
    caught(additions, Broken::AddReadsEarly, &[ORDER]);
}

/// A seal may wait for a stripe that the writer owns already.
#[test]
fn a_writer_that_owns_a_stripe_does_not_wait_for_the_turn_of_a_seal() {
    let batch = Scenario::new(&[&[Batch(b'p', b'q')]], &[&[Move(1)]]);
    caught(batch, Broken::LookBetweenStripes, &["deadlock"]);
}

#[test]
fn a_snapshot_closes_the_gate() {
    let batch = Scenario::new(&[&[Batch(b'b', b'q')], &[Snapshot]], &[]);
    caught(batch, Broken::SnapshotWithoutGate, &["no order explains"]);
}

#[test]
fn a_snapshot_takes_views_before_cuts() {
    let snapshot = Scenario::new(&[&[Put(b'a'), Snapshot]], &[&[Move(0)]]);
    caught(snapshot, Broken::CutsBeforeViews, &[ORDER]);
}

/// Two transactions, each of which reads what the other writes.
const SKEW: Scenario =
    Scenario::new(&[&[Transact(b'a', b'p')], &[Transact(b'p', b'a'), Put(b'g')]], &[&[Move(0)]]);

#[test]
fn a_transaction_notes_its_position_while_the_gate_is_closed() {
    caught(SKEW, Broken::PositionAfterGate, &["no order explains"]);
}

#[test]
fn a_transaction_compares_and_appends_in_one_step() {
    caught(SKEW, Broken::CompareBeforeAppend, &["no order explains"]);
}

#[test]
fn a_reshape_notes_its_position_before_it_copies() {
    caught(WRITERS, Broken::PinAfterCuts, &[COPY]);
}

#[test]
fn a_reshape_begins_below_what_is_in_flight() {
    caught(WRITERS, Broken::PinAtEnd, &[COPY]);
}

#[test]
fn a_comparison_cuts_under_the_seal() {
    caught(WRITERS, Broken::CompareUnsealed, &[COPY]);
}

/// Several latches are taken in the order of the partitions' names; where partitions were split,
/// that is not the order of their keys.
#[test]
fn a_merge_seals_in_the_order_in_which_batches_take_latches() {
    let batch = Scenario::new(&[&[Batch(b'b', b'q')]], &[&[Merge(0)]]);
    caught(batch, Broken::SealInKeyOrder, &["deadlock"]);
}

#[test]
fn a_reshape_reads_the_end_of_the_log_under_the_seal() {
    caught(WRITERS, Broken::LastReadBeforeSeal, &[ORDER, LOG]);
}

#[test]
fn targets_are_sealed_until_the_sources_are_superseded() {
    let told = &["while a source was current"];
    caught(WRITERS, Broken::TargetsNotSealed, told);
    caught(WRITERS, Broken::SupersedeAfterTargets, told);
}

#[test]
fn whoever_finds_a_source_superseded_finds_another_view() {
    caught(WRITERS, Broken::SupersedeBeforePublish, &["no other view"]);
}

#[test]
fn sources_are_sealed_until_they_are_superseded() {
    caught(WRITERS, Broken::SupersedeAfterSeal, &[ORDER, LOG]);
}

/// A writer of another key of the partition, with another stripe, may have found it current before,
/// and apply after a later write of that key, which the new state of the partition lets in.
#[test]
fn a_partition_is_brought_up_when_the_writers_have_ended() {
    let keys = Scenario::new(&[&[PutInVain(b'p'), BringUp(b'p'), Put(b'q')], &[Put(b'q')]], &[]);
    caught(keys, Broken::BringUpWithoutDrain, &[LOG, ORDER]);
}

#[test]
fn a_reshape_of_what_has_fallen_behind_ends() {
    let moves = Scenario::new(&[&[PutInVain(b'a'), BringUp(b'a'), Put(b'a')]], &[&[Move(0)]]);
    let told = &[COPY, LOG, ORDER, "no other task reshapes it"];
    caught(moves, Broken::ReshapeBehind, told);
}

#[test]
fn a_close_waits_for_the_writers() {
    caught(WRITERS.closed(), Broken::CloseWithoutSeal, &["after it was closed"]);
}
