//! Adding, removing and weighing shards.
//!
//! A shard is added empty, by one commit, and then gets partitions by reshapes; one that is to be
//! removed is marked as draining, by one commit, gives its partitions away by reshapes, and is
//! removed by another commit when it owns nothing. Each of these is durable by itself: after a
//! crash the reshapes that were under way are rolled back, those that were committed stay.
//!
//! | step | on disk after it | if the process dies here, the opening |
//! |---|---|---|
//! | add 1. directory, identity, empty engine | a directory that no topology names | ignores it; adding it again takes it over |
//! | add 2. commit | the shard, empty | has it; [`Store::set_weight`] gives it its share |
//! | remove 1. commit: draining | the shard, draining | reports it; removing it again goes on |
//! | remove 2. commit: gone, with a record of its directory | files that no topology names | removes them |
//! | remove 3. files, when nobody reads them any more | the record | removes the record |

use super::Store;
use super::builder::{ShardSpec, create_shard};
use super::directory::{DirectoryLock, Identity, io};
use super::open::{note_shard, open_shard};
use super::openings;
use super::places::{check_outside_shards, check_overlaps, resolve};
use crate::engine::{Engine, EngineBatch, ShardEngine};
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::error::Result;
use crate::id::ShardId;
use crate::planner::{Plan, Request, plan};
use crate::reshape::{self, Job, Purpose, ReshapeOptions, journal};
use crate::topology::{Change, ShardInfo, Topology, encode_topology};
use std::path::Path;
use std::sync::Arc;

impl Store {
    /// Adds a shard while the application runs, and moves its share of every keyspace to it.
    ///
    /// When this returns, the shard is there, durably, and empty; the [job](Job) fills it: in a
    /// hash keyspace with exactly its share of the tokens, in a range keyspace with about its
    /// share of the bytes. Aborting the job leaves the shard with what it has.
    ///
    /// ```
    /// # use annulus::{ShardSpec, Store, topology::KeyspaceSpec};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// let store = Store::open(directory.path().join("store"))?;
    /// store.create_keyspace("words", KeyspaceSpec::hash())?;
    /// store.add_shard(ShardSpec::new("shards/4"))?.wait()?;
    /// assert_eq!(store.topology().shards().len(), 5);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](ErrorKind::AlreadyExists) if the directory is not empty;
    /// [`NotFound`](ErrorKind::NotFound) if the one above it is missing;
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for a weight of 0 or the directory of
    /// another shard; [`Closed`](ErrorKind::Closed), [`InDoubt`](ErrorKind::InDoubt),
    /// [`Io`](ErrorKind::Io). Then nothing was changed; except that a shard whose job could not be
    /// started is there, and empty.
    pub fn add_shard(&self, spec: ShardSpec) -> Result<Job> {
        self.start(&self.add_shard_request(spec))
    }

    /// The request for a new shard, with the number that it will have.
    #[must_use]
    pub fn add_shard_request(&self, spec: ShardSpec) -> Request {
        Request::AddShard(spec.info(self.topology().next_shard()))
    }

    /// Removes a shard while the application runs: it is given nothing new, its partitions are
    /// moved to the others, and when it owns nothing it leaves the store and its files go. The
    /// [job](Job) ends after that. Aborting the job, or an error, keeps the shard, with the
    /// partitions that it still has.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) if there is no such shard;
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for the last one;
    /// [`Closed`](ErrorKind::Closed), [`InDoubt`](ErrorKind::InDoubt), [`Io`](ErrorKind::Io).
    pub fn remove_shard(&self, shard: ShardId) -> Result<Job> {
        self.start(&Request::RemoveShard(shard))
    }

    /// Gives a shard another weight, and moves what it is to get or to give. With the weight that
    /// it has, it moves what is missing to its share.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) if there is no such shard;
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for a weight of 0;
    /// [`Closed`](ErrorKind::Closed), [`InDoubt`](ErrorKind::InDoubt), [`Io`](ErrorKind::Io).
    pub fn set_weight(&self, shard: ShardId, weight: u32) -> Result<Job> {
        self.start(&Request::SetWeight { shard, weight })
    }

    pub(super) fn start_adding(&self, shard: &ShardInfo, options: ReshapeOptions) -> Result<Job> {
        let sizes = self.sizes()?;
        let changing = self.changing();
        self.core().check_writable()?;
        let present = self.topology();
        let info = ShardInfo { id: present.next_shard(), ..shard.clone() };
        let Plan { steps, .. } = plan(&present, &sizes, &Request::AddShard(info.clone()))?;
        let next = present.apply(&Change::AddShard { shard: info.clone() })?;
        self.check_room(&next)?;
        let core = self.core();
        core.check_places()?;
        check_overlaps(&core.path, next.shards().map(|shard| (shard.id, &*shard.directory)))?;
        check_outside_shards(&format!("shard {}", info.id), &core.path.join(&info.directory))?;
        // What cannot be encoded is refused before anything is on the disk.
        encode_topology(&next)?;
        let identity = Identity { store: core.id, shard: None };
        create_shard(&core.path, &info, identity, &core.resources)?;
        crate::os::failpoint::hit("shard-after-create");
        let directory = resolve(&core.path.join(&info.directory))?;
        let keep = core.keep(DirectoryLock::take_shard(&directory)?);
        let engine = Arc::new(open_shard(&directory, &core.resources, &keep, &[])?);
        note_shard(core.places(), info.id, &directory)?;
        core.edit_shards(|shards| {
            shards.insert(info.id, Arc::clone(&engine));
        });
        let views = self.views_of(&next)?;
        self.commit(&next)?;
        crate::os::failpoint::hit("shard-after-commit");
        self.publish_views(next, views);
        drop(changing);
        reshape::start(
            self,
            format!("add shard {}", info.id),
            steps,
            options,
            Purpose::Share(info.id),
        )
    }

