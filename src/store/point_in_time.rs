//! The log of a store as [`LogView`] shows it, and point-in-time recovery: a copy of a store is
//! brought to a moment that the log of the original has.

use super::log_copies::LogCopies;
use super::log_directory::{entry, is_there};
use super::missing::FoundShards;
use super::open::{metadata_directory, parts};
use super::{CreateMode, Options, Store};
use crate::catalog::directory::{DirectoryLock, Identity, io};
use crate::catalog::openings::Accepted;
use crate::catalog::{Metadata, missing};
use crate::error::{Error, ErrorKind, Result};
use crate::id::KeyspaceId;
use crate::log::{
    Continuation, CopyNumber, CopySet, LogCopy, LogDamage, LogRecovery, LogView, RecoveryTarget,
};
use crate::topology::Topology;
use std::collections::BTreeMap;
use std::path::Path;

/// How often the metadata is read: another process that has the store open may replace its files.
const TRIES: u32 = 4;

impl LogView {
    /// Looks at the log of a store, or at segments of a log in another directory, which may lack older
    /// ones. Takes no lock, and changes nothing; another process may have the store open.
    ///
    /// Cost: reads all of the log.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) if there is neither;
    /// [`Damaged`](ErrorKind::Damaged) if the log belongs to another store, or has no segment: other
    /// damage is in
    /// [`damage`](Self::damage); [`Incompatible`](ErrorKind::Incompatible) if a later version wrote
    /// it; [`Io`](ErrorKind::Io).
    pub fn open(directory: impl AsRef<Path>) -> Result<Self> {
        let directory = directory.as_ref();
        match Identity::read(&directory.join("STORE"))? {
            Some(Identity { store, .. }) => Self::of_store(directory, store),
            None => Self::of_segments(directory, None),
        }
    }

    /// Applies the records of this log to a copy of its store: those between the end of the copy's
    /// own log and a target. Afterwards the copy has what the store had at that moment, and is closed.
    ///
    /// The copy was made with all its shards and its log, while the store was closed (or at the same
    /// moment for all files, as by a snapshot of the file system), and has not been opened for writing
    /// since. This log has the segment with which the copy's log ends, and all later ones: it is the
    /// store's own, of which [`log_keep_bytes`](Options::log_keep_bytes) says how much is kept, or
    /// segments that were copied in time.
    ///
    /// Keyspaces and placement are those of the copy. A keyspace that was dropped since is there.
    ///
    /// If it is interrupted, it can be repeated with the same target.
    ///
    /// # Errors
    ///
    /// Before anything is changed: [`InvalidArgument`](ErrorKind::InvalidArgument) if the copy is one of
    /// another store, if it has been written to, if the target is before its end or beyond that of
    /// this log, or if a record names a keyspace that was created after the copy was made;
    /// [`NotFound`](ErrorKind::NotFound) if there is no copy, or if records between the two logs are
    /// missing; [`Damaged`](ErrorKind::Damaged) if one of the logs is damaged before the target;
    /// [`InUse`](ErrorKind::InUse) if the copy is open. Then those of an opening, and of a close.
    pub fn recover(
        &self,
        copy: impl AsRef<Path>,
        target: RecoveryTarget,
        options: Options,
    ) -> Result<LogRecovery> {
        let copy = copy.as_ref();
        options.validate()?;
        let identity = Identity::read(&copy.join("STORE"))?.ok_or_else(|| {
            let text = format!("there is no copy of a store in {}; check the path", copy.display());
            Error::new(ErrorKind::NotFound, text)
        })?;
        if identity.store != self.store() {
            return Err(Error::invalid(format!(
                "the log in {} belongs to another store than {}; take the one of the copy's original",
                self.directory().display(),
                copy.display()
            )));
        }
        let copy = copy.canonicalize().map_err(io("resolve", copy))?;
        let lock = DirectoryLock::take(&copy)?;
        let topology = check_copy(&copy, identity.store)?;
        let own = Self::of_store(&copy, identity.store)?;
        let places = |log: &Self| -> Vec<_> {
            log.copies().iter().filter_map(|copy| copy.directory.canonicalize().ok()).collect()
        };
        let theirs = places(self);
        if places(&own).iter().any(|mine| theirs.contains(mine)) {
            return Err(Error::invalid(format!(
                "{} is the log of the store itself; name that of its original",
                self.directory().display()
            )));
        }
        let knows = |keyspace: KeyspaceId| topology.has_given_keyspace(keyspace);
        let continuation = Continuation::find(&own, self, target, knows)?;
        continuation.install()?;
        drop(lock);
        // The close is not to free the segment that both logs have: by it the same call sees that
        // there is nothing left to apply.
        let keep = options.log_keep_bytes.max(1);
        let options = options.log_keep_bytes(keep);
        let store = Store::builder(&copy).create(CreateMode::Never).options(options).open()?;
        store.close()?;
        Ok(continuation.recovery)
    }

