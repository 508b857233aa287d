//! How a keyspace is to be partitioned, as the application gives it.

#[cfg(feature = "rocksdb")]
use super::keyspace::Partitioning;
use super::time_to_live::TimeToLive;
use crate::placement::HashPart;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// How a keyspace is to be partitioned.
///
/// ```
/// use annulus::placement::HashPart;
/// use annulus::topology::KeyspaceSpec;
///
/// // Keys like `user0042/orders/7`: all of one user in one partition, in order.
/// let by_user = KeyspaceSpec::hash().hashed(HashPart::Prefix { bytes: 8 });
/// // Ordered, in three ranges from the start.
/// let ordered = KeyspaceSpec::range().split_at(["h", "q"]);
/// # let _: [KeyspaceSpec; 2] = [by_user.into(), ordered.into()];
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum KeyspaceSpec {
    /// By hash: even load whatever the keys; an ordered scan reads every partition.
    Hash(HashSpec),
    /// By range: an ordered scan reads only the partitions that it crosses.
    Range(RangeSpec),
}

impl KeyspaceSpec {
    /// Partitions by the hash of the whole key, with the store's number of arcs per shard.
    #[must_use]
    pub const fn hash() -> HashSpec {
        HashSpec { hashed: HashPart::Whole, arcs_per_shard: None, time_to_live: None }
    }

    /// Partitions by the key itself, at first in a single partition, unless the specification says
    /// where to [split](RangeSpec::split_at) it.
    #[must_use]
    pub const fn range() -> RangeSpec {
        RangeSpec { boundaries: Vec::new(), time_to_live: None }
    }

    /// Returns how long its rows live; `None` if they do not expire.
    #[must_use]
    pub const fn expiry(&self) -> Option<TimeToLive> {
        match self {
            Self::Hash(spec) => spec.time_to_live,
            Self::Range(spec) => spec.time_to_live,
        }
    }

    /// The same, with other lives of its rows.
    #[cfg(feature = "rocksdb")]
    pub(crate) fn with_expiry(mut self, expiry: Option<TimeToLive>) -> Self {
        match &mut self {
            Self::Hash(spec) => spec.time_to_live = expiry,
            Self::Range(spec) => spec.time_to_live = expiry,
        }
        self
    }

    /// Fills in the number of arcs if the caller did not set it.
    #[cfg(feature = "rocksdb")]
    pub(crate) fn or_arcs_per_shard(mut self, default: u32) -> Self {
        if let Self::Hash(spec) = &mut self {
            spec.arcs_per_shard.get_or_insert(default);
        }
        self
    }

    /// Returns true if a keyspace is what this specification asks for: one that was created by
    /// `created`, if that is known, and is partitioned by `present` now. What the specification
    /// leaves open is not compared. Splits and merges change the number of arcs and the split
    /// points, so a specification may name those of the creation or, for split points, the present
    /// ones.
    #[cfg(feature = "rocksdb")]
    pub(crate) fn is_met_by(&self, created: Option<&Self>, present: &Partitioning) -> bool {
        match (self, present) {
            (Self::Hash(asked), Partitioning::Hash { hashed, .. }) => {
                let arcs = match created {
                    Some(Self::Hash(created)) => created.arcs_per_shard,
                    _ => asked.arcs_per_shard,
                };
                asked.hashed == *hashed
                    && asked.arcs_per_shard.is_none_or(|asked| arcs == Some(asked))
            }
            (Self::Range(asked), Partitioning::Range { map, .. }) => {
                let as_created = match created {
                    Some(Self::Range(created)) => asked.boundaries == created.boundaries,
                    _ => true,
                };
                asked.boundaries.is_empty()
                    || as_created
                    || map.boundaries().eq(asked.boundaries.iter().map(Vec::as_slice))
            }
            _ => false,
        }
    }

    /// Returns the specification of a keyspace that is partitioned like this.
    #[cfg(feature = "rocksdb")]
    pub(crate) fn of(partitioning: &Partitioning) -> Self {
        match partitioning {
            Partitioning::Hash { hashed, .. } => Self::hash().hashed(*hashed).into(),
            Partitioning::Range { map, .. } => {
                Self::range().split_at(map.boundaries().map(<[u8]>::to_vec)).into()
            }
        }
    }
}

/// For messages: `by hash (whole, 8 arcs per shard)`, `by range (split at "d", "m")`.
impl fmt::Display for KeyspaceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const POINTS_MAX: usize = 8;
        match self {
            Self::Hash(HashSpec { hashed, arcs_per_shard, .. }) => {
                write!(f, "by hash ({hashed}")?;
                if let Some(arcs) = arcs_per_shard {
                    write!(f, ", {arcs} arcs per shard")?;
                }
                f.write_str(")")?;
            }
            Self::Range(RangeSpec { boundaries, .. }) if boundaries.is_empty() => {
                f.write_str("by range")?;
            }
            Self::Range(RangeSpec { boundaries, .. }) => {
                f.write_str("by range (split at ")?;
                for (index, key) in boundaries.iter().take(POINTS_MAX).enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}\"{}\"", key.escape_ascii())?;
                }
                match boundaries.len().checked_sub(POINTS_MAX) {
                    None | Some(0) => f.write_str(")")?,
                    Some(more) => write!(f, " and at {more} more keys)")?,
                }
            }
        }
        match self.expiry() {
            Some(time_to_live) => write!(f, ", whose {time_to_live}"),
            None => Ok(()),
        }
    }
}

/// The partitioning of a hash keyspace; made by [`KeyspaceSpec::hash`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashSpec {
    pub(super) hashed: HashPart,
    pub(super) arcs_per_shard: Option<u32>,
    /// Recorded with the topology.
    #[serde(skip)]
    pub(super) time_to_live: Option<TimeToLive>,
}

