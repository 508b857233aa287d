//! What must hold of a store after a cut, given what was acknowledged before it. Nothing here knows
//! how the store does it: these are the promises of `Durability`, `Store::write_with`,
//! `Store::sync`, `Store::create_keyspace` and `Store::drop_keyspace`.
//!
//! * What was acknowledged as synced is there, or something later; and so is what a reader of changes
//!   has returned, whichever thread has synced it.
//! * What is left is one prefix of all writes to the store: if a write is there, or a keyspace was
//!   created or dropped, so is each write that was acknowledged before that started, by whichever
//!   thread, on whichever shard, in whichever keyspace.
//! * A batch is whole or not there, at either durability, over however many shards.
//! * Nothing is there that was not written, and nothing that was durably deleted is back.

use crate::notes::{History, Operation, Place, Rows, Span, id_of, value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The kind of end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Of the process alone: nothing acknowledged may be lost, whatever its durability.
    Process,
    /// A power cut.
    Power,
}

/// Why a version of a key, or a later one, must be there.
#[derive(Debug, Clone, Copy)]
enum Why {
    /// It was durable when it was acknowledged, or by a sync since.
    Durable,
    /// It was acknowledged before this began, which is there.
    Before(Event),
    /// It is part of the batch with this number, of which another part is there.
    Batch(u64),
}

/// Something that is there.
#[derive(Debug, Clone, Copy)]
enum Event {
    Sync { start: usize },
    Keyspace { start: usize },
    Operation { id: u64, start: usize },
}

impl Event {
    fn start(self) -> usize {
        let (Self::Sync { start } | Self::Keyspace { start } | Self::Operation { start, .. }) =
            self;
        start
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sync { start } => write!(f, "the sync at {start}"),
            Self::Keyspace { start } => write!(f, "the change of a keyspace at {start}"),
            Self::Operation { id, start } => write!(f, "operation {id} at {start}"),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Durable => f.write_str("it was durable"),
            Self::Batch(id) => write!(f, "batch {id} is cut: another part of it is there"),
            Self::Before(event) => write!(
                f,
                "what is left is no prefix: it was acknowledged before {event} began, which is there"
            ),
        }
    }
}

/// The versions of one key: the base, and what each operation made of it.
#[derive(Default)]
struct Key<'a> {
    writes: Vec<(&'a Operation, Option<usize>)>,
    /// The versions that look like what is there, in order: 0 is the base, n what the n-th write
    /// left. Those before the required one are taken away.
    candidates: Vec<usize>,
}

impl Key<'_> {
    fn least(&self) -> usize {
        self.candidates[0]
    }

    /// Returns whether what an operation made of the key is proven to be there or overwritten: it
    /// alone looks like what is there, or it was acknowledged before what is there began.
    fn has(&self, operation: &Operation) -> bool {
        let Some(index) = self.writes.iter().rposition(|(other, _)| other.id == operation.id)
        else {
            return false;
        };
        let version = index + 1;
        match operation.end {
            Some(_) => version <= self.least(),
            None => self.candidates == [version],
        }
    }
}

/// What is known of a store after a cut.
struct Left<'a> {
    history: &'a History,
    cut: usize,
    keys: BTreeMap<&'a Place, Key<'a>>,
    /// The latest that is there: what was acknowledged before it started must be there.
    latest: Event,
}

