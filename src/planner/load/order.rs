//! The order of actions, and how many of them a plan has.

use super::compile::Draft;
use super::model::{Model, times};
use super::refusal::{Reason, Refusals, Subject};

impl Model<'_> {
    /// Puts the drafts in an order in which no shard gets worse on the way than the worst of its
    /// zone was, which is nearly the order that they are in: only something that was moved on to
    /// a shard that had itself been relieved meanwhile must wait for that. Drafts that wait for
    /// each other are left for the next plan. The shards are as they were, and are so again.
    pub(super) fn order(&mut self, drafts: Vec<Draft>) -> Vec<Draft> {
        let before: Vec<f64> = self.shards.iter().map(|shard| shard.load).collect();
        let worst: Vec<f64> = (0..self.groups)
            .map(|group| {
                let members = self.shards.iter().filter(|it| it.group == group && !it.draining);
                let worst = members.map(|it| times(it.load, it.fair_load)).fold(0.0, f64::max);
                worst.max(self.options.imbalance_goal) + 1e-9
            })
            .collect();
        let mut ordered = Vec::with_capacity(drafts.len());
        let mut waiting = drafts;
        loop {
            let count = waiting.len();
            let mut still = Vec::new();
            for draft in waiting {
                self.shift_load(&draft, 1.0);
                if self.is_in_bounds(&draft, &worst) {
                    ordered.push(draft);
                } else {
                    self.shift_load(&draft, -1.0);
                    still.push(draft);
                }
            }
            waiting = still;
            if waiting.is_empty() || waiting.len() == count {
                break;
            }
        }
        for (shard, load) in self.shards.iter_mut().zip(before) {
            shard.load = load;
        }
        ordered
    }

    fn shift_load(&mut self, draft: &Draft, sign: f64) {
        for shift in &draft.shifts {
            for (shard, load) in [(shift.from, -shift.load), (shift.to, shift.load)] {
                self.shards.get_mut(shard).into_iter().for_each(|it| it.load += sign * load);
            }
        }
    }

    fn is_in_bounds(&self, draft: &Draft, worst: &[f64]) -> bool {
        // Loads that are noise may lie anywhere.
        let noise = |group| self.group_load(group) < self.options.load_min;
        draft.shifts.iter().all(|shift| {
            let Some(shard) = self.shards.get(shift.to) else { return false };
            let most = worst.get(shard.group).copied().unwrap_or(0.0);
            shift.load <= 0.0 || shard.load_times() <= most || noise(shard.group)
        })
    }

    pub(super) fn group_load(&self, group: usize) -> f64 {
        let members = self.shards.iter().filter(|it| it.group == group && !it.draining);
        members.map(|shard| shard.load).sum()
    }
}

/// Leaves out what a plan may not have.
pub(super) fn limit(drafts: &mut Vec<Draft>, most: usize, refusals: &mut Refusals) {
    let left_out = drafts.len().saturating_sub(most);
    if most > 0 && left_out > 0 {
        drafts.truncate(most);
        refusals.add(Subject::Plan, Reason::ManyActions { left_out, most });
    }
}
