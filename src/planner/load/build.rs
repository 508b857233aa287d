//! Building the model of a topology and the demand on it.

use super::demand::{Demand, PartitionDemand};
use super::model::{Model, Piece, Purpose, Shard, Source, State};
use super::numbered::Numbered;
use super::options::RebalanceOptions;
use crate::heat::Profile;
use crate::heat::split_advice::{SplitDecision, ahead};
use crate::id::{PartitionId, ShardId};
use crate::topology::{ReshapeSpec, Topology};
use std::collections::{BTreeMap, BTreeSet};

/// Returns the model with a piece for each partition, and one more for each edge at which keys are
/// appended. Fair shares are still to be set.
pub(super) fn model<'a>(
    topology: &'a Topology,
    demand: &'a Demand,
    options: &'a RebalanceOptions,
) -> Model<'a> {
    let (shards, groups) = shards(topology, demand, options.cross_zones);
    let numbers: BTreeMap<ShardId, usize> =
        shards.iter().enumerate().map(|(number, shard)| (shard.id, number)).collect();
    let sources = sources(topology, demand, options, &numbers);
    let (pieces, moves) = (Numbered::new(), Vec::new());
    let mut model = Model { options, shards, numbers, groups, sources, pieces, moves };
    for number in 0..model.sources.len() {
        add_piece(&mut model, number);
    }
    for number in 0..model.sources.len() {
        add_edge(&mut model, number);
    }
    model
}

/// Returns the shards, each in the group of its zone, and the number of groups.
fn shards(topology: &Topology, demand: &Demand, cross_zones: bool) -> (Numbered<Shard>, usize) {
    let mut groups: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    let mut shards = Numbered::new();
    for info in topology.shards() {
        let zone = info.zone.as_deref().filter(|_| !cross_zones);
        let next = groups.len();
        // A tenth stays free, for compactions and for what is written in the meantime.
        let space = demand.bytes_free.get(&info.id).map(|free| *free as f64 * 0.9);
        shards.push(Shard {
            id: info.id,
            weight: f64::from(info.weight),
            group: *groups.entry(zone).or_insert(next),
            draining: info.draining,
            load: 0.0,
            fixed_load: 0.0,
            bytes: 0.0,
            partitions: 0,
            space: space.unwrap_or(f64::INFINITY),
            fair_load: 0.0,
            fair_bytes: 0.0,
        });
    }
    (shards, groups.len())
}

fn sources<'a>(
    topology: &'a Topology,
    demand: &'a Demand,
    options: &RebalanceOptions,
    numbers: &BTreeMap<ShardId, usize>,
) -> Numbered<Source<'a>> {
    let in_flight: BTreeSet<PartitionId> =
        demand.in_flight.iter().flat_map(|spec: &ReshapeSpec| spec.sources.clone()).collect();
    let mut sources = Numbered::new();
    for keyspace in topology.keyspaces() {
        for (index, (name, owner)) in keyspace.names().enumerate() {
            let id = name.id;
            let wanted = demand.partitions.get(&id);
            let of = |of: fn(&PartitionDemand) -> f64| wanted.map_or(0.0, |it| finite(of(it)));
            let load = of(|it| it.load);
            let state = match demand.rested.get(&id).filter(|it| options.cools_down(it)) {
                _ if in_flight.contains(&id) => State::InFlight,
                Some(rested) => State::CoolsDown { rested: *rested },
                None => State::Free,
            };
            sources.push(Source {
                keyspace: keyspace.as_ref(),
                index,
                id,
                owner: numbers[&owner],
                load,
                load_max: of(|it| it.load_max).max(load),
                bytes: wanted.map_or(0, |wanted| wanted.bytes),
                profile: wanted.and_then(|wanted| wanted.profile.as_deref()),
                state,
            });
        }
    }
    sources
}

/// Adds the piece that is all of a partition.
fn add_piece(model: &mut Model<'_>, number: usize) {
    let source = &model.sources[number];
    let divisible = source.is_free() && {
        let profile = source.profile;
        profile.is_some_and(|it| is_known(model.options, it, [0, it.place_count()], source.load))
    };
    let heaviest = source.profile.and_then(Profile::heaviest_place);
    let (load, bytes, owner) = (source.load, source.bytes as f64, source.owner);
    let fixed_load = if source.is_free() { 0.0 } else { load };
    let piece = Piece {
        source: number,
        from: 0,
        to: source.profile.map_or(0, Profile::place_count),
        owner,
        load,
        bytes,
        atom: heaviest.filter(|_| divisible).map_or(load, |(_, share)| share * load),
        divisible,
        alone: false,
        purpose: Purpose::Load,
    };
    model.pieces.push(piece);
    let shard = &mut model.shards[owner];
    shard.load += load;
    shard.fixed_load += fixed_load;
    shard.bytes += bytes;
    shard.partitions += 1;
}

/// Returns true if there is enough load in some places of a profile to split for, and enough
/// samples to know where.
pub(super) fn is_known(
    options: &RebalanceOptions,
    profile: &Profile,
    [from, to]: [usize; 2],
    load: f64,
) -> bool {
    // Sums of equal weights may be off by a rounding error.
    let enough = f64::from(options.split.samples_min) - 1e-6;
    load >= options.split.load_min && to > from + 1 && profile.effective_between(from, to) >= enough
}

/// Adds a piece for keys to come, where keys are appended: those will not lie where the samples do,
/// but after them. It has no bytes yet, and cannot be divided.
fn add_edge(model: &mut Model<'_>, number: usize) {
    let options = &model.options.split;
    let piece = &model.pieces[number];
    let source = model.source_of(piece);
    let Some(profile) = source.profile.filter(|_| piece.divisible) else { return };
    if profile.rising_load_share() < 1.0 - options.half_share_max {
        return;
    }
    let Some(SplitDecision::Ahead { load_share, .. }) = ahead(profile, &source.range(), options)
    else {
        return;
    };
    let (rising, places) = (piece.load * load_share, piece.to);
    let edge = Piece {
        from: places,
        load: rising,
        bytes: 0.0,
        atom: rising,
        divisible: false,
        ..piece.clone()
    };
    let piece = &mut model.pieces[number];
    piece.load -= rising;
    piece.atom = piece.atom.min(piece.load);
    // The shard has the same load in one more piece.
    model.pieces.push(edge);
}

/// Returns a load that can be calculated with: zero for one that is negative or not a number.
fn finite(load: f64) -> f64 {
    if load.is_finite() { load.max(0.0) } else { 0.0 }
}
