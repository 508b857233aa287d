//! Goal: whatever a disk loses of what was not synced, the next opening keeps every promise.
//! Method: a child works under the recorder; its journal is replayed on a model of a disk up to a
//! cut, an image of what is left is opened and compared with what was acknowledged before the cut.
//! Then a child continues from one of these images, so that openings are cut, too. `ANNULUS_SEED`
//! repeats the same choices (threads are not scheduled the same, so a violation may need several
//! runs); `ANNULUS_IMAGES` makes more images, `ANNULUS_SYNC_MICROS` makes every sync slow.

use crate::check::{End, check};
use crate::churn::{Churn, quick_directory, seed};
use crate::disk::{Cut, Disk, Image, Names, lay_out};
use crate::journal::{Call, Journal};
use crate::notes::{History, Rows};
use crate::recorder;
use crate::workload::{Order, open};
use annulus::{Batch, Durability, Store};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

/// What was tried, in figures.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) images: AtomicU64,
    pub(crate) acknowledged: AtomicU64,
    pub(crate) openings: AtomicU64,
    pub(crate) violations: AtomicU64,
}

impl Figures {
    pub(crate) fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn of(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }

    pub(crate) fn print(&self, what: &str, begun: Instant) {
        println!(
            "{what}: {}; {} operations acknowledged, {} openings, {} violations, {:.0} s",
            Self::of(&self.images),
            Self::of(&self.acknowledged),
            Self::of(&self.openings),
            Self::of(&self.violations),
            begun.elapsed().as_secs_f64(),
        );
    }
}

/// Returns how often, from an environment variable, or the default.
pub(crate) fn count(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// Runs a job with each number below `count` on two threads, until one returns false.
pub(crate) fn on_two_threads(count: usize, job: impl Fn(usize) -> bool + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    if !job(number) {
                        next.store(count, Ordering::Relaxed);
                    }
                }
            });
        }
    });
}

/// Rows and keyspaces of a store.
pub(crate) type Content = (Rows, BTreeSet<String>);

pub(crate) fn content(store: &Store) -> Result<Content, String> {
    let mut rows = Rows::new();
    let mut keyspaces = BTreeSet::new();
    for keyspace in store.keyspaces() {
        let name = keyspace.name().to_owned();
        for row in keyspace.scan(..).map_err(|error| format!("{error:#}"))? {
            let (key, value) = row.map_err(|error| format!("a scan of `{name}`: {error}"))?;
            let found = keyspace.get(&key).map_err(|error| format!("{error:#}"))?;
            if found.as_deref() != Some(&value[..]) {
                return Err(format!("`{name}`: a get and a scan of {} differ", key.escape_ascii()));
            }
            let key = String::from_utf8(key).map_err(|_| "a key that was never written")?;
            rows.insert((name.clone(), key), value);
        }
        keyspaces.insert(name);
    }
    Ok((rows, keyspaces))
}

fn open_at(disk: &Path, figures: &Figures) -> Result<Store, String> {
    Figures::add(&figures.openings, 1);
    open(disk, false).map_err(|error| format!("refused: {:?} {error}", error.kind()))
}

/// Opens what is left after an end and checks all of it; returns its content.
pub(crate) fn examine(
    disk: &Path,
    history: &History,
    cut: usize,
    end: End,
    works: bool,
    figures: &Figures,
) -> Result<Content, String> {
    let store = open_at(disk, figures)?;
    let found = content(&store)?;
    check(history, cut, end, &found.0, &found.1)?;
    let report = store.verify().map_err(|error| format!("{error:#}"))?;
    if !report.is_sound() {
        return Err(format!("verify: {:?}", report.problems));
    }
    drop(store);
    let store = open_at(disk, figures)?;
    let again = store.recovery();
    let repairs = again.orphans.len() + again.rolled_back.len() + again.lost.len() + again.batches;
    if repairs > 0 {
        return Err(format!("the second opening finds more to repair: {again:?}"));
    }
    if content(&store)? != found {
        return Err("the second opening has other content than the first".into());
    }
    if works {
        still_works(store, disk, figures)?;
    }
    Ok(found)
}

