//! What streams of changes have in common: they read on the pool what is there, and then wait in
//! their task, where they occupy no thread.

use crate::inner::Inner;
use crate::on_pool::OnPool;
use annulus::changes::Wakeup;
use annulus::{Error, ErrorKind, Result};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use tokio::time::{Instant, Sleep, sleep_until};

/// One portion has at most this many items, and ends with the one that makes it this large.
const ITEMS_MAX: usize = 256;
const BYTES_MAX: u64 = 1 << 20;

/// A reader of changes that does not wait.
pub(crate) trait Source: Send + 'static {
    type Item: Send + 'static;

    /// Returns what comes next, or `None` if there is nothing as of now.
    fn try_next(&mut self) -> Result<Option<Self::Item>>;
    /// Has a task woken when there may be more.
    fn wake_when_ready(&mut self, waker: &Waker) -> Wakeup;
    /// Returns about how many bytes an item has.
    fn bytes(item: &Self::Item) -> u64;
}

type Reading<S> = Pin<Box<dyn Future<Output = Result<Portion<S>>> + Send>>;

pub(crate) struct Feed<S: Source> {
    inner: Arc<Inner>,
    items: std::vec::IntoIter<S::Item>,
    state: State<S>,
}

enum State<S: Source> {
    /// More may be there.
    Open(OnPool<S>),
    Reading(Reading<S>),
    /// Nothing was there; with the moment at which to ask again.
    Waiting(OnPool<S>, Option<Pin<Box<Sleep>>>),
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
    Wait(S),
    Failed(Error),
}

/// Reads a portion.
fn read<S: Source>(mut source: S) -> Portion<S> {
    let (mut items, mut bytes) = (Vec::new(), 0);
    while items.len() < ITEMS_MAX && bytes < BYTES_MAX {
        match source.try_next() {
            Ok(Some(item)) => {
                bytes += S::bytes(&item);
                items.push(item);
            }
            Ok(None) => return Portion { items, then: Then::Wait(source) },
            Err(error) => return Portion { items, then: Then::Failed(error) },
        }
    }
    Portion { items, then: Then::More(source) }
}

impl<S: Source> Feed<S> {
    pub(crate) fn new(source: S, inner: &Arc<Inner>) -> Self {
        let state = State::Open(OnPool::new(source, Arc::clone(inner)));
        Self { inner: Arc::clone(inner), items: Vec::new().into_iter(), state }
    }

    /// Returns the reader, if everything it has returned has been returned by this.
    pub(crate) fn source(&self) -> Option<&S> {
        match &self.state {
            State::Open(source) | State::Waiting(source, _) if self.items.len() == 0 => {
                source.get()
            }
            _ => None,
        }
    }

    fn begin_reading(&self, source: S) -> State<S> {
        let inner = Arc::clone(&self.inner);
        State::Reading(Box::pin(async move { inner.pool().run(move || Ok(read(source))).await }))
    }

    fn take(&mut self, portion: Portion<S>) {
        self.items = portion.items.into_iter();
        let on_pool = |source| OnPool::new(source, Arc::clone(&self.inner));
        self.state = match portion.then {
            Then::More(source) => State::Open(on_pool(source)),
            Then::Wait(source) => State::Waiting(on_pool(source), None),
            Then::Failed(error) => State::Failed(error),
        };
    }

    /// As a stream does. Ends when the store is closed, or its pool.
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
                State::Waiting(source, sleep) => {
                    if let Some(source) = source.get_mut() {
                        ready!(poll_more(source, sleep, context));
                    }
                    self.go_on();
                }
                _ => match std::mem::replace(&mut self.state, State::Ended) {
                    State::Open(source) => {
                        let Some(source) = source.take() else { continue };
                        self.state = self.begin_reading(source);
                    }
                    State::Failed(error) if error.kind() != ErrorKind::Closed => {
                        return Poll::Ready(Some(Err(error)));
                    }
                    _ => return Poll::Ready(None),
                },
            }
        }
    }

    fn go_on(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Ended) {
            State::Waiting(source, _) => State::Open(source),
            state => state,
        };
    }

    pub(crate) fn is_terminated(&self) -> bool {
        self.items.len() == 0 && matches!(self.state, State::Ended)
    }
}

/// Is ready when a reader is to be asked again.
fn poll_more<S: Source>(
    source: &mut S,
    sleep: &mut Option<Pin<Box<Sleep>>>,
    context: &mut Context<'_>,
) -> Poll<()> {
    let due = match source.wake_when_ready(context.waker()) {
        Wakeup::Ready => return Poll::Ready(()),
        Wakeup::Registered { due } => due,
    };
    let Some(due) = due.map(Instant::from_std) else { return Poll::Pending };
    sleep.get_or_insert_with(|| Box::pin(sleep_until(due))).as_mut().poll(context)
}
