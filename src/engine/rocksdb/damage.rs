//! Databases of which single files are damaged. RocksDB opens none of whose files one has a damaged
//! footer, index or block of properties; here it opens them one by one, when they are read.

use super::error::context;
use super::handles::Db;
use super::import::bear_damage;
use super::names::family;
use super::parse_family;
use crate::error::Result;
use crate::topology::PartitionName;
use rocksdb::{DEFAULT_COLUMN_FAMILY_NAME, ErrorKind, Options};
use std::collections::BTreeMap;
use std::path::Path;

/// Partitions with damaged files, each with the engine's words on one of them.
pub(super) type Damaged = BTreeMap<PartitionName, String>;

/// Options to open a database all the same, after it was refused for damage.
pub(super) fn opening_in_part(options: &mut Options) -> Result<Options> {
    // Files are opened after the database is; statistics would be read from all of them before.
    let mut options = options
        .get_options_from_string("open_files_async=true;skip_stats_update_on_db_open=true")
        .map_err(context("the engine refused its options"))?;
    bear_damage(&mut options);
    Ok(options)
}

/// Looks into every file. Returns none if there is damage to what the whole shard depends on, or if a
/// file is missing.
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
        // A file that is missing, not damaged, belongs to another state of the database: a manifest
        // may have lost its end. What is there is then not what was.
        if name == DEFAULT_COLUMN_FAMILY_NAME || error.kind() != ErrorKind::Corruption {
            return Ok(None);
        }
        if let Some(name) = parse_family(name) {
            // Not all of the engine's messages name the file.
            let met = format!("{error}, met in reading {}", file.name.trim_start_matches('/'));
            damaged.entry(name).or_insert(met);
        }
    }
    Ok(Some(damaged))
}

/// Files of damaged partitions are not merged: it would fail again and again.
pub(super) fn leave_alone(db: &Db, damaged: &Damaged) {
    for name in damaged.keys() {
        let Some(handle) = db.cf_handle(&family(*name)) else { continue };
        if let Err(error) = db.set_options_cf(&handle, &[("disable_auto_compactions", "true")]) {
            tracing::warn!(partition = %name, %error, "the engine will try to merge damaged files");
        }
    }
}
