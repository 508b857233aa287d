//! Operations of batches, added by keyspace handle.

use super::Keyspace;
use crate::placement::KeyRange;
use crate::read::{Bounds, KeyBounds};
use crate::write::{Batch, Write};
use std::ops::Bound;

impl Batch {
    /// Adds a put.
    pub fn put(&mut self, keyspace: &Keyspace, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let (key, value) = (key.as_ref(), value.as_ref());
        let write = Write::Put { key: key.to_vec(), value: value.to_vec() };
        self.add(keyspace.store_id(), keyspace.id(), key.len(), write);
    }

    /// Adds a delete; the key need not exist.
    pub fn delete(&mut self, keyspace: &Keyspace, key: impl AsRef<[u8]>) {
        let key = key.as_ref();
        let write = Write::Delete { key: key.to_vec() };
        self.add(keyspace.store_id(), keyspace.id(), key.len(), write);
    }

    /// Adds the deletion of a range of keys, including keys that earlier operations of this batch
    /// put. An inverted range is refused when the batch is committed.
    pub fn delete_range(&mut self, keyspace: &Keyspace, range: impl KeyBounds) {
        let bytes = |bound: Bound<&[u8]>| match bound {
            Bound::Included(key) | Bound::Excluded(key) => key.len(),
            Bound::Unbounded => 0,
        };
        let key_bytes = bytes(range.start()).max(bytes(range.end()));
        let Bounds { range: KeyRange { start, end }, prefix } = Bounds::unchecked(&range);
        let write = Write::DeleteRange { start: start.into(), end: end.map(Into::into), prefix };
        self.add(keyspace.store_id(), keyspace.id(), key_bytes, write);
    }
}
