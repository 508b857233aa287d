//! The steps of a reshape: the sequence of src/reshape/, around the real states of partitions.

use super::super::{Changes, DirtySet, Ordering, PartitionState, PartitionStatus, Seal, hand_over};
use super::client::rows_of;
use super::engine::{Cut, Key, Partition, Rows, View, Writes};
use super::store::{Broken, Store};
use std::sync::Arc;

/// A change of the partitions; the numbers are positions in the view.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Move(usize),
    Split(usize, Key),
    Merge(usize),
    /// A move that is given up before the seal.
    Abort(usize),
}

/// The partitions of a step, in the order of their keys.
pub(super) struct Sides {
    pub(super) sources: Vec<Arc<Partition>>,
    pub(super) targets: Vec<Arc<Partition>>,
}

impl Step {
    fn sources(self, view: &View) -> Vec<Arc<Partition>> {
        let (first, count) = match self {
            Self::Move(at) | Self::Split(at, _) | Self::Abort(at) => (at, 1),
            Self::Merge(at) => (at, 2),
        };
        view.0[first..first + count].to_vec()
    }
}

impl Store {
    pub(super) fn reshape(&self, step: Step) {
        let sides = self.sides(step);
        let dirty = Arc::new(DirtySet::new(1 << 20));
        let early = (self.broken == Broken::CopyBeforeTrack).then(|| self.cuts());
        for source in &sides.sources {
            self.track(&source.state, &dirty);
        }
        let cuts = early.unwrap_or_else(|| self.cuts());
        for (source, target) in sides.pairs() {
            self.copy(source, target, &cuts[source.owner]);
        }
        self.rounds(&sides, &dirty);
        let pending = self.compare(&sides, &dirty);
        self.catch_up(&sides, &pending);
        let committed = !matches!(step, Step::Abort(_)) && self.commit(&sides, &dirty);
        sides.sources.iter().for_each(|source| source.state.untrack());
        let gone = if committed { &sides.sources } else { &sides.targets };
        gone.iter().for_each(|partition| self.shard(partition).drop_column(partition.name));
    }

    pub(super) fn sides(&self, step: Step) -> Sides {
        let view = self.view();
        let sources = step.sources(&view);
        let (first, last) = (&sources[0], &sources[sources.len() - 1]);
        let spans = match step {
            Step::Split(_, cut) => vec![(first.start, cut), (cut, last.end)],
            _ => vec![(first.start, last.end)],
        };
        let targets = spans.into_iter().enumerate().map(|(index, (start, end))| {
            let owner = (first.owner + 1 + index) % self.shards.len();
            let mut target = Partition::new(self.name(), owner, start, end);
            target.replaces.clone_from(&sources);
            Arc::new(target)
        });
        Sides { targets: targets.collect(), sources: sources.clone() }
    }

    pub(super) fn track(&self, state: &PartitionState, dirty: &Arc<DirtySet>) {
        if self.broken == Broken::TrackWithoutDrain {
            *state.dirty.lock() = Some(Arc::clone(dirty));
            state.tracked.store(true, Ordering::Release);
        } else {
            state.track(Arc::clone(dirty));
        }
    }

    /// Copies what was written, until little is left. Clients are few: each round finds fewer
    /// writes.
    fn rounds(&self, sides: &Sides, dirty: &DirtySet) {
        dirty.set_bound(1);
        loop {
            self.catch_up(sides, &dirty.take());
            if dirty.len() <= 1 {
                return;
            }
        }
    }

    /// Brings the targets to the present state of the sources, as far as the changes reach.
    fn catch_up(&self, sides: &Sides, changes: &Changes) {
        if !changes.ranges.is_empty() {
            self.copy_anew(sides);
        }
        for (source, target) in sides.pairs() {
            let keys = changes.keys.iter().filter_map(|key| key.first().copied());
            let mut keys: Vec<Key> =
                keys.filter(|key| source.has(*key) && target.has(*key)).collect();
            // The order of a set is random, and a schedule that failed must fail again.
            keys.sort_unstable();
            let read = |key: Key| (target.name, key, self.shard(source).get(source.name, key));
            let writes: Writes = keys.into_iter().map(read).collect();
            self.shard(target).write(&writes);
        }
    }

    /// After the deletion of a range, which always covers all keys: removes what the targets have,
    /// and copies what the sources have now.
    fn copy_anew(&self, sides: &Sides) {
        for target in &sides.targets {
            let keys = self.shard(target).snapshot().rows(target.name).into_keys();
            self.shard(target).write(&keys.map(|key| (target.name, key, None)).collect());
        }
        for (source, target) in sides.pairs() {
            self.copy(source, target, &self.shard(source).snapshot());
        }
    }

