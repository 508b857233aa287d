//! The history of the load: where it was, and when. Heat maps are drawn from it.

use super::random::Random;
use super::redistribute::Changed;
use super::reservoir::{Item, Reservoir};
use crate::id::{KeyspaceId, ShardId};
use crate::placement::PartitionRange;
use crate::topology::{KeyspaceLayout, ReshapeKind, SplitPoint};
use crate::units;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The maximum number of intervals of a keyspace.
pub const HISTORY_INTERVALS_MAX: usize = 240;
/// The maximum number of samples of an interval.
pub const HISTORY_SAMPLES_MAX: usize = 256;
/// The maximum number of reshapes of a history.
pub const HISTORY_RESHAPES_MAX: usize = 1_024;
/// The longest key that is kept, in bytes; longer ones are cut off.
const KEY_BYTES_MAX: usize = 128;

/// The history of the load, from the beginning of the tracker to now.
///
/// Time is divided into intervals of one length. When there are [`HISTORY_INTERVALS_MAX`],
/// neighbours are joined and intervals are twice as long from then on, as in round-robin databases;
/// so the history reaches back to the beginning, and gets coarser. It has at most
/// [`HISTORY_SAMPLES_MAX`] samples of each interval: 61,440 a keyspace, with 128 bytes of key at
/// most.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HeatHistory {
    /// How long an interval is. Serialized as `slot_ms`.
    #[serde(rename = "slot_ms", with = "units::ms")]
    pub interval: Duration,
    /// The keyspaces that had load.
    pub keyspaces: Vec<KeyspaceHistory>,
    /// The last reshapes, in order: at most [`HISTORY_RESHAPES_MAX`].
    #[serde(rename = "marks")]
    pub reshapes: VecDeque<ReshapeEvent>,
}

/// The history of one keyspace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KeyspaceHistory {
    /// The keyspace.
    pub keyspace: KeyspaceId,
    /// Its intervals, in order; those without load are left out.
    #[serde(rename = "slots")]
    pub intervals: Vec<HistoryInterval>,
}

/// The load of one interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HistoryInterval {
    /// When it begins, since the beginning. Serialized as `at_ms`.
    #[serde(rename = "at_ms", with = "units::ms")]
    pub at: Duration,
    /// Its load, summed up.
    pub total: f64,
    /// Samples of it, in no order.
    #[serde(rename = "places")]
    pub samples: Vec<HistorySample>,
}

/// A sampled operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HistorySample {
    /// The key, or the token.
    pub at: SplitPoint,
    /// How much of the interval's total it stands for, by estimate.
    pub weight: f64,
}

/// A reshape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReshapeEvent {
    /// When it was seen, since the beginning, to the millisecond. Serialized as `at_ms`.
    #[serde(rename = "at_ms", with = "units::ms")]
    pub at: Duration,
    /// The keyspace.
    pub keyspace: KeyspaceId,
    /// How it changed the number of partitions. Several that were seen at once, one inside the
    /// other, are one.
    pub kind: ReshapeKind,
    /// What its targets cover, in order, and their owners.
    pub targets: Vec<(PartitionRange, ShardId)>,
}

/// Records a history.
#[derive(Debug)]
pub(super) struct Recorder {
    history: HeatHistory,
    /// The interval that is filled now, by number.
    interval: u64,
    /// When it ends.
    ends: Duration,
    live: BTreeMap<KeyspaceId, Live>,
}

#[derive(Debug)]
struct Live {
    total: f64,
    samples: Reservoir<SplitPoint>,
}

impl Default for Live {
    fn default() -> Self {
        Self { total: 0.0, samples: Reservoir::new(HISTORY_SAMPLES_MAX) }
    }
}

impl Live {
    fn restore(&mut self, interval: HistoryInterval, random: &mut Random) {
        self.total += interval.total;
        let samples = interval.samples.into_iter().filter(|sample| sample.weight > 0.0);
        self.samples.absorb(samples.map(|HistorySample { at, weight }| {
            Item::restored(at, 0.0, weight, random.ln_exponential())
        }));
    }

