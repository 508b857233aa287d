//! Conditions of batches: what the store must have for a batch to be written.

use crate::id::KeyspaceId;
use crate::read::Value;
use std::fmt;

/// What a key must have for a batch to be written; see [`Batch::require`](crate::Batch::require).
/// Values are bytes, or those of a [typed](crate::typed) keyspace.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expect<'a, V: ?Sized = [u8]> {
    /// The key is not there.
    Absent,
    /// The key is there, with any value.
    Present,
    /// The key has this value.
    Value(&'a V),
}

// Not derived: that would ask the same of the values.
impl<V: ?Sized> Copy for Expect<'_, V> {}

impl<V: ?Sized> Clone for Expect<'_, V> {
    fn clone(&self) -> Self {
        *self
    }
}

/// What [`Store::write_if`](crate::Store::write_if) did.
#[derive(Debug)]
#[must_use = "the batch may not have been written"]
pub enum ConditionalWrite {
    /// All conditions held, and the whole batch was written.
    Written,
    /// These conditions did not hold, in the order in which the batch has them; nothing was
    /// written.
    Unmet(Vec<Unmet>),
}

/// A condition that did not hold.
#[derive(Debug)]
#[non_exhaustive]
pub struct Unmet {
    /// The number of the keyspace.
    pub keyspace: KeyspaceId,
    /// The key.
    pub key: Vec<u8>,
    /// What the key has; `None` if it is not there.
    pub found: Option<Value>,
}

impl ConditionalWrite {
    /// Returns true if the batch was written.
    #[must_use]
    pub const fn is_written(&self) -> bool {
        matches!(self, Self::Written)
    }
}

/// A condition, kept until its batch is written.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) keyspace: KeyspaceId,
    pub(crate) key: Vec<u8>,
    expected: Expected,
}

#[derive(Clone, PartialEq, Eq)]
enum Expected {
    Absent,
    Present,
    Value(Vec<u8>),
}

impl Condition {
    pub(crate) fn new(keyspace: KeyspaceId, key: &[u8], expect: Expect<'_>) -> Self {
        let expected = match expect {
            Expect::Absent => Expected::Absent,
            Expect::Present => Expected::Present,
            Expect::Value(value) => Expected::Value(value.to_vec()),
        };
        Self { keyspace, key: key.to_vec(), expected }
    }

    /// Returns true if it holds for what was found.
    pub(super) fn holds(&self, found: Option<&[u8]>) -> bool {
        match &self.expected {
            Expected::Absent => found.is_none(),
            Expected::Present => found.is_some(),
            Expected::Value(value) => found == Some(value),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let value = match &self.expected {
            Expected::Value(value) => value.len(),
            Expected::Absent | Expected::Present => 0,
        };
        self.key.len() + value
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expected = match &self.expected {
            Expected::Absent => "absent".to_owned(),
            Expected::Present => "present".to_owned(),
            Expected::Value(value) => value.escape_ascii().to_string(),
        };
        write!(f, "{} {}: {expected}", self.keyspace, self.key.escape_ascii())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_condition_holds_for_what_it_expects() {
        let holds = |expect, found: Option<&[u8]>| {
            Condition::new(KeyspaceId(1), b"key", expect).holds(found)
        };
        for (expect, holding) in [
            (Expect::Absent, [true, false, false]),
            (Expect::Present, [false, true, true]),
            (Expect::Value(&b""[..]), [false, true, false]),
            (Expect::Value(&b"a"[..]), [false, false, true]),
        ] {
            let found = [None, Some(&b""[..]), Some(&b"a"[..])];
            assert_eq!(found.map(|found| holds(expect, found)), holding, "{expect:?}");
        }
    }
}
