//! Goal: a power cut while a store is open without one of its shards, or takes it back, loses nothing that
//! was durable, of that shard or of the others. Method: a child moves the directory of a shard away and
//! back, between openings and under an open store; its journal is replayed on the model of a disk up to a
//! cut, the shard is put back where it should be, and the image is opened and compared with what was
//! acknowledged. `ANNULUS_IMAGES` makes more images.

use crate::check::End;
use crate::churn::{quick_directory, seed};
use crate::disk::{Cut, Disk, Names, lay_out};
use crate::full::{LETTERS, Noted, SPLITS};
use crate::images::{Content, Figures, count, examine};
use crate::journal::Journal;
use crate::past::Past;
use crate::recorder;
use crate::workload::{Notes, Order, options, watch};
use annulus::report::ShardState;
use annulus::topology::KeyspaceSpec;
use annulus::{Durability, ErrorKind, Store};
use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const LIVES_WITHOUT: u32 = 3;

fn open(disk: &Path) -> annulus::Result<Store> {
    let builder = Store::builder(disk.join("store")).shards(3).options(options(false));
    builder.allow_missing_shards(true).open()
}

fn exchange(disk: &Path, from: &str, to: &str) {
    fs::rename(disk.join(from), disk.join(to)).unwrap();
}

const SHARD: &str = "store/shards/1";
const AWAY: &str = "away";

/// Opens the store, and writes to all that is there of it.
fn life(order: &Order, notes: &Notes, numbers: &Cell<u64>, number: u32) -> Store {
    let store = open(&order.disk()).unwrap();
    notes.note("opened\n");
    let keyspace = store.keyspace("written").unwrap();
    let written = Noted { notes, numbers, keyspace };
    for n in 0..24 {
        let synced = n % 5 == number % 5;
        let durability = if synced { Durability::Synced } else { Durability::Buffered };
        let key = format!("{}-{number}-{n}", LETTERS[n as usize % 3]);
        // What is refused is not written; what was there of it stays.
        if let Err(error) = written.put(&key, durability) {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:#}");
        }
        if n % 10 == 9 {
            store.flush().unwrap();
        }
    }
    store
}

/// Not a test of its own.
#[test]
fn child() {
    let Some(order) = Order::of_child() else { return };
    watch();
    let (notes, numbers, disk) = (Notes::new(&order), Cell::new(1), order.disk());
    let store = open(&disk).unwrap();
    notes.note("create written\n");
    store.create_keyspace("written", KeyspaceSpec::range().split_at(SPLITS)).unwrap();
    notes.note("created written\n");
    drop(store);
    drop(life(&order, &notes, &numbers, 0));
    exchange(&disk, SHARD, AWAY);
    for number in 1..=LIVES_WITHOUT {
        let store = life(&order, &notes, &numbers, number);
        assert_eq!(store.recovery().missing.len(), 1);
        if number % 2 == 0 {
            store.close().unwrap();
        }
    }
    // Back between two openings, away again, and back under an open store.
    exchange(&disk, AWAY, SHARD);
    drop(life(&order, &notes, &numbers, 10));
    exchange(&disk, SHARD, AWAY);
    let store = life(&order, &notes, &numbers, 11);
    exchange(&disk, AWAY, SHARD);
    let begun = Instant::now();
    let is_back = |store: &Store| {
        let shards = store.stats().unwrap().shards;
        shards.iter().all(|shard| shard.health.state == ShardState::Serving)
    };
    while !is_back(&store) {
        assert!(begun.elapsed() < Duration::from_secs(60), "it is not taken back");
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(store);
    drop(life(&order, &notes, &numbers, 12));
    std::process::exit(0);
}

/// Puts the shard where it should be, as an operator does.
fn mount(disk: &Path) {
    if disk.join(AWAY).is_dir() && !disk.join(SHARD).exists() {
        exchange(disk, AWAY, SHARD);
    }
}

#[test]
fn power_cuts_without_a_shard() {
    let (seed, begun) = (seed(), Instant::now());
    let mut random = fastrand::Rng::with_seed(seed);
    let figures = Figures::default();
    let wanted = count("ANNULUS_IMAGES", 24);
    let directory = quick_directory();
    let order = Order {
        directory: directory.path().to_owned(),
        seed,
        first: 1,
        lives: 1,
        steps: 0,
        links: true,
        faults: false,
        quiet: false,
        mapped: false,
    };
    fs::create_dir_all(order.disk()).unwrap();
    let disk = Disk::of(&order.disk(), Names::Journalled);
    let journal = directory.path().join("journal");
    let mut child = recorder::child_of("missing::child", &order);
    let status = child.env("ANNULUS_RECORD_JOURNAL", &journal).status().unwrap();
    assert!(status.success(), "{status}\n{}", recorder::log(&order));
    let mut past = Past::none(disk, Content::default(), None);
    past.journal = Journal::parse(fs::read(&journal).unwrap(), order.disk().to_str().unwrap());
    let history = past.history();
    Figures::add(&figures.acknowledged, history.acknowledged());
    let calls = past.journal.calls.len();
    // From when the keyspace is there.
    let first = history.openings[0];
    let mut cuts: Vec<usize> = (0..wanted).map(|_| random.usize(first..=calls)).collect();
    cuts.sort_unstable();
    for cut in cuts {
        let Past { disk, played, journal, .. } = &mut past;
        journal.calls[*played..cut].iter().for_each(|call| disk.play(call, &journal.bytes));
        *played = cut;
        let how = random.choice([Cut::AllLost, Cut::ByLot, Cut::ByLot, Cut::NothingLost]).unwrap();
        let image = disk.image(&journal.bytes, how, &mut random);
        let place = directory.path().join("image");
        lay_out(&image, &place);
        Figures::add(&figures.images, 1);
        // Perhaps the machine comes up without the disk first.
        if random.bool() && (place.join(SHARD).is_dir() || place.join(AWAY).is_dir()) {
            if place.join(SHARD).is_dir() {
                exchange(&place, SHARD, "elsewhere");
            } else {
                exchange(&place, AWAY, "elsewhere");
            }
            drop(open(&place).unwrap());
            exchange(&place, "elsewhere", SHARD);
        }
        mount(&place);
        let end = if how == Cut::NothingLost { End::Process } else { End::Power };
        let works = random.u32(..8) == 0;
        if let Err(what) = examine(&place, &history, cut, end, works, &figures) {
            panic!("{what}\ncut at call {cut} of {calls}, {how:?}, seed {seed}");
        }
    }
    figures.print("without a shard", seed, begun);
}
