//! A shard in an object store: what every engine must do, in memory and in a directory; and what may
//! become of an object store.

use super::place::ObjectPlace;
use super::unreliable::Unreliable;
use super::{SlateDb, lists};
use crate::engine::conformance::{Fixture, ONE, Subject, conforms, log_in, row, wait_until};
use crate::engine::{Engine as _, EngineOptions, LogDamage, Read, Resources, WriteBatch as _};
use crate::error::ErrorKind;
use crate::log::CommitLog;
use slatedb::object_store::ObjectStore as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

fn resources(write_buffer_bytes: usize) -> Resources {
    let options = EngineOptions { write_buffer_bytes, ..EngineOptions::small(LogDamage::Refuse) };
    Resources::new(&options, 1)
}

/// A shard in memory.
pub(super) struct Memory(OnPlace);

/// A shard in a directory, by the protocol of object stores.
pub(super) struct Directory(OnPlace);

struct OnPlace {
    place: ObjectPlace,
    resources: Resources,
}

impl OnPlace {
    fn open(&self, log: &Arc<CommitLog>) -> SlateDb {
        if self.place.read_identity().unwrap().is_none() {
            self.place.write_identity(b"whose it is").unwrap();
        }
        SlateDb::open(&self.place, &self.resources, None, log).unwrap()
    }
}

impl Subject for Memory {
    type Engine = SlateDb;

    fn new(_: &Path, write_buffer_bytes: usize) -> Self {
        static ISSUED: AtomicU64 = AtomicU64::new(0);
        let url = format!("memory:conformance-{}", ISSUED.fetch_add(1, Ordering::Relaxed));
        let place = ObjectPlace::of(&url).unwrap();
        Self(OnPlace { place, resources: resources(write_buffer_bytes) })
    }

    fn open(&self, log: &Arc<CommitLog>) -> SlateDb {
        self.0.open(log)
    }

    fn is_there(&self) -> bool {
        self.0.place.holds_anything().unwrap()
    }

    fn retire(&self, shard: &SlateDb) {
        shard.retire();
    }
}

impl Subject for Directory {
    type Engine = SlateDb;

    fn new(directory: &Path, write_buffer_bytes: usize) -> Self {
        let url = format!("file://{}", directory.join("objects").display());
        let place = ObjectPlace::of(&url).unwrap();
        Self(OnPlace { place, resources: resources(write_buffer_bytes) })
    }

    fn open(&self, log: &Arc<CommitLog>) -> SlateDb {
        self.0.open(log)
    }

    fn is_there(&self) -> bool {
        self.0.place.holds_anything().unwrap()
    }

    fn retire(&self, shard: &SlateDb) {
        shard.retire();
    }
}

mod in_memory {
    super::conforms!(crate::engine::slatedb::tests::Memory);
}

mod in_a_directory {
    super::conforms!(crate::engine::slatedb::tests::Directory);
}

/// A shard on an unreliable store, with a log.
struct Case {
    store: Arc<Unreliable>,
    place: ObjectPlace,
    resources: Resources,
    log: Arc<CommitLog>,
    _directory: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (log, store) = (log_in(directory.path()), Unreliable::new(false));
        Self {
            place: store.place(),
            store,
            resources: resources(64 << 20),
            log,
            _directory: directory,
        }
    }

    fn open(&self) -> SlateDb {
        SlateDb::open(&self.place, &self.resources, None, &self.log).unwrap()
    }

    fn get(&self, shard: &SlateDb, key: &[u8]) -> Option<Vec<u8>> {
        let partition = shard.partition(ONE).unwrap();
        shard.get(&partition, key, Read::PRESENT).unwrap().map(|value| value.to_vec())
    }
}

#[test]
fn a_store_that_ignores_conditions_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let (log, place) = (log_in(directory.path()), Unreliable::new(true).place());
    let refused = SlateDb::open(&place, &resources(64 << 20), None, &log).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
    assert!(refused.to_string().contains("memory:unreliable"), "{refused}");
    assert!(lists::probe(&place).is_err());
}

