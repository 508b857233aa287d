//! The command line of `annulus hot`.

use crate::open::ClosedStoreArgs;
use annulus::heat::Windows;
use clap::ValueEnum;

/// Show where the load falls: shards, partitions and keys
///
/// The loads are estimated from a sample of the operations; a scan counts 1 and a sixteenth for
/// each of its rows. Of a key, `error` is by how much its rate may be too high. They are read from
/// what was last recorded, every few seconds under load, so the store may be open elsewhere;
/// their age is shown first. A damaged file of the load is skipped and named, with --json
/// in `damaged`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annulus hot -s /data/store
  annulus hot users --limit 20 --window long -s /data/store
  annulus hot --watch --redact -s /data/store
  annulus hot -s /data/store --json")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) store: ClosedStoreArgs,

    /// The keyspace [default: all]
    pub(super) keyspace: Option<String>,

    /// The maximum number of partitions, and of keys of each kind, to show
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(super) limit: usize,

    /// Over which time: half-lives of 5 s, a minute and ten minutes, unless the application sets
    /// others. Keys are always of the last seconds
    #[arg(long, value_enum, default_value_t)]
    pub(super) window: Window,

    /// Show keys as marks and lengths
    #[arg(long)]
    pub(super) redact: bool,

    /// Show it again each second, until Ctrl-C
    #[arg(long)]
    pub(super) watch: bool,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(super) enum Window {
    #[default]
    Short,
    Medium,
    Long,
}

impl Window {
    /// Returns the figures of this window.
    pub(super) fn of<T: Copy>(self, windows: &Windows<T>) -> T {
        match self {
            Self::Short => windows.short,
            Self::Medium => windows.medium,
            Self::Long => windows.long,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Medium => "medium",
            Self::Long => "long",
        }
    }
}
