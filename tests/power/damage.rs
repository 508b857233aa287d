//! Goal: a damaged file is refused or named, or does no harm; it never silently changes a value.
//! What the log has lost is the end of all that was written: a prefix of the store is left. Method:
//! a store that was closed, and one that was only dropped, are copied; one file of the copy is
//! damaged at a random place: a bit, a sector, the rest; and it is opened, read and verified; a
//! log that is refused is opened once more, without what follows the damage. `ANNULUS_DAMAGES`
//! damages more often.
//!
//! A past bug: where the end of a manifest was lost, an older one named files that were gone. The
//! second opening, which leaves damaged files for later, met them, and closing that database never
//! ended.

use crate::churn::{quick_directory, seed};
use crate::images::{count, on_threads, summarize};
use annulus::topology::KeyspaceSpec;
use annulus::{Batch, CreateMode, Durability, ErrorKind, LogDamage, Options, ShardId, Store};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

const ROWS: usize = 300;

fn options() -> Options {
    Options::new().heat(None).hot_cache_bytes(0).write_buffer_bytes(4 << 20)
}

pub(crate) fn open(path: &Path, damage: LogDamage) -> annulus::Result<Store> {
    let options = options().log_damage(damage);
    Store::builder(path).create(CreateMode::Never).options(options).open()
}

/// Returns whether a file is one of the log.
fn is_of_log(file: &Path) -> bool {
    file.parent().is_some_and(|directory| directory.ends_with("store/log"))
}

fn key(row: usize) -> String {
    format!("row-{row:04}")
}

fn value(row: usize) -> Vec<u8> {
    format!("{row}-").repeat(20 + row % 30).into_bytes()
}

/// Makes a store whose rows are in files and in the log, in batches over shards, and in a partition
/// that has moved.
pub(crate) fn make(path: &Path, close: bool) {
    let store = Store::builder(path).shards(3).options(options()).open().unwrap();
    let hash = store.create_keyspace("hash", KeyspaceSpec::hash().arcs_per_shard(2)).unwrap();
    let spec = KeyspaceSpec::range().split_at([key(100), key(200)]);
    let range = store.create_keyspace("range", spec).unwrap();
    for row in 0..ROWS {
        let mut batch = Batch::new();
        batch.put(&hash, key(row), value(row));
        batch.put(&range, key(row), value(row));
        store.write_with(batch, Durability::Synced).unwrap();
        if row == ROWS / 2 {
            store.flush().unwrap();
            let moved = range.stats().unwrap()[0].clone();
            let to = ShardId((moved.owner.0 + 1) % 3);
            store.move_partition(moved.id, to).unwrap().wait().unwrap();
        }
    }
    if close {
        store.close().unwrap();
    }
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if fs::metadata(&path).unwrap().len() > 0 {
            found.push(path);
        }
    }
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// Damages a file; returns how.
fn damage(path: &Path, random: &mut fastrand::Rng) -> String {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let bytes = file.metadata().unwrap().len();
    let at = random.u64(..bytes);
    let what = match random.u32(..4) {
        0 => {
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ 1 << random.u8(..8)], at).unwrap();
            "a bit"
        }
        1 => {
            let (from, to) = (at / 512 * 512, (at / 512 * 512 + 512).min(bytes));
            file.write_all_at(&vec![0; (to - from) as usize], from).unwrap();
            "a sector of zeros"
        }
        2 => {
            let garbage: Vec<u8> = (at..bytes.min(at + 600)).map(|_| random.u8(..)).collect();
            file.write_all_at(&garbage, at).unwrap();
            "garbage"
        }
        _ => {
            file.set_len(at).unwrap();
            "the rest is missing"
        }
    };
    format!("{what} at {at} of {bytes} in {}", path.display())
}

#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) harmless: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) named: AtomicU64,
}

/// Opens, reads and verifies the store: an error if a value is wrong and nothing reported it.
pub(crate) fn examine(path: &Path, file: &Path, seen: &Seen) -> Result<(), String> {
    let note = |counter: &AtomicU64| {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(())
    };
    let store = match open(path, LogDamage::Refuse) {
        Ok(store) => store,
        Err(error) if is_of_log(file) => {
            note(&seen.refused)?;
            return open_without_the_rest(path, file, &error);
        }
        // Its message names the object and the remedy.
        Err(error) if format!("{error:#}").len() > 20 => return note(&seen.refused),
        Err(error) => return Err(format!("an error that says little: {error}")),
    };
    let (is_whole, errors) = read(&store, is_of_log(file))?;
    let recovery = store.recovery();
    let said = !recovery.lost.is_empty() || !recovery.damaged.is_empty();
    let sound = store.verify().is_ok_and(|report| report.is_sound());
    match (is_whole, errors > 0 || said || !sound) {
        // What the log, or a list of files, had lost is missing, and reported. Nothing else may be.
        (false, _) if recovery.lost.is_empty() => {
            Err(format!("missing in silence: {errors} errors, sound: {sound}, {recovery:?}"))
        }
        (true, false) => note(&seen.harmless),
        _ => note(&seen.named),
    }
}

