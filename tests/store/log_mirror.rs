//! Goal: of a log with a mirror either copy suffices for every write that was acknowledged, and one
//! that lacks some is never taken for the log. Method: copies are lost, damaged, cut, exchanged;
//! they fail while the store is open; processes are killed at each step.

use crate::basic::{apart, both, end_of_log, small};
use crate::churn::quick_directory;
use annulus::log::{LogSegment, LogView};
use annulus::{CreateMode, Durability, ErrorKind, LogAccess, LogDamage, LogMirror, Options, Store};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// Segments that some dozen rows fill.
const SMALL: (&str, &str) = ("ANNULUS_LOG_SEGMENT_BYTES", "65536");
/// The bytes of a segment's header.
const HEADER_BYTES: u64 = 68;
/// Where the records of a segment begin.
const CONTENT: u64 = 4096;
const COPIES: [&str; 2] = ["log", "log-mirror"];

fn options() -> Options {
    small().heat(None)
}

/// With a mirror in the store's own directory.
fn mirrored() -> Options {
    options().log_mirror(LogMirror::at("log-mirror"))
}

fn open_with(store: &Path, options: Options) -> annulus::Result<Store> {
    Store::builder(store).shards(2).options(options).open()
}

fn open(store: &Path) -> Store {
    open_with(store, options()).unwrap()
}

fn refused(store: &Path, options: Options) -> (ErrorKind, String) {
    let error = open_with(store, options).map(drop).unwrap_err();
    (error.kind(), format!("{error:#}"))
}

fn row(n: usize) -> (String, String) {
    (format!("{n:06}"), format!("{n}").repeat(n % 500))
}

/// Writes rows, the last of them synced.
fn write(store: &Store, rows: std::ops::Range<usize>) -> annulus::Result<()> {
    let [hash, _] = both(store);
    let last = rows.end - 1;
    for n in rows {
        let (key, value) = row(n);
        let durability = if n == last { Durability::Synced } else { Durability::Buffered };
        hash.put_with(key, value, durability)?;
    }
    Ok(())
}

/// Checks that exactly the first rows are there.
fn check(store: &Store, rows: usize) {
    let [hash, _] = both(store);
    let found = hash.scan(..).unwrap().map(|row| {
        let (key, value) = row.unwrap();
        (String::from_utf8(key).unwrap(), String::from_utf8(value).unwrap())
    });
    let found: Vec<_> = found.collect();
    assert_eq!(found.len(), rows);
    assert!(found.into_iter().eq((0..rows).map(row)));
}

fn segments(directory: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|file| file.extension().is_some_and(|end| end == "log")).collect();
    files.sort();
    files
}

/// Returns where the content of a segment ends: no earlier than its header, of which the last byte
/// may be zero.
fn end_of_content(file: &Path) -> u64 {
    end_of_log(file).max(HEADER_BYTES)
}

