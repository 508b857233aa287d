//! Opening a database with all its column families, even where a damaged file or the leftover of an
//! interrupted reshape prevents RocksDB from opening it.

use super::config::Resources;
use super::damage::{self, Damaged};
use super::db::Db;
use super::error::{context, family_beyond_logs};
use super::files::exists;
use super::names::{family, parse_family};
use crate::error::{Error, Result};
use crate::topology::PartitionName;
use rocksdb::{ColumnFamilyDescriptor, DBRecoveryMode, DEFAULT_COLUMN_FAMILY_NAME};
use std::path::Path;

/// Opens a database by a call that can be repeated. If it is refused for damage, it is opened
/// without its files, which are checked afterwards: what is sound is served.
pub(super) fn open_sound(
    options: &mut rocksdb::Options,
    directory: &Path,
    open: impl Fn(&rocksdb::Options) -> std::result::Result<Db, rocksdb::Error>,
) -> std::result::Result<(Db, Damaged), rocksdb::Error> {
    let refused = match open(options) {
        Ok(db) => return Ok((db, Damaged::new())),
        Err(error) => error,
    };
    if refused.kind() != rocksdb::ErrorKind::Corruption {
        return Err(refused);
    }
    let Ok(in_part) = damage::opening_in_part(options) else { return Err(refused) };
    let Ok(db) = open(&in_part) else { return Err(refused) };
    match damage::find(&db, directory) {
        Ok(Some(damaged)) => Ok((db, damaged)),
        _ => Err(refused),
    }
}

pub(super) fn descriptors<'n>(
    names: &'n [String],
    resources: &'n Resources,
) -> impl Iterator<Item = ColumnFamilyDescriptor> + 'n {
    names.iter().map(|name| ColumnFamilyDescriptor::new(name, resources.column_family()))
}

pub(super) fn cannot_open(directory: &Path) -> impl FnOnce(rocksdb::Error) -> Error {
    context(format!("cannot open the database in {}", directory.display()))
}

/// Opens a database with all its families, whose names it returns; creates it if the directory has
/// none.
pub(super) fn open_families(
    directory: &Path,
    resources: &Resources,
    expendable: &[PartitionName],
) -> Result<(Db, Vec<String>, Damaged)> {
    let mut options = resources.database()?;
    let mut left = match crate::os::failpoint::skip("drop-expendable") {
        true => Vec::new(),
        false => expendable.to_vec(),
    };
    loop {
        let names = list_families(&options, directory)?;
        let opened = open_sound(&mut options, directory, |options| {
            Db::open_cf_descriptors(options, directory, descriptors(&names, resources))
        });
        let error = match opened {
            Ok((db, damaged)) => return Ok((db, names, damaged)),
            Err(error) => error,
        };
        let in_the_way = family_beyond_logs(&error).and_then(parse_family);
        let Some(index) = left.iter().position(|name| Some(*name) == in_the_way) else {
            return Err(cannot_open(directory)(error));
        };
        drop_unopened(&options, directory, &names, left.swap_remove(index))?;
    }
}

pub(super) fn list_families(options: &rocksdb::Options, directory: &Path) -> Result<Vec<String>> {
    if !exists(directory)? {
        return Ok(vec![DEFAULT_COLUMN_FAMILY_NAME.to_owned()]);
    }
    let place = directory.display();
    Db::list_cf(options, directory)
        .map_err(context(format_args!("cannot read the database in {place}")))
}

/// Drops a family that keeps its database from opening: its files arrived before a log that a power
/// cut has torn. The database is opened only for that, in a mode that tolerates it; what it reads
/// from the logs stays in memory, and is discarded when it is closed.
fn drop_unopened(
    options: &rocksdb::Options,
    directory: &Path,
    names: &[String],
    dropped: PartitionName,
) -> Result<()> {
    /// More than the logs hold, so nothing is flushed.
    const ALL_IN_MEMORY: usize = 64 << 30;
    let mut options = options.clone();
    options.set_wal_recovery_mode(DBRecoveryMode::SkipAnyCorruptedRecord);
    let mut in_memory = rocksdb::Options::default();
    in_memory.set_write_buffer_size(ALL_IN_MEMORY);
    in_memory.set_arena_block_size(64 << 10);
    in_memory.set_disable_auto_compactions(true);
    let families = names.iter().map(|name| ColumnFamilyDescriptor::new(name, in_memory.clone()));
    let place = directory.display();
    let db =
        Db::open_cf_descriptors(&options, directory, families).map_err(cannot_open(directory))?;
    db.drop_cf(&family(dropped))
        .map_err(context(format_args!("dropping partition {dropped} in {place} failed")))?;
    tracing::warn!(partition = %dropped, directory = %place, "dropped what an interrupted reshape left");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::wal::logs;
    use super::super::wal_format::tests::empty_log_after;
    use super::super::wal_format::walk;
    use super::super::{Resources, RocksDb};
    use super::*;
    use crate::engine::{Durability, Engine as _, Read};
    use std::fs::File;

    /// What a power cut leaves of files that arrive while a closed log is not synced: the family
    /// exists, and the log before its first moment has lost its end.
    #[test]
    fn a_family_beyond_a_torn_log_goes_if_it_may() {
        let directory = tempfile::tempdir().unwrap();
        let resources =
            Resources::new(&crate::engine::EngineOptions::small(crate::LogDamage::Refuse), 1);
        let open = |expendable: &[_]| RocksDb::open(directory.path(), &resources, None, expendable);
        let name = |id| PartitionName { id: crate::PartitionId(id), generation: 0 };
        let (stays, passes, arrives) = (name(1), name(2), name(3));
        let db = open(&[]).unwrap();
        for (partition, key) in [(stays, b"1"), (passes, b"1"), (stays, b"2")] {
            let partition =
                db.partition(partition).map_or_else(|| db.create_partition(partition), Ok);
            db.put(&partition.unwrap(), key, b"value", Durability::Buffered).unwrap();
        }
        // Begins another log, and leaves nothing of its own.
        db.db.flush_cf(db.partition(passes).unwrap().handle()).unwrap();
        db.drop_partition(passes).unwrap();
        db.load_partition(arrives, |put| put(b"key", b"value")).unwrap();
        drop(db);
        // As if one more write had been at the end of the log before.
        let (_, present) = logs(directory.path()).unwrap().pop().unwrap();
        let said = walk(&mut File::open(&present).unwrap(), |_| {}).unwrap().predecessor.unwrap();
        let lost = empty_log_after(said.number, said.bytes + 40, said.last_batch + 1);
        std::fs::write(present, lost).unwrap();
        let refused = open(&[]).err().unwrap();
        assert!(format!("{refused:#}").contains("CF p3.0"), "{refused}");
        for expendable in [&[arrives][..], &[]] {
            let db = open(expendable).unwrap();
            assert_eq!(db.partitions(), [stays]);
            let stays = db.partition(stays).unwrap();
            for key in [b"1", b"2"] {
                assert!(db.get(&stays, key, Read::PRESENT).unwrap().is_some());
            }
        }
    }
}
