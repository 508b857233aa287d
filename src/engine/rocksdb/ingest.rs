//! Files that enter an instance: written from rows, taken over by ingestion.

use super::error::context;
use super::files::remove_all;
use super::names::family;
use crate::engine::PutRow;
use crate::error::{Error, ErrorKind, Result};
use crate::os::file_id::FileId;
use crate::os::files::cannot;
use crate::os::parallel;
use crate::topology::PartitionName;
use crossbeam::channel::{Sender, bounded};
use rocksdb::{IngestExternalFileOptions, Options, SstFileWriter};
use std::fs::create_dir_all;
use std::path::{Path, PathBuf};

/// A file is closed when it has this size, as compaction does.
const FILE_BYTES: u64 = 64 << 20;

/// How many rows are written between two checks of the file's size.
const ROWS_PER_LOOK: u32 = 256;

/// A directory's name for files that are being brought in; they are removed when this is dropped.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// Claims a name under which there is nothing. What an earlier attempt left there is removed.
    pub(super) fn claim(parent: &Path, name: PartitionName) -> Result<Self> {
        Self::claim_named(parent, &family(name))
    }

    /// The same for what is not of one partition.
    pub(super) fn claim_named(parent: &Path, name: &str) -> Result<Self> {
        let path = parent.join(name);
        remove_all(&path)?;
        // RocksDB links into a directory of this name first.
        remove_all(&parent.join(format!("{name}.tmp")))?;
        create_dir_all(parent).map_err(|error| cannot("create", parent, error))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = remove_all(&self.0) {
            tracing::warn!(
                error = format_args!("{error:#}"),
                "left files behind, which the next opening removes"
            );
        }
    }
}

/// Returns true if a directory is empty.
pub(super) fn is_empty(directory: &Path) -> Result<bool> {
    let entries = directory.read_dir().map_err(|error| cannot("read", directory, error))?;
    Ok(entries.take(1).count() == 0)
}

/// Writes rows, which `fill` passes in ascending order of keys, to files in a new directory; each
/// is synced. Returns their paths.
///
/// A second thread finishes each file, which syncs it, while the next one is written: half of the
/// time of a copy is the disk's. If no thread can be started, this one does it.
pub(super) fn write_files(
    options: &Options,
    directory: &Path,
    fill: impl FnOnce(&mut PutRow<'_>) -> Result<()>,
) -> Result<Vec<PathBuf>> {
    create_dir_all(directory).map_err(|error| cannot("create", directory, error))?;
    std::thread::scope(|scope| {
        // One file waits while another is synced, so no more than these are dirty in memory.
        let (finisher, written) = bounded::<OpenFile<'_>>(1);
        let finish = move || written.iter().map(OpenFile::finish).collect();
        let finishing = parallel::spawn(scope, "annulus-finish", finish);
        let finisher = match &finishing {
            Some(_) => Finisher::Thread(finisher),
            None => Finisher::Here(Vec::new()),
        };
        let mut files = Files { options, directory, open: None, begun: 0, finisher };
        let filled = fill(&mut |key, value| files.put(key, value)).and_then(|()| files.close());
        let here = files.finisher.end();
        let finished: Result<Vec<PathBuf>> = finishing.map_or(Ok(here), |thread| {
            thread.join().unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::Internal, "the thread that syncs files panicked"))
            })
        });
        // The finisher's error first: it is the cause of the other.
        let finished = finished?;
        filled?;
        Ok(finished)
    })
}

struct Files<'a> {
    options: &'a Options,
    directory: &'a Path,
    open: Option<OpenFile<'a>>,
    begun: usize,
    finisher: Finisher<'a>,
}

/// Where full files are finished.
enum Finisher<'a> {
    Thread(Sender<OpenFile<'a>>),
    /// On the thread that writes them, with the paths of those that are done.
    Here(Vec<PathBuf>),
}

impl Finisher<'_> {
    /// Signals the other thread to end; returns what was finished on this one.
    fn end(self) -> Vec<PathBuf> {
        match self {
            Self::Thread(_) => Vec::new(),
            Self::Here(finished) => finished,
        }
    }
}

struct OpenFile<'a> {
    path: PathBuf,
    writer: SstFileWriter<'a>,
    until_look: u32,
}

impl<'a> Files<'a> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let mut file = match self.open.take() {
            Some(file) => file,
            None => self.create()?,
        };
        if let Err(error) = file.writer.put(key, value) {
            return Err(context(format_args!("writing {} failed", file.path.display()))(error));
        }
        file.until_look -= 1;
        let mut full = false;
        if file.until_look == 0 {
            file.until_look = ROWS_PER_LOOK;
            full = file.writer.file_size() >= FILE_BYTES;
        }
        self.open = Some(file);
        if full { self.close() } else { Ok(()) }
    }

    fn create(&mut self) -> Result<OpenFile<'a>> {
        let path = self.directory.join(format!("{}.sst", self.begun));
        self.begun += 1;
        let writer = SstFileWriter::create(self.options);
        writer.open(&path).map_err(context(format_args!("creating {} failed", path.display())))?;
        Ok(OpenFile { path, writer, until_look: ROWS_PER_LOOK })
    }

    /// Passes the file to the other thread, if there is one. If that has ended, it has an error to
    /// report.
    fn close(&mut self) -> Result<()> {
        let Some(file) = self.open.take() else { return Ok(()) };
        match &mut self.finisher {
            Finisher::Thread(sender) => sender.send(file).map_err(|_| {
                Error::new(ErrorKind::Internal, "the thread that syncs files has ended")
            }),
            Finisher::Here(finished) => {
                finished.push(file.finish()?);
                Ok(())
            }
        }
    }
}

impl OpenFile<'_> {
    fn finish(mut self) -> Result<PathBuf> {
        let place = self.path.display();
        self.writer.finish().map_err(context(format_args!("writing {place} failed")))?;
        Ok(self.path)
    }
}

/// Returns the options of the ingestion: the partition is new and has no reader, so the files move
/// in without a flush.
pub(super) fn ingestion() -> IngestExternalFileOptions {
    let mut options = IngestExternalFileOptions::default();
    options.set_move_files(true);
    options.set_snapshot_consistency(false);
    options.set_allow_blocking_flush(false);
    options
}

/// Returns true if files can be linked from one directory to the other.
pub(super) fn same_filesystem(one: &Path, other: &Path) -> bool {
    // On other systems, filesystems cannot be told apart.
    let device = |path: &Path| FileId::at(path).filter(|_| cfg!(unix)).map(|id| id.device);
    matches!((device(one), device(other)), (Some(one), Some(other)) if one == other)
}

/// Returns the bytes that a directory's filesystem has left for this process.
#[cfg(unix)]
pub(super) fn bytes_free(directory: &Path) -> Option<u64> {
    let free = rustix::fs::statvfs(directory).ok()?;
    free.f_bavail.checked_mul(free.f_frsize)
}

#[cfg(not(unix))]
pub(super) fn bytes_free(_: &Path) -> Option<u64> {
    None
}