/// Checks that both copies have the same segments with the same records, and nothing behind the end
/// of the log; their headers are the same, except for the number of the copy and the checksum.
fn check_same(store: &Path) {
    let [first, second] = COPIES.map(|copy| segments(&store.join(copy)));
    assert!(!first.is_empty());
    let names = |files: &[PathBuf]| -> Vec<_> {
        files.iter().map(|file| file.file_name().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&first), names(&second));
    let log = LogView::open(store).unwrap();
    assert!(log.damage().is_none() && log.lost().is_empty());
    assert_eq!(log.segments().len(), first.len());
    let with_records = |segment: &LogSegment| !segment.positions.is_empty();
    let last = log.segments().iter().rposition(with_records).unwrap();
    for (number, (one, other)) in first.iter().zip(&second).enumerate() {
        let positions = &log.segments()[number].positions;
        let records = positions.end.get() - positions.start.get();
        let ends = [end_of_content(one), end_of_content(other)];
        // What was cut off stays behind the end of a segment that is not written any more.
        assert!(ends[0] == ends[1] || number < last, "{one:?}: {ends:?}");
        let until = if number < last { CONTENT + records } else { ends[0] };
        let (one, other) = (fs::read(one).unwrap(), fs::read(other).unwrap());
        assert_eq!(one.len(), other.len());
        for part in [0..12, 16..64, HEADER_BYTES as usize..until as usize] {
            assert!(one[part.clone()] == other[part.clone()], "segment {number}: {part:?}");
        }
        assert_eq!((one[12], other[12]), (0, 1));
    }
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

/// Returns how many of the copies the store says have failed.
fn failed(store: &Store) -> Vec<bool> {
    store.stats().unwrap().log_copies.iter().map(|copy| copy.failure.is_some()).collect()
}

const ROWS: usize = 400;

/// A store whose rows are only in the log, and which was not closed.
fn unclosed(options: Options) -> (TempDir, PathBuf) {
    let directory = quick_directory();
    let path = directory.path().join("store");
    let store = open_with(&path, options).unwrap();
    write(&store, 0..ROWS).unwrap();
    assert_eq!(failed(&store), [false, false]);
    let stats = store.stats().unwrap();
    assert_eq!(stats.log_bytes, stats.log_copies.iter().map(|copy| copy.bytes).sum::<u64>());
    drop(store);
    (directory, path)
}

#[test]
fn both_copies_have_everything_and_either_suffices() {
    if !apart("log_mirror::both_copies_have_everything_and_either_suffices", &[SMALL]) {
        return;
    }
    for access in [LogAccess::Mapped, LogAccess::Written] {
        let (directory, path) = unclosed(mirrored().log_access(access));
        check_same(&path);
        assert!(segments(&path.join("log")).len() > 3);
        for lost in COPIES {
            for emptied in [false, true] {
                let case = directory.path().join("case");
                copy(&path, &case);
                fs::remove_dir_all(case.join(lost)).unwrap();
                if emptied {
                    fs::create_dir(case.join(lost)).unwrap();
                }
                let read_only =
                    Store::builder(&case).read_only(true).options(options()).open().unwrap();
                check(&read_only, ROWS);
                assert_eq!(read_only.recovery().log_copies.len(), 1);
                drop(read_only);
                let log = LogView::open(&case).unwrap();
                assert!(log.damage().is_none() && log.check().unwrap() == ROWS as u64);
                assert_eq!(log.copies().len(), 2);
                let store = open_with(&case, options().log_access(access)).unwrap();
                check(&store, ROWS);
                assert_eq!(store.recovery().lost, []);
                let [repair] = &store.recovery().log_copies[..] else { panic!() };
                assert!(repair.directory.ends_with(lost), "{repair}");
                assert_eq!(repair.failure.is_none(), emptied, "{repair}");
                let has_failed = |copy: &str| copy == lost && !emptied;
                assert_eq!(failed(&store), COPIES.map(has_failed));
                write(&store, ROWS..ROWS + 50).unwrap();
                drop(store);
                if !emptied {
                    // It lacks what was written since.
                    fs::create_dir(case.join(lost)).unwrap();
                }
                let store = open(&case);
                check(&store, ROWS + 50);
                assert_eq!(store.recovery().log_copies.len(), usize::from(!emptied));
                assert_eq!(failed(&store), [false, false]);
                write(&store, ROWS + 50..ROWS + 60).unwrap();
                drop(store);
                check_same(&case);
                let store = open(&case);
                assert_eq!(store.recovery().log_copies, []);
                check(&store, ROWS + 60);
            }
        }
        let store = open(&path);
        check(&store, ROWS);
        assert_eq!(
            (&store.recovery().lost[..], &store.recovery().log_copies[..]),
            (&[][..], &[][..])
        );
    }
}

/// Segments are released, used again, and made ahead, in both copies.
#[test]
fn what_is_released_is_released_in_both() {
    if !apart("log_mirror::what_is_released_is_released_in_both", &[SMALL]) {
        return;
    }
    let (_directory, path) = unclosed(mirrored());
    let store = open(&path);
    for round in 1..4 {
        write(&store, round * ROWS..(round + 1) * ROWS).unwrap();
        store.flush().unwrap();
    }
    store.close().unwrap();
    assert_eq!(failed(&store), [false, false]);
    drop(store);
    check_same(&path);
    assert!(segments(&path.join("log")).len() < 6);
    let store = open(&path);
    assert_eq!(store.recovery().replayed.records, 0);
    assert_eq!(store.recovery().log_copies, []);
    check(&store, 4 * ROWS);
}

/// Makes an operation fail on the files of one copy, writes, and returns what the store says then.
#[cfg(feature = "failpoints")]
fn write_while_failing(store: &Store, copy: &str, operation: &str, rows: std::ops::Range<usize>) {
    let file = store.path().join(copy).join(format!("FAIL-{operation}"));
    fs::write(&file, "").unwrap();
    write(store, rows).unwrap();
    assert!(!fs::read(&file).unwrap().is_empty(), "{operation} did not fail");
    fs::remove_file(&file).unwrap();
    assert_eq!(failed(store), COPIES.map(|it| it == copy), "{operation}");
    let stats = store.stats().unwrap();
    let failure = stats.log_copies.iter().find_map(|copy| copy.failure.clone()).unwrap();
    assert!(failure.contains("a test makes"), "{failure}");
}

/// Goal: a copy that fails costs no write, is never taken for the log, and is made again.
#[cfg(feature = "failpoints")]
#[test]
fn a_copy_that_fails_is_gone_without_and_never_taken_for_the_log() {
    const TEST: &str = "log_mirror::a_copy_that_fails_is_gone_without_and_never_taken_for_the_log";
    if !apart(TEST, &[SMALL]) {
        return;
    }
    for access in [LogAccess::Mapped, LogAccess::Written] {
        for (number, lost) in COPIES.into_iter().enumerate() {
            let other = COPIES[1 - number];
            for operation in ["log-sync", "log-write", "log-prepare"] {
                if operation == "log-write" && access == LogAccess::Mapped {
                    continue;
                }
                let (directory, path) = unclosed(mirrored().log_access(access));
                let open = || open_with(&path, options().log_access(access)).unwrap();
                let store = open();
                check(&store, ROWS);
                write_while_failing(&store, lost, operation, ROWS..2 * ROWS);
                check(&store, 2 * ROWS);
                // It can be read, by a reader of the log too, when the copy is gone.
                write(&store, 2 * ROWS..3 * ROWS).unwrap();
                let log = LogView::open(&path).unwrap();
                assert_eq!(log.check().unwrap(), 3 * ROWS as u64, "{operation}, {lost}");
                let current: Vec<_> = log.copies().iter().map(|copy| copy.is_current).collect();
                assert_eq!(current, COPIES.map(|it| it != lost));
                drop(store);
                // Without the one copy that has everything there is no log.
                let (aside, place) = (directory.path().join("aside"), path.join(other));
                fs::rename(&place, &aside).unwrap();
                for damage in [LogDamage::Refuse, LogDamage::DropRest] {
                    let (_, text) = refused(&path, options().log_damage(damage));
                    assert!(text.contains(place.to_str().unwrap()), "{text}");
                    assert!(LogView::open(&path).is_err());
                }
                fs::create_dir(&place).unwrap();
                let (_, text) = refused(&path, options());
                assert!(text.contains("given up"), "{text}");
                fs::remove_dir(&place).unwrap();
                fs::rename(&aside, &place).unwrap();
                // Nor is it found under the other name.
                let exchange = || {
                    fs::rename(&place, &aside).unwrap();
                    fs::rename(path.join(lost), &place).unwrap();
                    fs::rename(&aside, path.join(lost)).unwrap();
                };
                exchange();
                let (_, text) = refused(&path, options());
                assert!(text.contains("exchange"), "{text}");
                exchange();
                let store = open();
                check(&store, 3 * ROWS);
                assert_eq!(store.recovery().lost, []);
                assert_eq!(store.recovery().log_copies.len(), 1);
                assert_eq!(failed(&store), [false, false]);
                drop(store);
                check_same(&path);
                // Now it alone suffices.
                fs::remove_dir_all(&place).unwrap();
                check(&open(), 3 * ROWS);
            }
        }
    }
}

#[cfg(feature = "failpoints")]
#[test]
fn a_log_whose_copies_both_fail_has_failed() {
    let (_directory, path) = unclosed(mirrored());
    let store = open(&path);
    write_while_failing(&store, "log-mirror", "log-sync", ROWS..ROWS + 10);
    fs::write(path.join("log/FAIL-log-sync"), "").unwrap();
    let error = write(&store, ROWS + 10..ROWS + 11).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error:#}");
    fs::remove_file(path.join("log/FAIL-log-sync")).unwrap();
    write(&store, ROWS + 11..ROWS + 12).unwrap_err();
    drop(store);
    // Both at once.
    let store = open(&path);
    let rows =
        if both(&store)[0].contains(row(ROWS + 10).0).unwrap() { ROWS + 11 } else { ROWS + 10 };
    check(&store, rows);
    COPIES.iter().for_each(|copy| fs::write(path.join(copy).join("FAIL-log-sync"), "").unwrap());
    write(&store, rows..rows + 1).unwrap_err();
    COPIES.iter().for_each(|copy| fs::remove_file(path.join(copy).join("FAIL-log-sync")).unwrap());
    write(&store, rows + 1..rows + 2).unwrap_err();
    drop(store);
    let store = open(&path);
    let [hash, _] = both(&store);
    assert!((0..rows).all(|n| hash.contains(row(n).0).unwrap()));
    assert!(!hash.contains(row(rows + 1).0).unwrap());
}

/// Goal: what cannot be recorded is not relied on.
#[cfg(feature = "failpoints")]
#[test]
fn a_failed_copy_that_cannot_be_recorded_makes_the_log_fail() {
    const TEST: &str = "log_mirror::a_failed_copy_that_cannot_be_recorded_makes_the_log_fail";
    if !apart(TEST, &[("ANNULUS_FAIL", "log-record")]) {
        return;
    }
    let (_directory, path) = unclosed(mirrored());
    let store = open(&path);
    fs::write(path.join("log/FAIL-log-sync"), "").unwrap();
    write(&store, ROWS..ROWS + 1).unwrap_err();
    fs::remove_file(path.join("log/FAIL-log-sync")).unwrap();
    let error = write(&store, ROWS + 1..ROWS + 2).unwrap_err();
    assert!(format!("{error:#}").contains("log has failed"), "{error:#}");
    drop(store);
    let store = open(&path);
    assert!((0..ROWS).all(|n| both(&store)[0].contains(row(n).0).unwrap()));
}

/// Changes a byte of a file.
fn damage(file: &Path, at: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 4], at).unwrap();
}

