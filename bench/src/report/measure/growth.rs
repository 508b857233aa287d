//! How even the shards are, and what moves, while shards are added one by one.

use super::settings::{Settings, Watch, scratch};
use crate::report::data::Growth;
use annulus::topology::{KeyspaceSpec, Partitioning};
use annulus::{CreateMode, Keyspace, ShardId, ShardSpec, Store};
use annulus_workload::human;
use annulus_workload::{Key, Keys, Result};
use std::collections::BTreeMap;
use std::time::Instant;

const VALUE_BYTES: usize = 200;

/// Ranges for each of the shards that there will be.
const RANGES_PER_SHARD: u32 = 4;

pub(super) fn measure(settings: &Settings, watch: &mut Watch<'_, '_>) -> Result<Vec<Growth>> {
    let shards_max = settings.or(8, 3);
    let keys: Vec<Key> =
        (0..settings.or(100_000, 2_000)).map(|record| Keys::default().key(record)).collect();
    let mut growth = Vec::new();
    let boundaries =
        Keys::default().boundaries(keys.len() as u64, u64::from(shards_max * RANGES_PER_SHARD));
    let specs: [KeyspaceSpec; 2] =
        [KeyspaceSpec::hash().into(), KeyspaceSpec::range().split_at(boundaries).into()];
    for (number, spec) in specs.into_iter().enumerate() {
        watch.step("add shards one by one", number + 1, 2)?;
        let directory = scratch(settings)?;
        let builder = Store::builder(directory.path().join("store")).create(CreateMode::New);
        let store = builder.shards(1).open()?;
        let keyspace = store.create_keyspace("rows", spec)?;
        for key in &keys {
            keyspace.put(key, [b'v'; VALUE_BYTES])?;
        }
        // Shares of ranges go by the bytes of files.
        store.flush()?;
        growth.push(look(&keyspace, &keys, &[], 1, 0, 0.0));
        for shards in 2..=shards_max {
            let before = owners(&keyspace, &keys);
            let started = Instant::now();
            let outcomes =
                store.add_shard(ShardSpec::new(format!("shards/{}", shards - 1)))?.wait()?;
            let ms = started.elapsed().as_secs_f64() * 1e3;
            growth.push(look(&keyspace, &keys, &before, shards, outcomes.len() as u64, ms));
        }
        store.close()?;
    }
    Ok(growth)
}

fn owners(keyspace: &Keyspace, keys: &[Key]) -> Vec<Option<ShardId>> {
    let placement = keyspace.placement();
    let partitioning: &Partitioning = placement.partitioning();
    keys.iter().map(|key| partitioning.owner(partitioning.find(key))).collect()
}

fn look(
    keyspace: &Keyspace,
    keys: &[Key],
    before: &[Option<ShardId>],
    shards: u32,
    reshapes: u64,
    ms: f64,
) -> Growth {
    let now = owners(keyspace, keys);
    let mut counts: BTreeMap<ShardId, u64> = BTreeMap::new();
    for owner in now.iter().flatten() {
        *counts.entry(*owner).or_default() += 1;
    }
    let mut counts: Vec<u64> = counts.into_values().collect();
    // Shards that got nothing.
    counts.resize(shards as usize, 0);
    let moved = before.iter().zip(&now).filter(|(before, now)| before != now).count() as u64;
    Growth {
        partitioning: keyspace.placement().partitioning().as_str().to_owned(),
        shards,
        max_over_mean: human::max_over_mean(counts.into_iter()),
        moved: human::part(moved, keys.len() as u64),
        reshapes,
        ms,
    }
}
