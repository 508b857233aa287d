//! Reshaping partitions: the store's side of it.

use super::core::Core;
use super::view::{OpenPartition, View};
use super::{Inner, Keyspace, Store};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{KeyspaceId, PartitionId, ShardId};
use crate::planner::{Plan, Request, Sizes, SplitAt, Step, plan};
use crate::reshape::{
    self, Job, Outcome, Purpose, Registry, ReshapeOptions, ReshapePlan, ReshapeStats, Throttle,
};
use crate::topology::Topology;
use parking_lot::MutexGuard;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

impl Store {
    /// Moves a partition to another shard, while it is read and written. Returns at once; the
    /// [job](Job) says how far it is.
    ///
    /// Cost: where links are possible, a flush of the partition and a link for each of its files;
    /// otherwise reading and writing its rows. Reads never wait. Writes to the partition wait
    /// about as long as two syncs, when it is handed over.
    ///
    /// Atomicity: at every moment, and after a crash, the partition is on one of the two shards,
    /// with every acknowledged write.
    ///
    /// ```
    /// use annulus::{ShardId, Store, topology::KeyspaceSpec};
    ///
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// let store = Store::open(directory.path().join("store"))?;
    /// let words = store.create_keyspace("words", KeyspaceSpec::range())?;
    /// words.put("ant", "1")?;
    /// let partition = words.stats()?[0].id;
    /// let outcomes = store.move_partition(partition, ShardId(3))?.wait()?;
    /// assert_eq!(outcomes[0].to, [ShardId(3)]);
    /// assert_eq!(words.get("ant")?.as_deref(), Some(&b"1"[..]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) for a partition or shard that is not there;
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if it is on that shard, or the shard is
    /// being removed; [`Busy`](ErrorKind::Busy) if the partition takes part in another reshape;
    /// [`Closed`](ErrorKind::Closed), [`InDoubt`](ErrorKind::InDoubt). What happens later,
    /// [`Job::wait`] tells.
    pub fn move_partition(&self, partition: PartitionId, to: ShardId) -> Result<Job> {
        self.start(&Request::Move { partition, to })
    }

    /// Splits a partition into two on its shard: at a key, at a token, or in the middle. To put
    /// the right part elsewhere, [`start`](Self::start) a [`Request::Split`].
    ///
    /// Cost: links to the files for each part, which share them until they are trimmed in the
    /// background.
    ///
    /// # Errors
    ///
    /// Those of [`move_partition`](Self::move_partition);
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for a place that is not inside the
    /// partition, or of the other kind of keyspace.
    pub fn split(&self, partition: PartitionId, at: SplitAt) -> Result<Job> {
        self.start(&Request::Split { partition, at, to: None })
    }

    /// Merges two neighbouring partitions into one, on the shard of the larger.
    ///
    /// Cost: reading and writing the rows of both.
    ///
    /// # Errors
    ///
    /// Those of [`move_partition`](Self::move_partition);
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if they are not neighbours in this order.
    pub fn merge(&self, left: PartitionId, right: PartitionId) -> Result<Job> {
        self.start(&Request::Merge { left, right, to: None })
    }

    /// What a request would do, without doing it: which partitions would go where, how many bytes,
    /// by which transport, and why.
    ///
    /// ```
    /// # use annulus::{ShardSpec, Store, topology::KeyspaceSpec};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// let store = Store::open(directory.path().join("store"))?;
    /// store.create_keyspace("words", KeyspaceSpec::hash())?;
    /// let plan = store.plan(&store.add_shard_request(ShardSpec::new("shards/4")))?;
    /// println!("{plan}");
    /// assert!(!plan.steps.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the request.
    pub fn plan(&self, request: &Request) -> Result<ReshapePlan> {
        let topology = self.topology();
        let planned = plan(&topology, &self.sizes()?, request)?;
        let added = match request {
            Request::AddShard(shard) => Some(shard.directory.as_path()),
            _ => None,
        };
        Ok(reshape::annotate(planned, &topology, self.path(), added))
    }