/// Returns the last segment of a copy that has records.
fn last_segment(store: &Path, copy: &str) -> PathBuf {
    segments(&store.join(copy)).into_iter().rfind(|file| end_of_log(file) > 4200).unwrap()
}

#[test]
fn damage_in_one_copy_costs_nothing() {
    if !apart("log_mirror::damage_in_one_copy_costs_nothing", &[SMALL]) {
        return;
    }
    let (directory, path) = unclosed(mirrored());
    let case = directory.path().join("case");
    for copies in [&COPIES[..1], &COPIES[1..], &COPIES[..]] {
        for at in [0, 50, 4100, 9000] {
            copy(&path, &case);
            for (number, one) in copies.iter().enumerate() {
                // If both are damaged, the mirror is in a later segment.
                let files = segments(&case.join(one));
                damage(&files[1 + number], at);
            }
            if copies.len() == 2 {
                let (kind, text) = refused(&case, options());
                assert_eq!(kind, ErrorKind::Damaged, "{text}");
                assert!(
                    COPIES.iter().all(|it| text.contains(case.join(it).to_str().unwrap())),
                    "{text}"
                );
                let store = open_with(&case, options().log_damage(LogDamage::DropRest)).unwrap();
                let there = both(&store)[0].scan(..).unwrap().count();
                // As much as the mirror has, which is damaged later.
                assert!(there > 100 && there < ROWS, "{there}");
                check(&store, there);
                assert!(!store.recovery().lost.is_empty());
                drop(store);
                check_same(&case);
                check(&open(&case), there);
                continue;
            }
            let store = open(&case);
            check(&store, ROWS);
            assert_eq!(store.recovery().lost, []);
            assert_eq!(store.recovery().log_copies.len(), 1);
            drop(store);
            check_same(&case);
            assert_eq!(open(&case).recovery().log_copies, []);
        }
    }
}

