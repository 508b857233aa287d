//! What scans cost by their length.

use super::workloads::SHARDS;
use super::{Settings, Watch, scratch};
use crate::commands::report::data::{Figure, Scans};
use annulus_workload::engines::{Partitioning, Plain, Sharded};
use annulus_workload::{Candidate, Durability, Engine, Keys, Result, Setup, ValueBytes, Values};
use std::time::Instant;

/// Partitions of each shard: as many ranges as arcs.
const PARTITIONS: u32 = 16;
const VALUE_BYTES: usize = 100;

/// So many rows are read for a figure, or one scan's.
const ROWS_A_ROUND: u64 = 20_000;

struct Open {
    name: String,
    engine: Box<dyn Engine>,
    /// Where its partitions begin, apart from the first; none if each scan asks all of them.
    boundaries: Option<Vec<Vec<u8>>>,
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
    let store =
        |partitioning| Sharded { partitioning, shards: SHARDS, partitions: Some(PARTITIONS) };
    let (hash, range) = (store(Partitioning::Hash), store(Partitioning::Range));
    let ranges = setup.keys.boundaries(records, u64::from(SHARDS * PARTITIONS));
    let candidates: [(&dyn Candidate, _); 3] =
        [(&hash, None), (&range, Some(ranges)), (&Plain, Some(Vec::new()))];
    let mut open = Vec::new();
    for (number, (candidate, boundaries)) in candidates.into_iter().enumerate() {
        watch.step("load rows for scans", number + 1, 3)?;
        let place = directory.path().join(number.to_string());
        std::fs::create_dir(&place)?;
        let engine = candidate.open(&place, &setup)?;
        load(&*engine, &setup)?;
        open.push(Open { name: candidate.identity().to_string(), engine, boundaries });
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

/// In turns, each from the same keys as the others.
fn of_length(settings: &Settings, open: &[Open], setup: &Setup, rows: u64) -> Result<Vec<Scans>> {
    let mut random = fastrand::Rng::with_seed(settings.seed ^ rows);
    let mut figures: Vec<(Vec<f64>, f64)> = vec![(Vec::new(), 0.0); open.len()];
    let (rounds, number) =
        (settings.or(7, 2), (ROWS_A_ROUND / rows).clamp(1, settings.or(500, 20)));
    // The first round warms caches up, and does not count.
    for round in 0..=rounds {
        let from: Vec<_> =
            (0..number).map(|_| setup.keys.key(random.u64(..setup.records))).collect();
        for (one, (us, seeks)) in open.iter().zip(&mut figures) {
            let started = Instant::now();
            let mut asked = 0;
            for from in &from {
                asked += scan(one, from, rows as usize)?;
            }
            let elapsed = started.elapsed().as_secs_f64();
            if round > 0 {
                us.push(elapsed * 1e6 / number as f64);
                *seeks += asked as f64 / (number * rounds) as f64;
            }
        }
    }
    let made = open.iter().zip(figures).filter_map(|(one, (us, seeks))| {
        Some(Scans { name: one.name.clone(), rows, us: Figure::of(us)?, seeks })
    });
    Ok(made.collect())
}

/// The partitions that it asked.
fn scan(one: &Open, from: &[u8], rows: usize) -> Result<usize> {
    let mut last = Vec::with_capacity(annulus_workload::KEY_BYTES);
    let mut read = 0;
    one.engine.scan(from, rows, &mut |key, _| {
        read += 1;
        if read == rows || read % 64 == 0 {
            last.clear();
            last.extend_from_slice(key);
        }
    })?;
    Ok(match &one.boundaries {
        None => (SHARDS * PARTITIONS) as usize,
        Some(boundaries) => {
            let place = |key: &[u8]| boundaries.partition_point(|boundary| boundary[..] <= *key);
            // A scan that came to the end of the keys has asked the last partition.
            let end = if read < rows { boundaries.len() } else { place(&last) };
            end - place(from) + 1
        }
    })
}