/// Checks how a damaged log was refused, and opens the store up to the damage.
fn open_without_the_rest(path: &Path, file: &Path, refusal: &annulus::Error) -> Result<(), String> {
    let (text, name) = (format!("{refusal:#}"), file.file_name().unwrap().to_string_lossy());
    let says = refusal.kind() == ErrorKind::Damaged
        && text.contains(&*name)
        && (text.contains("at offset ") || text.contains("missing"));
    if !says {
        return Err(format!("refused without its place: {:?} {text}", refusal.kind()));
    }
    let store = open(path, LogDamage::DropRest)
        .map_err(|error| format!("refused without the rest, too: {error:#} (before: {text})"))?;
    match (read(&store, true)?, &*store.recovery().lost) {
        ((_, 0), [_, ..]) => {}
        (read, lost) => return Err(format!("dropped the rest: {read:?}, lost: {lost:?}")),
    }
    drop(store);
    let store = open(path, LogDamage::Refuse).map_err(|error| format!("again: {error:#}"))?;
    match &*store.recovery().lost {
        [] => read(&store, true).map(drop),
        lost => Err(format!("lost a second time: {lost:?}")),
    }
}

/// Reads all rows, in both ways. Returns whether they are all there, and how many reads failed; an
/// error if a value is wrong, or, of a prefix, if what is missing is not the end of what was
/// written.
fn read(store: &Store, is_prefix: bool) -> Result<(bool, usize), String> {
    let (mut missing, mut errors) = (Vec::new(), 0);
    for name in ["hash", "range"] {
        let keyspace = store
            .keyspace(name)
            .map_err(|error| format!("opened without keyspace {name}: {error}"))?;
        let mut absent = BTreeSet::new();
        for row in 0..ROWS {
            match keyspace.get(key(row)) {
                Ok(Some(found)) if *found == value(row) => {}
                Ok(Some(_)) => return Err(format!("{name}: a wrong value of row {row}")),
                Ok(None) => drop(absent.insert(row)),
                Err(_) => errors += 1,
            }
        }
        match keyspace.scan(..).and_then(|scan| scan.collect::<annulus::Result<Vec<_>>>()) {
            Ok(rows) => {
                if rows.len() != ROWS - absent.len() && errors == 0 {
                    return Err(format!("{name}: {} rows in a scan", rows.len()));
                }
                let wrong = |(found, value): &(Vec<u8>, Vec<u8>)| {
                    (0..ROWS).all(|row| key(row).as_bytes() != found || self::value(row) != *value)
                };
                if let Some((key, _)) = rows.iter().find(|row| wrong(row)) {
                    return Err(format!("{name}: a wrong row {}", key.escape_ascii()));
                }
            }
            Err(_) => errors += 1,
        }
        missing.push(absent);
    }
    let end: BTreeSet<usize> = (ROWS - missing[0].len()..ROWS).collect();
    // Each row was written to both by one batch.
    match is_prefix && errors == 0 && missing.iter().any(|absent| *absent != end) {
        true => Err(format!("what is left is no prefix: {missing:?} are missing")),
        false => Ok((missing.iter().all(BTreeSet::is_empty), errors)),
    }
}

#[test]
fn damages() {
    let (seed, begun) = (seed(), Instant::now());
    let wanted = count("ANNULUS_DAMAGES", 60) as usize;
    let originals = quick_directory();
    for (name, close) in [("closed", true), ("dropped", false)] {
        make(&originals.path().join(name), close);
    }
    let (seen, violations) = (Seen::default(), AtomicU64::new(0));
    on_threads(wanted, |number| {
        let mut random = fastrand::Rng::with_seed(seed.wrapping_add(number as u64));
        let directory = quick_directory();
        let path = directory.path().join("store");
        copy(&originals.path().join(["closed", "dropped"][number % 2]), &path);
        let mut all = Vec::new();
        files(&path, &mut all);
        all.sort();
        // Each kind of file is equally likely, however many there are of it.
        let kind = |path: &PathBuf| {
            if is_of_log(path) {
                return "log".to_owned();
            }
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let kind = name.trim_start_matches(|c: char| c.is_ascii_digit()).to_owned();
            kind.split('-').next().unwrap().to_owned()
        };
        let mut kinds: Vec<String> = all.iter().map(kind).collect();
        kinds.sort();
        kinds.dedup();
        let chosen = random.choice(kinds).unwrap();
        let chosen = all.into_iter().filter(|path| kind(path) == chosen);
        let file = random.choice(chosen.collect::<Vec<_>>()).unwrap();
        let what = damage(&file, &mut random);
        if let Err(violation) = examine(&path, &file, &seen) {
            violations.fetch_add(1, Ordering::Relaxed);
            println!("VIOLATION: {what}: {violation}\nseed {seed}, damage {number}\n");
        }
        true
    });
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let [refused, named, harmless] = [&seen.refused, &seen.named, &seen.harmless].map(of);
    let (violations, seconds) = (of(&violations), begun.elapsed().as_secs());
    println!(
        "damages: {wanted}; {refused} refused, {named} named, {harmless} harmless, \
         {violations} violations, {seconds} s"
    );
    summarize(&json!({
        "test": "damages", "seed": seed, "tried": wanted, "refused": refused, "named": named,
        "harmless": harmless, "violations": violations, "seconds": seconds,
    }));
    assert_eq!(violations, 0);
}
