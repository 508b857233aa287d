//! Changes: the operations of a record as an application sees them.

use super::{Operation, Record};
use crate::id::KeyspaceId;
use std::time::SystemTime;

/// One change of one keyspace, as a feed of changes returns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change<'a> {
    /// A key was set to a value.
    #[non_exhaustive]
    Put {
        /// The number of the keyspace, which never belongs to another one.
        keyspace: KeyspaceId,
        /// The key.
        key: &'a [u8],
        /// Its value.
        value: &'a [u8],
        /// Its value before.
        old: OldValue<'a>,
        /// When the row expires, in whole milliseconds; `None` if it never does. Nothing more comes
        /// when it expires. A mirror that keeps the time, by
        /// [`Batch::put_until`](crate::Batch::put_until), loses the row at the same time.
        expires: Option<SystemTime>,
    },
    /// A key was deleted. It need not have been there.
    Delete {
        /// The number of the keyspace.
        keyspace: KeyspaceId,
        /// The key.
        key: &'a [u8],
        /// Its value before.
        old: OldValue<'a>,
    },
    /// The keys from `start` up to, not including, `end` were deleted, whichever were there.
    DeleteRange {
        /// The number of the keyspace.
        keyspace: KeyspaceId,
        /// The first key.
        start: &'a [u8],
        /// The key before which the range ends.
        end: &'a [u8],
    },
}

/// What a key had before a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldValue<'a> {
    /// The keyspace does not log old values, or did not at the time.
    NotLogged,
    /// The key was not there.
    Absent,
    /// It had this value.
    Value(&'a [u8]),
}

impl<'a> Change<'a> {
    /// Returns the number of the keyspace.
    #[must_use]
    pub const fn keyspace(&self) -> KeyspaceId {
        match *self {
            Self::Put { keyspace, .. }
            | Self::Delete { keyspace, .. }
            | Self::DeleteRange { keyspace, .. } => keyspace,
        }
    }

    /// Returns the key; of a range the first.
    #[must_use]
    pub const fn key(&self) -> &'a [u8] {
        match *self {
            Self::Put { key, .. } | Self::Delete { key, .. } => key,
            Self::DeleteRange { start, .. } => start,
        }
    }
}

/// Joins each operation with what is logged of the value before.
pub(crate) fn changes<'a>(
    operations: impl Iterator<Item = Operation<'a>>,
) -> impl Iterator<Item = Change<'a>> {
    let mut before: Option<(KeyspaceId, &[u8], OldValue<'a>)> = None;
    operations.filter_map(move |operation| {
        let of = |keyspace, key, before: Option<(_, _, OldValue<'a>)>| match before {
            Some((of, other, old)) if (of, other) == (keyspace, key) => old,
            _ => OldValue::NotLogged,
        };
        match operation {
            Operation::Previous { keyspace, key, value } => {
                let old = value.map_or(OldValue::Absent, OldValue::Value);
                before = Some((keyspace, key, old));
                None
            }
            Operation::Put { keyspace, key, value } => {
                let old = of(keyspace, key, before.take());
                Some(Change::Put { keyspace, key, value, old, expires: None })
            }
            Operation::PutUntil { keyspace, key, value } => {
                let (expires, value) = (value.expires(), value.value());
                let old = of(keyspace, key, before.take());
                Some(Change::Put { keyspace, key, value, old, expires })
            }
            Operation::Delete { keyspace, key } => {
                let old = of(keyspace, key, before.take());
                Some(Change::Delete { keyspace, key, old })
            }
            Operation::DeleteRange { keyspace, start, end } => {
                before = None;
                Some(Change::DeleteRange { keyspace, start, end })
            }
        }
    })
}

impl<'a> Record<'a> {
    /// Returns what was changed, in order, each with the value before if that is logged.
    pub fn changes(&self) -> impl Iterator<Item = Change<'a>> + use<'a> {
        changes(self.operations())
    }
}
