//! The arguments of the simulation.

use clap::builder::ArgPredicate::IsPresent;
use clap::{Parser, ValueEnum};
use std::path::PathBuf;

/// Ring, range map, heat and planner without a disk, over simulated days of a load that moves or
/// under a recorded load.
///
/// The same arguments lead to the same decisions; only the measured times differ.
#[derive(Debug, Clone, Parser)]
pub(crate) struct Arguments {
    /// A little of everything, for a sixth of a day
    #[arg(long)]
    pub(crate) quick: bool,

    /// A recorded load instead, over one range keyspace: CSV of op,key[,value_bytes], or TSV of
    /// name, version, weight (reads by weight)
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,

    /// The seed, which decides everything except the measured times
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,

    /// How many shards there are; 20 with --quick, 4 with --trace
    #[arg(long, value_name = "N", default_value = "1000",
          default_value_ifs = [("trace", IsPresent, "4"), ("quick", IsPresent, "20")],
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) shards: u32,

    /// Plans are made and not carried out, for comparison
    #[arg(long)]
    pub(crate) no_rebalance: bool,

    /// Print what is planned, and what is not planned and why
    #[arg(long)]
    pub(crate) explain: bool,

    /// Fail if it is above: of days the median of max/mean over the least possible, in their second
    /// half; of a trace max/mean of any pass after it has settled, or if it is reshaped then
    #[arg(long, value_name = "X", value_parser = positive)]
    pub(crate) imbalance_max: Option<f64>,

    /// How many partitions there are at first; 2000 with --quick
    #[arg(long, value_name = "N", default_value = "1000000", help_heading = "Days",
          default_value_if("quick", IsPresent, "2000"),
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) partitions: u32,

    /// How many keyspaces there are, half of them hash, half range; 4 with --quick
    #[arg(long, value_name = "N", default_value = "32", help_heading = "Days",
          default_value_if("quick", IsPresent, "4"),
          value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) keyspaces: u32,

    /// How long it is simulated [default: 1, a sixth with --quick]
    #[arg(long, value_name = "X", help_heading = "Days", value_parser = positive)]
    days: Option<f64>,

    /// The time between two plans; half-lives are in proportion
    #[arg(long, value_name = "N", default_value_t = 300, help_heading = "Days",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) interval_s: u64,

    /// Sampled accesses in an interval; 40000 with --quick
    #[arg(
        long,
        value_name = "N",
        default_value = "1000000",
        help_heading = "Days",
        default_value_if("quick", IsPresent, "40000")
    )]
    pub(crate) samples: u32,

    /// How the load moves
    #[arg(long, value_name = "SHAPE", value_enum, default_value_t, help_heading = "Days")]
    pub(crate) load: Shape,

    /// Reshapes in a plan [default: 4 for each shard]
    #[arg(long, value_name = "N", help_heading = "Days",
          value_parser = clap::value_parser!(u32).range(1..))]
    actions_max: Option<u32>,

    /// Exponent of the popularity of keys
    #[arg(long, value_name = "X", default_value_t = 0.8, help_heading = "Days")]
    pub(crate) zipf: f64,

    /// Operations per simulated second
    #[arg(long, value_name = "N", default_value = "20000", help_heading = "Traces",
          value_parser = positive)]
    pub(crate) rate: f64,

    /// One operation in this many is sampled [default: as the store chooses]
    #[arg(long, value_name = "N", help_heading = "Traces",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) one_in: Option<u32>,

    /// Simulated seconds before it counts as settled; ten minutes follow
    #[arg(long, value_name = "N", default_value_t = 300, help_heading = "Traces")]
    pub(crate) settle_s: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Shape {
    /// A hot spot and the popularity of keys move slowly
    #[default]
    Drift,
    /// Nothing moves
    Steady,
    /// A hot spot jumps every ten minutes
    Jump,
}

impl Arguments {
    pub(crate) fn days(&self) -> f64 {
        self.days.unwrap_or(if self.quick { 1.0 / 6.0 } else { 1.0 })
    }

    pub(crate) fn actions_max(&self) -> usize {
        self.actions_max.map_or(4 * self.shards as usize, |most| most as usize)
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "give a number above 0".to_owned())
}
