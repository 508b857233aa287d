//! Goal: what the log of a store that was not closed has lost is distinguished from damage. The torn
//! end that a power cut leaves is cut, reported, and costs nothing that comes later; damage before
//! sound records is refused by file and offset, or dropped on request. What is left is a prefix of
//! all writes to the store. Method: a store is dropped without being closed, its log is changed on
//! disk, it is opened.

use crate::basic::{apart, both, end_of_log, last_log, log_files, small};
use crate::churn::quick_directory;
use annulus::topology::KeyspaceSpec;
use annulus::{Batch, Durability, ErrorKind, Keyspace, LogAccess, LogDamage, Options, Store};
use std::fs;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const ROWS: usize = 2000;
const VALUE_BYTES: usize = 100;
/// Segments that a few hundred rows fill.
#[cfg(feature = "failpoints")]
const SMALL: (&str, &str) = ("ANNULUS_LOG_SEGMENT_BYTES", "65536");

fn options() -> Options {
    small().heat(None)
}

fn open_with(path: &Path, log_damage: LogDamage) -> annulus::Result<Store> {
    let options = options().log_damage(log_damage);
    Store::builder(path).shards(3).options(options).open()
}

fn open(path: &Path) -> Store {
    open_with(path, LogDamage::Refuse).unwrap()
}

/// A keyspace whose rows are on two shards.
fn rows(store: &Store) -> Keyspace {
    store.keyspace_or_create("rows", KeyspaceSpec::range().split_at(["r01000"])).unwrap()
}

fn value(version: u8, row: usize) -> Vec<u8> {
    [&[version][..], row.to_string().as_bytes(), &[b'.'; VALUE_BYTES]].concat()
}

fn key(row: usize) -> String {
    format!("r{row:05}")
}

/// The order in which rows are written: those of one shard and of the other in turns.
fn order(rows: usize) -> impl Iterator<Item = usize> {
    (0..rows).map(move |n| n / 2 + n % 2 * rows / 2)
}

/// Makes a store whose rows are written twice and only in the log, never closed; synced or not. What
/// is synced is known to be so from a later write.
fn unclosed(synced: bool) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = open(&path);
    let rows = rows(&store);
    for version in [b'1', b'2'] {
        order(ROWS).for_each(|row| rows.put(key(row), value(version, row)).unwrap());
    }
    if synced {
        store.sync().unwrap();
        rows.put("synced", "").unwrap();
    }
    drop((rows, store));
    (directory, path)
}

/// Returns the file of the log with the rows, and where its content ends.
fn log(path: &Path) -> (PathBuf, u64) {
    let log = last_log(path);
    let bytes = end_of_log(&log);
    assert!(bytes > (ROWS * VALUE_BYTES) as u64, "{bytes}");
    (log, bytes)
}

fn change(file: &Path, at: u64, change: impl FnOnce(&mut [u8]), bytes: usize) {
    let file = fs::OpenOptions::new().read(true).write(true).open(file).unwrap();
    let mut content = vec![0; bytes];
    file.read_exact_at(&mut content, at).unwrap();
    change(&mut content);
    file.write_all_at(&content, at).unwrap();
}

/// Returns how many rows, from the first on that was written, have the second version; all others
/// must have the first.
fn prefix(store: &Store) -> usize {
    let rows = rows(store);
    let has = |version, row| rows.get(key(row)).unwrap().unwrap() == value(version, row)[..];
    let second = order(ROWS).take_while(|row| has(b'2', *row)).count();
    let rest = order(ROWS).skip(second).all(|row| has(b'1', row));
    assert!(rest, "no prefix: {second} and later ones");
    second
}

/// What is written now is there after two more openings, the first of which finds nothing lost.
fn goes_on(path: &Path, store: Store, second: usize) {
    rows(&store).put("later", "v").unwrap();
    drop(store);
    for _ in 0..2 {
        let store = open(path);
        assert_eq!(store.recovery().lost, []);
        assert_eq!(prefix(&store), second);
        assert_eq!(rows(&store).get("later").unwrap().unwrap(), "v");
        assert!(store.verify().unwrap().is_sound());
    }
}

