//! The store as the planner sees it: shards, and pieces of partitions that change owner.

use super::{Demand, RebalanceOptions};
use crate::heat::Profile;
use crate::heat::split_advice::{SplitDecision, ahead};
use crate::id::{PartitionId, ShardId};
use crate::placement::PartitionRange;
use crate::topology::{KeyspaceLayout, Topology};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A shard, with what it has if all moves so far are carried out.
pub(super) struct Shard {
    pub(super) id: ShardId,
    pub(super) weight: f64,
    /// Which zone's balance it takes part in.
    pub(super) group: usize,
    pub(super) draining: bool,
    pub(super) load: f64,
    /// Of it what cannot move in this plan.
    pub(super) fixed_load: f64,
    pub(super) bytes: f64,
    pub(super) partitions: u32,
    /// How many bytes may still come.
    pub(super) space: f64,
    /// What its weight asks for.
    pub(super) fair_load: f64,
    pub(super) fair_bytes: f64,
}

impl Shard {
    pub(super) fn load_times(&self) -> f64 {
        times(self.load, self.fair_load)
    }

    pub(super) fn bytes_times(&self) -> f64 {
        times(self.bytes, self.fair_bytes)
    }
}

/// How many times `fair` this is; once if there is nothing at all.
pub(super) fn times(amount: f64, fair: f64) -> f64 {
    if fair > 0.0 { amount / fair } else { 1.0 }
}

/// A partition as it is.
pub(super) struct Source<'a> {
    pub(super) keyspace: &'a KeyspaceLayout,
    pub(super) index: usize,
    pub(super) id: PartitionId,
    pub(super) owner: usize,
    pub(super) load: f64,
    pub(super) load_max: f64,
    pub(super) bytes: u64,
    pub(super) profile: Option<&'a Profile>,
    pub(super) state: State,
}

/// Whether a partition may be touched.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Free,
    CoolsDown { rested_ms: u64 },
    UnderWay,
}

/// A part of a partition that has one owner: the places `from..to` of its profile, and what lies
/// between them and the next piece. Without a profile there is one piece, without places.
#[derive(Clone)]
pub(super) struct Piece {
    pub(super) source: usize,
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) owner: usize,
    pub(super) load: f64,
    pub(super) bytes: f64,
    /// The load of its heaviest part that cannot be divided; all of it, if its samples would be too
    /// few to cut it once it is a partition.
    pub(super) atom: f64,
    /// Whether it can be cut now, with the samples of the whole partition.
    pub(super) divisible: bool,
    /// It is one place, and ends right behind it.
    pub(super) alone: bool,
    pub(super) purpose: Purpose,
}

/// What a piece was moved for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purpose {
    Load,
    Bytes,
}

pub(super) struct Model<'a> {
    pub(super) options: &'a RebalanceOptions,
    pub(super) shards: Vec<Shard>,
    pub(super) groups: usize,
    pub(super) sources: Vec<Source<'a>>,
    /// The first piece of each source has its number; those that are cut off follow.
    pub(super) pieces: Vec<Piece>,
    /// The pieces in the order in which they moved, and their owners before.
    pub(super) moves: Vec<(usize, usize)>,
}

impl<'a> Model<'a> {
    pub(super) fn new(
        topology: &'a Topology,
        demand: &'a Demand,
        options: &'a RebalanceOptions,
    ) -> Self {
        let (shards, groups) = shards(topology, demand, options.cross_zones);
        let mut model = Self {
            options,
            shards,
            groups,
            sources: Vec::new(),
            pieces: Vec::new(),
            moves: Vec::new(),
        };
        model.add_sources(topology, demand);
        for index in 0..model.sources.len() {
            model.add_piece(index);
        }
        for index in 0..model.sources.len() {
            model.add_edge(index);
        }
        model.begin(topology, demand);
        model.set_fair();
        model
    }

