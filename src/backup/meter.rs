//! How far a backup, a restoring or a verification is: reported, slowed down, ended.

use super::options::Watch;
use crate::error::{Error, ErrorKind, Result};
use crate::reshape::{Foreground, Pacer};
use parking_lot::Mutex;
use std::ops::ControlFlow;

/// How far a backup, a restoring or a verification is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct BackupProgress {
    /// Bytes that were copied or read, and those that were found in the repository already.
    pub bytes: u64,
    /// How many there are in all; it may grow.
    pub bytes_total: u64,
}

/// Counts bytes, and decides how fast, and whether, it goes on.
pub(super) struct Meter<'a> {
    progress: Mutex<BackupProgress>,
    watch: Option<&'a Watch>,
    pace: Option<(&'a Pacer, &'a Foreground)>,
}

impl<'a> Meter<'a> {
    pub(super) fn new(watch: Option<&'a Watch>) -> Self {
        Self { progress: Mutex::default(), watch, pace: None }
    }

    /// Slows down what is counted.
    pub(super) fn paced_by(self, pacer: &'a Pacer, foreground: &'a Foreground) -> Self {
        Self { pace: Some((pacer, foreground)), ..self }
    }

    /// Adds to what there is in all.
    pub(super) fn expect(&self, bytes: u64) {
        self.progress.lock().bytes_total += bytes;
    }

    /// Counts bytes that were not copied.
    pub(super) fn pass(&self, bytes: u64) -> Result<()> {
        let mut progress = self.progress.lock();
        progress.bytes += bytes;
        let now = *progress;
        drop(progress);
        self.ask(&now)
    }

    /// Counts bytes that were copied, and waits as long as the rate requires.
    ///
    /// # Errors
    ///
    /// `Aborted` if the caller of the operation wants it to end.
    pub(super) fn took(&self, bytes: u64) -> Result<()> {
        self.pass(bytes)?;
        let Some((pacer, foreground)) = self.pace else { return Ok(()) };
        let now = *self.progress.lock();
        pacer.took(bytes, foreground, &|| self.ask(&now))
    }

    fn ask(&self, progress: &BackupProgress) -> Result<()> {
        match self.watch.map(|watch| watch.call(progress)) {
            Some(ControlFlow::Break(())) => Err(Error::new(
                ErrorKind::Aborted,
                "ended as its caller asked; what is complete in the repository stays as it was",
            )),
            _ => Ok(()),
        }
    }
}
