//! Where the load was, and when: what a heat map is drawn from.

use super::random::Random;
use super::redistribute::Changed;
use super::reservoir::{Item, Reservoir};
use crate::id::{KeyspaceId, ShardId};
use crate::placement::PartitionRange;
use crate::topology::{KeyspaceLayout, ReshapeKind, SplitPoint};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The most slots of a keyspace.
pub const TRAIL_SLOTS_MAX: usize = 240;
/// The most sampled places of a slot.
pub const TRAIL_PLACES_MAX: usize = 256;
/// The most marks.
pub const TRAIL_MARKS_MAX: usize = 1_024;
/// The longest key that is kept as a place.
const PLACE_BYTES_MAX: usize = 128;

/// The history of the load, from the beginning of the tracker to now.
///
/// Time is divided into slots of one length. When there are [`TRAIL_SLOTS_MAX`], neighbours are
/// joined and slots are twice as long from then on, as in round-robin databases; so the trail
/// reaches back to the beginning, and gets coarser. Of each slot it has at most
/// [`TRAIL_PLACES_MAX`] sampled places: 61,440 a keyspace, with 128 bytes of key at most.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct HeatHistory {
    /// How long a slot is, in milliseconds.
    pub slot_ms: u64,
    /// The keyspaces that had load.
    pub keyspaces: Vec<KeyspaceTrail>,
    /// What was reshaped, in order; of many the last [`TRAIL_MARKS_MAX`].
    pub marks: VecDeque<TrailMark>,
}

/// The history of one keyspace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyspaceTrail {
    /// The keyspace.
    pub keyspace: KeyspaceId,
    /// Its slots, in order; those without load are left out.
    pub slots: Vec<TrailSlot>,
}

/// The load of one slot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrailSlot {
    /// When it begins, in milliseconds since the beginning.
    pub at_ms: u64,
    /// Its load, summed up.
    pub total: f64,
    /// Sampled places, in no order.
    pub places: Vec<TrailPlace>,
}

/// A sampled place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrailPlace {
    /// The key, or the token.
    pub at: SplitPoint,
    /// How much of the slot's total it stands for, by estimate.
    pub weight: f64,
}

/// A reshape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrailMark {
    /// When it was seen, in milliseconds since the beginning.
    pub at_ms: u64,
    /// The keyspace.
    pub keyspace: KeyspaceId,
    /// What it did. Several that were seen at once, one inside the other, are one.
    pub kind: ReshapeKind,
    /// What the partitions that came of it cover, in order, and their owners.
    pub targets: Vec<(PartitionRange, ShardId)>,
}

/// A trail in the making.
#[derive(Debug)]
pub(super) struct Recorder {
    trail: HeatHistory,
    /// The slot that is filled now, by number.
    slot: u64,
    /// When it ends.
    ends: Duration,
    live: BTreeMap<KeyspaceId, Live>,
}

#[derive(Debug)]
struct Live {
    total: f64,
    places: Reservoir<SplitPoint>,
}

impl Default for Live {
    fn default() -> Self {
        Self { total: 0.0, places: Reservoir::new(TRAIL_PLACES_MAX) }
    }
}

impl Live {
    fn restore(&mut self, slot: TrailSlot, random: &mut Random) {
        self.total += slot.total;
        let places = slot.places.into_iter().filter(|place| place.weight > 0.0);
        self.places.absorb(places.map(|TrailPlace { at, weight }| {
            Item::restored(at, 0.0, weight, random.ln_exponential())
        }));
    }

    fn slot(&self, at_ms: u64) -> TrailSlot {
        let places = self.places.worths(0.0);
        let places = places.map(|(at, weight)| TrailPlace { at: at.clone(), weight }).collect();
        TrailSlot { at_ms, total: self.total, places }
    }
}

impl Recorder {
    pub(super) fn new(slot_ms: u64) -> Self {
        let trail = HeatHistory { slot_ms: slot_ms.max(1), ..HeatHistory::default() };
        let ends = end_of(0, trail.slot_ms);
        Self { trail, slot: 0, ends, live: BTreeMap::new() }
    }

    /// Goes on with a trail from elsewhere, and with its last slot.
    pub(super) fn continued(mut trail: HeatHistory, slot_ms: u64, random: &mut Random) -> Self {
        if trail.slot_ms == 0 {
            return Self::new(slot_ms);
        }
        let slots = trail.keyspaces.iter().flat_map(|keyspace| &keyspace.slots);
        let last_ms = slots.map(|slot| slot.at_ms).max().unwrap_or(0);
        let mut live: BTreeMap<KeyspaceId, Live> = BTreeMap::new();
        for keyspace in &mut trail.keyspaces {
            if let Some(slot) = keyspace.slots.pop_if(|slot| slot.at_ms == last_ms) {
                live.entry(keyspace.keyspace).or_default().restore(slot, random);
            }
        }
        let slot = last_ms / trail.slot_ms;
        Self { slot, ends: end_of(slot, trail.slot_ms), trail, live }
    }

