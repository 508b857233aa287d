//! The key that splits a partition so that a given share of its bytes lies before it.

use crate::catalog::OpenPartition;
use crate::engine::{Cursor, Direction, Engine, Read};
use crate::error::Result;
use crate::placement::KeyRange;
use crate::read::{PartitionCursor, RowFilter};

/// A partition with fewer bytes than this is read instead of estimated.
const READ_BYTES_MAX: u64 = 32 << 20;

/// The search by estimates ends when it is this close to the wanted share, as a fraction of it.
const CLOSE_ENOUGH: f64 = 0.005;

/// The most steps of the search; keys that are still apart after this many are close enough.
const STEPS_MAX: usize = 64;

/// Returns a key of the partition before which about `permille` thousandths of its bytes lie, or
/// `None` if there is no key but the first.
pub(crate) fn find_split_key(
    partition: &OpenPartition,
    range: &KeyRange,
    permille: u32,
) -> Result<Option<Vec<u8>>> {
    let usage = partition.shard.usage(&partition.handle)?;
    let share = f64::from(permille) / 1000.0;
    if usage.bytes_on_disk + usage.bytes_in_memory < READ_BYTES_MAX {
        return by_reading(partition, range, share);
    }
    // Estimates cover files only.
    partition.shard.flush_partition(&partition.handle)?;
    by_estimate(partition, range, share)
}

fn rows(partition: &OpenPartition, range: &KeyRange, from: &[u8]) -> Result<PartitionCursor> {
    let rest = KeyRange { start: from.into(), end: None };
    let filter = RowFilter::Keys(range.clone());
    let read = Read { bypass_cache: true, ..Read::PRESENT };
    PartitionCursor::open(partition, filter, &rest, Direction::Forward, read)
}

fn by_reading(partition: &OpenPartition, range: &KeyRange, share: f64) -> Result<Option<Vec<u8>>> {
    let mut total = 0;
    let mut cursor = rows(partition, range, &[])?;
    while let Some((key, value)) = cursor.row() {
        total += (key.len() + value.len()) as u64;
        cursor.advance();
    }
    cursor.status()?;
    let wanted = (total as f64 * share) as u64;
    let mut cursor = rows(partition, range, &[])?;
    let (mut before, mut first) = (0, true);
    while let Some((key, value)) = cursor.row() {
        if before >= wanted && !first {
            return Ok(Some(key.to_vec()));
        }
        first = false;
        before += (key.len() + value.len()) as u64;
        cursor.advance();
    }
    cursor.status()?;
    Ok(None)
}

/// Bisects between the first and the last key by the engine's estimates.
fn by_estimate(partition: &OpenPartition, range: &KeyRange, share: f64) -> Result<Option<Vec<u8>>> {
    let Some(first) = rows(partition, range, &[])?.key().map(<[u8]>::to_vec) else {
        return Ok(None);
    };
    let bytes_before = |key: &[u8]| {
        let range = KeyRange { start: first.as_slice().into(), end: Some(key.into()) };
        partition.shard.bytes_in(&partition.handle, &range)
    };
    let wanted = partition.shard.bytes_in(&partition.handle, range)? as f64 * share;
    let (mut low, mut high) = (first.clone(), last_key(partition, range)?);
    for _ in 0..STEPS_MAX {
        let middle = midpoint(&low, &high);
        let before = bytes_before(&middle)? as f64;
        if (before - wanted).abs() <= wanted * CLOSE_ENOUGH {
            low = middle;
            break;
        }
        if before < wanted { low = middle } else { high = middle }
    }
    let mut cursor = rows(partition, range, &low)?;
    if cursor.key() == Some(&first) {
        cursor.advance();
    }
    cursor.status()?;
    Ok(cursor.key().map(<[u8]>::to_vec))
}

fn last_key(partition: &OpenPartition, range: &KeyRange) -> Result<Vec<u8>> {
    let filter = RowFilter::Keys(range.clone());
    let all = KeyRange::default();
    let last = PartitionCursor::open(partition, filter, &all, Direction::Reverse, Read::PRESENT)?;
    last.status()?;
    Ok(last.key().map(<[u8]>::to_vec).unwrap_or_default())
}

/// Returns the string halfway between two, read as fractions to the base 256, with one more digit.
fn midpoint(low: &[u8], high: &[u8]) -> Vec<u8> {
    let digits = low.len().max(high.len()) + 1;
    let digit = |key: &[u8], at: usize| u16::from(key.get(at).copied().unwrap_or(0));
    let mut sum = vec![0_u16; digits];
    let mut carry = 0;
    for (at, place) in sum.iter_mut().enumerate().rev() {
        let total = digit(low, at) + digit(high, at) + carry;
        *place = total & 0xff;
        carry = total >> 8;
    }
    let mut middle = Vec::with_capacity(digits);
    for place in sum {
        let value = place + (carry << 8);
        middle.push((value >> 1) as u8);
        carry = value & 1;
    }
    while middle.last() == Some(&0) {
        middle.pop();
    }
    middle
}

#[cfg(test)]
mod tests {
    use super::midpoint;

    #[test]
    fn midpoints_lie_between() {
        assert_eq!(midpoint(b"a", b"c"), b"b");
        assert_eq!(midpoint(b"a", b"b"), b"a\x80");
        assert_eq!(midpoint(b"", b"\xff\xff"), b"\x7f\xff\x80");
        assert_eq!(midpoint(b"\xff", b"\xff\xff"), b"\xff\x7f\x80");
        let pairs: [(&[u8], &[u8]); 3] =
            [(b"key/0001", b"key/0002"), (b"", b"\x01"), (b"\xfe\xff", b"\xff")];
        for (low, high) in pairs {
            let middle = midpoint(low, high);
            assert!(low < middle.as_slice() && middle.as_slice() < high, "{middle:?}");
        }
    }
}
