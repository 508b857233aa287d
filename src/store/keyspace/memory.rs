//! Reads that do not wait: of what is in memory.

use super::Keyspace;
use crate::cache::{Found, HotCache};
use crate::engine::{Engine, EngineValue};
use crate::error::Result;
use crate::latch::Current;
use crate::read::{MemoryRead, Value};

impl Keyspace {
    /// Returns what memory knows of a key, without reading a file and without waiting: what the cache
    /// of hot keys has, what is not in files yet, and what is in blocks that are in the block cache.
    /// For callers that must not wait, such as tasks of an asynchronous runtime. Where it returns
    /// [`Unknown`](MemoryRead::Unknown), they call [`get`](Self::get) on another thread, which also
    /// brings the block into the cache.
    ///
    /// As linearizable as [`get`](Self::get). Cost: at most that of a `get` of what is in memory,
    /// and with `Unknown` that of an error of the engine, which is not returned.
    ///
    /// ```
    /// # use annulus::{MemoryRead, Store, topology::KeyspaceSpec};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// # let users = store.create_keyspace("users", KeyspaceSpec::hash())?;
    /// users.put("ada", "countess")?;
    /// let value = match users.get_from_memory("ada")? {
    ///     MemoryRead::Value(value) => Some(value),
    ///     MemoryRead::Absent => None,
    ///     MemoryRead::Unknown => users.get("ada")?, // on a thread that may wait
    /// };
    /// assert_eq!(value.as_deref(), Some(&b"countess"[..]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get).
    #[inline]
    pub fn get_from_memory(&self, key: impl AsRef<[u8]>) -> Result<MemoryRead> {
        let key = key.as_ref();
        let sampled = self.sampler().begin();
        let known = match &self.core.hot_cache {
            None => self.get_routed_from_memory(key)?.map(|value| value.map(Value::new)),
            Some(cache) => {
                let (known, found_in) = self.get_hot_from_memory(cache, key)?;
                if let (Some(sampled), Some(found)) = (&sampled, found_in) {
                    cache.count_as(found, sampled.weight());
                }
                known
            }
        };
        let known = known.map(|value| self.unless_expired(value)).transpose()?;
        // What is left open is read again, and recorded then.
        if let Some(value) = &known {
            self.record_read(sampled, key, value.as_ref());
        }
        Ok(MemoryRead::new(known))
    }

    /// Reads a value from the cache of hot keys, or from the memory of the shard. Never waits for
    /// another reader of the key. Returns also whether the cache had it, if it is known.
    fn get_hot_from_memory(
        &self,
        cache: &HotCache,
        key: &[u8],
    ) -> Result<(Option<Option<Value>>, Option<bool>)> {
        let miss = match cache.look(self.id(), key) {
            Ok(found) => {
                let hit = !matches!(found, Found::Read(_));
                return Ok((Some(self.value_of(found, key)?), Some(hit)));
            }
            Err(miss) => miss,
        };
        let Some(value) = self.get_routed_from_memory(key)? else {
            return Ok((None, None));
        };
        cache.offer(&miss, self.id(), key, value.as_deref());
        Ok((Some(value.map(Value::new)), Some(false)))
    }

    #[inline]
    pub(super) fn get_routed_from_memory(&self, key: &[u8]) -> Result<Option<Option<EngineValue>>> {
        loop {
            let route = self.state.route(key);
            let partition = route.partition();
            let read = || partition.shard.get_from_memory(&partition.handle, key, None);
            if let Some(found) = route.read(read)? {
                return Ok(found);
            }
        }
    }
}
