//! The content of a map, collected from the store.

use crate::commands::keyspace::how;
use crate::exit::Outcome;
use crate::json::PathJson;
use crate::text;
use annulus::placement::{PartitionRange, TokenRange};
use annulus::report::PartitionStats;
use annulus::topology::{Partitioning, ShardInfo, Topology};
use annulus::{Epoch, Keyspace, PartitionId, ShardId, Store};
use annulus_workload::human;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// The signs that stand for shards, in order; readable where there is no colour.
const SIGNS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// The map of a store.
pub(crate) struct Picture {
    pub(crate) store: PathBuf,
    pub(crate) epoch: Epoch,
    pub(crate) shards: Vec<Shard>,
    pub(crate) keyspaces: Vec<KeyspaceMap>,
}

/// A shard and the sign that stands for it.
pub(crate) struct Shard {
    pub(crate) info: ShardInfo,
    pub(crate) sign: char,
}

/// The map of a keyspace.
pub(crate) struct KeyspaceMap {
    pub(crate) name: String,
    pub(crate) how: String,
    pub(crate) shares: Vec<Share>,
    /// The largest share relative to what the shard's weight asks for; `None` without keys.
    pub(crate) max_over_mean: Option<f64>,
    pub(crate) parts: Parts,
}

/// What a shard has of a keyspace.
pub(crate) struct Share {
    pub(crate) wanted: f64,
    /// Of the tokens in a hash keyspace, of the keys in a range keyspace.
    pub(crate) owned: f64,
    pub(crate) partitions: usize,
    pub(crate) keys: u64,
}

pub(crate) enum Parts {
    Arcs(Vec<Part<TokenRange>>),
    Ranges(Vec<Part<KeyRange>>),
}

/// A partition. `shard` is the position of its owner among the shards of the picture.
pub(crate) struct Part<S> {
    pub(crate) id: PartitionId,
    pub(crate) owner: ShardId,
    pub(crate) shard: usize,
    pub(crate) span: S,
    pub(crate) keys: u64,
    pub(crate) bytes: u64,
}

/// The keys of a range.
pub(crate) struct KeyRange {
    pub(crate) start: Vec<u8>,
    pub(crate) end: Option<Vec<u8>>,
}

impl Picture {
    /// Collects the content of the map of these keyspaces.
    pub(crate) fn of(store: &Store, keyspaces: &[Keyspace]) -> Outcome<Self> {
        let topology = store.topology();
        let shards = topology.shards().cloned().zip(SIGNS.chars().chain(std::iter::repeat('?')));
        let keyspaces = keyspaces
            .iter()
            .map(|keyspace| Ok(KeyspaceMap::of(&topology, keyspace, keyspace.stats()?)))
            .collect::<Outcome<_>>()?;
        Ok(Self {
            store: store.path().to_owned(),
            epoch: topology.epoch(),
            shards: shards.map(|(info, sign)| Shard { info, sign }).collect(),
            keyspaces,
        })
    }

    /// Returns the sign of the shard in this position.
    pub(crate) fn sign(&self, shard: usize) -> char {
        self.shards.get(shard).map_or('?', |shard| shard.sign)
    }

    /// Returns the map as one JSON object.
    pub(crate) fn json(&self) -> Value {
        let shards: Vec<_> = self.shards.iter().map(|shard| &shard.info).collect();
        let keyspaces: Vec<_> =
            self.keyspaces.iter().map(|keyspace| keyspace.json(&self.shards)).collect();
        json!({
            "store": PathJson(&self.store),
            "epoch": self.epoch,
            "shards": shards,
            "keyspaces": keyspaces,
        })
    }
}