    pub(super) fn start_removing(&self, shard: ShardId, options: ReshapeOptions) -> Result<Job> {
        let sizes = self.sizes()?;
        let request = Request::RemoveShard(shard);
        // Refused before anything is changed, if it is to be refused.
        plan(&self.topology(), &sizes, &request)?;
        self.set_draining(shard, true)?;
        let started =
            plan(&self.topology(), &sizes, &request).and_then(|Plan { steps, .. }| {
                let purpose = Purpose::Removal(shard);
                reshape::start(self, format!("remove shard {shard}"), steps, options, purpose)
            });
        if started.is_err() {
            self.set_draining(shard, false)?;
        }
        started
    }

    pub(super) fn start_weighing(
        &self,
        shard: ShardId,
        weight: u32,
        options: ReshapeOptions,
    ) -> Result<Job> {
        let sizes = self.sizes()?;
        let request = Request::SetWeight { shard, weight };
        let changing = self.changing();
        self.core().check_writable()?;
        let present = self.topology();
        let Plan { steps, .. } = plan(&present, &sizes, &request)?;
        self.commit_shards(present.apply(&Change::SetWeight { id: shard, weight })?)?;
        drop(changing);
        let title = format!("weight {weight} for shard {shard}");
        reshape::start(self, title, steps, options, Purpose::Share(shard))
    }

    /// Marks a shard as being removed, or not.
    pub(crate) fn set_draining(&self, shard: ShardId, draining: bool) -> Result<()> {
        let _changing = self.changing();
        self.core().check_writable()?;
        let present = self.topology();
        if present.shard(shard).is_some_and(|info| info.draining == draining) {
            return Ok(());
        }
        self.commit_shards(present.apply(&Change::DrainShard { id: shard, draining })?)
    }

    fn commit_shards(&self, next: Topology) -> Result<()> {
        let views = self.views_of(&next)?;
        self.commit(&next)?;
        self.publish_views(next, views);
        Ok(())
    }

    /// Takes a shard that owns nothing out of the store. Its files go when nobody reads them any
    /// more.
    pub(crate) fn retire_shard(&self, shard: ShardId) -> Result<()> {
        let _changing = self.changing();
        let core = self.core();
        core.check_writable()?;
        core.check_places()?;
        let present = self.topology();
        let next = present.apply(&Change::RemoveShard { id: shard })?;
        let Some(directory) = present.shard(shard).map(|info| info.directory.clone()) else {
            return Ok(());
        };
        let (engine, views) = (core.shard(shard)?, self.views_of(&next)?);
        let mut batch = EngineBatch::default();
        journal::retire(&core.metadata, &mut batch, shard, &directory)?;
        let record = encode_topology(&next)?;
        let home = engine.home().to_owned();
        let recorded = core.metadata.record(&record, batch);
        let committed = recorded.and_then(|()| core.metadata.engine.flush());
        committed.map_err(|error| self.in_doubt(error))?;
        crate::os::failpoint::hit("retire-after-commit");
        self.publish_views(next, views);
        core.edit_shards(|shards| {
            shards.remove(&shard);
        });
        core.places().remove(&home);
        if let Err(error) = openings::forget(&home) {
            tracing::warn!(%error, "left a file of a removed shard behind");
        }
        // The identity goes last: as long as it is there, the files are this store's to remove.
        engine.retire(&home.join("SHARD"));
        Ok(())
    }
}

/// Removes the files of shards that were removed in an earlier opening, as far as they are there
/// and still this store's. What cannot be removed, of a disk that fails perhaps, is tried again by
/// the next opening: the store does not need it.
pub(super) fn finish_retiring(core: &super::Core, recovered: &mut Vec<String>) -> Result<()> {
    for (shard, directory) in journal::retired(&core.metadata)? {
        let Some(directory) = directory else {
            tracing::warn!(
                shard,
                "the record of a removed shard is damaged: its files, if any, stay"
            );
            continue;
        };
        let directory = core.path.join(directory);
        let place = directory.display();
        match remove_files(core, shard, &directory) {
            Ok(removed) => {
                journal::forget_retired(&core.metadata, shard)?;
                if removed {
                    tracing::info!(shard, directory = %place, "removed the files of a removed shard");
                    recovered.push(format!("the files of removed shard {shard} in {place}"));
                }
            }
            Err(error) => tracing::warn!(shard, %error, "left files of a removed shard behind"),
        }
    }
    Ok(())
}

/// Whether there was something of the shard.
fn remove_files(core: &super::Core, shard: u64, directory: &Path) -> Result<bool> {
    let identity = directory.join("SHARD");
    let mine = Identity { store: core.id, shard: u32::try_from(shard).ok().map(ShardId) };
    // Without its identity, or with another, the directory has been given to somebody else.
    if Identity::read(&identity)? != Some(mine) {
        return Ok(false);
    }
    ShardEngine::remove(&directory.join("data"))?;
    openings::forget(directory)?;
    std::fs::remove_file(&identity).map_err(io("remove", &identity))?;
    Ok(true)
}
