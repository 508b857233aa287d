//! The operator's request, from the command line; the same for doing it and for planning it.

use crate::argument;
use crate::exit::Outcome;
use annulus::placement::Token;
use annulus::planner::{Request, SplitAt};
use annulus::{PartitionId, ShardId, ShardSpec, Store};
use clap::{ArgGroup, Args};
use std::ffi::OsString;
use std::path::PathBuf;

/// Arguments that describe a request.
pub(crate) trait Ask {
    /// Returns the request.
    fn request(&self) -> Outcome<Asked>;

    /// Describes it in a few words.
    fn title(&self) -> String;

    /// Describes what a job that ended early leaves, and how to continue.
    fn left(&self) -> Option<String> {
        None
    }

    /// Returns the number of the shard that a request adds.
    fn added(&self, request: &Request) -> Option<ShardId> {
        match request {
            Request::AddShard(shard) => Some(shard.id),
            _ => None,
        }
    }
}

/// A request, or what becomes one when the store is open.
pub(crate) enum Asked {
    Request(Request),
    NewShard(ShardSpec),
}

impl Asked {
    /// Returns the request for this store, which assigns a new shard its number.
    pub(crate) fn with(self, store: &Store) -> Request {
        match self {
            Self::Request(request) => request,
            Self::NewShard(shard) => store.add_shard_request(shard),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Move {
    /// The partition's number; `annulus partition list` shows it
    partition: PartitionId,

    /// The shard to move it to
    #[arg(long, value_name = "SHARD")]
    to: ShardId,
}

impl Ask for Move {
    fn request(&self) -> Outcome<Asked> {
        let Self { partition, to } = *self;
        Ok(Asked::Request(Request::Move { partition, to }))
    }

    fn title(&self) -> String {
        format!("move partition {} to shard {}", self.partition, self.to)
    }
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("place").required(true))]
pub(crate) struct Split {
    /// The partition's number; `annulus partition list` shows it
    partition: PartitionId,

    /// Before this key, in a range keyspace
    #[arg(long, value_name = "KEY", group = "place")]
    at: Option<OsString>,

    /// The key of --at is hexadecimal digits
    #[arg(long, requires = "at")]
    hex: bool,

    /// Before this token of 16 hexadecimal digits, in a hash keyspace
    #[arg(long, value_name = "HEX", group = "place")]
    at_token: Option<Token>,

    /// Into halves: by bytes in a range keyspace, by tokens in a hash keyspace
    #[arg(long, group = "place")]
    middle: bool,

    /// The shard for the right part [default: the one that has it]
    #[arg(long, value_name = "SHARD")]
    to: Option<ShardId>,
}

impl Ask for Split {
    fn request(&self) -> Outcome<Asked> {
        let at = match (&self.at, self.at_token) {
            (Some(key), _) => SplitAt::Key(argument::parse(key, self.hex)?),
            (None, Some(token)) => SplitAt::Token(token),
            (None, None) => SplitAt::Middle,
        };
        let Self { partition, to, .. } = *self;
        Ok(Asked::Request(Request::Split { partition, at, to }))
    }

    fn title(&self) -> String {
        format!("split partition {}", self.partition)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Merge {
    /// The partition that comes first in the order of tokens or keys
    left: PartitionId,

    /// The one that follows it
    right: PartitionId,

    /// The shard for the result [default: the one that has the larger of the two]
    #[arg(long, value_name = "SHARD")]
    to: Option<ShardId>,
}

impl Ask for Merge {
    fn request(&self) -> Outcome<Asked> {
        let Self { left, right, to } = *self;
        Ok(Asked::Request(Request::Merge { left, right, to }))
    }

    fn title(&self) -> String {
        format!("merge partitions {} and {}", self.left, self.right)
    }
}

#[derive(Debug, Args)]
pub(crate) struct AddShard {
    /// Its directory, often on a disk of its own; a relative one is taken from the store's. It
    /// must be missing or empty, and the parent of an absolute one must exist
    directory: PathBuf,

    /// Its share, relative to the other shards
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..))]
    weight: u32,

    /// What fails together with it
    #[arg(long, value_name = "NAME")]
    zone: Option<String>,
}

impl Ask for AddShard {
    fn request(&self) -> Outcome<Asked> {
        let shard = ShardSpec::new(&self.directory).weight(self.weight);
        Ok(Asked::NewShard(match &self.zone {
            Some(zone) => shard.zone(zone),
            None => shard,
        }))
    }

    fn title(&self) -> String {
        format!("add shard {}", self.directory.display())
    }

    fn left(&self) -> Option<String> {
        let weight = self.weight;
        Some(format!(
            "the shard was added, with what it received; `annulus shard reweight SHARD {weight}` \
             moves the rest"
        ))
    }
}

#[derive(Debug, Args)]
pub(crate) struct RemoveShard {
    /// Its number; `annulus shard list` shows it
    shard: ShardId,
}

impl Ask for RemoveShard {
    fn request(&self) -> Outcome<Asked> {
        Ok(Asked::Request(Request::RemoveShard(self.shard)))
    }

    fn title(&self) -> String {
        format!("remove shard {}", self.shard)
    }

    fn left(&self) -> Option<String> {
        let shard = self.shard;
        Some(format!(
            "shard {shard} stays, with the partitions that it still has; the same command continues"
        ))
    }
}

#[derive(Debug, Args)]
pub(crate) struct Reweigh {
    /// Its number; `annulus shard list` shows it
    shard: ShardId,

    /// Its share, relative to the other shards; the present one moves what it lacks
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    weight: u32,
}

impl Ask for Reweigh {
    fn request(&self) -> Outcome<Asked> {
        let Self { shard, weight } = *self;
        Ok(Asked::Request(Request::SetWeight { shard, weight }))
    }

    fn title(&self) -> String {
        format!("weight {} for shard {}", self.weight, self.shard)
    }

    fn left(&self) -> Option<String> {
        Some("the weight is set; the same command moves the rest".into())
    }
}
