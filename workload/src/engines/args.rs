//! The part of a command line that says which stores to run.

use super::sharded::{Partitioning, Sharded};
use crate::checked;

/// Which stores of Annulus.
#[derive(Debug, Clone, clap::Args)]
pub struct StoreArgs {
    /// How the stores are partitioned
    #[arg(
        long,
        value_name = "LIST",
        value_enum,
        value_delimiter = ',',
        default_value = "hash,range"
    )]
    partitioning: Vec<Partitioning>,

    /// How many shards the stores have
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "4",
          value_parser = clap::value_parser!(u32).range(1..=256))]
    shards: Vec<u32>,

    /// How many partitions a shard has at first [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    partitions: Option<u32>,

    /// How much of the --cache the stores use for the values of hot keys: 0 for none [default: an
    /// eighth]
    #[arg(long, value_name = "SIZE", value_parser = checked::memory::<usize>)]
    hot_cache: Option<usize>,
}

impl StoreArgs {
    /// Returns each combination once, whatever the lists repeat.
    #[must_use]
    pub fn candidates(&self) -> Vec<Sharded> {
        let mut candidates = Vec::new();
        for partitioning in &self.partitioning {
            for shards in &self.shards {
                let one = Sharded {
                    partitions: self.partitions,
                    hot_cache: self.hot_cache,
                    ..Sharded::new(*partitioning, *shards)
                };
                if !candidates.contains(&one) {
                    candidates.push(one);
                }
            }
        }
        candidates
    }
}
