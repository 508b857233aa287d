//! The demo, step by step.

use super::args::Args;
use super::live::Live;
use super::report::{KeyspaceSummary, Summary};
use crate::exit::{Failure, Outcome};
use crate::output::Output;
use crate::picture::Picture;
use crate::progress;
use crate::reshape::Trims;
use crate::rows::{Complaints, Reader};
use annulus::placement::RangeMap;
use annulus::report::KeyspaceVerification;
use annulus::topology::{KeyspaceSpec, ShardInfo};
use annulus::{CreateMode, Durability, Keyspace, Store};
use annulus_bench::demo::{Differences, Expected, Row, Version, generate, read_back, scan};
use annulus_bench::loader::Loader;
use annulus_workload::human;
use fastrand::Rng;
use std::path::Path;
use std::time::Instant;

/// One key in this many is sampled to find the ranges.
const SAMPLE_EVERY: usize = 16;

pub(super) fn run(args: &Args, output: &Output) -> Outcome<Summary> {
    let started = Instant::now();
    let mut complaints = Complaints::default();
    let rows = rows(args, &mut complaints, output)?;
    let temporary = tempfile::tempdir().map_err(Failure::io("create", &std::env::temp_dir()))?;
    let path = args.keep.clone().unwrap_or_else(|| temporary.path().join("store"));
    let trims = Trims::default();
    let store = open(args, &path, &trims)?;
    output.note(format_args!("made a store of {} shards in {}", args.shards, path.display()));
    let shown = show(args, &store, &trims, rows, output);
    // Also after an error: the threads of the store must end before the process does.
    let closed = store.close();
    let summary =
        Summary { malformed: complaints.count, seconds: started.elapsed().as_secs_f64(), ..shown? };
    closed?;
    Ok(summary)
}

/// Everything except making the store and closing it.
fn show(
    args: &Args,
    store: &Store,
    trims: &Trims,
    mut rows: Vec<Row>,
    output: &Output,
) -> Outcome<Summary> {
    let threads = args
        .threads
        .map_or_else(|| std::thread::available_parallelism().map_or(2, usize::from), usize::from);
    let work = Work { store, threads, output };
    let mut summaries = [
        work.keyspace("hash", KeyspaceSpec::hash().into())?,
        work.keyspace("range", KeyspaceSpec::range().split_at(split_points(args, &rows)).into())?,
    ];
    for summary in &mut summaries {
        work.load(summary, &rows)?;
    }
    store.sync()?;
    rows.sort_unstable();
    let versions = [(); 2].map(|()| rows.iter().map(|_| Version::default()).collect::<Vec<_>>());
    let expected = versions.each_ref().map(|versions| Expected { rows: &rows, versions });
    let [(hash, _), (range, _)] = &summaries;
    let [in_hash, in_range] = expected;
    let keyspaces = [(hash, in_hash), (range, in_range)];
    let live = Live { store, keyspaces, seed: args.seed, trims, output }.run()?;
    // In an order other than the one in which they were written.
    let mut places: Vec<usize> = (0..rows.len()).collect();
    Rng::with_seed(args.seed).shuffle(&mut places);
    for (summary, expected) in summaries.iter_mut().zip(expected) {
        work.read(summary, expected, &places)?;
    }
    for (summary, expected) in summaries.iter_mut().zip(expected) {
        work.scan(summary, expected)?;
    }
    let problems = work.verify(&mut summaries)?;
    if args.keep.is_some() {
        for (summary, expected) in summaries.iter().zip(expected) {
            work.put_back(summary, expected)?;
        }
    }
    let picture = Picture::of(store, &store.keyspaces())?;
    Ok(Summary {
        rows: rows.len() as u64,
        seed: args.from.is_none().then_some(args.seed),
        shards: args.shards,
        threads,
        live,
        keyspaces: summaries.map(|(_, summary)| summary),
        problems,
        malformed: 0,
        seconds: 0.0,
        kept: args.keep.clone(),
        picture,
    })
}

/// Makes the store. Unlike for single commands, what shares files is trimmed.
fn open(args: &Args, path: &Path, trims: &Trims) -> Outcome<Store> {
    let mut options = args.memory.options();
    options.reshape.trim = true;
    let builder = Store::builder(path).create(CreateMode::New).shards(args.shards);
    Ok(builder.options(options).listener(trims.listener()).open()?)
}

/// Returns the rows to load, each key once.
fn rows(args: &Args, complaints: &mut Complaints, output: &Output) -> Outcome<Vec<Row>> {
    let Some(path) = &args.from else {
        let number = human::count(args.rows);
        output.note(format_args!("generating {number} rows with seed {}", args.seed));
        return Ok(generate(args.rows, args.seed));
    };
    let rows = read_file(path, args, complaints, output)?;
    output.note(format_args!(
        "read {} rows of {}",
        human::count(rows.len() as u64),
        path.display()
    ));
    if let Some(summary) = complaints.summary() {
        output.note(summary);
    }
    Ok(rows)
}

fn read_file(
    path: &Path,
    args: &Args,
    complaints: &mut Complaints,
    output: &Output,
) -> Outcome<Vec<Row>> {
    let mut reader = Reader::open(path, &args.file, &args.memory.options())?;
    let mut rows: Vec<Row> = Vec::new();
    while let Some(row) = reader.next()? {
        match row {
            Ok(row) => rows.push((row.key, row.value)),
            Err(malformed) => complaints.add(malformed, |malformed| {
                let (place, line) = (reader.path().display(), malformed.line);
                output.note(format_args!("{place}:{line}: {}", malformed.problem));
            }),
        }
    }
    // If a key appears twice, the last row counts, as it does when the file is loaded.
    rows.reverse();
    rows.sort_by(|one, other| one.0.cmp(&other.0));
    rows.dedup_by(|later, earlier| later.0 == earlier.0);
    if rows.is_empty() {
        return Err(Failure::usage(format!("{} has no rows to show", path.display())));
    }
    Ok(rows)
}