/// A power cut leaves different ends in both: zeros, or something that is no record.
#[test]
fn of_two_ends_the_later_one_counts() {
    if !apart("log_mirror::of_two_ends_the_later_one_counts", &[SMALL]) {
        return;
    }
    let (directory, path) = unclosed(mirrored());
    let case = directory.path().join("case");
    for shorter in COPIES {
        for garbage in [false, true] {
            copy(&path, &case);
            let file = last_segment(&case, shorter);
            let end = end_of_log(&file);
            let content = if garbage { vec![0xab; 1500] } else { vec![0; 1500] };
            let opened = fs::OpenOptions::new().write(true).open(&file).unwrap();
            opened.write_all_at(&content, end - 1500).unwrap();
            let store = open(&case);
            check(&store, ROWS);
            assert_eq!(store.recovery().lost, []);
            assert_eq!(store.recovery().log_copies.len(), 1);
            write(&store, ROWS..ROWS + 5).unwrap();
            drop(store);
            check_same(&case);
            check(&open(&case), ROWS + 5);
        }
    }
}

/// A mirror from another history, of the same store, must not be taken for the longer log.
#[test]
fn copies_that_are_not_of_one_history_are_refused() {
    let (directory, path) = unclosed(mirrored());
    let other = directory.path().join("other");
    copy(&path, &other);
    let store = open(&path);
    write(&store, ROWS..ROWS + 10).unwrap();
    drop(store);
    let store = open(&other);
    (0..100).for_each(|n| both(&store)[1].put(n.to_string(), "another").unwrap());
    drop(store);
    for replaced in COPIES {
        let aside = directory.path().join("aside");
        fs::rename(path.join(replaced), &aside).unwrap();
        copy(&other.join(replaced), &path.join(replaced));
        let (kind, text) = refused(&path, options());
        assert_eq!(kind, ErrorKind::Damaged, "{text}");
        assert!(text.contains("one history"), "{text}");
        assert!(
            COPIES.iter().all(|copy| text.contains(path.join(copy).to_str().unwrap())),
            "{text}"
        );
        fs::remove_dir_all(path.join(replaced)).unwrap();
        fs::rename(&aside, path.join(replaced)).unwrap();
    }
    check(&open(&path), ROWS + 10);
}

