//! The process that is recorded, killed, or made to meet errors: it writes to a store under
//! reshapes of every kind, closes it and opens it again, and notes what was acknowledged.

use crate::churn::Churn;
use crate::mirror::{fail_a_copy, heal_disk, with_mirror};
use crate::notes::{Effect, Place, ends, id_of, published, starts, value};
use crate::script;
use annulus::changes::{Change, ChangesFrom};
use annulus::reshape::{ReshapeOptions, Transport};
use annulus::topology::KeyspaceSpec;
use annulus::{Batch, Durability, Keyspace, LogAccess, Options, Prefix, Store};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

pub(crate) const ORDER: &str = "ANNULUS_POWER_ORDER";
const WRITERS: u64 = 3;
/// Keys begin with one of these, so that each writer has some in every range.
const LETTERS: [&str; 6] = ["a", "d", "h", "m", "r", "w"];
const KEYS_PER_LETTER: usize = 2;
const KEYSPACES: [&str; 2] = ["hash", "range"];

/// What a child should do.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) directory: PathBuf,
    pub(crate) seed: u64,
    /// The number of the first operation: higher than any before.
    pub(crate) first: u64,
    pub(crate) lives: u32,
    /// Reshapes in each life.
    pub(crate) steps: u32,
    /// With links, too.
    pub(crate) links: bool,
    /// Whether errors are expected: after one the life goes on, and its reshapes follow a script.
    pub(crate) faults: bool,
    /// With as few syncs as there can be: no write, nor anything else that waits for one, asks for
    /// it.
    pub(crate) quiet: bool,
    /// Whether the log is written through mapped memory, which the recorder does not see.
    pub(crate) mapped: bool,
}

impl Order {
    pub(crate) fn text(&self) -> String {
        let Self { directory, seed, first, lives, steps, links, faults, quiet, mapped } = self;
        let place = directory.display();
        format!("{seed} {first} {lives} {steps} {links} {faults} {quiet} {mapped} {place}")
    }

    /// Returns the order of this process, if it is a child.
    pub(crate) fn of_child() -> Option<Self> {
        std::env::var(ORDER).ok().map(|text| Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let words: Vec<&str> = text.splitn(9, ' ').collect();
        let number = |n: usize| words[n].parse::<u64>().unwrap();
        Self {
            directory: words[8].into(),
            seed: number(0),
            first: number(1),
            lives: number(2) as u32,
            steps: number(3) as u32,
            links: words[4] == "true",
            faults: words[5] == "true",
            quiet: words[6] == "true",
            mapped: words[7] == "true",
        }
    }

    pub(crate) fn disk(&self) -> PathBuf {
        self.directory.join("disk")
    }

    pub(crate) fn notes(&self) -> PathBuf {
        self.directory.join("notes")
    }
}

/// Returns the options of all stores here: small, and quick to open.
pub(crate) fn options(trim: bool) -> Options {
    Options::new()
        .cache_bytes(4 << 20)
        .write_buffer_bytes(4 << 20)
        .hot_cache_bytes(64 << 10)
        .arcs_per_shard(1)
        .background_threads(2)
        .heat(None)
        // The recorder sees calls, and not what goes through mapped memory.
        .log_access(LogAccess::Written)
        .reshape(ReshapeOptions::new().trim(trim))
}

pub(crate) fn open(disk: &Path, trim: bool) -> annulus::Result<Store> {
    open_with(disk, options(trim))
}

fn open_with(disk: &Path, options: Options) -> annulus::Result<Store> {
    Store::builder(disk.join("store")).shards(3).options(with_mirror(options)).open()
}

pub(crate) struct Notes(File);

impl Notes {
    pub(crate) fn new(order: &Order) -> Self {
        Self(OpenOptions::new().create(true).append(true).open(order.notes()).unwrap())
    }

    pub(crate) fn note(&self, text: &str) {
        (&self.0).write_all(text.as_bytes()).unwrap();
    }

    /// Notes an error where errors are expected; returns it where not.
    fn bear(&self, order: &Order, result: annulus::Result<()>) -> annulus::Result<()> {
        let Err(error) = result else { return Ok(()) };
        if !order.faults {
            return Err(error);
        }
        let text = format!("{error:#}").replace('\n', " ");
        self.note(&format!("error {:?} {text}\n", error.kind()));
        Ok(())
    }
}

/// Ends the process with another status if a thread panics, or if it takes so long that it hangs.
pub(crate) fn watch() {
    std::thread::spawn(|| {
        // Nothing that is expected here takes this long, on the slowest disk.
        std::thread::sleep(Duration::from_secs(240));
        eprintln!("it did not end");
        std::process::exit(71);
    });
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        usual(panic);
        std::process::exit(70);
    }));
}

/// Not a test of its own.
#[test]
fn child() {
    let Some(order) = Order::of_child() else { return };
    watch();
    let notes = Notes::new(&order);
    let numbers = AtomicU64::new(order.first);
    for life in 0..order.lives {
        let lived = live(&order, life, &notes, &numbers);
        notes.bear(&order, lived).unwrap();
    }
}

