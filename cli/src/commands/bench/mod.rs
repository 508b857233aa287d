//! `annulus bench`

pub(super) mod failure;
pub(super) mod watch;

use crate::exit::{Exit, Outcome};
use crate::output::Output;
use annulus_workload::engines::{Plain, StoreArgs};
use annulus_workload::{Candidate, compare};
use clap::ValueEnum;

/// Run the YCSB workloads, and compare partitionings and engines
///
/// Makes a temporary store for each combination of --engine, --partitioning and --shards, loads the
/// same records into all of them, and runs the workloads on them: a (half reads, half updates), b
/// (95 % reads, 5 % updates), c (reads), f (half reads, half read-modify-writes), d (95 % reads of
/// the latest, 5 % inserts), e (95 % scans of 1 to 100 rows, 5 % inserts). In each round every
/// store has its turn; between turns, the tool waits for compactions. It prints medians of the
/// rounds with minimum and maximum; then processor time an operation and write amplification, up to
/// the end of the compactions that a turn has caused; then the median of the ratios to the baseline,
/// round by round, with its 95 % interval (a bootstrap), and the same of processor time, which a
/// busy machine hardly moves. A ratio whose interval holds 1 is called noise.
///
/// Every read is checked. Ends with 1 if one is wrong, with 10 if Ctrl-C ended it, after printing
/// what was complete. With --json, one array of objects, one for each store and run: at least
/// `engine`, `partitioning`, `workload`, `threads`, `shards`, `ops_per_s`, `p50_us`, `p99_us`,
/// `p999_us`, `spread`, `usage`, `ratio`, `wrong_reads`; the load is one of the workloads.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annulus bench
  annulus bench --quick
  annulus bench --workload c,e --shards 1,4,16 --threads 1,2,4 --seconds 10 --rounds 5
  annulus bench --engine annulus --partitioning hash,range --value-bytes 100..2000
  annulus bench --workload b --rate 20000 --engine annulus --reshape-at 50 --reshape add-shard \\
      --hotspot-at 25 --rounds 1 --seconds 60 --timeline --json")]
pub(crate) struct Args {
    /// Which engines: stores of this library, or one plain RocksDB with the same memory,
    /// compression, filters and background threads
    #[arg(
        long,
        value_name = "LIST",
        value_enum,
        value_delimiter = ',',
        default_value = "annulus,rocksdb"
    )]
    engine: Vec<EngineArg>,

    #[command(flatten)]
    stores: StoreArgs,

    #[command(flatten)]
    workload: annulus_workload::Args,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EngineArg {
    Annulus,
    Rocksdb,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Outcome<Exit> {
    let plan = args.workload.plan().map_err(failure::of)?;
    let candidates = candidates(args);
    let candidates: Vec<&dyn Candidate> = candidates.iter().map(|one| &**one).collect();
    let report = watch::watched(output, |observer| compare(&plan, &candidates, observer))
        .map_err(failure::of)?;
    if output.json() {
        output.object(&report.records)?;
    } else {
        output.text(&report)?;
    }
    if report.stopped {
        return Ok(Exit::Aborted);
    }
    Ok(Exit::fine_if(report.wrong_reads() == 0))
}

/// Returns each engine once, whatever the list repeats.
fn candidates(args: &Args) -> Vec<Box<dyn Candidate>> {
    let mut engines = Vec::new();
    let mut candidates: Vec<Box<dyn Candidate>> = Vec::new();
    for engine in &args.engine {
        if engines.contains(engine) {
            continue;
        }
        engines.push(*engine);
        match engine {
            EngineArg::Rocksdb => candidates.push(Box::new(Plain)),
            EngineArg::Annulus => {
                let stores = args.stores.candidates().into_iter();
                candidates.extend(stores.map(|store| Box::new(store) as Box<dyn Candidate>));
            }
        }
    }
    candidates
}
