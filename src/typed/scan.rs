//! Scans of typed keyspaces.

use super::{Codec, Postcard, decode_key, decode_value};
use crate::error::Result;
use crate::read::{LeftOut, Scan};
use crate::tuple::Key;
use std::fmt;
use std::marker::PhantomData;

/// Rows in the order of their keys, each decoded: an iterator of keys and values.
///
/// What it sees is what a [`Scan`] sees. A row that does not decode is an error of kind
/// [`WrongType`](crate::ErrorKind::WrongType), and the scan goes on with the next row if it is
/// asked to. Every other error ends it.
pub struct TypedScan<K, V, C = Postcard> {
    scan: Scan,
    keyspace: String,
    codec: C,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K: Key, V, C: Codec<V>> TypedScan<K, V, C> {
    pub(super) fn new(scan: Scan, keyspace: &str, codec: C) -> Self {
        Self { scan, keyspace: keyspace.to_owned(), codec, types: PhantomData }
    }

    /// Returns what was left out so far because it is damaged; see [`Scan::left_out`].
    #[must_use]
    pub fn left_out(&self) -> Vec<LeftOut> {
        self.scan.left_out()
    }
}

impl<K: Key, V, C: Codec<V>> Iterator for TypedScan<K, V, C> {
    type Item = Result<(K, V)>;

    fn next(&mut self) -> Option<Self::Item> {
        let (keyspace, codec) = (&self.keyspace, &self.codec);
        let row = self.scan.next_row().transpose()?;
        Some(row.and_then(|row| decode_row(codec, keyspace, row)))
    }
}

pub(super) fn decode_row<K: Key, V>(
    codec: &impl Codec<V>,
    keyspace: &str,
    (key, value): (&[u8], &[u8]),
) -> Result<(K, V)> {
    let decoded = decode_key(keyspace, key)?;
    Ok((decoded, decode_value(codec, keyspace, key, value)?))
}

impl<K: Key, V, C: Codec<V>> std::iter::FusedIterator for TypedScan<K, V, C> {}

impl<K, V, C> fmt::Debug for TypedScan<K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedScan").field("keyspace", &self.keyspace).finish_non_exhaustive()
    }
}
