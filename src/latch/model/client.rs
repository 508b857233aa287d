//! The clients' operations, by the protocol that the store follows.

use super::super::{Current as _, enter};
use super::engine::{Cut, Key, Rows, View};
use super::history::Act;
use super::site::{InView, ModelWrite};
use super::store::{Broken, Closed, KEYS, Store};

/// A call of a client.
#[derive(Debug, Clone, Copy)]
pub(super) enum Call {
    Put(Key),
    Delete(Key),
    Add(Key),
    Batch(Key, Key),
    /// Deletes everything.
    Clear,
    Get(Key),
    Snapshot,
}

impl Store {
    /// Makes a call, and notes its result.
    pub(super) fn call(&self, call: Call) -> Result<(), Closed> {
        let begun = self.history.now();
        let act = match call {
            Call::Put(key) => self.write(key, Some(self.value()))?,
            Call::Delete(key) => self.write(key, None)?,
            Call::Add(key) => self.add(key)?,
            Call::Batch(one, other) => {
                let value = Some(self.value());
                self.batch(vec![(one, value), (other, value)], false)?
            }
            Call::Clear => self.batch(KEYS.iter().map(|key| (*key, None)).collect(), true)?,
            Call::Get(key) => Act::Get(key, self.get(key)?),
            Call::Snapshot => Act::Snapshot(self.snapshot()),
        };
        self.history.add(begun, act);
        Ok(())
    }

    fn get(&self, key: Key) -> Result<Option<u64>, Closed> {
        if self.broken == Broken::CheckBeforeRead {
            return self.get_checking_before(key);
        }
        loop {
            let found = InView { store: self, view: self.view(), key };
            let partition = found.partition();
            let read = || Ok(self.shard(partition).get(partition.name, key));
            if let Some(value) = found.read(read)? {
                return Ok(value);
            }
        }
    }

    fn write(&self, key: Key, value: Option<u64>) -> Result<Act, Closed> {
        use Broken::{CheckBeforeStripe, RecordAfterStripe, RecordBeforeWrite};
        if matches!(self.broken, CheckBeforeStripe | RecordAfterStripe | RecordBeforeWrite) {
            return self.write_wrongly(key, value);
        }
        let writes = [(key, value)];
        let site = ModelWrite { store: self, writes: &writes, range: false, own: false };
        enter(&site, |ticket| {
            let routed = ticket.routed();
            ticket.write(|| routed.look_and_apply()).result
        })?;
        Ok(Act::Write(writes.to_vec()))
    }

    /// Adds one, like a compare-and-swap that finds what it expects.
    fn add(&self, key: Key) -> Result<Act, Closed> {
        let own = self.broken != Broken::AddShares;
        let keys = [(key, None)];
        let site = ModelWrite { store: self, writes: &keys, range: false, own };
        let found = enter(&site, |ticket| {
            let routed = ticket.routed();
            let found = routed.get(key);
            ticket.write(|| routed.put(key, found.unwrap_or_default() + 1)).result;
            found
        })?;
        Ok(Act::Add(key, found))
    }

    /// Several writes, or the deletion of a range that contains all keys.
    fn batch(&self, writes: Vec<(Key, Option<u64>)>, range: bool) -> Result<Act, Closed> {
        let site = ModelWrite { store: self, writes: &writes, range, own: false };
        enter(&site, |ticket| {
            let routed = ticket.routed();
            ticket.write(|| routed.apply()).result
        })?;
        Ok(Act::Write(writes))
    }

    pub(super) fn snapshot(&self) -> Rows {
        let gate = (self.broken != Broken::SnapshotWithoutGate).then(|| self.gate.write());
        let early = (self.broken == Broken::CutsBeforeViews).then(|| self.cuts());
        let view = self.view();
        let cuts = early.unwrap_or_else(|| self.cuts());
        drop(gate);
        rows_of(&view, &cuts)
    }
}

/// Returns what a view holds, in cuts of its shards.
pub(super) fn rows_of(view: &View, cuts: &[Cut]) -> Rows {
    let rows = view.0.iter().flat_map(|partition| {
        let rows = cuts[partition.owner].rows(partition.name).into_iter();
        rows.filter(|(key, _)| partition.has(*key))
    });
    rows.collect()
}
