//! `annulus report`

mod files;

use crate::commands::bench::{failure, watch};
use crate::exit::{Exit, Outcome};
use crate::json::PathJson;
use crate::output::Output;
use annulus_bench::report::{Raw, Settings, measure, page, place};
use serde::Serialize;
use std::path::PathBuf;

/// Measure hash against range, and write a page with the figures and plots
///
/// Runs the YCSB workloads on stores partitioned by hash and by range and on one plain RocksDB, by
/// threads and by shards; adds shards one by one; scans of all lengths; moves partitions of several
/// sizes; and follows a run in which a shard is added and a hot spot appears. Takes up to 20
/// minutes and some gigabytes of disk. The page is one HTML file that needs nothing else: no
/// network, no scripts.
///
/// With --json, prints where the page is and how many wrong reads there were.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annulus report                                  writes annulus-report.html
  annulus report --quick --output try.html
  annulus-peers --json > peers.json && annulus report --peers peers.json
  annulus report --save figures.json              keeps the figures
  annulus report --from figures.json              the page again, without running anything")]
pub(crate) struct Args {
    /// Where to write the page
    #[arg(short, long, value_name = "FILE", default_value = "annulus-report.html")]
    output: PathBuf,

    /// Also write all figures to a file
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    save: Option<PathBuf>,

    /// Make the page from saved figures, and run nothing
    #[arg(long, value_name = "FILE", conflicts_with_all = ["quick", "seed", "directory", "peers_binary"])]
    from: Option<PathBuf>,

    /// Results that `annulus-peers --json` has printed
    #[arg(long, value_name = "FILE")]
    peers: Option<PathBuf>,

    /// The program `annulus-peers`, which is run for its results
    #[arg(long, value_name = "PATH", conflicts_with = "peers")]
    peers_binary: Option<PathBuf>,

    /// Notes to show, as plain text: paragraphs with empty lines between them
    #[arg(long, value_name = "FILE")]
    notes: Option<PathBuf>,

    /// Little data and few rounds, to see whether it runs. The figures mean nothing
    #[arg(long)]
    quick: bool,

    /// The seed of everything random
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Make the data in a new directory in this one; it is removed at the end [default: where
    /// temporary files go]
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// What is printed.
#[derive(Serialize)]
struct Written<'a> {
    page: PathJson<'a>,
    bytes: usize,
    wrong_reads: u64,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Outcome<Exit> {
    // What is missing is reported before twenty minutes of work.
    let peers = args.peers.as_deref().map(files::peers).transpose()?;
    let notes = args.notes.as_deref().map(files::notes).transpose()?;
    let mut raw = match &args.from {
        Some(file) => files::read(file)?,
        None => match measured(args, output)? {
            Some(raw) => raw,
            None => return Ok(Exit::Aborted),
        },
    };
    raw.peers = peers.unwrap_or(raw.peers);
    raw.notes = notes.unwrap_or(raw.notes);
    if let Some(file) = &args.save {
        files::save(file, &raw)?;
    }
    let page = page(&raw);
    files::write(&args.output, &page)?;
    let wrong_reads = raw.wrong_reads();
    output.either(
        &Written { page: PathJson(&args.output), bytes: page.len(), wrong_reads },
        format_args!("{}: {} bytes", args.output.display(), page.len()),
    )?;
    Ok(Exit::fine_if(wrong_reads == 0))
}

fn measured(args: &Args, output: &Output) -> Outcome<Option<Raw>> {
    files::check_writable(&args.output)?;
    let directory = place(args.directory.as_deref()).map_err(failure::of)?;
    let settings = Settings { quick: args.quick, seed: args.seed, directory };
    // First: a program that cannot be run is reported before twenty minutes of work.
    let peers = args.peers_binary.as_deref().map(|program| files::run_peers(program, &settings));
    let peers = peers.transpose()?;
    let measured = watch::watched(output, |observer| measure(&settings, observer));
    let Some(mut raw) = measured.map_err(failure::of)? else { return Ok(None) };
    raw.peers = peers.unwrap_or_default();
    Ok(Some(raw))
}
