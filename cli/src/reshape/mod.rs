//! Reshapes as commands: what is asked for, how it is to be done, and what came of it.

mod ask;
mod interrupt;
mod options;
mod outcomes;
mod trims;
mod watch;

use crate::exit::{Exit, Failure, Outcome};
use crate::open::StoreArgs;
use crate::output::Output;
use annulus::balance::Request;
use annulus::{Creation, Job, Options, ReshapePlan, Store};
pub(crate) use ask::{AddShard, Ask, Merge, Move, RemoveShard, Reweigh, Split};
pub(crate) use interrupt::Interrupt;
use outcomes::Done;
pub(crate) use outcomes::{Totals, happened, table, totals};
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
    how: options::HowArgs,
}

impl<A: clap::Args + Ask> Act<A> {
    /// Does what is asked for, to its end.
    pub(crate) fn run(&self, output: &mut Output) -> Outcome<Exit> {
        let started = Instant::now();
        let reshape = self.how.options();
        let trims = Trims::default();
        // What it is to be is looked at first: nothing is opened for a key that is no key.
        let asked = self.ask.request()?;
        let store = Store::builder(&self.store.store)
            .options(Options { reshape, ..self.store.memory.options() })
            .listener(trims.listener())
            .create(Creation::Never)
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
        let title = self.ask.title();
        follow(&job, title.clone(), &interrupt, output);
        let mut outcomes = job.wait().map_err(|error| explain(error, &job, &self.ask))?;
        outcomes.sort_by_key(|outcome| outcome.reshape);
        let foreign_bytes = if store.options().reshape.trim {
            trims.wait(store, &interrupt, output)?
        } else {
            trims::foreign_bytes(store)?
        };
        Ok(Done {
            title,
            shard: self.ask.added(request),
            epoch: store.topology().epoch(),
            outcomes,
            notes: plan.notes,
            trimmed: store.reshape_stats().trimmed,
            foreign_bytes,
            seconds: 0.0,
        })
    }
}

/// Says what happens now.
fn tell(plan: &ReshapePlan, output: &Output) {
    let (number, moved) = (plan.steps.len(), crate::human::bytes(plan.moved_bytes));
    let s = if number == 1 { "" } else { "s" };
    output.note(format_args!("{number} reshape{s} to do, about {moved} change shard"));
    for note in &plan.notes {
        output.note(format_args!("note: {note}"));
    }
}

/// An error that ended a job, with what it left and how to go on.
fn explain(error: annulus::Error, job: &Job, ask: &impl Ask) -> Failure {
    let outcomes = job.outcomes();
    let committed = outcomes.iter().filter(|outcome| outcome.error.is_none()).count();
    let all = job.progress().reshapes;
    let left = ask.left().map(|left| format!("; {left}")).unwrap_or_default();
    let note = format!("{committed} of {all} reshapes were committed, the others changed nothing");
    Failure::from(error).note(note + &left)
}
