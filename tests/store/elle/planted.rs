//! Each anomaly, planted in a short history, is found, and it alone.

use super::check;
use super::history::{End, Key, Step, Transaction};
use super::infer::Anomaly;
use std::collections::BTreeMap;

const X: Key = 0;
const Y: Key = 1;

fn append(key: Key, element: u64) -> Step {
    Step::Append(key, element)
}

fn read(key: Key, list: &[u64]) -> Step {
    Step::Read(key, list.to_vec())
}

fn scan(lists: &[(Key, &[u64])]) -> Step {
    Step::Scan(lists.iter().map(|(key, list)| (*key, list.to_vec())).collect())
}

/// Transactions that were all open at the same time.
fn at_once<const N: usize>(all: [&[Step]; N]) -> Vec<Transaction> {
    let began = |index: usize, steps: &[Step]| Transaction {
        began: index as u64,
        ended: 100 + index as u64,
        end: End::Committed,
        steps: steps.to_vec(),
    };
    all.iter().enumerate().map(|(index, steps)| began(index, steps)).collect()
}

/// A transaction that reads in the end.
fn last(steps: &[Step]) -> Transaction {
    Transaction { began: 1000, ended: 1001, end: End::Committed, steps: steps.to_vec() }
}

fn found(history: &[Transaction]) -> Vec<Anomaly> {
    let mut counted: BTreeMap<Anomaly, String> = BTreeMap::new();
    counted.extend(check(history).into_iter().map(|found| (found.anomaly, found.text)));
    println!("{counted:?}");
    counted.into_keys().collect()
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    let mut history = at_once([
        &[append(X, 1), append(X, 2), read(X, &[1, 2])],
        &[read(X, &[1, 2]), append(X, 3), append(Y, 1), read(X, &[1, 2, 3])],
        &[scan(&[(X, &[1, 2]), (Y, &[])])],
        // As it was before the others, though it began after them.
        &[read(X, &[]), read(Y, &[])],
    ]);
    history.push(last(&[scan(&[(X, &[1, 2, 3]), (Y, &[1])])]));
    assert_eq!(found(&history), []);
}

#[test]
fn g0_writes_that_follow_each_other_both_ways() {
    let mut history = at_once([&[append(X, 1), append(Y, 1)], &[append(X, 2), append(Y, 2)]]);
    history.push(last(&[read(X, &[1, 2]), read(Y, &[2, 1])]));
    assert_eq!(found(&history), [Anomaly::G0]);
}

#[test]
fn g1a_a_read_of_what_was_aborted() {
    let mut history = at_once([&[append(X, 1)], &[read(X, &[1])]]);
    history[0].end = End::Aborted;
    assert_eq!(found(&history), [Anomaly::G1a]);
    // Of what may have been committed, a read shows that it was.
    history[0].end = End::Unknown;
    assert_eq!(found(&history), []);
}

#[test]
fn g1b_a_read_of_what_was_in_between() {
    let mut history = at_once([&[append(X, 1), append(X, 2)], &[read(X, &[1])]]);
    history.push(last(&[read(X, &[1, 2])]));
    let found = found(&history);
    assert!(found.contains(&Anomaly::G1b), "{found:?}");
}

#[test]
fn g1c_reads_of_each_others_writes() {
    let history = at_once([&[append(X, 1), read(Y, &[1])], &[append(Y, 1), read(X, &[1])]]);
    assert_eq!(found(&history), [Anomaly::G1c]);
}

#[test]
fn g_single_a_lost_update() {
    // Both have appended to what they had read, and the element of one follows the other's.
    let mut history = at_once([&[read(X, &[]), append(X, 1)], &[read(X, &[]), append(X, 2)]]);
    history.push(last(&[read(X, &[1, 2])]));
    assert_eq!(found(&history), [Anomaly::GSingle]);
    // Or one is gone.
    history.pop();
    history.push(last(&[read(X, &[2])]));
    assert_eq!(found(&history), [Anomaly::Lost]);
}

