//! The options of a store: plain data, checked once, never silently corrected.

use crate::catalog::Limits;
use crate::disk::Reserve;
use crate::engine::{Compression, Durability, EngineOptions, LogDamage};
use crate::error::{Error, Result};
use crate::heat::HeatOptions;
use crate::log::{LogAccess, LogMirror};
use crate::os::failpoint;
use crate::overload::OverloadOptions;
use crate::placement::ARCS_PER_SHARD;
use crate::planner::load::RebalanceOptions;
use crate::reshape::ReshapeOptions;
use crate::setters::setters;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

/// The settings of an open store. They are not stored: each opening may choose others.
///
/// ```
/// use annulus::{Durability, Options};
///
/// let options = Options::new().durability(Durability::Synced).cache_bytes(1 << 30);
/// assert!(options.validate().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Options {
    /// Durability of writes that do not specify one. Default: `Buffered`.
    pub durability: Durability,
    /// Bytes of uncompressed blocks kept in memory, over all shards. Blocks in use come on top: an
    /// open scan holds one for each file of the partitions that it has open (for a hash keyspace,
    /// all partitions), and a block is 4 KiB or one row. With 16 arcs, rows of 464 KB and a bound
    /// of 1 MiB, 200 scans at different positions held 390 MiB. Scans at the same position share
    /// their blocks; [`StoreStats::cache_bytes`](crate::report::StoreStats::cache_bytes) counts
    /// them. Default: 224 MiB; at least 1 MiB.
    pub cache_bytes: usize,
    /// Bytes of writes kept in memory before they go to files, over all shards. It also bounds the
    /// log, and with it how much an opening after a crash must replay: to about twice this.
    /// Partitions that are seldom written are flushed so that the log can be released. Default: 256 MiB;
    /// at least 4 MiB.
    pub write_buffer_bytes: usize,
    /// The longest key that is accepted. Default: 64 KiB; 1 byte to 1 MiB.
    pub key_bytes_max: usize,
    /// The longest value that is accepted. Default: 1 GiB; at most 3 GiB. A record of the log has at
    /// most 2 GiB, so what is longer is refused whatever this says, and so is a batch with more in all.
    pub value_bytes_max: usize,
    /// Arcs per shard of a new hash keyspace that does not specify them. Default:
    /// [`ARCS_PER_SHARD`](crate::placement::ARCS_PER_SHARD), which is 4; 1 to 1,024.
    pub arcs_per_shard: u32,
    /// The most partitions that a shard may own over all keyspaces; each is a column family, and
    /// several hundred of them slow an instance down. Default: 256; 1 to 4,096.
    pub partitions_per_shard_max: usize,
    /// Compression on disk. Default: `Lz4ThenZstd`.
    pub compression: Compression,
    /// Bits per key of the Bloom filters that save reads of absent keys; 0 for no filters, not even
    /// in memtables, which otherwise have one of a fixed size. Default: 10; at most 32.
    pub bloom_bits_per_key: u8,
    /// Threads for compactions, shared by all shards; in addition, each shard has one for flushes.
    /// Default: the number of processors; 1 to 256.
    pub background_threads: usize,
    /// Threads that open the partitions of one scan where that takes longer than a millisecond, as
    /// it does when disks must be read: the caller's thread, and others that end with the opening.
    /// With 1, none is started. Default: 8; 1 to 64.
    pub scan_threads: usize,
    /// Bytes of values kept in memory for keys that are read often, in addition to `cache_bytes`; 0
    /// for none. Keys that are written stay cached if they are read between writes; a hit costs a
    /// tenth of a read of a shard, and a miss adds a few percent to one. Unless this is 0, a little
    /// over 1 MiB more is used to keep the cache from being stale. An eighth of both caches
    /// together is a good share where some keys are read more often than others; where all are read
    /// equally often, blocks make better use of memory. Default: 32 MiB; otherwise 0 or at least 64
    /// KiB.
    pub hot_cache_bytes: usize,
    /// How the load is tracked. With `None` nothing is counted: the rebalancer does not run,
    /// [`latency_rise_max`](crate::reshape::Throttle::latency_rise_max) has no effect, and ranges
    /// that are scanned are not kept in fewer files. Default: `Some`.
    pub heat: Option<HeatOptions>,
    /// When load and bytes are balanced, and how far.
    pub rebalance: RebalanceOptions,
    /// How partitions are moved, split and merged.
    pub reshape: ReshapeOptions,
    /// The number of files that each shard keeps open, which is faster than opening them for each
    /// read. `None` shares among the shards a third of the descriptors that the process has left at
    /// the opening; all files stay open where these suffice. The opening raises the process's soft
    /// limit (`ulimit -n`) to the hard one, whatever this option says. A process with several
    /// stores, or with many sockets, should set it. Default: `None`; otherwise at least 64.
    pub open_files_per_shard: Option<u32>,
    /// What an opening does where the log, or that of the metadata, is damaged. Default: `Refuse`.
    pub log_damage: LogDamage,
    /// How writes reach the log: through memory that is mapped to its file, or by a system call for
    /// each. Default: `Mapped`, which takes less time.
    pub log_access: LogAccess,
    /// How much of the log stays on disk after it was released, that is, after everything in it has
    /// come into files: at least this many bytes of the newest records, in whole segments. They are for
    /// [point-in-time recovery](crate::log::LogView::recover); an opening does not replay them.
    /// Default: 0.
    pub log_keep_bytes: u64,
    /// Where the log is: a directory, often on a disk of its own, which syncs of the log then do not
    /// share with flushes and compactions. Relative paths are taken from the store's directory. As for
    /// a [shard](crate::ShardSpec::new), it is created, and its parent must exist unless it is below
    /// the store; it must be empty, and must not overlap with a shard or with the metadata.
    ///
    /// The store remembers it, as the symbolic link `log` in its directory: a later opening needs the
    /// option no more. If the log is elsewhere, the opening moves it: it copies all of it, and goes on
    /// in the new place. With `None` the log stays where it is. An opening read-only does not move it.
    /// Default: `None`, which for a new store is a directory in its own.
    #[serde(with = "crate::topology::path::option")]
    pub log_directory: Option<PathBuf>,
    /// Whether there is a mirror of the log: a second copy in another directory, on another disk if it
    /// is to be of use. Every record is in both, and a `Synced` write is synced in both; either of them
    /// suffices to open the store with all of it. Of the directory the same is true as of
    /// `log_directory`.
    ///
    /// The store remembers it, as the symbolic link `log-mirror` in its directory, and a later opening
    /// may leave the option at [`Unchanged`](LogMirror::Unchanged). An opening adds, exchanges or removes
    /// the mirror if the option says so; it makes a copy that is damaged or missing again from the other,
    /// and says so in [`RecoveryReport::log_copies`](crate::report::RecoveryReport::log_copies). If one
    /// copy cannot be written any more while the store is open, the log goes on with the other;
    /// [`StoreStats::log_copies`](crate::report::StoreStats::log_copies) shows it, and the next
    /// opening makes the copy again.
    ///
    /// The name `log-mirror` itself is a directory in the store's own, and where it is a link already, it
    /// stands for what that leads to.
    ///
    /// Cost: each write is copied once more, and each sync waits for the slower of two disks, which sync
    /// at the same time. Opening reads both copies. Default: `Unchanged`, for a new store none.
    pub log_mirror: LogMirror,
    /// How many bytes before the end of the log are kept at most for [consumers](crate::Consumer) and
    /// other [readers of changes](crate::Store::changes) that have not read them yet, in addition to
    /// what the store needs itself. A reader that is further behind gets an error. Takes no space where no
    /// one reads changes. Default: 1 GiB.
    pub changes_keep_bytes: u64,
    /// How old records may become that are kept for consumers and readers of changes. Rounded up to
    /// whole segments of the log. Default: `None`, for any age.
    #[serde(rename = "changes_keep_for_ms", with = "crate::units::optional_ms")]
    pub changes_keep_for: Option<Duration>,
    /// How many bytes are left free on the disk of each shard, and on that of the log. While there are
    /// fewer, puts that need the disk are refused as
    /// [`DiskFull`](crate::ErrorKind::DiskFull); deletes, reads, flushes and compactions go on, so that the
    /// disk can be emptied by [deleting](crate::Keyspace::compact), and the
    /// [listener](crate::StoreBuilder::listener) receives a [`DiskEvent`](crate::disk::DiskEvent). Puts are
    /// accepted again when there is an eighth more than this. The store looks four times a second. 0 for
    /// no reserve. Default: `None`, which is twice `write_buffer_bytes`, since so much may still come to
    /// files and be merged, but no more than a twentieth of the file system.
    pub disk_reserve: Option<u64>,
    /// Calls to a disk that take longer than this are reported to the
    /// [listener](crate::StoreBuilder::listener), as [`DiskEvent::Slow`](crate::disk::DiskEvent::Slow):
    /// reads of keys and openings of scans, syncs of the log, and the question how much room is left. A
    /// sync that does not return is reported while it hangs. Cost where it is set: two looks at the clock
    /// for each read. Default: `None`, for no such reports.
    #[serde(rename = "slow_io_ms", with = "crate::units::optional_ms")]
    pub slow_io: Option<Duration>,
    /// What the store does when it is asked for more than it can do. With `None` every call is worked on
    /// at once, and waits for the others in its shard. Otherwise gets and puts in all their forms, batches,
    /// commits of transactions and openings of scans are admitted by [its rules](crate::OverloadOptions), and
    /// may be refused as [`Overloaded`](crate::ErrorKind::Overloaded); reads of snapshots and of transactions
    /// are not. Cost where it is set: two short locks for each call. Default: `None`.
    pub overload: Option<OverloadOptions>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            cache_bytes: 224 * MIB,
            write_buffer_bytes: 256 * MIB,
            key_bytes_max: 64 * KIB,
            value_bytes_max: GIB,
            arcs_per_shard: ARCS_PER_SHARD,
            partitions_per_shard_max: 256,
            compression: Compression::default(),
            bloom_bits_per_key: 10,
            background_threads: std::thread::available_parallelism().map_or(2, usize::from),
            scan_threads: 8,
            hot_cache_bytes: 32 * MIB,
            heat: Some(HeatOptions::default()),
            rebalance: RebalanceOptions::default(),
            reshape: ReshapeOptions::default(),
            open_files_per_shard: None,
            log_damage: LogDamage::default(),
            log_access: LogAccess::default(),
            log_keep_bytes: 0,
            log_directory: None,
            log_mirror: LogMirror::default(),
            changes_keep_bytes: GIB as u64,
            changes_keep_for: None,
            disk_reserve: None,
            slow_io: None,
            overload: None,
        }
    }
}