/// The manifest, and the list of partitions, are written, and the requests fail all the same.
#[test]
fn answers_that_are_lost_change_nothing() {
    let case = Case::new();
    let shard = case.open();
    case.store.answers_lost.store(1, Ordering::Release);
    match shard.create_partition(ONE) {
        Ok(_) => {}
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:#}");
            assert!(shard.partition(ONE).is_none());
            shard.create_partition(ONE).unwrap();
        }
    }
    let one = shard.partition(ONE).unwrap();
    for n in 0..10_u32 {
        shard.put(&one, &n.to_be_bytes(), b"value").unwrap();
        case.store.answers_lost.store(2, Ordering::Release);
        shard.flush().unwrap();
    }
    case.store.answers_lost.store(0, Ordering::Release);
    drop((one, shard));
    let shard = case.open();
    assert_eq!(shard.partitions(), [ONE]);
    for n in 0..10_u32 {
        assert_eq!(case.get(&shard, &n.to_be_bytes()).unwrap(), b"value");
    }
}

/// While the store is away, what is in memory is served and takes writes; a read of a table, and a
/// flush, end in `Unavailable`; and afterwards all of it is there.
#[test]
fn an_outage_is_an_error_by_a_deadline_and_loses_nothing() {
    let case = Case::new();
    let shard = case.open();
    let one = shard.create_partition(ONE).unwrap();
    shard.put(&one, b"table", b"1").unwrap();
    shard.flush().unwrap();
    drop((one, shard));
    // Another opening has nothing of it in its cache.
    let shard = SlateDb::open(&case.place, &resources(64 << 20), None, &case.log).unwrap();
    shard.set_unavailable_after(Duration::from_millis(300));
    let one = shard.partition(ONE).unwrap();
    case.store.is_away.store(true, Ordering::Release);
    shard.put(&one, b"memory", b"1").unwrap();
    assert_eq!(case.get(&shard, b"memory").unwrap(), b"1");
    let read = shard.get(&one, b"table", Read::PRESENT);
    assert_eq!(read.err().unwrap().kind(), ErrorKind::Unavailable);
    assert_eq!(shard.flush().unwrap_err().kind(), ErrorKind::Unavailable);
    let created = shard.create_partition(crate::engine::conformance::TWO);
    assert_eq!(created.err().unwrap().kind(), ErrorKind::Unavailable);
    case.store.is_away.store(false, Ordering::Release);
    shard.set_unavailable_after(Duration::from_secs(30));
    assert_eq!(case.get(&shard, b"table").unwrap(), b"1");
    shard.flush().unwrap();
    drop((one, shard));
    let shard = case.open();
    assert_eq!(case.get(&shard, b"memory").unwrap(), b"1");
    assert_eq!(shard.partitions(), [ONE], "what was refused is not there");
}

/// The earlier one makes nothing durable any more: no table, and no partition.
#[test]
fn an_opening_fences_the_one_before_it() {
    let case = Case::new();
    let directory = tempfile::tempdir().unwrap();
    let other_log = log_in(directory.path());
    let earlier = case.open();
    let one = earlier.create_partition(ONE).unwrap();
    earlier.put(&one, b"a", b"durable").unwrap();
    earlier.flush().unwrap();
    let later = SlateDb::open(&case.place, &case.resources, None, &other_log).unwrap();
    let name = crate::engine::conformance::TWO;
    assert_eq!(earlier.create_partition(name).err().unwrap().kind(), ErrorKind::Fenced);
    assert_eq!(earlier.drop_partition(ONE).unwrap_err().kind(), ErrorKind::Fenced);
    let written = earlier.put(&one, b"a", b"of the zombie").and_then(|()| earlier.flush());
    assert_eq!(written.unwrap_err().kind(), ErrorKind::Fenced);
    wait_until(|| earlier.snapshot().is_err());
    assert_eq!(earlier.snapshot().err().unwrap().kind(), ErrorKind::Fenced);
    assert_eq!(case.get(&later, b"a").unwrap(), b"durable");
    let mut batch = later.batch();
    batch.put(&later.partition(ONE).unwrap(), b"b", b"1");
    later.write(batch).unwrap();
    later.flush().unwrap();
    drop((one, earlier));
    assert_eq!(case.get(&later, b"b").unwrap(), b"1");
    assert_eq!(later.partitions(), [ONE]);
}