    fn add_sources(&mut self, topology: &'a Topology, demand: &'a Demand) {
        let number: BTreeMap<ShardId, usize> =
            self.shards.iter().enumerate().map(|(index, shard)| (shard.id, index)).collect();
        let in_flight: std::collections::BTreeSet<PartitionId> =
            demand.in_flight.iter().flat_map(|spec| spec.sources.iter().copied()).collect();
        for keyspace in topology.keyspaces() {
            for (index, (name, owner)) in keyspace.names().enumerate() {
                let id = name.id;
                let Some(owner) = number.get(&owner).copied() else { continue };
                let state =
                    if in_flight.contains(&id) { State::UnderWay } else { self.rest(demand, id) };
                let wanted = demand.partitions.get(&id);
                let load = wanted.map_or(0.0, |wanted| amount(wanted.load));
                self.sources.push(Source {
                    keyspace: Arc::as_ref(keyspace),
                    index,
                    id,
                    owner,
                    load,
                    load_max: wanted.map_or(0.0, |wanted| amount(wanted.load_max).max(load)),
                    bytes: wanted.map_or(0, |wanted| wanted.bytes),
                    profile: wanted.and_then(|wanted| wanted.profile.as_deref()),
                    state,
                });
            }
        }
    }

    fn rest(&self, demand: &Demand, id: PartitionId) -> State {
        let rested_ms = demand.rested.get(&id).map(|rested| rested.as_millis() as u64);
        match rested_ms.filter(|rested| *rested < self.options.cool_down_ms) {
            Some(rested_ms) => State::CoolsDown { rested_ms },
            None => State::Free,
        }
    }

    fn add_piece(&mut self, index: usize) {
        let Some(source) = self.sources.get(index) else { return };
        let heaviest = source.profile.and_then(Profile::heaviest_place);
        let divisible = source.state == State::Free && self.cuttable(source);
        let (load, owner) = (source.load, source.owner);
        let atom = heaviest.filter(|_| divisible).map_or(load, |(_, share)| share * load);
        let to = source.profile.map_or(0, Profile::place_count);
        let bytes = source.bytes as f64;
        let fixed = source.state != State::Free;
        self.pieces.push(Piece {
            source: index,
            from: 0,
            to,
            owner,
            load,
            bytes,
            atom,
            divisible,
            alone: false,
            purpose: Purpose::Load,
        });
        if let Some(shard) = self.shards.get_mut(owner) {
            shard.load += load;
            shard.fixed_load += if fixed { load } else { 0.0 };
            shard.bytes += bytes;
            shard.partitions += 1;
        }
    }

    /// Whether there is enough load to cut for, and enough samples to know where.
    fn cuttable(&self, source: &Source<'_>) -> bool {
        source
            .profile
            .is_some_and(|profile| self.is_known(profile, [0, profile.place_count()], source.load))
    }

    /// The same of some places of a profile and their load.
    pub(super) fn is_known(&self, profile: &Profile, [from, to]: [usize; 2], load: f64) -> bool {
        let options = &self.options.split;
        // Sums of equal weights may be a hair off.
        let enough = f64::from(options.samples_min) - 1e-6;
        load >= options.load_min && to > from + 1 && profile.effective_between(from, to) >= enough
    }

    /// Appended keys will not lie where the samples do, but behind them: a piece that has no bytes
    /// yet, and cannot be cut.
    fn add_edge(&mut self, index: usize) {
        let Some(piece) = self.pieces.get(index).filter(|piece| piece.divisible) else { return };
        let Some(source) = self.sources.get(piece.source) else { return };
        let Some(profile) = source.profile else { return };
        if profile.rising_load_share() < 1.0 - self.options.split.half_share_max {
            return;
        }
        let Some(range) = source.keyspace.partitioning().range(source.index) else { return };
        let Some(SplitDecision::Ahead { load_share, .. }) =
            ahead(profile, &range, &self.options.split)
        else {
            return;
        };
        let (rising, places) = (piece.load * load_share, piece.to);
        let mut edge = piece.clone();
        (edge.from, edge.load, edge.bytes, edge.atom) = (places, rising, 0.0, rising);
        edge.divisible = false;
        if let Some(piece) = self.pieces.get_mut(index) {
            piece.load -= rising;
            piece.atom = piece.atom.min(piece.load);
        }
        // The shard has the same load in one more piece.
        self.pieces.push(edge);
    }

