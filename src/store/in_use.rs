//! Which handle keeps a store open in this process: what an error says that refuses to open the
//! store a second time.

use super::core::Core;
use crate::catalog::directory::DirectoryLock;
use crate::error::{Error, ErrorKind};
use parking_lot::Mutex;
use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

/// The stores that this process has opened for writing; those that are locked no more are removed
/// when the next one is added.
static OPENED: Mutex<Vec<Opened>> = Mutex::new(Vec::new());

/// A store and what its handles hold, in turn: each kind of handle holds what follows, too.
struct Opened {
    path: PathBuf,
    store: Weak<dyn Any + Send + Sync>,
    keyspaces: Weak<Core>,
    snapshots: Weak<()>,
    lock: Weak<DirectoryLock>,
}

impl Opened {
    /// Returns the kind of handle that keeps the store open.
    fn handle(&self) -> &'static str {
        if self.store.strong_count() > 0 {
            "a `Store`"
        } else if self.keyspaces.strong_count() > 0 {
            "a `Keyspace`"
        } else if self.snapshots.strong_count() > 0 {
            "a `Snapshot`"
        } else {
            "a `Scan` or a `Value`"
        }
    }
}

/// Notes that a store is open; `store` is what its handles share.
pub(super) fn note(store: Weak<dyn Any + Send + Sync>, core: &Arc<Core>) {
    let Some(lock) = &core.catalog.home.lock else { return };
    let mut opened = OPENED.lock();
    opened.retain(|other| other.lock.strong_count() > 0);
    opened.push(Opened {
        path: core.catalog.home.path.clone(),
        store,
        keyspaces: Arc::downgrade(core),
        snapshots: Arc::downgrade(&core.snapshots),
        lock: Arc::downgrade(lock),
    });
}

/// Adds to the error of a store that is in use which handle of this process it is, if it is one.
pub(super) fn name_handle(error: Error, path: &Path) -> Error {
    if error.kind() != ErrorKind::InUse {
        return error;
    }
    let opened = OPENED.lock();
    let of_path = |opened: &&Opened| opened.path == path && opened.lock.strong_count() > 0;
    let Some(opened) = opened.iter().rev().find(of_path) else { return error };
    let (path, handle) = (path.display(), opened.handle());
    Error::new(
        ErrorKind::InUse,
        format!(
            "the store {path} is open in this process: {handle} of it is still there; use that \
             one, or drop it first"
        ),
    )
}
