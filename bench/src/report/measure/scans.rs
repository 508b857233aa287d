//! The cost of scans by their length.

use super::settings::{Settings, Watch, scratch};
use super::workloads::SHARDS;
use crate::report::data::Scans;
use annulus_workload::Spread;
use annulus_workload::engines::{Partitioning, Plain, Sharded, count_seeks};
use annulus_workload::{Candidate, Durability, Engine, Keys, Result, Setup, ValueBytes, Values};
use std::time::Instant;

const VALUE_BYTES: usize = 100;

/// This many rows are read for a figure, or those of one scan.
const ROWS_A_ROUND: u64 = 20_000;

struct Open {
    name: String,
    engine: Box<dyn Engine>,
}

pub(super) fn measure(settings: &Settings, watch: &mut Watch<'_, '_>) -> Result<Vec<Scans>> {
    let records = settings.or(200_000, 3_000);
    let directory = scratch(settings)?;
    let setup = Setup {
        durability: Durability::Buffered,
        cache_bytes: settings.or(256, 16) << 20,
        write_buffer_bytes: settings.or(64, 16) << 20,
        keys: Keys::default(),
        records,
        threads: 1,
    };
    // Seeks are counted by the thread that does them, so there must be only one.
    let store =
        |partitioning| Sharded { scan_threads: Some(1), ..Sharded::new(partitioning, SHARDS) };
    let (hash, range) = (store(Partitioning::Hash), store(Partitioning::Range));
    let candidates: [&dyn Candidate; 3] = [&hash, &range, &Plain];
    let mut open = Vec::new();
    for (number, candidate) in candidates.into_iter().enumerate() {
        watch.step("load rows for scans", number + 1, 3)?;
        let place = directory.path().join(number.to_string());
        std::fs::create_dir(&place)?;
        let engine = candidate.open(&place, &setup)?;
        load(&*engine, &setup)?;
        open.push(Open { name: candidate.identity().to_string(), engine });
    }
    let lengths = settings.or(&[1, 10, 100, 1_000, 10_000][..], &[1, 10, 100, 1_000]);
    let mut scans = Vec::new();
    for (number, rows) in lengths.iter().enumerate() {
        watch.step(&format!("scans of {rows} rows"), number + 1, lengths.len())?;
        scans.extend(of_length(settings, &open, &setup, *rows)?);
    }
    Ok(scans)
}

fn load(engine: &dyn Engine, setup: &Setup) -> Result<()> {
    let (values, mut value) = (Values::new(ValueBytes::Constant(VALUE_BYTES)), Vec::new());
    for record in 0..setup.records {
        values.fill(&mut value, record, record);
        engine.put(&setup.keys.key(record), &value)?;
    }
    engine.finish_load()
}

/// Measures in turns, each from the same keys as the others.
fn of_length(settings: &Settings, open: &[Open], setup: &Setup, rows: u64) -> Result<Vec<Scans>> {
    let mut random = fastrand::Rng::with_seed(settings.seed ^ rows);
    let mut figures: Vec<(Vec<f64>, f64)> = vec![(Vec::new(), 0.0); open.len()];
    let (rounds, number) =
        (settings.or(7, 2), (ROWS_A_ROUND / rows).clamp(1, settings.or(500, 20)));
    // The first round counts seeks instead of time, and warms caches up.
    for round in 0..=rounds {
        let from: Vec<_> =
            (0..number).map(|_| setup.keys.key(random.u64(..setup.records))).collect();
        for (one, (us, seeks)) in open.iter().zip(&mut figures) {
            let scans = || {
                from.iter()
                    .try_for_each(|from| one.engine.scan(from, rows as usize, &mut |_, _| {}))
            };
            if round == 0 {
                let (scanned, counted) = count_seeks(scans);
                scanned?;
                *seeks = counted as f64 / number as f64;
                continue;
            }
            let started = Instant::now();
            scans()?;
            us.push(started.elapsed().as_secs_f64() * 1e6 / number as f64);
        }
    }
    let made = open.iter().zip(figures).filter_map(|(one, (us, seeks))| {
        Some(Scans { name: one.name.clone(), rows, us: Spread::of(us)?, seeks })
    });
    Ok(made.collect())
}