impl HashSpec {
    /// Hashes only a part of each key: keys that share it stay in one partition, in order.
    #[must_use]
    pub const fn hashed(mut self, part: HashPart) -> Self {
        self.hashed = part;
        self
    }

    /// Sets how many arcs each shard gets. Every arc is a column family, with buffers of its own:
    /// more arcs spread a growing store more finely, and cost memory and ordered scans.
    #[must_use]
    pub const fn arcs_per_shard(mut self, arcs: u32) -> Self {
        self.arcs_per_shard = Some(arcs);
        self
    }

    /// Makes a keyspace whose rows expire this long after they were put, unless the put
    /// [says otherwise](crate::Keyspace::put_for). Whole milliseconds, at least one.
    ///
    /// An expired row is gone at once for all reads, and its space comes back later. Each row takes
    /// 8 bytes more. Whether rows expire is decided for good when a keyspace is created.
    #[must_use]
    pub const fn time_to_live(mut self, lifetime: Duration) -> Self {
        self.time_to_live = Some(TimeToLive::after(lifetime));
        self
    }

    /// Makes a keyspace whose rows expire if their put [says so](crate::Keyspace::put_for), and
    /// otherwise stay.
    #[must_use]
    pub const fn time_to_live_by_put(mut self) -> Self {
        self.time_to_live = Some(TimeToLive::BY_PUT);
        self
    }
}

impl From<HashSpec> for KeyspaceSpec {
    fn from(spec: HashSpec) -> Self {
        Self::Hash(spec)
    }
}

/// The partitioning of a range keyspace; made by [`KeyspaceSpec::range`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeSpec {
    pub(super) boundaries: Vec<Vec<u8>>,
    /// Recorded with the topology.
    #[serde(skip)]
    pub(super) time_to_live: Option<TimeToLive>,
}

impl RangeSpec {
    /// Sets the keys at which partitions begin, ascending: n keys make n + 1 partitions. They are
    /// distributed over the shards in proportion to their weights, neighbours together.
    ///
    /// Keys that are not in order, that repeat, or that are empty are refused when the keyspace is
    /// created. For keys of types, [`tuple::encode`](crate::tuple::encode) returns the bytes.
    #[must_use]
    pub fn split_at<K: Into<Vec<u8>>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.boundaries = keys.into_iter().map(Into::into).collect();
        self
    }

    /// Makes a keyspace whose rows expire this long after they were put, as
    /// [`HashSpec::time_to_live`] does.
    #[must_use]
    pub const fn time_to_live(mut self, lifetime: Duration) -> Self {
        self.time_to_live = Some(TimeToLive::after(lifetime));
        self
    }

    /// Makes a keyspace whose rows expire if their put [says so](crate::Keyspace::put_for), and
    /// otherwise stay.
    #[must_use]
    pub const fn time_to_live_by_put(mut self) -> Self {
        self.time_to_live = Some(TimeToLive::BY_PUT);
        self
    }
}

impl From<RangeSpec> for KeyspaceSpec {
    fn from(spec: RangeSpec) -> Self {
        Self::Range(spec)
    }
}

#[cfg(all(test, feature = "rocksdb"))]
mod tests {
    use super::*;
    use crate::id::ShardId;
    use crate::placement::{Member, RangeMap, Ring};

    fn range(points: &[&str]) -> KeyspaceSpec {
        KeyspaceSpec::range().split_at(points.iter().copied()).into()
    }

    #[test]
    fn what_a_specification_leaves_open_is_not_compared() {
        let owners = vec![ShardId(0); 3];
        let present = Partitioning::Range { map: RangeMap::new(["h", "q"]).unwrap(), owners };
        let created = range(&["m"]);
        let is_met = |asked: &KeyspaceSpec| asked.is_met_by(Some(&created), &present);
        assert!(is_met(&range(&[])) && is_met(&range(&["m"])) && is_met(&range(&["h", "q"])));
        assert!(!is_met(&range(&["h"])) && !is_met(&KeyspaceSpec::hash().into()));
        assert!(range(&["h"]).is_met_by(None, &present), "not known how it was created");
    }

    #[test]
    fn the_hashed_part_is_compared_and_the_arcs_of_the_creation() {
        let ring = Ring::builder().arcs_per_shard(8).shard(Member::new(ShardId(0))).build();
        let hashed = HashPart::Prefix { bytes: 2 };
        let present = Partitioning::Hash { ring: ring.unwrap(), hashed };
        let created = KeyspaceSpec::from(KeyspaceSpec::hash().hashed(hashed).arcs_per_shard(3));
        let is_met =
            |asked: HashSpec| KeyspaceSpec::from(asked).is_met_by(Some(&created), &present);
        assert!(is_met(KeyspaceSpec::hash().hashed(hashed)));
        assert!(is_met(KeyspaceSpec::hash().hashed(hashed).arcs_per_shard(3)));
        assert!(!is_met(KeyspaceSpec::hash().hashed(hashed).arcs_per_shard(8)));
        assert!(!is_met(KeyspaceSpec::hash()));
        assert!(!range(&[]).is_met_by(Some(&created), &present));
    }

    #[test]
    fn texts() {
        let spec = KeyspaceSpec::from(KeyspaceSpec::hash().arcs_per_shard(8));
        assert_eq!(spec.to_string(), "by hash (whole, 8 arcs per shard)");
        assert_eq!(range(&[]).to_string(), "by range");
        assert_eq!(range(&["a", "b"]).to_string(), r#"by range (split at "a", "b")"#);
        let many = range(&["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]).to_string();
        assert!(many.ends_with(r#""h" and at 2 more keys)"#), "{many}");
    }
}
