//! The outcome of a reshape.

use super::options::Transport;
use super::phase::Phase;
use crate::id::{KeyspaceId, PartitionId, ShardId};
use crate::topology::ReshapeKind;
use crate::units;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::{Duration, SystemTime};

/// How a reshape ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Outcome {
    /// The number of the reshape in its store.
    pub reshape: u64,
    /// Its kind: how it changed the number of partitions.
    pub kind: ReshapeKind,
    /// True for a trim, which only rewrites a partition without the rows of others.
    pub trim: bool,
    /// The keyspace.
    pub keyspace: KeyspaceId,
    /// The partitions that it replaced.
    pub sources: Vec<PartitionId>,
    /// The shards that held them.
    pub from: Vec<ShardId>,
    /// The partitions that it made. A partition that only moves keeps its number.
    pub targets: Vec<PartitionId>,
    /// The shards that hold them.
    pub to: Vec<ShardId>,
    /// How their content was transferred.
    pub transport: Transport,
    /// `Cleaned` or `RolledBack`; `Sealed` if its commit is in doubt.
    pub phase: Phase,
    /// Why it was rolled back.
    pub error: Option<String>,
    /// Bytes of files that were linked, or of rows that were copied.
    pub bytes: u64,
    /// Writes of keys and of ranges that were made meanwhile, and applied to the targets afterwards.
    pub keys_caught_up: u64,
    /// How many rounds of catching up there were.
    pub rounds: u32,
    /// The longest time that writes had to wait: for the commit, or for the cut at which both sides
    /// are compared. Serialized as `pause_ms`.
    #[serde(rename = "pause_ms", with = "units::fractional_ms")]
    pub pause: Duration,
    /// How long the whole reshape took. Serialized as `elapsed_ms`.
    #[serde(rename = "elapsed_ms", with = "units::fractional_ms")]
    pub elapsed: Duration,
    /// When it ended, to the second. Serialized as `unix_seconds`, which count from 1970.
    #[serde(rename = "unix_seconds", with = "units::unix_seconds")]
    pub ended_at: SystemTime,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list =
            |ids: &[PartitionId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join("+");
        let shards =
            |ids: &[ShardId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join("+");
        write!(
            f,
            "reshape {}: {} of partition {} on shard {} to {} on {} by {}: {}",
            self.reshape,
            if self.trim { "trim".to_owned() } else { self.kind.to_string() },
            list(&self.sources),
            shards(&self.from),
            list(&self.targets),
            shards(&self.to),
            self.transport,
            self.phase,
        )?;
        match &self.error {
            Some(error) => write!(f, " ({error})"),
            None => {
                let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
                let (elapsed, pause) = (ms(self.elapsed), ms(self.pause));
                write!(f, " in {elapsed:.1} ms, writes paused {pause:.2} ms")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{decode, encode};

    /// A record that was written when these fields were numbers.
    const RECORD: &str = "020034d37384070100020103010002050602000101060080200c037fbdc282fb210940c5e2\
         3785454a9340e48c89d806";

    #[test]
    fn records_and_json_are_what_they_were_when_times_were_numbers() {
        let outcome = Outcome {
            reshape: 7,
            kind: ReshapeKind::Split,
            trim: false,
            keyspace: KeyspaceId(2),
            sources: vec![PartitionId(3)],
            from: vec![ShardId(0)],
            targets: vec![PartitionId(5), PartitionId(6)],
            to: vec![ShardId(0), ShardId(1)],
            transport: Transport::Copy,
            phase: Phase::Cleaned,
            error: None,
            bytes: 4096,
            keys_caught_up: 12,
            rounds: 3,
            pause: Duration::from_nanos(3_141_593),
            elapsed: Duration::from_nanos(1_234_567_891),
            ended_at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_311_204),
        };
        let record = encode("an outcome", &outcome).unwrap();
        let hex: String = record.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, RECORD);
        assert_eq!(decode::<Outcome>("an outcome", &record).unwrap(), outcome);
        let json = serde_json::to_value(&outcome).unwrap();
        let times = ["pause_ms", "elapsed_ms", "unix_seconds"].map(|name| json.get(name).unwrap());
        assert_eq!(times.map(ToString::to_string), ["3.141593", "1234.567891", "1795311204"]);
    }
}