    /// Starts what a request asks for, with the store's options.
    ///
    /// # Errors
    ///
    /// Those of the methods that are named like the requests.
    pub fn start(&self, request: &Request) -> Result<Job> {
        self.start_with(request, self.options().reshape)
    }

    /// Starts what a request asks for, with options of its own. Concurrency and throttle are the
    /// store's all the same.
    ///
    /// # Errors
    ///
    /// Those of [`start`](Self::start), and [`InvalidArgument`](ErrorKind::InvalidArgument) for
    /// options out of bounds.
    pub fn start_with(&self, request: &Request, options: ReshapeOptions) -> Result<Job> {
        options.validate()?;
        self.check_open()?;
        self.core().check_writable()?;
        match request {
            Request::AddShard(shard) => self.start_adding(shard, options),
            Request::RemoveShard(shard) => self.start_removing(*shard, options),
            Request::SetWeight { shard, weight } => self.start_weighing(*shard, *weight, options),
            _ => {
                let Plan { steps, .. } = self.plan_steps(request)?;
                let [step] = steps.as_slice() else {
                    return Err(Error::invalid("the request asks for nothing"));
                };
                self.check_not_draining(step)?;
                let title = step.reason.clone();
                reshape::start(self, title, steps, options, Purpose::Steps)
            }
        }
    }

    /// The jobs since the store was opened: those that run, and the last that have ended.
    #[must_use]
    pub fn jobs(&self) -> Vec<Job> {
        self.reshapes().jobs()
    }

    /// How the last reshapes ended, the oldest first, also those of earlier openings. Records that
    /// are damaged are left out.
    ///
    /// # Errors
    ///
    /// [`Io`](ErrorKind::Io) or [`Damaged`](ErrorKind::Damaged) if the metadata cannot be read.
    pub fn reshape_history(&self) -> Result<Vec<Outcome>> {
        let history = reshape::journal::history(&self.core().metadata)?;
        Ok(history.into_iter().map(|(_, outcome)| outcome).collect())
    }

    /// What reshapes came to since the store was opened: how many, bytes, how long writes waited.
    #[must_use]
    pub fn reshape_stats(&self) -> ReshapeStats {
        self.reshapes().stats()
    }

    /// Bounds how much reshapes may disturb the application, from now on; those that run follow.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for values out of bounds.
    pub fn set_throttle(&self, throttle: Throttle) -> Result<()> {
        throttle.validate()?;
        self.reshapes().pacer.set(throttle);
        Ok(())
    }

    /// The present throttle.
    #[must_use]
    pub fn throttle(&self) -> Throttle {
        self.reshapes().pacer.throttle()
    }

    /// Bytes of each partition, without those of others in shared files.
    pub(crate) fn sizes(&self) -> Result<Sizes> {
        let mut sizes = Sizes::new();
        for keyspace in self.keyspaces() {
            for partition in &keyspace.view().partitions {
                let usage = partition.shard.usage(&partition.handle)?;
                let own = u64::from(1000 - partition.out_of_range_permille.min(1000));
                let bytes = usage.bytes_on_disk / 1000 * own + usage.bytes_in_memory;
                sizes.insert(partition.name.id, bytes);
            }
        }
        Ok(sizes)
    }

    /// The steps of a request, for the present topology.
    pub(crate) fn plan_steps(&self, request: &Request) -> Result<Plan> {
        plan(&self.topology(), &self.sizes()?, request)
    }

    fn check_not_draining(&self, step: &Step) -> Result<()> {
        let topology = self.topology();
        let draining = step.owners.iter().filter_map(|id| topology.shard(*id));
        match draining.into_iter().find(|shard| shard.draining) {
            // A split may leave what is there where it is.
            Some(shard) if step.cuts.is_empty() || step.owners.iter().any(|id| *id != shard.id) => {
                Err(Error::invalid(format!(
                    "shard {} is being removed; choose another, or abort its removal",
                    shard.id
                )))
            }
            _ => Ok(()),
        }
    }
}

