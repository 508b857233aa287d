//! Keys as YCSB makes them: `user` and a number of 19 digits.
//!
//! The number is the FNV-1a hash of the record's number (Fowler, Noll, Vo; 64 bits, over the eight
//! bytes of the number, the lowest first), without its sign. YCSB pads numbers on demand, here they
//! are always padded, so that keys of one length sort as their numbers do and are spread evenly
//! over `user0000000000000000000` to `user9223372036854775807`. `insertorder=ordered` is
//! [`KeyOrder::Ordered`]: the number of the record itself, for loads that come in key order.

use serde::Serialize;

const PREFIX: [u8; 4] = *b"user";
const DIGITS: usize = 19;

/// Bytes of each key.
pub const KEY_BYTES: usize = PREFIX.len() + DIGITS;

/// A key.
pub type Key = [u8; KEY_BYTES];

/// Whether keys follow the order in which records are inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum KeyOrder {
    /// Inserts fall anywhere
    #[default]
    Hashed,
    /// Each insert comes after all others
    Ordered,
}

/// The keys of numbered records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keys {
    order: KeyOrder,
}

impl Keys {
    /// Creates the keys in an order.
    #[must_use]
    pub const fn new(order: KeyOrder) -> Self {
        Self { order }
    }

    /// Returns the number in a record's key.
    #[must_use]
    #[inline]
    pub const fn number(self, record: u64) -> u64 {
        match self.order {
            KeyOrder::Hashed => fnv1a(record).cast_signed().unsigned_abs(),
            KeyOrder::Ordered => record,
        }
    }

    /// Returns a record's key.
    #[must_use]
    #[inline]
    pub fn key(self, record: u64) -> Key {
        key_of_number(self.number(record))
    }

    /// Returns the bound that the numbers in the keys of the first `records` are below, spread
    /// evenly.
    pub(crate) const fn numbers(self, records: u64) -> u64 {
        match self.order {
            KeyOrder::Hashed => 1 << 63,
            KeyOrder::Ordered => records,
        }
    }

    /// Returns the keys that divide this many records into parts of the same size: one fewer than
    /// parts.
    #[must_use]
    pub fn boundaries(self, records: u64, parts: u64) -> Vec<Vec<u8>> {
        let end = u128::from(self.numbers(records));
        let at = |part: u64| (end * u128::from(part) / u128::from(parts.max(1))) as u64;
        let mut keys: Vec<Vec<u8>> =
            (1..parts).map(|part| key_of_number(at(part)).to_vec()).collect();
        // More parts than records.
        keys.dedup();
        keys.retain(|key| *key != key_of_number(0));
        keys
    }
}

/// Returns the key with a number, of which the last 19 digits count.
#[inline]
pub(crate) fn key_of_number(number: u64) -> Key {
    let mut key = [b'0'; KEY_BYTES];
    let (prefix, digits) = key.split_at_mut(PREFIX.len());
    prefix.copy_from_slice(&PREFIX);
    // In two parts that do not wait for each other.
    let (high, low) = (number / 10_000_000_000, number % 10_000_000_000);
    let (first, last) = digits.split_at_mut(DIGITS - 10);
    write_digits(first, high);
    let (middle, end) = last.split_at_mut(5);
    write_digits(middle, low / 100_000);
    write_digits(end, low % 100_000);
    key
}

#[inline]
fn write_digits(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[inline]
const fn fnv1a(mut number: u64) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut octet = 0;
    while octet < 8 {
        hash = (hash ^ (number & 0xff)).wrapping_mul(0x0000_0100_0000_01b3);
        number >>= 8;
        octet += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn keys_are_those_of_ycsb_padded() {
        // The first key that YCSB loads, without its sign.
        let first = 0xcbf2_9ce4_8422_2325_u64;
        let hashed = (0..8).fold(first, |hash, _| hash.wrapping_mul(1_099_511_628_211));
        let number = (hashed as i64).unsigned_abs();
        assert_eq!(number, 6_284_781_860_667_377_211);
        assert_eq!(Keys::default().key(0), *b"user6284781860667377211");
        assert_eq!(Keys::new(KeyOrder::Ordered).key(42), *b"user0000000000000000042");
        assert_eq!(key_of_number(1 << 63), *b"user9223372036854775808");
    }

    #[test]
    fn no_two_records_share_a_key() {
        let keys: BTreeSet<u64> = (0..200_000).map(|n| Keys::default().number(n)).collect();
        assert_eq!(keys.len(), 200_000);
    }

    #[test]
    fn boundaries_part_the_records_evenly() {
        for order in [KeyOrder::Hashed, KeyOrder::Ordered] {
            let keys = Keys::new(order);
            let boundaries = keys.boundaries(100_000, 16);
            assert_eq!(boundaries.len(), 15);
            let mut parts = [0_u64; 16];
            for record in 0..100_000 {
                let key = keys.key(record);
                parts[boundaries.partition_point(|boundary| boundary[..] <= key[..])] += 1;
            }
            for part in parts {
                assert!((5_900..=6_600).contains(&part), "{order:?}: {parts:?}");
            }
        }
        assert!(Keys::new(KeyOrder::Ordered).boundaries(2, 8).len() < 7);
        assert!(Keys::default().boundaries(10, 1).is_empty());
    }
}
