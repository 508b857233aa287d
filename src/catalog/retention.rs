//! How much of the log is kept: what no shard, reader or partition needs any more is released, and
//! partitions that hold back too much of it are flushed.
//!
//! Each shard knows from which position on it needs the log; what is before the least of these is in
//! files. Readers of the log hold pins, which the log itself respects. A partition that is seldom
//! written would hold its position for as long as its few rows fit into memory; so, when the log is
//! longer than it may be, whatever has rows in memory from its older half is flushed. Partitions that
//! are written much flush often by themselves, and are not concerned.
//!
//! A thread looks ten times a second. Writers are not concerned with it: a writer that released
//! segments, or started a flush, would wait for the disk. The log may therefore exceed its bound by
//! what is written in a tenth of a second and until the flushes have ended. The same thread has
//! partitions brought up that are [behind](super::behind) the log.

use super::Catalog;
use crate::engine::Engine as _;
use crate::id::ShardId;
use crate::log::{Pin, Position};
use crate::os::failpoint;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{JoinHandle, park_timeout};
use std::time::Duration;

/// How often the thread looks.
const TICK: Duration = Duration::from_millis(100);

impl Catalog {
    /// Releases the part of the log that no shard needs any more.
    pub(crate) fn release_log(&self) {
        let _releasing = self.releasing.lock();
        if let Some(needed) = self.log_needed_from() {
            failpoint::hit("log-before-release");
            self.log.release(needed);
        }
    }

    /// Drops a pin of the log, from the position of which on a shard needs it now.
    ///
    /// IMPORTANT: not while the log is being released. What shards had said before the one that needs
    /// it now did would be released afterwards, when neither the pin nor that shard is asked.
    pub(crate) fn drop_pin(&self, pin: Pin) {
        let _not_releasing = self.releasing.lock();
        drop(pin);
    }

    /// Returns the position from which on shards need the log.
    fn log_needed_from(&self) -> Option<Position> {
        if failpoint::skip("truncate-after-flush") {
            return Some(self.log.applied());
        }
        // IMPORTANT: a shard is in this list from before it owns a partition until after it owns none,
        // so no write of the log belongs to a shard that is not asked.
        let there = self.shards();
        let there = there.values().map(|shard| shard.unflushed_from());
        // One that is missing needs it when it is back.
        let keep = !failpoint::skip("missing-keeps-log");
        let missing = self.missing();
        let missing = missing.values().filter(|_| keep).map(|missing| missing.log_from);
        there.chain(missing).min()
    }

    /// Returns how many bytes of the log a shard needs.
    pub(crate) fn log_bytes_needed(&self, shard: ShardId) -> u64 {
        let end = self.log.end();
        let from = match self.missing().get(&shard) {
            Some(missing) => Some(missing.log_from),
            // Its engines know nothing of it.
            None if self.is_read_only() => Some(self.log.first()),
            None => self.shards().get(&shard).map(|engine| engine.unflushed_from()),
        };
        from.map_or(0, |from| end.0.saturating_sub(from.0))
    }

    /// Starts flushes of the partitions that keep the log longer than it may be, without waiting
    /// for them.
    fn shorten_log(&self) {
        let (first, end) = (self.log.first(), self.log.end());
        let most = self.limits.log_bytes_max;
        if end.0.saturating_sub(first.0) <= most {
            return;
        }
        let before = Position(end.0.saturating_sub(most / 2));
        for (id, shard) in &*self.shards() {
            if shard.unflushed_from() < before
                && let Err(error) = shard.begin_flush_before(before)
            {
                tracing::warn!(
                    shard = %id,
                    error = format_args!("{error:#}"),
                    "cannot flush what keeps the log long"
                );
            }
        }
    }

    /// Looks after the log, if there is reason to: it is longer than it may be, or has grown by an
    /// eighth of that since `last`. Returns its end in the latter case, and otherwise `last`.
    fn look_after_log(&self, last: Position) -> Position {
        let (first, end) = (self.log.first(), self.log.end());
        let most = self.limits.log_bytes_max;
        let has_grown = end.0.saturating_sub(last.0) >= most / 8;
        if !has_grown && end.0.saturating_sub(first.0) <= most {
            return last;
        }
        self.release_log();
        if !has_grown {
            return last;
        }
        // Once for each time that it has grown: a shard that cannot be flushed is not asked ten times
        // a second.
        self.shorten_log();
        end
    }
}

/// The thread that looks after the log of an open store, and after partitions that are behind it. It
/// ends when this is dropped, and does not keep the store open.
pub(crate) struct LogKeeper {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl LogKeeper {
    /// Starts the thread. Each time that it looks, it calls `bring_up`, and `retain` where files are
    /// kept only for readers of changes. Where the system refuses a thread, the log grows until it is
    /// released by a flush of the store, a close, or the next opening, and a partition that falls
    /// behind is brought up by the next opening.
    ///
    /// IMPORTANT: neither must wait for changes of the topology: a close, which excludes them, waits
    /// for this thread.
    pub(crate) fn start(
        catalog: &Arc<Catalog>,
        bring_up: impl FnMut(&Catalog) + Send + 'static,
        retain: impl Fn(&Catalog) + Send + 'static,
    ) -> Option<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, catalog) = (Arc::clone(&stop), Arc::downgrade(catalog));
        let spawned = if failpoint::fails("thread") {
            Err(std::io::Error::other("a test refuses threads"))
        } else {
            let thread = std::thread::Builder::new().name("annulus-log-keep".into());
            thread.spawn(move || keep(&catalog, &stopped, bring_up, retain))
        };
        let refused = |error: &std::io::Error| {
            tracing::warn!(%error, "cannot start the thread that keeps the log short: flush the store");
        };
        let thread = spawned.inspect_err(refused).ok()?;
        Some(Self { stop, thread: Some(thread) })
    }
}

impl Drop for LogKeeper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic was reported by the thread itself.
            let _ = thread.join();
        }
    }
}

fn keep(
    catalog: &Weak<Catalog>,
    stop: &AtomicBool,
    mut bring_up: impl FnMut(&Catalog),
    retain: impl Fn(&Catalog),
) {
    let mut last = Position::default();
    while !stop.load(Ordering::Acquire) {
        let Some(catalog) = catalog.upgrade() else { return };
        let looked = catch_unwind(AssertUnwindSafe(|| {
            bring_up(&catalog);
            let end = catalog.look_after_log(last);
            if catalog.log.is_held() {
                retain(&catalog);
            }
            end
        }));
        drop(catalog);
        match looked {
            Ok(end) => last = end,
            Err(_) => {
                tracing::error!(
                    "the thread that keeps the log short panicked: flush the store; open it again \
                     if a partition is behind the log"
                );
                return;
            }
        }
        park_timeout(TICK);
    }
}
