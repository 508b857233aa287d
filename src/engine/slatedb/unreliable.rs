//! An object store for tests that does not do what is asked of it.

use super::place::ObjectPlace;
use futures::stream::BoxStream;
use slatedb::bytes::Bytes;
use slatedb::object_store::memory::InMemory;
use slatedb::object_store::path::Path as ObjectPath;
use slatedb::object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// An object store that can be away, that loses answers, or that does not keep what was asked.
pub(super) struct Unreliable {
    pub(super) inner: InMemory,
    /// Requests wait for as long as this is set.
    pub(super) is_away: AtomicBool,
    /// The number of answers of creations that are lost: the object is there, and the request failed.
    pub(super) answers_lost: AtomicUsize,
    /// An object is created though there is one.
    ignores_conditions: bool,
}

impl Unreliable {
    pub(super) fn new(ignores_conditions: bool) -> Arc<Self> {
        Arc::new(Self {
            inner: InMemory::new(),
            is_away: AtomicBool::new(false),
            answers_lost: AtomicUsize::new(0),
            ignores_conditions,
        })
    }

    pub(super) fn place(self: &Arc<Self>) -> ObjectPlace {
        ObjectPlace::in_store("memory:unreliable", Arc::clone(self) as Arc<dyn ObjectStore>)
            .unwrap()
    }

    async fn be_there(&self) {
        while self.is_away.load(Ordering::Acquire) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn loses_this_answer(&self) -> bool {
        let taken = |left: usize| left.checked_sub(1);
        self.answers_lost.fetch_update(Ordering::AcqRel, Ordering::Acquire, taken).is_ok()
    }
}

#[async_trait::async_trait]
impl ObjectStore for Unreliable {
    async fn put_opts(
        &self,
        location: &ObjectPath,
        payload: PutPayload,
        mut options: PutOptions,
    ) -> Result<PutResult> {
        self.be_there().await;
        if self.ignores_conditions {
            options.mode = PutMode::Overwrite;
        }
        let creates = matches!(options.mode, PutMode::Create);
        let put = self.inner.put_opts(location, payload, options).await?;
        if creates && self.loses_this_answer() {
            return Err(Error::Generic { store: "test", source: "the answer was lost".into() });
        }
        Ok(put)
    }

    async fn put_multipart_opts(
        &self,
        location: &ObjectPath,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.be_there().await;
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &ObjectPath, options: GetOptions) -> Result<GetResult> {
        self.be_there().await;
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &ObjectPath, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.be_there().await;
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<ObjectPath>>,
    ) -> BoxStream<'static, Result<ObjectPath>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&ObjectPath>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&ObjectPath>) -> Result<ListResult> {
        self.be_there().await;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &ObjectPath,
        to: &ObjectPath,
        options: CopyOptions,
    ) -> Result<()> {
        self.be_there().await;
        self.inner.copy_opts(from, to, options).await
    }
}

impl fmt::Debug for Unreliable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unreliable")
    }
}

impl fmt::Display for Unreliable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unreliable")
    }
}
