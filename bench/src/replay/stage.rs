//! The store that a replay drives, and what it holds before.

use super::reshapes::Reshapes;
use super::script::{Keys, Script};
use super::value::{self, Held};
use crate::loader::Loader;
use annulus::placement::RangeMap;
use annulus::topology::KeyspaceSpec;
use annulus::{CreateMode, Durability, ErrorKind, Keyspace, Options, Result, Store};
use annulus_workload::engines::Partitioning;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Where the store is, and how what is missing is created.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The directory of the store.
    pub directory: PathBuf,
    /// The options that it is opened with.
    pub options: Options,
    /// The shards of a store that is created.
    pub shards: u32,
    /// The name of the keyspace.
    pub keyspace: String,
    /// How a keyspace that is created is partitioned.
    pub partitioning: Partitioning,
    /// The partitions of a keyspace that is created: ranges with equal numbers of the keys, or
    /// arcs, of which each shard has at least one.
    pub partitions: u32,
    /// Whether every key is written before the replay.
    pub preload: bool,
    /// The length of the values for which the script has none.
    pub value_bytes: u32,
}

/// The open store, and what is known about the keyspace.
#[derive(Debug)]
pub struct Stage {
    pub(super) store: Store,
    pub(super) keyspace: Keyspace,
    /// Whether no one else has ever written the keyspace.
    pub(super) alone: bool,
    pub(super) preloaded: Option<Preloaded>,
    pub(super) reshapes: Reshapes,
    pub(super) value_bytes: u32,
}

/// What was written before the replay.
#[derive(Debug, Clone, Copy)]
pub struct Preloaded {
    /// How many keys.
    pub keys: u64,
    /// How long that took.
    pub seconds: f64,
}

impl Stage {
    /// Opens the store, creates what is missing, and writes every key if requested; `loaded` is
    /// called with the number of keys after each.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn set(setup: &Setup, script: &Script, loaded: impl FnMut(u64)) -> Result<Self> {
        let Setup { options, value_bytes, .. } = setup;
        let reshapes = Reshapes::default();
        let open = |options: Options| -> Result<Store> {
            let builder =
                Store::builder(&setup.directory).options(options).listener(reshapes.listener());
            // An existing store is taken with the shards that it has.
            let open = builder.clone().create(CreateMode::Never).open();
            match open {
                Err(error) if error.kind() == ErrorKind::NotFound && is_free(&setup.directory) => {
                    builder.shards(setup.shards).create(CreateMode::New).open()
                }
                opened => opened,
            }
        };
        // Loading is not part of the load to be balanced, so it is not counted.
        let heat = if setup.preload { None } else { options.heat };
        let mut store = open(options.clone().heat(heat))?;
        let (mut keyspace, alone) = keyspace(&store, setup, &script.keys)?;
        let mut preloaded = None;
        if setup.preload {
            let written = load(&store, &keyspace, &script.keys, *value_bytes, loaded);
            // Also after an error: the threads of the store must end before the process does.
            drop(keyspace);
            let closed = store.close();
            preloaded = Some(written?);
            closed?;
            drop(store);
            store = open(options.clone())?;
            keyspace = store.keyspace(&setup.keyspace)?;
        }
        Ok(Self { store, keyspace, alone, preloaded, reshapes, value_bytes: *value_bytes })
    }

    /// Returns what was written before the replay; `None` if that was not requested.
    #[must_use]
    pub const fn preloaded(&self) -> Option<Preloaded> {
        self.preloaded
    }

    /// Closes the store.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub fn close(self) -> Result<()> {
        self.store.close()
    }

    /// Returns what the keys hold now.
    pub(super) fn held(&self, keys: &Keys) -> Vec<Held> {
        let held = |bytes: &Option<u32>| match (self.preloaded, self.alone) {
            (Some(_), _) => Held::Value { sequence: 1, bytes: bytes.unwrap_or(self.value_bytes) },
            (None, true) => Held::Nothing,
            (None, false) => Held::Unknown,
        };
        keys.bytes.iter().map(held).collect()
    }
}

/// Returns true if a directory has no store.
fn is_free(directory: &Path) -> bool {
    !directory.join("STORE").exists()
}

/// Returns the keyspace, and whether it was created just now.
fn keyspace(store: &Store, setup: &Setup, keys: &Keys) -> Result<(Keyspace, bool)> {
    match store.keyspace(&setup.keyspace) {
        Ok(keyspace) => return Ok((keyspace, false)),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let spec: KeyspaceSpec = match setup.partitioning {
        Partitioning::Hash => {
            let shards = store.topology().shards().len() as u32;
            KeyspaceSpec::hash().arcs_per_shard(setup.partitions.div_ceil(shards)).into()
        }
        Partitioning::Range => {
            let mut sorted: Vec<Vec<u8>> = keys.keys.iter().map(|key| key.to_vec()).collect();
            sorted.sort_unstable();
            let points = RangeMap::split_points(&sorted, setup.partitions as usize);
            KeyspaceSpec::range().split_at(points).into()
        }
    };
    Ok((store.create_keyspace(&setup.keyspace, spec)?, true))
}

/// Writes every key once, with sequence number 1.
fn load(
    store: &Store,
    keyspace: &Keyspace,
    keys: &Keys,
    value_bytes: u32,
    mut loaded: impl FnMut(u64),
) -> Result<Preloaded> {
    let started = Instant::now();
    let mut loader = Loader::new(store, keyspace, Durability::Buffered);
    let mut buffer = Vec::new();
    for (number, (key, bytes)) in (1..).zip(keys.keys.iter().zip(&keys.bytes)) {
        value::write(&mut buffer, key, 1, bytes.unwrap_or(value_bytes));
        loader.put(key, &buffer)?;
        loaded(number);
    }
    loader.commit()?;
    Ok(Preloaded { keys: keys.count(), seconds: started.elapsed().as_secs_f64() })
}
