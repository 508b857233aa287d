//! Where a shard lies in an object store: a URL, and what is below it.
//!
//! ```text
//! <url>/SHARD                  whose the place is: which store, which number
//! <url>/partitions/<number>    the list of partitions, a new object for each change of it
//! <url>/data/                  the database
//! ```

use super::error::request;
use super::threads::Threads;
use crate::error::{Error, Result};
use parking_lot::Mutex;
use slatedb::object_store::local::LocalFileSystem;
use slatedb::object_store::memory::InMemory;
use slatedb::object_store::path::Path;
use slatedb::object_store::{
    Error as StoreError, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions,
};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long the requests of one call may take together.
const REQUEST_MAX_MILLIS: u64 = 30_000;

/// A place in an object store.
#[derive(Clone)]
pub(crate) struct ObjectPlace {
    url: Arc<str>,
    pub(super) store: Arc<dyn ObjectStore>,
    root: Path,
    pub(super) threads: Arc<Threads>,
    /// How long the requests of one call may take together, in milliseconds.
    request_max: Arc<AtomicU64>,
}

/// The stores in memory, by name: what a process has put into one is there as long as the process.
static IN_MEMORY: Mutex<BTreeMap<String, Arc<InMemory>>> = Mutex::new(BTreeMap::new());

impl ObjectPlace {
    /// Returns the place that a URL names. Nothing is asked of it.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a URL of a kind that this build does not know; `Io` if the system
    /// refuses threads, or a directory.
    pub(crate) fn of(url: &str) -> Result<Self> {
        let threads = Threads::shared()?;
        let (scheme, rest) = url.split_once(':').ok_or_else(|| unknown(url))?;
        let (store, root): (Arc<dyn ObjectStore>, Path) = match scheme {
            "memory" => {
                let store = Arc::clone(IN_MEMORY.lock().entry(rest.to_owned()).or_default());
                (store, Path::default())
            }
            "file" => (in_directory(url, rest)?, Path::default()),
            _ => return Err(unknown(url)),
        };
        Ok(Self::new(url, store, root, threads))
    }

    fn new(url: &str, store: Arc<dyn ObjectStore>, root: Path, threads: Arc<Threads>) -> Self {
        let request_max = Arc::new(AtomicU64::new(REQUEST_MAX_MILLIS));
        Self { url: url.into(), store, root, threads, request_max }
    }

    /// Returns a place in a store that a test provides.
    #[cfg(test)]
    pub(super) fn in_store(url: &str, store: Arc<dyn ObjectStore>) -> Result<Self> {
        let threads = Threads::shared()?;
        Ok(Self::new(url, store, Path::default(), threads))
    }

    /// Sets how long the requests of one call may take.
    #[cfg(test)]
    pub(super) fn set_request_max(&self, most: Duration) {
        self.request_max.store(most.as_millis() as u64, Ordering::Relaxed);
    }

    /// Returns where the database is.
    pub(super) fn data(&self) -> Path {
        self.root.clone().join("data")
    }

    /// Returns where the lists of partitions are.
    pub(super) fn lists(&self) -> Path {
        self.root.clone().join("partitions")
    }

    fn identity(&self) -> Path {
        self.root.clone().join("SHARD")
    }

    /// Returns true if there is anything at the place.
    ///
    /// # Errors
    ///
    /// `Unavailable`, `Io`.
    pub(crate) fn holds_anything(&self) -> Result<bool> {
        use futures::StreamExt as _;
        let mut there = self.store.list(Some(&self.root));
        let first = self.ask("a look at", async { there.next().await.transpose() })?;
        Ok(first.is_some())
    }

    /// Returns what says whose the place is.
    ///
    /// # Errors
    ///
    /// `Unavailable`, `Io`.
    pub(crate) fn read_identity(&self) -> Result<Option<Vec<u8>>> {
        let identity = self.identity();
        self.ask("a read of", async {
            match self.store.get(&identity).await {
                Ok(found) => Ok(Some(found.bytes().await?.to_vec())),
                Err(StoreError::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    /// Writes whose the place is, unless that is written already.
    ///
    /// # Errors
    ///
    /// `AlreadyExists`, `Unavailable`, `Io`.
    pub(crate) fn write_identity(&self, content: &[u8]) -> Result<()> {
        let (identity, content) = (self.identity(), content.to_vec());
        let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        self.ask("writing the identity at", async {
            self.store.put_opts(&identity, content.into(), create).await.map(drop)
        })
    }

    /// Removes everything at the place, whose it is last.
    ///
    /// # Errors
    ///
    /// `Unavailable`, `Io`: a part may be left, and says whose it is.
    pub(crate) fn remove(&self) -> Result<()> {
        let identity = self.identity();
        self.ask_within(Duration::from_secs(600), "removing the shard at", async {
            use futures::TryStreamExt as _;
            let there: Vec<_> = self.store.list(Some(&self.root)).try_collect().await?;
            for object in there.into_iter().filter(|object| object.location != identity) {
                forget(&*self.store, &object.location).await?;
            }
            forget(&*self.store, &identity).await
        })
    }

    /// Waits for requests, for a bounded time.
    pub(super) fn ask<T>(
        &self,
        doing: &str,
        requests: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T> {
        let most = Duration::from_millis(self.request_max.load(Ordering::Relaxed));
        self.ask_within(most, doing, requests)
    }

    fn ask_within<T>(
        &self,
        most: Duration,
        doing: &str,
        requests: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T> {
        let answer = self.threads.wait(Some(Instant::now() + most), requests);
        let answer = answer.ok_or_else(|| {
            super::error::unavailable(format_args!("{doing} {self}"), most.as_secs())
        })?;
        answer.map_err(|error| request(format_args!("{doing} {self}"), error))
    }
}

impl fmt::Display for ObjectPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// Deletes an object, unless it is gone.
pub(super) async fn forget(store: &dyn ObjectStore, object: &Path) -> Result<(), StoreError> {
    match store.delete(object).await {
        Err(StoreError::NotFound { .. }) => Ok(()),
        deleted => deleted,
    }
}

/// Returns the object store that a directory is. Its files are synced.
fn in_directory(url: &str, rest: &str) -> Result<Arc<dyn ObjectStore>> {
    let path = rest.strip_prefix("//").filter(|path| path.starts_with('/')).ok_or_else(|| {
        Error::invalid(format!("{url} has no absolute path; write file:///path/to/directory"))
    })?;
    std::fs::create_dir_all(path).map_err(|error| {
        crate::os::files::cannot("create the directory", std::path::Path::new(path), error)
    })?;
    let store = LocalFileSystem::new_with_prefix(path)
        .map_err(|error| request(format_args!("opening {url}"), error))?;
    Ok(Arc::new(store.with_fsync(true)))
}

#[cold]
fn unknown(url: &str) -> Error {
    Error::invalid(format!(
        "{url} is not the URL of an object store that this build knows: use file:///directory \
         or memory:name"
    ))
}
