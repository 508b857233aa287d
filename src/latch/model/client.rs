//! The clients' operations, by the protocol that the store follows.

use super::super::{Current as _, enter, enter_at_once};
use super::engine::{Cut, Key, Rows, View};
use super::history::Act;
use super::site::{InView, ModelWrite};
use super::store::{Broken, Closed, KEYS, Store};

/// A call of a client.
#[derive(Debug, Clone, Copy)]
pub(super) enum Call {
    Put(Key),
    /// A put that does not wait; one that would is made by waiting.
    PutAtOnce(Key),
    Delete(Key),
    Add(Key),
    Batch(Key, Key),
    /// Deletes everything.
    Clear,
    Get(Key),
    Snapshot,
    /// A put that the shard refuses, which the same client must follow up with `BringUp`.
    PutInVain(Key),
    /// Brings up the partition of a key.
    BringUp(Key),
    /// Reads a key and puts another one, in one transaction.
    Transact(Key, Key),
}

impl Store {
    /// Makes a call, and notes its result.
    pub(super) fn call(&self, call: Call) -> Result<(), Closed> {
        let begun = self.history.now();
        let act = match call {
            Call::Put(key) => self.write(key, Some(self.value()))?,
            Call::PutAtOnce(key) => self.write_at_once(key, Some(self.value()))?,
            Call::Delete(key) => self.write(key, None)?,
            Call::Add(key) => self.add(key)?,
            Call::Batch(one, other) => {
                let value = Some(self.value());
                self.batch(vec![(one, value), (other, value)], false)?
            }
            Call::Clear => self.batch(KEYS.iter().map(|key| (*key, None)).collect(), true)?,
            Call::Get(key) => Act::Get(key, self.get(key)?),
            Call::Snapshot => Act::Snapshot(self.snapshot()),
            Call::PutInVain(key) => self.put_in_vain(key)?,
            Call::BringUp(key) => {
                self.bring_up(key);
                return Ok(());
            }
            Call::Transact(read, written) => match self.transact(read, written)? {
                Some(act) => act,
                // It met a conflict, and has done nothing.
                None => return Ok(()),
            },
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
                let logged = value.is_none() || self.log.has(key, value);
                assert!(logged, "a reader found what the log does not have");
                return Ok(value);
            }
        }
    }

    fn write(&self, key: Key, value: Option<u64>) -> Result<Act, Closed> {
        use Broken::{
            AppendAfterRelease, ApplyAfterRelease, ApplyBeforeAppend, CheckBeforeStripe,
            StripeOfWriter,
        };
        if matches!(
            self.broken,
            AppendAfterRelease
                | ApplyAfterRelease
                | ApplyBeforeAppend
                | CheckBeforeStripe
                | StripeOfWriter
        ) {
            return self.write_wrongly(key, value);
        }
        self.batch(vec![(key, value)], false)
    }

    fn write_at_once(&self, key: Key, value: Option<u64>) -> Result<Act, Closed> {
        let writes = vec![(key, value)];
        let site = ModelWrite { store: self, writes: &writes, range: false };
        let written = enter_at_once(&site, |ticket| {
            let routed = ticket.routed();
            ticket.write(|| routed.log_and_apply());
        })?;
        match written {
            Some(()) => Ok(Act::Write(writes)),
            None => self.write(key, value),
        }
    }

    /// Adds one, like a compare-and-swap that finds what it expects.
    fn add(&self, key: Key) -> Result<Act, Closed> {
        let early = (self.broken == Broken::AddReadsEarly).then(|| self.get(key)).transpose()?;
        let keys = [(key, None)];
        let site = ModelWrite { store: self, writes: &keys, range: false };
        let found = enter(&site, |ticket| {
            let routed = ticket.routed();
            let found = early.unwrap_or_else(|| routed.get(key));
            ticket.write(|| routed.put(key, found.unwrap_or_default() + 1));
            found
        })?;
        Ok(Act::Add(key, found))
    }

    /// Several writes, or the deletion of a range that contains all keys.
    fn batch(&self, writes: Vec<(Key, Option<u64>)>, range: bool) -> Result<Act, Closed> {
        let site = ModelWrite { store: self, writes: &writes, range };
        enter(&site, |ticket| {
            let routed = ticket.routed();
            ticket.write(|| routed.log_and_apply());
        })?;
        Ok(Act::Write(writes))
    }

    pub(super) fn snapshot(&self) -> Rows {
        self.cut().0
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
