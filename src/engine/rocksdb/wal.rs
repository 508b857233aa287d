//! The logs that an earlier process left of the metadata: synced, judged, and cut where a power cut has torn them,
//! before RocksDB sees them.

use super::manifest::Manifest;
use super::mending::{self, Opening};
use super::wal_format::{Break, Shape, Walk, walk};
use crate::engine::{LogDamage, LogLoss};
use crate::error::{Error, ErrorKind, Result};
use crate::os::files::{cannot, sync_directory};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Syncs the write-ahead logs that an earlier process left, and the directory that names them.
pub(super) fn sync_logs(directory: &Path) -> Result<()> {
    for (_, path) in logs(directory)? {
        let synced = File::open(&path).and_then(|log| log.sync_all());
        synced.map_err(|error| cannot("sync", &path, error))?;
    }
    if directory.exists() { sync_directory(directory) } else { Ok(()) }
}

/// Returns the write-ahead logs of a database, by number; none if there is no database.
pub(super) fn logs(directory: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let entries = match directory.read_dir() {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(cannot("read", directory, error)),
    };
    let mut logs = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| cannot("read", directory, error))?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        if let (Some(number), Some("log")) = (number, path.extension().and_then(|e| e.to_str())) {
            logs.push((number, path));
        }
    }
    logs.sort_unstable();
    Ok(logs)
}

/// Makes logs and manifest end where they stop being sound, if the cause can be a power cut.
/// Returns what was lost.
///
/// | what is there | and after it | it is | done |
/// |---|---|---|---|
/// | the log ends within a record | anything | a torn end | the log is cut there |
/// | sectors that were never written | anything | what was not synced, and lost | the same |
/// | garbage | nothing sound | a torn end | the same |
/// | garbage | sound records, here or in a later log | damage | refused, unless `damage` says otherwise |
/// | any of these | a later log that continues with the next write | a write that had failed | nothing: RocksDB continues there |
/// | the log is shorter than the next one says | | what was not synced, and lost | RocksDB ends there |
/// | the same | the log has its last write, and no later one has any | a write that had failed | the later ones are emptied |
///
/// IMPORTANT: cut here instead of leaving it to RocksDB, for two reasons. It takes zeros for the
/// padding of a block and continues after them, so that what is left is no prefix. And where it
/// does stop, it continues with a later log only if the numbers of the writes are consecutive,
/// which they are not where the recovery has left some out: the next opening would drop what was
/// written since this one. For the same reason the caller flushes when something was lost: no later opening sees
/// these logs again.
///
/// Logs that the manifest no longer needs are not judged: their writes are in tables, so RocksDB
/// syncs later logs without them, and removes them. An instance of one family, the metadata, says
/// so in the edit that names the table; one with several says it in an edit of its own, and a power
/// cut between the two leaves a log that is judged.
///
/// A database that is opened read-only is only judged: see [`judge_logs`].
pub(super) fn mend_logs(directory: &Path, damage: LogDamage) -> Result<Vec<LogLoss>> {
    judge(directory, damage, Opening::ForWriting)
}

/// The same without changing anything. RocksDB may then show writes after a loss, which an opening
/// for writing drops.
pub(super) fn judge_logs(directory: &Path, damage: LogDamage) -> Result<Vec<LogLoss>> {
    judge(directory, damage, Opening::ReadOnly)
}

fn judge(directory: &Path, damage: LogDamage, opening: Opening) -> Result<Vec<LogLoss>> {
    let manifest = Manifest::read(directory)?;
    let oldest = manifest.as_ref().map_or(0, |manifest| manifest.oldest_log);
    let torn = manifest.map(|manifest| manifest.end(opening)).transpose()?;
    let mut lost = Vec::from_iter(torn.flatten());
    let mut walks = Vec::new();
    for (number, path) in logs(directory)?.into_iter().filter(|(number, _)| *number >= oldest) {
        let walk = read(&path)?;
        walks.push((number, path, walk));
    }
    for (index, (_, path, log)) in walks.iter().enumerate() {
        let later = walks.get(index + 1..).unwrap_or_default();
        let records_later: u64 = later.iter().map(|(_, _, log)| log.records).sum();
        let Some(broken) = &log.broken else { continue };
        if goes_on(log, later) {
            opening.get_past(path, broken)?;
            continue;
        }
        let is_damage =
            broken.shape == Shape::Garbage && (broken.next.is_some() || records_later > 0);
        if is_damage && damage == LogDamage::Refuse {
            return Err(refusal(path, broken));
        }
        lost.push(mending::torn(path, log, broken, records_later > 0));
        if is_damage { opening.get_past(path, broken) } else { opening.cut(path, broken) }?;
    }
    compare_sizes(&walks, &mut lost, opening)?;
    Ok(lost)
}

