//! The files that the backups of a repository share.
//!
//! A table of RocksDB never changes, and its last kilobytes have its properties: among them are the
//! session and the number under which RocksDB made it, which no other table has, whatever store it
//! belongs to. So its length and its last 64 KiB identify it, without the rest being read. Other files
//! (lists of files, options) are small, and are identified by all of their bytes.
//!
//! A file is in the directory under its name from the moment at which it is whole and synced. The name
//! has what identifies the file, and the checksum of all of it. What an interrupted backup has copied
//! is used by the next one.

use super::meter::Meter;
use crate::error::{Error, ErrorKind, Result};
use crate::os::failpoint;
use crate::os::files::{cannot, sync_directory};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::{Xxh3, xxh3_128_with_seed};

/// How much of a table identifies it.
const TAIL: usize = 64 << 10;
/// How much of a file is copied at once.
const PIECE: usize = 1 << 20;
/// The name of the file that is being copied.
const COPYING: &str = "copying";

/// The name of a file in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct FileName {
    is_table: bool,
    identity: u128,
    checksum: u128,
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { is_table, identity, checksum } = self;
        let extension = if *is_table { "sst" } else { "file" };
        write!(f, "{identity:032x}-{checksum:032x}.{extension}")
    }
}

impl FileName {
    fn parse(name: &str) -> Option<Self> {
        let (stem, extension) = name.split_once('.')?;
        let is_table = match extension {
            "sst" => true,
            "file" => false,
            _ => return None,
        };
        let (identity, checksum) = stem.split_once('-')?;
        let number = |text: &str| u128::from_str_radix(text, 16).ok();
        let parsed = Self { is_table, identity: number(identity)?, checksum: number(checksum)? };
        (parsed.to_string() == name).then_some(parsed)
    }
}

/// The directory with the files of a repository.
pub(super) struct Files {
    directory: PathBuf,
    /// Those that are there, by whether they are tables, and what identifies them.
    known: BTreeMap<(bool, u128), FileName>,
}

/// A file that is in the repository.
pub(super) struct Added {
    pub(super) name: FileName,
    pub(super) bytes: u64,
    /// False if it was there already.
    pub(super) is_new: bool,
}

impl Files {
    /// Lists the files that are there.
    pub(super) fn open(directory: &Path) -> Result<Self> {
        let mut known = BTreeMap::new();
        for (name, _) in list(directory)? {
            if let Some(name) = FileName::parse(&name) {
                known.insert((name.is_table, name.identity), name);
            }
        }
        Ok(Self { directory: directory.to_owned(), known })
    }

    /// Copies a file, unless it is there.
    pub(super) fn add(&mut self, from: &Path, meter: &Meter<'_>) -> Result<Added> {
        let failed = |error| cannot("read", from, error);
        let file = File::open(from).map_err(|error| cannot("open", from, error))?;
        let bytes = file.metadata().map_err(failed)?.len();
        let is_table = from.extension().is_some_and(|extension| extension == "sst");
        let identity = if is_table { of_tail(&file, bytes) } else { of_all(&file) };
        let identity = identity.map_err(failed)?;
        if let Some(name) = self.known.get(&(is_table, identity)).copied()
            && let Ok(there) = self.path(name).metadata()
            && there.len() == bytes
        {
            meter.pass(bytes)?;
            return Ok(Added { name, bytes, is_new: false });
        }
        let copying = self.directory.join(COPYING);
        let checksum = copy(from, &copying, meter)?;
        let name = FileName { is_table, identity, checksum };
        let path = self.path(name);
        std::fs::rename(&copying, &path).map_err(|error| cannot("rename", &copying, error))?;
        self.known.insert((is_table, identity), name);
        failpoint::hit("backup-file");
        Ok(Added { name, bytes, is_new: true })
    }

    /// Makes the names of the files survive a power cut.
    pub(super) fn sync(&self) -> Result<()> {
        sync_directory(&self.directory)
    }

    /// Returns where a file is.
    pub(super) fn path(&self, name: FileName) -> PathBuf {
        self.directory.join(name.to_string())
    }

    /// Removes all files but those to keep. Returns how many, and how many bytes they had.
    pub(super) fn remove_others(&self, keep: impl Fn(FileName) -> bool) -> Result<(u64, u64)> {
        let mut removed = (0, 0);
        for (name, bytes) in list(&self.directory)? {
            let parsed = FileName::parse(&name);
            // What has another name is not of a repository, and stays.
            let unwanted = parsed.map_or(name == COPYING, |name| !keep(name));
            if unwanted {
                failpoint::hit("backup-collect");
                let path = self.directory.join(&name);
                std::fs::remove_file(&path).map_err(|error| cannot("remove", &path, error))?;
                removed = (removed.0 + 1, removed.1 + bytes);
            }
        }
        Ok(removed)
    }

    /// Compares a file with its checksum; with `to`, copies it there, synced.
    ///
    /// # Errors
    ///
    /// `NotFound`, `Damaged`, naming the file.
    pub(super) fn read(
        &self,
        name: FileName,
        bytes: u64,
        to: Option<&Path>,
        meter: &Meter<'_>,
    ) -> Result<()> {
        let path = self.path(name);
        self.check_length(name, bytes)?;
        let checksum = match to {
            Some(to) => copy(&path, to, meter)?,
            None => read(&path, meter, |_| Ok(()))?,
        };
        if checksum == name.checksum {
            return Ok(());
        }
        Err(damaged(&path, "its content does not match the checksum in its name"))
    }

