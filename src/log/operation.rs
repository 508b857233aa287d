//! What records consist of.

use crate::expiry::ExpiringValue;
use crate::id::KeyspaceId;

/// One change of one keyspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    /// Sets a key to a value.
    Put {
        /// The number of the keyspace.
        keyspace: KeyspaceId,
        /// The key.
        key: &'a [u8],
        /// The value.
        value: &'a [u8],
    },
    /// Sets a key of a keyspace whose rows expire.
    PutUntil {
        /// The number of the keyspace.
        keyspace: KeyspaceId,
        /// The key.
        key: &'a [u8],
        /// The value, and when it expires.
        value: ExpiringValue<'a>,
    },
    /// Deletes a key.
    Delete {
        /// The number of the keyspace.
        keyspace: KeyspaceId,
        /// The key.
        key: &'a [u8],
    },
    /// What a key had before the operation on it that follows. Changes nothing: it is for readers
    /// of changes, where the keyspace [logs old values](crate::Keyspace::log_old_values).
    Previous {
        /// The number of the keyspace.
        keyspace: KeyspaceId,
        /// The key.
        key: &'a [u8],
        /// Its value; `None` if it was not there.
        value: Option<&'a [u8]>,
    },
    /// Deletes the keys from `start` up to, not including, `end`.
    DeleteRange {
        /// The number of the keyspace.
        keyspace: KeyspaceId,
        /// The first key.
        start: &'a [u8],
        /// The key before which the range ends.
        end: &'a [u8],
    },
}

impl<'a> Operation<'a> {
    /// Returns false if it only says what was before.
    pub(crate) const fn is_change(&self) -> bool {
        !matches!(self, Self::Previous { .. })
    }

    /// Returns the number of the keyspace.
    #[must_use]
    pub const fn keyspace(&self) -> KeyspaceId {
        match *self {
            Self::Put { keyspace, .. }
            | Self::PutUntil { keyspace, .. }
            | Self::Delete { keyspace, .. }
            | Self::Previous { keyspace, .. }
            | Self::DeleteRange { keyspace, .. } => keyspace,
        }
    }

    /// Returns the key; of a range the first.
    #[must_use]
    pub const fn key(&self) -> &'a [u8] {
        match *self {
            Self::Put { key, .. }
            | Self::PutUntil { key, .. }
            | Self::Delete { key, .. }
            | Self::Previous { key, .. } => key,
            Self::DeleteRange { start, .. } => start,
        }
    }
}