/// Compares each log with what the next one says of it. A log that is shorter has lost its end,
/// unless all of its writes are there: then that size includes a write that failed. RocksDB objects
/// to that, too, where no write follows, and refuses the database if some of its families were
/// flushed before the process ended. So logs without a write are emptied in that case.
fn compare_sizes(
    walks: &[(u64, PathBuf, Walk)],
    lost: &mut Vec<LogLoss>,
    opening: Opening,
) -> Result<()> {
    for (index, (number, path, log)) in walks.iter().enumerate() {
        let later = walks.get(index + 1..).unwrap_or_default();
        let said = later.first().and_then(|(_, _, next)| next.predecessor);
        let bytes = log.broken.map_or(log.bytes, |broken| broken.offset);
        let said = said.filter(|before| before.number == *number && before.bytes > bytes);
        let Some(said) = said.filter(|_| !goes_on(log, later)) else { continue };
        let is_whole = log.last_batch == Some(said.last_batch);
        if is_whole && later.iter().all(|(_, _, log)| log.records == 0) {
            later.iter().try_for_each(|(_, path, _)| opening.empty(path))?;
        } else if log.broken.is_none() {
            lost.push(LogLoss::Missing { file: path.clone() });
        }
    }
    Ok(())
}

/// Returns true if a later log begins with the very write that would have come next in this one, so
/// that nothing is missing between the two.
fn goes_on(log: &Walk, later: &[(u64, PathBuf, Walk)]) -> bool {
    let next = later.iter().find(|(_, _, log)| log.records > 0);
    next.is_some_and(|(_, _, next)| {
        next.first_write.is_some() && next.first_write == log.next_write
    })
}

fn read(path: &Path) -> Result<Walk> {
    let walked = File::open(path).and_then(|mut log| walk(&mut log, |_| {}));
    walked.map_err(|error| cannot("read", path, error))
}

