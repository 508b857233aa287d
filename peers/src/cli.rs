//! The command line.

use crate::engines::{Fjall, Redb, Sled};
use annulus_workload::engines::{Plain, StoreArgs};
use annulus_workload::{Args, Candidate};
use clap::{Parser, ValueEnum};

/// Runs the workloads of `annulus bench` on other embedded stores, too: the same operations in the
/// same turns, with the same threads, memory and durability, as far as each can be configured that
/// way.
///
/// The settings of each store are printed with the results.
#[derive(Debug, Parser)]
#[command(version, after_help = HELP)]
pub(crate) struct Cli {
    /// Which stores
    #[arg(
        long,
        value_name = "LIST",
        value_enum,
        value_delimiter = ',',
        default_value = "annulus,rocksdb,fjall,redb,sled"
    )]
    engine: Vec<Name>,

    #[command(flatten)]
    stores: StoreArgs,

    /// Print JSON, the same as `annulus bench` prints
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) workload: Args,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// Stores of Annulus: one for each combination of --partitioning and --shards
    Annulus,
    /// One plain RocksDB, with the settings of a store's shard
    Rocksdb,
    /// An LSM tree in Rust
    Fjall,
    /// A copy-on-write B+ tree
    Redb,
    /// A lock-free tree on a log
    Sled,
}

impl Cli {
    /// Returns the candidates, in the requested order, each once.
    pub(crate) fn candidates(&self) -> Vec<Box<dyn Candidate>> {
        let mut names = Vec::new();
        for name in &self.engine {
            if !names.contains(name) {
                names.push(*name);
            }
        }
        names.into_iter().flat_map(|name| self.candidates_of(name)).collect()
    }

    fn candidates_of(&self, name: Name) -> Vec<Box<dyn Candidate>> {
        match name {
            Name::Annulus => {
                let stores = self.stores.candidates().into_iter();
                stores.map(|store| Box::new(store) as Box<dyn Candidate>).collect()
            }
            Name::Rocksdb => vec![Box::new(Plain)],
            Name::Fjall => vec![Box::new(Fjall)],
            Name::Redb => vec![Box::new(Redb)],
            Name::Sled => vec![Box::new(Sled)],
        }
    }
}

const HELP: &str = "Examples:
  annulus-peers --json > peers.json        and then: annulus report --peers peers.json
  annulus-peers --workload a,c --threads 1,2,4
  annulus-peers --durability synced --records 50000
  annulus-peers --quick";
