//! Taking out a shard that has failed, and taking a shard back, while the store is open.
//!
//! RocksDB that has met an error which does not go by itself takes no writes until it is opened again.
//! So the store does that: it lets the engine of the shard go, and opens it again when it can be.
//!
//! | step | why here | what callers see of the shard |
//! |---|---|---|
//! | 1. exclude changes of the topology, and own all stripes of the shard's partitions, in lock order | no write to them is between the log and the engine, and none begins | writers wait, for milliseconds |
//! | 2. note the position from which the shard needs the log, and enter it among the [missing](super::missing) shards, as one that has failed; its engine is none of the open ones any more | the log is kept from there, by one or by the other | the same |
//! | 3. publish views without its partitions; their states are superseded | a reader that has read before looks at the view again, and so does a writer that has waited | `Unavailable`, at once |
//! | 4. wait until nothing holds the engine any more; it is closed then | no two engines are ever open on the same files | scans, snapshots and values from before read on |
//! | 5. check the directory as an opening does, open the engine, and remove what no topology names | a shard may have been exchanged, or have been opened by a copy of the store | `Unavailable` |
//! | 6. [replay](crate::write::replay_from) what the log has for its partitions, and flush | nothing was written to them since 3, so this is all that they lack; and what no file can be written for goes no further | the same |
//! | 7. exclude changes of the topology, enter the engine among the open ones, and publish views with its partitions | they have everything below the log's end, and followers of the log do not concern them | they serve |
//!
//! Step 5 or 6 may fail: then the engine goes, and all is as after 4. Nothing of this changes what an
//! opening finds: it replays the log from where the shard needs it. A shard that was missing at the opening
//! enters at 5, and in addition is given [the number of the opening](super::openings::admit) before and
//! loses its record after.

use super::missing::{Missing, MissingShards, Since};
use super::{Catalog, KeyspaceState, OpenPartition, remove_leftover};
use crate::engine::{Engine as _, ShardEngine};
use crate::error::Error;
use crate::id::ShardId;
use crate::latch::{Seal, hand_over};
use crate::os::failpoint;
use crate::topology::PartitionName;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// Open partitions by their names, which is the order in which latches are taken.
pub(crate) type OpenPartitions = BTreeMap<PartitionName, Arc<OpenPartition>>;

impl Catalog {
    /// Takes out a shard: steps 1 to 3. Returns its engine, to be dropped where it disturbs nothing that
    /// closing it takes long; `None` if it has to be tried again, since the topology is being changed, or
    /// writes take until after the deadline.
    pub(crate) fn take_out(
        &self,
        shard: ShardId,
        cause: &Error,
        deadline: Instant,
    ) -> Option<Arc<ShardEngine>> {
        let _changing = self.try_changing()?;
        let engine = self.shards().get(&shard).cloned().filter(|_| !self.is_closed())?;
        let keyspaces = self.keyspaces.load_full();
        let of_shard = |keyspace: &Arc<KeyspaceState>| {
            let view = keyspace.view();
            let mine = view.open().filter(|partition| partition.owner == shard);
            mine.map(|partition| (partition.name, Arc::clone(partition))).collect::<Vec<_>>()
        };
        let partitions: OpenPartitions = keyspaces.values().flat_map(of_shard).collect();
        let seals: Option<Vec<Seal<'_>>> =
            partitions.values().map(|partition| partition.state.seal(Some(deadline))).collect();
        let seals = seals?;
        let log_from = engine.unflushed_from();
        self.home.places.remove(engine.home());
        self.note_taken_out(shard, cause);
        let missing = Missing { cause: cause.clone(), log_from, since: Since::Failure };
        let missing = self.exchange(shard, Some(missing), None);
        failpoint::hit("take-out-before-views");
        for keyspace in keyspaces.values() {
            let view = keyspace.view();
            let mine = view.open().filter(|partition| partition.owner == shard);
            let without = view.with_shard(shard, &OpenPartitions::new(), &missing);
            hand_over(mine.map(|partition| &partition.state), [], || keyspace.publish(without));
        }
        drop(seals);
        Some(engine)
    }

    /// Takes back a shard whose partitions have what the log has: step 7. Returns false if it has to be
    /// tried again, since the topology is being changed.
    pub(crate) fn take_back(
        &self,
        shard: ShardId,
        engine: &Arc<ShardEngine>,
        opened: &OpenPartitions,
    ) -> bool {
        let Some(_changing) = self.try_changing() else { return false };
        let missing = self.exchange(shard, None, Some(engine));
        failpoint::hit("take-back-before-views");
        for keyspace in self.keyspaces.load().values() {
            keyspace.publish(keyspace.view().with_shard(shard, opened, &missing));
        }
        // Of keyspaces that were dropped meanwhile.
        let topology = self.topology();
        let wanted = |name: &PartitionName| {
            topology.keyspaces().any(|keyspace| keyspace.names().any(|(is, _)| is == *name))
        };
        for name in opened.keys().filter(|name| !wanted(name)) {
            remove_leftover(engine, *name);
        }
        self.note_taken_back(shard);
        true
    }

    /// Enters a shard among the missing or among the open ones, and takes it from the others. Returns
    /// those that are missing then. Changes of the topology are excluded.
    ///
    /// IMPORTANT: not while the log is being released, so that either the engine or the position is
    /// asked from where on the shard needs it.
    fn exchange(
        &self,
        shard: ShardId,
        missing: Option<Missing>,
        engine: Option<&Arc<ShardEngine>>,
    ) -> Arc<MissingShards> {
        let _not_releasing = self.releasing.lock();
        self.edit_shards(|shards| match engine {
            Some(engine) => drop(shards.insert(shard, Arc::clone(engine))),
            None => drop(shards.remove(&shard)),
        });
        let mut all = MissingShards::clone(&self.missing());
        match missing {
            Some(missing) => drop(all.insert(shard, missing)),
            None => drop(all.remove(&shard)),
        }
        let all = Arc::new(all);
        self.missing.store(Arc::clone(&all));
        all
    }
}
