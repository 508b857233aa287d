//! Which changes a feed returns. Pure.

use crate::id::KeyspaceId;
use crate::log::Operation;
use arc_swap::ArcSwap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The numbers of the keyspaces that belong to the store itself. Each is noted before anything is
/// written to it.
#[derive(Debug, Default)]
pub(crate) struct OwnKeyspaces(ArcSwap<BTreeSet<KeyspaceId>>);

impl OwnKeyspaces {
    pub(crate) fn note(&self, keyspace: KeyspaceId) {
        self.0.rcu(|noted| noted.iter().copied().chain([keyspace]).collect::<BTreeSet<_>>());
    }

    pub(crate) fn contains(&self, keyspace: KeyspaceId) -> bool {
        self.0.load().contains(&keyspace)
    }
}

/// Which changes a feed returns.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// Keyspaces, with the prefix of keys; none for everything.
    wanted: Vec<(KeyspaceId, Vec<u8>)>,
    /// What no feed returns, the store's own: the positions of consumers, since one that saw its own
    /// would never come to an end; responses; and the entries of indexes, which follow from the rows.
    own: Arc<OwnKeyspaces>,
}

impl Filter {
    pub(crate) fn without(own: Arc<OwnKeyspaces>) -> Self {
        Self { wanted: Vec::new(), own }
    }

    pub(crate) fn add(&mut self, keyspace: KeyspaceId, prefix: &[u8]) {
        self.wanted.push((keyspace, prefix.to_vec()));
    }

    /// Returns true if an operation is the store's own.
    pub(super) fn is_own(&self, operation: &Operation<'_>) -> bool {
        self.own.contains(operation.keyspace())
    }

    /// Returns true if an operation is to be returned.
    pub(super) fn wants(&self, operation: &Operation<'_>) -> bool {
        if self.is_own(operation) {
            return false;
        }
        let matches = |(keyspace, prefix): &(KeyspaceId, Vec<u8>)| {
            *keyspace == operation.keyspace() && may_begin_with(operation, prefix)
        };
        self.wanted.is_empty() || self.wanted.iter().any(matches)
    }
}

/// Returns true if a key that an operation concerns may begin with a prefix.
fn may_begin_with(operation: &Operation<'_>, prefix: &[u8]) -> bool {
    match *operation {
        Operation::DeleteRange { start, end, .. } => {
            let is_before_end = prefix < end;
            let is_after_start = start <= prefix || start.starts_with(prefix);
            is_before_end && is_after_start
        }
        Operation::Put { key, .. }
        | Operation::PutUntil { key, .. }
        | Operation::Delete { key, .. }
        | Operation::Previous { key, .. } => key.starts_with(prefix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYSPACE: KeyspaceId = KeyspaceId(3);

    fn filter(prefix: &[u8]) -> Filter {
        let mut filter = Filter::default();
        filter.add(KEYSPACE, prefix);
        filter
    }

    #[test]
    fn keys_are_wanted_by_keyspace_and_prefix() {
        let put = |keyspace, key| Operation::Put { keyspace, key, value: b"v" };
        let filter = filter(b"ab");
        assert!(filter.wants(&put(KEYSPACE, b"ab")) && filter.wants(&put(KEYSPACE, b"abc")));
        assert!(!filter.wants(&put(KEYSPACE, b"a")) && !filter.wants(&put(KEYSPACE, b"b")));
        assert!(!filter.wants(&put(KeyspaceId(4), b"abc")));
        assert!(Filter::default().wants(&put(KeyspaceId(4), b"")));
    }

    #[test]
    fn ranges_are_wanted_if_they_meet_the_prefix() {
        let range = |start, end| Operation::DeleteRange { keyspace: KEYSPACE, start, end };
        let filter = filter(b"m");
        let meets: [(&[u8], &[u8]); 5] =
            [(b"a", b"z"), (b"m", b"n"), (b"mx", b"mz"), (b"mz", b"z"), (b"a", b"m\0")];
        for (start, end) in meets {
            assert!(filter.wants(&range(start, end)), "{start:?} {end:?}");
        }
        let misses: [(&[u8], &[u8]); 3] = [(b"a", b"m"), (b"n", b"z"), (b"", b"a")];
        for (start, end) in misses {
            assert!(!filter.wants(&range(start, end)), "{start:?} {end:?}");
        }
    }

    #[test]
    fn what_the_store_writes_for_itself_is_wanted_by_no_one() {
        let own = Arc::<OwnKeyspaces>::default();
        let mut filter = Filter::without(Arc::clone(&own));
        let put = Operation::Put { keyspace: KEYSPACE, key: b"k", value: b"v" };
        assert!(filter.wants(&put));
        own.note(KEYSPACE);
        assert!(!filter.wants(&put) && filter.is_own(&put));
        own.note(KeyspaceId(9));
        assert!(!filter.wants(&Operation::Delete { keyspace: KeyspaceId(9), key: b"k" }));
        filter.add(KEYSPACE, b"");
        assert!(!filter.wants(&put));
    }
}
