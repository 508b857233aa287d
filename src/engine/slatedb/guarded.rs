//! The object store as a database sees it: the log is synced before a file is made, and once the
//! shard is closing, nothing is written any more.
//!
//! IMPORTANT: a table is uploaded after its memtable takes no more writes, and what the memtable
//! holds was in the log before it was in the memtable. So a sync when the upload begins covers it,
//! and no table holds what a power cut can take from the log.
//!
//! SlateDB tries failed uploads again for as long as the database lives, and without a log of its
//! own for as long as its close waits for them. What ends that is an error that it does not try
//! again.

use crate::log::CommitLog;
use crate::os::failpoint;
use futures::stream::BoxStream;
use futures::{StreamExt as _, stream};
use slatedb::bytes::Bytes;
use slatedb::object_store::path::Path;
use slatedb::object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The folder of a database in which its tables are.
const TABLES: &str = "compacted";

const STORE: &str = "annulus";

pub(super) struct Guarded {
    inner: Arc<dyn ObjectStore>,
    log: Arc<CommitLog>,
    is_closing: AtomicBool,
}

impl Guarded {
    pub(super) fn new(inner: Arc<dyn ObjectStore>, log: Arc<CommitLog>) -> Arc<Self> {
        Arc::new(Self { inner, log, is_closing: AtomicBool::new(false) })
    }

    /// Refuses all that is written from now on.
    pub(super) fn close(&self) {
        self.is_closing.store(true, Ordering::Release);
    }

    fn check_open(&self) -> Result<()> {
        if self.is_closing.load(Ordering::Acquire) {
            return Err(Error::NotSupported { source: "the shard is closed".into() });
        }
        Ok(())
    }

    async fn before_object(&self, location: &Path) -> Result<()> {
        self.check_open()?;
        let is_table = location.parts().any(|part| part.as_ref() == TABLES);
        if !is_table || failpoint::skip("log-before-files") {
            return Ok(());
        }
        let log = Arc::clone(&self.log);
        let synced = tokio::task::spawn_blocking(move || log.sync()).await;
        let synced = synced.map_err(|error| Error::JoinError { source: error })?;
        synced.map_err(|error| Error::Generic { store: STORE, source: Box::new(error) })?;
        // The sync may have taken long.
        self.check_open()
    }
}

#[async_trait::async_trait]
impl ObjectStore for Guarded {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.before_object(location).await?;
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.before_object(location).await?;
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        match self.check_open() {
            Ok(()) => self.inner.delete_stream(locations),
            Err(error) => stream::once(async { Err(error) }).boxed(),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.before_object(to).await?;
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.before_object(to).await?;
        self.inner.rename_opts(from, to, options).await
    }
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl fmt::Display for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
