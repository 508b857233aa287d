//! Options for how a reshape is done.

use annulus::reshape::{Check, ReshapeOptions, Transport};
use annulus_workload::checked;
use clap::{Args, ValueEnum};
use std::time::Duration;

/// The options of all commands that reshape.
#[derive(Debug, Args)]
#[command(next_help_heading = "Reshaping")]
pub(crate) struct HowArgs {
    /// How partitions reach their new place: hard links to the files of the source, where both
    /// are on one filesystem, or copies of the rows
    #[arg(long, value_enum, default_value_t)]
    transport: TransportArg,

    /// What is compared with the source before a reshape is committed: nothing beyond the
    /// engine's checksums, some thousands of rows, or every row
    #[arg(long, value_enum, default_value_t)]
    check: CheckArg,

    /// The maximum number of bytes to copy per second: 50MiB, 200MB, 1.5GiB [default: no limit]
    #[arg(long, value_name = "BYTES/s", value_parser = throttle)]
    throttle: Option<u64>,

    /// Copy more slowly while reads or writes take more than X times as long as before
    #[arg(long, value_name = "X")]
    latency_rise: Option<f64>,

    /// How long writes to a partition may wait when it is handed over [default: 5]
    #[arg(long, value_name = "N")]
    pause_ms: Option<u32>,

    /// Leave files shared that a split or a move by links shares: faster, but rows of others
    /// take space until the next command that reshapes, or an application, trims them
    #[arg(long)]
    no_trim: bool,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum TransportArg {
    /// Links where they are possible
    #[default]
    Auto,
    Link,
    Copy,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum CheckArg {
    None,
    #[default]
    Sampled,
    Full,
}

/// Parses bytes a second, with the unit `/s` or without.
pub(crate) fn throttle(text: &str) -> Result<u64, String> {
    checked::bytes(text.strip_suffix("/s").unwrap_or(text))
}

impl HowArgs {
    /// Returns true if latencies must be counted.
    pub(crate) const fn counts_latencies(&self) -> bool {
        self.latency_rise.is_some()
    }

    /// Returns the options for the store, which checks their bounds when it is opened.
    pub(crate) fn options(&self) -> ReshapeOptions {
        let mut options = ReshapeOptions::new()
            .transport(match self.transport {
                TransportArg::Auto => None,
                TransportArg::Link => Some(Transport::Link),
                TransportArg::Copy => Some(Transport::Copy),
            })
            .check(match self.check {
                CheckArg::None => Check::None,
                CheckArg::Sampled => Check::Sampled,
                CheckArg::Full => Check::Full,
            })
            .trim(!self.no_trim);
        if let Some(ms) = self.pause_ms {
            options.pause_target = Duration::from_millis(ms.into());
        }
        options.throttle.bytes_per_second = self.throttle;
        options.throttle.latency_rise_max = self.latency_rise;
        options
    }
}
