//! The store's methods that plan, start and list reshapes of partitions.

use super::{Store, shards};
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::error::{Error, Result};
use crate::id::{PartitionId, ShardId};
use crate::planner::{Plan, Request, SplitAt, Step, plan};
use crate::reshape::{
    self, Job, Outcome, Registry, ReshapeOptions, ReshapePlan, ReshapeStats, Steps, Throttle,
};

impl Store {
    /// Moves a partition to another shard while it is read and written. Returns at once; the
    /// [job](Job) reports the progress.
    ///
    /// Cost: where links are possible, a flush of the partition and a link for each of its files;
    /// otherwise reading and writing its rows. Reads never wait. Writes to the partition wait for
    /// about as long as a sync takes when it is handed over.
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
    /// [`NotFound`](ErrorKind::NotFound) for a partition or shard that does not exist;
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) if the partition is on that shard already,
    /// or the shard is being removed; [`Busy`](ErrorKind::Busy) if the partition takes part in
    /// another reshape; [`Closed`](ErrorKind::Closed), [`InDoubt`](ErrorKind::InDoubt). Later
    /// errors are returned by [`Job::wait`].
    pub fn move_partition(&self, partition: PartitionId, to: ShardId) -> Result<Job> {
        self.start(&Request::Move { partition, to })
    }

    /// Splits a partition into two on its shard: at a key, at a token, or in the middle. To put the
    /// right part on another shard, [`start`](Self::start) a [`Request::Split`].
    ///
    /// Cost: links to the files for each part; the parts share the files until they are trimmed in
    /// the background.
    ///
    /// # Errors
    ///
    /// Those of [`move_partition`](Self::move_partition);
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for a place that is not inside the
    /// partition, or that is meant for the other kind of keyspace.
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

    /// Returns what a request would do, without doing it: which partitions would go where, how many
    /// bytes, by which transport, and why.
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
        let planned = plan(&topology, &self.core().catalog.sizes()?, request)?;
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
    /// Those of the methods named after the requests.
    pub fn start(&self, request: &Request) -> Result<Job> {
        self.start_with(request, self.options().reshape)
    }

    /// Starts what a request asks for, with the given options. Concurrency and throttle remain the
    /// store's.
    ///
    /// # Errors
    ///
    /// Those of [`start`](Self::start), and [`InvalidArgument`](ErrorKind::InvalidArgument) for
    /// options out of bounds.
    pub fn start_with(&self, request: &Request, options: ReshapeOptions) -> Result<Job> {
        options.validate()?;
        let core = self.core();
        core.catalog.check_open()?;
        core.catalog.check_writable()?;
        let is_explicit =
            matches!(request, Request::Move { .. } | Request::Split { .. } | Request::Merge { .. });
        if !is_explicit {
            core.catalog.check_all_there()?;
        }
        match request {
            Request::AddShard(shard) => shards::start_adding(core, shard, options),
            Request::RemoveShard(shard) => shards::start_removing(core, *shard, options),
            Request::SetWeight { shard, weight } => {
                shards::start_weighing(core, *shard, *weight, options)
            }
            _ => {
                let Plan { steps, .. } = shards::plan_steps(&core.catalog, request)?;
                let [step] = steps.as_slice() else {
                    return Err(Error::invalid("the request asks for nothing"));
                };
                self.check_not_draining(step)?;
                let title = step.reason.clone();
                reshape::start(&core.reshaper, title, steps, options, Steps)
            }
        }
    }

    /// Returns the jobs since the store was opened: all that are running, and the last that have
    /// ended.
    #[must_use]
    pub fn jobs(&self) -> Vec<Job> {
        self.registry().jobs()
    }

    /// Returns how the last reshapes ended, the oldest first, including reshapes of earlier
    /// openings. Damaged records are left out.
    ///
    /// # Errors
    ///
    /// [`Io`](ErrorKind::Io) or [`Damaged`](ErrorKind::Damaged) if the metadata cannot be read.
    pub fn reshape_history(&self) -> Result<Vec<Outcome>> {
        let history = reshape::journal::history(&self.core().catalog.metadata)?;
        Ok(history.into_iter().map(|(_, outcome)| outcome).collect())
    }

    /// Returns the totals of reshapes since the store was opened: how many there were, their bytes,
    /// and how long writes waited.
    #[must_use]
    pub fn reshape_stats(&self) -> ReshapeStats {
        self.registry().stats()
    }

    /// Sets how much reshapes may disturb the application from now on, including reshapes that are
    /// running.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for values out of bounds.
    pub fn set_throttle(&self, throttle: Throttle) -> Result<()> {
        throttle.validate()?;
        self.registry().pacer.set(throttle);
        Ok(())
    }

    /// Returns the present throttle.
    #[must_use]
    pub fn throttle(&self) -> Throttle {
        self.registry().pacer.throttle()
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.core().reshaper.registry
    }

    fn check_not_draining(&self, step: &Step) -> Result<()> {
        let topology = self.topology();
        let draining = step.owners.iter().filter_map(|id| topology.shard(*id));
        match draining.into_iter().find(|shard| shard.draining) {
            // A split may leave its parts where they are.
            Some(shard)
                if step.split_points.is_empty() || step.owners.iter().any(|id| *id != shard.id) =>
            {
                Err(Error::invalid(format!(
                    "shard {} is being removed; choose another, or abort its removal",
                    shard.id
                )))
            }
            _ => Ok(()),
        }
    }
}