/// Opens the store, which has lost the end of this log: only a part of the second versions is left.
/// Twice in a row: what was lost once does not take what was written since with it.
fn opens_with_a_loss(path: &Path, damage: LogDamage, log: &Path, left: Range<usize>) {
    let store = open_with(path, damage).unwrap();
    let lost = &store.recovery().lost;
    assert!(lost.len() == 1 && names(&lost[0].to_string(), log), "{lost:?}");
    let second = prefix(&store);
    assert!(left.contains(&second), "{second}");
    goes_on(path, store, second);
}

/// Returns the offset that a refusal names.
fn offset(text: &str) -> u64 {
    let (_, offset) = text.split_once("at offset ").unwrap_or_else(|| panic!("no offset: {text}"));
    let digits = offset.find(|c: char| !c.is_ascii_digit()).unwrap_or(offset.len());
    offset[..digits].parse().unwrap()
}

fn names(text: &str, file: &Path) -> bool {
    text.contains(&*file.to_string_lossy())
}

/// A past bug: RocksDB took a flipped bit for the end of its log. Of 2,000 acknowledged and synced
/// puts 412 had their old value, and nothing reported it.
#[test]
fn a_flipped_bit_in_a_log_is_refused_with_its_place() {
    let (_directory, path) = unclosed(true);
    let (log, bytes) = log(&path);
    let at = bytes * 3 / 4;
    change(&log, at, |byte| byte[0] ^= 4, 1);
    let before = fs::read(&log).unwrap();
    let error = open_with(&path, LogDamage::Refuse).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
    let text = format!("{error:#}");
    assert!(names(&text, &log), "{text}");
    let offset = offset(&text);
    assert!(offset <= at && at < offset + 300, "{offset}, {at}");
    assert!(fs::read(&log).unwrap() == before, "something was changed");
    opens_with_a_loss(&path, LogDamage::DropRest, &log, ROWS / 4..ROWS * 3 / 4);
}

/// The same in a segment that is not the last one, at its very end: what follows is in the next
/// one.
#[cfg(feature = "failpoints")]
#[test]
fn a_flipped_bit_at_the_end_of_a_segment_is_refused() {
    if !apart("logs::a_flipped_bit_at_the_end_of_a_segment_is_refused", &[SMALL]) {
        return;
    }
    let (_directory, path) = unclosed(true);
    let files = log_files(&path);
    assert!(files.len() > 4, "{files:?}");
    let old = &files[2];
    change(old, end_of_log(old) - 20, |byte| byte[0] ^= 1, 1);
    let error = open_with(&path, LogDamage::Refuse).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
    assert!(names(&format!("{error:#}"), old), "{error:#}");
    let store = open_with(&path, LogDamage::DropRest).unwrap();
    assert!(!store.recovery().lost.is_empty());
    let rows = store.keyspace("rows").unwrap();
    let there = order(ROWS).take_while(|row| rows.contains(key(*row)).unwrap()).count();
    assert!(there > 100 && there < ROWS, "{there}");
    assert!(order(ROWS).skip(there).all(|row| !rows.contains(key(row)).unwrap()));
    rows.put("later", "v").unwrap();
    drop((rows, store));
    let store = open(&path);
    assert_eq!(store.recovery().lost, []);
    assert_eq!(rows_there(&store), there + 1);
}

#[cfg(feature = "failpoints")]
fn rows_there(store: &Store) -> usize {
    rows(store).scan(..).unwrap().map(Result::unwrap).count()
}

/// Wherever the log ends, it is opened, the rest is reported, and what is left is a prefix.
#[test]
fn a_torn_end_is_cut_and_reported() {
    for garbage in [true, false] {
        let (_directory, path) = unclosed(false);
        let (log, bytes) = log(&path);
        let fill = |end: &mut [u8]| match garbage {
            true => end.fill_with(|| fastrand::u8(..)),
            false => end.fill(0),
        };
        change(&log, bytes - 777, fill, 777);
        opens_with_a_loss(&path, LogDamage::Refuse, &log, ROWS - 10..ROWS);
    }
}

/// A file of the log has its size from the beginning: no power cut makes it shorter.
#[test]
fn a_log_that_is_too_short_is_refused_with_its_place() {
    let (_directory, path) = unclosed(false);
    let (log, bytes) = log(&path);
    let file = fs::OpenOptions::new().write(true).open(&log).unwrap();
    file.set_len(bytes - 777).unwrap();
    let error = open_with(&path, LogDamage::Refuse).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error:#}");
    let text = format!("{error:#}");
    assert!(names(&text, &log), "{text}");
    assert!((bytes - 1200..=bytes - 777).contains(&offset(&text)), "{text}");
    assert_eq!(fs::metadata(&log).unwrap().len(), bytes - 777, "something was changed");
    opens_with_a_loss(&path, LogDamage::DropRest, &log, ROWS - 10..ROWS);
}

