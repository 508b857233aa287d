//! The cost of a move of a partition by its size.

use super::settings::{Settings, Watch, scratch};
use crate::report::data::Moves;
use annulus::planner::Request;
use annulus::reshape::{ReshapeOptions, Transport};
use annulus::topology::KeyspaceSpec;
use annulus::{Compression, CreateMode, Keyspace, Options, ShardId, Store};
use annulus_workload::Spread;
use annulus_workload::{Keys, Result, human};
use std::time::Instant;

const VALUE_BYTES: usize = 1000;
const MIB: u64 = 1 << 20;

pub(super) fn measure(settings: &Settings, watch: &mut Watch<'_, '_>) -> Result<Vec<Moves>> {
    let sizes: &[u64] = settings.or(&[8, 32, 128, 512][..], &[1, 4]);
    let mut moves = Vec::new();
    for (number, mib) in sizes.iter().enumerate() {
        watch.step(&format!("move {mib} MiB"), number + 1, sizes.len())?;
        moves.extend(of_size(settings, mib * MIB)?);
    }
    Ok(moves)
}

fn of_size(settings: &Settings, bytes: u64) -> Result<Vec<Moves>> {
    let directory = scratch(settings)?;
    // The rows do not compress, so that their bytes are those of the files.
    let options = Options::new().compression(Compression::None);
    let store = Store::builder(directory.path().join("store"))
        .create(CreateMode::New)
        .shards(2)
        .options(options)
        .open()?;
    let keyspace = store.create_keyspace("rows", KeyspaceSpec::range())?;
    let (mut random, mut value) = (fastrand::Rng::with_seed(settings.seed), [0; VALUE_BYTES]);
    for record in 0..bytes / VALUE_BYTES as u64 {
        random.fill(&mut value);
        keyspace.put(Keys::default().key(record), value)?;
    }
    store.flush()?;
    let rounds = settings.or(7, 2);
    let transports = [Transport::Link, Transport::Copy];
    let mut figures = transports.map(|transport| (transport, Vec::new(), Vec::new()));
    for _ in 0..rounds {
        for (transport, ms, pauses) in &mut figures {
            let (elapsed, pause) = move_it(&store, &keyspace, *transport)?;
            ms.push(elapsed);
            pauses.push(pause);
        }
    }
    let bytes = keyspace.stats()?.iter().map(|partition| partition.bytes_on_disk).sum();
    store.close()?;
    let made = figures.into_iter().filter_map(|(transport, ms, pauses)| {
        let pause_ms = Spread::of(pauses)?.median;
        Some(Moves { transport: transport.to_string(), bytes, ms: Spread::of(ms)?, pause_ms })
    });
    Ok(made.collect())
}

/// Moves the only partition to the other shard. Returns how long that took, and how long writes
/// waited.
fn move_it(store: &Store, keyspace: &Keyspace, transport: Transport) -> Result<(f64, f64)> {
    let partitions = keyspace.stats()?;
    let only = partitions.first().ok_or("the keyspace has no partition")?;
    let request = Request::Move { partition: only.id, to: ShardId(1 - only.owner.0.min(1)) };
    let options = ReshapeOptions::new().transport(transport);
    let started = Instant::now();
    let outcomes = store.start_with(&request, options)?.wait()?;
    let elapsed = started.elapsed().as_secs_f64() * 1e3;
    Ok((elapsed, outcomes.iter().map(|outcome| human::ms(outcome.pause)).fold(0.0, f64::max)))
}
