//! The methods that add, remove and weigh shards.
//!
//! A shard is added empty, by one commit, and then gets partitions by reshapes; one that is to be
//! removed is marked as draining, by one commit, loses its partitions by reshapes, and is removed
//! by another commit when it owns nothing. Each step is durable by itself: after a crash, reshapes
//! that were running are rolled back, and committed ones stay.
//!
//! | step | on disk after it | if the process dies here, the opening |
//! |---|---|---|
//! | add 1. directory, identity, empty engine | a directory that no topology names | ignores it; adding it again takes it over |
//! | add 2. commit | the shard, empty | has it; [`Store::set_weight`] moves its share to it |
//! | remove 1. commit: draining | the shard, draining | reports it; removing it again resumes |
//! | remove 2. commit: gone, with a record of its directory | files that no topology names | removes them |
//! | remove 3. files, when no reader needs them any more | the record | removes the record |

use super::Store;
use super::core::Core;
use super::shard_directory::{create_shard, note_shard, open_shard};
use super::shard_spec::ShardSpec;
use crate::catalog::Catalog;
use crate::catalog::directory::{DirectoryLock, Identity};
use crate::catalog::openings;
use crate::catalog::places::{check_outside_shards, check_overlaps, resolve};
use crate::engine::{Engine, MetadataBatch};
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::error::Result;
use crate::id::ShardId;
use crate::planner::{Plan, Request, plan};
use crate::reshape::{self, Job, Purpose, ReshapeOptions, journal};
use crate::topology::{Change, ShardInfo, Topology, encode_topology};
use std::sync::Arc;

impl Store {
    /// Adds a shard while the application runs, and moves its share of every keyspace to it.
    ///
    /// When this returns, the shard exists durably and is empty; the [job](Job) fills it: in a hash
    /// keyspace with exactly its share of the tokens, in a range keyspace with about its share of
    /// the bytes. Aborting the job leaves the shard with what it has received by then.
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
    /// [`NotFound`](ErrorKind::NotFound) if its parent is missing;
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for a weight of 0 or the directory of
    /// another shard; [`Closed`](ErrorKind::Closed), [`InDoubt`](ErrorKind::InDoubt),
    /// [`Io`](ErrorKind::Io). After an error nothing has changed, except that a shard whose job
    /// could not be started exists and is empty.
    pub fn add_shard(&self, spec: ShardSpec) -> Result<Job> {
        self.start(&self.add_shard_request(spec))
    }

    /// Returns the request for a new shard, with the number that it will have.
    #[must_use]
    pub fn add_shard_request(&self, spec: ShardSpec) -> Request {
        Request::AddShard(spec.info(self.topology().next_shard()))
    }

    /// Removes a shard while the application runs: it receives nothing new, its partitions are
    /// moved to the other shards, and once it owns nothing it leaves the store and its files are
    /// removed. The [job](Job) ends after that. If the job is aborted or fails, the shard remains,
    /// with the partitions that it still has.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) if there is no such shard;
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for the last shard;
    /// [`Closed`](ErrorKind::Closed), [`InDoubt`](ErrorKind::InDoubt), [`Io`](ErrorKind::Io).
    pub fn remove_shard(&self, shard: ShardId) -> Result<Job> {
        self.start(&Request::RemoveShard(shard))
    }

    /// Sets the weight of a shard, and moves partitions to or from it accordingly. If the weight is
    /// the one that the shard already has, only what its share still lacks is moved.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) if there is no such shard;
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for a weight of 0;
    /// [`Closed`](ErrorKind::Closed), [`InDoubt`](ErrorKind::InDoubt), [`Io`](ErrorKind::Io).
    pub fn set_weight(&self, shard: ShardId, weight: u32) -> Result<Job> {
        self.start(&Request::SetWeight { shard, weight })
    }
}

/// Returns the steps of a request, for the present topology.
pub(super) fn plan_steps(catalog: &Catalog, request: &Request) -> Result<Plan> {
    plan(&catalog.topology(), &catalog.sizes()?, request)
}

pub(super) fn start_adding(core: &Core, shard: &ShardInfo, options: ReshapeOptions) -> Result<Job> {
    let catalog = &core.catalog;
    let (sizes, home) = (catalog.sizes()?, &catalog.home);
    let changing = catalog.changing();
    catalog.check_writable()?;
    let present = catalog.topology();
    let info = ShardInfo { id: present.next_shard(), ..shard.clone() };
    let Plan { steps, .. } = plan(&present, &sizes, &Request::AddShard(info.clone()))?;
    let next = present.apply(&Change::AddShard { shard: info.clone() })?;
    catalog.check_room(&next)?;
    catalog.check_places()?;
    check_overlaps(
        &home.path,
        [None; 2],
        next.shards().map(|shard| (shard.id, &*shard.directory)),
    )?;
    check_outside_shards(&format!("shard {}", info.id), &home.path.join(&info.directory))?;
    // What cannot be encoded is refused before anything is written to disk.
    encode_topology(&next)?;
    let identity = Identity { store: home.id, shard: None };
    create_shard(&home.path, &info, identity, &catalog.resources, &catalog.log)?;
    crate::os::failpoint::hit("shard-after-create");
    let directory = resolve(&home.path.join(&info.directory))?;
    let guard = home.guard_with(DirectoryLock::take_shard(&directory)?);
    let engine = Arc::new(open_shard(&directory, &catalog.resources, &guard, &catalog.log)?);
    note_shard(&home.places, info.id, &directory)?;
    catalog.edit_shards(|shards| {
        shards.insert(info.id, Arc::clone(&engine));
    });
    let views = catalog.views_of(&next)?;
    catalog.commit(&next)?;
    crate::os::failpoint::hit("shard-after-commit");
    catalog.publish_views(next, views);
    drop(changing);
    let purpose = Share { catalog: Arc::clone(catalog), shard: info.id };
    reshape::start(&core.reshaper, format!("add shard {}", info.id), steps, options, purpose)
}