/// What is in memory when the shard closes stays out of the object store: the log has it.
#[test]
fn a_shard_that_is_closed_while_the_store_is_away_ends() {
    let case = Case::new();
    let shard = case.open();
    let one = shard.create_partition(ONE).unwrap();
    shard.put(&one, b"a", b"1").unwrap();
    shard.begin_flush_before(case.log.end()).unwrap();
    case.store.is_away.store(true, Ordering::Release);
    let begun = std::time::Instant::now();
    let away = Arc::clone(&case.store);
    let back = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(2));
        away.is_away.store(false, Ordering::Release);
    });
    drop((one, shard));
    assert!(begun.elapsed() < Duration::from_secs(60));
    back.join().unwrap();
    let shard = case.open();
    assert_eq!(shard.partitions(), [ONE]);
}

/// Rows of a dropped partition leave the object store, in this opening or in the next.
#[test]
fn what_was_dropped_is_drained() {
    let mut fixture = Fixture::<Memory>::new();
    let one = fixture.shard().create_partition(ONE).unwrap();
    fixture.shard().put(&one, b"a", b"1").unwrap();
    fixture.shard().flush().unwrap();
    assert_eq!(fixture.shard().segments(), 1);
    fixture.shard().drop_partition(ONE).unwrap();
    assert!(fixture.shard().is_stranded(ONE), "a handle is held");
    drop(one);
    wait_until(|| !fixture.shard().is_stranded(ONE));
    assert_eq!(fixture.shard().segments(), 0);
    // In the next one: a load that had written tables when the process died.
    let one = fixture.shard().create_partition(ONE).unwrap();
    fixture.shard().put(&one, b"a", b"1").unwrap();
    fixture.shard().flush().unwrap();
    fixture.shard().drop_partition(ONE).unwrap();
    let cursor = fixture.shard().cursor(
        &one,
        &crate::placement::KeyRange::whole(),
        crate::engine::Direction::Forward,
        Read::PRESENT,
    );
    assert_eq!(crate::engine::conformance::rest(cursor.unwrap()), [row("a", "1")]);
    drop(one);
    fixture.crash();
    wait_until(|| !fixture.shard().is_stranded(ONE));
    assert_eq!(fixture.shard().segments(), 0);
}

#[test]
fn the_place_is_laid_out_as_documented() {
    let case = Case::new();
    let shard = case.open();
    let one = shard.create_partition(ONE).unwrap();
    shard.put(&one, b"a", b"1").unwrap();
    shard.flush().unwrap();
    use futures::TryStreamExt as _;
    let there: Vec<_> = case
        .place
        .ask("listing", async { case.store.inner.list(None).try_collect::<Vec<_>>().await })
        .unwrap();
    let places: Vec<String> = there.iter().map(|object| object.location.to_string()).collect();
    let lists = places.iter().filter(|place| place.starts_with("partitions/")).count();
    assert_eq!(lists, 1, "superseded lists are deleted: {places:?}");
    let tables = places.iter().filter(|place| place.starts_with("data/compacted/")).count();
    assert_eq!(tables, 1, "{places:?}");
    assert!(
        places.iter().all(|place| place.starts_with("partitions/") || place.starts_with("data/")),
        "{places:?}"
    );
}
