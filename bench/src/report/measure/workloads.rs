//! The workloads: all of them, by threads, by shards, and over time.

use super::settings::{Settings, Watch};
use crate::report::data::Run;
use annulus_workload::engines::{Partitioning, Plain, Sharded};
use annulus_workload::{
    Candidate, Durability, Event, KeyOrder, Length, Plan, Result, ValueBytes, Workload,
};
use std::time::Duration;

const PARTITIONINGS: [Partitioning; 2] = [Partitioning::Hash, Partitioning::Range];

/// Shards of the stores whose number of shards is not what is measured.
pub(super) const SHARDS: u32 = 4;

/// The workload of the time lines: mostly reads, like most applications.
const TIMELINE_WORKLOAD: Workload = Workload::B;
const SHARD_ADDED_AT_PERCENT: u8 = 30;
const HOT_SPOT_AT_PERCENT: u8 = 65;

fn plan(settings: &Settings, workloads: &[Workload], seconds: f64) -> Plan {
    let length = Length::Time(Duration::from_secs_f64(seconds));
    let memory = settings.or(256, 16) << 20;
    Plan {
        workloads: workloads.to_vec(),
        threads: vec![2],
        records: settings.or(200_000, 1_000),
        length: settings.or(length, Length::Operations(400)),
        warm_up_percent: 10,
        rate: None,
        value_bytes: ValueBytes::Constant(1000),
        distribution: None,
        key_order: KeyOrder::Hashed,
        durability: Durability::Buffered,
        cache_bytes: memory,
        write_buffer_bytes: memory,
        // Many short turns: few long ones are hit by slow moments of the machine one by one.
        rounds: settings.or(30, 2),
        seed: settings.seed,
        event: None,
        hotspot_at: None,
        baseline: None,
        directory: Some(settings.directory.clone()),
        timeline: false,
        quiet_ms_max: settings.or(30_000, 0),
    }
}

fn stores(shards: &[u32]) -> Vec<Sharded> {
    let of = |partitioning| shards.iter().map(move |shards| Sharded::new(partitioning, *shards));
    PARTITIONINGS.into_iter().flat_map(of).collect()
}

fn run(
    plan: &Plan,
    stores: &[Sharded],
    plain: bool,
    watch: &mut Watch<'_, '_>,
) -> Result<Vec<Run>> {
    let mut candidates: Vec<&dyn Candidate> = Vec::new();
    candidates.extend(stores.iter().map(|store| store as &dyn Candidate));
    if plain {
        candidates.push(&Plain);
    }
    let report = watch.compare(plan, &candidates)?;
    Ok(Run::all(&report.records)?)
}

/// Runs every workload with two threads.
pub(super) fn each(settings: &Settings, watch: &mut Watch<'_, '_>) -> Result<Vec<Run>> {
    let plan = plan(settings, &Workload::ALL, 0.4);
    run(&plan, &stores(&[SHARDS]), true, watch)
}

/// Runs updates and reads, and reads alone, by number of threads.
pub(super) fn by_threads(settings: &Settings, watch: &mut Watch<'_, '_>) -> Result<Vec<Run>> {
    let mut plan = plan(settings, &[Workload::A, Workload::C], 0.4);
    plan.rounds = settings.or(15, 2);
    plan.threads = settings.or(&[1, 2, 4, 8][..], &[1, 2]).to_vec();
    without_loads(run(&plan, &stores(&[SHARDS]), true, watch)?)
}

/// Returns the same by number of shards. All are open at once, so each gets less memory.
pub(super) fn by_shards(settings: &Settings, watch: &mut Watch<'_, '_>) -> Result<Vec<Run>> {
    let mut plan = plan(settings, &[Workload::A, Workload::C], 0.4);
    plan.rounds = settings.or(12, 2);
    plan.records = settings.or(100_000, 500);
    plan.cache_bytes /= 2;
    plan.write_buffer_bytes /= 2;
    let shards = settings.or(&[1, 2, 4, 8, 16][..], &[1, 4]);
    without_loads(run(&plan, &stores(shards), true, watch)?)
}

/// Runs each partitioning while a shard is added, and then a hot spot appears.
pub(super) fn timelines(settings: &Settings, watch: &mut Watch<'_, '_>) -> Result<Vec<Run>> {
    let mut plan = plan(settings, &[TIMELINE_WORKLOAD], 30.0);
    if settings.quick {
        plan.length = Length::Time(Duration::from_secs(3));
    }
    plan.rounds = 1;
    plan.timeline = true;
    plan.event = Some((SHARD_ADDED_AT_PERCENT, Event::AddShard));
    plan.hotspot_at = Some(HOT_SPOT_AT_PERCENT);
    without_loads(run(&plan, &stores(&[SHARDS]), false, watch)?)
}

fn without_loads(mut runs: Vec<Run>) -> Result<Vec<Run>> {
    runs.retain(|run| run.workload != "load");
    Ok(runs)
}
