//! The changes during which calls are made to fail, in turn: one of each kind, so that none depends
//! on chance.

use annulus::planner::{Request, SplitAt};
use annulus::reshape::{ReshapeOptions, Transport};
use annulus::{Keyspace, PartitionId, ShardId, ShardSpec, Store};
use std::path::Path;

/// Makes the change with this number.
pub(crate) fn step(store: &Store, number: u32, random: &mut fastrand::Rng) -> annulus::Result<()> {
    let Some(keyspace) = random.choice(store.keyspaces()) else { return Ok(()) };
    match number % 10 {
        0 => move_one(store, &keyspace, Transport::Link, random),
        1 => store.flush(),
        2 => move_one(store, &keyspace, Transport::Copy, random),
        3 => split(store, &keyspace, Transport::Link, random),
        4 => store.sync(),
        5 => add_shard(store),
        6 => merge(store, &keyspace, random),
        7 => split(store, &keyspace, Transport::Copy, random),
        8 => remove_shard(store, random),
        _ => move_one(store, &keyspace, Transport::Link, random),
    }
}

fn run(store: &Store, request: &Request, options: ReshapeOptions) -> annulus::Result<()> {
    store.start_with(request, options)?.wait().map(drop)
}

/// Returns a partition and its shard.
fn one(keyspace: &Keyspace, random: &mut fastrand::Rng) -> (PartitionId, ShardId) {
    let all: Vec<_> = keyspace.placement().partitions().map(|one| (one.id, one.owner)).collect();
    random.choice(all).unwrap()
}

fn other(store: &Store, owner: ShardId, random: &mut fastrand::Rng) -> ShardId {
    let topology = store.topology();
    let others = topology.shards().map(|shard| shard.id).filter(|id| *id != owner);
    random.choice(others.collect::<Vec<_>>()).unwrap()
}

fn move_one(
    store: &Store,
    keyspace: &Keyspace,
    transport: Transport,
    random: &mut fastrand::Rng,
) -> annulus::Result<()> {
    let (partition, owner) = one(keyspace, random);
    let request = Request::Move { partition, to: other(store, owner, random) };
    run(store, &request, ReshapeOptions::new().transport(transport))
}

fn split(
    store: &Store,
    keyspace: &Keyspace,
    transport: Transport,
    random: &mut fastrand::Rng,
) -> annulus::Result<()> {
    let (partition, owner) = one(keyspace, random);
    let to = Some(other(store, owner, random));
    let request = Request::Split { partition, at: SplitAt::Middle, to };
    run(store, &request, ReshapeOptions::new().transport(transport))
}

fn merge(store: &Store, keyspace: &Keyspace, random: &mut fastrand::Rng) -> annulus::Result<()> {
    let all: Vec<_> = keyspace.placement().partitions().map(|one| one.id).collect();
    let Some([left, right]) = random.choice(all.windows(2).collect::<Vec<_>>()) else {
        return Ok(());
    };
    let request = Request::Merge { left: *left, right: *right, to: None };
    run(store, &request, ReshapeOptions::new())
}

fn add_shard(store: &Store) -> annulus::Result<()> {
    let topology = store.topology();
    let taken = |name: &String| topology.shards().any(|shard| shard.directory == Path::new(name));
    let free = (0..8).map(|n| format!("shards/{n}")).find(|name| !taken(name));
    free.map_or(Ok(()), |name| store.add_shard(ShardSpec::new(name))?.wait().map(drop))
}

fn remove_shard(store: &Store, random: &mut fastrand::Rng) -> annulus::Result<()> {
    let shards: Vec<ShardId> = store.topology().shards().map(|shard| shard.id).collect();
    match shards.len() {
        0..=2 => Ok(()),
        _ => store.remove_shard(random.choice(shards).unwrap())?.wait().map(drop),
    }
}
