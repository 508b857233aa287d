//! The order of actions, and how many of them a plan has.

use super::compile::PlannedAction;
use super::model::Model;
use super::numbered::Numbered;
use super::refusal::{Reason, Refusals, Subject};

/// Puts actions in an order in which no shard gets worse on the way than the worst of its group
/// was. That is nearly the order they are in: only something that moved on to a shard that had
/// itself been relieved before has to wait for that. Actions that wait for each other are left for
/// the next plan. The shards are as they were before, and are so again afterwards.
pub(super) fn ordered(model: &mut Model<'_>, actions: Vec<PlannedAction>) -> Vec<PlannedAction> {
    let before: Vec<f64> = model.shards.iter().map(|shard| shard.load).collect();
    let worst: Numbered<f64> = (0..model.groups).map(|group| bound(model, group)).collect();
    let mut ordered = Vec::with_capacity(actions.len());
    let mut waiting = actions;
    loop {
        let count = waiting.len();
        let mut still = Vec::new();
        for action in waiting {
            shift_load(model, &action, 1.0);
            if is_in_bounds(model, &action, &worst) {
                ordered.push(action);
            } else {
                shift_load(model, &action, -1.0);
                still.push(action);
            }
        }
        waiting = still;
        if waiting.is_empty() || waiting.len() == count {
            break;
        }
    }
    for (shard, load) in model.shards.iter_mut().zip(before) {
        shard.load = load;
    }
    ordered
}

/// Returns the multiple of its fair share that a shard of a group may have on the way.
fn bound(model: &Model<'_>, group: usize) -> f64 {
    let members = model.members(group).into_iter();
    let worst = members.map(|shard| model.shards[shard].load_times()).fold(0.0, f64::max);
    worst.max(model.options.imbalance_goal) + 1e-9
}

fn shift_load(model: &mut Model<'_>, action: &PlannedAction, sign: f64) {
    for transfer in &action.transfers {
        model.shards[transfer.from].load -= sign * transfer.load;
        model.shards[transfer.to].load += sign * transfer.load;
    }
}

/// Returns true if the receivers of an action are no worse than `worst`, the bound of each group.
fn is_in_bounds(model: &Model<'_>, action: &PlannedAction, worst: &Numbered<f64>) -> bool {
    // Loads that are noise may be anywhere.
    let is_noise = |group| model.group_load(group) < model.options.load_min;
    action.transfers.iter().all(|transfer| {
        let shard = &model.shards[transfer.to];
        transfer.load <= 0.0 || shard.load_times() <= worst[shard.group] || is_noise(shard.group)
    })
}

/// Leaves out what exceeds the number of actions that a plan may have.
pub(super) fn limit(actions: &mut Vec<PlannedAction>, most: usize, refusals: &mut Refusals) {
    let left_out = actions.len().saturating_sub(most);
    if most > 0 && left_out > 0 {
        actions.truncate(most);
        refusals.add(Subject::Plan, Reason::ManyActions { left_out, most });
    }
}
