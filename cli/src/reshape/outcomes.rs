//! The results of reshapes, for people and for machines.

use crate::exit;
use crate::output::Output;
use crate::table::Table;
use annulus::reshape::{Outcome, Phase, Transport};
use annulus::{Epoch, ShardId, Store};
use annulus_workload::human;
use serde::Serialize;
use std::fmt::Display;

/// What a command did.
pub(crate) struct Done {
    pub(super) title: String,
    /// The new shard, if there is one.
    pub(super) shard: Option<ShardId>,
    pub(super) epoch: Epoch,
    pub(super) outcomes: Vec<Outcome>,
    pub(super) notes: Vec<String>,
    pub(super) trimmed: u64,
    pub(super) foreign_bytes: u64,
    pub(super) seconds: f64,
}

/// Totals over some reshapes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Totals {
    /// Without trims.
    pub(crate) committed: u64,
    pub(crate) trimmed: u64,
    pub(crate) rolled_back: u64,
    pub(crate) linked_bytes: u64,
    pub(crate) copied_bytes: u64,
    /// Of these, the bytes of reshapes with a target on another shard than the sources.
    pub(crate) moved_bytes: u64,
    pub(crate) pause_ms_max: f64,
}

/// Adds up the results of reshapes.
pub(crate) fn totals<'o>(outcomes: impl IntoIterator<Item = &'o Outcome>) -> Totals {
    let mut totals = Totals::default();
    for outcome in outcomes {
        if outcome.phase == Phase::RolledBack {
            totals.rolled_back += 1;
            continue;
        }
        if outcome.trim {
            totals.trimmed += 1
        } else {
            totals.committed += 1
        }
        match outcome.transport {
            Transport::Link => totals.linked_bytes += outcome.bytes,
            _ => totals.copied_bytes += outcome.bytes,
        }
        let moves = outcome.to.iter().any(|to| outcome.from.iter().any(|from| from != to));
        totals.moved_bytes += if moves { outcome.bytes } else { 0 };
        totals.pause_ms_max = totals.pause_ms_max.max(human::ms(outcome.pause));
    }
    totals
}

impl Done {
    pub(crate) fn report(&self, store: &Store, output: &mut Output) -> exit::Outcome<()> {
        let totals = Totals { trimmed: self.trimmed, ..totals(&self.outcomes) };
        if output.json() {
            #[derive(Serialize)]
            struct Object<'d> {
                job: &'d str,
                #[serde(skip_serializing_if = "Option::is_none")]
                shard: Option<ShardId>,
                epoch: Epoch,
                reshapes: &'d [Outcome],
                #[serde(flatten)]
                totals: Totals,
                foreign_bytes: u64,
                notes: &'d [String],
                seconds: f64,
            }
            return output.object(&Object {
                job: &self.title,
                shard: self.shard,
                epoch: self.epoch,
                reshapes: &self.outcomes,
                totals,
                foreign_bytes: self.foreign_bytes,
                notes: &self.notes,
                seconds: self.seconds,
            });
        }
        if !self.outcomes.is_empty() {
            output.text(format_args!("{}\n", table(store, &self.outcomes)))?;
        }
        let summary = summary(&totals);
        output.line(format_args!("done: {}: {summary}, {:.2} s", self.title, self.seconds))?;
        if self.foreign_bytes > 0 {
            let bytes = human::bytes(self.foreign_bytes);
            output.note(format_args!("note: {bytes} of shared files are still to be trimmed"));
        }
        Ok(())
    }
}

fn summary(totals: &Totals) -> String {
    let reshapes = match totals.committed {
        1 => "1 reshape".to_owned(),
        number => format!("{number} reshapes"),
    };
    format!(
        "{reshapes}, {} linked, {} copied, writes paused {} at most",
        human::bytes(totals.linked_bytes),
        human::bytes(totals.copied_bytes),
        human::milliseconds(totals.pause_ms_max)
    )
}

/// Returns a table of reshapes.
pub(crate) fn table(store: &Store, outcomes: &[Outcome]) -> Table {
    let topology = store.topology();
    let head = [
        "reshape",
        "what",
        "keyspace",
        "partitions",
        "shards",
        "by",
        "phase",
        "bytes",
        "caught up",
        "pause",
        "took",
    ];
    let mut table = Table::new(7, head);
    for outcome in outcomes {
        let keyspace = topology.keyspace(outcome.keyspace);
        table.row([
            outcome.reshape.to_string(),
            what(outcome),
            keyspace.map_or("(dropped)".to_owned(), |keyspace| keyspace.name().to_owned()),
            arrow(&outcome.sources, &outcome.targets),
            arrow(&outcome.from, &outcome.to),
            outcome.transport.to_string(),
            outcome.phase.as_str().replace('_', " "),
            human::bytes(outcome.bytes),
            human::count(outcome.keys_caught_up),
            human::brief(outcome.pause),
            human::brief(outcome.elapsed),
        ]);
    }
    table
}

/// Returns `move`, `split`, `merge` or `trim`.
pub(crate) fn what(outcome: &Outcome) -> String {
    if outcome.trim { "trim".into() } else { outcome.kind.to_string() }
}

/// Describes how a reshape that was rolled back ended, in a sentence.
pub(crate) fn happened(outcome: &Outcome) -> Option<String> {
    let error = outcome.error.as_ref()?;
    Some(format!("reshape {} was rolled back: {error}", outcome.reshape))
}

fn arrow<T: Display + PartialEq>(from: &[T], to: &[T]) -> String {
    let list = |ids: &[T]| ids.iter().map(T::to_string).collect::<Vec<_>>().join("+");
    if from == to { list(from) } else { format!("{} to {}", list(from), list(to)) }
}