pub(super) fn start_removing(core: &Core, shard: ShardId, options: ReshapeOptions) -> Result<Job> {
    let catalog = &core.catalog;
    let sizes = catalog.sizes()?;
    let request = Request::RemoveShard(shard);
    // A request that is to be refused is refused before anything is changed.
    plan(&catalog.topology(), &sizes, &request)?;
    set_draining(catalog, shard, true)?;
    let started = plan(&catalog.topology(), &sizes, &request).and_then(|Plan { steps, .. }| {
        let purpose = Removal { catalog: Arc::clone(catalog), shard };
        reshape::start(&core.reshaper, format!("remove shard {shard}"), steps, options, purpose)
    });
    if started.is_err() {
        set_draining(catalog, shard, false)?;
    }
    started
}

pub(super) fn start_weighing(
    core: &Core,
    shard: ShardId,
    weight: u32,
    options: ReshapeOptions,
) -> Result<Job> {
    let catalog = &core.catalog;
    let sizes = catalog.sizes()?;
    let request = Request::SetWeight { shard, weight };
    let changing = catalog.changing();
    catalog.check_writable()?;
    let present = catalog.topology();
    let Plan { steps, .. } = plan(&present, &sizes, &request)?;
    commit_shards(catalog, present.apply(&Change::SetWeight { id: shard, weight })?)?;
    drop(changing);
    let title = format!("weight {weight} for shard {shard}");
    let purpose = Share { catalog: Arc::clone(catalog), shard };
    reshape::start(&core.reshaper, title, steps, options, purpose)
}

/// The purpose of a job that gives a shard its share by weight.
struct Share {
    catalog: Arc<Catalog>,
    shard: ShardId,
}

impl Purpose for Share {
    fn plan_again(&self, overtaken: usize) -> Result<Option<Plan>> {
        if overtaken == 0 {
            return Ok(None);
        }
        let weight = self.catalog.topology().shard(self.shard).map_or(1, |shard| shard.weight);
        plan_steps(&self.catalog, &Request::SetWeight { shard: self.shard, weight }).map(Some)
    }
}

/// The purpose of a job that empties and removes a shard.
struct Removal {
    catalog: Arc<Catalog>,
    shard: ShardId,
}

impl Purpose for Removal {
    fn plan_again(&self, _overtaken: usize) -> Result<Option<Plan>> {
        if self.catalog.topology().partitions_of(self.shard) == 0 {
            return Ok(None);
        }
        plan_steps(&self.catalog, &Request::RemoveShard(self.shard)).map(Some)
    }

    fn finish(&self) -> Result<()> {
        retire_shard(&self.catalog, self.shard)
    }

    fn give_up(&self) {
        let shard = self.shard;
        // If the store is in doubt, nothing can be changed any more, and the next opening reports
        // the state of the removal.
        if let Err(error) = set_draining(&self.catalog, shard, false) {
            tracing::warn!(%shard, error = format_args!("{error:#}"), "the shard is still marked as being removed");
        }
    }
}

/// Marks a shard as being removed, or not.
fn set_draining(catalog: &Catalog, shard: ShardId, draining: bool) -> Result<()> {
    let _changing = catalog.changing();
    catalog.check_writable()?;
    let present = catalog.topology();
    if present.shard(shard).is_some_and(|info| info.draining == draining) {
        return Ok(());
    }
    commit_shards(catalog, present.apply(&Change::DrainShard { id: shard, draining })?)
}

fn commit_shards(catalog: &Catalog, next: Topology) -> Result<()> {
    let views = catalog.views_of(&next)?;
    catalog.commit(&next)?;
    catalog.publish_views(next, views);
    Ok(())
}

/// Takes a shard that owns nothing out of the store. Its files are removed when no reader needs
/// them any more.
fn retire_shard(catalog: &Catalog, shard: ShardId) -> Result<()> {
    let _changing = catalog.changing();
    catalog.check_writable()?;
    catalog.check_places()?;
    let present = catalog.topology();
    let next = present.apply(&Change::RemoveShard { id: shard })?;
    let Some(directory) = present.shard(shard).map(|info| info.directory.clone()) else {
        return Ok(());
    };
    let (engine, views) = (catalog.shard(shard)?, catalog.views_of(&next)?);
    let mut batch = MetadataBatch::default();
    journal::retire(&mut batch, shard, &directory)?;
    let record = encode_topology(&next)?;
    let home = engine.home().to_owned();
    catalog.sync_log_before_commit()?;
    let recorded = catalog.metadata.record(&record, batch);
    let committed = recorded.and_then(|()| catalog.metadata.engine.flush());
    committed.map_err(|error| catalog.in_doubt(error))?;
    crate::os::failpoint::hit("retire-after-commit");
    catalog.publish_views(next, views);
    catalog.edit_shards(|shards| {
        shards.remove(&shard);
    });
    catalog.home.places.remove(&home);
    if let Err(error) = openings::forget(&home) {
        tracing::warn!(error = format_args!("{error:#}"), "left a file of a removed shard behind");
    }
    // The identity goes last: as long as it is there, the files are this store's to remove.
    engine.retire(&home.join("SHARD"));
    Ok(())
}
