//! Opening: what was found is synced, truncated if it has to be, and continued.

use super::choose::{Chosen, choose, no_copy};
use super::companion::{Companion, open_file, open_files, remove_unfinished};
use super::copies::Copies;
use super::judge::{Found, Judged, Kept};
use super::opened::{Prepared, Segment, sync_copy};
use super::segment::{Place, PreparedFile};
use super::state::{Flight, Inner, Spares, Tail};
use super::writer::Writer;
use super::{CopyRepair, LogLoss, LogOptions};
use crate::clock::HybridClock;
use crate::error::Result;
use crate::os::failpoint;
use crate::os::files::cannot;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

/// Opens a log for writing; creates it if there is none.
pub(super) fn open(options: LogOptions) -> Result<Arc<Inner>> {
    for copy in options.copies.iter().filter(|copy| copy.unreachable.is_none()) {
        create(&Place::of(&options, copy))?;
    }
    let Chosen { place, judged, other } = choose(&options)?;
    remove_unfinished(&place)?;
    let mut companion = Companion::bring_along(other, &judged, &options)?;
    let files =
        companion.open_with(open_files(&place, &judged.kept, true)?, &judged.kept, &options)?;
    let mut places = vec![place.clone()];
    places.extend(companion.place.clone());
    places.sort_by_key(|place| place.copy);
    let copies = Copies::new(places, options.record.clone(), companion.failures.clone());
    let mut segments = VecDeque::new();
    let mut active = None;
    for (kept, files) in judged.kept.iter().zip(files) {
        let (segment, writer) = open_segment(kept, files, &copies)?;
        segment.set_end(kept.end);
        active = Some((Arc::clone(&segment), writer));
        segments.push_back(segment);
    }
    // What an earlier process did not sync is about to be replayed, and to count as synced.
    if !failpoint::skip("sync-logs-at-opening") {
        copies.on_each(|place| {
            sync_copy(segments.iter(), place.copy)?;
            place.sync_directory()
        })?;
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
        segment.forget_cached(judged.end);
    }
    let mut spares = Spares { ready: VecDeque::new(), next_number: number, bytes: Arc::default() };
    if !needs_segment {
        take_spares(&mut spares, &judged, (&place, &companion), &copies)?;
    }
    let parts = Parts { judged, segments, active, spares };
    let settings = Settings { clock: options.clock, guard: options.guard, hold: options.hold };
    let inner = parts.assemble(copies, companion.repairs, settings);
    if needs_segment {
        inner.begin_after_cut()?;
    } else {
        inner.say_opened()?;
    }
    if companion.is_rebuilt {
        failpoint::hit("log-rebuilt");
        inner.copies.record()?;
    }
    Ok(inner)
}

/// Opens a log without changing anything.
pub(super) fn open_read_only(options: LogOptions) -> Result<Arc<Inner>> {
    let Chosen { place, judged, other } = choose(&options)?;
    let repairs = other.and_then(|other| other.seen()).into_iter().collect();
    let copies = Copies::new(vec![place], None, Vec::new());
    let mut segments = VecDeque::new();
    let files = copies.places().map(|place| open_files(place, &judged.kept, false));
    let files = files.collect::<Result<Vec<_>>>()?.into_iter().flatten();
    for (kept, file) in judged.kept.iter().zip(files) {
        let (segment, _) = open_segment(kept, vec![file], &copies)?;
        segment.set_end(kept.end);
        segments.push_back(segment);
    }
    let next_number = judged.next_number;
    let spares = Spares { ready: VecDeque::new(), next_number, bytes: Arc::default() };
    let parts = Parts { judged, segments, active: None, spares };
    let settings = Settings { clock: options.clock, guard: options.guard, hold: false };
    Ok(parts.assemble(copies, repairs, settings))
}

/// Creates the directory of a copy, unless it is there.
fn create(place: &Place) -> Result<()> {
    let directory = &place.directory;
    if directory.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(directory).map_err(|error| cannot("create", directory, error))?;
    match directory.parent() {
        Some(parent) => Place { directory: parent.to_owned(), ..place.clone() }.sync_directory(),
        None => Ok(()),
    }
}

