//! Targets: how much load each shard should have.

use super::model::Model;
use super::numbered::Numbered;

/// Sets the fair shares: what the weight of a shard asks for among those of its group.
pub(super) fn set_fair_shares(model: &mut Model<'_>) {
    for group in 0..model.groups {
        let members = model.members(group);
        let shards = || members.iter().map(|number| &model.shards[*number]);
        let load: f64 = shards().map(|shard| shard.load).sum();
        let bytes: f64 = shards().map(|shard| shard.bytes).sum();
        let weights: f64 = shards().map(|shard| shard.weight).sum();
        for number in members {
            let shard = &mut model.shards[number];
            shard.fair_load = load * shard.weight / weights;
            shard.fair_bytes = bytes * shard.weight / weights;
        }
    }
}

/// Returns the load that each member of a group should have: its fair share, unless it has
/// something that cannot leave it and is more. Then that is its target, and the others share the
/// rest (water filling).
///
/// A part that cannot be divided stays where it is only if no shard weighs more.
pub(super) fn targets(
    model: &Model<'_>,
    members: &[usize],
    by_owner: &Numbered<Vec<usize>>,
) -> Numbered<f64> {
    let weights = members.iter().map(|number| model.shards[*number].weight);
    let weight_max = weights.fold(0.0, f64::max);
    let mut floors: Vec<(usize, f64, f64)> = Vec::new();
    let (mut load, mut weights) = (0.0, 0.0);
    for number in members {
        let shard = &model.shards[*number];
        let atom = if shard.weight < weight_max { 0.0 } else { atom(model, &by_owner[*number]) };
        floors.push((*number, shard.weight, shard.fixed_load.max(atom)));
        load += shard.load;
        weights += shard.weight;
    }
    floors
        .sort_by(|(one, w1, f1), (two, w2, f2)| (f2 / w2).total_cmp(&(f1 / w1)).then(one.cmp(two)));
    let mut targets: Numbered<f64> = model.shards.iter().map(|_| 0.0).collect();
    let mut floors = floors.into_iter().peekable();
    while let Some((number, weight, floor)) =
        floors.next_if(|(_, weight, floor)| *floor > load * weight / weights)
    {
        (load, weights) = ((load - floor).max(0.0), weights - weight);
        targets[number] = floor;
    }
    for (number, weight, _) in floors {
        targets[number] = load * weight / weights;
    }
    targets
}

/// Returns the load of the heaviest indivisible part of some pieces.
fn atom(model: &Model<'_>, pieces: &[usize]) -> f64 {
    pieces.iter().map(|number| model.pieces[*number].atom).fold(0.0, f64::max)
}
