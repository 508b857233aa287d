//! What a transaction relies on, and whether a later write changes it. Pure.

use super::intervals::Intervals;
use crate::error::{Error, ErrorKind, Result};
use crate::expiry::Moment;
use crate::id::KeyspaceId;
use crate::log::{Operation, Record};
use crate::os::failpoint;
use crate::placement::KeyRange;
use std::collections::BTreeMap;

/// Keys and ranges of keys, over several keyspaces.
#[derive(Debug, Default)]
pub(crate) struct Footprint {
    keyspaces: BTreeMap<KeyspaceId, Intervals>,
    bytes: usize,
    /// When the first row of it expires, if any does.
    expires: Option<u64>,
}

impl Footprint {
    /// Returns about how many bytes of memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn add_key(&mut self, keyspace: KeyspaceId, key: &[u8]) {
        if !failpoint::skip("check-keys") {
            self.add(keyspace, |intervals| intervals.insert(key));
        }
    }

    pub(crate) fn add_range(&mut self, keyspace: KeyspaceId, range: &KeyRange) {
        let (start, end) = (&range.start, range.end.as_deref());
        if !failpoint::skip("check-ranges") {
            self.add(keyspace, |intervals| intervals.insert_range(start, end));
        }
    }

    /// Notes when a row expires that was found.
    pub(crate) fn add_expiry(&mut self, expires: Option<u64>) {
        let first = self.expires.into_iter().chain(expires).min();
        self.expires = first;
    }

    /// Returns true if a row of it may expire.
    pub(crate) fn may_expire(&self) -> bool {
        self.expires.is_some()
    }

    /// Checks that no row of it has expired.
    ///
    /// # Errors
    ///
    /// `Conflict`.
    pub(crate) fn check_time(&self, now: Moment) -> Result<()> {
        let is_gone = self.expires.is_some_and(|expires| now.has_passed(expires));
        if !is_gone || failpoint::skip("check-expiry") {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Conflict,
            "a row has expired that the transaction has read; nothing was written: run it again",
        ))
    }

    fn add(&mut self, keyspace: KeyspaceId, add: impl FnOnce(&mut Intervals)) {
        let intervals = self.keyspaces.entry(keyspace).or_default();
        let before = intervals.bytes();
        add(intervals);
        self.bytes = self.bytes - before + intervals.bytes();
    }

    /// Returns true if an operation changes something of it.
    fn is_changed_by(&self, operation: Operation<'_>) -> bool {
        let Some(intervals) = self.keyspaces.get(&operation.keyspace()) else { return false };
        match operation {
            Operation::Put { key, .. }
            | Operation::PutUntil { key, .. }
            | Operation::Delete { key, .. } => intervals.contains(key),
            Operation::DeleteRange { start, end, .. } => intervals.intersects(start, Some(end)),
            Operation::Previous { .. } => false,
        }
    }

    /// Checks that a record changes nothing of it.
    ///
    /// # Errors
    ///
    /// `Conflict`, with keyspace, key and position.
    pub(crate) fn admit(&self, record: &Record<'_>) -> Result<()> {
        match record.operations().find(|operation| self.is_changed_by(*operation)) {
            None => Ok(()),
            Some(operation) => Err(conflict(operation, record)),
        }
    }
}

#[cold]
fn conflict(operation: Operation<'_>, record: &Record<'_>) -> Error {
    let (key, keyspace) = (operation.key().escape_ascii(), operation.keyspace());
    let what = match operation {
        Operation::Put { .. }
        | Operation::PutUntil { .. }
        | Operation::Delete { .. }
        | Operation::Previous { .. } => {
            format!("key {key}")
        }
        Operation::DeleteRange { end, .. } => format!("keys {key} to {}", end.escape_ascii()),
    };
    Error::new(
        ErrorKind::Conflict,
        format!(
            "the transaction has met a later write of {what} of keyspace {keyspace}, at position {} \
             of the log; nothing was written: run it again",
            record.start()
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: KeyspaceId = KeyspaceId(1);
    const TWO: KeyspaceId = KeyspaceId(2);

    #[test]
    fn an_operation_changes_what_it_shares_a_key_with() {
        let mut footprint = Footprint::default();
        footprint.add_key(ONE, b"k");
        footprint.add_range(ONE, &KeyRange::new("p", Some("q")));
        footprint.add_key(TWO, b"z");
        let put = |keyspace, key| Operation::Put { keyspace, key, value: b"" };
        let delete = |keyspace, key| Operation::Delete { keyspace, key };
        let range = |keyspace, start, end| Operation::DeleteRange { keyspace, start, end };
        for (operation, changes) in [
            (put(ONE, b"k"), true),
            (delete(ONE, b"k"), true),
            (put(ONE, b"k0"), false),
            (put(TWO, b"k"), false),
            (put(KeyspaceId(3), b"k"), false),
            (put(ONE, b"p"), true),
            (delete(ONE, b"pp"), true),
            (put(ONE, b"q"), false),
            (range(ONE, b"a", b"k"), false),
            (range(ONE, b"a", b"k\0"), true),
            (range(ONE, b"k\0", b"p"), false),
            (range(ONE, b"pa", b"pb"), true),
            (range(TWO, b"a", b"z"), false),
        ] {
            assert_eq!(footprint.is_changed_by(operation), changes, "{operation:?}");
        }
        assert!(footprint.bytes() > 4 && Footprint::default().bytes() == 0);
    }
}
