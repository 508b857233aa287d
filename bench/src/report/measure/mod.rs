//! The measurements that the report shows.

mod growth;
mod moves;
mod scans;
mod settings;
mod workloads;

use super::data::{FORMAT, Made, Raw};
use super::machine;
use annulus_workload::{Observer, Result};
use settings::Watch;
pub use settings::{Settings, place};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Measures everything except the peers, which another program runs. Returns `None` if the observer
/// ended it.
///
/// # Errors
///
/// Those of the engines and of the operating system.
pub fn measure(settings: &Settings, observer: &mut Observer<'_>) -> Result<Option<Raw>> {
    let mut watch = Watch::new(observer);
    match all(settings, &mut watch) {
        _ if watch.stopped => Ok(None),
        measured => measured.map(Some),
    }
}

fn all(settings: &Settings, watch: &mut Watch<'_, '_>) -> Result<Raw> {
    let (started, now) = (Instant::now(), SystemTime::now());
    let mut raw = Raw {
        format: FORMAT,
        made: Made {
            unix_seconds: now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            seconds: 0.0,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: annulus_workload::source_commit(),
            seed: settings.seed,
            quick: settings.quick,
        },
        machine: machine::look(&settings.directory),
        workloads: workloads::each(settings, watch)?,
        threads: workloads::by_threads(settings, watch)?,
        shards: workloads::by_shards(settings, watch)?,
        peers: Vec::new(),
        growth: growth::measure(settings, watch)?,
        scans: scans::measure(settings, watch)?,
        moves: moves::measure(settings, watch)?,
        timelines: workloads::timelines(settings, watch)?,
        notes: Vec::new(),
    };
    raw.made.seconds = started.elapsed().as_secs_f64();
    Ok(raw)
}