fn live(order: &Order, life: u32, notes: &Notes, numbers: &AtomicU64) -> annulus::Result<()> {
    let mut random = fastrand::Rng::with_seed(order.seed ^ u64::from(life) << 40);
    heal_disk(order);
    let access = if order.mapped { LogAccess::Mapped } else { LogAccess::Written };
    let store = open_with(&order.disk(), options(true).log_access(access))?;
    notes.note("opened\n");
    fail_a_copy(order, &mut random);
    for name in KEYSPACES {
        if store.keyspace(name).is_err() {
            notes.note(&format!("create {name}\n"));
            let spec = match name {
                "hash" => KeyspaceSpec::from(KeyspaceSpec::hash()),
                _ => KeyspaceSpec::range().split_at(["d", "m"]).into(),
            };
            store.create_keyspace(name, spec)?;
            notes.note(&format!("created {name}\n"));
        }
    }
    let stop = AtomicBool::new(false);
    // How many of a hundred writes are synced: where many are, little can be lost.
    let synced_percent = if order.quiet { 0 } else { random.choice([1, 4, 15, 50]).unwrap() };
    std::thread::scope(|scope| {
        let (store, stop) = (&store, &stop);
        let writers: Vec<_> = (0..WRITERS)
            .map(|number| {
                let random = random.fork();
                let mut writer =
                    Writer { order, store, notes, numbers, number, random, synced_percent };
                scope.spawn(move || writer.run(stop))
            })
            .collect();
        // Seldom one that syncs itself: what is lost when no one does is what most of this is about.
        let sync_after = match random.u32(..5) {
            0 if !order.quiet => Duration::from_millis(10),
            _ => Duration::from_secs(3600),
        };
        let reader = scope.spawn(move || {
            read_changes(store, notes, sync_after, stop).or_else(|error| match order.faults {
                true => Ok(()),
                false => Err(error),
            })
        });
        let reshaped = reshape(order, life, store, notes, numbers, &mut random);
        stop.store(true, Ordering::Release);
        reader.join().unwrap()?;
        let written =
            writers.into_iter().map(|writer| writer.join().unwrap()).fold(Ok(()), Result::and);
        reshaped.and(written)
    })?;
    if random.bool() {
        notes.note("sync\n");
        store.close()?;
        notes.note("synced\n");
    }
    Ok(())
}

/// The consumer of the changes.
pub(crate) const CONSUMER: &str = "reader";

/// Notes what a reader of changes gets, from where it was when the last process ended.
fn read_changes(
    store: &Store,
    notes: &Notes,
    sync_after: Duration,
    stop: &AtomicBool,
) -> annulus::Result<()> {
    let consumer = store.consumer_or_create(CONSUMER, ChangesFrom::Now)?;
    let mut changes = consumer.changes()?.sync_after(sync_after).open()?;
    let first_of_process = store.log_end();
    let mut read = 0;
    while !stop.load(Ordering::Acquire) {
        let Some(commit) = changes.next_timeout(Duration::from_millis(5))? else { continue };
        // Earlier ones have no notes any more.
        if commit.position() >= first_of_process {
            let puts = commit.changes().filter_map(|change| match change {
                Change::Put { value, .. } => id_of(value),
                _ => None,
            });
            puts.take(1).for_each(|id| notes.note(&published(id)));
        }
        read += 1;
        if read % 20 == 0 {
            consumer.commit(commit.end())?;
        }
    }
    Ok(())
}

/// Makes reshapes, shards and keyspaces that come and go, syncs and flushes.
fn reshape(
    order: &Order,
    life: u32,
    store: &Store,
    notes: &Notes,
    numbers: &AtomicU64,
    random: &mut fastrand::Rng,
) -> annulus::Result<()> {
    let mut churn = Churn::new(random.u64(..)).shards_percent(15);
    if !order.links {
        churn.transport = Some(Transport::Copy);
    }
    for step in 0..order.steps {
        if order.faults {
            notes.bear(order, script::step(store, life * order.steps + step, random))?;
        } else {
            churn.step(store);
        }
        notes.note("reshaped\n");
        let done = match random.u32(..12) {
            _ if order.quiet => Ok(()),
            _ if order.faults && step == 1 => passing_keyspace(store, notes, numbers, random),
            0..=2 => passing_keyspace(store, notes, numbers, random),
            // Often, so that segments of the log become free.
            3..=5 => store.flush(),
            6 => sync(store, notes),
            _ => Ok(()),
        };
        notes.bear(order, done)?;
    }
    Ok(())
}

fn sync(store: &Store, notes: &Notes) -> annulus::Result<()> {
    notes.note("sync\n");
    store.sync()?;
    notes.note("synced\n");
    Ok(())
}

