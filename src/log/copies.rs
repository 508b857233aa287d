//! The copies of a log: one, or two if it has a mirror; which of them have everything that is in
//! the log, and what happens when one of them cannot be written any more.
//!
//! `docs/log.md` has the protocol, and the argument for it.

use super::copy_set::{CopyNumber, CopySet, Current, RecordCopies};
use super::opened::{Prepared, Segment};
use super::segment::{Place, PreparedFile};
use super::writer::Failed;
use crate::error::{Error, ErrorKind, Result};
use crate::os::failpoint;
use crate::os::file_id::FileId;
use crate::os::files::cannot;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One copy of the log of an open store.
#[derive(Debug, Clone)]
pub(crate) struct CopyState {
    pub(crate) copy: CopyNumber,
    pub(crate) directory: PathBuf,
    /// Why it is not written any more, if it is not.
    pub(crate) failure: Option<String>,
}

/// The copies of an open log.
pub(super) struct Copies {
    /// The first is what they have in common is read from.
    places: Vec<Place>,
    current: Arc<Current>,
    record: Option<RecordCopies>,
    /// Held while one is given up.
    failures: Mutex<Vec<(CopyNumber, PathBuf, String)>>,
}

impl Copies {
    /// `places` are those that are written; `failures`, others and why they are not.
    pub(super) fn new(
        places: Vec<Place>,
        record: Option<RecordCopies>,
        failures: Vec<(CopyNumber, PathBuf, String)>,
    ) -> Self {
        let mut places = places;
        if places.len() > 1 {
            places.iter_mut().for_each(|place| place.id = FileId::at(&place.directory));
        }
        let set = places.iter().fold(CopySet::EMPTY, |set, place| set.with(place.copy));
        Self { places, current: Current::new(set), record, failures: Mutex::new(failures) }
    }

    pub(super) const fn current(&self) -> &Arc<Current> {
        &self.current
    }

