//! Opening: what was found is synced, cut if it has to be, and continued.

use super::judge::{self, Found, Judged, Kept};
use super::segment::{CONTENT, PREPARING, Place, Prepared, SEGMENT, Segment, Writer, cannot};
use super::state::{Flight, Inner, Spares, Tail};
use super::{LogDamage, LogLoss, LogOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::os::failpoint;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

/// The fewest bytes of a segment: a page for its header, and some for records.
const SEGMENT_BYTES_MIN: u64 = 4 * CONTENT;

/// Opens a log for writing; creates it if there is none.
pub(super) fn open(options: LogOptions) -> Result<Arc<Inner>> {
    let place = place(&options);
    let directory = &place.directory;
    if !directory.exists() {
        std::fs::create_dir_all(directory).map_err(|error| cannot("create", directory, error))?;
        if let Some(parent) = directory.parent() {
            sync_directory(parent.to_owned(), &place)?;
        }
    }
    let judged = judge(&place, &options)?;
    for (_, path) in judge::list(directory, PREPARING)? {
        std::fs::remove_file(&path).map_err(|error| cannot("remove", &path, error))?;
    }
    let mut segments = VecDeque::new();
    let mut active = None;
    for kept in &judged.kept {
        let (segment, writer) = open_segment(&place, kept, true)?;
        segment.set_end(kept.end);
        // What an earlier process did not sync is about to be replayed, and to count as synced.
        if !failpoint::skip("sync-logs-at-opening") {
            segment.sync()?;
        }
        active = writer.map(|writer| (Arc::clone(&segment), writer));
        segments.push_back(segment);
    }
    if !failpoint::skip("sync-logs-at-opening") {
        place.sync_directory()?;
    }
    failpoint::hit("log-opened");
    let needs_segment = judged.cut || judged.kept.is_empty();
    let mut number = judged.next_number;
    if needs_segment {
        drop_files(&judged.dropped, &place)?;
        number = judged.kept.last().map_or(number, |last| last.found.number + 1);
        active = None;
    } else if let Some((segment, _)) = &active {
        segment.set_end(u64::MAX);
    }
    let spares = spares(&judged, number, needs_segment, &place)?;
    let parts = Parts { judged, segments, active, spares };
    let inner = parts.assemble(place, options.guard);
    if needs_segment {
        inner.begin_after_cut()?;
    } else {
        inner.say_opened()?;
    }
    Ok(inner)
}

/// Opens a log without changing anything.
pub(super) fn open_read_only(options: LogOptions) -> Result<Arc<Inner>> {
    let place = place(&options);
    let judged = judge(&place, &options)?;
    let mut segments = VecDeque::new();
    for kept in &judged.kept {
        let (segment, _) = open_segment(&place, kept, false)?;
        segment.set_end(kept.end);
        segments.push_back(segment);
    }
    let next_number = judged.next_number;
    let spares = Spares { ready: VecDeque::new(), next_number, bytes: Arc::default() };
    let parts = Parts { judged, segments, active: None, spares };
    Ok(parts.assemble(place, options.guard))
}

/// Judges the log of a place. One that has had segments has some: an empty directory is one on which
/// a disk is not mounted, or whose content was lost.
fn judge(place: &Place, options: &LogOptions) -> Result<Judged> {
    let mut judged = judge::judge(place, options.damage)?;
    if !options.must_exist || !judge::list(&place.directory, SEGMENT)?.is_empty() {
        return Ok(judged);
    }
    let directory = &place.directory;
    if options.damage == LogDamage::Refuse {
        let text = format!(
            "the log {} has no segments: mount its disk, or restore them from a copy. Without them, \
             writes are lost that are not in files yet; option log_damage set to drop_rest opens the \
             store without those",
            directory.display()
        );
        return Err(Error::new(ErrorKind::Damaged, text));
    }
    judged.cut = true;
    judged.lost.push(LogLoss::Missing { file: directory.clone() });
    Ok(judged)
}

/// Opens a segment whose records, up to an end, have been judged. Returns its writer, too, unless it
/// is only to be read.
fn open_segment(
    place: &Place,
    kept: &Kept,
    for_writing: bool,
) -> Result<(Arc<Segment>, Option<Writer>)> {
    let Found { number, path, header, .. } = &kept.found;
    let file = OpenOptions::new().read(true).write(for_writing).open(path);
    let file = file.map_err(|error| cannot("open", path, error))?;
    let (seed, file_bytes) = (header.seed(), header.file_bytes);
    let map = if for_writing { place.map(&file, file_bytes, path) } else { None };
    let path = path.clone();
    let prepared = Prepared { number: *number, path, file, map, seed, file_bytes };
    let (segment, mut writer) = prepared.begin(kept.first);
    if let Writer::Mapped(map) = &mut writer {
        map.raise(segment.offset(kept.end) as usize);
    }
    Ok((segment, for_writing.then_some(writer)))
}

fn place(options: &LogOptions) -> Place {
    let segment_bytes = options.segment_bytes.max(SEGMENT_BYTES_MIN).next_multiple_of(4096);
    let LogOptions { directory, store, access, keep_bytes, .. } = options;
    Place {
        directory: directory.clone(),
        store: *store,
        access: *access,
        segment_bytes,
        keep_bytes: *keep_bytes,
    }
}

fn sync_directory(directory: PathBuf, place: &Place) -> Result<()> {
    Place { directory, ..place.clone() }.sync_directory()
}

/// Removes files, the last first and each on the disk before the one before it: what a crash leaves
/// has no gap.
fn drop_files(files: &[PathBuf], place: &Place) -> Result<()> {
    for path in files.iter().rev() {
        std::fs::remove_file(path).map_err(|error| cannot("remove", path, error))?;
        place.sync_directory()?;
        failpoint::hit("log-drop");
    }
    Ok(())
}

/// Returns the segments behind the end that are ready for use; removes those that are not.
fn spares(judged: &Judged, number: u64, none: bool, place: &Place) -> Result<Spares> {
    let mut spares = Spares { ready: VecDeque::new(), next_number: number, bytes: Arc::default() };
    if none {
        return Ok(spares);
    }
    let usable = |found: &&Found| {
        found.header.file_bytes == place.segment_bytes
            && found.path.metadata().is_ok_and(|metadata| metadata.len() == place.segment_bytes)
    };
    let count = judged.unused.iter().take_while(usable).count();
    let (keep, remove) = judged.unused.split_at_checked(count).unwrap_or_default();
    let remove: Vec<_> = remove.iter().map(|found| found.path.clone()).collect();
    drop_files(&remove, place)?;
    spares.next_number = number - remove.len() as u64;
    for Found { number, path, header, .. } in keep {
        let file = OpenOptions::new().read(true).write(true).open(path);
        let file = file.map_err(|error| cannot("open", path, error))?;
        let map = place.map(&file, header.file_bytes, path);
        let (seed, file_bytes) = (header.seed(), header.file_bytes);
        let path = path.clone();
        spares.put(Prepared { number: *number, path, file, map, seed, file_bytes });
    }
    Ok(spares)
}

struct Parts {
    judged: Judged,
    segments: VecDeque<Arc<Segment>>,
    active: Option<(Arc<Segment>, Writer)>,
    spares: Spares,
}

impl Parts {
    fn assemble(self, place: Place, guard: Option<Arc<dyn Send + Sync>>) -> Arc<Inner> {
        let Self { judged, segments, active, spares } = self;
        let Judged { first, end, content_end, stated_synced, lost, .. } = judged;
        report(&lost);
        let mut flight = Flight::default();
        // The replay: nothing counts as applied until it has ended.
        flight.begin(first);
        let tail = Tail {
            active,
            end,
            closed: false,
            stated_synced,
            stated_first: first,
            millis: 0,
            unsynced: Vec::new(),
        };
        Arc::new(Inner {
            place,
            lost,
            tail: Mutex::new(tail),
            spare_bytes: Arc::clone(&spares.bytes),
            spares: Mutex::new(spares),
            segments: Mutex::new(segments),
            pins: Mutex::default(),
            flight: Mutex::new(flight),
            end: AtomicU64::new(end),
            content_end: AtomicU64::new(content_end),
            synced: AtomicU64::new(end),
            first: AtomicU64::new(first),
            leader: Mutex::new(false),
            sync_done: Condvar::new(),
            failed: OnceLock::new(),
            keeper: super::signal::Signal::default(),
            _guard: guard,
        })
    }
}

impl Inner {
    /// Begins a segment where the log was cut. Its first record says where, on the disk, so what is
    /// in an earlier segment beyond never comes back.
    fn begin_after_cut(&self) -> Result<()> {
        let mut tail = self.tail.lock();
        self.switch(&mut tail, 0)?;
        let end = tail.end;
        drop(tail);
        failpoint::hit("log-cut");
        self.sync_all_to(end)
    }
}

impl Inner {
    /// Appends a mark if the records that were found do not say that they are all synced, which
    /// they are now.
    fn say_opened(&self) -> Result<()> {
        let mut tail = self.tail.lock();
        let content_end = self.content_end.load(std::sync::atomic::Ordering::Acquire);
        self.say_synced(&mut tail, content_end)
    }
}

fn report(lost: &[LogLoss]) {
    for loss in lost {
        tracing::warn!(%loss, "the log had lost something");
    }
}