fn passing_keyspace(
    store: &Store,
    notes: &Notes,
    numbers: &AtomicU64,
    random: &mut fastrand::Rng,
) -> annulus::Result<()> {
    let name = format!("passing{}", numbers.fetch_add(1, Ordering::Relaxed));
    notes.note(&format!("create {name}\n"));
    let keyspace = store.create_keyspace(&name, KeyspaceSpec::hash())?;
    notes.note(&format!("created {name}\n"));
    for n in 0..3 {
        let id = numbers.fetch_add(1, Ordering::Relaxed);
        let key = format!("key{n}");
        notes.note(&starts(id, true, &[((name.clone(), key.clone()), Some(10))]));
        keyspace.put_with(&key, value(id, &key, 10), Durability::Synced)?;
        notes.note(&ends(id, false));
    }
    if random.u32(..3) > 0 {
        notes.note(&format!("drop {name}\n"));
        store.drop_keyspace(&name)?;
        notes.note(&format!("dropped {name}\n"));
    }
    Ok(())
}

struct Writer<'a> {
    order: &'a Order,
    store: &'a Store,
    notes: &'a Notes,
    numbers: &'a AtomicU64,
    number: u64,
    random: fastrand::Rng,
    synced_percent: u32,
}

impl Writer<'_> {
    fn run(&mut self, stop: &AtomicBool) -> annulus::Result<()> {
        let mut burst = 0_u32;
        while !stop.load(Ordering::Acquire) {
            let written = self.write();
            self.notes.bear(self.order, written)?;
            if burst == 0 {
                std::thread::sleep(Duration::from_micros(self.random.u64(100..1500)));
                burst = if self.random.u32(..20) == 0 { 20 } else { 1 };
            }
            burst -= 1;
        }
        Ok(())
    }

    fn place(&mut self) -> Place {
        let (letter, n) =
            (self.random.choice(LETTERS).unwrap(), self.random.usize(..KEYS_PER_LETTER));
        (self.random.choice(KEYSPACES).unwrap().to_owned(), format!("{letter}{}/{n}", self.number))
    }

    fn length(&mut self) -> usize {
        match self.random.u32(..300) {
            // Longer than a segment of the log.
            0 => self.random.usize(60_000..100_000),
            1..30 => self.random.usize(..12_000),
            _ => self.random.usize(..200),
        }
    }

    fn write(&mut self) -> annulus::Result<()> {
        let id = self.numbers.fetch_add(1, Ordering::Relaxed);
        let synced = self.random.u32(..100) < self.synced_percent;
        let durability = if synced { Durability::Synced } else { Durability::Buffered };
        let kind = self.random.u32(..100);
        let mut effects: BTreeMap<Place, Option<usize>> = BTreeMap::new();
        match kind {
            0..=9 => drop(effects.insert(self.place(), None)),
            10..=44 => {
                // Two keys are often on one shard, eight never are.
                for _ in 0..self.random.choice([2, 2, 2, 3, 8]).unwrap() {
                    let put = self.random.u32(..5) > 0;
                    let bytes = put.then(|| self.length());
                    effects.insert(self.place(), bytes);
                }
            }
            45..=47 => {
                let (keyspace, key) = self.place();
                let keys = (0..KEYS_PER_LETTER).map(|n| format!("{}{n}", &key[..key.len() - 1]));
                effects.extend(keys.map(|key| ((keyspace.clone(), key), None)));
            }
            _ => drop(effects.insert(self.place(), Some(self.length()))),
        }
        let effects: Vec<Effect> = effects.into_iter().collect();
        let epoch = self.store.topology().epoch();
        self.notes.note(&starts(id, synced, &effects));
        self.act(kind, id, &effects, durability)?;
        let moved = self.store.topology().epoch() != epoch;
        self.notes.note(&ends(id, moved));
        Ok(())
    }

    fn keyspace(&self, name: &str) -> annulus::Result<Keyspace> {
        self.store.keyspace(name)
    }

    fn act(
        &self,
        kind: u32,
        id: u64,
        effects: &[Effect],
        durability: Durability,
    ) -> annulus::Result<()> {
        let ((keyspace, key), bytes) = &effects[0];
        let only = self.keyspace(keyspace)?;
        match (kind, bytes) {
            (45..=47, _) => only.delete_range_with(Prefix::new(&key[..key.len() - 1]), durability),
            (10..=44, _) => {
                let mut batch = Batch::new();
                for ((keyspace, key), bytes) in effects {
                    let keyspace = self.keyspace(keyspace)?;
                    match bytes {
                        Some(bytes) => batch.put(&keyspace, key, value(id, key, *bytes)),
                        None => batch.delete(&keyspace, key),
                    }
                }
                self.store.write_with(batch, durability)
            }
            (_, None) => only.delete_with(key, durability),
            (80.., Some(bytes)) => {
                let found = only.get(key)?;
                let new = value(id, key, *bytes);
                let swap =
                    only.compare_and_swap_with(key, found.as_deref(), Some(&new), durability)?;
                assert!(swap.is_swapped(), "{key} has one writer");
                Ok(())
            }
            (_, Some(bytes)) => only.put_with(key, value(id, key, *bytes), durability),
        }
    }
}
