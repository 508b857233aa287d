//! The command line of `annulus replay`.

use crate::exit::Outcome;
use crate::open::MemoryArgs;
use crate::rows::{KeyColumn, RowsArgs};
use annulus::Options;
use annulus::heat::HeatOptions;
use annulus::planner::load::Policy;
use annulus_bench::replay::{End, Plan};
use annulus_workload::checked;
use annulus_workload::engines::Partitioning;
use clap::{ArgGroup, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Drive a store with a trace, check every read, and show where the load falls
///
/// A trace is CSV with the header `op,key` or `op,key,value_bytes`. An op is `read`, `write` (with
/// the size of the value), `delete`, or `scan` (value_bytes is the number of rows). With --from and
/// --weight, keys of a file are loaded and then read in proportion to one of its columns. The file
/// is read and checked before anything is opened, and held in memory; a malformed line ends
/// the command with 2.
///
/// The operations on a key are done by one thread, in order. Each value has a sequence number
/// and its key in it and is at least 12 bytes longer than the key; what a key must hold is known,
/// and a read of anything else is one of the `wrong_reads`, which end the command with 1.
///
/// The load of a shard is the number of operations on keys that it owned when they began, and
/// max/mean is the load of the shard that has most for its weight, relative to what would be
/// fair: 1 is perfect balance. `max_over_mean_first` is that of the first interval with operations,
/// `max_over_mean_last` that of all operations of the last quarter of the run.
///
/// With --json, one object: `operations`, `seconds`, `ops_per_s`, `p50_us`, `p99_us`, `p999_us`,
/// `max_over_mean_first`, `max_over_mean_last`, `reshapes`, `wrong_reads`, `partitions`,
/// `intervals` and more.
#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("script").required(true),
    after_help = "Examples:
  annulus replay --trace block-io.csv --policy automatic --seconds 60
  annulus replay --trace reads.csv --preload --hot-cache 16MiB --partitioning hash
  annulus replay --from packages.tsv --weight downloads --policy automatic --seconds 60
  annulus replay --trace day.csv --rate 5000 --heatmap day.html --show-keys
  annulus replay --trace day.csv -s /data/scratch --json"
)]
pub(crate) struct Args {
    /// The trace, or `-` for the standard input
    #[arg(long, value_name = "FILE", group = "script")]
    pub(super) trace: Option<PathBuf>,

    /// Read the keys of this file instead, in proportion to --weight; they are loaded first
    #[arg(long, value_name = "FILE", group = "script", requires = "weight")]
    pub(super) from: Option<PathBuf>,

    /// The column of --from with the weights: its number from 1, or its name in the header
    #[arg(long, value_name = "COLUMN", requires = "from")]
    pub(super) weight: Option<KeyColumn>,

    #[command(flatten)]
    pub(super) rows: RowsArgs,

    #[command(flatten)]
    pub(super) pace: PaceArgs,

    #[command(flatten)]
    pub(super) stage: StageArgs,

    /// Do not check what is read
    #[arg(long)]
    pub(super) no_verify: bool,

    /// Length of the report's intervals, in seconds [default: 1, or a twentieth of a shorter run]
    #[arg(long, value_name = "SECONDS", value_parser = checked::seconds)]
    pub(super) interval: Option<f64>,

    /// Write a heat map of the run to this file; see `annulus heatmap`
    #[arg(long, value_name = "FILE")]
    pub(super) heatmap: Option<PathBuf>,

    /// Show keys in the heat map
    #[arg(long, requires = "heatmap")]
    pub(super) show_keys: bool,
}

/// How fast, and for how long.
#[derive(Debug, clap::Args)]
pub(super) struct PaceArgs {
    /// Threads that do the operations [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,

    /// Operations a second, of all threads together. An operation's latency is then measured from
    /// when it should have started, so that what waits for a slow one counts [default: full speed]
    #[arg(long, value_name = "OPS", value_parser = checked::rate)]
    pub(super) rate: Option<f64>,

    /// How often to go through the trace; with --from, a pass has as many reads as keys
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "seconds",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) repeat: u64,

    /// Go through the trace again and again, for this many seconds
    #[arg(long, value_name = "S", value_parser = checked::seconds)]
    pub(super) seconds: Option<f64>,
}

/// The store, and how it is set up.
#[derive(Debug, clap::Args)]
pub(super) struct StageArgs {
    /// The store's directory; it is created if missing, and written to. ANNULUS_STORE is
    /// ignored [default: a temporary store]
    #[arg(short, long, value_name = "DIR", help_heading = "Store")]
    pub(super) store: Option<PathBuf>,

