//! What the rebalancer keeps up whatever its policy: the files of the load, and how compaction treats
//! partitions that are scanned.

use super::compaction_tuning::{CHANGES_MAX, EVERY};
use super::heat_file::{Content, NOW, NOW_EVERY, WHOLE, WHOLE_EVERY};
use super::state::State;
use std::collections::BTreeSet;
use std::time::{Instant, SystemTime};

/// Below this load, in operations a second, there is nothing new to save.
const LOAD_MIN: f64 = 0.1;

impl State {
    pub(super) fn save_if_due(&self) {
        let (now, whole) = {
            let tracking = self.tracking.lock();
            (tracking.saved_now.elapsed() >= NOW_EVERY, tracking.saved.elapsed() >= WHOLE_EVERY)
        };
        if now || whole {
            self.save(whole);
        }
    }

    /// Saves what is known. A failure is logged, and nothing stops for it.
    pub(crate) fn save(&self, whole: bool) {
        if self.reshaper.catalog.check_places().is_err() {
            // Another store's files may be there.
            return;
        }
        let (report, state) = {
            let now = self.now();
            let mut tracking = self.tracking.lock();
            tracking.saved_now = Instant::now();
            if whole {
                tracking.saved = tracking.saved_now;
            }
            (tracking.tracker.report(now), whole.then(|| tracking.tracker.export(now)))
        };
        if !whole && report.total.short.load < LOAD_MIN {
            return;
        }
        let written_at = SystemTime::now();
        let decisions = self.log.lock().last(usize::MAX);
        let name = if whole { WHOLE } else { NOW };
        if let Err(error) = (Content { written_at, report, decisions, state })
            .write(&self.reshaper.catalog.home.path, name)
        {
            tracing::warn!(
                error = format_args!("{error:#}"),
                "what is known of the load is not saved"
            );
        }
    }
}

impl State {
    /// Makes partitions that are scanned keep few files; not while a partition is reshaped, whose
    /// hand-over would wait for the same disk.
    pub(super) fn tune_compaction(&self) {
        let mut few = self.compaction_tuning.lock();
        if few.decided.is_some_and(|last| last.elapsed() < EVERY) {
            return;
        }
        few.decided = Some(Instant::now());
        let (mut there, mut changes) = (BTreeSet::new(), 0);
        for keyspace in self.reshaper.catalog.keyspaces().values() {
            for partition in keyspace.view().open() {
                there.insert(partition.name);
                if changes < CHANGES_MAX && self.reshaper.registry.is_resting() {
                    let rates = self.tracking.lock().tracker.rates(self.now(), partition.name.id);
                    changes += usize::from(few.decide(partition, &rates.short));
                }
            }
        }
        few.tuned.retain(|name| there.contains(name));
    }
}
