//! Shards that join and leave.

use crate::arguments::Shape;
use crate::days::Run;
use crate::report::human;
use crate::space::ends;
use annulus::ShardId;
use annulus::planner::{Request, Step, StepSplitPoint, plan};
use annulus::topology::{Change, ShardInfo, SplitPoint};
use std::time::Instant;

/// Applying a reshape takes time in proportion to all partitions, so a plan with more of them than
/// this for a new shard is not carried out.
const STEPS_MAX: usize = 4_000;

impl Run<'_> {
    /// Adds a shard after a quarter of the time, and removes another one after five eighths.
    pub(crate) fn shards_come_and_go(&mut self, number: u32, intervals: u32) {
        if self.shapes_only() {
            return;
        }
        let request = if number == intervals / 4 {
            let id = self.cluster.topology.next_shard();
            Request::AddShard(ShardInfo::new(id, id.to_string()))
        } else if number == intervals * 5 / 8 {
            Request::RemoveShard(ShardId(0))
        } else {
            return self.remove_if_empty();
        };
        let (begun, sizes) = (Instant::now(), self.load.bytes(&self.cluster.topology, self.now));
        let found = plan(&self.cluster.topology, &sizes, &request).expect("a plan for a shard");
        println!(
            "{request:?}: {} reshapes, {}; planned in {:.0} ms",
            found.steps.len(),
            human(found.moved_bytes()),
            begun.elapsed().as_secs_f64() * 1000.0
        );
        match request {
            Request::AddShard(shard) => self.cluster.change(self.now, &Change::AddShard { shard }),
            _ => {
                let change = Change::DrainShard { id: ShardId(0), draining: true };
                self.cluster.change(self.now, &change);
                self.leaving = Some(ShardId(0));
            }
        }
        if found.steps.len() > STEPS_MAX {
            println!("too many to apply one by one: the shard fills as load comes its way");
            return;
        }
        let steps: Vec<Step> =
            found.steps.into_iter().filter_map(|it| self.with_split_points(it)).collect();
        self.cluster.begin(self.now, steps, false);
    }

    /// Returns true unless the load drifts: only a drift has shards that join and leave.
    fn shapes_only(&self) -> bool {
        self.arguments.load != Shape::Drift || self.arguments.no_rebalance
    }

    /// Finds the keys of cuts by bytes; all keys are of one size.
    fn with_split_points(&self, mut step: Step) -> Option<Step> {
        let keyspace = self.cluster.topology.keyspace(step.keyspace)?;
        let id = *step.sources.first()?;
        let partition = keyspace.partitions().find(|partition| partition.id == id)?;
        let last = partition.range.clone();
        for cut in &mut step.split_points {
            if let StepSplitPoint::Bytes { permille } = *cut {
                let [from, to] = ends(&last, self.now.as_millis() as u64);
                let key = from + (to - from) * u64::from(permille) / 1000;
                *cut = StepSplitPoint::At(SplitPoint::Key(key.max(from + 1).to_be_bytes().into()));
            }
        }
        Some(step)
    }

    fn remove_if_empty(&mut self) {
        let Some(id) = self.leaving.filter(|_| self.cluster.is_idle()) else { return };
        if self.cluster.topology.partitions_of(id) == 0 {
            self.cluster.change(self.now, &Change::RemoveShard { id });
            println!("{id} is removed");
            self.leaving = None;
            return;
        }
        let sizes = self.load.bytes(&self.cluster.topology, self.now);
        let request = Request::RemoveShard(id);
        let found = plan(&self.cluster.topology, &sizes, &request).expect("a plan for a shard");
        let steps: Vec<Step> =
            found.steps.into_iter().filter_map(|it| self.with_split_points(it)).collect();
        self.cluster.begin(self.now, steps, false);
    }
}