    /// Returns the places of the copies that are written.
    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(|place| self.current.has(place.copy))
    }

    pub(super) fn directory(&self) -> &Path {
        self.places().next().map_or(Path::new(""), |place| &place.directory)
    }

    pub(super) fn segment_bytes(&self) -> u64 {
        self.places.first().map_or(0, |place| place.segment_bytes)
    }

    pub(super) fn keep_bytes(&self) -> u64 {
        self.places.first().map_or(0, |place| place.keep_bytes)
    }

    /// Returns all copies, and which of them failed.
    pub(super) fn states(&self) -> Vec<CopyState> {
        let failures = self.failures.lock();
        let working = self.places().map(|place| CopyState {
            copy: place.copy,
            directory: place.directory.clone(),
            failure: None,
        });
        let failed = failures.iter().map(|(copy, directory, why)| CopyState {
            copy: *copy,
            directory: directory.clone(),
            failure: Some(why.clone()),
        });
        let mut states: Vec<_> = working.chain(failed).collect();
        states.sort_by_key(|state| state.copy);
        states
    }

    /// Says durably which copies are written, at the end of an opening.
    pub(super) fn record(&self) -> Result<()> {
        let _not_giving_up = self.failures.lock();
        self.record.as_ref().map_or(Ok(()), |record| record(self.current.set()))
    }

    /// Ends the mirror, which is to be removed.
    pub(super) fn end_mirror(&self) -> Result<()> {
        let mut failures = self.failures.lock();
        let left = self.current.set().without(CopyNumber::MIRROR);
        if left.is_empty() {
            return Err(Error::invalid(
                "the mirror of the log is its only copy that has everything, and cannot be removed \
                 or exchanged: see to it that the directory `log` is there, and open the store \
                 without this option, which makes the first copy again",
            ));
        }
        if let Some(record) = &self.record {
            record(left)?;
        }
        self.current.change(left);
        failures.retain(|(copy, ..)| *copy != CopyNumber::MIRROR);
        Ok(())
    }

    /// Goes on without copies that failed.
    ///
    /// IMPORTANT: when it returns, the record is on the disk by which the next opening does not
    /// take them for the log. What is acknowledged from now on is not in them.
    ///
    /// # Errors
    ///
    /// The first of the failures if no other copy is left; that of the record.
    pub(super) fn give_up(&self, failed: Failed) -> Result<()> {
        let mut failures = self.failures.lock();
        let set = self.current.set();
        let failed: Vec<_> = failed.into_iter().filter(|(copy, _)| set.has(*copy)).collect();
        let left = failed.iter().fold(set, |set, (copy, _)| set.without(*copy));
        let Some((_, first)) = failed.first() else { return Ok(()) };
        if left.is_empty() {
            return Err(first.clone());
        }
        // Of a log that is being created nothing is recorded yet.
        let Some(record) = &self.record else { return Err(first.clone()) };
        failpoint::hit("log-copy-failed");
        if failpoint::fails("log-record") {
            let text = "a test makes the record of a failed copy of the log fail";
            return Err(Error::new(ErrorKind::Io, text).with_source(first.clone()));
        }
        if !failpoint::skip("log-record") {
            record(left)?;
        }
        self.current.change(left);
        for (copy, error) in failed {
            let place = self.places.iter().find(|place| place.copy == copy);
            let directory = place.map(|place| place.directory.clone()).unwrap_or_default();
            tracing::error!(
                directory = %directory.display(),
                error = format_args!("{error:#}"),
                "{copy} of the commit log has failed, and the log goes on with the other one \
                 alone: repair or exchange its disk, and open the store again, which makes it whole"
            );
            failures.push((copy, directory, format!("{error:#}")));
        }
        Ok(())
    }

    /// Does something with the place of each copy; those for which it fails are given up if it
    /// succeeds for another one. Returns the results.
    ///
    /// # Errors
    ///
    /// The first if it fails for all of them; then nothing is given up.
    pub(super) fn on_each<T>(&self, mut act: impl FnMut(&Place) -> Result<T>) -> Result<Vec<T>> {
        let mut failed = Failed::new();
        let mut done = Vec::with_capacity(self.places.len());
        for place in self.places() {
            match place.check().and_then(|()| act(place)) {
                Ok(result) => done.push(result),
                Err(error) => failed.push((place.copy, error)),
            }
        }
        match (done.is_empty(), failed.first()) {
            (true, Some((_, error))) => Err(error.clone()),
            (false, Some(_)) => self.give_up(failed).map(|()| done),
            (_, None) => Ok(done),
        }
    }

    /// Makes a segment ready for use in each copy. What cannot be made in one of them is a failure
    /// of that copy, as long as it can be made in the other.
    pub(super) fn prepare(&self, number: u64, bytes: u64) -> Result<Prepared> {
        let salt = draw_salt();
        let files = self.on_each(|place| place.prepare(number, bytes, salt))?;
        self.prepared(number, bytes, salt, files)
    }

    /// The same ahead of need: if one copy fails, there is no segment, and who needs one finds out.
    pub(super) fn prepare_ahead(&self, number: u64, bytes: u64) -> Result<Prepared> {
        let salt = draw_salt();
        let mut files: Vec<PreparedFile> = Vec::new();
        for place in self.places() {
            match place.check().and_then(|()| place.prepare(number, bytes, salt)) {
                Ok(file) => files.push(file),
                Err(error) => {
                    // The next preparation of the number replaces what cannot be removed.
                    files.iter().for_each(|file| drop(std::fs::remove_file(&file.path)));
                    return Err(error);
                }
            }
        }
        self.prepared(number, bytes, salt, files)
    }

    /// Makes a released segment, whose names were withdrawn, ready for use.
    pub(super) fn recycle(&self, number: u64, segment: Arc<Segment>) -> Result<Prepared> {
        let bytes = segment.file_bytes;
        let mut files = segment.take_apart().ok_or_else(|| {
            Error::new(ErrorKind::Internal, "a segment of the log is still in use")
        })?;
        let salt = draw_salt();
        let files = self.on_each(|place| {
            let index = files.iter().position(|(copy, _)| *copy == place.copy);
            let (_, file) = index.map(|index| files.swap_remove(index)).ok_or_else(no_file)?;
            place.recycle(number, bytes, salt, file)
        })?;
        self.prepared(number, bytes, salt, files)
    }

    fn prepared(
        &self,
        number: u64,
        bytes: u64,
        salt: u128,
        files: Vec<PreparedFile>,
    ) -> Result<Prepared> {
        let seed = super::segment::seed(salt);
        Prepared::of(number, seed, bytes, files).ok_or_else(no_file)
    }

    /// Takes the names of a released segment away, for one with another number.
    pub(super) fn withdraw(&self, segment: &Segment, number: u64) -> Result<()> {
        self.on_each(|place| match segment.file_of(place.copy) {
            Some(file) => place.withdraw(&file.path, number),
            None => Err(no_file()),
        })?;
        Ok(())
    }

    /// Removes files, by their paths in each copy; they are off the disk when it returns.
    pub(super) fn remove<'a>(&self, path: impl Fn(&Place) -> Option<&'a Path>) -> Result<()> {
        self.on_each(|place| {
            let Some(path) = path(place) else { return Ok(()) };
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(cannot("remove", path, error))
                }
                _ => place.sync_directory(),
            }
        })?;
        Ok(())
    }
}

fn draw_salt() -> u128 {
    if failpoint::skip("log-salt") { 1 } else { uuid::Uuid::new_v4().as_u128() }
}

fn no_file() -> Error {
    Error::new(ErrorKind::Internal, "a segment of the log lacks the file of a copy")
}
