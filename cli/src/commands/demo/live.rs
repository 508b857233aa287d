//! A store under load while it is reshaped: a shard is added, another one removed, partitions are
//! split and merged.

use crate::exit::{Failure, Outcome};
use crate::output::Output;
use crate::reshape::{Interrupt, Totals, Trims, follow, totals};
use annulus::planner::{Request, SplitAt};
use annulus::report::ShardStats;
use annulus::reshape::ReshapeStats;
use annulus::{Keyspace, PartitionId, ShardId, ShardSpec, Store};
use annulus_bench::demo::{Counts, Expected, Load, Row};
use std::collections::BTreeMap;
use std::time::Instant;

/// A store under load.
pub(super) struct Live<'a> {
    pub(super) store: &'a Store,
    pub(super) keyspaces: [(&'a Keyspace, Expected<'a>); 2],
    pub(super) seed: u64,
    pub(super) trims: &'a Trims,
    pub(super) output: &'a Output,
}

/// The result.
#[derive(Debug, Clone, Default)]
pub(super) struct LiveSummary {
    pub(super) counts: Counts,
    pub(super) seconds: f64,
    /// Of the jobs, so without trims.
    pub(super) moved: Totals,
    pub(super) stats: ReshapeStats,
}

impl Live<'_> {
    /// Reshapes the store under load.
    pub(super) fn run(&self) -> Outcome<LiveSummary> {
        let started = Instant::now();
        let load = Load { store: self.store, keyspaces: self.keyspaces, seed: self.seed };
        let (moved, counts) = load.during(|| self.reshape())?;
        let seconds = started.elapsed().as_secs_f64();
        Ok(LiveSummary { counts, seconds, moved, stats: self.store.reshape_stats() })
    }

    /// Makes every kind of change to partitions and shards, one after the other.
    fn reshape(&self) -> Outcome<Totals> {
        let mut outcomes = Vec::new();
        let topology = self.store.topology();
        let (new, old) = (topology.next_shard(), topology.shards().next().map(|shard| shard.id));
        let spec = ShardSpec::new(format!("shards/{new}"));
        let request = self.store.add_shard_request(spec);
        outcomes.extend(self.job(format!("add shard {new}"), &request)?);
        if let Some(shard) = old {
            let request = Request::RemoveShard(shard);
            outcomes.extend(self.job(format!("remove shard {shard}"), &request)?);
        }
        if let Some((shard, weight)) = self.lightest()? {
            // Its present weight: it receives what it lacks.
            let request = Request::SetWeight { shard, weight };
            outcomes.extend(self.job(format!("even out shard {shard}"), &request)?);
        }
        for (keyspace, expected) in self.keyspaces {
            let Some((partition, at)) = fullest(keyspace, expected.rows) else { continue };
            let title = format!("split partition {partition}");
            let split = self.job(title, &Request::Split { partition, at, to: None })?;
            let targets = split.first().map(|outcome| outcome.targets.clone());
            outcomes.extend(split);
            if let Some([left, right]) = targets.as_deref() {
                let request = Request::Merge { left: *left, right: *right, to: None };
                outcomes
                    .extend(self.job(format!("merge partitions {left} and {right}"), &request)?);
            }
        }
        self.trims.wait(self.store, &Interrupt::never(), &Output::new(true))?;
        Ok(totals(&outcomes))
    }

    /// Returns the shard with the fewest bytes for its weight, and its weight.
    fn lightest(&self) -> Outcome<Option<(ShardId, u32)>> {
        let shards = self.store.stats()?.shards;
        let load = |shard: &ShardStats| shard.bytes_on_disk / u64::from(shard.weight);
        Ok(shards.iter().min_by_key(|shard| load(shard)).map(|shard| (shard.id, shard.weight)))
    }

    fn job(&self, title: String, request: &Request) -> Outcome<Vec<annulus::reshape::Outcome>> {
        let (started, job) = (Instant::now(), self.store.start(request)?);
        follow(&job, title.clone(), &Interrupt::never(), self.output);
        let outcomes = job
            .wait()
            .map_err(|error| Failure::from(error).note(format!("while the demo was to {title}")))?;
        let (seconds, number) = (started.elapsed().as_secs_f64(), outcomes.len());
        let s = if number == 1 { "" } else { "s" };
        self.output.note(format_args!("live   {title}: {number} reshape{s}, {seconds:.2} s"));
        Ok(outcomes)
    }
}

/// Returns the partition with most of the rows, and where to split it; `None` if there are too few
/// rows.
fn fullest(keyspace: &Keyspace, rows: &[Row]) -> Option<(PartitionId, SplitAt)> {
    let placement = keyspace.placement();
    let mut places: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (place, (key, _)) in rows.iter().enumerate() {
        places.entry(placement.partitioning().find(key)).or_default().push(place);
    }
    let (index, places) = places.into_iter().max_by_key(|(_, places)| places.len())?;
    let partition = placement.partition(index)?.id;
    if placement.partitioning().as_str() == "hash" {
        return Some((partition, SplitAt::Middle));
    }
    let middle = places.get(places.len() / 2).filter(|_| places.len() > 1)?;
    Some((partition, SplitAt::Key(rows.get(*middle)?.0.clone())))
}
