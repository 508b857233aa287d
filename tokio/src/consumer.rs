//! Consumers.

use crate::changes::Changes;
use crate::inner::Inner;
use crate::store::Store;
use annulus::changes::ChangesFrom;
use annulus::log::Position;
use annulus::{ChangesBuilder, Result};
use std::fmt;
use std::sync::Arc;

/// A named reader of changes whose position is stored in the store: [`annulus::Consumer`].
#[derive(Clone)]
pub struct Consumer {
    consumer: annulus::Consumer,
    inner: Arc<Inner>,
}

impl Store {
    /// As [`annulus::Store::consumer`].
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Store::consumer`] and of [`run`](Self::run).
    pub async fn consumer(&self, name: &str) -> Result<Consumer> {
        let name = name.to_owned();
        let consumer = self.run(move |store| store.consumer(&name)).await?;
        Ok(Consumer::new(consumer, &self.inner))
    }

    /// As [`annulus::Store::consumer_or_create`].
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Store::consumer_or_create`] and of [`run`](Self::run).
    pub async fn consumer_or_create(
        &self,
        name: &str,
        from: impl Into<ChangesFrom>,
    ) -> Result<Consumer> {
        let (name, from) = (name.to_owned(), from.into());
        let consumer = self.run(move |store| store.consumer_or_create(&name, from)).await?;
        Ok(Consumer::new(consumer, &self.inner))
    }
}

impl Consumer {
    pub(crate) fn new(consumer: annulus::Consumer, inner: &Arc<Inner>) -> Self {
        Self { consumer, inner: Arc::clone(inner) }
    }

    /// Returns the handle for threads that may wait, and for
    /// [`commit_in`](annulus::Consumer::commit_in) and
    /// [`commit_within`](annulus::Consumer::commit_within), with which a batch or a transaction has the
    /// position and the work that was done up to it: each commit counts exactly once.
    #[must_use]
    pub const fn blocking(&self) -> &annulus::Consumer {
        &self.consumer
    }

    /// Returns its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.consumer.name()
    }

    /// Returns the position that it has committed: [`annulus::Consumer::position`].
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Consumer::position`] and of [`Store::run`](crate::Store::run).
    pub async fn position(&self) -> Result<Position> {
        let consumer = self.consumer.clone();
        self.inner.pool().run(move || consumer.position()).await
    }

    /// Begins to read its changes, from the position that it has committed; `choose` says which.
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Consumer::changes`], of [`ChangesBuilder::open`] and of
    /// [`Store::run`](crate::Store::run).
    pub async fn changes(
        &self,
        choose: impl FnOnce(ChangesBuilder) -> ChangesBuilder + Send + 'static,
    ) -> Result<Changes> {
        let consumer = self.consumer.clone();
        let changes = self.inner.pool().run(move || choose(consumer.changes()?).open()).await?;
        Ok(Changes::new(changes, &self.inner))
    }

    /// Commits a position: [`annulus::Consumer::commit`].
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Consumer::commit`] and of [`Store::run`](crate::Store::run).
    pub async fn commit(&self, position: Position) -> Result<()> {
        let consumer = self.consumer.clone();
        self.inner.pool().run(move || consumer.commit(position)).await
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.consumer.fmt(f)
    }
}
