//! The part of a command line that says which stores to run.

use super::{Partitioning, Sharded};

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

    /// How many partitions a shard has at first [default: 16 arcs, or 4 ranges]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    partitions: Option<u32>,
}

impl StoreArgs {
    /// Each combination once, whatever the lists repeat.
    #[must_use]
    pub fn candidates(&self) -> Vec<Sharded> {
        let mut candidates = Vec::new();
        for partitioning in &self.partitioning {
            for shards in &self.shards {
                let (partitioning, shards) = (*partitioning, *shards);
                let one = Sharded { partitioning, shards, partitions: self.partitions };
                if !candidates.contains(&one) {
                    candidates.push(one);
                }
            }
        }
        candidates
    }
}