    /// Looks at the copies of a store's log, and shows the one that an opening would read.
    fn of_store(store: &Path, id: u128) -> Result<Self> {
        let is_named = |copy: &CopyNumber| is_there(&entry(store, *copy));
        // Without a mirror the log can be seen even if the metadata cannot be read.
        let has_mirror = is_named(&CopyNumber::MIRROR) || !is_named(&CopyNumber::FIRST);
        let current = match current_copies(store) {
            Err(_) if !has_mirror => CopySet::FIRST,
            read => read?,
        };
        // An error that says what is missing, if no copy can be reached.
        LogCopies::find(store, current)?;
        let (mut copies, mut best): (Vec<LogCopy>, Option<Self>) = Default::default();
        let named = CopyNumber::ALL.into_iter().filter(|it| is_named(it) || current.has(*it));
        for copy in named {
            let directory = entry(store, copy);
            let look = || match Self::of_segments(&directory, Some(id)) {
                Ok(view) if view.segments().is_empty() => {
                    let text = format!("the log {} has no segments", directory.display());
                    Err(Error::new(ErrorKind::Damaged, text))
                }
                looked => looked,
            };
            let looked = current.has(copy).then(look);
            copies.push(LogCopy::of(directory, looked.as_ref()));
            let Some(Ok(view)) = looked else { continue };
            let rank = |view: &Self| (view.damage().is_none(), view.end());
            if best.as_ref().is_none_or(|best| rank(best) < rank(&view)) {
                best = Some(view);
            }
        }
        match best {
            Some(view) => Ok(view.with_copies(copies)),
            None => Err(copies.into_iter().find_map(|copy| copy.damage).unwrap_or_else(|| {
                Error::new(ErrorKind::Damaged, "no copy of the log can be read")
            })),
        }
    }

    /// Returns the names of the keyspaces that the store has now, by number; none for segments that
    /// are not in the directory of a store.
    ///
    /// # Errors
    ///
    /// [`Damaged`](ErrorKind::Damaged) and [`Io`](ErrorKind::Io) if the metadata cannot be read.
    pub fn keyspaces(&self) -> Result<BTreeMap<KeyspaceId, String>> {
        let store = self.directory().parent().filter(|store| {
            let identity = Identity::read(&store.join("STORE"));
            identity.is_ok_and(|it| it.is_some_and(|it| it.store == self.store()))
        });
        let Some(store) = store else { return Ok(BTreeMap::new()) };
        let mut tries = 1;
        let topology = loop {
            match topology(store, self.store()) {
                Err(_) if tries < TRIES => tries += 1,
                read => break read?.1,
            }
        };
        let name = |keyspace: &std::sync::Arc<crate::topology::KeyspaceLayout>| {
            (keyspace.id(), keyspace.name().to_owned())
        };
        Ok(topology.keyspaces().map(name).collect())
    }
}

/// Returns the copies of a store's log that have everything.
fn current_copies(store: &Path) -> Result<CopySet> {
    let mut tries = 1;
    loop {
        let metadata = Metadata::open_read_only(&metadata_directory(store)?, LogDamage::Refuse);
        match metadata.and_then(|metadata| metadata.log_copies()) {
            Err(_) if tries < TRIES => tries += 1,
            read => return read,
        }
    }
}

fn topology(store: &Path, id: u128) -> Result<(Metadata, Topology)> {
    let metadata = Metadata::open_read_only(&metadata_directory(store)?, LogDamage::Refuse)?;
    let topology = metadata.topology(id)?;
    Ok((metadata, topology))
}

/// Checks that the shards of a copy are those that belong to its metadata. A copy of a store whose
/// shards have absolute paths names those of the original.
fn check_copy(copy: &Path, id: u128) -> Result<Topology> {
    let (metadata, topology) = topology(copy, id)?;
    let accepted = Accepted::read(&metadata, missing::records(&metadata)?)?;
    let found = FoundShards::find(copy, id, &topology, &accepted, false)?;
    let log_copies = LogCopies::find(copy, metadata.log_copies()?)?;
    accepted.check_all(copy, &parts(&found, &log_copies))?;
    Ok(topology)
}
