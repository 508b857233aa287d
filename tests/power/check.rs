//! What must hold of a store after a cut, given what was acknowledged before it. Nothing here knows
//! how the store does it: these are the promises of `Durability`, `Store::write_with`,
//! `Store::sync`, `Store::create_keyspace` and `Store::drop_keyspace`.
//!
//! * What was acknowledged as synced is there, or something later.
//! * A batch is whole or not there: over several shards if it is synced, on one shard always.
//! * Of each shard a prefix is left: if a write is there, so is each that was acknowledged, on the
//!   same shard, before it started.
//! * Nothing is there that was not written, and nothing that was durably deleted is back.

use crate::notes::{History, Operation, Place, Rows, id_of, value};
use std::collections::{BTreeMap, BTreeSet};

/// The kind of end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Of the process alone: nothing acknowledged may be lost, whatever its durability.
    Process,
    /// A power cut.
    Power,
}

/// The versions of one key: the base, and what each operation made of it.
#[derive(Default)]
struct Key<'a> {
    writes: Vec<(&'a Operation, Option<usize>)>,
    /// The lowest version that may be there: 0 is the base, n what the n-th write left.
    least: usize,
    most: usize,
    required: usize,
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
        find_version(history, place, key, rows.get(*place))?;
        let durable = |operation: &Operation| is_durable(history, operation, cut, end);
        key.required =
            key.writes.iter().rposition(|(operation, _)| durable(operation)).map_or(0, |n| n + 1);
        if key.most < key.required {
            let (operation, _) = key.writes[key.required - 1];
            return Err(format!(
                "{place:?} is at version {} of {}, and operation {} ({}), the {}th, was durable",
                key.most,
                key.writes.len(),
                operation.id,
                if operation.synced { "synced" } else { "buffered" },
                key.required
            ));
        }
    }
    check_batches(history, cut, &keys)?;
    check_prefixes(history, cut, &keys)
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

fn is_durable(history: &History, operation: &Operation, cut: usize, end: End) -> bool {
    let Some((acknowledged, _)) = operation.end.as_ref().filter(|(at, _)| *at < cut) else {
        return false;
    };
    let covers = |sync: &crate::notes::Span| {
        *acknowledged < sync.start && sync.end.is_some_and(|end| end < cut)
    };
    end == End::Process || operation.synced || history.syncs.iter().any(covers)
}

/// Returns which version of a key is there.
fn find_version(
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
    let mut versions = (0..=key.writes.len()).filter(|version| matches(*version));
    let Some(first) = versions.next() else {
        let what = there.map(|there| (id_of(there), there.len()));
        return Err(format!("{place:?} holds {what:?}, which was never written there"));
    };
    (key.least, key.most) = (first, versions.next_back().unwrap_or(first));
    Ok(())
}

/// Returns whether what is there is just what an operation wrote, and whether its effect is lost.
/// What a later operation wrote over it proves neither: that may have been durable where this one
/// was not.
fn fate(keys: &BTreeMap<&Place, Key<'_>>, operation: &Operation, place: &Place) -> (bool, bool) {
    let Some(key) = keys.get(place) else { return (false, false) };
    let version = key.writes.iter().rposition(|(other, _)| other.id == operation.id);
    let version = version.map_or(0, |n| n + 1);
    (key.least == version && key.most == version, key.most < version)
}

fn check_batches(
    history: &History,
    cut: usize,
    keys: &BTreeMap<&Place, Key<'_>>,
) -> Result<(), String> {
    for operation in history.operations.iter().filter(|o| o.start < cut && o.effects.len() > 1) {
        let shards = operation
            .end
            .as_ref()
            .filter(|(at, _)| *at < cut)
            .and_then(|(_, shards)| shards.as_ref());
        let on_one = shards.is_some_and(|shards| shards.windows(2).all(|pair| pair[0] == pair[1]));
        if !operation.synced && !on_one {
            continue;
        }
        let fates =
            || operation.effects.iter().map(|(place, _)| (place, fate(keys, operation, place)));
        let there = fates().find(|(_, (there, _))| *there);
        let lost = fates().find(|(_, (_, lost))| *lost);
        if let (Some((there, _)), Some((lost, _))) = (there, lost) {
            return Err(format!(
                "batch {} (synced: {}, shards {shards:?}) is cut: {there:?} is there, {lost:?} is not",
                operation.id, operation.synced
            ));
        }
    }
    Ok(())
}

/// Checks that of each shard a prefix is left, by the latest start of a write that is there.
/// Batches over several shards do not count: the store may have completed them when it was opened.
fn check_prefixes(
    history: &History,
    cut: usize,
    keys: &BTreeMap<&Place, Key<'_>>,
) -> Result<(), String> {
    let mut last: BTreeMap<u32, &Operation> = BTreeMap::new();
    let acknowledged = || {
        history.operations.iter().filter_map(|operation| {
            let (at, shards) = operation.end.as_ref()?;
            Some((operation, *at, shards.as_ref()?)).filter(|_| *at < cut)
        })
    };
    for (operation, _, shards) in acknowledged() {
        let shard = shards[0];
        let is_there = |(place, bytes): &(Place, Option<usize>)| {
            bytes.is_some() && fate(keys, operation, place).0
        };
        if shards.iter().all(|other| *other == shard) && operation.effects.iter().any(is_there) {
            let latest = last.entry(shard).or_insert(operation);
            if latest.start < operation.start {
                *latest = operation;
            }
        }
    }
    for (operation, at, shards) in acknowledged() {
        for ((place, _), shard) in operation.effects.iter().zip(shards) {
            let Some(later) = last.get(shard).filter(|later| at < later.start) else { continue };
            if fate(keys, operation, place).1 {
                return Err(format!(
                    "what is left of shard {shard} is no prefix: operation {} is there, which started at \
                     {}, and operation {} on {place:?} is not, acknowledged at {at}",
                    later.id, later.start, operation.id
                ));
            }
        }
    }
    Ok(())
}
