//! The handle of a store.

use crate::inner::Inner;
use crate::keyspace::Keyspace;
use crate::options::PoolOptions;
use crate::pool::{Pool, PoolStats};
use crate::snapshot::Snapshot;
use annulus::topology::KeyspaceSpec;
use annulus::{
    Batch, ConditionalWrite, Durability, Error, ErrorKind, Result, StoreBuilder, Transaction,
    TransactionOptions,
};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::oneshot;

/// An open store, for tasks: [`annulus::Store`] and a pool of threads.
///
/// Cheap to clone; all clones, and the keyspaces and snapshots that they return, share the pool. The
/// [crate] says which calls leave the task, and what becomes of those that are cancelled.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

impl Store {
    /// Opens the store in a directory with the default options, or creates it there.
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Store::open`].
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self> {
        Self::open_with(annulus::Store::builder(path), PoolOptions::new()).await
    }

    /// Opens the store of a builder, with a pool as the options say.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("store");
    /// use annulus_tokio::{PoolOptions, Store};
    ///
    /// let builder = annulus::Store::builder(path).shards(2);
    /// let store = Store::open_with(builder, PoolOptions::new().threads(8)).await?;
    /// # store.shutdown().await
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`StoreBuilder::open`]; [`InvalidArgument`](ErrorKind::InvalidArgument) for options of
    /// the pool that are out of bounds.
    pub async fn open_with(builder: StoreBuilder, options: PoolOptions) -> Result<Self> {
        let pool = Pool::new(options)?;
        let store = pool.run(move || builder.open()).await?;
        Ok(Self { inner: Inner::new(store, pool) })
    }

    /// Returns a handle for tasks of a store that is open, with a pool of its own.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for options that are out of bounds.
    pub fn new(store: annulus::Store, options: PoolOptions) -> Result<Self> {
        Ok(Self { inner: Inner::new(store, Pool::new(options)?) })
    }

    /// Returns the store for threads that may wait: for what this handle does not have, in a closure
    /// of [`run`](Self::run), or on threads of the application's own.
    #[must_use]
    pub fn blocking(&self) -> &annulus::Store {
        self.inner.store()
    }

    /// Runs a closure on the pool: whatever this handle has no method for, such as
    /// [`verify`](annulus::Store::verify), or several calls that need not be a transaction.
    ///
    /// If the future is dropped, the closure is run to its end or not begun.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = annulus_tokio::Store::open(directory.path().join("store")).await?;
    /// let verification = store.run(|store| store.verify()).await?;
    /// assert!(verification.is_sound());
    /// # store.shutdown().await
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the closure; [`Closed`](ErrorKind::Closed) after [`shutdown`](Self::shutdown);
    /// [`Busy`](ErrorKind::Busy) with [`PoolOptions::waiting_max`]. All calls that leave the task
    /// have these two.
    ///
    /// # Panics
    ///
    /// If the closure does.
    pub async fn run<T: Send + 'static>(
        &self,
        run: impl FnOnce(&annulus::Store) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let store = self.blocking().clone();
        self.inner.pool().run(move || run(&store)).await
    }

    /// Returns what the pool is doing.
    #[must_use]
    pub fn pool_stats(&self) -> PoolStats {
        self.inner.pool().stats()
    }

    /// Returns the keyspace with a name. Does not leave the task.
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Store::keyspace`].
    pub fn keyspace(&self, name: &str) -> Result<Keyspace> {
        Ok(Keyspace::new(self.blocking().keyspace(name)?, &self.inner))
    }

    /// As [`annulus::Store::create_keyspace`].
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Store::create_keyspace`] and of [`run`](Self::run).
    pub async fn create_keyspace(
        &self,
        name: &str,
        spec: impl Into<KeyspaceSpec>,
    ) -> Result<Keyspace> {
        let (name, spec) = (name.to_owned(), spec.into());
        let keyspace = self.run(move |store| store.create_keyspace(&name, spec)).await?;
        Ok(Keyspace::new(keyspace, &self.inner))
    }

    /// As [`annulus::Store::keyspace_or_create`].
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Store::keyspace_or_create`] and of [`run`](Self::run).
    pub async fn keyspace_or_create(
        &self,
        name: &str,
        spec: impl Into<KeyspaceSpec>,
    ) -> Result<Keyspace> {
        let (name, spec) = (name.to_owned(), spec.into());
        let keyspace = self.run(move |store| store.keyspace_or_create(&name, spec)).await?;
        Ok(Keyspace::new(keyspace, &self.inner))
    }

    /// As [`annulus::Store::drop_keyspace`].
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Store::drop_keyspace`] and of [`run`](Self::run).
    pub async fn drop_keyspace(&self, name: &str) -> Result<()> {
        let name = name.to_owned();
        self.run(move |store| store.drop_keyspace(&name)).await
    }

    /// Commits a batch, as [`annulus::Store::write`] does. Its operations name
    /// [blocking](Keyspace::blocking) handles:
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = annulus_tokio::Store::open(directory.path().join("store")).await?;
    /// # let users = store.keyspace_or_create("users", annulus::topology::KeyspaceSpec::hash()).await?;
    /// let mut batch = annulus::Batch::new();
    /// batch.put(users.blocking(), "ada", "countess");
    /// batch.delete(users.blocking(), "bob");
    /// store.write(batch).await?;
    /// # store.shutdown().await
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Store::write`] and of [`run`](Self::run).
    pub async fn write(&self, batch: Batch) -> Result<()> {
        self.run(|store| store.write(batch)).await
    }

    /// As [`annulus::Store::write_with`].
    ///
    /// # Errors
    ///
    /// Those of [`write`](Self::write).
    pub async fn write_with(&self, batch: Batch, durability: Durability) -> Result<()> {
        self.run(move |store| store.write_with(batch, durability)).await
    }

    /// Commits a batch if its conditions hold, as [`annulus::Store::write_if`] does.
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Store::write_if`] and of [`run`](Self::run).
    pub async fn write_if(&self, batch: Batch) -> Result<ConditionalWrite> {
        self.run(|store| store.write_if(batch)).await
    }

    /// As [`annulus::Store::write_if_with`].
    ///
    /// # Errors
    ///
    /// Those of [`write_if`](Self::write_if).
    pub async fn write_if_with(
        &self,
        batch: Batch,
        durability: Durability,
    ) -> Result<ConditionalWrite> {
        self.run(move |store| store.write_if_with(batch, durability)).await
    }

    /// Takes a snapshot, as [`annulus::Store::snapshot`] does. On the pool: it waits for the writes
    /// in progress.
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Store::snapshot`] and of [`run`](Self::run).
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let snapshot = self.run(annulus::Store::snapshot).await?;
        Ok(Snapshot::new(snapshot, &self.inner))
    }

    /// Runs a transaction on the pool, and runs it again after a conflict, as
    /// [`annulus::Store::transact`] does. The closure uses [blocking](Keyspace::blocking) handles, of
    /// which it has clones. It occupies a thread of the pool until it is committed.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = annulus_tokio::Store::open(directory.path().join("store")).await?;
    /// # let accounts = store.create_keyspace("accounts", annulus::topology::KeyspaceSpec::hash()).await?;
    /// accounts.add("alice", 100).await?;
    /// let handle = accounts.blocking().clone();
    /// let left = store
    ///     .transact(move |tx| {
    ///         tx.add(&handle, "bob", 30)?;
    ///         tx.add(&handle, "alice", -30)
    ///     })
    ///     .await?;
    /// assert_eq!(left, 70);
    /// # store.shutdown().await
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Store::transact`] and of [`run`](Self::run).
    ///
    /// # Panics
    ///
    /// If the closure does; nothing was written.
    pub async fn transact<T: Send + 'static>(
        &self,
        run: impl FnMut(&Transaction) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.transact_with(TransactionOptions::new(), run).await
    }

    /// As [`annulus::Store::transact_with`].
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Store::transact_with`] and of [`run`](Self::run).
    ///
    /// # Panics
    ///
    /// If the closure does; nothing was written.
    pub async fn transact_with<T: Send + 'static>(
        &self,
        options: TransactionOptions,
        run: impl FnMut(&Transaction) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.run(move |store| store.transact_with(options, run)).await
    }

    /// As [`annulus::Store::sync`].
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Store::sync`] and of [`run`](Self::run).
    pub async fn sync(&self) -> Result<()> {
        self.run(annulus::Store::sync).await
    }

    /// Refuses operations from now on, waits for those that have a place in the pool, ends its
    /// threads, and [closes](annulus::Store::close) the store.
    ///
    /// Calls that wait for a place, and later ones, get [`Closed`](ErrorKind::Closed), reads of
    /// memory too; streams of rows end with that error, those of changes just end. A second call
    /// waits for the first one's work. If the future is dropped, operations are refused nevertheless,
    /// and a further call goes on.
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Store::close`]; [`Io`](ErrorKind::Io) if the system refuses a thread.
    pub async fn shutdown(&self) -> Result<()> {
        let inner = &self.inner;
        inner.pool().close();
        inner.pool().ended().await;
        let (store, (sender, receiver)) = (self.blocking().clone(), oneshot::channel());
        let thread = std::thread::Builder::new().name("annulus-tokio-close".to_owned());
        let close = move || {
            let closed = store.close();
            // IMPORTANT: before the end is known. Who waits for it may open the directory again.
            drop(store);
            sender.send(closed)
        };
        thread.spawn(close).map_err(|error| {
            Error::new(ErrorKind::Io, format!("the system refuses a thread to close in ({error})"))
        })?;
        let ended = || Error::new(ErrorKind::Internal, "the thread that closes the store panicked");
        receiver.await.map_err(|_| ended())?
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("store", self.blocking())
            .field("pool", &self.pool_stats())
            .finish()
    }
}
