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
use crate::mirror::{self, Mirror};
use crate::notes::{History, Rows};
use crate::past::{Before, Past, record};
use crate::workload::{CONSUMER, Order, open};
use annulus::{Batch, Durability, ErrorKind, Store};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
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

    /// Prints the figures, and adds them to the summary.
    pub(crate) fn print(&self, what: &str, seed: u64, begun: Instant) {
        let [tried, acknowledged, openings, violations] =
            [&self.images, &self.acknowledged, &self.openings, &self.violations].map(Self::of);
        let seconds = begun.elapsed().as_secs();
        println!(
            "{what}: {tried}; {acknowledged} operations acknowledged, {openings} openings, \
             {violations} violations, {seconds} s"
        );
        summarize(&json!({
            "test": what, "seed": seed, "tried": tried, "acknowledged": acknowledged,
            "openings": openings, "violations": violations, "seconds": seconds,
        }));
    }
}

/// Adds a line to the file that `ANNULUS_SUMMARY` names, if it does: so that what was run in parts
/// can be added up.
pub(crate) fn summarize(figures: &serde_json::Value) {
    let Some(path) = std::env::var_os("ANNULUS_SUMMARY") else { return };
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(format!("{figures}\n").as_bytes()).unwrap();
}

/// Returns how often, from an environment variable, or the default.
pub(crate) fn count(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// Runs a job with each number below `count` on `ANNULUS_THREADS` threads, or two, until one returns
/// false.
pub(crate) fn on_threads(count: usize, job: impl Fn(usize) -> bool + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..self::count("ANNULUS_THREADS", 2) {
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
    check_consumer(&store)?;
    check(history, cut, end, &found.0, &found.1)?;
    let report = store.verify().map_err(|error| format!("{error:#}"))?;
    if !report.is_sound() {
        return Err(format!("verify: {:?}", report.problems));
    }
    drop(store);
    let store = open_at(disk, figures)?;
    let again = store.recovery();
    let repairs = again.orphans.len()
        + again.rolled_back.len()
        + again.lost.len()
        + again.log_copies.iter().filter(|copy| copy.failure.is_none()).count();
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

/// The log is kept from the position that a consumer has after a crash.
fn check_consumer(store: &Store) -> Result<(), String> {
    let told = |error: annulus::Error| format!("the consumer: {:?} {error}", error.kind());
    match store.consumer(CONSUMER) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        consumer => {
            let mut changes = consumer.and_then(|it| it.changes()?.open()).map_err(told)?;
            while changes.try_next().map_err(told)?.is_some() {}
            Ok(())
        }
    }
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

/// Returns places to cut at: anywhere; soon after a sync or a change of names; soon after an
/// acknowledgement during which the topology changed; or soon after a keyspace was created or
/// dropped.
fn cuts(
    journal: &Journal,
    history: &History,
    from: usize,
    count: usize,
    random: &mut fastrand::Rng,
) -> Vec<usize> {
    let calls = journal.calls.len();
    let turns = (from..calls)
        .filter(|n| !matches!(journal.calls[*n], Call::Write { .. } | Call::Note { .. }));
    let turns: Vec<usize> = turns.collect();
    let across = history.operations.iter().filter(|operation| operation.moved);
    let across: Vec<usize> = across.filter_map(|operation| operation.end).collect();
    let changes = history.created.values().chain(history.dropped.values());
    let changes: Vec<usize> = changes.filter_map(|change| change.end).collect();
    (0..count)
        .map(|_| match random.u32(..8) {
            0..=2 => random.usize(from..=calls),
            3 | 4 => turns[random.usize(..turns.len())] + random.usize(1..6),
            5 => random.choice(&changes).map_or(calls, |at| at + random.usize(1..4)),
            _ => random.choice(&across).map_or(calls, |at| at + random.usize(1..4)),
        })
        .map(|cut| cut.clamp(from, calls))
        .collect()
}

/// Returns places at which no files are being linked: right after a reshape, or at the end.
fn quiet_cuts(
    journal: &Journal,
    history: &History,
    from: usize,
    count: usize,
    random: &mut fastrand::Rng,
) -> Vec<usize> {
    let end = journal.calls.len();
    let quiet: Vec<usize> = history.reshaped.iter().copied().filter(|at| *at >= from).collect();
    (0..count).map(|_| random.choice(&quiet).map_or(end, |at| at + 1)).collect()
}

/// The settings of a series of images.
pub(crate) struct Series<'a> {
    pub(crate) seed: u64,
    pub(crate) names: Names,
    /// With links, too. On a disk that promises nothing about names they are safe when they are
    /// done, not on the way (see docs/storage.md): there the cuts come right after reshapes.
    pub(crate) links: bool,
    pub(crate) mirror: Mirror,
    /// With as few syncs as there can be: what one protection does not sync, no other does.
    pub(crate) quiet: bool,
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
        quiet: series.quiet,
        mapped: false,
    };
    fs::create_dir_all(order.disk()).unwrap();
    let mut past = Past::none(Disk::of(&order.disk(), series.names), Content::default(), None);
    for run in 0..2 {
        let told =
            |what: String| format!("{what}\nseed {}, {:?}, run {run}", series.seed, series.names);
        past = record(&order, series, past).map_err(told)?;
        let next = images_of(past, series, directory.path(), &mut random, figures);
        let (image, next) = next.map_err(|(image, what)| {
            Figures::add(&figures.violations, 1);
            told(keep(&image, &what, directory.path(), series.skipped))
        })?;
        lay_out(&image, &order.disk());
        // The process was killed, or what was left of the disk is all that there is.
        past = next.unwrap_or_else(|(content, before)| {
            Past::none(Disk::of(&order.disk(), series.names), content, Some(before))
        });
        order = Order { first: 1 << 32, seed: order.seed ^ 1, lives: 1, steps: 5, ..order };
    }
    Ok(())
}

/// A run to go on from: what a killed process leaves, with what is not synced yet, or the content
/// that a power cut has left.
type Next = (Image, Result<Past, (Content, Before)>);

/// Makes images of what was recorded last, and returns one of them to go on from; in an error, the
/// image that breaks a promise.
fn images_of(
    mut past: Past,
    series: &Series<'_>,
    directory: &Path,
    random: &mut fastrand::Rng,
    figures: &Figures,
) -> Result<Next, (Image, String)> {
    let history = Arc::new(past.history());
    Figures::add(&figures.acknowledged, history.acknowledged());
    let goes_on_from = random.usize(..series.images);
    let mut next: Option<Next> = None;
    let cuts = match series.names == Names::Strict && series.links {
        true => quiet_cuts,
        false => cuts,
    };
    let mut cuts = cuts(&past.journal, &history, past.played, series.images, random);
    cuts.sort_unstable();
    for (number, cut) in cuts.into_iter().enumerate() {
        let Past { disk, played, journal, .. } = &mut past;
        journal.calls[*played..cut].iter().for_each(|call| disk.play(call, &journal.bytes));
        *played = cut;
        const HOW: [Cut; 5] =
            [Cut::AllLost, Cut::AllLost, Cut::ByLot, Cut::ByLot, Cut::NothingLost];
        let mut how = random.choice(HOW).unwrap();
        let goes_on = number == goes_on_from;
        if goes_on && random.bool() {
            how = Cut::NothingLost;
        }
        let mut image = disk.image(&journal.bytes, how, random);
        mirror::heal(&mut image);
        let is_lost = !goes_on && series.mirror.lose(&mut image, random);
        let place = directory.join("image");
        lay_out(&image, &place);
        Figures::add(&figures.images, 1);
        let end = if how == Cut::NothingLost { End::Process } else { End::Power };
        let works = random.u32(..8) == 0;
        match examine(&place, &history, cut, end, works, figures) {
            Ok(content) if goes_on => {
                let killed = || past.clone();
                let before = || Before { history: Arc::clone(&history), cut };
                let past =
                    if end == End::Process { Ok(killed()) } else { Err((content, before())) };
                next = Some((image, past));
            }
            Ok(_) => {}
            Err(what) if is_lost && series.mirror.explains(&what) => {}
            Err(what) => {
                let is_opening = history.openings.iter().all(|at| *at >= cut);
                if let Some(before) = past.before.as_ref().filter(|_| is_lost && is_opening) {
                    lay_out(&image, &place);
                    let Before { history, cut } = before;
                    if examine(&place, history, *cut, End::Power, works, figures).is_ok() {
                        continue;
                    }
                }
                let calls = past.journal.calls.len();
                return Err((
                    image,
                    format!("{what}\ncut at call {cut} of {calls}, {how:?}, {is_lost}"),
                ));
            }
        }
    }
    Ok(next.unwrap())
}

/// Keeps an image as it was before it was opened, with the journal, for people to look into.
fn keep(image: &Image, what: &str, directory: &Path, skipped: &str) -> String {
    if !skipped.is_empty() {
        return what.to_owned();
    }
    let kept = directory.with_extension("kept");
    let copied = std::process::Command::new("cp").arg("-r").arg(directory).arg(&kept).status();
    lay_out(image, &kept.join("violation"));
    format!("{what}\nleft in {} ({copied:?})", kept.display())
}

#[test]
fn images() {
    let (seed, begun) = (seed(), Instant::now());
    let wanted = count("ANNULUS_IMAGES", 64);
    let images = if wanted > 1000 { 100 } else { 8 };
    let slow = std::env::var("ANNULUS_SYNC_MICROS").ok().map(|text| text.parse().unwrap());
    let figures = Figures::default();
    let runs = wanted.div_ceil(2 * images as u64) as usize;
    on_threads(runs, |number| {
        let names = if number % 4 == 3 { Names::Strict } else { Names::Journalled };
        let series = Series {
            seed: seed.wrapping_add(number as u64),
            names,
            links: names == Names::Journalled || number % 8 == 7,
            mirror: [Mirror::Without, Mirror::Sound, Mirror::Failing][number % 3],
            quiet: number % 5 == 4,
            images,
            sync_micros: slow.unwrap_or([0, 0, 1000, 0, 8000, 0][number % 6]),
            skipped: "",
        };
        if let Err(what) = self::series(&series, &figures) {
            println!("VIOLATION: {what}\n");
        }
        true
    });
    figures.print("images", seed, begun);
    assert_eq!(Figures::of(&figures.violations), 0);
    assert!(Figures::of(&figures.images) >= wanted, "a child failed: see above");
}
