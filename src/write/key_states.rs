//! What a batch has made of keys so far, between two of its operations.

use crate::id::KeyspaceId;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Keys that are followed through a batch, each with its state; `None` while the batch has not
/// touched it.
pub(super) struct KeyStates<'a, S>(BTreeMap<(KeyspaceId, &'a [u8]), Option<S>>);

impl<'a, S: Copy> KeyStates<'a, S> {
    pub(super) fn of(keys: impl Iterator<Item = (KeyspaceId, &'a [u8])>) -> Self {
        Self(keys.map(|key| (key, None)).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the state of a key; `None` if it is as the store has it.
    pub(super) fn get(&self, keyspace: KeyspaceId, key: &'a [u8]) -> Option<S> {
        self.0.get(&(keyspace, key)).copied().flatten()
    }

    /// Sets the state of a key, if it is followed.
    pub(super) fn set(&mut self, keyspace: KeyspaceId, key: &'a [u8], to: S) {
        if let Some(state) = self.0.get_mut(&(keyspace, key)) {
            *state = Some(to);
        }
    }

    /// Sets the state of all keys from `start` up to, not including, `end`, that are followed.
    pub(super) fn set_range(
        &mut self,
        keyspace: KeyspaceId,
        start: &'a [u8],
        end: Option<&'a [u8]>,
        to: S,
    ) {
        if end.is_some_and(|end| end <= start) {
            return;
        }
        let upper = match end {
            Some(end) => Bound::Excluded((keyspace, end)),
            None => Bound::Unbounded,
        };
        let from = self.0.range_mut((Bound::Included((keyspace, start)), upper));
        let of_keyspace = from.take_while(|((of, _), _)| *of == keyspace);
        of_keyspace.for_each(|(_, state)| *state = Some(to));
    }
}