/// A past bug: pages that were not synced may be lost while later ones are there. RocksDB takes
/// zeros for padding, and continued behind them: what was left was no prefix.
#[test]
fn a_hole_of_lost_pages_ends_a_log() {
    let (_directory, path) = unclosed(false);
    let (log, bytes) = log(&path);
    for page in [bytes * 5 / 8 / 4096 * 4096, bytes * 3 / 4 / 4096 * 4096] {
        change(&log, page, |page| page.fill(0), 4096);
    }
    opens_with_a_loss(&path, LogDamage::Refuse, &log, ROWS / 8..ROWS / 2);
}

/// A past bug: garbage at the end of a manifest, which was not synced, kept a shard from opening.
#[test]
fn garbage_at_the_end_of_a_manifest_is_cut_and_reported() {
    let (_directory, path) = unclosed(true);
    for database in ["metadata", "shards/0/data"].map(|name| path.join(name)) {
        let current = fs::read_to_string(database.join("CURRENT")).unwrap();
        let manifest = database.join(current.trim_end());
        let garbage: Vec<u8> = (0..300).map(|_| fastrand::u8(1..)).collect();
        let bytes = fs::metadata(&manifest).unwrap().len();
        let file = fs::OpenOptions::new().write(true).open(&manifest).unwrap();
        file.write_all_at(&garbage, bytes).unwrap();
        let store = open(&path);
        let lost = &store.recovery().lost;
        assert!(lost.len() == 1 && lost[0].to_string().contains("MANIFEST"), "{lost:?}");
        assert_eq!(prefix(&store), ROWS);
    }
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    let copied = std::process::Command::new("cp").arg("-r").arg(from).arg(to).status();
    assert!(copied.unwrap().success());
}

/// Batches over shards and keyspaces are whole however much of the log is lost, and each is lost
/// with all later ones.
#[test]
fn batches_are_whole_wherever_a_log_ends() {
    let directory = tempfile::tempdir().unwrap();
    let good = directory.path().join("store");
    let store = open(&good);
    let keyspaces = both(&store);
    for number in 0..50 {
        let mut batch = Batch::new();
        for row in 0..12 {
            let key = format!("{}{row}", char::from(b'a' + row * 2));
            keyspaces.iter().for_each(|keyspace| batch.put(keyspace, &key, value(b'b', number)));
        }
        store.write(batch).unwrap();
    }
    drop((keyspaces, store));
    let mut last = 49;
    for take in [1, 100, 500, 1000, 3000, 10_000, 30_000, 60_000] {
        let path = directory.path().join("copy");
        copy(&good, &path);
        let log = last_log(&path);
        change(&log, end_of_log(&log) - take, |end| end.fill(0), take as usize);
        let store = open(&path);
        assert_eq!(store.recovery().lost.len(), 1, "{:?}", store.recovery());
        let values = both(&store).each_ref().map(|keyspace| {
            keyspace.scan(..).unwrap().map(|row| row.unwrap().1).collect::<Vec<_>>()
        });
        let all: Vec<_> = values.concat();
        assert_eq!(all.len(), 24);
        assert!(all.iter().all(|value| *value == all[0]), "{all:?}");
        let number = (0..=last).rfind(|number| all[0] == value(b'b', *number));
        last = number.unwrap_or_else(|| panic!("later than {last}: {:?}", all[0]));
    }
    assert!(last < 40, "{last}");
}

/// Makes a small store that was not closed: some rows of both keyspaces, in one segment.
#[cfg(feature = "failpoints")]
fn unclosed_and_small(directory: &Path) -> PathBuf {
    let path = directory.join("store");
    let store = Store::builder(&path).shards(1).options(options()).open().unwrap();
    let [hash, range] = both(&store);
    for number in 0..ROWS_OF_SMALL {
        let mut batch = Batch::new();
        batch.put(&hash, key(number), format!("value {number}"));
        batch.put(&range, key(number), format!("value {number}"));
        // Only the last one may be taken by a power cut.
        let is_last = number + 1 == ROWS_OF_SMALL;
        let durability = if is_last { Durability::Buffered } else { Durability::Synced };
        store.write_with(batch, durability).unwrap();
    }
    drop((hash, range, store));
    path
}

