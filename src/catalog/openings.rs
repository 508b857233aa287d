//! The last opening, as the store, each shard, and a log that is reached by a link know it: a copy of
//! a store is noticed before it writes into a shard, or the log, of the original.
//!
//! A shard with an absolute path is the same for a store and for its copy, and so is what a link
//! leads to. Each opening draws a number, which the metadata and every such directory keep. What
//! follows speaks of shards, and is true of the log, too.
//!
//! | step | on disk after it | if the process dies here, the next opening |
//! |---|---|---|
//! | – | the metadata accepts `{last}`, every shard has `last` | |
//! | 1. the metadata accepts the new number, too (synced) | accepts `{last, new}`, shards have `last` | finds only accepted numbers, and keeps accepting them until every shard has the same |
//! | 2. each shard gets the new number (a file put in place, synced) | some shards have `new`, others `last` | the same |
//! | 3. the next opening finds `new` in every shard | accepts `{new}` and its own | |
//!
//! So a store is never refused because of a crash or a power cut. A copy that was opened has left a
//! number in the shard that the original does not accept, and vice versa: the second to be opened
//! is refused. A shard that is [missing](super::missing) keeps the number of the last opening that had
//! it; the metadata accept that of it, and of no other part, until it is back. The same holds for metadata, or
//! a shard, that were restored from an older copy.
//!
//! A shard whose disk has no room for the new number is served all the same, since deleting makes room: it
//! keeps the one before, which stays accepted. Until the next opening that finds room, a copy that knows that
//! number, too, is not noticed.

use super::directory::{io, read_line_file, write_line_file};
use super::metadata::Metadata;
use super::missing::{self, MissingRecord, MissingRecords};
use crate::engine::{Durability, MetadataBatch};
use crate::error::{Error, ErrorKind, Result};
use crate::id::ShardId;
use crate::log::Position;
use crate::os::failpoint;
use crate::os::parallel;
use crate::topology::{decode, encode};
use std::path::{Path, PathBuf};

const ACCEPTED_KEY: &[u8] = b"openings";
const FILE: &str = "OPENED";

/// A part of a store that knows its last opening.
#[derive(Clone)]
pub(crate) struct Part {
    /// For people.
    pub(crate) what: String,
    pub(crate) directory: PathBuf,
    /// Its number, if it is a shard.
    pub(crate) shard: Option<ShardId>,
}

/// What a part of a store knows of its last opening.
struct Opened {
    number: u128,
    /// The store's directory at that time, for people.
    by: String,
}

impl Opened {
    /// Returns `None` if there is no such file: the part was never opened, or its operator vouches
    /// for it.
    fn read(part: &Path) -> Result<Option<Self>> {
        let path = part.join(FILE);
        let Some(body) = read_line_file(&path)? else { return Ok(None) };
        let field = |name: &str| body.lines().find_map(|line| line.strip_prefix(name));
        let number = field("opening ").and_then(|number| u128::from_str_radix(number, 16).ok());
        match (number, field("store ")) {
            (Some(number), Some(by)) => Ok(Some(Self { number, by: by.to_owned() })),
            _ => Err(Error::new(
                ErrorKind::Damaged,
                format!(
                    "{} does not name the last opening; if it belongs there, remove the file",
                    path.display()
                ),
            )),
        }
    }

    fn write(&self, part: &Path) -> Result<()> {
        if failpoint::fails_in(part, "note-opening") {
            let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return Err(io("write", &part.join(FILE))(full));
        }
        let Self { number, by } = self;
        write_line_file(&part.join(FILE), &format!("opening {number:032x}\nstore {by}\n"))
    }
}

/// The numbers of openings that parts of a store may know.
pub(crate) struct Accepted {
    /// Of all parts, the newest last.
    of_all: Vec<u128>,
    /// Of shards that were missing, also.
    of_missing: MissingRecords,
}

impl Accepted {
    pub(crate) fn read(metadata: &Metadata, of_missing: MissingRecords) -> Result<Self> {
        let of_all = match metadata.engine.get(ACCEPTED_KEY)? {
            Some(record) => decode("the record of the last openings in the metadata", &record)?,
            None => Vec::new(),
        };
        Ok(Self { of_all, of_missing })
    }

    /// Refuses a part of a store that another copy of it has opened since. Returns true if the part
    /// knows the newest opening, or none.
    ///
    /// # Errors
    ///
    /// `Damaged`, naming the part, and the directory of the store that opened it last.
    pub(crate) fn check(&self, store: &Path, part: &Part) -> Result<bool> {
        let Some(opened) = Opened::read(&part.directory)? else { return Ok(true) };
        let record = part.shard.and_then(|shard| self.of_missing.get(&shard));
        let was_missing = record.is_some_and(|record| record.openings.contains(&opened.number));
        if !was_missing && !self.of_all.contains(&opened.number) {
            return Err(refusal(store, part, &opened.by));
        }
        Ok(self.of_all.last() == Some(&opened.number))
    }

    /// Refuses parts of a store that another copy of it has opened since. Changes nothing.
    ///
    /// # Errors
    ///
    /// Those of [`check`](Self::check).
    pub(crate) fn check_all(self, store: &Path, parts: &[Part]) -> Result<Checked> {
        let mut all_have_last = true;
        for part in parts {
            all_have_last &= self.check(store, part)?;
        }
        let Self { of_all, of_missing } = self;
        let last = of_all.last().copied().into_iter();
        let kept = if all_have_last { last.collect() } else { of_all.clone() };
        Ok(Checked { known: of_all, kept, of_missing })
    }
}

