//! The options of backups and of restoring.

use super::meter::BackupProgress;
use crate::id::ShardId;
use crate::log::RecoveryTarget;
use crate::reshape::Throttle;
use crate::setters::setters;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

type Call = dyn Fn(&BackupProgress) -> ControlFlow<()> + Send + Sync;

/// A function that is called with the progress, and says whether to go on.
#[derive(Clone)]
pub(super) struct Watch(Arc<Call>);

impl Watch {
    pub(super) fn new(call: Arc<Call>) -> Self {
        Self(call)
    }

    pub(super) fn call(&self, progress: &BackupProgress) -> ControlFlow<()> {
        (self.0)(progress)
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

/// How a backup is made.
///
/// ```
/// use annulus::backup::BackupOptions;
/// use annulus::reshape::Throttle;
/// use std::ops::ControlFlow;
///
/// let options = BackupOptions::new()
///     .throttle(Throttle::new().bytes_per_second(50 << 20))
///     .on_progress(|progress| {
///         println!("{} of {} bytes", progress.bytes, progress.bytes_total);
///         ControlFlow::Continue(())
///     });
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct BackupOptions {
    /// How much copying may disturb the application. Default: no limit.
    pub throttle: Throttle,
    pub(super) watch: Option<Watch>,
}

impl BackupOptions {
    /// Returns the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! { throttle: Throttle }

    /// Sets a function that is called with the progress, about once for each MiB, on the thread that
    /// makes the backup. With [`Break`](ControlFlow::Break) the backup is ended: what it has copied is
    /// used by the next one.
    #[must_use]
    pub fn on_progress(
        mut self,
        watch: impl Fn(&BackupProgress) -> ControlFlow<()> + Send + Sync + 'static,
    ) -> Self {
        self.watch = Some(Watch(Arc::new(watch)));
        self
    }
}

/// What is restored, and where to.
///
/// ```
/// use annulus::ShardId;
/// use annulus::backup::RestoreOptions;
/// use annulus::log::RecoveryTarget;
/// use std::time::{Duration, SystemTime};
///
/// let an_hour_ago = SystemTime::now() - Duration::from_secs(3600);
/// let options = RestoreOptions::new()
///     .to(RecoveryTarget::Time(an_hour_ago))
///     .shard(ShardId(0), "/disk1/annulus")
///     .shard(ShardId(1), "/disk2/annulus");
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RestoreOptions {
    /// The number of the backup. Default: the newest one; with [`to`](field@Self::to), the newest that
    /// was made before that.
    pub backup: Option<u64>,
    /// A position or a time after the backup, up to which the repository's log is applied to it.
    /// Default: none, the moment of the backup.
    pub to: Option<RecoveryTarget>,
    /// The directories of shards, which must be missing or empty; their parents must exist. Default:
    /// where the shard was, if that was below the store's directory, and else `shards/` and its number.
    pub shards: BTreeMap<ShardId, PathBuf>,
    pub(super) watch: Option<Watch>,
}

impl RestoreOptions {
    /// Returns the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! { ; optional backup: u64, to: RecoveryTarget }

    /// Sets the directory of one shard.
    #[must_use]
    pub fn shard(mut self, shard: ShardId, directory: impl Into<PathBuf>) -> Self {
        self.shards.insert(shard, directory.into());
        self
    }

    /// Sets a function that is called with the progress, about once for each MiB, on a thread that
    /// restores a shard. With [`Break`](ControlFlow::Break) the restoring is ended: there is no store
    /// then, and the same call begins again.
    #[must_use]
    pub fn on_progress(
        mut self,
        watch: impl Fn(&BackupProgress) -> ControlFlow<()> + Send + Sync + 'static,
    ) -> Self {
        self.watch = Some(Watch(Arc::new(watch)));
        self
    }
}
