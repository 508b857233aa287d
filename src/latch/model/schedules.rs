//! The rules unbroken, under many schedules.

use super::Scenario;
use super::client::Call::{
    Add, Batch, BringUp, Clear, Delete, Get, Put, PutAtOnce, PutInVain, Snapshot, Transact,
};
use super::reshape::Step::{self, Abort, Merge, Move, Split};
use super::store::{MIDDLE, QUARTER};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler, UrwRandomScheduler};
use shuttle::{Config, MaxSteps, Runner};

/// How many schedules of each scenario each scheduler runs; the environment variable
/// `ANNULUS_SCHEDULES` sets another number.
const SCHEDULES: usize = 200;

/// Runs something as often as the scheduler wants. Returns how often that was.
pub(super) fn explore(
    scheduler: impl Scheduler + 'static,
    run: impl Fn() + Send + Sync + 'static,
) -> usize {
    let mut config = Config::new();
    config.silence_warnings = true;
    // A retry that never ends is a failure too.
    config.max_steps = MaxSteps::FailAfter(50_000);
    config.stack_size = 1 << 18;
    Runner::new(scheduler, config).run(run)
}

/// Runs a scenario under each scheduler. A few changes of the running thread at places that matter
/// find the most: three to five of them find all that `rules.rs` breaks.
fn hold(scenario: Scenario) {
    let asked = |name| Some(std::env::var(name).ok()?.parse().expect("a number"));
    let count = asked("ANNULUS_SCHEDULES").map_or(SCHEDULES, |count: u64| count as usize);
    let seed = asked("SHUTTLE_RANDOM_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("random, then uniform, then by priorities: SHUTTLE_RANDOM_SEED={seed}");
    let run = move || scenario.run();
    explore(RandomScheduler::new_from_seed(seed, count), run);
    explore(UrwRandomScheduler::new_from_seed(seed, count), run);
    for changes in [2, 3, 5, 8] {
        explore(PctScheduler::new_from_seed(seed, changes, count), run);
    }
}

/// There and back again; into two and one again; into one and two again.
const PLANS: [&[&[Step]]; 3] =
    [&[&[Move(0), Move(0)]], &[&[Split(0, QUARTER), Merge(0)]], &[&[Merge(0), Split(0, MIDDLE)]]];

#[test]
fn who_reads_finds_what_was_acknowledged() {
    for plan in PLANS {
        hold(Scenario::new(
            &[
                &[Put(b'a'), Get(b'a'), Delete(b'a'), Get(b'a')],
                &[Put(b'a'), Get(b'a'), Put(b'g'), Get(b'p')],
                &[Get(b'a'), Get(b'g'), Get(b'a')],
            ],
            plan,
        ));
    }
}

#[test]
fn writes_that_do_not_wait_keep_to_the_rules() {
    for plan in PLANS {
        hold(Scenario::new(
            &[
                &[PutAtOnce(b'a'), Get(b'a'), Add(b'g'), PutAtOnce(b'a')],
                &[PutAtOnce(b'a'), Get(b'a'), PutAtOnce(b'g'), Get(b'g')],
                &[Snapshot, PutAtOnce(b'p'), Get(b'p')],
            ],
            plan,
        ));
    }
}

#[test]
fn no_addition_is_lost() {
    for plan in PLANS {
        hold(Scenario::new(
            &[&[Add(b'g'), Add(b'p'), Add(b'g')], &[Add(b'g'), Add(b'g'), Add(b'p')]],
            plan,
        ));
    }
}

#[test]
fn snapshots_see_batches_whole() {
    for plan in PLANS {
        hold(Scenario::new(
            &[
                &[Batch(b'b', b'q'), Put(b'p'), Get(b'p')],
                &[Batch(b'q', b'b'), Add(b'a')],
                &[Snapshot, Snapshot],
            ],
            plan,
        ));
    }
}

#[test]
fn transactions_have_one_order() {
    for plan in PLANS {
        hold(Scenario::new(
            &[
                &[Transact(b'a', b'p'), Transact(b'g', b'a')],
                &[Transact(b'p', b'a'), Put(b'g')],
                &[Batch(b'a', b'p'), Snapshot],
            ],
            plan,
        ));
    }
}

#[test]
fn ranges_are_deleted_while_they_are_copied() {
    for plan in PLANS {
        hold(Scenario::new(
            &[
                &[Put(b'a'), Clear, Get(b'a'), Add(b'g')],
                &[Add(b'a'), Batch(b'a', b'g'), Get(b'g')],
            ],
            plan,
        ));
    }
}

#[test]
fn two_reshapes_side_by_side() {
    hold(Scenario::new(
        &[&[Batch(b'b', b'q'), Put(b'a'), Get(b'a')], &[Snapshot, Add(b'p'), Get(b'p')]],
        &[&[Move(0), Move(0)], &[Move(1), Move(1)]],
    ));
}

#[test]
fn a_reshape_that_is_given_up_leaves_the_source_as_it_was() {
    hold(Scenario::new(
        &[&[Put(b'a'), Get(b'a'), Add(b'g')], &[Batch(b'b', b'q'), Add(b'g')], &[Snapshot]],
        &[&[Abort(0), Move(0)], &[Abort(1)]],
    ));
}

#[test]
fn what_a_shard_has_refused_is_there_when_its_partition_is_brought_up() {
    hold(Scenario::new(
        &[
            &[PutInVain(b'p'), BringUp(b'p'), Get(b'p')],
            &[Put(b'q'), Get(b'p'), Put(b'q')],
            &[Batch(b'b', b'q'), Snapshot, Add(b'p')],
        ],
        &[],
    ));
}

#[test]
fn a_partition_falls_behind_while_it_moves() {
    hold(Scenario::new(
        &[&[Put(b'p'), PutInVain(b'p'), BringUp(b'p'), Add(b'p')], &[Put(b'q'), Get(b'p')]],
        &[&[Move(1), Move(1)]],
    ));
}

#[test]
fn nothing_is_acknowledged_after_a_close() {
    for plan in PLANS {
        hold(
            Scenario::new(
                &[&[Put(b'a'), Add(b'g'), Get(b'a')], &[Batch(b'b', b'q'), Put(b'p')]],
                plan,
            )
            .closed(),
        );
    }
}
