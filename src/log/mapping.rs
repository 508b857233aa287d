//! Files of the log in memory.
//!
//! The `unsafe` code of the log is in this file. What it rests on:
//!
//! 1. A [`Mapping`] is unmapped when it is dropped, and lends its memory only under its lifetime.
//! 2. A mark divides it. What is below the mark is only read, through [`Mapping`]; what is above is
//!    only written, through the one [`MapWriter`], which has to be borrowed for it. The mark only
//!    rises, until the mapping is taken apart, for which there must be no other reference to it.
//! 3. The file is as long as the mapping, and has its blocks. Only the store may write or truncate
//!    it: its directory is locked against other processes that keep to that. Something else that
//!    truncates it makes the kernel end the process with `SIGBUS`, as does a page that the disk
//!    cannot read; [`LogAccess::Written`](super::LogAccess::Written) meets both as errors. One that
//!    changes bytes below the mark is met by the checksums of what readers read after it, not by
//!    the language's rules: that is the price of mapping files.

#![expect(unsafe_code, reason = "the quarantine that the module documentation argues for")]

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};
use std::fs::File;
use std::ops::Range;
use std::ptr::{NonNull, null_mut};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A file, mapped for reading below a mark.
#[derive(Debug)]
pub(super) struct Mapping {
    base: NonNull<u8>,
    bytes: usize,
    /// What is below is not written any more.
    mark: AtomicUsize,
}

// SAFETY: the memory belongs to no thread; who may touch which part is argued for above.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

/// The one that writes a mapped file, above the mark.
#[derive(Debug)]
pub(super) struct MapWriter(Arc<Mapping>);

impl Mapping {
    /// Maps the first bytes of a file, all of them writable.
    pub(super) fn new(file: &File, bytes: u64) -> std::io::Result<(Arc<Self>, MapWriter)> {
        // The length is what makes the mapping sound, whatever the caller believes.
        let bytes = usize::try_from(bytes).map_err(std::io::Error::other)?;
        if bytes == 0 || file.metadata()?.len() < bytes as u64 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the kernel chooses the place, so no memory in use is replaced.
        let base = unsafe { mmap(null_mut(), bytes, protection, MapFlags::SHARED, file, 0) }?;
        // So each page is cached by itself, and a sync writes no more than the changed ones (see
        // `cache_by_page`).
        // SAFETY: the whole of the mapping that was made just now; the advice changes no content.
        let _ = unsafe { madvise(base, bytes, Advice::Random) };
        let base = NonNull::new(base.cast()).ok_or(std::io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, bytes, mark: AtomicUsize::new(0) }.divided())
    }

    fn divided(self) -> (Arc<Self>, MapWriter) {
        let mapping = Arc::new(self);
        let writer = MapWriter(Arc::clone(&mapping));
        (mapping, writer)
    }

    /// Makes the whole writable again, if there is no other reference to it.
    pub(super) fn again(this: Arc<Self>) -> Option<(Arc<Self>, MapWriter)> {
        let mapping = Arc::try_unwrap(this).ok()?;
        mapping.mark.store(0, Ordering::Relaxed);
        Some(mapping.divided())
    }

    /// Returns bytes that are below the mark.
    pub(super) fn get(&self, range: Range<usize>) -> Option<&[u8]> {
        let is_below = range.start <= range.end && range.end <= self.mark.load(Ordering::Acquire);
        // SAFETY: below the mark, so within the mapping, and not written as long as `self` is
        // borrowed. Every byte of a file is initialized.
        is_below.then(|| unsafe {
            std::slice::from_raw_parts(self.base.as_ptr().add(range.start), range.len())
        })
    }

    /// Makes the pages of a part present and writable, if the kernel can. Writes nothing.
    pub(super) fn populate(&self, range: Range<usize>) {
        #[cfg(target_os = "linux")]
        if range.start < range.end && range.end <= self.bytes && range.start.is_multiple_of(4096) {
            // SAFETY: within the mapping; the advice changes no content.
            let _ = unsafe {
                madvise(
                    self.base.as_ptr().add(range.start).cast(),
                    range.len(),
                    Advice::LinuxPopulateWrite,
                )
            };
        }
        #[cfg(not(target_os = "linux"))]
        let _ = range;
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, and nothing borrows from it any more.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}

impl MapWriter {
    /// Returns bytes that are above the mark.
    pub(super) fn get(&mut self, range: Range<usize>) -> Option<&mut [u8]> {
        let mapping = &*self.0;
        let is_above = range.start >= mapping.mark.load(Ordering::Relaxed)
            && range.start <= range.end
            && range.end <= mapping.bytes;
        // SAFETY: within the mapping; above the mark, so no reader has it, and there is no other
        // writer than this one, which is borrowed.
        is_above.then(|| unsafe {
            std::slice::from_raw_parts_mut(mapping.base.as_ptr().add(range.start), range.len())
        })
    }

    /// Raises the mark: what is below is for readers.
    pub(super) fn raise(&mut self, mark: usize) {
        let mark = mark.min(self.0.bytes);
        self.0.mark.fetch_max(mark, Ordering::Release);
    }
}