#[test]
fn a_mirror_is_added_exchanged_and_removed() {
    let directory = quick_directory();
    let top = directory.path().canonicalize().unwrap();
    let (path, one, two) = (top.join("store"), top.join("one"), top.join("two"));
    let mut rows = 0;
    let mut go_on = |mirror: LogMirror, expected: Option<&Path>| {
        let store = open_with(&path, options().log_mirror(mirror)).unwrap();
        check(&store, rows);
        assert_eq!(store.recovery().lost, []);
        rows += 30;
        write(&store, rows - 30..rows).unwrap();
        let copies: Vec<_> = store.stats().unwrap().log_copies;
        assert!(copies.iter().all(|copy| copy.failure.is_none()), "{copies:?}");
        let directories: Vec<_> = copies.iter().map(|copy| copy.directory.clone()).collect();
        let first = path.join("log");
        assert_eq!(directories, [&*first].into_iter().chain(expected).collect::<Vec<_>>());
        drop(store);
        if expected.is_some() {
            check_same(&path);
        }
        for gone in [&one, &two].into_iter().filter(|it| Some(&***it) != expected && it.exists()) {
            assert_eq!(segments(gone), [] as [PathBuf; 0]);
        }
    };
    go_on(LogMirror::Unchanged, None);
    go_on(LogMirror::None, None);
    go_on(LogMirror::at(&one), Some(&one));
    go_on(LogMirror::Unchanged, Some(&one));
    go_on(LogMirror::at(&one), Some(&one));
    go_on(LogMirror::at(&two), Some(&two));
    // The name is whatever it leads to.
    go_on(LogMirror::at("log-mirror"), Some(&two));
    go_on(LogMirror::None, None);
    go_on(LogMirror::at("log-mirror"), Some(&path.join("log-mirror")));
    go_on(LogMirror::at(&one), Some(&one));
    go_on(LogMirror::None, None);
    assert!(!path.join("log-mirror").exists());
    go_on(LogMirror::Unchanged, None);
    // Not where something else is.
    for place in ["log", "log/x", "metadata", "shards/0", "shards"] {
        let (kind, text) = refused(&path, options().log_mirror(LogMirror::at(place)));
        assert!(kind == ErrorKind::InvalidArgument && text.contains("overlaps"), "{place}: {text}");
    }
    go_on(LogMirror::at(&two), Some(&two));
    let moved = options().log_directory(one.clone());
    check(&open_with(&path, moved).unwrap(), rows);
    check_same(&path);
}

