//! What an opening may do without: shards that are missing, or lost.

use super::StoreBuilder;
#[cfg(doc)]
use super::{Event, Store};
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::id::ShardId;

impl StoreBuilder {
    /// Sets whether the store is opened although some of its shards cannot be: a directory that is not
    /// there because its disk is not mounted, that is another one, or whose files are damaged or cannot
    /// be read. At least one must be there. Default: false.
    ///
    /// What is there is served. What needs a shard that is missing is refused as a whole, as
    /// [`Unavailable`](ErrorKind::Unavailable), with its number and the reason: reads and writes of its
    /// keys, scans that come to it (unless they [leave it out](crate::ScanOptions::leave_out_missing)),
    /// batches and transactions of which a part concerns it, the creation of a keyspace that would be
    /// on it, reshapes of its partitions, and the adding, removing and weighing of shards.
    /// [Snapshots](Store::snapshot) and feeds of changes have what is there. A keyspace can be dropped:
    /// what a missing shard has of it goes when it is back. [`RecoveryReport::missing`] names those that
    /// are missing.
    ///
    /// [`RecoveryReport::missing`]: crate::report::RecoveryReport::missing
    ///
    /// A shard is taken back when it can be opened, by this opening or by a later one, with everything that
    /// was acknowledged; a store that is open [read-only](Self::read_only) takes none back.
    ///
    /// Cost: until then the log is kept from where the shard needs it, so it grows by everything that
    /// is written ([`ShardStats::log_bytes_needed`], [`Event::LogKept`]), and each opening replays all of it.
    /// The store looks for the shard, at intervals that grow to a minute.
    ///
    /// [`ShardStats::log_bytes_needed`]: crate::report::ShardStats::log_bytes_needed
    ///
    /// ```
    /// # use annulus::{ErrorKind, Store, topology::KeyspaceSpec};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("store");
    /// # let disk = path.join("shards/1");
    /// # let elsewhere = directory.path().join("unmounted");
    /// let store = Store::builder(&path).shards(2).open()?;
    /// let words = store.create_keyspace("words", KeyspaceSpec::range().split_at(["m"]))?;
    /// words.put("ant", "1")?;
    /// words.put("yak", "2")?;
    /// # drop((store, words));
    /// # std::fs::rename(&disk, &elsewhere).unwrap();
    /// // The disk of a shard is gone.
    /// let store = Store::builder(&path).allow_missing_shards(true).open()?;
    /// let missing = store.recovery().missing[0].shard;
    /// let words = store.keyspace("words")?;
    /// let reads = [words.get("ant"), words.get("yak")];
    /// assert!(reads.iter().any(|read| read.is_ok()));
    /// let refused = reads.into_iter().find_map(Result::err).unwrap();
    /// assert_eq!(refused.kind(), ErrorKind::Unavailable);
    /// assert!(refused.to_string().contains(&format!("shard {missing}")));
    /// # drop((store, words));
    /// # std::fs::rename(&elsewhere, &disk).unwrap();
    /// // It is back.
    /// let words = Store::open(&path)?.keyspace("words")?;
    /// assert_eq!(words.get("yak")?.as_deref(), Some(&b"2"[..]));
    /// # Ok(())
    /// # }
    /// ```
    pub const fn allow_missing_shards(mut self, allow: bool) -> Self {
        self.allow_missing_shards = allow;
        self
    }

    /// Has the opening give up a shard for good that is missing, as the last resort: its disk is lost, and
    /// there is no copy. Everything that only this shard has is lost with it. Implies
    /// [`allow_missing_shards`](Self::allow_missing_shards).
    ///
    /// Other shards get empty partitions in place of those of the shard, by one commit, which also takes the
    /// shard out of the store and drops the indexes of which it had rows or entries: declare them again,
    /// which builds them. What the log still has for the shard is applied to the new partitions, so some of
    /// the last writes are there again, without what was there before. Positions of
    /// [consumers](Store::consumers) and responses of transactions that are run once are lost like other
    /// rows. [`RecoveryReport::forgotten`](crate::report::RecoveryReport::forgotten) says what was given up.
    ///
    /// Atomicity: a crash leaves the store as it was, or without the shard. Durability: synced when the store
    /// is open. Cost: reads the log once more. The files of the shard stay where they are, and are not this
    /// store's any more.
    ///
    /// # Errors
    ///
    /// Of the opening: [`NotFound`](ErrorKind::NotFound) if there is no such shard;
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if it is there
    /// ([`Store::remove_shard`] removes it and loses nothing), if no other one is left that could take its
    /// place, or if the store is opened [read-only](Self::read_only); nothing was changed.
    ///
    /// ```
    /// # use annulus::{Store, topology::KeyspaceSpec};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("store");
    /// let store = Store::builder(&path).shards(2).open()?;
    /// let words = store.create_keyspace("words", KeyspaceSpec::range().split_at(["m"]))?;
    /// words.put("ant", "1")?;
    /// words.put("yak", "2")?;
    /// store.close()?;
    /// # drop((store, words));
    /// # std::fs::remove_dir_all(path.join("shards/1")).unwrap();
    /// // The disk of shard 1 is lost.
    /// let store = Store::builder(&path).forget_shard(annulus::ShardId(1)).open()?;
    /// println!("{}", store.recovery().forgotten[0]);
    /// let words = store.keyspace("words")?;
    /// assert_eq!(words.get("ant")?.as_deref(), Some(&b"1"[..]));
    /// assert_eq!(words.get("yak")?, None);
    /// words.put("yak", "3")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn forget_shard(mut self, shard: ShardId) -> Self {
        self.forget_shards.push(shard);
        self
    }
}
