//! The part of a command line that says what to run; a program adds which engines to run.

use crate::checked;
use crate::chooser::Distribution;
use crate::compare::Plan;
use crate::engine::{Durability, Event, InvalidArgument, Result};
use crate::keys::KeyOrder;
use crate::runner::Length;
use crate::values::ValueBytes;
use crate::workload::Workload;
use std::path::PathBuf;
use std::time::Duration;

/// What to run, how long, and how often.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Which of YCSB's core workloads; they are run in the order a, b, c, f, d, e on the same data
    #[arg(
        long,
        value_name = "LIST",
        value_enum,
        value_delimiter = ',',
        ignore_case = true,
        default_value = "a,b,c,d,e,f"
    )]
    workload: Vec<Workload>,

    /// How many threads call the engine; several numbers are run one after the other
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "2",
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Vec<u16>,

    /// How many records to load [default: 200000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000_000))]
    records: Option<u64>,

    /// How many operations each run has, all threads together: the same seed then leads to the
    /// same operations again
    #[arg(long, value_name = "N", conflicts_with = "seconds",
          value_parser = clap::value_parser!(u64).range(1..))]
    operations: Option<u64>,

    /// How many seconds each run takes: many short runs tell more than few long ones [default: 0.4]
    #[arg(long, value_name = "S", value_parser = checked::seconds)]
    seconds: Option<f64>,

    /// Run this part of each run before it, without measuring
    #[arg(long, value_name = "PERCENT", default_value_t = 10,
          value_parser = clap::value_parser!(u8).range(0..=100))]
    warm_up: u8,

    /// Operations to start in a second, all threads together; latencies then count from when an
    /// operation should have been started [default: as many as possible]
    #[arg(long, value_name = "OPS/s", value_parser = checked::rate)]
    rate: Option<f64>,

    /// How long values are: a length, LEAST..MOST, or FIELDSxBYTES. About half of a value is
    /// compressible
    #[arg(long, value_name = "BYTES", default_value = "1000")]
    value_bytes: ValueBytes,

    /// Which records are chosen [default: by each workload]
    #[arg(long, value_enum)]
    distribution: Option<Distribution>,

    /// Where inserts fall in the order of the keys
    #[arg(long, value_enum, default_value_t)]
    key_order: KeyOrder,

    /// What an acknowledged write survives
    #[arg(long, value_enum, default_value_t)]
    durability: Durability,

    /// Memory for blocks that were read, over all shards: 256MiB, 1GiB
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = checked::memory::<usize>)]
    cache: usize,

    /// Memory for writes before they go to files, over all shards
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = checked::memory::<usize>)]
    write_buffer: usize,

    /// How often each run is repeated: all engines have a turn in each round [default: 30]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,

    /// The seed of everything random
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// After this percentage of each run, half of all operations fall on 1 % of the keys, which are
    /// neighbours
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=99))]
    hotspot_at: Option<u8>,

    /// After this percentage of each run, do what --reshape names; afterwards it is undone
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=99))]
    reshape_at: Option<u8>,

    /// What happens at --reshape-at
    #[arg(long, value_enum, default_value = "move", requires = "reshape_at")]
    reshape: Event,

    /// The engine that the others are compared with [default: rocksdb, otherwise the first]
    #[arg(long, value_name = "ENGINE")]
    baseline: Option<String>,

    /// Make the data in a new directory in this one; it is removed at the end [default: where
    /// temporary files go]
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,

    /// Add the time line of each round to the JSON: rate, p50 and p99 of each half a second or more
    #[arg(long)]
    timeline: bool,

    /// Few records, few operations, one round, to see whether it runs. Other arguments take
    /// precedence
    #[arg(long)]
    quick: bool,
}

impl Args {
    /// Returns what the arguments ask for.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`], naming the argument, its value and what it must be.
    pub fn plan(&self) -> Result<Plan> {
        let or = |full, quick| if self.quick { quick } else { full };
        let length = match (self.operations, self.seconds) {
            (Some(operations), _) => Length::Operations(operations),
            (None, Some(seconds)) => Length::Time(Duration::from_secs_f64(seconds)),
            (None, None) if self.quick => Length::Operations(2_000),
            (None, None) => Length::Time(Duration::from_millis(400)),
        };
        let directory = self.directory.clone();
        if let Some(directory) = directory.as_ref().filter(|directory| !directory.is_dir()) {
            return Err(InvalidArgument::error(format!(
                "--directory {} is not a directory; create it, or name another",
                directory.display()
            )));
        }
        Ok(Plan {
            workloads: self.workload.clone(),
            threads: self.threads.iter().copied().map(usize::from).collect(),
            records: self.records.unwrap_or(or(200_000, 2_000)),
            length,
            warm_up_percent: self.warm_up,
            rate: self.rate,
            value_bytes: self.value_bytes,
            distribution: self.distribution,
            key_order: self.key_order,
            durability: self.durability,
            cache_bytes: self.cache,
            write_buffer_bytes: self.write_buffer,
            rounds: self.rounds.unwrap_or(if self.quick { 1 } else { 30 }),
            seed: self.seed,
            event: self.reshape_at.map(|percent| (percent, self.reshape)),
            hotspot_at: self.hotspot_at,
            baseline: self.baseline.clone(),
            directory,
            timeline: self.timeline,
            quiet_ms_max: or(30_000, 0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn plan(line: &str) -> Result<Plan> {
        Line::try_parse_from(std::iter::once("x").chain(line.split_whitespace()))?.args.plan()
    }

    #[test]
    fn defaults_and_quick() {
        let usual = plan("").unwrap();
        assert_eq!(usual.workloads.len(), 6);
        assert_eq!((usual.records, usual.rounds, &usual.threads[..]), (200_000, 30, &[2][..]));
        assert_eq!(usual.cache_bytes, 256 << 20);
        let quick = plan("--quick --rounds 2 --workload A,e").unwrap();
        assert_eq!((quick.records, quick.rounds), (2_000, 2));
        assert_eq!(quick.length, Length::Operations(2_000));
        assert_eq!(quick.workloads, [Workload::A, Workload::E]);
    }

    #[test]
    fn bad_arguments_are_named() {
        for (line, word) in [
            ("--seconds 0", "--seconds"),
            ("--seconds nan", "--seconds"),
            ("--rate=-1", "--rate"),
            ("--directory /nowhere/at/all", "/nowhere/at/all"),
            ("--workload g", "g"),
            ("--value-bytes 3", "--value-bytes"),
            ("--cache lots", "--cache"),
            ("--seconds 1 --operations 1", "--operations"),
            ("--reshape add-shard", "--reshape-at"),
            ("--threads 0", "--threads"),
        ] {
            let error = plan(line).unwrap_err().to_string();
            assert!(error.contains(word), "{line}: {error}");
        }
    }
}
