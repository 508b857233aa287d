//! Tests of the log on real files.

#![allow(clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod basics;
mod closing;
mod conditional;
mod damages;
mod encoding;
mod time;
mod views;
mod walks;

use super::*;
use crate::clock::{HybridClock, SystemClock};
use crate::id::KeyspaceId;
use std::path::Path;
use std::time::Duration;

pub(super) const ACCESSES: [LogAccess; 2] = [LogAccess::Mapped, LogAccess::Written];

/// One operation, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Owned {
    Put(u32, Vec<u8>, Vec<u8>),
    PutUntil(u32, Vec<u8>, Vec<u8>),
    Delete(u32, Vec<u8>),
    DeleteRange(u32, Vec<u8>, Vec<u8>),
    Previous(u32, Vec<u8>, Option<Vec<u8>>),
}

impl Owned {
    pub(super) fn of(operation: &Operation<'_>) -> Self {
        match *operation {
            Operation::PutUntil { keyspace, key, value } => {
                Self::PutUntil(keyspace.0, key.to_vec(), value.bytes().to_vec())
            }
            Operation::Put { keyspace, key, value } => {
                Self::Put(keyspace.0, key.to_vec(), value.to_vec())
            }
            Operation::Delete { keyspace, key } => Self::Delete(keyspace.0, key.to_vec()),
            Operation::DeleteRange { keyspace, start, end } => {
                Self::DeleteRange(keyspace.0, start.to_vec(), end.to_vec())
            }
            Operation::Previous { keyspace, key, value } => {
                Self::Previous(keyspace.0, key.to_vec(), value.map(<[u8]>::to_vec))
            }
        }
    }

    pub(super) fn lent(&self) -> Operation<'_> {
        match self {
            Self::Put(keyspace, key, value) => {
                Operation::Put { keyspace: KeyspaceId(*keyspace), key, value }
            }
            Self::PutUntil(keyspace, key, value) => {
                let (keyspace, value) = (KeyspaceId(*keyspace), ExpiringValue::new(value));
                Operation::PutUntil { keyspace, key, value }
            }
            Self::Delete(keyspace, key) => {
                Operation::Delete { keyspace: KeyspaceId(*keyspace), key }
            }
            Self::DeleteRange(keyspace, start, end) => {
                Operation::DeleteRange { keyspace: KeyspaceId(*keyspace), start, end }
            }
            Self::Previous(keyspace, key, value) => {
                let keyspace = KeyspaceId(*keyspace);
                Operation::Previous { keyspace, key, value: value.as_deref() }
            }
        }
    }
}

pub(super) fn options(directory: &Path, access: LogAccess) -> LogOptions {
    LogOptions {
        copies: vec![CopyOptions::only(directory.join("log"))],
        record: None,
        store: 7,
        access,
        damage: LogDamage::Refuse,
        must_exist: false,
        segment_bytes: 16 << 10,
        keep_bytes: 0,
        hold: false,
        guard: None,
        clock: Arc::new(HybridClock::new(Arc::new(SystemClock))),
    }
}

/// Opens a log, and ends its replay.
pub(super) fn open(directory: &Path, access: LogAccess) -> Arc<CommitLog> {
    let log = CommitLog::open(options(directory, access)).unwrap();
    log.finish_replay();
    log
}

/// Appends a record with one put; returns where it begins.
pub(super) fn put(log: &CommitLog, key: u32, bytes: usize) -> Position {
    let value = vec![key as u8; bytes];
    let put = Operation::Put { keyspace: KeyspaceId(1), key: &key.to_be_bytes(), value: &value };
    log.append(std::iter::once(put)).unwrap().start()
}

pub(super) fn put_all(log: &CommitLog, keys: std::ops::Range<u32>, bytes: usize) {
    for key in keys {
        put(log, key, bytes);
    }
}

/// Returns the keys of all puts from a position on, after a check of their values.
pub(super) fn keys_from(log: &Arc<CommitLog>, from: Position) -> Vec<u32> {
    let mut reader = log.read(from).unwrap();
    let mut keys = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        for operation in record.operations() {
            let Operation::Put { key, value, .. } = operation else { panic!("{operation:?}") };
            let key = u32::from_be_bytes(*key.first_chunk().unwrap());
            assert!(value.iter().all(|byte| *byte == key as u8));
            keys.push(key);
        }
    }
    assert_eq!(reader.position(), log.end());
    keys
}

pub(super) fn keys(log: &Arc<CommitLog>) -> Vec<u32> {
    keys_from(log, log.first())
}

/// Returns the files of a log, in their order.
pub(super) fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> =
        directory.join("log").read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Waits until something is so.
pub(super) fn until(is_so: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it does not come to be");
        std::thread::sleep(Duration::from_millis(1));
    }
}