/// Writes to, reshapes, closes and opens a store that was repaired.
fn still_works(store: Store, disk: &Path, figures: &Figures) -> Result<(), String> {
    let told = |error: annulus::Error| format!("it does not work any more: {error}");
    let keyspaces = store.keyspaces();
    let mut batch = Batch::new();
    for keyspace in &keyspaces {
        (0..20)
            .for_each(|n| batch.put(keyspace, format!("{}later", char::from(b'a' + n)), "later"));
    }
    store.write_with(batch, Durability::Synced).map_err(told)?;
    let mut churn = Churn::new(1);
    if !keyspaces.is_empty() {
        (0..2).for_each(|_| drop(churn.step(&store)));
    }
    let before = content(&store)?;
    store.close().map_err(told)?;
    drop((store, keyspaces));
    let store = open_at(disk, figures)?;
    match content(&store)? == before {
        true => Ok(()),
        false => Err("after closing and opening it has other content".into()),
    }
}

/// Runs a child under the recorder, from the content of its directory, and reads what it did.
fn record(
    order: &Order,
    series: &Series<'_>,
    base: Content,
) -> Result<(Disk, Journal, History), String> {
    let disk = Disk::of(&order.disk(), series.names);
    let journal = order.directory.join("journal");
    let _ = fs::remove_file(&journal);
    let _ = fs::remove_file(order.notes());
    let mut child = recorder::child(order);
    child.env("ANNULUS_RECORD_JOURNAL", &journal).env("ANNULUS_SKIP", series.skipped);
    child.env("ANNULUS_RECORD_SYNC_MICROS", series.sync_micros.to_string());
    let status = child.status().unwrap();
    if !status.success() {
        return Err(format!("the child ended with {status}:\n{}", recorder::log(order)));
    }
    let journal = Journal::parse(fs::read(&journal).unwrap(), order.disk().to_str().unwrap());
    let notes = (0..journal.calls.len()).filter_map(|n| Some((n, journal.note(n)?)));
    let history = History::read(base, notes);
    Ok((disk, journal, history))
}

/// Returns places to cut at: anywhere; soon after a sync or a change of names; or soon after an
/// acknowledgement during which the topology changed.
fn cuts(
    journal: &Journal,
    history: &History,
    count: usize,
    random: &mut fastrand::Rng,
) -> Vec<usize> {
    let calls = journal.calls.len();
    let turns =
        (0..calls).filter(|n| !matches!(journal.calls[*n], Call::Write { .. } | Call::Note { .. }));
    let turns: Vec<usize> = turns.collect();
    let across = history.operations.iter().filter_map(|operation| match operation.end {
        Some((at, None)) => Some(at),
        _ => None,
    });
    let across: Vec<usize> = across.collect();
    (0..count)
        .map(|_| match random.u32(..4) {
            0 | 1 => random.usize(..=calls),
            2 => turns[random.usize(..turns.len())] + random.usize(1..6),
            _ => random.choice(&across).map_or(calls, |at| at + random.usize(1..4)),
        })
        .map(|cut| cut.min(calls))
        .collect()
}

/// Returns places at which no files are being linked: right after a reshape, or at the end.
fn quiet_cuts(
    journal: &Journal,
    history: &History,
    count: usize,
    random: &mut fastrand::Rng,
) -> Vec<usize> {
    let end = journal.calls.len();
    (0..count).map(|_| random.choice(&history.reshaped).map_or(end, |at| at + 1)).collect()
}

/// The settings of a series of images.
pub(crate) struct Series<'a> {
    pub(crate) seed: u64,
    pub(crate) names: Names,
    /// With links, too. On a disk that promises nothing about names they are safe when they are
    /// done, not on the way (see docs/storage.md): there the cuts come right after reshapes.
    pub(crate) links: bool,
    /// How long a sync takes: what other threads do during it is not synced when it ends.
    pub(crate) sync_micros: u32,
    /// Per recorded run, of which there are two.
    pub(crate) images: usize,
    pub(crate) skipped: &'a str,
}

