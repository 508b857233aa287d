//! Torn ends, flipped bits, missing and foreign files.

use super::*;
use crate::error::ErrorKind;

/// Opens the log without an exception for damage, or with it; returns the keys, and what was lost.
fn opened(directory: &Path, damage: LogDamage) -> Result<(Vec<u32>, Vec<LogLoss>)> {
    let log = CommitLog::open(LogOptions { damage, ..options(directory, LogAccess::Written) })?;
    log.finish_replay();
    Ok((keys(&log), log.lost().to_vec()))
}

fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to.join("log"));
    std::fs::create_dir(to.join("log")).unwrap();
    for file in files(from) {
        std::fs::copy(&file, to.join("log").join(file.file_name().unwrap())).unwrap();
    }
}

/// A log over two segments: 12 keys are synced, two are not.
fn small_log(directory: &Path) {
    let log = open(directory, LogAccess::Written);
    for key in 0..12 {
        put(&log, key, 1_700);
    }
    log.sync().unwrap();
    put(&log, 12, 20);
    put(&log, 13, 20);
}

#[test]
fn each_flipped_byte_is_named_or_cut_and_reported_or_without_effect() {
    let (directory, copied) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    small_log(directory.path());
    let all: Vec<u32> = (0..14).collect();
    let mut named = 0;
    for file in files(directory.path()) {
        copy(directory.path(), copied.path());
        let bytes = std::fs::read(&file).unwrap();
        let name = copied.path().join("log").join(file.file_name().unwrap());
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 60;
        for at in (0..used.min(bytes.len()))
            .filter(|at| *at < 80 || *at > 4090 && (*at < 4250 || at % 5 == 0))
        {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            std::fs::write(&name, &changed).unwrap();
            match judged(copied.path(), LogDamage::Refuse) {
                Ok((keys, lost)) => {
                    assert!(all.starts_with(&keys), "{at}: {keys:?}");
                    assert!(keys.len() >= 12, "{at}: synced keys are gone without an error");
                    assert!(keys.len() == 14 || !lost.is_empty(), "{at}: {keys:?}");
                }
                Err(error) => {
                    named += 1;
                    check_named(&error);
                    if error.kind() == ErrorKind::Damaged && named % 100 == 0 {
                        drop_rest(copied.path(), &all);
                        copy(directory.path(), copied.path());
                    }
                }
            }
        }
        std::fs::write(&name, &bytes).unwrap();
    }
    assert!(named > 12 * 1_700 / 5, "{named}");
}

fn judged(directory: &Path, damage: LogDamage) -> Result<(Vec<u32>, Vec<LogLoss>)> {
    let options = LogOptions { damage, ..options(directory, LogAccess::Written) };
    let log = CommitLog::open_read_only(options)?;
    Ok((keys(&log), log.lost().to_vec()))
}

fn check_named(error: &crate::error::Error) {
    let kinds = [ErrorKind::Damaged, ErrorKind::Incompatible];
    assert!(kinds.contains(&error.kind()) && error.to_string().contains(".log"), "{error:#}");
}

fn drop_rest(directory: &Path, all: &[u32]) {
    if let Err(error) = judged(directory, LogDamage::DropRest) {
        assert!(error.to_string().contains("another store"), "{error}");
        return;
    }
    let (keys, lost) = opened(directory, LogDamage::DropRest).unwrap();
    assert!(all.starts_with(&keys) && !lost.is_empty(), "{keys:?}");
    assert_eq!(opened(directory, LogDamage::Refuse).unwrap(), (keys, Vec::new()));
}

