//! What records consist of.

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
    /// Deletes a key.
    Delete {
        /// The number of the keyspace.
        keyspace: KeyspaceId,
        /// The key.
        key: &'a [u8],
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
