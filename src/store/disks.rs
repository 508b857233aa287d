//! The thread that watches the disks of an open store: how much room they have left, and whether calls to
//! them take long.
//!
//! It looks four times a second, and sets for each shard whether there is room for puts, which each put
//! asks. A file system may take forever to answer; so each of them is asked by a thread of its own, and
//! one that hangs keeps the store from looking at no other.

use super::core::Core;
use crate::catalog::Catalog;
use crate::disk::{DiskCall, DiskEvent, DiskPlace, DiskRoom, IoWatch, Reserve, Slow, SlowCalls};
use crate::engine::Engine as _;
use crate::id::ShardId;
use crate::os::failpoint;
use crate::os::file_id::FileId;
use crate::os::space::{Space, space};
use crate::reshape::{Event, Registry};
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{JoinHandle, park_timeout};
use std::time::{Duration, Instant};

/// How often the thread looks.
const TICK: Duration = Duration::from_millis(250);

/// How long it waits for the answer of a file system before it goes on without.
const PATIENCE: Duration = Duration::from_millis(50);

/// How long a file system may take to answer if `slow_io` is not set; what takes longer is logged.
const SLOW_DEFAULT: Duration = Duration::from_secs(5);

/// The thread. It ends when this is dropped, and does not keep the store open.
pub(crate) struct DiskKeeper {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl DiskKeeper {
    /// Starts the thread, if there is something to watch. Where the system refuses a thread, nothing is
    /// watched, and puts are never refused for lack of room.
    pub(super) fn start(core: &Core) {
        let (reserve, slow) = (core.options.reserve(), core.options.slow_io);
        if reserve.is_off() && slow.is_none() {
            return;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, catalog) = (Arc::clone(&stop), Arc::downgrade(&core.catalog));
        let registry = Arc::clone(&core.reshaper.registry);
        let watch = Watch { reserve, slow, places: BTreeMap::new(), systems: BTreeMap::new() };
        let started = if failpoint::fails("thread") {
            Err(std::io::Error::other("a test refuses threads"))
        } else {
            let thread = std::thread::Builder::new().name("annulus-disks".into());
            thread.spawn(move || watch.run(&catalog, &registry, &stopped))
        };
        match started {
            Ok(thread) => {
                *core.disk_keeper.lock() = Some(Self { stop, thread: Some(thread) });
            }
            Err(error) => tracing::warn!(%error, "cannot start the thread that watches the disks"),
        }
    }
}

impl Drop for DiskKeeper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It is this thread if the listener had the last handle of the store. A panic was reported
            // by the thread itself.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

/// What is known of the disks.
struct Watch {
    reserve: Reserve,
    slow: Option<Duration>,
    places: BTreeMap<PathBuf, Place>,
    /// By device.
    systems: BTreeMap<u64, FileSystem>,
}

/// A shard, or a copy of the log.
struct Place {
    place: DiskPlace,
    device: u64,
    calls: Option<Arc<IoWatch>>,
    /// The room, while it is too little.
    low: Option<DiskRoom>,
    /// True once a file system that does not answer was logged.
    is_silent: bool,
}

impl Watch {
    fn run(mut self, catalog: &Weak<Catalog>, registry: &Registry, stop: &AtomicBool) {
        while !stop.load(Ordering::Acquire) {
            let Some(present) = catalog.upgrade() else { return };
            let events = self.look(&present);
            drop(present);
            for event in events {
                registry.tell(&Event::Disk(event));
            }
            park_timeout(TICK);
        }
    }

    fn look(&mut self, catalog: &Catalog) -> Vec<DiskEvent> {
        let mut events = Vec::new();
        self.list(catalog);
        self.look_at_room(&mut events);
        for (id, shard) in &*catalog.shards() {
            let concerns =
                |place: &&Place| matches!(place.place, DiskPlace::Log) || place.is_shard(*id);
            let places = self.places.values().filter(concerns);
            shard.room().set(places.filter_map(|place| place.low.clone()).collect());
        }
        for (directory, place) in &self.places {
            let slow = place.calls.iter().flat_map(|calls| calls.take());
            events.extend(slow.map(|(call, slow)| {
                DiskEvent::Slow(SlowCalls::new(place.place, directory.clone(), call, slow))
            }));
        }
        events
    }

    /// Brings the list of places up to the present: shards come and go, and a copy of the log may fail.
    fn list(&mut self, catalog: &Catalog) {
        let mut present = Vec::new();
        for (id, shard) in &*catalog.shards() {
            let place = self.place(shard.home(), DiskPlace::Shard(*id));
            place.calls.iter().for_each(|calls| shard.watch(calls));
            present.push(shard.home().to_owned());
        }
        for copy in catalog.log.copies().into_iter().filter(|copy| copy.failure.is_none()) {
            let place = self.place(&copy.directory, DiskPlace::Log);
            place.calls.iter().for_each(|calls| catalog.log.watch(copy.copy, calls));
            present.push(copy.directory);
        }
        self.places.retain(|directory, _| present.contains(directory));
    }

    fn place(&mut self, directory: &Path, place: DiskPlace) -> &mut Place {
        let slow = self.slow;
        self.places.entry(directory.to_owned()).or_insert_with(|| Place {
            place,
            device: FileId::at(directory).map_or(0, |id| id.device),
            calls: slow.map(|bound| Arc::new(IoWatch::new(bound))),
            low: None,
            is_silent: false,
        })
    }

