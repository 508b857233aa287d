//! What the tracker is made of: Space-Saving's guarantees, and those of its two windows, against
//! exact counts; rates against their formula.
#![expect(clippy::indexing_slicing, reason = "a test that fails panics")]

use super::rates::{Amounts, Rates, Windows};
use super::space_saving::SpaceSaving;
use super::top_keys::TopKeys;
use proptest::prelude::*;
use std::collections::HashMap;
use std::time::Duration;

/// Slightly more than the rounding of sums.
const ROUNDING: f64 = 1e-6;

type Exact = HashMap<Vec<u8>, f64>;

/// Keys of which some are frequent, with weights.
fn stream() -> impl Strategy<Value = Vec<(Vec<u8>, f64)>> {
    let key = prop_oneof![2 => 0..6_u16, 1 => 0..60_u16, 1 => any::<u16>()];
    let key = key.prop_map(|n| n.to_be_bytes().to_vec());
    prop::collection::vec((key, prop_oneof![Just(1.0), 0.5..50.0]), 0..600)
}

fn exact(stream: &[(Vec<u8>, f64)]) -> Exact {
    let mut exact = Exact::new();
    for (key, weight) in stream {
        *exact.entry(key.clone()).or_default() += weight;
    }
    exact
}

proptest! {
    #[test]
    fn space_saving_keeps_its_guarantees(stream in stream(), capacity in 1..40_usize, seed: u64) {
        let mut counts = SpaceSaving::new(capacity, seed);
        stream.iter().for_each(|(key, weight)| counts.observe(key, *weight));
        let exact = exact(&stream);
        let total: f64 = stream.iter().map(|(_, weight)| weight).sum();
        let bound = total / capacity as f64 + ROUNDING;
        prop_assert!((counts.total() - total).abs() < ROUNDING);
        prop_assert_eq!(counts.iter().len(), exact.len().min(capacity));
        for (key, count, error) in counts.iter() {
            let truth = exact[key];
            prop_assert!(count - error <= truth + ROUNDING && truth <= count + ROUNDING);
            prop_assert!(error <= bound);
        }
        for (key, truth) in &exact {
            let counted = counts.get(key);
            prop_assert!(counted.is_some() || *truth <= bound);
            prop_assert!(counted.is_some() || *truth <= counts.unseen_max() + ROUNDING);
        }
        // All weight is in some counter.
        let sum: f64 = counts.iter().map(|(_, count, _)| count).sum();
        prop_assert!((sum - total).abs() < ROUNDING);
    }

    #[test]
    fn two_windows_keep_them_too(
        last in stream(), this in stream(), capacity in 1..40_usize, late in 0..1_000_u64,
    ) {
        let mut top = TopKeys::new(Duration::from_millis(0), Duration::from_millis(1_000), capacity, 7);
        last.iter().for_each(|(key, weight)| top.observe(Duration::from_millis(500), key, *weight));
        this.iter().for_each(|(key, weight)| top.observe(Duration::from_millis(1_000), key, *weight));
        let now = Duration::from_millis(1_000 + late);
        let left = 1.0 - late as f64 / 1_000.0;
        let mut truth = exact(&this);
        for (key, weight) in exact(&last) {
            *truth.entry(key).or_default() += left * weight;
        }
        let total: f64 = truth.values().sum();
        prop_assert!((top.total(now) - total).abs() < ROUNDING);
        let list = top.list(now, usize::MAX);
        prop_assert!(list.is_sorted_by(|one, other| one.count >= other.count));
        for key in &list {
            let truth = truth[&*key.key];
            prop_assert!(key.count - key.error <= truth + ROUNDING);
            prop_assert!(truth <= key.count + ROUNDING);
            prop_assert_eq!(&top.get(now, &key.key), key);
        }
        let listed = |key: &[u8]| list.iter().any(|listed| &*listed.key == key);
        for (key, truth) in &truth {
            prop_assert!(listed(key) || *truth <= total / capacity as f64 + ROUNDING);
        }
    }
}

#[test]
fn weights_that_are_no_weights_are_ignored() {
    let mut counts = SpaceSaving::new(4, 0);
    for weight in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        counts.observe(b"key", weight);
    }
    assert!(counts.iter().len() == 0 && counts.total() == 0.0);
}

const HALF_LIVES: Windows<f64> = Windows { short: 5.0, medium: 60.0, long: 600.0 };

#[test]
fn a_steady_rate_is_right_from_the_first_second_on() {
    let mut rates = Rates::default();
    let one = Amounts { writes: 2.0, nanos: 50.0, timed: 1.0, ..Amounts::default() };
    for step in 0..120_000_u64 {
        let now = Duration::from_millis(step * 10);
        rates.add(&HALF_LIVES, now, &one);
        if [100, 500, 6_000, 60_000].contains(&step) {
            let rate = rates.per_second(&HALF_LIVES, now, now);
            for rate in [rate.short, rate.medium, rate.long] {
                assert!((rate.writes / 200.0 - 1.0).abs() < 0.011, "{} at {step}", rate.writes);
                // Half of the writes were timed, with 50 each.
                assert!((rate.nanos_of_all() / rate.writes / 50.0 - 1.0).abs() < ROUNDING);
            }
        }
    }
}

#[test]
fn a_rate_halves_in_a_half_life_without_being_touched() {
    let mut rates = Rates::default();
    rates.add(
        &HALF_LIVES,
        Duration::from_millis(0),
        &Amounts { reads: 80.0, ..Amounts::default() },
    );
    let age = Duration::from_secs(1_000_000);
    let at = |s| rates.per_second(&HALF_LIVES, Duration::from_secs(s), age).map(|sum| sum.reads);
    assert!((at(0).short - 80.0 * std::f64::consts::LN_2 / 5.0).abs() < ROUNDING);
    assert!((at(5).short - at(0).short / 2.0).abs() < ROUNDING);
    assert!((at(120).medium - at(0).medium / 4.0).abs() < ROUNDING);
    assert!((at(600).long - at(0).long / 2.0).abs() < ROUNDING);
    assert_eq!(at(100_000).short, 0.0);
}
