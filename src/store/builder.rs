//! The builder that opens or creates a store.
//!
//! A creation is in progress while `STORE.new` exists, and complete once it has become `STORE`. An
//! interrupted creation is resumed by the next opening: the identities are the same, so each step
//! may be done twice.

use super::log_copies;
use super::open::{Opening, load};
use super::read_only::load_read_only;
use super::shard_directory::create_shard;
use super::shard_spec::ShardSpec;
use super::{Options, Store, in_use};
use crate::catalog::directory::{self, DirectoryLock, Identity, io};
use crate::catalog::places::{Place, Places, check_outside_shards, check_overlaps};
use crate::catalog::{Home, Metadata};
use crate::clock::{Clock, SystemClock};
use crate::engine::Resources;
use crate::error::{Error, ErrorKind, Result};
use crate::id::ShardId;
use crate::reshape::{Event, Listener};
use crate::topology::{Topology, encode_topology};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// The number of shards of a store that is created without specifying any.
const SHARDS_DEFAULT: u32 = 4;

/// Whether an opening may, or must, create the store.
///
/// | | there is a store | the directory is missing or empty | it holds something else |
/// |---|---|---|---|
/// | `IfMissing` | opens it | creates one | [`AlreadyExists`](ErrorKind::AlreadyExists) |
/// | `New` | [`AlreadyExists`](ErrorKind::AlreadyExists) | creates one | [`AlreadyExists`](ErrorKind::AlreadyExists) |
/// | `Never` | opens it | [`NotFound`](ErrorKind::NotFound) | [`NotFound`](ErrorKind::NotFound) |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CreateMode {
    /// Create the store if it is missing: open the one that is there, or create one in a directory
    /// that is missing or empty.
    #[default]
    IfMissing,
    /// Create a new store: there must be none yet.
    New,
    /// Never create one: there must be a store. For programs to which a missing store means a wrong
    /// path or a disk that is not mounted.
    Never,
}

/// How a store is opened; made by [`Store::builder`].
///
/// ```
/// use annulus::{CreateMode, Durability, Options, ShardSpec, Store};
///
/// # fn main() -> annulus::Result<()> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("store");
/// let store = Store::builder(path)
///     .create(CreateMode::IfMissing)
///     .shard(ShardSpec::new("fast").weight(2))
///     .shard(ShardSpec::new("slow"))
///     .options(Options::new().durability(Durability::Synced))
///     .open()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it opens"]
pub struct StoreBuilder {
    path: PathBuf,
    options: Options,
    creation: CreateMode,
    shards: Vec<ShardSpec>,
    listener: Option<Listener>,
    clock: Arc<dyn Clock>,
    read_only: bool,
    allow_missing_shards: bool,
}

