//! What the simulation is asked to do.

use std::fmt::Debug;
use std::path::PathBuf;
use std::str::FromStr;

pub(crate) const USAGE: &str = "\
simulate [--quick] [OPTION VALUE]…              days of load that moves, over keyspaces of both kinds
simulate --trace FILE [OPTION VALUE]…           a recorded load, over one range keyspace

Both:
  --seed N            1        decides everything but the times that are measured
  --shards N          1000     20 with --quick, 4 with --trace
  --no-rebalance               plans are made and not carried out, for comparison
  --explain                    prints what is planned, and what is not and why
  --imbalance-max X   0        fail if it is above: of days the median of max/mean over the least
                               possible, in their second half; of a trace max/mean of any pass
                               after it has settled, or if it is reshaped then; 0 never fails
Days:
  --partitions N      1000000  2000 with --quick
  --keyspaces N       32       half of them hash, half range; 4 with --quick
  --days X            1        a sixth of a day with --quick
  --interval-s N      300      between two plans; half-lives are in proportion
  --samples N         1000000  sampled accesses in an interval; 40000 with --quick
  --load SHAPE        drift    drift, steady, jump (a hot spot jumps every ten minutes)
  --actions-max N     4 × shards   reshapes in a plan
  --zipf X            0.8      exponent of the popularity of keys
Traces: CSV of op,key[,value_bytes], or TSV of name, version, weight (reads by weight)
  --rate N            20000    operations a simulated second
  --one-in N          0        one operation in so many is sampled; 0: as the store chooses
  --settle-s N        300      simulated seconds before it counts as settled; then ten minutes
";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Drift,
    Steady,
    Jump,
}

#[derive(Debug, Clone)]
pub(crate) struct Arguments {
    pub(crate) trace: Option<PathBuf>,
    pub(crate) seed: u64,
    pub(crate) shards: u32,
    pub(crate) rebalance: bool,
    pub(crate) explain: bool,
    pub(crate) imbalance_max: f64,
    pub(crate) partitions: usize,
    pub(crate) keyspaces: usize,
    pub(crate) days: f64,
    pub(crate) interval_s: u64,
    pub(crate) samples: usize,
    pub(crate) shape: Shape,
    /// 0 is four for each shard.
    pub(crate) actions_max: usize,
    pub(crate) zipf: f64,
    pub(crate) rate: f64,
    pub(crate) one_in: u32,
    pub(crate) settle_s: u64,
}

impl Arguments {
    /// From the command line.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let all: Vec<String> = arguments.collect();
        let has = |name: &str| all.iter().any(|it| it == name);
        let mut parsed = Self::defaults(has("--quick"), has("--trace"));
        let mut all = all.into_iter();
        while let Some(name) = all.next() {
            match name.as_str() {
                "--quick" => continue,
                "--explain" => parsed.explain = true,
                "--no-rebalance" => parsed.rebalance = false,
                _ => {
                    let value = all.next().ok_or(format!("{name} has no value"))?;
                    parsed.set(&name, &value)?;
                }
            }
        }
        if parsed.shards == 0 || parsed.keyspaces < 2 || parsed.interval_s == 0 {
            return Err("--shards, --interval-s: at least 1; --keyspaces: at least 2".into());
        }
        Ok(parsed)
    }

    fn defaults(quick: bool, trace: bool) -> Self {
        let or = |full, small| if quick { small } else { full };
        Self {
            trace: None,
            seed: 1,
            shards: if trace { 4 } else { or(1000, 20) as u32 },
            rebalance: true,
            explain: false,
            imbalance_max: 0.0,
            partitions: or(1_000_000, 2_000),
            keyspaces: or(32, 4),
            days: if quick { 1.0 / 6.0 } else { 1.0 },
            interval_s: 300,
            samples: or(1_000_000, 40_000),
            shape: Shape::Drift,
            actions_max: 0,
            zipf: 0.8,
            rate: 20_000.0,
            one_in: 0,
            settle_s: 300,
        }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "--trace" => self.trace = Some(value.into()),
            "--seed" => self.seed = number(name, value)?,
            "--shards" => self.shards = number(name, value)?,
            "--imbalance-max" => self.imbalance_max = number(name, value)?,
            "--partitions" => self.partitions = number(name, value)?,
            "--keyspaces" => self.keyspaces = number(name, value)?,
            "--days" => self.days = number(name, value)?,
            "--interval-s" => self.interval_s = number(name, value)?,
            "--samples" => self.samples = number(name, value)?,
            "--actions-max" => self.actions_max = number(name, value)?,
            "--zipf" => self.zipf = number(name, value)?,
            "--rate" => self.rate = number(name, value)?,
            "--one-in" => self.one_in = number(name, value)?,
            "--settle-s" => self.settle_s = number(name, value)?,
            "--load" => {
                self.shape = match value {
                    "drift" => Shape::Drift,
                    "steady" => Shape::Steady,
                    "jump" => Shape::Jump,
                    _ => return Err(format!("--load {value}: drift, steady or jump")),
                }
            }
            _ => return Err(format!("there is no option {name}")),
        }
        Ok(())
    }
}

fn number<T: FromStr<Err: Debug>>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name} {value}: this is not a number that it takes"))
}