#[test]
fn g_single_a_read_of_two_moments() {
    let mut history = at_once([&[append(X, 1), append(Y, 1)], &[read(X, &[]), read(Y, &[1])]]);
    history.push(last(&[read(X, &[1])]));
    assert_eq!(found(&history), [Anomaly::GSingle]);
}

#[test]
fn g_single_a_read_of_what_was_before_another_had_ended() {
    let mut history = at_once([&[append(X, 1)], &[read(X, &[])]]);
    history[1].began = 500;
    history[1].ended = 501;
    history.push(last(&[read(X, &[1])]));
    assert_eq!(found(&history), [Anomaly::GSingle]);
}

#[test]
fn g_nonadjacent_two_reads_of_two_orders() {
    // Two appends, which two readers see in different orders.
    let mut history = at_once([
        &[append(X, 1)],
        &[append(Y, 1)],
        &[read(X, &[1]), read(Y, &[])],
        &[read(X, &[]), read(Y, &[1])],
    ]);
    history.push(last(&[read(X, &[1]), read(Y, &[1])]));
    assert_eq!(found(&history), [Anomaly::GNonadjacent]);
}

#[test]
fn g2_item_write_skew() {
    let mut history = at_once([&[read(X, &[]), append(Y, 1)], &[read(Y, &[]), append(X, 1)]]);
    history.push(last(&[read(X, &[1]), read(Y, &[1])]));
    assert_eq!(found(&history), [Anomaly::G2Item]);
}

#[test]
fn g2_a_phantom() {
    let both: &[(Key, &[u64])] = &[(X, &[]), (Y, &[])];
    let mut history = at_once([&[scan(both), append(Y, 1)], &[scan(both), append(X, 1)]]);
    history.push(last(&[read(X, &[1]), read(Y, &[1])]));
    assert_eq!(found(&history), [Anomaly::G2]);
}

#[test]
fn what_is_wrong_without_a_cycle() {
    let internal = at_once([&[append(X, 1), read(X, &[])]]);
    assert_eq!(found(&internal), [Anomaly::Internal]);
    let mut twice = at_once([&[append(X, 1)], &[read(X, &[]), read(X, &[1])]]);
    assert!(found(&twice).contains(&Anomaly::Internal));
    twice[1].steps = vec![read(X, &[1, 1])];
    assert_eq!(found(&twice), [Anomaly::Garbage]);
    twice[1].steps = vec![read(X, &[7])];
    assert_eq!(found(&twice), [Anomaly::Garbage]);
    let mut forked = at_once([&[append(X, 1)], &[append(X, 2)], &[read(X, &[1, 2])]]);
    forked.push(last(&[read(X, &[2, 1])]));
    assert!(found(&forked).contains(&Anomaly::Forked));
    let mut lost = at_once([&[append(X, 1)]]);
    lost.push(last(&[read(X, &[])]));
    assert_eq!(found(&lost), [Anomaly::Lost]);
}

#[test]
fn a_long_cycle_is_found_among_many_transactions() {
    const LENGTH: usize = 40;
    // Each reads its own list before it is appended to, and appends to the next one.
    let steps: Vec<Vec<Step>> =
        (0..LENGTH).map(|n| vec![read(n, &[]), append((n + 1) % LENGTH, n as u64)]).collect();
    let mut history: Vec<Transaction> = steps
        .iter()
        .enumerate()
        .map(|(n, steps)| Transaction {
            began: n as u64,
            ended: 100 + n as u64,
            end: End::Committed,
            steps: steps.clone(),
        })
        .collect();
    let lists: Vec<Step> =
        (0..LENGTH).map(|n| read(n, &[((n + LENGTH - 1) % LENGTH) as u64])).collect();
    history.push(last(&lists));
    assert_eq!(found(&history), [Anomaly::G2Item]);
    // Without one of them there is none.
    history[7].end = End::Aborted;
    history.pop();
    assert_eq!(found(&history), []);
}
