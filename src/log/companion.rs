//! The copy of a log that is not the one that is read: an opening makes it equal to that one, or
//! goes on without it.
//!
//! | step, where it is damaged, gone, or did not count | a crash after it leaves |
//! |---|---|
//! | 1. recorded: only the copy that is read has everything | that one; the other is ignored |
//! | 2. [`rebuild`] makes its segments equal to those of the other, synced | the same |
//! | 3. the opening ends in both: what has to be cut is cut, a mark is written | the same |
//! | 4. recorded: both have everything | both |
//!
//! One that is sound, and only behind, as after a power cut, has step 2 alone: it has all that is
//! synced, at each moment of it, too. So the loss of the copy that is read, before the opening has
//! ended, costs nothing that was acknowledged.

use super::choose::{Other, OtherState};
use super::copy_set::{CopyNumber, CopySet};
use super::judge::{self, Found, Judged, Kept};
use super::segment::{PREPARING, Place, PreparedFile, SEGMENT};
use super::transfer::rebuild;
use super::{CopyRepair, LogOptions};
use crate::error::{Error, Result};
use crate::os::failpoint;
use crate::os::files::cannot;
use std::fs::OpenOptions;
use std::path::PathBuf;

/// What became of the copy that is not read.
#[derive(Default)]
pub(super) struct Companion {
    /// Its place, if it is written from now on.
    pub(super) place: Option<Place>,
    /// Its segments that nothing was written to.
    pub(super) unused: Vec<Found>,
    /// True if that it has everything must be recorded when the opening ends.
    pub(super) is_rebuilt: bool,
    pub(super) repairs: Vec<CopyRepair>,
    pub(super) failures: Vec<(CopyNumber, PathBuf, String)>,
}

impl Companion {
    /// Makes the other copy of a log equal to the one that was judged.
    ///
    /// # Errors
    ///
    /// Those of the record. A copy that cannot be made equal is none.
    pub(super) fn bring_along(
        other: Option<Other>,
        judged: &Judged,
        options: &LogOptions,
    ) -> Result<Self> {
        let Some(Other { place, is_current, state }) = other else { return Ok(Self::default()) };
        if let OtherState::Same(same) = state {
            remove_unfinished(&place)?;
            return Ok(Self { place: Some(place), unused: same.unused, ..Self::default() });
        }
        let counts = is_current
            && matches!(state, OtherState::Behind(_))
            && !failpoint::skip("log-copy-counts");
        if is_current && !counts {
            record_without(place.copy, options)?;
        }
        let (reason, rebuilt) = match state {
            OtherState::Behind(reason) | OtherState::Differs(reason) => {
                (reason, rebuild(&judged.kept, &place))
            }
            OtherState::Unreachable(error) => (format!("{error:#}"), Err(error)),
            OtherState::Same(_) => (String::new(), Ok(())),
        };
        let directory = place.directory.clone();
        let (copy, is_rebuilt) = (place.copy, !counts);
        let mut companion = Self { place: Some(place), is_rebuilt, ..Self::default() };
        if let Err(error) = rebuilt {
            if counts {
                record_without(copy, options)?;
            }
            companion.fail(&error);
        }
        let failure = companion.failures.first().map(|(.., why)| why.clone());
        companion.repairs = vec![CopyRepair { directory, reason, failure }];
        Ok(companion)
    }

    /// Adds to the files of the copy that is read, by segment, those of this one. If they cannot be
    /// opened, the log goes on without them.
    pub(super) fn open_with(
        &mut self,
        files: Vec<PreparedFile>,
        kept: &[Kept],
        options: &LogOptions,
    ) -> Result<Vec<Vec<PreparedFile>>> {
        let mut files: Vec<_> = files.into_iter().map(|file| vec![file]).collect();
        let Some(place) = &self.place else { return Ok(files) };
        match open_files(place, kept, true) {
            Ok(mine) => {
                for (files, file) in files.iter_mut().zip(mine) {
                    files.push(file);
                    files.sort_by_key(|file| file.copy);
                }
            }
            Err(error) => {
                let (copy, directory) = (place.copy, place.directory.clone());
                record_without(copy, options)?;
                self.fail(&error);
                let reason = format!("{error:#}");
                self.repairs.retain(|repair| repair.directory != directory);
                self.repairs.push(CopyRepair { directory, failure: Some(reason.clone()), reason });
            }
        }
        Ok(files)
    }

    fn fail(&mut self, error: &Error) {
        let Some(place) = self.place.take() else { return };
        self.failures.push((place.copy, place.directory, format!("{error:#}")));
        self.is_rebuilt = false;
    }
}

/// Records durably that a copy does not have everything.
fn record_without(copy: CopyNumber, options: &LogOptions) -> Result<()> {
    let copies = options.copies.iter().map(|copy| copy.copy);
    let left = copies.filter(|other| *other != copy).fold(CopySet::EMPTY, CopySet::with);
    if let Some(record) = options.record.as_ref().filter(|_| !failpoint::skip("log-record")) {
        record(left)?;
    }
    failpoint::hit("log-copy-behind");
    Ok(())
}

/// Opens the files of segments in one copy.
pub(super) fn open_files(
    place: &Place,
    kept: &[Kept],
    for_writing: bool,
) -> Result<Vec<PreparedFile>> {
    kept.iter().map(|kept| open_file(place, &kept.found, for_writing)).collect()
}

/// Opens the file of a segment in one copy, which may be the one where it was found or the other.
pub(super) fn open_file(place: &Place, found: &Found, for_writing: bool) -> Result<PreparedFile> {
    let mine = found.path.parent() == Some(&place.directory);
    let path = if mine { found.path.clone() } else { place.path(found.number, SEGMENT) };
    let file = OpenOptions::new().read(true).write(for_writing).open(&path);
    let file = file.map_err(|error| cannot("open", &path, error))?;
    let bytes = found.header.file_bytes;
    let map = if for_writing { place.map(&file, bytes, &path) } else { None };
    Ok(PreparedFile { copy: place.copy, path, file, map })
}

impl Other {
    /// Returns what is wrong with it, for an opening that repairs nothing.
    pub(super) fn seen(self) -> Option<CopyRepair> {
        let reason = match self.state {
            OtherState::Same(_) => return None,
            OtherState::Behind(reason) | OtherState::Differs(reason) => reason,
            OtherState::Unreachable(error) => format!("{error:#}"),
        };
        let failure = Some("the store was opened read-only".to_owned());
        Some(CopyRepair { directory: self.place.directory, reason, failure })
    }
}

/// Removes segments that were being prepared when a process ended.
pub(super) fn remove_unfinished(place: &Place) -> Result<()> {
    for (_, path) in judge::list(&place.directory, PREPARING)? {
        std::fs::remove_file(&path).map_err(|error| cannot("remove", &path, error))?;
    }
    Ok(())
}
