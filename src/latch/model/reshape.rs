//! The steps of a reshape: the sequence of src/reshape/, around the real states of partitions.

use super::super::{Ordering, PartitionStatus, Seal, hand_over};
use super::client::rows_of;
use super::engine::{Cut, Key, Partition, Rows, View, Writes};
use super::log::Record;
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
        let early = (self.broken == Broken::PinAfterCuts).then(|| self.cuts());
        // Before the cuts: what is below this position is in them.
        let mut position = match self.broken {
            Broken::PinAtEnd => self.log.end(),
            _ => self.log.applied(),
        };
        let cuts = early.unwrap_or_else(|| self.cuts());
        for (source, target) in sides.pairs() {
            self.copy(source, target, &cuts[source.owner]);
        }
        self.rounds(&sides, &mut position);
        let compared = self.compare(&sides, &mut position);
        let committed = compared.is_some_and(|pending| {
            self.apply(&sides, &pending);
            !matches!(step, Step::Abort(_)) && self.commit(&sides, &mut position)
        });
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

    /// Applies what was written, until little is left. Clients are few: each round finds fewer
    /// writes.
    fn rounds(&self, sides: &Sides, position: &mut usize) {
        loop {
            self.apply(sides, &self.log.read(position));
            if self.log.end() <= *position + 1 {
                return;
            }
        }
    }

    /// Applies writes of the log to the targets, as far as they concern them.
    fn apply(&self, sides: &Sides, writes: &Record) {
        for target in &sides.targets {
            let of = writes.iter().filter(|(key, _)| target.has(*key));
            let writes: Writes = of.map(|(key, value)| (target.name, *key, *value)).collect();
            self.shard(target).write(&writes);
        }
    }

    pub(super) fn copy(&self, source: &Partition, target: &Partition, cut: &Cut) {
        let rows = cut.rows(source.name).into_iter().filter(|(key, _)| target.has(*key));
        let writes = rows.map(|(key, value)| (target.name, key, Some(value))).collect();
        self.shard(target).write(&writes);
    }

    /// Checks that both sides are equal, apart from what is still to be applied, which it returns; or
    /// `None` if a source is behind, and so may differ.
    fn compare(&self, sides: &Sides, position: &mut usize) -> Option<Record> {
        let seals = (self.broken != Broken::CompareUnsealed).then(|| self.seal(sides));
        let cuts = self.cuts();
        let pending = self.log.read(position);
        drop(seals);
        let rows = |side: &[Arc<Partition>]| -> Rows {
            let rows = |partition: &Arc<Partition>| {
                let of: &Cut = &cuts[partition.owner];
                of.rows(partition.name).into_iter()
            };
            let waits = |key: &Key| pending.iter().any(|(waiting, _)| waiting == key);
            side.iter().flat_map(rows).filter(|(key, _)| !waits(key)).collect()
        };
        if self.ends_behind(sides) {
            return None;
        }
        assert_eq!(rows(&sides.sources), rows(&sides.targets), "the copy differs");
        Some(pending)
    }

    /// Seals in the order of names, as batches take latches; or not, if that rule is broken.
    pub(super) fn seal<'a>(&self, sides: &'a Sides) -> Vec<Seal<'a>> {
        let mut sources: Vec<_> = sides.sources.iter().collect();
        if self.broken != Broken::SealInKeyOrder {
            sources.sort_by_key(|source| source.name);
        }
        sources.into_iter().filter_map(|source| source.state.seal(None)).collect()
    }

    /// Commits. Returns false, having committed nothing, after a close, and if a source is behind.
    fn commit(&self, sides: &Sides, position: &mut usize) -> bool {
        let changing = self.changing.lock();
        if *changing {
            return false;
        }
        if self.ends_behind(sides) {
            return false;
        }
        let view = self.view_with(sides);
        let early = (self.broken == Broken::LastReadBeforeSeal).then(|| self.log.read(position));
        let seals = self.seal(sides);
        // A writer may have failed since.
        if self.ends_behind(sides) {
            return false;
        }
        self.apply(sides, &early.unwrap_or_else(|| self.log.read(position)));
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
