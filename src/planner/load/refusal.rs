//! What was considered and not done.

use crate::id::{KeyspaceId, PartitionId, ShardId};
use crate::planner::format::human;
use crate::units;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// How many refusals are listed; further ones are counted.
const REFUSALS_MAX: usize = 64;

/// How many pieces or partitions of a shard are refused by name.
pub(super) const EXPLAINED: usize = 4;

/// Something that was considered and not done. Its text is one line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Refusal {
    /// What it is about.
    pub subject: Subject,
    /// Why it was not done.
    pub reason: Reason,
}

/// What a [`Refusal`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Subject {
    /// A partition.
    Partition(PartitionId),
    /// A shard.
    Shard(ShardId),
    /// A keyspace.
    Keyspace(KeyspaceId),
    /// The plan as a whole.
    Plan,
}

/// Why something was not done, with the figures. Loads are in operations a second, shares go from 0
/// to 1, times are multiples of a shard's fair share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// The shard is the worst, but not bad enough for anything to be done.
    Balanced {
        /// How many times its fair share it has.
        times: f64,
        /// From how many on something is done.
        start: f64,
    },
    /// All shards of the zone together have too little load to tell noise from imbalance.
    LittleLoad {
        /// The load.
        load: f64,
        /// The least there should be.
        wanted: f64,
    },
    /// All that could be taken off the shard is not worth it.
    LittleGain {
        /// What it could be relieved of, of its fair share.
        gain: f64,
        /// The least there should be.
        wanted: f64,
    },
    /// One key or token has more load than its shard's share, and cannot be divided.
    OneKey {
        /// The load.
        load: f64,
        /// The shard's fair share.
        fair: f64,
    },
    /// The partition would have to be split, and its profile says too little about where.
    NoProfile {
        /// What the profile is worth, in samples of equal weight.
        samples: f64,
        /// The least there should be.
        wanted: u32,
    },
    /// The partition would have to be split, and every split point that fits cuts too many scans.
    CutsScans {
        /// The least share of the scans that a split would cut.
        scans_cut: f64,
        /// The most that is allowed.
        most: f64,
    },
    /// The partition has too little load to be split, and no shard has room for all of it.
    LittleToCut {
        /// The load.
        load: f64,
        /// The least there should be.
        wanted: f64,
    },
    /// No shard has room for this load.
    NoRoom {
        /// The load.
        load: f64,
        /// The most room that a shard has.
        room: f64,
    },
    /// No shard that has room for the load has room for the bytes.
    NoSpace {
        /// The bytes of what should move.
        bytes: u64,
        /// The most that a shard has free.
        free: u64,
    },
    /// No shard may get another partition.
    ManyPartitions {
        /// The most that is allowed.
        most: u32,
    },
    /// The partition has been reshaped recently.
    CoolsDown {
        /// How long ago.
        #[serde(rename = "rested_ms", with = "units::ms")]
        rested: Duration,
        /// How long it rests.
        #[serde(rename = "wanted_ms", with = "units::ms")]
        wanted: Duration,
    },
    /// A reshape of the partition is in flight.
    #[serde(rename = "under_way")]
    InFlight {
        /// The load.
        load: f64,
    },
    /// The shard is draining: the job that drains it moves what it has.
    Draining {
        /// How many partitions it has.
        partitions: u32,
    },
    /// The shard has too many bytes, and no partition fits where there is room.
    NoBytesMove {
        /// How many times its fair share it has.
        times: f64,
        /// From how many on something is done.
        start: f64,
    },
    /// The keyspace has more partitions than its goal, and no neighbours to merge.
    NothingToMerge {
        /// How many partitions it has.
        partitions: usize,
        /// How many it should have.
        goal: usize,
    },
    /// More actions than a plan may have.
    ManyActions {
        /// How many are left for later.
        left_out: usize,
        /// The most that is allowed.
        most: usize,
    },
}

impl Reason {
    /// Returns its short name, by which refusals beyond the list are counted.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Balanced { .. } => "balanced",
            Self::LittleLoad { .. } => "little_load",
            Self::LittleGain { .. } => "little_gain",
            Self::OneKey { .. } => "one_key",
            Self::NoProfile { .. } => "no_profile",
            Self::CutsScans { .. } => "cuts_scans",
            Self::LittleToCut { .. } => "little_to_cut",
            Self::NoRoom { .. } => "no_room",
            Self::NoSpace { .. } => "no_space",
            Self::ManyPartitions { .. } => "many_partitions",
            Self::CoolsDown { .. } => "cools_down",
            Self::InFlight { .. } => "under_way",
            Self::Draining { .. } => "draining",
            Self::NoBytesMove { .. } => "no_bytes_move",
            Self::NothingToMerge { .. } => "nothing_to_merge",
            Self::ManyActions { .. } => "many_actions",
        }
    }
}