impl StoreBuilder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            options: Options::default(),
            creation: CreateMode::default(),
            shards: Vec::new(),
            listener: None,
            clock: Arc::new(SystemClock),
            read_only: false,
            allow_missing_shards: false,
        }
    }

    /// Sets whether an existing store is opened only for reading, which works even where nothing
    /// may be written: no file is created, changed or locked. Calls that would change something are
    /// refused as [`ReadOnly`](ErrorKind::ReadOnly). Load is not observed. Default: false.
    ///
    /// Reads show everything as it was at one moment during the opening, over all shards. What is
    /// only in the log is read into memory, by each such opening again. What an opening for writing
    /// would repair stays as it is on disk.
    ///
    /// Another process may have the store open, or open it later; a read fails if that process has
    /// since removed the file it needs. The opening fails if it cannot complete between such
    /// removals.
    pub const fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

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
    /// A shard is taken back by the next opening that finds it, with everything that was acknowledged.
    ///
    /// Cost: until then the log is kept from where the shard needs it, so it grows by everything that
    /// is written, and each opening replays all of it.
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

    /// Sets the options. Default: [`Options::default`].
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Sets whether the opening may create the store. Default: [`CreateMode::IfMissing`].
    pub const fn create(mut self, creation: CreateMode) -> Self {
        self.creation = creation;
        self
    }

    /// Sets the listener, a function that is called with each [event](Event) on the thread that
    /// causes it: a worker of a reshape, the rebalancer's thread, or a thread of the application
    /// that asks for the [load](Store::heat) or a [plan](crate::rebalancer::Rebalancer::plan), or
    /// closes the store; a change of a shard's [health](crate::report::ShardHealth) has a thread of
    /// its own, a tenth of a second later at most. That thread waits for the listener, so it should be
    /// quick. A panic in it is caught.
    ///
    /// No lock of the store is held during the call, so the listener may call the store: read,
    /// write, commit batches, scan, take snapshots, sync, flush, verify; ask for statistics, load,
    /// hot keys, plans, decisions, jobs, history and topology; start, pause and abort reshapes;
    /// create keyspaces. Three calls would wait for the very thread that calls the listener, and
    /// therefore return [`InvalidArgument`](ErrorKind::InvalidArgument) there: [`Store::close`],
    /// [`Store::drop_keyspace`], and [`Job::wait`](crate::reshape::Job::wait) for a job that has
    /// not ended. Make these calls on another thread, and do not let the listener wait for it.
    /// While the store is being closed, calls from the listener may return
    /// [`Closed`](ErrorKind::Closed).
    ///
    /// The events of one reshape are delivered in order, and so are the events of the load, and those
    /// of shards; there is no order between the kinds, nor between reshapes. Load events that the
    /// listener's own calls bring to light are delivered after it has returned.
    ///
    /// A listener that owns a handle of its store keeps the store open: give it a handle that can
    /// be taken away, and when you drop or close the store, hold no lock that the listener waits
    /// for.
    pub fn listener(mut self, listener: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.listener = Some(Listener(Arc::new(listener)));
        self
    }

    /// Sets the clock that the store's [timestamps](crate::clock::Timestamp) come from, and by
    /// which rows expire. It is not stored: each opening may have another one, and the store's time never
    /// goes back. Default: that of the system.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Adds a shard to the specification of the store: a new store is created with the specified
    /// shards.
    ///
    /// A store that is there must have been created with just these shards, or have just these now;
    /// otherwise it is not opened. Specify none to open a store whatever shards it has, and call
    /// [`Store::add_shard`] to add one to it. Default: four, below the store's directory.
    pub fn shard(mut self, shard: ShardSpec) -> Self {
        self.shards.push(shard);
        self
    }

    /// Adds shards below the store's directory to the specification of the store, as
    /// [`shard`](Self::shard) does: `shards/0` and so on. To an existing store this adds nothing:
    /// [`Store::add_shard`] does.
    pub fn shards(mut self, count: u32) -> Self {
        for _ in 0..count {
            let number = self.shards.len();
            self.shards.push(ShardSpec::new(format!("shards/{number}")));
        }
        self
    }

    /// Opens the store, its shards in parallel.
    ///
    /// # Errors
    ///
    /// * [`InUse`](ErrorKind::InUse): the store is open already: the error names the other process,
    ///   or the kind of handle that keeps it open in this one.
    /// * [`NotFound`](ErrorKind::NotFound): there is no store and none may be created, or a
    ///   directory is missing.
    /// * [`AlreadyExists`](ErrorKind::AlreadyExists): the store was to be created, or the directory
    ///   holds something else.
    /// * [`InvalidArgument`](ErrorKind::InvalidArgument): an option or a shard is out of bounds, or
    ///   an existing store has other shards than those specified.
    /// * [`Damaged`](ErrorKind::Damaged), [`Incompatible`](ErrorKind::Incompatible): the named file
    ///   is damaged, is of another version, or belongs to another shard.
    /// * [`Io`](ErrorKind::Io): the operating system reported an error.
    pub fn open(mut self) -> Result<Store> {
        self.options.validate()?;
        if self.read_only {
            return self.open_read_only();
        }
        let started = Instant::now();
        self.check_place(&self.path.join("STORE"))?;
        // IMPORTANT: from here on the path has no links and does not depend on the working
        // directory, because RocksDB opens each new file by it for as long as the store is open.
        self.path = self.path.canonicalize().map_err(io("resolve", &self.path))?;
        let identity_file = self.path.join("STORE");
        let lock = DirectoryLock::take(&self.path)
            .map_err(|error| in_use::name_handle(error, &self.path))?;
        let lock = Some(Arc::new(lock));
        let identity = match Identity::read(&identity_file)? {
            Some(_) if self.creation == CreateMode::New => return Err(self.exists()),
            Some(identity) => identity,
            None => self.create_store(&identity_file)?,
        };
        let (id, path) = (identity.store, self.path);
        let (options, listener, shards) = (self.options, self.listener, self.shards);
        let allow_missing_shards = self.allow_missing_shards;
        let places = Arc::new(Places::new(vec![
            Place::note("the store's directory", &path)?,
            Place::note("the store's lock file", &path.join("LOCK"))?,
        ]));
        let home = Home::new(id, path, lock, places, self.clock);
        let store = load(Opening { home, options, listener, shards, allow_missing_shards })?;
        tracing::debug!(path = %store.path().display(), elapsed = ?started.elapsed(), "opened");
        Ok(store)
    }

    fn open_read_only(mut self) -> Result<Store> {
        if self.creation == CreateMode::New {
            return Err(Error::invalid("a store that is opened read-only cannot be created"));
        }
        let identity = Identity::read(&self.path.join("STORE"))?.ok_or_else(|| self.missing())?;
        self.path = self.path.canonicalize().map_err(io("resolve", &self.path))?;
        let Self { path, options, listener, shards, clock, allow_missing_shards, .. } = self;
        // Nothing is written, so nothing can be written to the wrong place.
        let places = Arc::default();
        let home = Home::new(identity.store, path, None, places, clock);
        load_read_only(&Opening { home, options, listener, shards, allow_missing_shards })
    }

    /// Checks, before anything is changed, that there is a store to open, or a place for a new one.
    fn check_place(&self, identity_file: &Path) -> Result<()> {
        let place = self.path.display();
        if identity_file.try_exists().map_err(io("look into", &self.path))? {
            return Ok(());
        }
        if self.creation == CreateMode::Never {
            return Err(self.missing());
        }
        check_outside_shards("the store", &self.path)?;
        let unfinished = self.path.join("STORE.new").exists();
        // A creation that was interrupted even earlier has left a lock, and perhaps a temporary
        // file.
        if !unfinished && !directory::holds_only(&self.path, &["LOCK", "STORE.tmp"])? {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("{place} is not a store and not empty; choose another directory"),
            ));
        }
        directory::create(&self.path)
    }

    fn missing(&self) -> Error {
        let place = self.path.display();
        let message = format!("there is no store in {place}; create one, or check the path");
        Error::new(ErrorKind::NotFound, message)
    }

    fn exists(&self) -> Error {
        Error::new(
            ErrorKind::AlreadyExists,
            format!(
                "there is a store in {} already; open it, or choose another directory",
                self.path.display()
            ),
        )
    }

    fn create_store(&self, identity_file: &Path) -> Result<Identity> {
        let topology = self.first_topology()?;
        let shards = topology.shards().map(|shard| (shard.id, &*shard.directory));
        check_overlaps(&self.path, log_copies::given(&self.options), shards)?;
        for shard in topology.shards() {
            let directory = self.path.join(&shard.directory);
            check_outside_shards(&format!("shard {}", shard.id), &directory)?;
        }
        // What cannot be encoded is refused before anything is written to disk.
        encode_topology(&topology)?;
        let unfinished = self.path.join("STORE.new");
        let identity = match Identity::read(&unfinished)? {
            Some(identity) => identity,
            None => {
                let identity = Identity { store: uuid::Uuid::new_v4().as_u128(), shard: None };
                identity.write(&unfinished)?;
                identity
            }
        };
        let (lock, path) = (None, self.path.clone());
        let home = Home::new(identity.store, path, lock, Arc::default(), Arc::clone(&self.clock));
        let (log, copies) = log_copies::create(&self.options, &home)?;
        let resources = Resources::new(&self.options.engine(), topology.shards().len());
        for shard in topology.shards() {
            create_shard(&self.path, shard, identity, &resources, &log)?;
        }
        log.close()?;
        Metadata::create(&self.path.join("metadata"), identity.store, copies, &topology)?;
        directory::sync(&self.path)?;
        directory::rename(&unfinished, identity_file)?;
        tracing::info!(path = %self.path.display(), shards = topology.shards().len(), "created a store");
        Ok(identity)
    }

    fn first_topology(&self) -> Result<Topology> {
        let default = self.clone().shards(SHARDS_DEFAULT).shards;
        let specs = if self.shards.is_empty() { &default } else { &self.shards };
        Topology::new((0..).zip(specs).map(|(number, spec)| spec.info(ShardId(number))))
    }
}
