//! The files in which the last known load survives.
//!
//! ```text
//! <store>/HEAT.now   load, hot keys and decisions: small, every two seconds under load
//! <store>/HEAT       the same with samples and history: every minute, and when the store is closed
//! ```
//!
//! Each is written next to the old one and then put in its place, without a sync: after a power cut
//! it may be missing or torn. Losing a file loses only the statistics in it: a damaged one is
//! treated as if it were not there. Other processes may read the files while the store is open.

use super::decisions::{Decision, Log};
use crate::catalog::Catalog;
use crate::catalog::directory::create_afresh;
use crate::error::{Error, ErrorKind, Result};
use crate::heat::{HeatOptions, HeatReport, HeatState, Tracker};
use crate::os::descriptors::remedy;
use crate::topology::{decode, encode};
use crate::units;
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(super) const NOW: &str = "HEAT.now";
pub(super) const NOW_EVERY: Duration = Duration::from_secs(2);

pub(super) const WHOLE: &str = "HEAT";
pub(super) const WHOLE_EVERY: Duration = Duration::from_secs(60);

/// What was last saved of a store's load; the store may be open elsewhere.
///
/// ```
/// use annulus::rebalancer::SavedHeat;
/// use annulus::Store;
///
/// # fn main() -> annulus::Result<()> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("store");
/// let store = Store::open(&path)?;
/// store.close()?;
/// let last = SavedHeat::read(&path)?.unwrap();
/// println!("{} ms ago: {:.0} operations a second", last.age().as_millis(), last.report.total.short.load);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SavedHeat {
    /// When it was written, to the millisecond.
    pub written_at: SystemTime,
    /// Load and hot keys.
    pub report: HeatReport,
    /// The last decisions of the rebalancer, the oldest first.
    pub decisions: Vec<Decision>,
    /// When the state was written: before the rest, or with it.
    pub state_written_at: Option<SystemTime>,
    /// Samples and history; none if the store was first opened in the last minute.
    pub state: Option<HeatState>,
    /// What is wrong with the file that could not be used, if the other one could.
    pub damaged: Option<String>,
}

/// The content of either file.
#[derive(Serialize, Deserialize)]
pub(super) struct Content {
    #[serde(rename = "unix_ms", with = "units::unix_ms")]
    pub(super) written_at: SystemTime,
    pub(super) report: HeatReport,
    pub(super) decisions: Vec<Decision>,
    pub(super) state: Option<HeatState>,
}

impl SavedHeat {
    /// Reads what was last saved in a store's directory, in the files `HEAT` and `HEAT.now`.
    /// Returns `None` if nothing ever was. The store need not be open here, and may be open
    /// elsewhere.
    ///
    /// The files are not synced, so one may be empty or torn after a power cut. If one of them
    /// cannot be used, the other is, and [`damaged`](Self::damaged) says what is wrong. Only these
    /// statistics are lost with a file: it may be deleted, and an opening of the store proceeds as
    /// if it were not there.
    ///
    /// # Errors
    ///
    /// If no file can be used, and one is there: [`Damaged`](ErrorKind::Damaged) if it is empty, torn
    /// or altered, [`Incompatible`](ErrorKind::Incompatible) if another version wrote it,
    /// [`Io`](ErrorKind::Io) if it cannot be read.
    pub fn read(store: impl AsRef<Path>) -> Result<Option<Self>> {
        let [now, whole] = [NOW, WHOLE].map(|name| Content::read(&store.as_ref().join(name)));
        let (now, whole, damaged) = match (now, whole) {
            (Ok(None), Err(error)) | (Err(error), Ok(None) | Err(_)) => return Err(error),
            (now, whole) => {
                let damaged = [&now, &whole].into_iter().find_map(|read| read.as_ref().err());
                let damaged = damaged.map(ToString::to_string);
                (now.unwrap_or_default(), whole.unwrap_or_default(), damaged)
            }
        };
        let state_written_at = whole.as_ref().map(|whole| whole.written_at);
        let last = match (now, whole) {
            (Some(now), Some(whole)) if now.written_at > whole.written_at => {
                Some(Content { state: whole.state, ..now })
            }
            (_, Some(whole)) => Some(whole),
            (now, None) => now,
        };
        Ok(last.map(|Content { written_at, report, decisions, state }| Self {
            written_at,
            report,
            decisions,
            state_written_at,
            state,
            damaged,
        }))
    }

    /// Returns how long ago it was written.
    #[must_use]
    pub fn age(&self) -> Duration {
        since(self.written_at)
    }
}

impl Content {
    fn read(path: &Path) -> Result<Option<Self>> {
        match std::fs::read(path) {
            Ok(bytes) => decode("the heat", &bytes).map(Some).map_err(|error: Error| {
                let why = match error.kind() {
                    ErrorKind::Incompatible => "was written by another version",
                    _ => "is damaged",
                };
                let path = path.display();
                let message = format!(
                    "{path} {why}; it holds only statistics of the load, and may be deleted"
                );
                Error::new(error.kind(), message).with_source(error)
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                let remedy = remedy(&error);
                let message = format!("cannot read {}{remedy}", path.display());
                Err(Error::new(ErrorKind::Io, message).with_source(error))
            }
        }
    }

    pub(super) fn write(&self, store: &Path, name: &str) -> Result<()> {
        let (path, new) = (store.join(name), store.join(format!("{name}.new")));
        let bytes = encode("the heat", self)?;
        let written = create_afresh(&new)
            .and_then(|mut file| file.write_all(&bytes))
            .and_then(|()| std::fs::rename(&new, &path));
        written.map_err(|error| {
            let remedy = remedy(&error);
            let message = format!("cannot write {}{remedy}", path.display());
            Error::new(ErrorKind::Io, message).with_source(error)
        })
    }
}

fn since(written_at: SystemTime) -> Duration {
    SystemTime::now().duration_since(written_at).unwrap_or_default()
}

/// Returns a tracker and a log that continue where those of the last opening ended.
pub(super) fn load(catalog: &Catalog, heat: HeatOptions) -> (Tracker, Log) {
    let topology = catalog.topology();
    // Any seed is suitable; it only has to differ from one opening to the next.
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos() as u64);
    let last = SavedHeat::read(&catalog.home.path).unwrap_or_else(|error| {
        tracing::warn!(error = format_args!("{error:#}"), "what was known of the load is lost");
        None
    });
    if let Some(damaged) = last.as_ref().and_then(|last| last.damaged.as_ref()) {
        tracing::warn!(damaged, "a part of what was known of the load is lost");
    }
    let (decisions, state) = match last {
        Some(last) => (last.decisions, last.state),
        None => (Vec::new(), None),
    };
    let tracker = match state {
        // While no process has the store open, time stands still: what was under load is taken to
        // be so when it is opened again, also for a plan by a tool, hours later. What has changed
        // in the meantime shows within a half-life.
        Some(state) => Tracker::import(heat, seed, state, Duration::ZERO, &topology),
        None => {
            let mut tracker = Tracker::new(heat, seed);
            tracker.follow(Duration::ZERO, &topology);
            tracker
        }
    };
    (tracker, Log::with(decisions))
}