/// What was cut never comes back, not even if the disk returns it later.
#[test]
fn a_torn_end_is_cut_for_good() {
    for access in ACCESSES {
        let directory = tempfile::tempdir().unwrap();
        let log = open(directory.path(), access);
        put_all(&log, 0..5, 100);
        log.sync().unwrap();
        let torn = put(&log, 5, 100);
        put(&log, 6, 100);
        drop(log);
        let file = files(directory.path()).remove(0);
        let whole = std::fs::read(&file).unwrap();
        let mut bytes = whole.clone();
        bytes[4096 + torn.0 as usize + 60] ^= 1;
        std::fs::write(&file, &bytes).unwrap();
        let log = open(directory.path(), access);
        assert_eq!(keys(&log), [0, 1, 2, 3, 4]);
        let [LogLoss::Torn { offset, later: false, .. }] = log.lost() else {
            panic!("{:?}", log.lost())
        };
        assert_eq!(*offset, 4096 + torn.0);
        put(&log, 7, 100);
        drop(log);
        let read_only = CommitLog::open_read_only(options(directory.path(), access)).unwrap();
        assert_eq!(keys(&read_only), [0, 1, 2, 3, 4, 7]);
        drop(read_only);
        std::fs::write(&file, &whole).unwrap();
        let log = open(directory.path(), access);
        assert_eq!((keys(&log), log.lost()), (vec![0, 1, 2, 3, 4, 7], &[][..]));
    }
}

/// What a power cut can leave: a part of what was not synced, in any order.
#[test]
fn a_lost_page_before_sound_records_is_a_torn_end() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path(), LogAccess::Written);
    put(&log, 0, 100);
    log.sync().unwrap();
    let lost = put(&log, 1, 3000);
    put_all(&log, 2..30, 3000);
    drop(log);
    let file = files(directory.path()).remove(0);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[4096 + lost.0 as usize..][..3000].fill(0);
    std::fs::write(&file, &bytes).unwrap();
    let (keys, lost) = opened(directory.path(), LogDamage::Refuse).unwrap_or_else(|error| {
        // The keeper had synced a closed segment: then this is damage.
        assert_eq!(error.kind(), ErrorKind::Damaged);
        opened(directory.path(), LogDamage::DropRest).unwrap()
    });
    assert_eq!(keys, [0]);
    assert!(matches!(lost[..], [LogLoss::Torn { later: true, .. }]), "{lost:?}");
    assert_eq!(opened(directory.path(), LogDamage::Refuse).unwrap(), (vec![0], vec![]));
}

#[test]
fn missing_foreign_newer_and_other_files() {
    let (directory, copied) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = open(directory.path(), LogAccess::Written);
    put_all(&log, 0..40, 1_700);
    log.release(put(&log, 40, 100));
    until(|| files(directory.path()).len() <= 4);
    put(&log, 41, 8_000);
    put(&log, 42, 8_000);
    let pin = log.pin();
    put(&log, 43, 8_000);
    drop((pin, log));
    let all = files(directory.path());
    for missing in &all[..all.len() - 1] {
        copy(directory.path(), copied.path());
        std::fs::remove_file(copied.path().join("log").join(missing.file_name().unwrap())).unwrap();
        let error = opened(copied.path(), LogDamage::Refuse).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
        assert!(error.to_string().contains("is missing"), "{error}");
        let (_, lost) = opened(copied.path(), LogDamage::DropRest).unwrap();
        assert!(!lost.is_empty());
        opened(copied.path(), LogDamage::Refuse).unwrap();
    }
    copy(directory.path(), copied.path());
    std::fs::write(copied.path().join("log/notes.txt"), "x").unwrap();
    std::fs::write(copied.path().join("log/0000000099.new"), "x").unwrap();
    let expected = opened(directory.path(), LogDamage::Refuse).unwrap();
    assert_eq!(opened(copied.path(), LogDamage::Refuse).unwrap(), expected);
    assert!(!copied.path().join("log/0000000099.new").exists());
    let foreign = LogOptions { store: 8, ..options(directory.path(), LogAccess::Written) };
    let error = CommitLog::open(foreign).unwrap_err();
    assert!(error.to_string().contains("another store"), "{error}");
}

