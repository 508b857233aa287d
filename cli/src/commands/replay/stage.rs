//! The store that a replay drives, and what it holds before.

use super::reshapes::Reshapes;
use super::script::{Keys, Script};
use super::value::{self, Held};
use super::{Args, PartitioningArg, StageArgs};
use crate::exit::{Failure, Outcome};
use crate::loader::Loader;
use crate::output::Output;
use crate::{human, progress};
use annulus::heat::HeatOptions;
use annulus::placement::RangeMap;
use annulus::topology::KeyspaceSpec;
use annulus::{CreateMode, Durability, ErrorKind, Keyspace, Options, Store};
use std::path::{Path, PathBuf};
use std::time::Instant;
use tempfile::TempDir;

/// Where the store is.
pub(super) struct Place {
    pub(super) path: PathBuf,
    /// Goes when the replay is over.
    _temporary: Option<TempDir>,
}

/// The open store, and what is known of the keyspace.
pub(super) struct Stage {
    pub(super) store: Store,
    pub(super) keyspace: Keyspace,
    /// Whether nobody else has ever written the keyspace.
    pub(super) alone: bool,
    pub(super) preloaded: Option<Preloaded>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Preloaded {
    pub(super) keys: u64,
    pub(super) seconds: f64,
}

impl Place {
    pub(super) fn of(args: &StageArgs) -> Outcome<Self> {
        if let Some(path) = &args.store {
            return Ok(Self { path: path.clone(), _temporary: None });
        }
        let temporary =
            tempfile::tempdir().map_err(Failure::io("create", &std::env::temp_dir()))?;
        Ok(Self { path: temporary.path().join("store"), _temporary: Some(temporary) })
    }
}

impl StageArgs {
    pub(super) fn options(&self) -> Outcome<Options> {
        let mut options = self.memory.options();
        let bytes = self.hot_cache.unwrap_or(0);
        options.hot_cache_bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        // The process stays for a while.
        options.reshape.trim = true;
        let balance = &self.balance;
        let rebalance = &mut options.rebalance;
        rebalance.policy = balance.policy.into();
        rebalance.interval_ms = balance.plan_every.unwrap_or(rebalance.interval_ms);
        rebalance.cool_down_ms = balance.cool_down.unwrap_or(rebalance.cool_down_ms);
        // Short runs are drawn finely; of long ones, intervals are joined.
        let mut heat = HeatOptions { trail_slot_ms: 250, ..HeatOptions::default() };
        if let Some(medium) = balance.half_life {
            heat.half_life_medium_ms = medium;
            heat.half_life_short_ms = heat.half_life_short_ms.min(medium);
            heat.half_life_long_ms = heat.half_life_long_ms.max(medium);
        }
        options.heat = Some(heat);
        options.validate()?;
        Ok(options)
    }
}

impl Stage {
    /// Opens the store, makes what is missing, and writes every key if that is wanted.
    pub(super) fn set(
        args: &Args,
        place: &Path,
        script: &Script,
        reshapes: &Reshapes,
        output: &Output,
    ) -> Outcome<Self> {
        let options = args.stage.options()?;
        let open = |options: Options| -> annulus::Result<Store> {
            Store::builder(place)
                .shards(args.stage.shards)
                .options(options)
                .listener(reshapes.listener())
                .create(CreateMode::IfMissing)
                .open()
        };
        let preload = args.stage.preload || args.from.is_some();
        // Loading is not the load that is to be balanced: nobody counts it.
        let heat = if preload { None } else { options.heat };
        let store = open(Options { heat, ..options.clone() })?;
        let (keyspace, alone) = keyspace(&store, &args.stage, &script.keys)?;
        if !preload {
            return Ok(Self { store, keyspace, alone, preloaded: None });
        }
        let loaded = load(&store, &keyspace, &script.keys, args.stage.value_bytes, output);
        drop(keyspace);
        let closed = store.close();
        let preloaded = loaded?;
        closed?;
        drop(store);
        let store = open(options)?;
        let keyspace = store.keyspace(&args.stage.keyspace)?;
        Ok(Self { store, keyspace, alone, preloaded: Some(preloaded) })
    }

    /// What the keys hold now.
    pub(super) fn held(&self, keys: &Keys, value_bytes: u32) -> Vec<Held> {
        let held = |bytes: &Option<u32>| match (self.preloaded, self.alone) {
            (Some(_), _) => Held::Value { sequence: 1, bytes: bytes.unwrap_or(value_bytes) },
            (None, true) => Held::Nothing,
            (None, false) => Held::Unknown,
        };
        keys.bytes.iter().map(held).collect()
    }
}

/// The keyspace, and whether it was made just now.
fn keyspace(store: &Store, args: &StageArgs, keys: &Keys) -> Outcome<(Keyspace, bool)> {
    match store.keyspace(&args.keyspace) {
        Ok(keyspace) => return Ok((keyspace, false)),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    let spec: KeyspaceSpec = match args.partitioning {
        PartitioningArg::Hash => {
            let shards = store.topology().shards().len() as u32;
            KeyspaceSpec::hash().arcs_per_shard(args.partitions.div_ceil(shards)).into()
        }
        PartitioningArg::Range => {
            let mut sorted: Vec<Vec<u8>> = keys.keys.iter().map(|key| key.to_vec()).collect();
            sorted.sort_unstable();
            let points = RangeMap::split_points(&sorted, args.partitions as usize);
            KeyspaceSpec::range().split_at(points).into()
        }
    };
    Ok((store.create_keyspace(&args.keyspace, spec)?, true))
}

/// Writes every key once, with sequence number 1.
fn load(
    store: &Store,
    keyspace: &Keyspace,
    keys: &Keys,
    value_bytes: u32,
    output: &Output,
) -> Outcome<Preloaded> {
    let started = Instant::now();
    let number = keys.keys.len() as u64;
    let bar = progress::rows(!output.json(), "preloading", number);
    let mut loader = Loader::new(store, keyspace, Durability::Buffered);
    let mut buffer = Vec::new();
    for (key, bytes) in keys.keys.iter().zip(&keys.bytes) {
        value::write(&mut buffer, key, 1, bytes.unwrap_or(value_bytes));
        loader.put(key, &buffer)?;
        bar.inc(1);
    }
    loader.commit()?;
    bar.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();
    let count = human::count(number);
    output.note(format_args!("wrote {count} keys in {seconds:.2} s"));
    Ok(Preloaded { keys: number, seconds })
}
