//! Counters: values that are numbers, to which a write adds.

use super::batch::{COUNTER_BYTES, Op, Write};
use super::key_states::KeyStates;
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::ops::Deref;

/// Returns what a counter is after an addition; one that is not there is zero.
///
/// # Errors
///
/// `InvalidArgument` if the value is no counter, or if the sum is out of bounds.
pub(crate) fn sum(key: &[u8], old: Option<&[u8]>, n: i64) -> Result<i64> {
    let before = match old {
        None => 0,
        Some(old) => i64::from_le_bytes(old.try_into().map_err(|_| {
            Error::invalid(format!(
                "key {} has a value of {} bytes, which is no counter: those have {COUNTER_BYTES}; \
                 nothing was written",
                key.escape_ascii(),
                old.len()
            ))
        })?),
    };
    before.checked_add(n).ok_or_else(|| {
        Error::invalid(format!(
            "counter {} is {before}, to which {n} cannot be added: the sum has more than 64 bits; \
             nothing was written",
            key.escape_ascii()
        ))
    })
}

/// What the additions of a batch come to, by the index of the operation.
pub(super) type Sums = BTreeMap<usize, [u8; COUNTER_BYTES]>;

/// Returns what each addition of a batch comes to, after the operations before it. `read` returns
/// what the store has for the addition with an index: the caller owns the stripe of each counter.
///
/// # Errors
///
/// Those of [`sum`] and `read`.
pub(super) fn sums<V: Deref<Target = [u8]>>(
    ops: &[Op],
    mut read: impl FnMut(usize, &[u8]) -> Result<Option<V>>,
) -> Result<Sums> {
    let mut counters = KeyStates::of(ops.iter().filter_map(|op| match &op.write {
        Write::Add { key, .. } => Some((op.keyspace, &**key)),
        _ => None,
    }));
    let mut sums = Sums::new();
    if counters.is_empty() {
        return Ok(sums);
    }
    for (index, op) in ops.iter().enumerate() {
        match &op.write {
            Write::Put { key, value } => {
                counters.set(op.keyspace, key, Counter::Written(Some(value)));
            }
            Write::Delete { key } => counters.set(op.keyspace, key, Counter::Written(None)),
            Write::DeleteRange { start, end, .. } => {
                counters.set_range(op.keyspace, start, end.as_deref(), Counter::Written(None));
            }
            Write::Add { key, n } => {
                let after = match counters.get(op.keyspace, key) {
                    Some(Counter::Sum(bytes)) => sum(key, Some(&bytes), *n)?,
                    Some(Counter::Written(value)) => sum(key, value, *n)?,
                    None => sum(key, read(index, key)?.as_deref(), *n)?,
                };
                let bytes = after.to_le_bytes();
                counters.set(op.keyspace, key, Counter::Sum(bytes));
                sums.insert(index, bytes);
            }
        }
    }
    Ok(sums)
}

/// What a batch has made of a counter.
#[derive(Clone, Copy)]
enum Counter<'a> {
    /// It has put this value, or deleted it.
    Written(Option<&'a [u8]>),
    Sum([u8; COUNTER_BYTES]),
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::id::KeyspaceId;

    const ONE: KeyspaceId = KeyspaceId(1);
    const TWO: KeyspaceId = KeyspaceId(2);

    fn add(keyspace: KeyspaceId, key: &str, n: i64) -> Op {
        Op { keyspace, write: Write::Add { key: key.into(), n }, lifetime: None }
    }

    fn put(keyspace: KeyspaceId, key: &str, value: i64) -> Op {
        let value = value.to_le_bytes().into();
        Op { keyspace, write: Write::Put { key: key.into(), value }, lifetime: None }
    }

    fn delete(keyspace: KeyspaceId, start: &str, end: Option<&str>) -> Op {
        let end = end.map(Into::into);
        let write = Write::DeleteRange { start: start.into(), end, prefix: Vec::new() };
        Op { keyspace, write, lifetime: None }
    }

    /// Where the store has 100 for every key of keyspace 1, and nothing in keyspace 2.
    fn sums_of(ops: &[Op]) -> Vec<(usize, i64)> {
        let stored = 100_i64.to_le_bytes().to_vec();
        let read = |index: usize, _: &[u8]| {
            Ok(ops.get(index).filter(|op| op.keyspace == ONE).map(|_| stored.clone()))
        };
        let sums = sums(ops, read).unwrap();
        sums.into_iter().map(|(index, bytes)| (index, i64::from_le_bytes(bytes))).collect()
    }

    #[test]
    fn additions_follow_what_their_batch_did_before() {
        let key = |key: &str| Op {
            keyspace: ONE,
            write: Write::Delete { key: key.into() },
            lifetime: None,
        };
        assert_eq!(sums_of(&[add(ONE, "a", 1), add(TWO, "a", 1)]), [(0, 101), (1, 1)]);
        assert_eq!(sums_of(&[add(ONE, "a", 1), add(ONE, "a", -3)]), [(0, 101), (1, 98)]);
        assert_eq!(sums_of(&[put(ONE, "a", 7), add(ONE, "a", 1)]), [(1, 8)]);
        assert_eq!(sums_of(&[put(TWO, "a", 7), add(ONE, "a", 1)]), [(1, 101)]);
        assert_eq!(sums_of(&[key("a"), add(ONE, "a", 1), key("a")]), [(1, 1)]);
        assert_eq!(sums_of(&[add(ONE, "a", 1), key("a"), add(ONE, "a", 1)]), [(0, 101), (2, 1)]);
        assert_eq!(sums_of(&[put(ONE, "a", 1)]), []);
    }

    #[test]
    fn additions_follow_the_ranges_that_their_batch_has_deleted() {
        let after = |deleted: Op| {
            let sums = sums_of(&[deleted, add(ONE, "a", 1), add(ONE, "b", 1), add(TWO, "a", 1)]);
            sums.into_iter().map(|(_, sum)| sum).collect::<Vec<_>>()
        };
        assert_eq!(after(delete(ONE, "a", Some("b"))), [1, 101, 1]);
        assert_eq!(after(delete(ONE, "a\0", None)), [101, 1, 1]);
        assert_eq!(after(delete(ONE, "", None)), [1, 1, 1]);
        assert_eq!(after(delete(ONE, "b", Some("a"))), [101, 101, 1]);
        assert_eq!(after(delete(TWO, "", None)), [101, 101, 1]);
    }

    #[test]
    fn what_cannot_be_added_is_refused() {
        assert_eq!(sum(b"n", None, i64::MAX).unwrap(), i64::MAX);
        assert_eq!(sum(b"n", Some(&(-5_i64).to_le_bytes()), 3).unwrap(), -2);
        let most = i64::MAX.to_le_bytes();
        for (old, n) in [(&most[..], 1), (&most[..7], 1), (b"", 1)] {
            assert_eq!(sum(b"n", Some(old), n).unwrap_err().kind(), ErrorKind::InvalidArgument);
        }
    }
}