    pub(super) fn copy(&self, source: &Partition, target: &Partition, cut: &Cut) {
        let rows = cut.rows(source.name).into_iter().filter(|(key, _)| target.has(*key));
        let writes = rows.map(|(key, value)| (target.name, key, Some(value))).collect();
        self.shard(target).write(&writes);
    }

    /// Checks that both sides are equal, apart from what is still to be copied, which it returns.
    fn compare(&self, sides: &Sides, dirty: &DirtySet) -> Changes {
        let seals = (self.broken != Broken::CompareUnsealed).then(|| self.seal(sides));
        let cuts = self.cuts();
        let pending = dirty.take();
        drop(seals);
        let rows = |side: &[Arc<Partition>]| -> Rows {
            let rows = |partition: &Arc<Partition>| {
                let of: &Cut = &cuts[partition.owner];
                of.rows(partition.name).into_iter()
            };
            let waits = |key: &Key| pending.keys.iter().any(|waiting| **waiting == [*key]);
            side.iter().flat_map(rows).filter(|(key, _)| !waits(key)).collect()
        };
        // A range covers everything: nothing is left to compare.
        if pending.ranges.is_empty() {
            assert_eq!(rows(&sides.sources), rows(&sides.targets), "the copy differs");
        }
        pending
    }

    /// Seals in the order of names, as batches take latches; or not, if that rule is broken.
    pub(super) fn seal<'a>(&self, sides: &'a Sides) -> Vec<Seal<'a>> {
        let mut sources: Vec<_> = sides.sources.iter().collect();
        if self.broken != Broken::SealInKeyOrder {
            sources.sort_by_key(|source| source.name);
        }
        sources.into_iter().filter_map(|source| source.state.seal(None)).collect()
    }

    /// Commits. Returns false, having committed nothing, after a close.
    fn commit(&self, sides: &Sides, dirty: &DirtySet) -> bool {
        let changing = self.changing.lock();
        if *changing {
            return false;
        }
        let view = self.view_with(sides);
        let early = (self.broken == Broken::LastTakeBeforeSeal).then(|| dirty.take());
        let seals = self.seal(sides);
        self.catch_up(sides, &early.unwrap_or_else(|| dirty.take()));
        self.hand_over(sides, view, seals);
        true
    }

    pub(super) fn view_with(&self, sides: &Sides) -> View {
        let mut view = View::clone(&self.view());
        let first = |partition: &Arc<Partition>| Arc::ptr_eq(partition, &sides.sources[0]);
        let at = view.0.iter().position(first).expect("no other task reshapes it");
        view.0.splice(at..at + sides.sources.len(), sides.targets.iter().cloned());
        view
    }

    pub(super) fn hand_over(&self, sides: &Sides, view: View, seals: Vec<Seal<'_>>) {
        let sources = || sides.sources.iter().map(|source| &source.state);
        let targets = || sides.targets.iter().map(|target| &target.state);
        let supersede = || {
            sources().for_each(|source| {
                source.status.store(PartitionStatus::Superseded as u8, Ordering::Release);
            });
        };
        let publish = || *self.view.lock() = Arc::new(view);
        match self.broken {
            Broken::TargetsNotSealed => {
                publish();
                supersede();
            }
            Broken::SupersedeAfterTargets => {
                let closed: Vec<_> = targets().map(|target| target.seal(None)).collect();
                publish();
                drop(closed);
                supersede();
            }
            Broken::SupersedeBeforePublish => {
                let _closed: Vec<_> = targets().map(|target| target.seal(None)).collect();
                supersede();
                publish();
            }
            Broken::SupersedeAfterSeal => {
                let _closed: Vec<_> = targets().map(|target| target.seal(None)).collect();
                publish();
                drop(seals);
                supersede();
                return;
            }
            _ => hand_over(sources(), targets(), publish),
        }
        drop(seals);
    }

    /// Ends all writes, like the drop of a keyspace. Returns what is there at the end.
    pub(super) fn close(&self) -> Rows {
        let mut changing = self.changing.lock();
        *changing = true;
        let view = self.view();
        for partition in &view.0 {
            if self.broken == Broken::CloseWithoutSeal {
                partition.state.status.store(PartitionStatus::Closed as u8, Ordering::Release);
            } else {
                partition.state.close();
            }
        }
        rows_of(&view, &self.cuts())
    }
}

impl Sides {
    /// Pairs each source with each target: most pairs have no key in common.
    fn pairs(&self) -> impl Iterator<Item = (&Arc<Partition>, &Arc<Partition>)> {
        self.sources
            .iter()
            .flat_map(|source| self.targets.iter().map(move |target| (source, target)))
            .filter(|(source, target)| source.start < target.end && target.start < source.end)
    }
}