    fn interval(&self, at: Duration) -> HistoryInterval {
        let samples = self.samples.weighted(0.0);
        let samples =
            samples.map(|(at, weight)| HistorySample { at: at.clone(), weight }).collect();
        HistoryInterval { at, total: self.total, samples }
    }
}

impl Recorder {
    pub(super) fn new(interval: Duration) -> Self {
        // In whole milliseconds, as it is written down.
        let interval = Duration::from_millis(units::whole_ms(interval).max(1));
        let history = HeatHistory { interval, ..HeatHistory::default() };
        let ends = begin_of(1, interval);
        Self { history, interval: 0, ends, live: BTreeMap::new() }
    }

    /// Returns a recorder that continues a history, and its last interval.
    pub(super) fn continued(
        mut history: HeatHistory,
        interval: Duration,
        random: &mut Random,
    ) -> Self {
        if history.interval.is_zero() {
            return Self::new(interval);
        }
        let intervals = history.keyspaces.iter().flat_map(|keyspace| &keyspace.intervals);
        let last = intervals.map(|interval| interval.at).max().unwrap_or_default();
        let mut live: BTreeMap<KeyspaceId, Live> = BTreeMap::new();
        for keyspace in &mut history.keyspaces {
            if let Some(interval) = keyspace.intervals.pop_if(|interval| interval.at == last) {
                live.entry(keyspace.keyspace).or_default().restore(interval, random);
            }
        }
        let interval = number_of(last, history.interval);
        Self {
            interval,
            ends: begin_of(interval.saturating_add(1), history.interval),
            history,
            live,
        }
    }

    /// Records a load. The caller has advanced to its time.
    pub(super) fn record(
        &mut self,
        keyspace: KeyspaceId,
        load: f64,
        ln_draw: f64,
        at: impl FnOnce() -> SplitPoint,
    ) {
        let live = self.live.entry(keyspace).or_default();
        live.total += load;
        live.samples.offer(0.0, load, ln_draw, || match at() {
            SplitPoint::Key(key) => {
                SplitPoint::Key(key.get(..KEY_BYTES_MAX).unwrap_or(&key).into())
            }
            token @ SplitPoint::Token(_) => token,
        });
    }

    /// Ends the intervals that are over at `now`.
    pub(super) fn advance(&mut self, now: Duration, random: &mut Random) {
        if now < self.ends {
            return;
        }
        self.begin_interval(number_of(now, self.history.interval).max(self.interval));
        while self.interval >= HISTORY_INTERVALS_MAX as u64 {
            self.history.interval = self.history.interval.saturating_mul(2);
            for keyspace in &mut self.history.keyspaces {
                join(&mut keyspace.intervals, self.history.interval, random);
            }
            self.interval /= 2;
        }
        self.ends = begin_of(self.interval.saturating_add(1), self.history.interval);
    }

    /// Adds the present interval to the history, and begins another one.
    fn begin_interval(&mut self, next: u64) {
        let at = begin_of(self.interval, self.history.interval);
        for (id, live) in std::mem::take(&mut self.live) {
            push(&mut self.history.keyspaces, id, live.interval(at));
        }
        self.interval = next;
    }

    pub(super) fn record_reshapes(
        &mut self,
        now: Duration,
        keyspace: &KeyspaceLayout,
        changes: &[Changed],
    ) {
        let at = Duration::from_millis(units::whole_ms(now));
        for change in changes {
            let target = |index| (keyspace.range(index), keyspace.owner(index));
            let targets = change.now.clone().map(target).collect();
            let (keyspace, kind) = (keyspace.id(), change.kind);
            self.history.reshapes.push_back(ReshapeEvent { at, keyspace, kind, targets });
        }
        let surplus = self.history.reshapes.len().saturating_sub(HISTORY_RESHAPES_MAX);
        self.history.reshapes.drain(..surplus);
    }