#[test]
fn a_mirror_whose_disk_is_not_mounted_is_gone_without() {
    let directory = quick_directory();
    let top = directory.path().canonicalize().unwrap();
    let (path, disk, aside) = (top.join("store"), top.join("disk"), top.join("aside"));
    let with_mirror = || options().log_mirror(LogMirror::at(&disk));
    let store = open_with(&path, with_mirror()).unwrap();
    write(&store, 0..50).unwrap();
    drop(store);
    fs::rename(&disk, &aside).unwrap();
    let store = open_with(&path, with_mirror()).unwrap();
    check(&store, 50);
    assert_eq!(failed(&store), [false, true]);
    let [repair] = &store.recovery().log_copies[..] else { panic!() };
    assert!(repair.to_string().contains(disk.to_str().unwrap()), "{repair}");
    write(&store, 50..100).unwrap();
    drop(store);
    assert!(!disk.exists());
    // It is there again, without what was written meanwhile.
    fs::rename(&aside, &disk).unwrap();
    let store = open(&path);
    check(&store, 100);
    assert_eq!(failed(&store), [false, false]);
    // It is locked against copies of the store.
    let copied = top.join("copied");
    copy(&path, &copied);
    let (kind, text) = refused(&copied, options());
    assert_eq!(kind, ErrorKind::InUse, "{text}");
    drop(store);
    check_same(&path);
    // The first copy's disk is lost; another one takes its place.
    fs::remove_dir_all(path.join("log")).unwrap();
    let new = top.join("new");
    let store = open_with(&path, options().log_directory(new.clone())).unwrap();
    check(&store, 100);
    assert_eq!(failed(&store), [false, false]);
    drop(store);
    assert_eq!(fs::read_link(path.join("log")).unwrap(), new);
    check_same(&path);
    // A disk that is not mounted any more while the store is open.
    let store = open(&path);
    fs::rename(&disk, &aside).unwrap();
    fs::create_dir(&disk).unwrap();
    (0..40).for_each(|n| both(&store)[1].put(n.to_string(), vec![b'x'; 1 << 18]).unwrap());
    write(&store, 100..110).unwrap();
    assert_eq!(failed(&store), [false, true]);
    assert_eq!(segments(&disk), [] as [PathBuf; 0]);
    check(&store, 110);
}

/// What the names say is found out by what they lead to.
#[test]
fn the_log_of_another_store_is_not_overwritten() {
    let (_other_directory, other) = unclosed(mirrored());
    let (directory, path) = unclosed(mirrored());
    fs::rename(path.join("log-mirror"), directory.path().join("aside")).unwrap();
    symlink(other.join("log-mirror"), path.join("log-mirror")).unwrap();
    let (kind, text) = refused(&path, options());
    assert!(kind == ErrorKind::Damaged && text.contains("another store"), "{text}");
    check(&open(&other), ROWS);
}

const CHILD: &str = "ANNULUS_TEST_MIRROR";

/// Not a test in itself: opens a store with its mirror elsewhere, writes rows, has a copy fail, and
/// writes more; notes what was acknowledged.
#[cfg(feature = "failpoints")]
#[test]
fn failing_child() {
    let Some(order) = std::env::var_os(CHILD) else { return };
    let order = order.into_string().unwrap();
    let (directory, failing) = order.split_once(' ').unwrap();
    let directory = Path::new(directory);
    let note = |rows: usize| fs::write(directory.join("acknowledged"), rows.to_string()).unwrap();
    let path = directory.join("store");
    let store =
        open_with(&path, options().log_mirror(LogMirror::at(directory.join("disk")))).unwrap();
    let rows = both(&store)[0].scan(..).unwrap().count();
    note(rows);
    write(&store, rows..rows + 100).unwrap();
    note(rows + 100);
    if failing != "none" {
        fs::write(path.join(failing).join("FAIL-log-sync"), "").unwrap();
    }
    write(&store, rows + 100..rows + 200).unwrap();
    note(rows + 200);
}

#[cfg(feature = "failpoints")]
fn run_child(directory: &Path, failing: &str, place: &str) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "log_mirror::failing_child", "--nocapture"])
        .env(CHILD, format!("{} {failing}", directory.display()))
        .env("ANNULUS_FAILPOINT", place)
        .env(SMALL.0, SMALL.1)
        .output()
        .unwrap()
}

