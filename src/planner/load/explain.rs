//! Why a shard still has too much when nothing more is done.

use super::model::{Model, Piece, Source, State};
use super::receivers::Rank;
use super::refusal::{Reason, Subject};
use super::shed_load::EXPLAINED;
use std::cmp::Reverse;

impl Model<'_> {
    /// What cannot leave the shards of a group that have more load than a plan begins at: what is
    /// one place, and what must not be touched now.
    pub(super) fn explain(&self, group: usize) -> Vec<(Subject, Reason)> {
        let members = self.members(group).into_iter();
        let worst: Vec<usize> = members
            .filter(|index| {
                let shard = self.shards.get(*index);
                shard.is_some_and(|it| it.load_times() > self.options.imbalance_start)
            })
            .collect();
        if worst.is_empty() {
            return Vec::new();
        }
        let by_owner = self.pieces_by_owner();
        let targets = self.targets(&self.members(group), &by_owner);
        let mut said = Vec::new();
        for shard in worst {
            let target = targets.get(shard).copied().unwrap_or(0.0);
            let pieces = by_owner.get(shard).map(Vec::as_slice).unwrap_or_default();
            said.extend(self.one_key(shard, target, pieces));
            said.extend(self.untouched(shard));
        }
        said
    }

    fn one_key(&self, shard: usize, target: f64, pieces: &[usize]) -> Option<(Subject, Reason)> {
        let fair = self.shards.get(shard)?.fair_load;
        let mut pieces = pieces.iter().filter_map(|index| self.pieces.get(*index));
        let piece: &Piece = pieces.find(|piece| piece.atom >= target && target > fair)?;
        let subject = Subject::Partition(self.source(piece)?.id);
        Some((subject, Reason::OneKey { load: piece.atom, fair }))
    }

    fn untouched(&self, shard: usize) -> Vec<(Subject, Reason)> {
        if self.shards.get(shard).is_none_or(|shard| shard.fixed_load <= 0.0) {
            return Vec::new();
        }
        let busy = |it: &&Source<'_>| it.owner == shard && it.state != State::Free && it.load > 0.0;
        let mut sources: Vec<&Source<'_>> = self.sources.iter().filter(busy).collect();
        sources.sort_by_key(|source| (Reverse(Rank(source.load)), source.id));
        let reason = |source: &Source<'_>| match source.state {
            State::CoolsDown { rested_ms } => {
                Reason::CoolsDown { rested_ms, wanted_ms: self.options.cool_down_ms }
            }
            State::Free | State::UnderWay => Reason::UnderWay { load: source.load },
        };
        let largest = sources.into_iter().take(EXPLAINED);
        largest.map(|source| (Subject::Partition(source.id), reason(source))).collect()
    }
}