#[cfg(feature = "failpoints")]
const ROWS_OF_SMALL: usize = 12;

/// Checks that the rows are a prefix of what was written; returns how many there are.
#[cfg(feature = "failpoints")]
fn prefix_of_small(store: &Store, what: &str) -> usize {
    let counts = ["hash", "range"].map(|name| {
        let keyspace = store.keyspace(name).unwrap();
        let rows: Vec<_> = keyspace.scan(..).unwrap().map(Result::unwrap).collect();
        let wanted = (0..rows.len()).map(|n| (key(n), format!("value {n}")));
        let mut rows_in_order = rows.clone();
        rows_in_order.sort();
        assert!(
            rows_in_order.iter().map(|(key, value)| (&key[..], &value[..])).eq(wanted
                .collect::<Vec<_>>()
                .iter()
                .map(|(key, value)| (key.as_bytes(), value.as_bytes()))),
            "{what}: `{name}` has {rows:?}"
        );
        rows.len()
    });
    assert_eq!(counts[0], counts[1], "{what}: a batch is cut");
    counts[0]
}

/// Goal: no byte of the log can be wrong and change a value. Each byte of its content is damaged, or
/// every so many of them, in files that are mapped and in files that are not; and the file is cut
/// there. `ANNULUS_EACH_BYTE` damages all of them.
#[cfg(feature = "failpoints")]
#[test]
fn whichever_byte_is_damaged_no_value_is_wrong() {
    if !apart("logs::whichever_byte_is_damaged_no_value_is_wrong", &[SMALL]) {
        return;
    }
    let directory = quick_directory();
    let good = unclosed_and_small(directory.path());
    let log = last_log(&good);
    let (name, end) = (log.file_name().unwrap().to_owned(), end_of_log(&log));
    // A page with a header, most of which is zeros, and then records.
    let step = if std::env::var_os("ANNULUS_EACH_BYTE").is_some() { 1 } else { 13 };
    let places = (0..100).step_by(step).chain([1000]).chain((4090..end + 8).step_by(step));
    let (mut refused, mut cut, mut unnoticed) = (0, 0, 0);
    for (number, at) in places.enumerate() {
        let path = directory.path().join("copy");
        copy(&good, &path);
        let file = path.join("log").join(&name);
        let access = [LogAccess::Mapped, LogAccess::Written][number % 2];
        let shorter = number % 5 == 4;
        match shorter {
            true => fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(at).unwrap(),
            false => change(&file, at, |byte| byte[0] ^= 1 << (number % 8), 1),
        }
        let what = format!("byte {at} of {end}, cut: {shorter}, {access:?}");
        let open = |damage| {
            let options = options().log_damage(damage).log_access(access);
            Store::builder(&path).options(options).open()
        };
        let store = match open(LogDamage::Refuse) {
            Ok(store) => store,
            Err(error) => {
                refused += 1;
                let text = format!("{error:#}");
                assert_eq!(error.kind(), ErrorKind::Damaged, "{what}: {text}");
                assert!(names(&text, &file), "{what}: {text}");
                assert!(offset(&text) <= at.max(4096), "{what}: {text}");
                let store = open(LogDamage::DropRest)
                    .unwrap_or_else(|error| panic!("{what}: {text}, and then {error:#}"));
                assert!(!store.recovery().lost.is_empty(), "{what}");
                store
            }
        };
        let there = prefix_of_small(&store, &what);
        match (there == ROWS_OF_SMALL, store.recovery().lost.is_empty()) {
            (false, false) => cut += 1,
            // Behind the end, or in a part of the header that is not needed.
            (true, _) => unnoticed += 1,
            (false, true) => panic!("{what}: {there} rows are left, and nothing is reported"),
        }
        drop(store);
        let store = open(LogDamage::Refuse).unwrap();
        assert_eq!(store.recovery().lost, [], "{what}");
        assert_eq!(prefix_of_small(&store, &what), there, "{what}");
    }
    println!("{refused} refused, {cut} cut, {unnoticed} harmless, of {end} bytes");
    assert!(refused > 20 && cut > refused, "{refused} refused, {cut} cut");
}