    pub(super) fn source(&self, piece: &Piece) -> Option<&Source<'a>> {
        self.sources.get(piece.source)
    }

    pub(super) fn is_free(&self, piece: &Piece) -> bool {
        self.source(piece).is_some_and(|source| source.state == State::Free)
    }

    /// The shards of a group that take part in its balance.
    pub(super) fn members(&self, group: usize) -> Vec<usize> {
        let members = self.shards.iter().enumerate();
        members
            .filter(|(_, it)| it.group == group && !it.draining)
            .map(|(index, _)| index)
            .collect()
    }

    /// The pieces that may move, by owner.
    pub(super) fn pieces_by_owner(&self) -> Vec<Vec<usize>> {
        let mut by_owner = vec![Vec::new(); self.shards.len()];
        for (index, piece) in self.pieces.iter().enumerate() {
            if let Some(pieces) = by_owner.get_mut(piece.owner).filter(|_| self.is_free(piece)) {
                pieces.push(index);
            }
        }
        by_owner
    }

    /// Books a piece to another shard.
    pub(super) fn give(&mut self, index: usize, to: usize, purpose: Purpose) {
        let Some(piece) = self.pieces.get_mut(index) else { return };
        self.moves.push((index, piece.owner));
        piece.purpose = purpose;
        self.book(index, to);
    }

    /// Takes back all moves after the first `count`.
    pub(super) fn undo(&mut self, count: usize) {
        while self.moves.len() > count {
            if let Some((index, owner)) = self.moves.pop() {
                self.book(index, owner);
            }
        }
    }

    fn book(&mut self, index: usize, to: usize) {
        let Some(piece) = self.pieces.get_mut(index) else { return };
        let from = std::mem::replace(&mut piece.owner, to);
        let (load, bytes) = (piece.load, piece.bytes);
        let home = self.sources.get(piece.source).map(|source| source.owner);
        // What is to leave a shard is still there when others arrive.
        let arrives = |shard: usize| if home == Some(shard) { 0.0 } else { bytes };
        if let Some(shard) = self.shards.get_mut(from) {
            shard.load = (shard.load - load).max(0.0);
            shard.bytes = (shard.bytes - bytes).max(0.0);
            shard.space += arrives(from);
            shard.partitions = shard.partitions.saturating_sub(1);
        }
        if let Some(shard) = self.shards.get_mut(to) {
            shard.load += load;
            shard.bytes += bytes;
            shard.space -= arrives(to);
            shard.partitions += 1;
        }
    }

    fn set_fair(&mut self) {
        for group in 0..self.groups {
            let members = self.members(group);
            let sum = |of: fn(&Shard) -> f64| -> f64 {
                members.iter().filter_map(|index| self.shards.get(*index)).map(of).sum()
            };
            let [load, bytes, weights] =
                [sum(|it| it.load), sum(|it| it.bytes), sum(|it| it.weight)];
            for index in members {
                if let Some(shard) = self.shards.get_mut(index) {
                    shard.fair_load = load * shard.weight / weights;
                    shard.fair_bytes = bytes * shard.weight / weights;
                }
            }
        }
    }

    pub(super) fn range(&self, source: &Source<'_>) -> Option<PartitionRange> {
        source.keyspace.partitioning().range(source.index)
    }
}

fn shards(topology: &Topology, demand: &Demand, cross_zones: bool) -> (Vec<Shard>, usize) {
    let mut groups: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    let mut shards = Vec::new();
    for info in topology.shards() {
        let zone = info.zone.as_deref().filter(|_| !cross_zones);
        let next = groups.len();
        // A tenth stays free, for compactions and for what is written meanwhile.
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

/// What can be reckoned with.
fn amount(load: f64) -> f64 {
    if load.is_finite() { load.max(0.0) } else { 0.0 }
}
