//! Scans as streams.
//!
//! Rows are read on the pool, some at a time, when the stream is asked and has none left: between two
//! readings it holds one portion of rows and the open iterator, and no place in the pool. Portions
//! grow, so that a stream that is dropped after its first rows has read few.

use crate::inner::Inner;
use crate::on_pool::OnPool;
use annulus::{Error, Result};
use futures_core::Stream;
use futures_core::stream::FusedStream;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// How many rows the first portion has at most; each has up to four times as many as the one before.
const ROWS_FIRST: usize = 64;
const ROWS_MAX: usize = 4096;

/// A portion ends with the row that makes it this large.
const BYTES_MAX: usize = 128 << 10;

type Row = (Vec<u8>, Vec<u8>);
type Reading = Pin<Box<dyn Future<Output = Result<Portion>> + Send>>;

/// Rows in key order, as a [`Stream`]; see [`annulus::Scan`] for what it sees.
///
/// It reads ahead no more than one portion of rows, up to 128 KiB and the last row, and reads nothing
/// while it is not polled. After an error it ends. Dropping it ends the scan.
pub struct Scan {
    inner: Arc<Inner>,
    rows: std::vec::IntoIter<Row>,
    rows_max: usize,
    state: State,
}

enum State {
    /// More is to be read.
    Open(OnPool<annulus::Scan>),
    Reading(Reading),
    Failed(Error),
    Ended,
}

/// What one visit to the pool has read.
struct Portion {
    rows: Vec<Row>,
    then: Then,
}

enum Then {
    More(annulus::Scan),
    Failed(Error),
    End,
}

/// Reads a portion.
fn read(mut scan: annulus::Scan, rows_max: usize) -> Portion {
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while rows.len() < rows_max && bytes < BYTES_MAX {
        match scan.next_row() {
            Ok(Some((key, value))) => {
                bytes += key.len() + value.len();
                rows.push((key.to_vec(), value.to_vec()));
            }
            Ok(None) => return Portion { rows, then: Then::End },
            Err(error) => return Portion { rows, then: Then::Failed(error) },
        }
    }
    Portion { rows, then: Then::More(scan) }
}

impl Scan {
    /// Opens a scan and reads the first portion, in one visit to the pool.
    pub(crate) async fn open(
        inner: &Arc<Inner>,
        open: impl FnOnce() -> Result<annulus::Scan> + Send + 'static,
    ) -> Result<Self> {
        let first = inner.pool().run(move || open().map(|scan| read(scan, ROWS_FIRST))).await?;
        let (inner, rows) = (Arc::clone(inner), Vec::new().into_iter());
        let mut scan = Self { inner, rows, rows_max: ROWS_FIRST, state: State::Ended };
        scan.take(first);
        Ok(scan)
    }

    /// Returns the next row; `None` at the end, and after an error.
    ///
    /// Dropping the future loses nothing: the row comes with the next call.
    pub async fn next(&mut self) -> Option<Result<Row>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    fn take(&mut self, portion: Portion) {
        self.rows = portion.rows.into_iter();
        self.rows_max = (self.rows_max * 4).min(ROWS_MAX);
        self.state = match portion.then {
            Then::More(scan) => State::Open(OnPool::new(scan, Arc::clone(&self.inner))),
            Then::Failed(error) => State::Failed(error),
            Then::End => State::Ended,
        };
    }

    fn begin_reading(&self, scan: annulus::Scan) -> State {
        let (inner, rows_max) = (Arc::clone(&self.inner), self.rows_max);
        let reading = async move { inner.pool().run(move || Ok(read(scan, rows_max))).await };
        State::Reading(Box::pin(reading))
    }
}

impl Stream for Scan {
    type Item = Result<Row>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(row) = this.rows.next() {
                return Poll::Ready(Some(Ok(row)));
            }
            match &mut this.state {
                State::Reading(reading) => match ready!(reading.as_mut().poll(context)) {
                    Ok(portion) => this.take(portion),
                    Err(error) => this.state = State::Failed(error),
                },
                state => match std::mem::replace(state, State::Ended) {
                    State::Open(scan) => {
                        let Some(scan) = scan.take() else { continue };
                        this.state = this.begin_reading(scan);
                    }
                    State::Failed(error) => return Poll::Ready(Some(Err(error))),
                    _ => return Poll::Ready(None),
                },
            }
        }
    }
}

impl FusedStream for Scan {
    fn is_terminated(&self) -> bool {
        self.rows.len() == 0 && matches!(self.state, State::Ended)
    }
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan").field("rows_read", &self.rows.len()).finish_non_exhaustive()
    }
}