    /// The keyspace; it is created if missing, and written to
    #[arg(long, value_name = "NAME", default_value = "replay", help_heading = "Store")]
    pub(super) keyspace: String,

    /// Shards of a store that is created
    #[arg(long, value_name = "N", default_value_t = 4, help_heading = "Store",
          value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(super) shards: u32,

    /// How a keyspace that is created is partitioned
    #[arg(long, value_enum, default_value = "range", help_heading = "Store")]
    pub(super) partitioning: Partitioning,

    /// Partitions of a keyspace that is created: ranges with equal numbers of the keys, or arcs, of
    /// which each shard has at least one
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Store",
          value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(super) partitions: u32,

    /// Write every key once before the replay begins; --from always does
    #[arg(long, help_heading = "Store")]
    pub(super) preload: bool,

    /// Bytes of the values for which the trace has no size
    #[arg(long, value_name = "N", default_value_t = 100, help_heading = "Store",
          value_parser = clap::value_parser!(u32).range(..=1 << 20))]
    pub(super) value_bytes: u32,

    /// No value is larger than this, whatever the trace says: for a look at the load alone
    #[arg(long, value_name = "N", help_heading = "Store",
          value_parser = clap::value_parser!(u32).range(..=1 << 30))]
    pub(super) value_bytes_max: Option<u32>,

    /// The seed of the reads of --from
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,

    /// A cache for the values of hot keys: 16MiB [default: none]
    #[arg(long, value_name = "SIZE", value_parser = checked::bytes::<usize>, help_heading = "Memory")]
    pub(super) hot_cache: Option<usize>,

    #[command(flatten)]
    pub(super) memory: MemoryArgs,

    #[command(flatten)]
    pub(super) balance: BalanceArgs,
}

/// The rebalancer's options.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Rebalancing")]
pub(super) struct BalanceArgs {
    /// Whether partitions are split, moved and merged automatically
    #[arg(long, value_enum, default_value_t)]
    pub(super) policy: PolicyArg,

    /// How often a plan is made, in milliseconds [default: 5000]
    #[arg(long, value_name = "MS")]
    pub(super) plan_every: Option<u64>,

    /// How long a partition rests after a reshape, in milliseconds [default: 60000]
    #[arg(long, value_name = "MS")]
    pub(super) cool_down: Option<u64>,

    /// Half-life of the load that plans are made from, in milliseconds [default: 60000]
    #[arg(long, value_name = "MS")]
    pub(super) half_life: Option<u32>,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(super) enum PolicyArg {
    /// Nothing is planned
    Manual,
    /// Plans are made and recorded, see `annulus explain`, and nothing changes
    #[default]
    Suggest,
    /// Plans are made and carried out
    Automatic,
}

impl From<PolicyArg> for Policy {
    fn from(policy: PolicyArg) -> Self {
        match policy {
            PolicyArg::Manual => Self::Manual,
            PolicyArg::Suggest => Self::Suggest,
            PolicyArg::Automatic => Self::Automatic,
        }
    }
}

impl Args {
    /// Returns how to play it.
    pub(super) fn plan(&self) -> Plan {
        let processors = || std::thread::available_parallelism().map_or(2, usize::from);
        Plan {
            threads: self.pace.threads.map_or_else(processors, usize::from),
            rate: self.pace.rate,
            end: match self.pace.seconds {
                Some(seconds) => End::After(Duration::from_secs_f64(seconds)),
                None => End::Passes(self.pace.repeat),
            },
            interval: self.interval.map(Duration::from_secs_f64),
            verify: !self.no_verify,
            seed: self.stage.seed,
        }
    }
}

impl StageArgs {
    /// Returns the options to open the store with.
    pub(super) fn options(&self) -> Outcome<Options> {
        let mut options = self.memory.options();
        options.hot_cache_bytes = self.hot_cache.unwrap_or(0);
        // The process runs for a while.
        options.reshape.trim = true;
        let balance = &self.balance;
        let rebalance = &mut options.rebalance;
        rebalance.policy = balance.policy.into();
        let or = |given: Option<u64>, default| given.map_or(default, Duration::from_millis);
        rebalance.interval = or(balance.plan_every, rebalance.interval);
        rebalance.cool_down = or(balance.cool_down, rebalance.cool_down);
        // Short runs are drawn finely; for long ones, intervals are joined.
        let mut heat = HeatOptions::new().history_interval(Duration::from_millis(250));
        if let Some(medium) = balance.half_life {
            let medium = Duration::from_millis(medium.into());
            heat.half_life_medium = medium;
            heat.half_life_short = heat.half_life_short.min(medium);
            heat.half_life_long = heat.half_life_long.max(medium);
        }
        options.heat = Some(heat);
        options.validate()?;
        Ok(options)
    }
}