fn refusal(path: &Path, broken: &Break) -> Error {
    Error::new(
        ErrorKind::Damaged,
        format!(
            "the log {} is damaged at offset {}, and sound records follow: restore it from a copy, \
             or open the store with option log_damage set to drop_rest, which keeps what was \
             written before that place and drops what was written after it",
            path.display(),
            broken.offset
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::wal_format::TYPE;
    use super::super::wal_format::tests::{empty_log_after, log_after, log_with};
    use super::super::{MetadataEngine, Resources};
    use super::*;
    use crate::engine::{Durability, EngineOptions};
    use std::fs::write;

    /// A past bug: where a log had lost its end just between two records, RocksDB could not notice,
    /// and continued with the next log.
    #[test]
    fn a_log_that_is_shorter_than_the_next_one_says_has_lost_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let before = log_after(3, 0);
        let bytes = before.len() as u64;
        write(directory.path().join("000004.log"), &before).unwrap();
        for (said, lost) in [(bytes, 0), (bytes + 40, 1)] {
            write(directory.path().join("000009.log"), log_after(4, said)).unwrap();
            let found = mend_logs(directory.path(), LogDamage::Refuse).unwrap();
            assert_eq!(found.len(), lost, "{found:?}");
            assert!(found.iter().all(|lost| lost.to_string().contains("000004.log")), "{found:?}");
        }
        // The log before may have been removed: it is no longer needed.
        write(directory.path().join("000009.log"), log_after(5, 1 << 20)).unwrap();
        assert_eq!(mend_logs(directory.path(), LogDamage::Refuse).unwrap(), []);
    }

    /// A write that failed half way is not missed where the next log continues with the next
    /// number.
    #[test]
    fn a_log_that_ends_in_a_failed_write_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let mut failed = log_after(3, 0);
        failed.extend(log_with(102));
        *failed.last_mut().unwrap() ^= 1;
        let old = directory.path().join("000004.log");
        write(&old, &failed).unwrap();
        // The same batch again, so its number is not the next one: something is missing.
        let new = directory.path().join("000009.log");
        write(&new, log_after(4, 0)).unwrap();
        let refused = mend_logs(directory.path(), LogDamage::Refuse).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Damaged);
        write(&new, log_with(102)).unwrap();
        assert_eq!(mend_logs(directory.path(), LogDamage::Refuse).unwrap(), []);
        assert_eq!(std::fs::read(&old).unwrap(), failed);
    }

    /// A past bug: a write failed for lack of space. RocksDB began another log, which said that the
    /// one before includes the bytes of that write, too, and flushed one family after the other;
    /// when the process ended before that was done, the next opening found families beyond a log
    /// that was too short, and refused.
    #[test]
    fn a_log_that_lacks_a_failed_write_refuses_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let before = directory.path().join("000004.log");
        write(&before, log_after(3, 0)).unwrap();
        let found = read(&before).unwrap();
        let after = directory.path().join("000009.log");
        let said = empty_log_after(4, found.bytes + 38, found.last_batch.unwrap());
        write(&after, said).unwrap();
        for _ in 0..2 {
            assert_eq!(mend_logs(directory.path(), LogDamage::Refuse).unwrap(), []);
            assert_eq!(std::fs::metadata(&after).unwrap().len(), 0);
            assert_eq!(std::fs::metadata(&before).unwrap().len(), found.bytes);
        }
    }

    /// A past bug: a flush had made a log unnecessary, the power failed before it was removed, and
    /// the part of it that had not been synced was garbage before the sound records of the next.
    /// The opening refused.
    #[test]
    fn a_log_that_is_needed_no_more_is_not_judged() {
        let directory = tempfile::tempdir().unwrap();
        let resources = Resources::new(&EngineOptions::small(LogDamage::Refuse), 1);
        let open = || MetadataEngine::open(directory.path(), &resources, None).unwrap();
        let db = open();
        db.put(b"old", b"value", Durability::Buffered).unwrap();
        let (_, needless) = logs(directory.path()).unwrap().pop().unwrap();
        let mut content = std::fs::read(&needless).unwrap();
        db.flush().unwrap();
        db.put(b"new", b"value", Durability::Synced).unwrap();
        drop(db);
        assert!(!needless.exists());
        // As on a disk that has written neither its end nor its removal.
        *content.last_mut().unwrap() ^= 1;
        content.extend([b'x'; 100]);
        write(&needless, &content).unwrap();
        assert_eq!(judge_logs(directory.path(), LogDamage::Refuse).unwrap(), []);
        let db = open();
        for key in [b"old", b"new"] {
            let found = db.get(key).unwrap();
            assert_eq!(found.as_deref(), Some(&b"value"[..]));
        }
    }

    /// A past bug: RocksDB never returned from reading a log in which the type of a record had become
    /// that of a file that is used again. Read-only, what would be cut is refused.
    #[test]
    fn a_log_that_would_be_read_forever_is_refused_or_mended() {
        for damaged in [0, 1] {
            let directory = tempfile::tempdir().unwrap();
            let options = EngineOptions::small(LogDamage::DropRest);
            let resources = Resources::new(&options, 1);
            let open = || MetadataEngine::open(directory.path(), &resources, None).unwrap();
            let db = open();
            let (_, path) = logs(directory.path()).unwrap().pop().unwrap();
            let mut ends = Vec::new();
            for key in [b"0", b"1", b"2"] {
                db.put(key, b"value", Durability::Synced).unwrap();
                ends.push(std::fs::metadata(&path).unwrap().len());
            }
            drop(db);
            let mut content = std::fs::read(&path).unwrap();
            let at = *ends.get(damaged).unwrap() as usize + TYPE;
            *content.get_mut(at).unwrap() = 5;
            write(&path, &content).unwrap();
            let read_only = || MetadataEngine::open_read_only(directory.path(), &resources, None);
            let refused = read_only().err().unwrap();
            assert_eq!(refused.kind(), ErrorKind::Damaged);
            assert!(refused.to_string().contains(path.to_str().unwrap()), "{refused}");
            if damaged == 0 {
                let refused = judge_logs(directory.path(), LogDamage::Refuse).unwrap_err();
                assert!(refused.to_string().contains("sound records follow"), "{refused}");
            }
            let db = open();
            assert_eq!(db.lost().len(), 1, "{:?}", db.lost());
            for (number, key) in [b"0", b"1", b"2"].into_iter().enumerate() {
                assert_eq!(db.get(key).unwrap().is_some(), number <= damaged, "{number}");
            }
            drop(db);
            assert_eq!(open().lost(), []);
            assert!(read_only().unwrap().get(b"0").unwrap().is_some());
        }
    }

    /// What is cut off is kept, unless it is empty.
    #[test]
    fn what_is_cut_stays_beside_the_log() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("000004.log");
        let mut content = log_after(3, 0);
        let sound = content.len();
        content.extend([0; 4096]);
        write(&log, &content).unwrap();
        assert_eq!(mend_logs(directory.path(), LogDamage::Refuse).unwrap().len(), 1);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
        content.extend(log_after(3, 0));
        write(&log, &content).unwrap();
        assert_eq!(mend_logs(directory.path(), LogDamage::Refuse).unwrap().len(), 1);
        let kept = directory.path().join(format!("000004.log.cut-at-{sound}"));
        assert_eq!(std::fs::read(&kept).unwrap(), content.get(sound..).unwrap());
        assert_eq!(std::fs::read(&log).unwrap().len(), sound);
    }
}