    /// Drops the history of keyspaces that no longer exist.
    pub(super) fn retain(&mut self, is_there: impl Fn(KeyspaceId) -> bool) {
        self.live.retain(|id, _| is_there(*id));
        self.history.keyspaces.retain(|keyspace| is_there(keyspace.keyspace));
        self.history.reshapes.retain(|mark| is_there(mark.keyspace));
    }

    /// Returns the history with the interval that is being filled.
    pub(super) fn finished(&self) -> HeatHistory {
        let mut history = self.history.clone();
        for (id, live) in &self.live {
            let at = begin_of(self.interval, history.interval);
            push(&mut history.keyspaces, *id, live.interval(at));
        }
        history
    }
}

/// Returns when an interval begins, by its number.
fn begin_of(number: u64, length: Duration) -> Duration {
    Duration::from_millis(number.saturating_mul(units::whole_ms(length)))
}

/// Returns the number of the interval that a time is in.
fn number_of(at: Duration, length: Duration) -> u64 {
    units::whole_ms(at) / units::whole_ms(length).max(1)
}

fn push(keyspaces: &mut Vec<KeyspaceHistory>, keyspace: KeyspaceId, interval: HistoryInterval) {
    match keyspaces.iter_mut().find(|history| history.keyspace == keyspace) {
        Some(history) => history.intervals.push(interval),
        None => keyspaces.push(KeyspaceHistory { keyspace, intervals: vec![interval] }),
    }
}

/// Joins intervals that begin in the same of the longer intervals.
fn join(intervals: &mut Vec<HistoryInterval>, length: Duration, random: &mut Random) {
    let mut joined: Vec<HistoryInterval> = Vec::with_capacity(intervals.len() / 2 + 1);
    for mut interval in intervals.drain(..) {
        interval.at = begin_of(number_of(interval.at, length), length);
        match joined.last_mut().filter(|last| last.at == interval.at) {
            Some(last) => {
                last.total += interval.total;
                last.samples.append(&mut interval.samples);
            }
            None => joined.push(interval),
        }
    }
    for interval in &mut joined {
        thin(&mut interval.samples, random);
    }
    *intervals = joined;
}

/// Draws as many samples as an interval may have.
fn thin(samples: &mut Vec<HistorySample>, random: &mut Random) {
    if samples.len() <= HISTORY_SAMPLES_MAX {
        return;
    }
    let mut kept = Reservoir::new(HISTORY_SAMPLES_MAX);
    for sample in samples.drain(..) {
        kept.offer(0.0, sample.weight, random.ln_exponential(), || sample.at);
    }
    let drawn = kept.weighted(0.0).map(|(at, weight)| HistorySample { at: at.clone(), weight });
    samples.extend(drawn);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_and_json_are_what_they_were_when_times_were_numbers() {
        let ms = Duration::from_millis;
        let keyspace = KeyspaceId(1);
        let intervals = vec![HistoryInterval { at: ms(4000), total: 1.5, samples: Vec::new() }];
        let reshape =
            ReshapeEvent { at: ms(4321), keyspace, kind: ReshapeKind::Move, targets: Vec::new() };
        let history = HeatHistory {
            interval: ms(2000),
            keyspaces: vec![KeyspaceHistory { keyspace, intervals }],
            reshapes: [reshape].into(),
        };
        let record = postcard::to_stdvec(&history).unwrap();
        let hex: String = record.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "d00f010101a01f000000000000f83f0001e121010000");
        assert_eq!(postcard::from_bytes::<HeatHistory>(&record).unwrap(), history);
        assert_eq!(
            serde_json::to_string(&history).unwrap(),
            concat!(
                r#"{"slot_ms":2000,"#,
                r#""keyspaces":[{"keyspace":1,"slots":[{"at_ms":4000,"total":1.5,"places":[]}]}],"#,
                r#""marks":[{"at_ms":4321,"keyspace":1,"kind":"move","targets":[]}]}"#
            )
        );
    }
}