    fn look_at_room(&mut self, events: &mut Vec<DiskEvent>) {
        if self.reserve.is_off() {
            return;
        }
        self.systems.values_mut().for_each(|system| system.is_silent = false);
        for (directory, place) in &mut self.places {
            let system = self.systems.entry(place.device).or_insert_with(FileSystem::new);
            match system.ask(directory) {
                Answer::Known(Some(space)) => {
                    place.is_silent = false;
                    events.extend(place.note(directory, space, &self.reserve));
                }
                Answer::Silent(time) if time > self.slow.unwrap_or(SLOW_DEFAULT) => {
                    if !std::mem::replace(&mut place.is_silent, true) {
                        let (of, directory) = (place.place, directory.display());
                        tracing::error!(%of, %directory, ?time, "a file system does not answer");
                    }
                    if self.slow.is_some() {
                        let slow = Slow { count: 1, longest: time, hangs: true };
                        let (of, call) = (place.place, DiskCall::Room);
                        let slow = SlowCalls::new(of, directory.clone(), call, slow);
                        events.push(DiskEvent::Slow(slow));
                    }
                }
                Answer::Known(None) | Answer::Silent(_) => {}
            }
        }
    }
}

impl Place {
    fn is_shard(&self, id: ShardId) -> bool {
        matches!(self.place, DiskPlace::Shard(shard) if shard == id)
    }

    /// Notes how much room there is. Returns what has changed.
    fn note(&mut self, directory: &Path, space: Space, reserve: &Reserve) -> Option<DiskEvent> {
        let bytes = reserve.bytes(space.size);
        let room = DiskRoom::new(self.place, directory.to_owned(), space.free, bytes);
        let was_low = self.low.is_some();
        let is_low = Reserve::is_low(was_low, space.free, bytes);
        self.low = is_low.then(|| room.clone());
        let place = self.place;
        match (was_low, is_low) {
            (false, true) => {
                tracing::warn!(%place, free = space.free, reserve = bytes, "a disk is nearly full: puts are refused");
                Some(DiskEvent::Low(room))
            }
            (true, false) => {
                tracing::info!(%place, free = space.free, reserve = bytes, "a disk has room again");
                Some(DiskEvent::Enough(room))
            }
            _ => None,
        }
    }
}

/// What a file system has answered.
#[derive(Clone, Copy)]
enum Answer {
    Known(Option<Space>),
    /// For how long it has not.
    Silent(Duration),
}

/// A file system, and the thread that asks it.
struct FileSystem {
    /// `None` if there is no thread: then the caller asks.
    thread: Option<(Sender<PathBuf>, Receiver<Option<Space>>)>,
    /// Since when an answer is waited for.
    asked: Option<Instant>,
    /// True if it has not answered in this look: it is not waited for a second time.
    is_silent: bool,
}

impl FileSystem {
    /// The thread ends when this is dropped, and its question was answered.
    fn new() -> Self {
        let (ask, questions) = bounded::<PathBuf>(1);
        let (reply, answers) = bounded(1);
        let run = move || {
            for directory in questions {
                if reply.send(space(&directory)).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("annulus-disk-room".into());
        let started = if failpoint::fails("thread") { None } else { thread.spawn(run).ok() };
        Self { thread: started.map(|_| (ask, answers)), asked: None, is_silent: false }
    }

    /// Returns how much room there is, as a directory on it shows; or for how long there was no answer.
    fn ask(&mut self, directory: &Path) -> Answer {
        let Some((ask, answers)) = &self.thread else { return Answer::Known(space(directory)) };
        if let Some(asked) = self.asked {
            let patience = if self.is_silent { Duration::ZERO } else { PATIENCE };
            if answers.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                self.is_silent = true;
                return Answer::Silent(asked.elapsed());
            }
            // That was the answer to an earlier question.
        }
        let asked = Instant::now();
        self.asked = Some(asked);
        // The thread waits for it, since the last question was answered.
        let _ = ask.send(directory.to_owned());
        match answers.recv_timeout(PATIENCE) {
            Err(RecvTimeoutError::Timeout) => {
                self.is_silent = true;
                Answer::Silent(asked.elapsed())
            }
            answered => {
                self.asked = None;
                Answer::Known(answered.ok().flatten())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESERVE: Reserve = Reserve { option: Some(800), write_buffer_bytes: 0 };

    #[test]
    fn a_place_is_low_until_it_has_more_than_the_reserve() {
        let mut place = Place {
            place: DiskPlace::Shard(ShardId(1)),
            device: 0,
            calls: None,
            low: None,
            is_silent: false,
        };
        let mut note = |free| {
            let event = place.note(Path::new("/disk"), Space { free, size: 1000 }, &RESERVE);
            let kind = event.map(|event| matches!(event, DiskEvent::Low(_)));
            (kind, place.low.as_ref().map(|room| room.bytes_free))
        };
        assert_eq!(note(900), (None, None));
        assert_eq!(note(700), (Some(true), Some(700)));
        assert_eq!(note(850), (None, Some(850)));
        assert_eq!(note(900), (Some(false), None));
    }

    /// One that hangs is asked once, and answers late.
    #[cfg(feature = "failpoints")]
    #[test]
    fn a_file_system_that_hangs_does_not_hold_up_the_one_who_asks() {
        let directory = tempfile::tempdir().unwrap();
        let hang = directory.path().join("HANG-space");
        std::fs::write(&hang, "").unwrap();
        let mut system = FileSystem::new();
        let mut ask = || {
            system.is_silent = false;
            system.ask(directory.path())
        };
        assert!(matches!(ask(), Answer::Silent(_)));
        assert!(matches!(ask(), Answer::Silent(time) if time >= PATIENCE));
        std::fs::remove_file(&hang).unwrap();
        let answers = (0..100).any(|_| matches!(ask(), Answer::Known(Some(_))));
        assert!(answers, "it answers at last");
        assert!(matches!(ask(), Answer::Known(Some(_))), "and to the next question");
    }
}
