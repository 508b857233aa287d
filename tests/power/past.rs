//! What processes have done to a disk, from its first content on, of which images are made.

use crate::disk::Disk;
use crate::images::{Content, Series};
use crate::journal::Journal;
use crate::notes::History;
use crate::recorder;
use crate::workload::Order;
use std::fs;
use std::sync::Arc;

/// What processes have done so far.
#[derive(Clone)]
pub(crate) struct Past {
    /// The disk as it is after the first calls of the journal.
    pub(crate) disk: Disk,
    pub(crate) played: usize,
    pub(crate) journal: Journal,
    base: Content,
    pub(crate) before: Option<Before>,
}

/// What the base of a run is left of: the first opening may find less of it than was found when the
/// image was tried, if it is cut, too, and the copy of the log that had more is lost. No one has
/// seen more by then.
#[derive(Clone)]
pub(crate) struct Before {
    pub(crate) history: Arc<History>,
    pub(crate) cut: usize,
}

impl Past {
    /// Nothing, on a disk whose content is all synced.
    pub(crate) fn none(disk: Disk, base: Content, before: Option<Before>) -> Self {
        let journal = Journal { bytes: Vec::new(), calls: Vec::new() };
        Self { disk, played: 0, journal, base, before }
    }

    pub(crate) fn history(&self) -> History {
        let notes = (0..self.journal.calls.len()).filter_map(|n| Some((n, self.journal.note(n)?)));
        History::read(self.base.clone(), notes)
    }
}

/// Runs a child under the recorder, and adds what it does to what was done before.
pub(crate) fn record(order: &Order, series: &Series<'_>, past: Past) -> Result<Past, String> {
    let journal = order.directory.join("journal");
    let _ = fs::remove_file(&journal);
    let _ = fs::remove_file(order.notes());
    let mut child = recorder::child(order);
    child.env("ANNULUS_RECORD_JOURNAL", &journal).env("ANNULUS_SKIP", series.skipped);
    series.mirror.order(&mut child);
    child.env("ANNULUS_RECORD_SYNC_MICROS", series.sync_micros.to_string());
    let status = child.status().unwrap();
    if !status.success() {
        return Err(format!("the child ended with {status}:\n{}", recorder::log(order)));
    }
    let next = Journal::parse(fs::read(&journal).unwrap(), order.disk().to_str().unwrap());
    let played = past.played;
    Ok(Past { journal: past.journal.killed_at(played, next), ..past })
}