/// Checks rows against a history up to a cut. `keyspaces` are those that exist.
pub(crate) fn check(
    history: &History,
    cut: usize,
    end: End,
    rows: &Rows,
    keyspaces: &BTreeSet<String>,
) -> Result<(), String> {
    check_keyspaces(history, cut, keyspaces)?;
    let mut keys: BTreeMap<&Place, Key<'_>> =
        history.base.keys().map(|place| (place, Key::default())).collect();
    for operation in history.operations.iter().filter(|operation| operation.start < cut) {
        for (place, bytes) in &operation.effects {
            keys.entry(place).or_default().writes.push((operation, *bytes));
        }
    }
    keys.retain(|place, _| keyspaces.contains(&place.0));
    if let Some(place) = rows.keys().find(|place| !keys.contains_key(place)) {
        return Err(format!("{place:?} is there and was never written"));
    }
    for (place, key) in &mut keys {
        find_versions(history, place, key, rows.get(*place))?;
    }
    let mut left = Left { history, cut, keys, latest: Event::Sync { start: 0 } };
    if end == End::Process {
        left.latest = Event::Sync { start: cut };
    }
    left.note_syncs();
    left.note_keyspaces(keyspaces);
    left.require_durable()?;
    while left.require_what_follows()? {}
    Ok(())
}

fn check_keyspaces(
    history: &History,
    cut: usize,
    keyspaces: &BTreeSet<String>,
) -> Result<(), String> {
    let before = |at: Option<usize>| at.is_some_and(|at| at < cut);
    for (name, created) in &history.created {
        let dropped = history.dropped.get(name);
        let may_be_gone = dropped.is_some_and(|drop| drop.start < cut);
        if before(created.end) && !may_be_gone && !keyspaces.contains(name) {
            return Err(format!("keyspace `{name}` was created and is not there"));
        }
        if dropped.is_some_and(|drop| before(drop.end)) && keyspaces.contains(name) {
            return Err(format!("keyspace `{name}` was dropped and is there"));
        }
    }
    let dropping = |name: &String| history.dropped.get(name).is_some_and(|drop| drop.start < cut);
    if let Some(name) =
        history.base_keyspaces.iter().find(|name| !keyspaces.contains(*name) && !dropping(name))
    {
        return Err(format!("keyspace `{name}` is gone"));
    }
    let begun =
        |name: &String| history.created.get(name).is_some_and(|created| created.start < cut);
    match keyspaces.iter().find(|name| !history.base_keyspaces.contains(*name) && !begun(name)) {
        Some(name) => Err(format!("keyspace `{name}` was never created")),
        None => Ok(()),
    }
}

/// Finds out which versions of a key look like what is there.
fn find_versions(
    history: &History,
    place: &Place,
    key: &mut Key<'_>,
    there: Option<&Vec<u8>>,
) -> Result<(), String> {
    let base = history.base.get(place);
    let matches = |version: usize| match version.checked_sub(1).map(|n| key.writes[n]) {
        None => base == there,
        Some((_, None)) => there.is_none(),
        Some((operation, Some(bytes))) => there.is_some_and(|there| {
            id_of(there) == Some(operation.id) && *there == value(operation.id, &place.1, bytes)
        }),
    };
    let candidates = (0..=key.writes.len()).filter(|version| matches(*version)).collect();
    key.candidates = candidates;
    if key.candidates.is_empty() {
        let what = there.map(|there| (id_of(there), there.len()));
        return Err(format!("{place:?} holds {what:?}, which was never written there"));
    }
    Ok(())
}

