//! Readers of changes as streams.

use crate::feed::{Feed, Source};
use crate::inner::Inner;
use crate::keyspace::Keyspace;
use crate::store::Store;
use annulus::changes::{Commit, Wakeup, Watched};
use annulus::log::Position;
use annulus::{ChangesBuilder, Result};
use futures_core::Stream;
use futures_core::stream::FusedStream;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// The commits of a store, one after the other, as a [`Stream`]: [`annulus::changes::Changes`].
///
/// It ends when the store is closed or shut down. Up to 256 commits, or 1 MiB and one commit, are
/// read at a time, on the pool, when the stream is asked and has none left; while there are none, it
/// waits in its task, and occupies neither a thread nor a place. What a stream that is polled seldom
/// has not read is in the log, within the bounds of
/// [`changes_keep_bytes`](annulus::Options::changes_keep_bytes).
pub struct Changes {
    feed: Feed<annulus::changes::Changes>,
    watermark: Position,
}

impl Store {
    /// Begins to read the store's changes: see [`annulus::Store::changes`]. `choose` says from where,
    /// and which.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = annulus_tokio::Store::open(directory.path().join("store")).await?;
    /// # let users = store.create_keyspace("users", annulus::topology::KeyspaceSpec::hash()).await?;
    /// let handle = users.blocking().clone();
    /// let mut changes = store.changes(move |changes| changes.keyspace(&handle)).await?;
    /// users.put("ada", "countess").await?;
    /// let commit = changes.next().await.expect("the store is open")?;
    /// assert_eq!(commit.changes().next().expect("a change").key(), b"ada");
    /// # store.shutdown().await
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`ChangesBuilder::open`] and of [`run`](Self::run).
    pub async fn changes(
        &self,
        choose: impl FnOnce(ChangesBuilder) -> ChangesBuilder + Send + 'static,
    ) -> Result<Changes> {
        let changes = self.run(|store| choose(store.changes()).open()).await?;
        Ok(Changes::new(changes, &self.inner))
    }

    /// Returns the commits from now on that concern keys of a keyspace with a prefix: see
    /// [`annulus::Store::watch`].
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Store::watch`] and of [`run`](Self::run).
    pub async fn watch(&self, keyspace: &Keyspace, prefix: impl AsRef<[u8]>) -> Result<Watch> {
        let (keyspace, prefix) = (keyspace.blocking().clone(), prefix.as_ref().to_vec());
        let watch = self.run(move |store| store.watch(&keyspace, prefix)).await?;
        Ok(Watch::new(watch, &self.inner))
    }
}

impl Changes {
    pub(crate) fn new(changes: annulus::changes::Changes, inner: &Arc<Inner>) -> Self {
        Self { watermark: changes.watermark(), feed: Feed::new(changes, inner) }
    }

    /// Returns up to where everything was seen, as [`annulus::changes::Changes::watermark`] does: of
    /// what this stream has returned, not of what it has read.
    #[must_use]
    pub fn watermark(&self) -> Position {
        // With everything returned, the reader may be further: past what its filter does not want.
        self.feed.source().map_or(self.watermark, |changes| changes.watermark())
    }

    /// Returns the next commit; waits for it. `None` when the store is closed, and after an error.
    ///
    /// Dropping the future loses nothing: the commit comes with the next call.
    pub async fn next(&mut self) -> Option<Result<Commit>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Source for annulus::changes::Changes {
    type Item = Commit;

    fn try_next(&mut self) -> Result<Option<Commit>> {
        self.try_next()
    }

    fn wake_when_ready(&mut self, waker: &Waker) -> Wakeup {
        self.wake_when_ready(waker)
    }

    fn bytes(commit: &Commit) -> u64 {
        commit.end().get().saturating_sub(commit.position().get())
    }
}

impl Stream for Changes {
    type Item = Result<Commit>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let next = this.feed.poll_next(context);
        if let Poll::Ready(Some(Ok(commit))) = &next {
            this.watermark = commit.end();
        }
        next
    }
}

impl FusedStream for Changes {
    fn is_terminated(&self) -> bool {
        self.feed.is_terminated()
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changes").field("watermark", &self.watermark()).finish_non_exhaustive()
    }
}

/// The commits from a moment on, as a [`Stream`]: [`annulus::changes::Watch`]. Waits and reads as
/// [`Changes`] does.
pub struct Watch {
    feed: Feed<annulus::changes::Watch>,
}

impl Watch {
    pub(crate) fn new(watch: annulus::changes::Watch, inner: &Arc<Inner>) -> Self {
        Self { feed: Feed::new(watch, inner) }
    }

    /// Returns what was seen next; waits for it. `None` when the store is closed, and after an error.
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<Watched>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Source for annulus::changes::Watch {
    type Item = Watched;

    fn try_next(&mut self) -> Result<Option<Watched>> {
        self.try_next()
    }

    fn wake_when_ready(&mut self, waker: &Waker) -> Wakeup {
        self.wake_when_ready(waker)
    }

    fn bytes(watched: &Watched) -> u64 {
        match watched {
            Watched::Commit(commit) => <annulus::changes::Changes as Source>::bytes(commit),
            Watched::Dropped { .. } => 0,
        }
    }
}

impl Stream for Watch {
    type Item = Result<Watched>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().feed.poll_next(context)
    }
}

impl FusedStream for Watch {
    fn is_terminated(&self) -> bool {
        self.feed.is_terminated()
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}