/// Without a segment nothing that follows it may be used, and nothing that it held may be missing
/// in silence; wherever it is in the log.
#[cfg(feature = "failpoints")]
#[test]
fn a_missing_segment_is_refused_by_name() {
    if !apart("logs::a_missing_segment_is_refused_by_name", &[SMALL]) {
        return;
    }
    let (directory, path) = unclosed(true);
    let files = log_files(&path);
    let last = files.iter().position(|file| *file == last_log(&path)).unwrap();
    assert!(last > 4, "{files:?}");
    for missing in [&files[0], &files[last / 2], &files[last - 1]] {
        let aside = directory.path().join("aside");
        fs::rename(missing, &aside).unwrap();
        let error = open_with(&path, LogDamage::Refuse).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error:#}");
        let text = format!("{error:#}");
        assert!(text.contains(path.join("log").to_str().unwrap()), "{text}");
        assert!(text.contains("missing"), "{text}");
        fs::rename(&aside, missing).unwrap();
    }
    assert_eq!(prefix(&open(&path)), ROWS);
}

/// A store without its log may have lost what was acknowledged.
#[test]
fn a_missing_log_is_refused_by_name() {
    let (directory, path) = unclosed(true);
    let (log, aside) = (path.join("log"), directory.path().join("aside"));
    fs::rename(&log, &aside).unwrap();
    let error = open_with(&path, LogDamage::Refuse).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Damaged | ErrorKind::NotFound), "{error:#}");
    assert!(names(&format!("{error:#}"), &log), "{error:#}");
    // Nothing was made in its place.
    let _ = fs::remove_dir(&log);
    fs::rename(&aside, &log).unwrap();
    assert_eq!(prefix(&open(&path)), ROWS);
}

#[test]
fn the_log_of_another_store_is_refused_by_name() {
    let (directory, path) = unclosed(true);
    let (_other_directory, other) = unclosed(true);
    let (log, aside) = (path.join("log"), directory.path().join("aside"));
    fs::rename(&log, &aside).unwrap();
    fs::rename(other.join("log"), &log).unwrap();
    for damage in [LogDamage::Refuse, LogDamage::DropRest] {
        let error = open_with(&path, damage).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error:#}");
        let text = format!("{error:#}");
        assert!(text.contains("another store") && names(&text, &log), "{text}");
    }
    fs::rename(&log, other.join("log")).unwrap();
    fs::rename(&aside, &log).unwrap();
    assert_eq!(prefix(&open(&path)), ROWS);
    assert_eq!(prefix(&open(&other)), ROWS);
}

/// Another size of segments, and another access, from one opening to the next.
#[cfg(feature = "failpoints")]
#[test]
fn a_value_larger_than_a_segment_has_one_of_its_own() {
    const TEST: &str = "logs::a_value_larger_than_a_segment_has_one_of_its_own";
    if !apart(TEST, &[SMALL]) {
        return;
    }
    let directory = quick_directory();
    let path = directory.path().join("store");
    let large = |n: usize| format!("{n:07}").repeat(20_000 + n * 10_000);
    for access in [LogAccess::Mapped, LogAccess::Written, LogAccess::Mapped] {
        let open = || {
            Store::builder(&path).shards(3).options(options().log_access(access)).open().unwrap()
        };
        let store = open();
        let [hash, range] = both(&store);
        for n in 0..6 {
            hash.put(format!("small {n}"), "v").unwrap();
            range.put(format!("{n}"), large(n)).unwrap();
        }
        drop((hash, range, store));
        let store = open();
        assert!(store.recovery().replayed.records > 0);
        let [hash, range] = both(&store);
        for n in 0..6 {
            assert_eq!(hash.get(format!("small {n}")).unwrap().unwrap(), "v");
            assert!(*range.get(format!("{n}")).unwrap().unwrap() == *large(n).as_bytes());
        }
        assert!(store.stats().unwrap().log_bytes > 6 * 140_000);
        store.close().unwrap();
        drop((hash, range, store));
        // The last one, which may be the largest, and one for later.
        let kept: u64 = log_files(&path).iter().map(|file| file.metadata().unwrap().len()).sum();
        assert!(kept < 1_000_000, "{kept} bytes are kept");
    }
}
