//! Opening a database with all its column families, even where a damaged file prevents RocksDB from
//! opening it.

use super::config::Resources;
use super::damage::{self, Damaged};
use super::db::Db;
use super::error::context;
use super::files::exists;
use crate::error::{Error, Result};
use rocksdb::{ColumnFamilyDescriptor, DEFAULT_COLUMN_FAMILY_NAME};
use std::path::Path;

/// Opens a database by a call that can be repeated. If it is refused for damage, it is opened
/// without its files, which are checked afterwards: what is sound is served.
fn open_sound(
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

fn descriptors<'n>(
    names: &'n [String],
    resources: &'n Resources,
) -> impl Iterator<Item = ColumnFamilyDescriptor> + 'n {
    names.iter().map(|name| ColumnFamilyDescriptor::new(name, resources.family(name)))
}

fn cannot_open(directory: &Path) -> impl FnOnce(rocksdb::Error) -> Error {
    context(format!("cannot open the database in {}", directory.display()))
}

/// A database that was opened with all its families.
pub(super) struct Opened {
    pub(super) db: Db,
    pub(super) names: Vec<String>,
    pub(super) damaged: Damaged,
}

/// Opens a database with all its families; creates it if the directory has none.
pub(super) fn open_database(
    directory: &Path,
    resources: &Resources,
    mut options: rocksdb::Options,
) -> Result<Opened> {
    let names = list_families(&options, directory)?;
    let (db, damaged) = open_sound(&mut options, directory, |options| {
        Db::open_cf_descriptors(options, directory, descriptors(&names, resources))
    })
    .map_err(cannot_open(directory))?;
    Ok(Opened { db, names, damaged })
}

/// The same without creating or changing anything.
pub(super) fn open_database_read_only(
    directory: &Path,
    resources: &Resources,
    mut options: rocksdb::Options,
) -> Result<Opened> {
    options.create_if_missing(false);
    let names = list_families(&options, directory)?;
    let (db, damaged) = open_sound(&mut options, directory, |options| {
        let families = descriptors(&names, resources);
        Db::open_cf_descriptors_read_only(options, directory, families, false)
    })
    .map_err(cannot_open(directory))?;
    Ok(Opened { db, names, damaged })
}

fn list_families(options: &rocksdb::Options, directory: &Path) -> Result<Vec<String>> {
    if !exists(directory)? {
        return Ok(vec![DEFAULT_COLUMN_FAMILY_NAME.to_owned()]);
    }
    let place = directory.display();
    Db::list_cf(options, directory)
        .map_err(context(format_args!("cannot read the database in {place}")))
}
