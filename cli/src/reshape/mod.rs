//! Reshapes as commands: what is requested, how it is done, and the result.

mod ask;
mod interrupt;
mod options;
mod outcomes;
mod trims;
mod watch;

use crate::exit::{Exit, Failure, Outcome};
use crate::open::StoreArgs;
use crate::output::Output;
use annulus::heat::HeatOptions;
use annulus::planner::Request;
use annulus::reshape::{Job, ReshapePlan};
use annulus::{CreateMode, Store};
pub(crate) use ask::{AddShard, Ask, Merge, Move, RemoveShard, Reweigh, Split};
pub(crate) use interrupt::Interrupt;
pub(crate) use options::{HowArgs, throttle};
pub(crate) use outcomes::{Done, Totals, happened, table, totals};
use std::time::Instant;
pub(crate) use trims::Trims;
pub(crate) use watch::follow;

/// A command that reshapes: what, in which store, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Act<A: clap::Args> {
    #[command(flatten)]
    store: StoreArgs,

    #[command(flatten)]
    ask: A,

    #[command(flatten)]
    how: HowArgs,
}

impl<A: clap::Args + Ask> Act<A> {
    /// Does what is requested, to its end.
    pub(crate) fn run(&self, output: &mut Output) -> Outcome<Exit> {
        let started = Instant::now();
        let reshape = self.how.options();
        let trims = Trims::default();
        // The request is checked first: nothing is opened for a key that is not one.
        let asked = self.ask.request()?;
        let heat = self.how.counts_latencies().then(HeatOptions::default);
        let store = Store::builder(&self.store.store)
            .options(self.store.memory.options().reshape(reshape).heat(heat))
            .listener(trims.listener())
            .create(CreateMode::Never)
            .open()?;
        let done = self.act(&store, &asked.with(&store), &trims, output);
        // Also after an error: the threads of the store must end before the process does.
        let closed = store.close();
        let done = Done { seconds: started.elapsed().as_secs_f64(), ..done? };
        closed?;
        done.report(&store, output)?;
        Ok(Exit::Fine)
    }

    fn act(
        &self,
        store: &Store,
        request: &Request,
        trims: &Trims,
        output: &Output,
    ) -> Outcome<Done> {
        let interrupt = Interrupt::catch(output);
        // For its notes; the job makes the same plan again.
        let plan = store.plan(request)?;
        let job = store.start(request)?;
        tell(&plan, output);
        let following = Following { store, trims, interrupt: &interrupt, output };
        let done = following.to_the_end(&job, self.ask.title(), plan.notes, self.ask.left())?;
        Ok(Done { shard: self.ask.added(request), ..done })
    }
}

/// What following a job requires.
pub(crate) struct Following<'a> {
    pub(crate) store: &'a Store,
    pub(crate) trims: &'a Trims,
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) output: &'a Output,
}

impl Following<'_> {
    /// Shows the progress of a job until it has ended and what shares files is trimmed, and prints
    /// the result. `left` describes what a job that ends early leaves.
    pub(crate) fn to_the_end(
        &self,
        job: &Job,
        title: String,
        notes: Vec<String>,
        left: Option<String>,
    ) -> Outcome<Done> {
        let started = Instant::now();
        let Self { store, trims, interrupt, output } = *self;
        follow(job, title.clone(), interrupt, output);
        let mut outcomes = job.wait().map_err(|error| explain(error, job, left))?;
        outcomes.sort_by_key(|outcome| outcome.reshape);
        let foreign_bytes = if store.options().reshape.trim {
            trims.wait(store, interrupt, output)?
        } else {
            trims::foreign_bytes(store)?
        };
        Ok(Done {
            title,
            shard: None,
            epoch: store.topology().epoch(),
            outcomes,
            notes,
            trimmed: store.reshape_stats().trimmed,
            foreign_bytes,
            seconds: started.elapsed().as_secs_f64(),
        })
    }
}

/// Prints what happens now.
fn tell(plan: &ReshapePlan, output: &Output) {
    let (number, moved) = (plan.steps.len(), annulus_workload::human::bytes(plan.moved_bytes));
    let s = if number == 1 { "" } else { "s" };
    output.note(format_args!("{number} reshape{s} to do, about {moved} change shard"));
    for note in &plan.notes {
        output.note(format_args!("note: {note}"));
    }
}

/// Returns the error that ended a job, with what it left and how to continue.
fn explain(error: annulus::Error, job: &Job, left: Option<String>) -> Failure {
    let outcomes = job.outcomes();
    let committed = outcomes.iter().filter(|outcome| outcome.error.is_none()).count();
    let all = job.progress().reshapes;
    let left = left.map(|left| format!("; {left}")).unwrap_or_default();
    let note = format!("{committed} of {all} reshapes were committed, the others changed nothing");
    Failure::from(error).note(note + &left)
}
