//! What the demo does, step by step.

use super::check::{self, Differences};
use super::report::{KeyspaceSummary, Summary};
use super::{Args, Row, generate};
use crate::exit::{Failure, Outcome};
use crate::human;
use crate::loader::Loader;
use crate::output::Output;
use crate::picture::Picture;
use crate::progress;
use crate::rows::{Complaints, Reader};
use annulus::placement::RangeMap;
use annulus::topology::KeyspaceSpec;
use annulus::{Creation, Durability, Keyspace, KeyspaceVerification, Store};
use fastrand::Rng;
use std::path::Path;
use std::time::Instant;

/// One key in this many is sampled to find the ranges.
const SAMPLE_EVERY: usize = 16;

pub(super) fn run(args: &Args, output: &Output) -> Outcome<Summary> {
    let started = Instant::now();
    let mut complaints = Complaints::default();
    let mut rows = rows(args, &mut complaints, output)?;
    let temporary = tempfile::tempdir().map_err(Failure::io("create", &std::env::temp_dir()))?;
    let path = args.keep.clone().unwrap_or_else(|| temporary.path().join("store"));
    let store = Store::builder(&path)
        .create(Creation::New)
        .shards(args.shards)
        .options(args.memory.options())
        .open()?;
    output.note(format_args!("made a store of {} shards in {}", args.shards, path.display()));
    let threads = args
        .threads
        .map_or_else(|| std::thread::available_parallelism().map_or(2, usize::from), usize::from);
    let work = Work { store: &store, threads, output };
    let mut summaries = [
        work.keyspace("hash", KeyspaceSpec::hash().into())?,
        work.keyspace("range", KeyspaceSpec::range().split_at(split_points(args, &rows)).into())?,
    ];
    for summary in &mut summaries {
        work.load(summary, &rows)?;
    }
    store.sync()?;
    // In another order than they were written in.
    Rng::with_seed(args.seed).shuffle(&mut rows);
    for summary in &mut summaries {
        work.read(summary, &rows)?;
    }
    rows.sort_unstable();
    for summary in &mut summaries {
        work.scan(summary, &rows)?;
    }
    let problems = work.verify(&mut summaries)?;
    let picture = Picture::of(&store, &store.keyspaces())?;
    store.close()?;
    Ok(Summary {
        rows: rows.len() as u64,
        seed: args.from.is_none().then_some(args.seed),
        shards: args.shards,
        threads,
        keyspaces: summaries.map(|(_, summary)| summary),
        problems,
        malformed: complaints.count,
        seconds: started.elapsed().as_secs_f64(),
        kept: args.keep.clone(),
        picture,
    })
}

/// The rows to load, each key once.
fn rows(args: &Args, complaints: &mut Complaints, output: &Output) -> Outcome<Vec<Row>> {
    let Some(path) = &args.from else {
        let number = human::count(args.rows);
        output.note(format_args!("generating {number} rows with seed {}", args.seed));
        return Ok(generate::generate(args.rows, args.seed));
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
    // Of a key that is there twice, the last row counts, as it does when the file is loaded.
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

    /// Shares the rows among threads. Gives what each made of its part, and the seconds it took.
    fn share<T: Send>(
        &self,
        what: String,
        rows: &[Row],
        work: impl Fn(&[Row], &indicatif::ProgressBar) -> annulus::Result<T> + Sync,
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

    fn told(&self, what: &str, name: &str, rows: &[Row], seconds: f64) -> f64 {
        let rate = rows.len() as f64 / seconds.max(1e-9);
        let (number, rate_shown) = (human::count(rows.len() as u64), human::rate(rate));
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
        summary.load_ops_per_s = self.told("load", &summary.name, rows, seconds);
        Ok(())
    }

    fn read(&self, (keyspace, summary): &mut Shown, rows: &[Row]) -> Outcome<()> {
        let read = |rows: &[Row], bar: &_| check::read_back(keyspace, rows, bar);
        let (parts, seconds) = self.share(format!("read {}", summary.name), rows, read)?;
        let mut all = Differences::default();
        parts.into_iter().for_each(|part| all += part);
        summary.wrong_reads = all.wrong;
        summary.lost = all.lost;
        summary.read_ops_per_s = self.told("read", &summary.name, rows, seconds);
        Ok(())
    }

    fn scan(&self, (keyspace, summary): &mut Shown, rows: &[Row]) -> Outcome<()> {
        let started = Instant::now();
        summary.wrong_scans = check::scan(keyspace, rows, false)?;
        let seconds = started.elapsed().as_secs_f64();
        summary.wrong_scans += check::scan(keyspace, rows, true)?;
        summary.scan_rows_per_s = self.told("scan", &summary.name, rows, seconds);
        Ok(())
    }

    /// Verifies the store, and counts the keys of each shard on the way.
    fn verify(&self, summaries: &mut [Shown]) -> Outcome<Vec<String>> {
        let report = self.store.verify()?;
        let shards = self.store.topology().shards().len();
        for (_, summary) in summaries {
            let of = |keyspace: &&KeyspaceVerification| keyspace.name == summary.name;
            let Some(keyspace) = report.keyspaces.iter().find(of) else { continue };
            let keys = |shard: usize| {
                let mut found = keyspace.keys_by_shard.iter();
                found.find(|(id, _)| id.0 as usize == shard).map_or(0, |(_, keys)| *keys)
            };
            summary.keys_by_shard = (0..shards).map(keys).collect();
            summary.max_over_mean = human::max_over_mean(summary.keys_by_shard.iter().copied());
        }
        Ok(report.problems)
    }
}
