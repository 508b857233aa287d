//! What a repository knows of one backup.

use super::files::FileName;
use crate::catalog::Records;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::id::ShardId;
use crate::log::Position;
use crate::topology::{decode, encode};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::SystemTime;

/// A backup, as its file in the repository has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) number: u64,
    pub(super) store: u128,
    /// No record before the cut is later, and none after it is earlier.
    pub(super) at: Timestamp,
    cut: u64,
    first: u64,
    /// The number of the backup with which the directory of its log began.
    pub(super) log: u64,
    /// The number of the last segment there.
    pub(super) last_segment: u64,
    pub(super) records: Records,
    pub(super) shards: Vec<ShardFiles>,
    /// How many bytes were copied for it.
    pub(super) copied_bytes: u64,
}

/// The files of a shard.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ShardFiles {
    pub(super) shard: ShardId,
    pub(super) files: Vec<ShardFile>,
}

/// A file, by its name in the database of the shard, and in the repository.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ShardFile {
    pub(super) name: String,
    pub(super) stored: FileName,
    pub(super) bytes: u64,
}

/// Where a backup ends, and what its log is.
pub(super) struct Moment {
    pub(super) at: Timestamp,
    pub(super) cut: Position,
    pub(super) first: Position,
    pub(super) log: u64,
    pub(super) last_segment: u64,
}

impl Manifest {
    pub(super) fn new(number: u64, store: u128, moment: &Moment, records: Records) -> Self {
        let Moment { at, cut, first, log, last_segment } = *moment;
        let (cut, first) = (cut.get(), first.get());
        let (shards, copied_bytes) = (Vec::new(), 0);
        Self { number, store, at, cut, first, log, last_segment, records, shards, copied_bytes }
    }

    /// Returns up to where the log belongs to the backup.
    pub(super) fn cut(&self) -> Position {
        Position::new(self.cut)
    }

    /// Returns from where on the backup's files need the log.
    pub(super) fn first(&self) -> Position {
        Position::new(self.first)
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &ShardFile> {
        self.shards.iter().flat_map(|shard| &shard.files)
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        encode(&format!("the manifest of backup {}", self.number), self)
    }

    /// Reads the manifest of the backup of a store with a number.
    ///
    /// # Errors
    ///
    /// `Damaged`, `Incompatible`, naming the file.
    pub(super) fn read(path: &Path, number: u64, store: u128) -> Result<Self> {
        let what = format!("the manifest {} of a backup", path.display());
        let record = std::fs::read(path).map_err(|error| {
            Error::new(ErrorKind::Io, format!("cannot read {what}")).with_source(error)
        })?;
        let manifest: Self = decode(&what, &record)?;
        let why = if manifest.store != store {
            "belongs to the repository of another store; put it there".to_owned()
        } else if manifest.number != number {
            format!("is that of backup {}; rename it", manifest.number)
        } else {
            return Ok(manifest);
        };
        Err(Error::new(ErrorKind::Damaged, format!("{what} {why}")))
    }

    /// Returns what is said of it in public.
    pub(super) fn describe(&self) -> Backup {
        let keyspaces = match self.records.topology() {
            Ok(topology) => topology.keyspaces().map(|it| it.name().to_owned()).collect(),
            Err(_) => Vec::new(),
        };
        Backup {
            number: self.number,
            at: self.at.time(),
            position: self.cut(),
            bytes: self.files().map(|file| file.bytes).sum(),
            copied_bytes: self.copied_bytes,
            files: self.files().count() as u64,
            shards: self.shards.len(),
            keyspaces,
            continues: self.log != self.number,
        }
    }
}

/// A backup that is in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backup {
    /// Its number. Each backup of a repository has a greater one than those before it.
    pub number: u64,
    /// When it was made, by the clock of the store, in whole milliseconds.
    pub at: SystemTime,
    /// Its moment in the log of the store: it has what was written before.
    pub position: Position,
    /// The bytes of the shards' files.
    pub bytes: u64,
    /// How many bytes were copied for it: of those files, what the repository did not have, and
    /// of the log.
    pub copied_bytes: u64,
    /// How many files the shards have.
    pub files: u64,
    /// How many shards.
    pub shards: usize,
    /// The names of the keyspaces, those of the store itself included.
    pub keyspaces: Vec<String>,
    /// True if the repository has the log from the backup before this one on: any moment between the
    /// two can be restored.
    pub continues: bool,
}
