//! Goal: transactions are serializable, in an order in which each comes after those that had ended
//! before it began, while partitions move, split and merge, and shards come and go; and at
//! `Isolation::Snapshot` they are that except for write skew. Method: threads append to lists and
//! read them, in transactions of all kinds, and what they saw is searched for cycles (Kingsbury and
//! Alvaro, "Elle: inferring isolation anomalies from experimental observations", VLDB 2020). Each
//! value of a list is appended once, so a list says in which order it was written, and a read what
//! it has seen.
//!
//! `ANNULUS_SEED` repeats the same steps and requests, not the same schedule;
//! `ANNULUS_SOAK_SECONDS` makes it last longer.

mod cycles;
mod history;
mod infer;
mod planted;
mod run;

use history::Transaction;
use infer::{Found, Inferred};

/// Returns what is wrong with a history.
fn check(history: &[Transaction]) -> Vec<Found> {
    let mut inferred = Inferred::of(history);
    let graph = inferred.graph();
    let mut found = std::mem::take(&mut inferred.found);
    found.extend(graph.anomalies());
    found
}