impl Options {
    /// Returns the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        durability: Durability,
        cache_bytes: usize,
        write_buffer_bytes: usize,
        key_bytes_max: usize,
        value_bytes_max: usize,
        arcs_per_shard: u32,
        partitions_per_shard_max: usize,
        compression: Compression,
        bloom_bits_per_key: u8,
        background_threads: usize,
        scan_threads: usize,
        hot_cache_bytes: usize,
        rebalance: RebalanceOptions,
        reshape: ReshapeOptions,
        log_damage: LogDamage,
        log_access: LogAccess,
        log_keep_bytes: u64,
        log_mirror: LogMirror,
        changes_keep_bytes: u64;
        optional heat: HeatOptions, open_files_per_shard: u32, log_directory: PathBuf,
        changes_keep_for: Duration, disk_reserve: u64, slow_io: Duration, overload: OverloadOptions,
    }

    /// Checks every field against its bounds.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument), naming the first field that is out
    /// of bounds and the bounds.
    pub fn validate(&self) -> Result<()> {
        let arcs = self.arcs_per_shard as usize;
        let bounds = [
            ("cache_bytes", self.cache_bytes, MIB, usize::MAX),
            ("write_buffer_bytes", self.write_buffer_bytes, 4 * MIB, usize::MAX),
            ("key_bytes_max", self.key_bytes_max, 1, MIB),
            ("value_bytes_max", self.value_bytes_max, 0, 3 * GIB),
            ("arcs_per_shard", arcs, 1, 1024),
            ("partitions_per_shard_max", self.partitions_per_shard_max, 1, 4096),
            ("bloom_bits_per_key", usize::from(self.bloom_bits_per_key), 0, 32),
            ("background_threads", self.background_threads, 1, 256),
            ("scan_threads", self.scan_threads, 1, 64),
        ];
        for (name, value, least, most) in bounds {
            if !(least..=most).contains(&value) {
                return Err(Error::invalid(format!(
                    "option {name} is {value}; it must be from {least} to {most}"
                )));
            }
        }
        if self.open_files_per_shard.is_some_and(|files| files < 64) {
            return Err(Error::invalid("option open_files_per_shard must be at least 64, or None"));
        }
        if (1..64 * KIB).contains(&self.hot_cache_bytes) {
            return Err(Error::invalid(format!(
                "option hot_cache_bytes is {}; it must be 0 or at least {}",
                self.hot_cache_bytes,
                64 * KIB
            )));
        }
        if let Some(heat) = &self.heat {
            heat.validate()?;
        } else if self.reshape.throttle.latency_rise_max.is_some() {
            return Err(Error::invalid(
                "option reshape.throttle.latency_rise_max needs latencies, which are counted with \
                 the heat: set option heat",
            ));
        }
        if let Some(overload) = &self.overload {
            overload.validate()?;
        }
        self.rebalance.validate()?;
        self.reshape.validate()
    }

    pub(super) const fn engine(&self) -> EngineOptions {
        EngineOptions {
            cache_bytes: self.cache_bytes,
            write_buffer_bytes: self.write_buffer_bytes,
            compression: self.compression,
            bloom_bits_per_key: self.bloom_bits_per_key,
            background_threads: self.background_threads,
            open_files_per_shard: self.open_files_per_shard,
            log_damage: self.log_damage,
        }
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            key_bytes_max: self.key_bytes_max,
            value_bytes_max: self.value_bytes_max,
            partitions_per_shard_max: self.partitions_per_shard_max,
            // Only whole segments are released.
            log_bytes_max: self.log_bytes_max(),
        }
    }

    pub(super) const fn reserve(&self) -> Reserve {
        Reserve { option: self.disk_reserve, write_buffer_bytes: self.write_buffer_bytes as u64 }
    }

    fn log_bytes_max(&self) -> u64 {
        let usual = (2 * self.write_buffer_bytes as u64).max(2 * self.log_segment_bytes());
        failpoint::size("ANNULUS_LOG_BYTES_MAX", usual as usize) as u64
    }

    /// Returns how many bytes of log are released at once: a part of the write buffers, because the
    /// log is to be bounded in proportion to them.
    pub(super) fn log_segment_bytes(&self) -> u64 {
        let usual = (self.write_buffer_bytes / 4).clamp(MIB, 64 * MIB);
        failpoint::size("ANNULUS_LOG_SEGMENT_BYTES", usual) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names and units in configuration files, whatever the fields are called in the code.
    const SERIALIZED: &str = concat!(
        r#"{"durability":"buffered","cache_bytes":234881024,"#,
        r#""write_buffer_bytes":268435456,"key_bytes_max":65536,"#,
        r#""value_bytes_max":1073741824,"arcs_per_shard":4,"#,
        r#""partitions_per_shard_max":256,"compression":"lz4_then_zstd","#,
        r#""bloom_bits_per_key":10,"background_threads":2,"scan_threads":8,"#,
        r#""hot_cache_bytes":33554432,"heat":{"window_ms":1000,"half_life_short_ms":5000,"#,
        r#""half_life_medium_ms":60000,"half_life_long_ms":600000,"hot_keys_tracked":256,"#,
        r#""samples_per_partition":256,"hot_key_share":0.1,"hot_partition_share":0.5,"#,
        r#""key_bytes_max":1024,"trail_slot_ms":1000},"rebalance":{"policy":"suggest","#,
        r#""imbalance_start":1.2,"imbalance_goal":1.05,"bytes_imbalance_start":1.5,"#,
        r#""gain_min":0.05,"load_min":100.0,"bytes_min":67108864,"cool_down_ms":60000,"#,
        r#""cross_zones":false,"partitions_per_shard_goal":16,"merge_load_max":50.0,"#,
        r#""merge_bytes_max":67108864,"partitions_per_shard_max":256,"actions_max":64,"#,
        r#""split":{"load_min":100.0,"samples_min":64,"half_share_max":0.6,"#,
        r#""isolate_share_min":0.2,"rising_share_min":0.8,"scans_cut_max":0.3},"#,
        r#""interval_ms":5000,"reshapes_max":2},"reshape":{"transport":null,"#,
        r#""check":"sampled","pause_ms_target":5,"trim":true,"#,
        r#""per_shard_max":2,"throttle":{"bytes_per_second":null,"#,
        r#""latency_rise_max":null}},"open_files_per_shard":null,"log_damage":"refuse","#,
        r#""log_access":"mapped","log_keep_bytes":0,"log_directory":null,"#,
        r#""log_mirror":"unchanged","changes_keep_bytes":1073741824,"#,
        r#""changes_keep_for_ms":null,"disk_reserve":null,"slow_io_ms":null,"overload":null}"#,
    );

    #[test]
    fn the_serialized_form_has_milliseconds_in_its_names() {
        let options = Options::new().background_threads(2);
        assert_eq!(serde_json::to_string(&options).unwrap(), SERIALIZED);
        assert_eq!(serde_json::from_str::<Options>(SERIALIZED).unwrap(), options);
    }
}
