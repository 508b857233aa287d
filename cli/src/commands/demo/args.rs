//! The command line of `annulus demo`.

use crate::open::MemoryArgs;
use crate::rows::RowsArgs;
use std::path::PathBuf;

/// Show a store at work, and check every read
///
/// Makes a temporary store and loads rows into a hash and a range keyspace. Then four threads read
/// and write, one row or many, and check what they read: never a version that is older than one
/// that is known to be acknowledged. Under that load a shard is added, another one removed,
/// partitions are split and merged. Then reads every row back from both keyspaces and compares it,
/// scans both in both directions and compares order and rows, verifies the store, and shows the
/// map, the balance and a summary.
///
/// Ends with 1 if a single read is wrong (`wrong_reads`), a row is missing (`lost`), a scan differs
/// (`wrong_scans`), the verification finds a problem, or a line of FILE is malformed. With --json
/// the summary is one object: `rows`, `wrong_reads`, `lost`, `shards`, `load_ops_per_s`,
/// `read_ops_per_s`, `max_over_mean` (of the keys on each shard, in the hash keyspace), `reshapes`,
/// `moved_bytes` (linked or copied by reshapes with a target on another shard), `pause_ms_p50` and
/// `pause_ms_max` (how long writes to a partition waited when it was handed over) and more.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annulus demo
  annulus demo --rows 1000000 --shards 8 --threads 4
  annulus demo --from users.tsv --key-column 1
  annulus demo --keep /tmp/demo-store && annulus map -s /tmp/demo-store")]
pub(crate) struct Args {
    /// How many rows to generate
    #[arg(long, value_name = "N", default_value_t = 200_000,
          value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(super) rows: u64,

    /// How many shards to make
    #[arg(long, value_name = "N", default_value_t = 4,
          value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(super) shards: u32,

    /// How many threads load and read [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,

    /// The seed of the generated rows
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,

    /// Load the rows of this file instead of generated ones; they are held in memory
    #[arg(long, value_name = "FILE", conflicts_with_all = ["rows", "seed"])]
    pub(super) from: Option<PathBuf>,

    #[command(flatten)]
    pub(super) file: RowsArgs,

    /// Make the store in this directory and keep it, with the rows as they were loaded
    #[arg(long, value_name = "DIR")]
    pub(super) keep: Option<PathBuf>,

    #[command(flatten)]
    pub(super) memory: MemoryArgs,
}
