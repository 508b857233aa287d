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
//! is refused. The same holds for metadata, or a shard, that were restored from an older copy.

use super::directory::{io, read_line_file, write_line_file};
use super::metadata::Metadata;
use crate::engine::Durability;
use crate::error::{Error, ErrorKind, Result};
use crate::os::parallel;
use crate::topology::{decode, encode};
use std::path::{Path, PathBuf};

pub(super) const ACCEPTED_KEY: &[u8] = b"openings";
const FILE: &str = "OPENED";

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
        let Self { number, by } = self;
        write_line_file(&part.join(FILE), &format!("opening {number:032x}\nstore {by}\n"))
    }
}

/// Returns the numbers that the metadata accepts, the newest last.
fn accepted(metadata: &Metadata) -> Result<Vec<u128>> {
    match metadata.engine.get(ACCEPTED_KEY)? {
        Some(record) => decode("the record of the last openings in the metadata", &record),
        None => Ok(Vec::new()),
    }
}

/// Refuses parts of a store, by name and directory, that another copy of it has opened since. Changes
/// nothing.
///
/// # Errors
///
/// `Damaged`, naming the part, and the directory of the store that opened it last.
pub(crate) fn check(
    metadata: &Metadata,
    store: &Path,
    parts: &[(String, PathBuf)],
) -> Result<Checked> {
    let accepted = accepted(metadata)?;
    let mut all_have_last = true;
    for (what, directory) in parts {
        let Some(opened) = Opened::read(directory)? else { continue };
        if !accepted.contains(&opened.number) {
            return Err(refusal(store, what, directory, &opened.by));
        }
        all_have_last &= accepted.last() == Some(&opened.number);
    }
    let kept =
        if all_have_last { accepted.last().copied().into_iter().collect() } else { accepted };
    Ok(Checked { kept })
}

/// Proof that every part was last opened by this store, with what the metadata must continue to
/// accept.
pub(crate) struct Checked {
    kept: Vec<u128>,
}

impl Checked {
    /// Notes a new opening on both sides. All parts are locked.
    pub(crate) fn note(
        self,
        metadata: &Metadata,
        store: &Path,
        parts: &[(String, PathBuf)],
    ) -> Result<()> {
        let number = uuid::Uuid::new_v4().as_u128();
        let mut accepted = self.kept;
        accepted.push(number);
        let record = encode("the record of the last openings", &accepted)?;
        let synced = Durability::synced_unless_skipped("accept-opening");
        metadata.engine.put(ACCEPTED_KEY, &record, synced)?;
        crate::os::failpoint::hit("opening-after-metadata");
        let opened = Opened { number, by: format!("{:?}", store.display().to_string()) };
        let noted = parallel::each(parts, |(_, directory)| {
            let noted = opened.write(directory);
            crate::os::failpoint::hit("opening-after-shard");
            noted
        });
        for noted in noted {
            let panicked = |_| Error::new(ErrorKind::Internal, "noting an opening panicked");
            noted.unwrap_or_else(|panic| Err(panicked(panic)))?;
        }
        Ok(())
    }
}

fn refusal(store: &Path, what: &str, directory: &Path, by: &str) -> Error {
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