impl Left<'_> {
    fn there(&mut self, event: Event) {
        if self.latest.start() < event.start() {
            self.latest = event;
        }
    }

    fn note_syncs(&mut self) {
        let ended = |span: &&Span| span.end.is_some_and(|end| end < self.cut);
        if let Some(span) = self.history.syncs.iter().rfind(ended) {
            self.there(Event::Sync { start: span.start });
        }
    }

    /// Notes the keyspaces that were created, or are gone.
    fn note_keyspaces(&mut self, keyspaces: &BTreeSet<String>) {
        let history = self.history;
        let begun = |span: &Span| span.start < self.cut;
        let created = history.created.iter().filter(|(name, _)| keyspaces.contains(*name));
        let dropped = history.dropped.iter().filter(|(name, span)| {
            let was_there = history.base_keyspaces.contains(*name)
                || history.created.get(*name).is_some_and(|created| created.end.is_some());
            was_there && !keyspaces.contains(*name) && begun(span)
        });
        let starts: Vec<usize> = created.chain(dropped).map(|(_, span)| span.start).collect();
        starts.into_iter().for_each(|start| self.there(Event::Keyspace { start }));
    }

    /// Requires what was acknowledged as durable, also in keyspaces that are gone by now.
    fn require_durable(&mut self) -> Result<(), String> {
        for operation in &self.history.operations {
            let is_before = |at: Option<usize>| at.is_some_and(|at| at < self.cut);
            if operation.synced && is_before(operation.end) || is_before(operation.published) {
                self.require(operation, Why::Durable)?;
                self.there(Event::Operation { id: operation.id, start: operation.start });
            }
        }
        Ok(())
    }

    /// Requires all effects of an operation, or later ones. Returns whether that was news.
    fn require(&mut self, operation: &Operation, why: Why) -> Result<bool, String> {
        let mut news = false;
        for (place, _) in &operation.effects {
            let Some(key) = self.keys.get_mut(place) else { continue };
            let index = key.writes.iter().rposition(|(other, _)| other.id == operation.id);
            let version = index.map_or(0, |n| n + 1);
            if key.candidates.last().is_some_and(|most| *most < version) {
                return Err(format!(
                    "{place:?} is at version {:?} of {}, and operation {} ({}, started at {}, \
                     acknowledged at {:?}), the {version}th, must be there: {why}",
                    key.candidates,
                    key.writes.len(),
                    operation.id,
                    if operation.synced { "synced" } else { "buffered" },
                    operation.start,
                    operation.end,
                ));
            }
            news |= key.least() < version;
            key.candidates.retain(|candidate| *candidate >= version);
        }
        Ok(news)
    }

    /// Requires what follows from what is known. Returns whether there may be more.
    fn require_what_follows(&mut self) -> Result<bool, String> {
        let mut news = false;
        // What is there of a key began no earlier than the first that it can be.
        let starts = self.keys.values().filter_map(|key| {
            let (operation, _) = key.writes[key.least().checked_sub(1)?];
            Some(Event::Operation { id: operation.id, start: operation.start })
        });
        for event in starts.collect::<Vec<_>>() {
            self.there(event);
        }
        let (latest, cut) = (self.latest, self.cut);
        for operation in self.history.operations.iter().filter(|one| one.start < cut) {
            if operation.end.is_some_and(|at| at < latest.start()) {
                news |= self.require(operation, Why::Before(latest))?;
            }
            let parts = || operation.effects.iter().filter_map(|(place, _)| self.keys.get(place));
            if operation.effects.len() > 1 && parts().any(|key| key.has(operation)) {
                news |= self.require(operation, Why::Batch(operation.id))?;
            }
        }
        Ok(news)
    }
}

mod tests {
    use super::{End, check};
    use crate::notes::{History, Rows, ends, published, starts, value};
    use std::collections::BTreeSet;

    const PRESENT: &str = "k";
    const PUT: Option<usize> = Some(5);

    fn starts_at(id: u64, synced: bool, effects: &[(&str, Option<usize>)]) -> String {
        let place = |key: &str| (PRESENT.to_owned(), key.to_owned());
        let effects: Vec<_> = effects.iter().map(|(key, bytes)| (place(key), *bytes)).collect();
        starts(id, synced, &effects)
    }

    /// Checks rows, given by the number of the write that each is of, against notes.
    fn judge(notes: &[String], rows: &[(&str, u64)], end: End) -> Result<(), String> {
        let notes =
            [&[format!("create {PRESENT}\n"), format!("created {PRESENT}\n")], notes].concat();
        let base = (Rows::new(), BTreeSet::new());
        let history = History::read(base, notes.iter().map(String::as_str).enumerate());
        let row =
            |(key, id): &(&str, u64)| ((PRESENT.to_owned(), (*key).to_owned()), value(*id, key, 5));
        let rows: Rows = rows.iter().map(row).collect();
        let keyspaces = BTreeSet::from([PRESENT.to_owned()]);
        check(&history, usize::MAX, end, &rows, &keyspaces)
    }