    /// Takes in a load. The caller has advanced to its time.
    pub(super) fn record(
        &mut self,
        keyspace: KeyspaceId,
        load: f64,
        ln_draw: f64,
        place: impl FnOnce() -> SplitPoint,
    ) {
        let live = self.live.entry(keyspace).or_default();
        live.total += load;
        live.places.offer(0.0, load, ln_draw, || match place() {
            SplitPoint::Key(key) => {
                SplitPoint::Key(key.get(..PLACE_BYTES_MAX).unwrap_or(&key).into())
            }
            token @ SplitPoint::Token(_) => token,
        });
    }

    /// Ends the slots that are over at `now`.
    pub(super) fn advance(&mut self, now: Duration, random: &mut Random) {
        if now < self.ends {
            return;
        }
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.turn((now_ms / self.trail.slot_ms).max(self.slot));
        while self.slot >= TRAIL_SLOTS_MAX as u64 {
            self.trail.slot_ms = self.trail.slot_ms.saturating_mul(2);
            for keyspace in &mut self.trail.keyspaces {
                join(&mut keyspace.slots, self.trail.slot_ms, random);
            }
            self.slot /= 2;
        }
        self.ends = end_of(self.slot, self.trail.slot_ms);
    }

    /// Writes the present slot down, and begins another one.
    fn turn(&mut self, next: u64) {
        let at_ms = self.slot.saturating_mul(self.trail.slot_ms);
        for (id, live) in std::mem::take(&mut self.live) {
            push(&mut self.trail.keyspaces, id, live.slot(at_ms));
        }
        self.slot = next;
    }

    pub(super) fn mark(&mut self, now: Duration, keyspace: &KeyspaceLayout, changes: &[Changed]) {
        let at_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        for change in changes {
            let targets = change.now.clone().filter_map(|index| keyspace.partition(index));
            let targets = targets.map(|partition| (partition.range, partition.owner)).collect();
            let (keyspace, kind) = (keyspace.id(), change.kind);
            self.trail.marks.push_back(TrailMark { at_ms, keyspace, kind, targets });
        }
        let surplus = self.trail.marks.len().saturating_sub(TRAIL_MARKS_MAX);
        self.trail.marks.drain(..surplus);
    }

    /// Drops the history of keyspaces that are gone.
    pub(super) fn retain(&mut self, is_there: impl Fn(KeyspaceId) -> bool) {
        self.live.retain(|id, _| is_there(*id));
        self.trail.keyspaces.retain(|keyspace| is_there(keyspace.keyspace));
        self.trail.marks.retain(|mark| is_there(mark.keyspace));
    }

    /// The trail, with the slot that is being filled.
    pub(super) fn trail(&self) -> HeatHistory {
        let mut trail = self.trail.clone();
        for (id, live) in &self.live {
            push(&mut trail.keyspaces, *id, live.slot(self.slot.saturating_mul(trail.slot_ms)));
        }
        trail
    }
}

fn end_of(slot: u64, slot_ms: u64) -> Duration {
    Duration::from_millis(slot.saturating_add(1).saturating_mul(slot_ms))
}

fn push(keyspaces: &mut Vec<KeyspaceTrail>, keyspace: KeyspaceId, slot: TrailSlot) {
    match keyspaces.iter_mut().find(|trail| trail.keyspace == keyspace) {
        Some(trail) => trail.slots.push(slot),
        None => keyspaces.push(KeyspaceTrail { keyspace, slots: vec![slot] }),
    }
}

/// Joins slots that begin in the same of the longer slots.
fn join(slots: &mut Vec<TrailSlot>, slot_ms: u64, random: &mut Random) {
    let mut joined: Vec<TrailSlot> = Vec::with_capacity(slots.len() / 2 + 1);
    for mut slot in slots.drain(..) {
        slot.at_ms -= slot.at_ms % slot_ms;
        match joined.last_mut().filter(|last| last.at_ms == slot.at_ms) {
            Some(last) => {
                last.total += slot.total;
                last.places.append(&mut slot.places);
            }
            None => joined.push(slot),
        }
    }
    for slot in &mut joined {
        thin(&mut slot.places, random);
    }
    *slots = joined;
}

/// Draws as many places as a slot may have.
fn thin(places: &mut Vec<TrailPlace>, random: &mut Random) {
    if places.len() <= TRAIL_PLACES_MAX {
        return;
    }
    let mut kept = Reservoir::new(TRAIL_PLACES_MAX);
    for place in places.drain(..) {
        kept.offer(0.0, place.weight, random.ln_exponential(), || place.at);
    }
    let worths = kept.worths(0.0).map(|(at, weight)| TrailPlace { at: at.clone(), weight });
    places.extend(worths);
}