fn split_points(args: &Args, rows: &[Row]) -> Vec<Vec<u8>> {
    let few = rows.len() < 1_000;
    let step = if few { 1 } else { SAMPLE_EVERY };
    let mut samples: Vec<&[u8]> = rows.iter().step_by(step).map(|row| &*row.0).collect();
    samples.sort_unstable();
    RangeMap::split_points(&samples, args.shards as usize)
}

/// What the steps need.
struct Work<'a> {
    store: &'a Store,
    threads: usize,
    output: &'a Output,
}

type Shown = (Keyspace, KeyspaceSummary);

impl Work<'_> {
    fn keyspace(&self, name: &str, spec: KeyspaceSpec) -> Outcome<Shown> {
        let keyspace = self.store.create_keyspace(name, spec)?;
        let partitions = keyspace.placement().partition_count();
        let summary = KeyspaceSummary { name: name.into(), partitions, ..Default::default() };
        Ok((keyspace, summary))
    }

    /// Divides rows, or their places, among threads. Returns the result of each, and the seconds it
    /// took.
    fn share<R: Sync, T: Send>(
        &self,
        what: String,
        rows: &[R],
        work: impl Fn(&[R], &indicatif::ProgressBar) -> annulus::Result<T> + Sync,
    ) -> Outcome<(Vec<T>, f64)> {
        let bar = progress::rows(!self.output.json(), what, rows.len() as u64);
        let (started, work, tick) = (Instant::now(), &work, &bar);
        let done: annulus::Result<Vec<T>> = std::thread::scope(|scope| {
            let parts = rows.chunks(rows.len().div_ceil(self.threads).max(1));
            let threads: Vec<_> = parts.map(|part| scope.spawn(move || work(part, tick))).collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            threads.into_iter().map(join).collect()
        });
        bar.finish_and_clear();
        Ok((done?, started.elapsed().as_secs_f64()))
    }

    fn told(&self, what: &str, name: &str, rows: usize, seconds: f64) -> f64 {
        let rate = rows as f64 / seconds.max(1e-9);
        let (number, rate_shown) = (human::count(rows as u64), human::rate(rate));
        self.output.note(format_args!("{what:<6} {name:<6} {number} rows, {rate_shown}"));
        rate
    }

    fn load(&self, (keyspace, summary): &mut Shown, rows: &[Row]) -> Outcome<()> {
        let load = |rows: &[Row], bar: &indicatif::ProgressBar| {
            let mut loader = Loader::new(self.store, keyspace, Durability::Buffered);
            for rows in rows.chunks(1_000) {
                for (key, value) in rows {
                    loader.put(key, value)?;
                }
                bar.inc(rows.len() as u64);
            }
            loader.commit()
        };
        let (_, seconds) = self.share(format!("load {}", summary.name), rows, load)?;
        summary.load_ops_per_s = self.told("load", &summary.name, rows.len(), seconds);
        Ok(())
    }

    fn read(
        &self,
        (keyspace, summary): &mut Shown,
        expected: Expected<'_>,
        places: &[usize],
    ) -> Outcome<()> {
        let read = |places: &[usize], bar: &indicatif::ProgressBar| {
            read_back(keyspace, expected, places, |rows| bar.inc(rows))
        };
        let (parts, seconds) = self.share(format!("read {}", summary.name), places, read)?;
        let mut all = Differences::default();
        parts.into_iter().for_each(|part| all += part);
        summary.wrong_reads = all.wrong;
        summary.lost = all.lost;
        summary.read_ops_per_s = self.told("read", &summary.name, places.len(), seconds);
        Ok(())
    }

    fn scan(&self, (keyspace, summary): &mut Shown, expected: Expected<'_>) -> Outcome<()> {
        let started = Instant::now();
        summary.wrong_scans = scan(keyspace, expected, false)?;
        let seconds = started.elapsed().as_secs_f64();
        summary.wrong_scans += scan(keyspace, expected, true)?;
        summary.scan_rows_per_s = self.told("scan", &summary.name, expected.rows.len(), seconds);
        Ok(())
    }

    /// Restores the values that were loaded into the rows that were overwritten under load.
    fn put_back(&self, (keyspace, _): &Shown, expected: Expected<'_>) -> Outcome<()> {
        let mut loader = Loader::new(self.store, keyspace, Durability::Buffered);
        for (row, _) in expected.overwritten() {
            loader.put(&row.0, &row.1)?;
        }
        loader.commit()?;
        Ok(self.store.sync()?)
    }

    /// Verifies the store, and counts the keys of each shard in the process.
    fn verify(&self, summaries: &mut [Shown]) -> Outcome<Vec<String>> {
        let report = self.store.verify()?;
        let topology = self.store.topology();
        for (_, summary) in summaries {
            let of = |keyspace: &&KeyspaceVerification| keyspace.name == summary.name;
            let Some(keyspace) = report.keyspaces.iter().find(of) else { continue };
            let keys = |shard: &ShardInfo| {
                let mut found = keyspace.keys_by_shard.iter();
                found.find(|(id, _)| *id == shard.id).map_or(0, |(_, keys)| *keys)
            };
            summary.partitions = keyspace.partitions;
            summary.keys_by_shard = topology.shards().map(keys).collect();
            summary.max_over_mean = human::max_over_mean(summary.keys_by_shard.iter().copied());
        }
        Ok(report.problems.iter().map(ToString::to_string).collect())
    }
}
