//! Making a backup.
//!
//! | step | in the repository after it | if the process dies here, or the power fails |
//! |---|---|---|
//! | 1. the [cut](super::cut): links in the shards' directories | what was there | the store's next opening removes the links |
//! | 2. the segments of the log are copied, each under another name until it is synced | a log that goes further than the backups | the next backup replaces what is beyond them, or begins another part of the log |
//! | 3. the files that are not there are copied, each under another name until it is synced | files that no backup has | the next backup uses or removes them |
//! | 4. the names of all are synced; the manifest is written under another name, and synced | the same | the same |
//! | 5. it is renamed, and its directory synced | **the backup** | the backup is there |
//! | 6. files that no backup has are removed | the same | the next backup, or a removal of old ones, removes them |

use super::cut::Cut;
use super::manifest::{Backup, Manifest, Moment, ShardFile, ShardFiles};
use super::meter::Meter;
use super::options::BackupOptions;
use super::repository::Repository;
use crate::catalog::{Catalog, directory};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ShardId;
use crate::log::{last_of_archive, tidy_archive};
use crate::os::files::cannot;
use crate::reshape::{Foreground, Pacer};
use std::path::Path;

/// What a backup is made of, and whom it may disturb.
pub(crate) struct Source<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) foreground: &'a Foreground,
}

/// Makes a backup in a repository, which is created if the directory is missing or empty.
pub(crate) fn create(source: &Source<'_>, path: &Path, options: &BackupOptions) -> Result<Backup> {
    let Source { catalog, foreground } = source;
    options.throttle.validate()?;
    check_source(catalog)?;
    let home = &catalog.home;
    let repository = Repository::open_or_create(path, home.id, &home.path)?;
    let _lock = repository.lock()?;
    let manifests = repository.manifests()?;
    let number = manifests.last().map_or(1, |(number, _)| number + 1);
    let before = manifests.iter().rev().find_map(|(_, manifest)| manifest.as_ref().ok());
    let _disturbance = foreground.disturb();
    let pacer = Pacer::new(options.throttle);
    let meter = Meter::new(options.watch.as_ref()).paced_by(&pacer, foreground);
    let Cut { shards, records, pin, log, at } = Cut::make(catalog)?;
    // The backup is never ahead of what a power cut leaves of the store.
    catalog.log.sync_to(log.end())?;
    let (cut, first) = (log.end(), pin.position());
    let mut copied_bytes = 0;
    let part = part_of_log(&repository, number, before, &log)?;
    let from = if part == number { first } else { before.map_or(first, |it| it.cut().min(first)) };
    let known = before.filter(|_| part != number).map(Manifest::cut);
    log.copy_to(&repository.log(part), from, cut, known, &mut |bytes| {
        copied_bytes += bytes;
        meter.expect(bytes);
        meter.took(bytes)
    })?;
    // The rest takes as long as it takes: the log need not be kept for it.
    catalog.drop_pin(pin);
    drop(log);
    let last_segment = last_of_archive(&repository.log(part))?;
    let moment = Moment { at, cut, first, log: part, last_segment };
    let mut manifest = Manifest::new(number, home.id, &moment, records);
    let linked = shards.iter().map(|(shard, linked)| Ok((*shard, list(linked.directory())?)));
    let linked = linked.collect::<Result<Vec<(ShardId, Vec<(String, u64)>)>>>()?;
    meter.expect(linked.iter().flat_map(|(_, files)| files).map(|(_, bytes)| bytes).sum());
    let mut files = repository.files()?;
    for ((shard, names), (_, directory)) in linked.into_iter().zip(&shards) {
        let mut of_shard = Vec::with_capacity(names.len());
        for (name, _) in names {
            let added = files.add(&directory.directory().join(&name), &meter)?;
            copied_bytes += if added.is_new { added.bytes } else { 0 };
            of_shard.push(ShardFile { name, stored: added.name, bytes: added.bytes });
        }
        manifest.shards.push(ShardFiles { shard, files: of_shard });
    }
    files.sync()?;
    manifest.copied_bytes = copied_bytes;
    repository.add(&manifest)?;
    if let Err(error) = repository.collect() {
        tracing::warn!(
            error = format_args!("{error:#}"),
            "left files in the repository that no backup needs; the next one removes them"
        );
    }
    tracing::info!(number, repository = %repository.path.display(), copied_bytes, "made a backup");
    Ok(manifest.describe())
}

/// Refuses a store of which no sound backup can be made.
fn check_source(catalog: &Catalog) -> Result<()> {
    catalog.check_open()?;
    catalog.check_disk_writable()?;
    catalog.check_writable()?;
    catalog.check_places()?;
    for (id, shard) in &*catalog.shards() {
        if let Some((partition, why)) = shard.damaged().iter().next() {
            return Err(Error::new(
                ErrorKind::Damaged,
                format!(
                    "partition {} on shard {id} is damaged, and so would be the backup: {why}; restore \
                     an earlier backup, or move what can be read to another keyspace and drop this one",
                    partition.id
                ),
            ));
        }
    }
    Ok(())
}

/// Returns the number of the part of the log that goes on with this one, after the backup before; if
/// none does, begins one.
fn part_of_log(
    repository: &Repository,
    number: u64,
    before: Option<&Manifest>,
    log: &crate::log::LogFiles,
) -> Result<u64> {
    if let Some(before) = before {
        let directory = repository.log(before.log);
        // What an interrupted backup has left beyond it may be another history by now.
        tidy_archive(&directory, before.last_segment, crate::log::Position::default())?;
        if log.continue_archive(&directory, before.cut())? {
            return Ok(before.log);
        }
    }
    let directory = repository.log(number);
    if directory.exists() {
        std::fs::remove_dir_all(&directory).map_err(|error| cannot("remove", &directory, error))?;
    }
    directory::create(&directory)?;
    Ok(number)
}

/// Returns the files in a directory, by name, with their bytes.
fn list(directory: &Path) -> Result<Vec<(String, u64)>> {
    let failed = |error| cannot("read", directory, error);
    let mut files = Vec::new();
    for entry in directory.read_dir().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().into_string().map_err(|name| {
            Error::new(ErrorKind::Internal, format!("RocksDB has made a file {}", name.display()))
        })?;
        files.push((name, entry.metadata().map_err(failed)?.len()));
    }
    files.sort_unstable();
    Ok(files)
}
