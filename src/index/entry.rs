//! The entries of an index, as rows of its keyspace. Pure.
//!
//! ```text
//! index key, each 00 as 00 FF | 00 01 | key of the row     value: nothing           not unique
//! index key, each 00 as 00 FF | 00 01                      value: key of the row    unique
//! 00 00                                                    the marker: format, version, uniqueness
//! ```
//!
//! Entries have the order of their index keys, since the end `00 01` is less than everything that
//! can follow in a longer index key, and no entry begins with the marker's bytes. Those of a unique
//! index have one place for each index key, so two rows that want it meet there.

use crate::placement::KeyRange;
use std::ops::Bound;

/// Where an index says that it is complete.
pub(crate) const MARKER: &[u8] = &[0, 0];

/// How the format of entries begins the value of a marker.
const FORMAT: u8 = 1;

const ESCAPE: u8 = 0xFF;
const END: u8 = 1;

/// What the marker of a complete index says of its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) unique: bool,
    pub(crate) version: u32,
}

impl Form {
    /// Returns the value of the marker: format, uniqueness, and version.
    pub(crate) fn marker(self) -> Vec<u8> {
        [&[FORMAT, u8::from(self.unique)][..], &self.version.to_be_bytes()].concat()
    }
}

/// Returns what the value of a marker says; `None` if it is of another format.
pub(crate) fn parse_marker(value: &[u8]) -> Option<Form> {
    let (&[FORMAT, unique @ (0 | 1)], version) = value.split_first_chunk()? else { return None };
    Some(Form { unique: unique == 1, version: u32::from_be_bytes(version.try_into().ok()?) })
}

/// Appends an index key and, after it, what follows its entries' common beginning.
fn encode(index_key: &[u8], end: u8) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(index_key.len() + 2);
    for byte in index_key {
        bytes.push(*byte);
        if *byte == 0 {
            bytes.push(ESCAPE);
        }
    }
    bytes.extend([0, end]);
    bytes
}

/// Returns the entry of a row: key and value.
pub(crate) fn entry(unique: bool, index_key: &[u8], row: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut key = encode(index_key, END);
    if unique {
        return (key, row.to_vec());
    }
    key.extend_from_slice(row);
    (key, Vec::new())
}

/// Returns the index key and the key of the row that an entry has; `None` if it is none.
pub(crate) fn parse_entry(unique: bool, key: &[u8], value: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut index_key = Vec::with_capacity(key.len());
    let mut rest = key;
    loop {
        let (byte, after) = rest.split_first()?;
        rest = after;
        if *byte != 0 {
            index_key.push(*byte);
            continue;
        }
        let (code, after) = rest.split_first()?;
        rest = after;
        match *code {
            ESCAPE => index_key.push(0),
            END => break,
            _ => return None,
        }
    }
    match (unique, rest.is_empty(), value.is_empty()) {
        (true, true, _) => Some((index_key, value.to_vec())),
        (false, _, true) => Some((index_key, rest.to_vec())),
        _ => None,
    }
}

/// Returns the range of the entries whose index keys are within bounds, without the marker.
pub(crate) fn entry_range(start: Bound<&[u8]>, end: Bound<&[u8]>) -> KeyRange {
    let start = match start {
        Bound::Included(key) => encode(key, END),
        Bound::Excluded(key) => encode(key, END + 1),
        Bound::Unbounded => encode(&[], END),
    };
    let end = match end {
        Bound::Included(key) => Some(encode(key, END + 1)),
        Bound::Excluded(key) => Some(encode(key, END)),
        Bound::Unbounded => None,
    };
    KeyRange::new(start, end)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const KEYS: [&[u8]; 10] =
        [b"", b"\0", b"\0\0", b"\0\x01", b"\0a", b"\x01", b"a", b"a\0", b"a\0\xff", b"\xff"];

    #[test]
    fn entries_have_the_order_of_their_index_keys_and_come_back() {
        assert!(KEYS.is_sorted());
        for unique in [true, false] {
            let mut entries = Vec::new();
            for index_key in KEYS {
                // Of a unique index there is one entry for each index key.
                for row in KEYS.iter().take(if unique { 1 } else { KEYS.len() }) {
                    let (key, value) = entry(unique, index_key, row);
                    let parsed = parse_entry(unique, &key, &value).unwrap();
                    assert_eq!(parsed, (index_key.to_vec(), row.to_vec()));
                    assert!(key.as_slice() > MARKER && !key.starts_with(MARKER));
                    entries.push(key);
                }
            }
            assert!(entries.is_sorted_by(|a, b| a < b), "unique: {unique}");
        }
    }

    #[test]
    fn ranges_have_the_entries_of_their_index_keys() {
        use Bound::{Excluded, Included, Unbounded};
        for unique in [true, false] {
            for low in KEYS {
                for high in KEYS {
                    let range_of = |bounds: (Bound<&[u8]>, Bound<&[u8]>)| {
                        let range = entry_range(bounds.0, bounds.1);
                        assert!(!range.contains(MARKER));
                        KEYS.map(|key| range.contains(&entry(unique, key, b"\xff\xff").0))
                    };
                    let keys = |keep: &dyn Fn(&&[u8]) -> bool| KEYS.map(|key| keep(&key));
                    assert_eq!(
                        range_of((Included(low), Excluded(high))),
                        keys(&|key| *key >= low && *key < high)
                    );
                    assert_eq!(
                        range_of((Excluded(low), Included(high))),
                        keys(&|key| *key > low && *key <= high)
                    );
                    assert_eq!(range_of((Unbounded, Unbounded)), keys(&|_| true));
                }
            }
        }
    }

    #[test]
    fn a_marker_comes_back_and_none_of_another_format() {
        for form in [Form { unique: true, version: 7 }, Form { unique: false, version: u32::MAX }] {
            let mut marker = form.marker();
            assert_eq!(parse_marker(&marker), Some(form));
            marker.push(0);
            assert_eq!(parse_marker(&marker), None);
        }
        for other in [&[][..], &[1], &[1, 2, 0, 0, 0, 7], &[2, 1, 0, 0, 0, 7]] {
            assert_eq!(parse_marker(other), None, "{other:?}");
        }
    }

    #[test]
    fn what_is_no_entry_is_none() {
        let none: [(bool, &[u8], &[u8]); 6] = [
            (false, b"", b""),
            (false, MARKER, b""),
            (false, b"a", b""),
            (false, b"a\0", b""),
            (true, b"a\0\x01row", b"row"),
            (false, b"a\0\x01row", b"value"),
        ];
        for (unique, key, value) in none {
            assert_eq!(parse_entry(unique, key, value), None, "{key:?}");
        }
    }
}