/// Goal: whatever a process was doing with a copy when it was killed, all that was acknowledged is
/// there, with either copy alone if both count; and the next opening ends with two that are the
/// same.
#[cfg(feature = "failpoints")]
#[test]
fn a_kill_at_any_step_loses_nothing() {
    if !apart("log_mirror::a_kill_at_any_step_loses_nothing", &[SMALL]) {
        return;
    }
    // Which copy is to fail, or is to be behind; where to be killed.
    let mut reached = BTreeSet::new();
    for place in [
        "log-directory-made",
        "log-copy-failed",
        "log-copy-behind",
        "log-rebuild",
        "log-rebuild@2",
        "log-rebuilt",
        "log-opened",
        "log-prepare@5",
        "log-recycle",
        "log-switch@2",
        "log-sync@2",
        "nowhere",
    ] {
        for (behind, failing) in
            [("none", "log"), ("none", "log-mirror"), ("log", "none"), ("log-mirror", "none")]
        {
            let what = format!("{place}, {behind} is behind, {failing} fails");
            let directory = quick_directory();
            let top = directory.path();
            let path = top.join("store");
            if place != "log-directory-made" || behind != "none" {
                let first = run_child(top, "none", "nowhere");
                assert!(first.status.success(), "{what}: {first:?}");
            }
            if behind != "none" {
                segments(&path.join(behind))
                    .iter()
                    .rev()
                    .take(3)
                    .for_each(|file| fs::remove_file(file).unwrap());
            }
            let killed = run_child(top, failing, place);
            if !killed.status.success() {
                reached.insert(place);
            }
            let noted = fs::read_to_string(top.join("acknowledged")).unwrap_or_default();
            let acknowledged: usize = noted.parse().unwrap_or(0);
            for copy in COPIES {
                let _ = fs::remove_file(path.join(copy).join("FAIL-log-sync"));
            }
            let store =
                open_with(&path, options().log_mirror(LogMirror::at(top.join("disk")))).unwrap();
            let rows = both(&store)[0].scan(..).unwrap().count();
            assert!(rows >= acknowledged, "{what}: {rows} of {acknowledged}");
            check(&store, rows);
            assert_eq!(failed(&store), [false, false], "{what}");
            write(&store, rows..rows + 20).unwrap();
            drop(store);
            check_same(&path);
            let lost = if place.len() % 2 == 0 { "log" } else { "log-mirror" };
            segments(&path.join(lost)).iter().for_each(|file| fs::remove_file(file).unwrap());
            check(&open(&path), rows + 20);
        }
    }
    // Others depend on what the threads do.
    for place in
        ["log-directory-made", "log-copy-failed", "log-copy-behind", "log-rebuild", "log-rebuilt"]
    {
        assert!(reached.contains(place), "{place}: {reached:?}");
    }
}

/// Not a test in itself: opens a store, and is killed on the way.
#[cfg(feature = "failpoints")]
#[test]
fn opening_child() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    open(Path::new(&path));
}

