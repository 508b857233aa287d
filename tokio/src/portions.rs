//! What streams of rows, entries and jobs have in common: they are read on the pool, some at a time,
//! when the stream is asked and has none left.
//!
//! Between two readings a stream has one portion and the open reader, and no place in the pool. Portions
//! grow, so that a stream that is dropped after its first items has read few.

use crate::inner::Inner;
use crate::on_pool::OnPool;
use annulus::{Error, Result};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// How many items the first portion has at most; each has up to four times as many as the one before.
const ITEMS_FIRST: usize = 64;
const ITEMS_MAX: usize = 4096;

/// A portion ends with the item that makes it this large.
pub(crate) const BYTES_MAX: usize = 128 << 10;

/// A reader of items, which may wait.
pub(crate) trait Source: Send + 'static {
    type Item: Send + 'static;

    /// Reads up to this many items, fewer if they have [`BYTES_MAX`] bytes. Returns true if there may be
    /// more; an error comes after the items that were read before it.
    fn read(&mut self, items_max: usize, items: &mut Vec<Self::Item>) -> Result<bool>;
}

type Reading<S> = Pin<Box<dyn Future<Output = Result<Portion<S>>> + Send>>;

pub(crate) struct Portions<S: Source> {
    inner: Arc<Inner>,
    items: std::vec::IntoIter<S::Item>,
    items_max: usize,
    state: State<S>,
}

enum State<S: Source> {
    /// More is to be read.
    Open(OnPool<S>),
    Reading(Reading<S>),
    Failed(Error),
    Ended,
}

/// What one visit to the pool has read.
struct Portion<S: Source> {
    items: Vec<S::Item>,
    then: Then<S>,
}

enum Then<S> {
    More(S),
    Failed(Error),
    End,
}

/// Reads a portion.
fn read<S: Source>(mut source: S, items_max: usize) -> Portion<S> {
    let mut items = Vec::new();
    let then = match source.read(items_max, &mut items) {
        Ok(true) => Then::More(source),
        Ok(false) => Then::End,
        Err(error) => Then::Failed(error),
    };
    Portion { items, then }
}

impl<S: Source> Portions<S> {
    /// Opens a reader and reads the first portion, in one visit to the pool. An error before the first
    /// item is one of the opening.
    pub(crate) async fn open(
        inner: &Arc<Inner>,
        open: impl FnOnce() -> Result<S> + Send + 'static,
    ) -> Result<Self> {
        let read_first = move || match read(open()?, ITEMS_FIRST) {
            Portion { items, then: Then::Failed(error) } if items.is_empty() => Err(error),
            first => Ok(first),
        };
        let first = inner.pool().run(read_first).await?;
        let (inner, items) = (Arc::clone(inner), Vec::new().into_iter());
        let mut portions = Self { inner, items, items_max: ITEMS_FIRST, state: State::Ended };
        portions.take(first);
        Ok(portions)
    }

    /// Returns how many items are read and not returned yet.
    pub(crate) fn read_ahead(&self) -> usize {
        self.items.len()
    }

    fn take(&mut self, portion: Portion<S>) {
        self.items = portion.items.into_iter();
        self.items_max = (self.items_max * 4).min(ITEMS_MAX);
        self.state = match portion.then {
            Then::More(source) => State::Open(OnPool::new(source, Arc::clone(&self.inner))),
            Then::Failed(error) => State::Failed(error),
            Then::End => State::Ended,
        };
    }

    fn begin_reading(&self, source: S) -> State<S> {
        let (inner, items_max) = (Arc::clone(&self.inner), self.items_max);
        let reading = async move { inner.pool().run(move || Ok(read(source, items_max))).await };
        State::Reading(Box::pin(reading))
    }

    /// As a stream does. After an error it ends.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<S::Item>>> {
        loop {
            if let Some(item) = self.items.next() {
                return Poll::Ready(Some(Ok(item)));
            }
            match &mut self.state {
                State::Reading(reading) => match ready!(reading.as_mut().poll(context)) {
                    Ok(portion) => self.take(portion),
                    Err(error) => self.state = State::Failed(error),
                },
                state => match std::mem::replace(state, State::Ended) {
                    State::Open(source) => {
                        let Some(source) = source.take() else { continue };
                        self.state = self.begin_reading(source);
                    }
                    State::Failed(error) => return Poll::Ready(Some(Err(error))),
                    _ => return Poll::Ready(None),
                },
            }
        }
    }

    pub(crate) fn is_terminated(&self) -> bool {
        self.items.len() == 0 && matches!(self.state, State::Ended)
    }
}

/// Makes a type with the field `portions` a stream of their items.
macro_rules! stream_of_portions {
    ($type:ident, $item:ty, $what:literal) => {
        impl $type {
            #[doc = concat!("Returns the next ", $what, "; `None` at the end, and after an error.")]
            ///
            /// Dropping the future loses nothing: it comes with the next call.
            pub async fn next(&mut self) -> Option<annulus::Result<$item>> {
                std::future::poll_fn(|context| self.portions.poll_next(context)).await
            }
        }

        impl futures_core::Stream for $type {
            type Item = annulus::Result<$item>;

            fn poll_next(
                self: std::pin::Pin<&mut Self>,
                context: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Option<Self::Item>> {
                self.get_mut().portions.poll_next(context)
            }
        }

        impl futures_core::stream::FusedStream for $type {
            fn is_terminated(&self) -> bool {
                self.portions.is_terminated()
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($type))
                    .field("read_ahead", &self.portions.read_ahead())
                    .finish_non_exhaustive()
            }
        }
    };
}

pub(crate) use stream_of_portions;
