//! The cost of moving partitions, and what the application notices of it.
//!
//! ```text
//! cargo bench --bench migration                      everything: about 15 minutes, 20 GB of disk
//! cargo bench --bench migration -- transport pause   only these: transport, pause, grow
//! cargo bench --bench migration -- --quick           little data, to see whether it runs
//! ```
//!
//! Both sides of each comparison are measured in one run, in turns; printed are medians with
//! quartiles, or percentiles of single operations. Set `TMPDIR` to choose the disk.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a bench"
)]

#[path = "../support/arguments.rs"]
mod arguments;
mod grow;
mod load;
mod pause;
mod transport;

use arguments::Arguments;

/// How much is done.
pub(crate) struct Settings {
    /// Bytes of the partition that is moved, and of the larger one.
    bytes: u64,
    bytes_large: u64,
    turns: usize,
    reshapes: usize,
    bytes_grow: u64,
    arguments: Arguments,
}

impl Settings {
    fn from_arguments() -> Self {
        let arguments = Arguments::read();
        if arguments.quick {
            let (bytes, bytes_large) = (8 << 20, 32 << 20);
            return Self {
                bytes,
                bytes_large,
                turns: 2,
                reshapes: 20,
                bytes_grow: 32 << 20,
                arguments,
            };
        }
        Self {
            bytes: 1 << 30,
            bytes_large: 4 << 30,
            turns: 7,
            reshapes: 1000,
            bytes_grow: 4 << 30,
            arguments,
        }
    }

    fn wants(&self, name: &str) -> bool {
        self.arguments.wants(name)
    }
}

/// In milliseconds.
pub(crate) fn ms(duration: std::time::Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Median and quartiles.
pub(crate) fn spread(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    format!("{:.1} [{:.1}…{:.1}]", at(0.5), at(0.25), at(0.75))
}

fn main() {
    let settings = Settings::from_arguments();
    println!(
        "annulus {}, {} processors; seeds are fixed",
        env!("CARGO_PKG_VERSION"),
        std::thread::available_parallelism().map_or(0, usize::from)
    );
    if settings.wants("transport") {
        transport::run(&settings);
    }
    if settings.wants("pause") {
        pause::run(&settings);
    }
    if settings.wants("grow") {
        grow::run(&settings);
    }
}
