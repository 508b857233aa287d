//! How much load each shard should have.

use super::model::Model;

impl Model<'_> {
    /// The load that each member of a group should have, by the number of the shard: its fair
    /// share, unless it has something that cannot go and is more. Then that is what it should have,
    /// and the rest is shared by the others (water filling).
    ///
    /// A part that cannot be divided stays where it is only if no shard weighs more.
    pub(super) fn targets(&self, members: &[usize], by_owner: &[Vec<usize>]) -> Vec<f64> {
        let shard = |index: &usize| self.shards.get(*index).map(|shard| (*index, shard));
        let weight_max =
            members.iter().filter_map(shard).map(|(_, it)| it.weight).fold(0.0, f64::max);
        let mut floors: Vec<(usize, f64, f64)> = Vec::new();
        let (mut load, mut weights) = (0.0, 0.0);
        for (index, shard) in members.iter().filter_map(shard) {
            let atom = if shard.weight < weight_max { 0.0 } else { self.atom(index, by_owner) };
            floors.push((index, shard.weight, shard.fixed_load.max(atom)));
            load += shard.load;
            weights += shard.weight;
        }
        floors.sort_by(|(one, w1, f1), (two, w2, f2)| {
            (f2 / w2).total_cmp(&(f1 / w1)).then(one.cmp(two))
        });
        let mut targets = vec![0.0; self.shards.len()];
        let mut floors = floors.into_iter().peekable();
        while let Some((index, weight, floor)) =
            floors.next_if(|(_, weight, floor)| *floor > load * weight / weights)
        {
            (load, weights) = ((load - floor).max(0.0), weights - weight);
            targets.get_mut(index).into_iter().for_each(|target| *target = floor);
        }
        for (index, weight, _) in floors {
            targets.get_mut(index).into_iter().for_each(|target| *target = load * weight / weights);
        }
        targets
    }

    /// The heaviest indivisible part among the pieces of a shard that may move.
    fn atom(&self, shard: usize, by_owner: &[Vec<usize>]) -> f64 {
        let pieces = by_owner.get(shard).into_iter().flatten();
        pieces.filter_map(|index| self.pieces.get(*index)).map(|it| it.atom).fold(0.0, f64::max)
    }
}