/// Proof that every part was last opened by this store, with what the metadata must continue to
/// accept.
pub(crate) struct Checked {
    /// What it has accepted so far: one that is missing may know any of these.
    known: Vec<u128>,
    kept: Vec<u128>,
    of_missing: MissingRecords,
}

impl Checked {
    /// Returns the records of missing shards.
    pub(crate) fn missing(&self) -> &MissingRecords {
        &self.of_missing
    }

    /// Notes a new opening on both sides, and in the metadata also the shards that it does without,
    /// whose return needs the log from its `first` position on. All parts are locked.
    ///
    /// IMPORTANT: the numbers that a missing shard may know are recorded in the same write that may
    /// forget them for all others. One that is back may know this one from now on, and may be missing
    /// again before its record goes.
    pub(crate) fn note(
        self,
        metadata: &Metadata,
        store: &Path,
        parts: &[Part],
        (missing, first): (&[ShardId], Position),
    ) -> Result<Noted> {
        let number = uuid::Uuid::new_v4().as_u128();
        let Self { known, kept: mut accepted, of_missing: mut records } = self;
        let mut batch = MetadataBatch::default();
        accepted.push(number);
        for (shard, record) in records.iter_mut().filter(|(shard, _)| !missing.contains(shard)) {
            record.openings.push(number);
            missing::note(&mut batch, *shard, record)?;
        }
        for shard in missing {
            let record =
                records.entry(*shard).or_insert_with(|| MissingRecord::new(first, known.clone()));
            if !failpoint::skip("missing-record") {
                missing::note(&mut batch, *shard, record)?;
            }
        }
        batch.put(ACCEPTED_KEY, &encode("the record of the last openings", &accepted)?);
        let synced = Durability::synced_unless_skipped("accept-opening");
        metadata.engine.write(batch, synced)?;
        failpoint::hit("opening-after-metadata");
        let opened = Opened { number, by: format!("{:?}", store.display().to_string()) };
        let noted = parallel::each(parts, |part| {
            let noted = opened.write(&part.directory);
            failpoint::hit("opening-after-shard");
            noted
        });
        let mut not_noted = Vec::new();
        for (part, noted) in parts.iter().zip(noted) {
            let panicked = |_| Error::new(ErrorKind::Internal, "noting an opening panicked");
            match (part.shard, noted.unwrap_or_else(|panic| Err(panicked(panic)))) {
                (_, Ok(())) => {}
                (Some(shard), Err(error)) => not_noted.push((shard, error)),
                (None, Err(error)) => return Err(error),
            }
        }
        Ok(Noted { records, accepted, not_noted })
    }
}

/// An opening that is noted.
pub(crate) struct Noted {
    /// The records of all shards that are missing, or were until now.
    pub(crate) records: MissingRecords,
    /// The numbers that the metadata accept.
    pub(crate) accepted: Vec<u128>,
    /// The shards that could not note it, and why: they know a former one, which stays accepted.
    pub(crate) not_noted: Vec<(ShardId, Error)>,
}

/// Admits a shard that is back while the store is open: it knows an opening that is accepted of it, and
/// gets the number of the present one.
///
/// # Errors
///
/// `Damaged` if a copy of the store has opened it since; `Io`.
pub(crate) fn admit(
    metadata: &Metadata,
    store: &Path,
    shard: ShardId,
    directory: &Path,
) -> Result<()> {
    let accepted = Accepted::read(metadata, missing::records(metadata)?)?;
    let part = Part {
        what: format!("shard {shard}"),
        directory: directory.to_owned(),
        shard: Some(shard),
    };
    if accepted.check(store, &part)? {
        return Ok(());
    }
    let Some(number) = accepted.of_all.last().copied() else { return Ok(()) };
    if let Some(mut record) = accepted.of_missing.get(&shard).cloned() {
        // It may know this one from now on, and be missing at the next opening.
        record.openings.push(number);
        let mut batch = MetadataBatch::default();
        missing::note(&mut batch, shard, &record)?;
        metadata.engine.write(batch, Durability::Synced)?;
    }
    failpoint::hit("missing-before-admission");
    let by = format!("{:?}", store.display().to_string());
    Opened { number, by }.write(directory)
}

fn refusal(store: &Path, part: &Part, by: &str) -> Error {
    let Part { what, directory, .. } = part;
    Error::new(
        ErrorKind::Damaged,
        format!(
            "{what} in {} was last opened by {by}, which the metadata in {} know nothing of: \
             one is a copy of the other, or the metadata is older, or this part was restored from an \
             older copy. Open the store that was opened last, or restore all \
             of them from one copy. If what is there is meant to belong together, remove {} and \
             open again",
            directory.display(),
            store.display(),
            directory.join(FILE).display(),
        ),
    )
}

/// Removes what a part knows of its last opening, when it leaves the store.
pub(crate) fn forget(part: &Path) -> Result<()> {
    let path = part.join(FILE);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(io("remove", &path)(error))
        }
        _ => Ok(()),
    }
}