    fn write(id: u64, synced: bool, effects: &[(&str, Option<usize>)]) -> [String; 2] {
        [starts_at(id, synced, effects), ends(id, false)]
    }

    #[test]
    fn what_is_left_must_be_a_prefix() {
        let notes = [write(1, false, &[("a", PUT)]), write(2, false, &[("b", PUT)])].concat();
        judge(&notes, &[], End::Power).unwrap();
        judge(&notes, &[("a", 1)], End::Power).unwrap();
        judge(&notes, &[("a", 1), ("b", 2)], End::Power).unwrap();
        judge(&notes, &[("b", 2)], End::Power).unwrap_err();
        judge(&notes, &[("a", 1)], End::Process).unwrap_err();
        // Both at the same time.
        let notes = [
            starts_at(1, false, &[("a", PUT)]),
            starts_at(2, false, &[("b", PUT)]),
            ends(1, false),
            ends(2, false),
        ];
        judge(&notes, &[("b", 2)], End::Power).unwrap();
    }

    #[test]
    fn what_was_published_must_be_there() {
        let buffered = write(1, false, &[("a", PUT)]);
        let notes = [&buffered[..], &[published(1)]].concat();
        judge(&buffered, &[], End::Power).unwrap();
        judge(&notes, &[], End::Power).unwrap_err();
        judge(&notes, &[("a", 1)], End::Power).unwrap();
    }

    #[test]
    fn what_is_durable_must_be_there_and_all_before_it() {
        let synced = [write(1, false, &[("a", PUT)]), write(2, true, &[("b", PUT)])].concat();
        judge(&synced, &[], End::Power).unwrap_err();
        judge(&synced, &[("b", 2)], End::Power).unwrap_err();
        judge(&synced, &[("a", 1), ("b", 2)], End::Power).unwrap();
        let sync = [&write(1, false, &[("a", PUT)])[..], &["sync\n".into(), "synced\n".into()]];
        judge(&sync.concat(), &[], End::Power).unwrap_err();
        let created = ["create k2\n".to_owned(), "created k2\n".to_owned()];
        let dropped = ["drop k2\n".to_owned(), "dropped k2\n".to_owned()];
        let notes = [&created[..], &write(1, false, &[("a", PUT)]), &dropped].concat();
        judge(&notes, &[], End::Power).unwrap_err();
        judge(&notes, &[("a", 1)], End::Power).unwrap();
    }

    #[test]
    fn a_batch_must_be_whole() {
        let batch = write(1, false, &[("a", PUT), ("b", PUT)]);
        judge(&batch, &[], End::Power).unwrap();
        judge(&batch, &[("a", 1), ("b", 1)], End::Power).unwrap();
        judge(&batch, &[("a", 1)], End::Power).unwrap_err();
        // Not acknowledged.
        judge(&batch[..1], &[("b", 1)], End::Process).unwrap_err();
        judge(&batch[..1], &[], End::Process).unwrap();
        // What overwrote a part of it came later.
        let notes = [batch, write(2, false, &[("a", PUT)])].concat();
        judge(&notes, &[("a", 2)], End::Power).unwrap_err();
        judge(&notes, &[("a", 2), ("b", 1)], End::Power).unwrap();
    }

    #[test]
    fn what_follows_from_what_follows_counts() {
        // The delete of `b` is there, since what was put there is durable; so `c` must be.
        let notes = [
            write(1, true, &[("b", PUT)]),
            write(2, false, &[("c", PUT)]),
            write(3, false, &[("b", None)]),
        ]
        .concat();
        judge(&notes, &[], End::Power).unwrap_err();
        judge(&notes, &[("c", 2)], End::Power).unwrap();
        judge(&notes, &[("b", 1)], End::Power).unwrap();
        judge(&notes, &[("b", 1), ("c", 2)], End::Power).unwrap();
        judge(&notes, &[("b", 3)], End::Power).unwrap_err();
    }
}
