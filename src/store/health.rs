//! Telling the listener of changes of the health of shards.
//!
//! IMPORTANT: on a thread of its own. The thread that notices a change looks after the log, and a close
//! waits for it with changes of the topology excluded, for which a listener may wait in turn. This
//! thread is waited for by none, and keeps nothing of the store open.

use crate::catalog::Catalog;
use crate::reshape::{Event, Registry};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;

/// Tells the listener of a store of changes, one after the other.
pub(super) struct HealthTeller {
    registry: Arc<Registry>,
    queue: Arc<Mutex<Queue>>,
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
        Self { registry: Arc::clone(registry), queue: Arc::default() }
    }

    /// Tells the listener what has changed since the last call.
    pub(super) fn tell_changes(&mut self, catalog: &Catalog) {
        let changes = catalog.take_health_changes();
        if changes.is_empty() || !self.registry.has_listener() {
            return;
        }
        let mut queue = self.queue.lock();
        queue
            .events
            .extend(changes.into_iter().map(|(shard, health)| Event::Shard { shard, health }));
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
            // The next change reports them, too.
            Err(error) => tracing::warn!(%error, "cannot start the thread that tells a listener"),
        }
    }
}