#[test]
fn a_truncated_segment_is_named() {
    let directory = tempfile::tempdir().unwrap();
    small_log(directory.path());
    let file = files(directory.path()).remove(1);
    std::fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(5000).unwrap();
    assert_eq!(opened(directory.path(), LogDamage::Refuse).unwrap_err().kind(), ErrorKind::Damaged);
    opened(directory.path(), LogDamage::DropRest).unwrap();
}

/// A past bug: a segment that was truncated before its first record passed for one that was never
/// used, so what was in it was gone without a word.
#[test]
fn a_segment_that_was_truncated_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let copied = tempfile::tempdir().unwrap();
    small_log(directory.path());
    let last = files(directory.path()).into_iter().rfind(|file| {
        let content = std::fs::read(file).unwrap();
        content.iter().rposition(|byte| *byte != 0).unwrap() > 4096
    });
    let last = last.unwrap();
    for bytes in [0, 63, 365, 4096, 4100, 4200] {
        copy(directory.path(), copied.path());
        let name = copied.path().join("log").join(last.file_name().unwrap());
        std::fs::OpenOptions::new().write(true).open(&name).unwrap().set_len(bytes).unwrap();
        let error = judged(copied.path(), LogDamage::Refuse).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{bytes}: {error}");
        assert!(error.to_string().contains(&*name.to_string_lossy()), "{bytes}: {error}");
        let (keys, lost) = opened(copied.path(), LogDamage::DropRest).unwrap();
        assert!(keys.len() < 14 && !lost.is_empty(), "{bytes}: {keys:?}");
    }
}

/// Changes a byte of the record with this position, in the first segment.
fn flip(directory: &Path, record: Position) {
    let file = files(directory).remove(0);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[4096 + record.0 as usize + 60] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
}

/// The mark after it says that it was synced; no later record does.
#[test]
fn a_flipped_bit_in_the_last_synced_record_is_refused() {
    for access in ACCESSES {
        let directory = tempfile::tempdir().unwrap();
        let log = open(directory.path(), access);
        put(&log, 0, 100);
        let last = put(&log, 1, 100);
        log.sync().unwrap();
        drop(log);
        flip(directory.path(), last);
        let error = opened(directory.path(), LogDamage::Refuse).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
        check_named(&error);
    }
}

/// Positions are used again after a log was truncated. So a file that is used again may hold records
/// with positions after the end, which say that they were synced: only the salt tells that they are
/// of an earlier use.
#[test]
fn what_a_file_held_before_a_cut_is_no_evidence_when_it_is_used_again() {
    for access in ACCESSES {
        let directory = tempfile::tempdir().unwrap();
        let log = open(directory.path(), access);
        put(&log, 0, 100);
        let damaged = put(&log, 1, 1_700);
        put_all(&log, 2..5, 1_700);
        log.sync().unwrap();
        put_all(&log, 5..20, 1_700);
        drop(log);
        let first = files(directory.path()).remove(0);
        flip(directory.path(), damaged);
        let damage = LogDamage::DropRest;
        let log =
            CommitLog::open(LogOptions { damage, ..options(directory.path(), access) }).unwrap();
        assert_eq!(keys(&log), [0]);
        log.finish_replay();
        put(&log, 20, 100);
        log.release(log.end());
        until(|| !first.exists());
        let last = put(&log, 21, 100);
        drop(log);
        let log = CommitLog::open(options(directory.path(), access)).unwrap();
        assert_eq!((keys_from(&log, last), log.lost()), (vec![21], &[][..]));
    }
}

/// With a protection left out, the test that relies on it must fail.
#[cfg(feature = "failpoints")]
#[test]
fn a_missing_salt_or_mark_is_noticed() {
    let tests = [
        ("log-salt", "what_a_file_held_before_a_cut_is_no_evidence_when_it_is_used_again"),
        ("log-mark", "a_flipped_bit_in_the_last_synced_record_is_refused"),
    ];
    for (protection, test) in tests {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("log::tests::damages::{test}")])
            .env("ANNULUS_SKIP", protection)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("running 1 test"), "{text}");
        assert!(!output.status.success(), "{protection} was left out, and {test} passes");
    }
}