    /// Checks that a file is there, and as long as it was.
    pub(super) fn check_length(&self, name: FileName, bytes: u64) -> Result<()> {
        let path = self.path(name);
        match path.metadata() {
            Ok(there) if there.len() == bytes => Ok(()),
            Ok(there) => Err(damaged(
                &path,
                &format!("it has {} bytes, and should have {bytes}", there.len()),
            )),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "the file {} of the repository is missing; restore another backup",
                    path.display()
                ),
            )),
            Err(error) => Err(cannot("look at", &path, error)),
        }
    }
}

fn damaged(path: &Path, why: &str) -> Error {
    let text = format!(
        "the file {} of the repository is damaged: {why}; restore a backup that does not need it, and \
         make a new one in another repository",
        path.display()
    );
    Error::new(ErrorKind::Damaged, text)
}

/// Returns the names in a directory, with the bytes of the files.
fn list(directory: &Path) -> Result<Vec<(String, u64)>> {
    let failed = |error| cannot("read", directory, error);
    let mut names = Vec::new();
    for entry in directory.read_dir().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if let Ok(name) = entry.file_name().into_string() {
            names.push((name, entry.metadata().map_or(0, |metadata| metadata.len())));
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn of_tail(file: &File, bytes: u64) -> std::io::Result<u128> {
    let length = usize::try_from(bytes).unwrap_or(TAIL).min(TAIL);
    let mut tail = vec![0; length];
    file.read_exact_at(&mut tail, bytes - length as u64)?;
    Ok(xxh3_128_with_seed(&tail, bytes))
}

fn of_all(mut file: &File) -> std::io::Result<u128> {
    let mut content = Vec::new();
    file.read_to_end(&mut content)?;
    Ok(xxh3_128_with_seed(&content, content.len() as u64))
}

/// Copies a file, synced. Returns its checksum.
fn copy(from: &Path, to: &Path, meter: &Meter<'_>) -> Result<u128> {
    let mut copy = File::create(to).map_err(|error| cannot("create", to, error))?;
    let failed = |error| cannot("write", to, error);
    let checksum = read(from, meter, |piece| copy.write_all(piece).map_err(failed))?;
    if !failpoint::skip("backup-sync-file") {
        copy.sync_all().map_err(|error| cannot("sync", to, error))?;
    }
    Ok(checksum)
}

/// Reads a file in pieces. Returns its checksum.
fn read(path: &Path, meter: &Meter<'_>, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<u128> {
    let mut file = File::open(path).map_err(|error| cannot("open", path, error))?;
    let mut piece = vec![0; PIECE];
    let mut checksum = Xxh3::new();
    loop {
        let bytes = file.read(&mut piece).map_err(|error| cannot("read", path, error))?;
        let Some(read) = piece.get(..bytes).filter(|read| !read.is_empty()) else {
            return Ok(checksum.digest128());
        };
        checksum.update(read);
        each(read)?;
        meter.took(bytes as u64)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(files: &mut Files, from: &Path) -> Added {
        files.add(from, &Meter::new(None)).unwrap()
    }

    #[test]
    fn a_file_that_is_there_is_not_copied_again() {
        let directory = tempfile::tempdir().unwrap();
        let pool = directory.path().join("files");
        std::fs::create_dir(&pool).unwrap();
        let table = directory.path().join("000012.sst");
        std::fs::write(&table, vec![7; 3 << 20]).unwrap();
        let mut files = Files::open(&pool).unwrap();
        let first = add(&mut files, &table);
        assert!(first.is_new && first.bytes == 3 << 20);
        // Another process, another name of the same table.
        let mut files = Files::open(&pool).unwrap();
        let other = directory.path().join("000077.sst");
        std::fs::rename(&table, &other).unwrap();
        let again = add(&mut files, &other);
        assert!(!again.is_new && again.name == first.name);
        files.read(first.name, first.bytes, None, &Meter::new(None)).unwrap();
        // Of a file that is no table all bytes count, not the last ones alone.
        let list = |first: u8| {
            let path = directory.path().join("MANIFEST-000005");
            std::fs::write(&path, [vec![first], vec![0; TAIL]].concat()).unwrap();
            path
        };
        let one = add(&mut files, &list(1)).name;
        assert_ne!(one, add(&mut files, &list(2)).name);
        assert_eq!(files.remove_others(|name| name != one).unwrap().0, 2);
        assert_eq!(Files::open(&pool).unwrap().known.len(), 1);
    }

    #[test]
    fn damage_is_found_by_length_and_by_content_and_a_short_file_is_copied_again() {
        let directory = tempfile::tempdir().unwrap();
        let table = directory.path().join("000012.sst");
        std::fs::write(&table, vec![7; 100_000]).unwrap();
        let pool = directory.path().join("files");
        std::fs::create_dir(&pool).unwrap();
        let mut files = Files::open(&pool).unwrap();
        let Added { name, bytes, .. } = add(&mut files, &table);
        let path = files.path(name);
        let check = |files: &Files| files.read(name, bytes, None, &Meter::new(None));
        let mut content = std::fs::read(&path).unwrap();
        content.iter_mut().skip(5).take(1).for_each(|byte| *byte ^= 1);
        std::fs::write(&path, &content).unwrap();
        assert_eq!(check(&files).unwrap_err().kind(), ErrorKind::Damaged);
        content.pop();
        std::fs::write(&path, &content).unwrap();
        assert_eq!(check(&files).unwrap_err().kind(), ErrorKind::Damaged);
        assert!(add(&mut files, &table).is_new);
        check(&files).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(check(&files).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
