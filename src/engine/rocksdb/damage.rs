//! Databases in which single files are damaged. RocksDB does not open a database if one file has a
//! damaged footer, index or block of properties; here its files are opened one by one, when they
//! are read.

use super::db::Db;
use super::error::context;
use super::listener::bear_damage;
use super::names::{family, parse_family};
use crate::error::Result;
use crate::topology::PartitionName;
use rocksdb::{DEFAULT_COLUMN_FAMILY_NAME, ErrorKind, Options};
use std::collections::BTreeMap;
use std::path::Path;

/// Partitions with damaged files, each with the engine's message about one of them.
pub(super) type Damaged = BTreeMap<PartitionName, String>;

/// Returns options that open a database after it was refused for damage.
pub(super) fn opening_in_part(options: &mut Options) -> Result<Options> {
    // Files are opened after the database is; statistics would have to be read from all of them
    // first.
    let mut options = options
        .get_options_from_string("open_files_async=true;skip_stats_update_on_db_open=true")
        .map_err(context("the engine refused its options"))?;
    bear_damage(&mut options);
    Ok(options)
}

/// Checks every file. Returns `None` if something that the whole shard depends on is damaged, or if
/// a file is missing.
pub(super) fn find(db: &Db, directory: &Path) -> Result<Option<Damaged>> {
    let place = directory.display();
    let files = db.live_files().map_err(context(format_args!("listing the files of {place}")))?;
    let mut damaged = Damaged::new();
    for file in files {
        let name = &file.column_family_name;
        let (Some(handle), Some(first)) = (db.cf_handle(name), &file.start_key) else { continue };
        let mut rows = db.raw_iterator_cf(&handle);
        rows.seek(first);
        let Err(error) = rows.status() else { continue };
        // A missing file, unlike a damaged one, belongs to another state of the database: a
        // manifest may have lost its end. The files that exist are then not the present content.
        if name == DEFAULT_COLUMN_FAMILY_NAME || error.kind() != ErrorKind::Corruption {
            return Ok(None);
        }
        if let Some(name) = parse_family(name) {
            // Not all of the engine's messages name the file.
            let met = format!("{error}, while reading {}", file.name.trim_start_matches('/'));
            damaged.entry(name).or_insert(met);
        }
    }
    Ok(Some(damaged))
}

/// Stops merges of damaged partitions' files: they would fail again and again.
pub(super) fn leave_alone(db: &Db, damaged: &Damaged) {
    for name in damaged.keys() {
        let Some(handle) = db.cf_handle(&family(*name)) else { continue };
        if let Err(error) = db.set_options_cf(&handle, &[("disable_auto_compactions", "true")]) {
            tracing::warn!(partition = %name, %error, "the engine will try to merge damaged files");
        }
    }
}