/// A store that is not kept open by its holder.
pub(crate) struct WeakStore(Weak<Inner>);

impl WeakStore {
    pub(crate) fn upgrade(&self) -> Option<Store> {
        self.0.upgrade().map(|inner| Store { inner, _alive: None })
    }
}

/// For the workers of reshapes.
impl Store {
    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.inner.core
    }

    pub(crate) fn reshapes(&self) -> &Arc<Registry> {
        &self.inner.core.reshapes
    }

    /// A handle that does not count as the application's: when the last of those goes, jobs end.
    pub(crate) fn for_worker(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), _alive: None }
    }

    pub(crate) fn downgrade(&self) -> WeakStore {
        WeakStore(Arc::downgrade(&self.inner))
    }

    /// Excludes other changes of the topology.
    pub(crate) fn changing(&self) -> MutexGuard<'_, ()> {
        self.inner.changing.lock()
    }

    /// The keyspace with a number.
    pub(crate) fn keyspace_with(&self, id: KeyspaceId) -> Result<Keyspace> {
        self.inner
            .keyspaces
            .load()
            .get(&id)
            .cloned()
            .ok_or_else(|| Error::new(ErrorKind::Closed, format!("keyspace {id} was dropped")))
    }

    /// Shows a topology that has given more numbers. `changing` is held.
    pub(crate) fn set_numbers(&self, numbered: Topology) {
        self.inner.topology.store(Arc::new(numbered));
    }

    /// Shows a committed topology in which one keyspace has other partitions. `changing` is held.
    pub(crate) fn publish_view(&self, next: Topology, keyspace: &Keyspace, view: View) {
        keyspace.publish(view);
        self.inner.topology.store(Arc::new(next));
    }

    /// The views of a topology in which every partition is where it is now. `changing` is held.
    ///
    /// IMPORTANT: made before the commit, as everything that can fail. An error between a commit
    /// and its publication would leave memory with an older topology than the disk.
    pub(super) fn views_of(&self, next: &Topology) -> Result<Vec<(Keyspace, View)>> {
        let of_one = |keyspace: Keyspace| {
            let view = keyspace.view().with_reshaped(next, keyspace.id(), [])?;
            Ok((keyspace, view))
        };
        self.keyspaces().into_iter().map(of_one).collect()
    }

    /// Shows a committed topology with its views. `changing` is held.
    pub(super) fn publish_views(&self, next: Topology, views: Vec<(Keyspace, View)>) {
        for (keyspace, view) in views {
            keyspace.publish(view);
        }
        self.inner.topology.store(Arc::new(next));
    }
}

impl View {
    /// The view of a keyspace in a later topology, in which `made` are new.
    pub(crate) fn with_reshaped<'a>(
        &'a self,
        next: &Topology,
        id: KeyspaceId,
        made: impl IntoIterator<Item = &'a Arc<OpenPartition>>,
    ) -> Result<Self> {
        let keyspace = next.keyspace(id).ok_or_else(|| {
            Error::new(ErrorKind::Internal, format!("keyspace {id} is not in its topology"))
        })?;
        let mut open: BTreeMap<_, &Arc<OpenPartition>> = BTreeMap::new();
        open.extend(self.partitions.iter().map(|partition| (partition.name, partition)));
        open.extend(made.into_iter().map(|partition| (partition.name, partition)));
        let partitions = keyspace.names().map(|(name, _)| {
            open.get(&name).copied().cloned().ok_or_else(|| {
                Error::new(ErrorKind::Internal, format!("partition {name} is not open"))
            })
        });
        Ok(Self { keyspace: Arc::clone(keyspace), partitions: partitions.collect::<Result<_>>()? })
    }
}
