//! Transactions on the model's stand-ins: they read a snapshot, and are appended to the log only if
//! no record since then changes what they have read.

use super::super::enter;
use super::client::rows_of;
use super::engine::{Key, Rows};
use super::history::Act;
use super::log::InFlight;
use super::site::{ModelWrite, RoutedWrites};
use super::store::{Broken, Closed, Store};

impl Store {
    /// Reads a key and puts another one. Returns what it did, and `None` if it met a conflict.
    pub(super) fn transact(&self, read: Key, written: Key) -> Result<Option<Act>, Closed> {
        let (rows, position) = self.cut();
        let writes = [(written, Some(self.value()))];
        let site = ModelWrite { store: self, writes: &writes, range: false };
        let committed = enter(&site, |ticket| {
            let routed = ticket.routed();
            ticket.write(|| routed.commit(position, read))
        })?;
        let found = rows.get(&read).copied();
        Ok(committed.then_some(Act::Transaction((read, found), writes[0])))
    }

    /// Returns what is there at one moment, and the position of the log before which all of it is.
    pub(super) fn cut(&self) -> (Rows, usize) {
        loop {
            if let Some(cut) = self.try_cut() {
                return cut;
            }
            shuttle::thread::yield_now();
        }
    }

    /// The same, unless a partition is behind.
    fn try_cut(&self) -> Option<(Rows, usize)> {
        let gate = (self.broken != Broken::SnapshotWithoutGate).then(|| self.gate.write());
        let early = (self.broken == Broken::CutsBeforeViews).then(|| self.cuts());
        let view = self.view();
        if view.0.iter().any(|partition| partition.state.is_behind()) {
            return None;
        }
        let cuts = early.unwrap_or_else(|| self.cuts());
        let noted = (self.broken != Broken::PositionAfterGate).then(|| self.log.end());
        drop(gate);
        let position = noted.unwrap_or_else(|| self.log.end());
        Some((rows_of(&view, &cuts), position))
    }
}

impl RoutedWrites<'_> {
    /// Appends the writes and applies them, unless a record since a position has a key. Returns
    /// whether it did.
    fn commit(&self, position: usize, read: Key) -> bool {
        let (log, record) = (&self.write.store.log, self.write.writes);
        let appended: Option<InFlight<'_>> = match self.write.store.broken {
            Broken::CompareBeforeAppend => {
                log.is_unchanged(position, read).then(|| log.append(record))
            }
            _ => log.append_after(record, position, read),
        };
        if appended.is_some() {
            self.apply();
        }
        appended.is_some()
    }
}