/// Refusals so far.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    pub(super) listed: Vec<Refusal>,
    pub(super) more: BTreeMap<String, u64>,
}

impl Refusals {
    pub(super) fn add(&mut self, subject: Subject, reason: Reason) {
        if self.listed.len() < REFUSALS_MAX {
            self.listed.push(Refusal { subject, reason });
        } else {
            *self.more.entry(reason.as_str().to_owned()).or_default() += 1;
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.reason)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partition(id) => write!(f, "partition {id}"),
            Self::Shard(id) => write!(f, "shard {id}"),
            Self::Keyspace(id) => write!(f, "keyspace {id}"),
            Self::Plan => f.write_str("the plan"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Balanced { times, start } => {
                write!(f, "{times:.2} times its share of the load; nothing is done up to {start}")
            }
            Self::LittleLoad { load, wanted } => write!(
                f,
                "its zone has {load:.1} operations a second, and less than {wanted} is noise"
            ),
            Self::LittleGain { gain, wanted } => write!(
                f,
                "it could be relieved of {gain:.3} of its share, and less than {wanted} is not \
                 worth it"
            ),
            Self::OneKey { load, fair } => write!(
                f,
                "one place has {load:.1} operations a second, and its shard's share is {fair:.1}"
            ),
            Self::NoProfile { samples, wanted } => {
                write!(f, "not cut: its profile is worth {samples:.1} samples, of {wanted} wanted")
            }
            Self::CutsScans { scans_cut, most } => write!(
                f,
                "not cut: that would cut {:.1} % of its scans, of {:.1} % allowed",
                scans_cut * 100.0,
                most * 100.0
            ),
            Self::LittleToCut { load, wanted } => write!(
                f,
                "not cut: it has {load:.1} operations a second, and is cut from {wanted} on"
            ),
            Self::NoRoom { load, room } => write!(
                f,
                "it has {load:.1} operations a second, and no shard has room for more than {room:.1}"
            ),
            Self::NoSpace { bytes, free } => write!(
                f,
                "it has {}, and the shards with room for its load have {} free at most",
                human((*bytes).into()),
                human((*free).into())
            ),
            Self::ManyPartitions { most } => {
                write!(f, "the shards with room already have {most} partitions, and get no more")
            }
            Self::CoolsDown { rested, wanted } => {
                let (rested, wanted) = (rested.as_millis(), wanted.as_millis());
                write!(f, "reshaped {rested} ms ago, and it rests for {wanted} ms")
            }
            Self::InFlight { load } => {
                write!(f, "{load:.1} operations a second; a reshape of it is in flight")
            }
            Self::Draining { partitions } => {
                write!(
                    f,
                    "draining: its {partitions} partitions are left to the job that drains it"
                )
            }
            Self::NoBytesMove { times, start } => write!(
                f,
                "{times:.2} times its share of the bytes, above {start} it should lose some, but \
                 no partition fits elsewhere"
            ),
            Self::NothingToMerge { partitions, goal } => write!(
                f,
                "{partitions} partitions, of {goal} wanted, but no neighbours are cold and small"
            ),
            Self::ManyActions { left_out, most } => {
                write!(f, "{left_out} actions left for later, because a plan has {most} at most")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    /// A past bug: renaming a variant in the code changed the name under which its refusals are
    /// counted, so that it differed from the one under which they are listed.
    #[test]
    fn a_reason_is_counted_under_the_name_that_it_is_listed_with() {
        let reasons = [
            Reason::InFlight { load: 1.0 },
            Reason::Draining { partitions: 1 },
            Reason::CoolsDown {
                rested: Duration::from_millis(1),
                wanted: Duration::from_millis(2),
            },
            Reason::NothingToMerge { partitions: 2, goal: 1 },
            Reason::ManyActions { left_out: 1, most: 1 },
        ];
        for reason in reasons {
            let listed = serde_json::to_value(&reason).unwrap();
            let names: Vec<_> = listed.as_object().unwrap().keys().collect();
            assert_eq!(names, [reason.as_str()]);
        }
    }
}