/// Makes images of a run, and of one that continues from one of them. Returns the first violation.
pub(crate) fn series(series: &Series<'_>, figures: &Figures) -> Result<(), String> {
    let mut random = fastrand::Rng::with_seed(series.seed);
    let directory = quick_directory();
    let mut order = Order {
        directory: directory.path().to_owned(),
        seed: series.seed,
        first: 1,
        lives: random.u32(1..4),
        steps: random.u32(4..12),
        links: series.links,
        faults: false,
    };
    fs::create_dir_all(order.disk()).unwrap();
    let mut base = Content::default();
    for run in 0..2 {
        let told =
            |what: String| format!("{what}\nseed {}, {:?}, run {run}", series.seed, series.names);
        let (mut disk, journal, history) =
            record(&order, series, std::mem::take(&mut base)).map_err(told)?;
        Figures::add(&figures.acknowledged, history.acknowledged());
        let goes_on_from = random.usize(..series.images);
        let mut next: Option<(Image, Content)> = None;
        let mut played = 0;
        let mut cuts = match series.names == Names::Strict && series.links {
            true => quiet_cuts(&journal, &history, series.images, &mut random),
            false => cuts(&journal, &history, series.images, &mut random),
        };
        cuts.sort_unstable();
        for (number, cut) in cuts.into_iter().enumerate() {
            journal.calls[played..cut].iter().for_each(|call| disk.play(call, &journal.bytes));
            played = cut;
            let how = random
                .choice([Cut::AllLost, Cut::AllLost, Cut::ByLot, Cut::ByLot, Cut::NothingLost])
                .unwrap();
            let image = disk.image(&journal.bytes, how, &mut random);
            let place = directory.path().join("image");
            lay_out(&image, &place);
            Figures::add(&figures.images, 1);
            let end = if how == Cut::NothingLost { End::Process } else { End::Power };
            let works = random.u32(..8) == 0;
            match examine(&place, &history, cut, end, works, figures) {
                Ok(content) if number == goes_on_from => next = Some((image, content)),
                Ok(_) => {}
                Err(what) => {
                    Figures::add(&figures.violations, 1);
                    let what =
                        format!("{what}\ncut at call {cut} of {}, {how:?}", journal.calls.len());
                    return Err(told(keep(&image, &what, directory, series.skipped)));
                }
            }
        }
        let (image, content) = next.unwrap();
        lay_out(&image, &order.disk());
        base = content;
        order = Order { first: 1 << 32, seed: order.seed ^ 1, lives: 1, steps: 5, ..order };
    }
    Ok(())
}

/// Keeps an image as it was before it was opened, with the journal, for people to look into.
fn keep(image: &Image, what: &str, directory: tempfile::TempDir, skipped: &str) -> String {
    if !skipped.is_empty() {
        return what.to_owned();
    }
    let directory = directory.keep();
    lay_out(image, &directory.join("violation"));
    format!("{what}\nleft in {}", directory.display())
}

#[test]
fn images() {
    let (seed, begun) = (seed(), Instant::now());
    let wanted = count("ANNULUS_IMAGES", 64);
    let images = if wanted > 1000 { 100 } else { 8 };
    let slow = std::env::var("ANNULUS_SYNC_MICROS").ok().map(|text| text.parse().unwrap());
    let figures = Figures::default();
    let runs = wanted.div_ceil(2 * images as u64) as usize;
    on_two_threads(runs, |number| {
        let names = if number % 4 == 3 { Names::Strict } else { Names::Journalled };
        let series = Series {
            seed: seed.wrapping_add(number as u64),
            names,
            links: names == Names::Journalled || number % 8 == 7,
            images,
            sync_micros: slow.unwrap_or([0, 0, 1000, 0, 8000, 0][number % 6]),
            skipped: "",
        };
        if let Err(what) = self::series(&series, &figures) {
            println!("VIOLATION: {what}\n");
        }
        true
    });
    figures.print("images", begun);
    assert_eq!(Figures::of(&figures.violations), 0);
    assert!(Figures::of(&figures.images) >= wanted, "a child failed: see above");
}