/// Makes a segment of files whose records, up to an end, have been judged.
fn open_segment(
    kept: &Kept,
    files: Vec<PreparedFile>,
    copies: &Copies,
) -> Result<(Arc<Segment>, Writer)> {
    let header = &kept.found.header;
    let prepared = Prepared::of(kept.found.number, header.seed(), header.file_bytes, files);
    let prepared = prepared.ok_or_else(no_copy)?;
    let (segment, mut writer) = Writer::begin(prepared, kept.first, copies.current());
    writer.raise(segment.offset(kept.end));
    Ok((segment, writer))
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

/// Takes the segments after the end that are ready for use, in all copies; removes those that are
/// not.
fn take_spares(
    spares: &mut Spares,
    judged: &Judged,
    (place, companion): (&Place, &Companion),
    copies: &Copies,
) -> Result<()> {
    let twins = companion.place.as_ref().map(|_| &companion.unused);
    let usable = |(index, found): &(usize, &Found)| {
        let (header, bytes) = (&found.header, place.segment_bytes);
        let is_twin = |twin: &Found| twin.number == found.number && twin.header.salt == header.salt;
        header.file_bytes == bytes
            && found.path.metadata().is_ok_and(|metadata| metadata.len() == bytes)
            && twins.is_none_or(|twins| twins.get(*index).is_some_and(is_twin))
    };
    let count = judged.unused.iter().enumerate().take_while(usable).count();
    let paths = |found: &[Found]| -> Vec<PathBuf> {
        found.iter().skip(count).map(|found| found.path.clone()).collect()
    };
    let rest = paths(&judged.unused);
    drop_files(&rest, place)?;
    if let Some(other) = &companion.place {
        drop_files(&paths(&companion.unused), other)?;
    }
    spares.next_number -= rest.len() as u64;
    for found in judged.unused.iter().take(count) {
        let files = copies.on_each(|place| open_file(place, found, true))?;
        let Found { number, header, .. } = found;
        let prepared = Prepared::of(*number, header.seed(), header.file_bytes, files);
        spares.put(prepared.ok_or_else(no_copy)?);
    }
    Ok(())
}

struct Parts {
    judged: Judged,
    segments: VecDeque<Arc<Segment>>,
    active: Option<(Arc<Segment>, Writer)>,
    spares: Spares,
}

/// What an open log is given.
struct Settings {
    clock: Arc<HybridClock>,
    guard: Option<Arc<dyn Send + Sync>>,
    hold: bool,
}

impl Parts {
    fn assemble(
        self,
        copies: Copies,
        repairs: Vec<CopyRepair>,
        Settings { clock, guard, hold }: Settings,
    ) -> Arc<Inner> {
        let Self { judged, segments, active, spares } = self;
        let Judged { first, end, content_end, stated_synced, latest, lost, .. } = judged;
        clock.raise(latest);
        report(&lost, &repairs);
        let mut flight = Flight::default();
        // The replay: nothing counts as applied until it has ended.
        flight.begin(first);
        let tail = Tail {
            active,
            end,
            closed: false,
            stated_synced,
            stated_first: first,
            timestamp: latest,
            unsynced: Vec::new(),
        };
        Arc::new(Inner {
            copies,
            clock,
            lost,
            repairs,
            tail: Mutex::new(tail),
            spare_bytes: Arc::clone(&spares.bytes),
            spares: Mutex::new(spares),
            holds: Mutex::default(),
            segments: Mutex::new(segments),
            pins: Mutex::default(),
            flight: Mutex::new(flight),
            end: AtomicU64::new(end),
            content_end: AtomicU64::new(content_end),
            synced: AtomicU64::new(end),
            first: AtomicU64::new(first),
            floor: AtomicU64::new(if hold { 0 } else { u64::MAX }),
            applied_bell: super::bell::Bell::default(),
            synced_bell: super::bell::Bell::default(),
            group: super::group::Group::default(),
            failed: OnceLock::new(),
            keeper: super::signal::Signal::default(),
            sync_helper: super::sync_helper::SyncHelper::default(),
            _guard: guard,
        })
    }
}

impl Inner {
    /// Begins a segment where the log was truncated. Its first record says where, on the disk, so what
    /// is in an earlier segment beyond never comes back.
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

fn report(lost: &[LogLoss], repairs: &[CopyRepair]) {
    for loss in lost {
        tracing::warn!(%loss, "the log had lost something");
    }
    for repair in repairs {
        tracing::warn!("{repair}");
    }
}