impl KeyspaceMap {
    fn of(topology: &Topology, keyspace: &Keyspace, stats: Vec<PartitionStats>) -> Self {
        let placement = keyspace.placement();
        let place = |owner| topology.shards().position(|shard| shard.id == owner);
        let keys_sum = stats.iter().map(|partition| partition.keys_estimated).sum();
        let weight_sum: f64 = topology.shards().map(|shard| f64::from(shard.weight)).sum();
        let tokens: Vec<_> = match placement.partitioning() {
            Partitioning::Hash { ring, .. } => ring.shares(),
            _ => Vec::new(),
        };
        let shares: Vec<Share> = topology
            .shards()
            .map(|shard| {
                let mine = stats.iter().filter(|partition| partition.owner == shard.id);
                let keys = mine.clone().map(|partition| partition.keys_estimated).sum();
                let tokens = tokens.iter().find(|share| share.shard == shard.id);
                Share {
                    wanted: f64::from(shard.weight) / weight_sum,
                    owned: tokens.map_or(human::part(keys, keys_sum), |tokens| tokens.share),
                    partitions: mine.count(),
                    keys,
                }
            })
            .collect();
        let known = !tokens.is_empty() || keys_sum > 0;
        let ratio = |share: &Share| share.owned / share.wanted;
        let max_over_mean = known.then(|| shares.iter().map(ratio).fold(0.0, f64::max));
        let parts =
            stats.into_iter().map(|stats| (place(stats.owner).unwrap_or(usize::MAX), stats));
        let parts = match placement.partitioning() {
            Partitioning::Hash { .. } => Parts::Arcs(parts.filter_map(arc).collect()),
            _ => Parts::Ranges(parts.filter_map(range).collect()),
        };
        let (name, how) = (keyspace.name().to_owned(), how(keyspace));
        Self { name, how, shares, max_over_mean, parts }
    }

    pub(crate) fn partitions(&self) -> usize {
        match &self.parts {
            Parts::Arcs(arcs) => arcs.len(),
            Parts::Ranges(ranges) => ranges.len(),
        }
    }

    fn json(&self, shards: &[Shard]) -> Value {
        let shares: Vec<Value> = shards
            .iter()
            .zip(&self.shares)
            .map(|(shard, share)| {
                json!({
                    "shard": shard.info.id,
                    "partitions": share.partitions,
                    "wanted": share.wanted,
                    "owned": share.owned,
                    "keys_estimated": share.keys,
                })
            })
            .collect();
        let mut object = json!({
            "name": self.name,
            "partitioned_by": self.how,
            "max_over_mean": self.max_over_mean,
            "shares": shares,
        });
        let (name, parts): (_, Vec<Value>) = match &self.parts {
            Parts::Arcs(arcs) => ("arcs", arcs.iter().map(arc_json).collect()),
            Parts::Ranges(ranges) => ("ranges", ranges.iter().map(range_json).collect()),
        };
        if let Some(object) = object.as_object_mut() {
            object.insert(name.to_owned(), parts.into());
        }
        object
    }
}

fn arc((shard, stats): (usize, PartitionStats)) -> Option<Part<TokenRange>> {
    match stats.range {
        PartitionRange::Tokens(span) => Some(part(shard, &stats, span)),
        PartitionRange::Keys(_) => None,
    }
}

fn range((shard, stats): (usize, PartitionStats)) -> Option<Part<KeyRange>> {
    match &stats.range {
        PartitionRange::Keys(span) => {
            let span = KeyRange {
                start: span.start.to_vec(),
                end: span.end.as_ref().map(|end| end.to_vec()),
            };
            Some(part(shard, &stats, span))
        }
        PartitionRange::Tokens(_) => None,
    }
}

fn part<S>(shard: usize, stats: &PartitionStats, span: S) -> Part<S> {
    Part {
        id: stats.id,
        owner: stats.owner,
        shard,
        span,
        keys: stats.keys_estimated,
        bytes: stats.bytes_on_disk + stats.bytes_in_memory,
    }
}

fn arc_json(arc: &Part<TokenRange>) -> Value {
    let mut object = part_json(arc);
    object.insert("start".into(), arc.span.start.to_string().into());
    object.insert("end".into(), arc.span.end.map(|end| end.to_string()).into());
    object.into()
}

fn range_json(range: &Part<KeyRange>) -> Value {
    let mut object = part_json(range);
    text::insert(&mut object, "start", &range.span.start, false);
    match &range.span.end {
        Some(end) => text::insert(&mut object, "end", end, false),
        None => drop(object.insert("end".into(), Value::Null)),
    }
    object.into()
}

fn part_json<S>(part: &Part<S>) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("partition".into(), json!(part.id));
    object.insert("owner".into(), json!(part.owner));
    object.insert("keys_estimated".into(), part.keys.into());
    object.insert("bytes".into(), part.bytes.into());
    object
}
