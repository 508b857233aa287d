//! Scans of typed keyspaces as streams.

use crate::scan::Scan;
use annulus::Result;
use annulus::tuple::Key;
use annulus::typed::{Codec, Postcard, TypedKeyspace};
use futures_core::Stream;
use futures_core::stream::FusedStream;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Rows in the order of their keys, each decoded in the task that polls, as a [`Stream`]. Read as a
/// [`Scan`] is.
///
/// A row that does not decode is an error of kind [`WrongType`](annulus::ErrorKind::WrongType), and the
/// stream goes on with the next row if it is polled again. Every other error ends it.
pub struct TypedScan<K, V, C = Postcard> {
    scan: Scan,
    typed: TypedKeyspace<K, V, C>,
}

impl<K: Key, V, C: Codec<V>> TypedScan<K, V, C> {
    pub(super) const fn new(scan: Scan, typed: TypedKeyspace<K, V, C>) -> Self {
        Self { scan, typed }
    }

    /// Returns the next row; `None` at the end.
    ///
    /// Dropping the future loses nothing: the row comes with the next call.
    pub async fn next(&mut self) -> Option<Result<(K, V)>> {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<(K, V)>>> {
        let row = ready!(Pin::new(&mut self.scan).poll_next(context));
        let decode = |(key, value): (Vec<u8>, Vec<u8>)| self.typed.decode_row(&key, &value);
        Poll::Ready(row.map(|row| row.and_then(decode)))
    }
}

impl<K: Key, V, C: Codec<V> + Unpin> Stream for TypedScan<K, V, C> {
    type Item = Result<(K, V)>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll(context)
    }
}

impl<K: Key, V, C: Codec<V> + Unpin> FusedStream for TypedScan<K, V, C> {
    fn is_terminated(&self) -> bool {
        self.scan.is_terminated()
    }
}

impl<K, V, C> fmt::Debug for TypedScan<K, V, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedScan").field("keyspace", &self.typed).finish_non_exhaustive()
    }
}