/// A past bug: after a power cut one copy lacked what was not synced. While the next opening made it
/// equal to the other one it did not count, although it had everything that was acknowledged; then
/// the loss of the other one was the loss of the log.
#[cfg(feature = "failpoints")]
#[test]
fn a_copy_that_is_behind_suffices_while_it_is_brought_up() {
    // More than half of one segment of 2 MiB: those before the last one are synced once they are full.
    let directory = quick_directory();
    let (path, cut) = (directory.path().join("store"), directory.path().join("cut"));
    let case = directory.path().join("case");
    let synced_rows = 1_600;
    let store = open_with(&path, mirrored()).unwrap();
    write(&store, 0..synced_rows).unwrap();
    // A segment is made ahead when half of this one is used.
    while segments(&path.join("log-mirror")).len() < 2 {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let synced = last_segment(&path, "log");
    let (synced, end) = (synced.file_name().unwrap(), end_of_log(&synced));
    for n in synced_rows..synced_rows + 8 {
        let (key, value) = row(n);
        both(&store)[0].put_with(key, value, Durability::Buffered).unwrap();
    }
    copy(&path, &cut);
    drop(store);
    let mut reached = BTreeSet::new();
    for shorter in COPIES {
        for garbage in [false, true] {
            for place in ["log-rebuild", "log-rebuild-remove", "log-opened"] {
                copy(&cut, &case);
                let files = segments(&case.join(shorter));
                for file in files.iter().filter(|file| file.file_name() >= Some(synced)) {
                    let is_first = file.file_name() == Some(synced);
                    let from = if is_first { end.next_multiple_of(8) } else { CONTENT };
                    let bytes = file.metadata().unwrap().len();
                    let opened = fs::OpenOptions::new().write(true).open(file).unwrap();
                    opened.set_len(from).unwrap();
                    opened.set_len(bytes).unwrap();
                    if garbage && is_first {
                        opened.write_all_at(&[0xab; 1500], from + 8).unwrap();
                    }
                }
                let lost = if shorter == "log" { "log-mirror" } else { "log" };
                if place == "log-rebuild-remove" {
                    // Made ahead in this copy alone.
                    fs::remove_file(segments(&case.join(lost)).pop().unwrap()).unwrap();
                }
                let killed = Command::new(std::env::current_exe().unwrap())
                    .args(["--exact", "log_mirror::opening_child", "--nocapture"])
                    .env(CHILD, &case)
                    .env("ANNULUS_FAILPOINT", place)
                    .output()
                    .unwrap();
                if !killed.status.success() {
                    reached.insert(place);
                }
                fs::remove_dir_all(case.join(lost)).unwrap();
                fs::create_dir(case.join(lost)).unwrap();
                let store = open(&case);
                let rows = both(&store)[0].scan(..).unwrap().count();
                assert!(rows >= synced_rows, "{place}, {shorter} is behind: {rows}");
                check(&store, rows);
                write(&store, rows..rows + 20).unwrap();
                drop(store);
                check_same(&case);
                check(&open(&case), rows + 20);
            }
        }
    }
    for place in ["log-rebuild", "log-rebuild-remove", "log-opened"] {
        assert!(reached.contains(place), "{place}: {reached:?}");
    }
}

/// A past bug: a mirror that had missed several openings counted again before it knew of the last
/// one; after a crash in between, it was refused as one of another copy of the store.
#[cfg(feature = "failpoints")]
#[test]
fn a_mirror_that_has_missed_openings_is_not_taken_for_that_of_a_copy() {
    for place in ["log-rebuilt", "opening-after-metadata", "opening-after-shard"] {
        let directory = quick_directory();
        let (path, disk) = (directory.path().join("store"), directory.path().join("disk"));
        assert!(run_child(directory.path(), "none", "nowhere").status.success());
        let aside = directory.path().join("aside");
        fs::rename(&disk, &aside).unwrap();
        (0..3).for_each(|_| check(&open(&path), 200));
        fs::rename(&aside, &disk).unwrap();
        let killed = run_child(directory.path(), "none", place);
        assert!(!killed.status.success(), "{place}: {killed:?}");
        let store = open(&path);
        check(&store, 200);
        assert_eq!(failed(&store), [false, false], "{place}");
    }
}

/// The copy of a store is brought forward by the log of the original, whichever of its copies is
/// read.
#[test]
fn a_copy_is_recovered_with_its_mirror() {
    let (directory, path) = unclosed(mirrored());
    let backup = directory.path().join("backup");
    copy(&path, &backup);
    let store = open_with(&path, options().log_keep_bytes(1 << 30)).unwrap();
    write(&store, ROWS..ROWS + 100).unwrap();
    drop(store);
    for lost in COPIES {
        let aside = directory.path().join("aside");
        fs::rename(path.join(lost), &aside).unwrap();
        let log = LogView::open(&path).unwrap();
        let copied = directory.path().join("copied");
        copy(&backup, &copied);
        for without in ["none", lost] {
            let _ = fs::remove_dir_all(copied.join(without));
            let recovered =
                log.recover(&copied, annulus::log::RecoveryTarget::End, options()).unwrap();
            assert_eq!(recovered.records, if without == "none" { 100 } else { 0 });
            let builder = Store::builder(&copied).create(CreateMode::Never);
            let read_only = builder.read_only(true).options(options()).open().unwrap();
            check(&read_only, ROWS + 100);
        }
        fs::rename(&aside, path.join(lost)).unwrap();
    }
}
