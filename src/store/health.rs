//! Telling the listener of changes of the health of shards.
//!
//! IMPORTANT: on a thread of its own. The thread that notices a change looks after the log, and a close
//! waits for it with changes of the topology excluded, for which a listener may wait in turn. This
//! thread is waited for by none, and keeps nothing of the store open.

use crate::catalog::Catalog;
use crate::id::ShardId;
use crate::reshape::{Event, Registry};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;

/// Tells the listener of a store of changes, one after the other.
pub(super) struct HealthTeller {
    registry: Arc<Registry>,
    queue: Arc<Mutex<Queue>>,
    /// At how many bytes that the log is kept for a missing shard the next event of it is due.
    log_kept: BTreeMap<ShardId, u64>,
}

#[derive(Default)]
struct Queue {
    events: VecDeque<Event>,
    /// True while a thread tells them.
    is_telling: bool,
}

impl Queue {
    fn next(&mut self) -> Option<Event> {
        let next = self.events.pop_front();
        self.is_telling = next.is_some();
        next
    }
}

impl HealthTeller {
    pub(super) fn new(registry: &Arc<Registry>) -> Self {
        let (registry, queue) = (Arc::clone(registry), Arc::default());
        Self { registry, queue, log_kept: BTreeMap::new() }
    }

    /// Has the listener told what has changed since the last call.
    pub(super) fn tell_changes(&mut self, catalog: &Catalog) {
        let changes = catalog.take_health_changes().into_iter();
        let changes = changes.map(|(shard, health)| Event::Shard { shard, health });
        let events: Vec<Event> = changes.chain(self.log_kept(catalog)).collect();
        if events.is_empty() || !self.registry.has_listener() {
            return;
        }
        let mut queue = self.queue.lock();
        queue.events.extend(events);
        if queue.is_telling {
            return;
        }
        let (registry, events) = (Arc::clone(&self.registry), Arc::clone(&self.queue));
        let thread = std::thread::Builder::new().name("annulus-health".into());
        let spawned = thread.spawn(move || {
            let next = || events.lock().next();
            while let Some(event) = next() {
                registry.tell(&event);
            }
        });
        match spawned {
            Ok(_) => queue.is_telling = true,
            // They are told with the next change.
            Err(error) => tracing::warn!(%error, "cannot start the thread that tells a listener"),
        }
    }

    /// Returns the events of shards for which much of the log is kept.
    fn log_kept(&mut self, catalog: &Catalog) -> Vec<Event> {
        let missing = catalog.missing();
        self.log_kept.retain(|shard, _| missing.contains_key(shard));
        let mut events = Vec::new();
        for shard in missing.keys().copied() {
            let bytes = catalog.log_bytes_needed(shard);
            let due = self.log_kept.entry(shard).or_insert(catalog.limits.log_bytes_max);
            if bytes >= *due {
                *due = bytes.saturating_mul(2);
                tracing::warn!(%shard, bytes, "the log is kept for a shard that is missing");
                events.push(Event::LogKept { shard, bytes });
            }
        }
        events
    }
}
