//! Decides whether the recorded history of one key is linearizable: whether each operation can be
//! assigned one instant between its start and its end such that a plain register, taking them in
//! that order, answers what was answered.
//!
//! The search is that of Wing and Gong, "Testing and Verifying Concurrent Objects" (Journal of
//! Parallel and Distributed Computing 17, 1993), with what Lowe adds in "Testing for
//! Linearizability" (Concurrency and Computation: Practice and Experience 29, 2017): pairs of
//! linearised operations and state are remembered, and an operation is linearised just in time,
//! when some operation returns that could not have returned otherwise. All that may be true at one
//! moment is thus a list of configurations; the history is linearizable if the list never becomes
//! empty. Only open operations are in a configuration, so at a quiescent point only states remain.
//!
//! Four properties of registers keep the list short; `agrees_with_trying_every_order` tests them.
//! * A read is linearised as soon as the state is what it returned: that takes nothing away.
//! * A write may be put right before another one, where no read sees it. So each write makes every
//!   open write free: it has its instant, and may still exchange it for a visible one.
//! * A visible write that no operation reads before the next one need not be visible.
//! * A configuration is dropped when another one can do all that it can (`Search::dominates`).
//!
//! It proves: `Ok` means that such an order exists, `Err` that none does, for this key alone; a map
//! is linearizable if each key is (Herlihy and Wing 1990), as long as each operation has one key.
//! Operations that touch at one instant count as concurrent. The time is about linear where most
//! writes write distinct values; with few values and many unknown outcomes it can be exponential,
//! as for any checker (Gibbons and Korach 1997).

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;

pub(crate) type Value = Option<u64>;

/// One call. The times are of one monotonic clock, taken before the call and after it; `end` is
/// `u64::MAX` if the outcome is unknown: a write or a swap may then take effect at any time after
/// the start, or never, and what a read or a swap returned is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Op {
    pub(crate) thread: u32,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) kind: Kind,
}

/// `None` is an absent key: writing it is a delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Read { value: Value },
    Write { value: Value },
    CompareAndSwap { expected: Value, new: Value, outcome: Outcome },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Swapped,
    Found(Value),
}

/// Checks that the operations on one key, in any order in the slice, are linearizable.
pub(crate) fn check(initial: Value, ops: &[Op]) -> Result<(), Violation> {
    Search::new(initial, ops).run()
}

/// The first operation, by end, that no order explains together with all that returned before.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    op: Op,
    states: BTreeSet<Value>,
    /// By start; with each, whether it may still change the state.
    around: Vec<(Op, bool)>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "not linearizable: {}", self.op)?;
        writeln!(f, "by then the value can only be in {:?}, or what a * writes", self.states)?;
        writeln!(f, "around it, and what wrote what it saw (> this, * may still take effect):")?;
        self.around.iter().try_for_each(|(op, open)| {
            let mark = if *op == self.op { '>' } else { [' ', '*'][usize::from(*open)] };
            writeln!(f, "  {mark} {op}")
        })
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = if self.end == u64::MAX { "unknown".into() } else { self.end.to_string() };
        write!(f, "thread {} [{} .. {end}] {:?}", self.thread, self.start, self.kind)
    }
}

/// An operation as a register sees it: the state it needs, the state it leaves. One that has
/// neither cannot be explained; if its outcome is unknown, it says nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    sees: Option<Value>,
    writes: Option<Value>,
}

impl Step {
    fn of(op: &Op) -> Self {
        let known = op.end != u64::MAX;
        let (sees, writes) = match op.kind {
            Kind::Read { value } => (known.then_some(value), None),
            Kind::Write { value } => (None, Some(value)),
            Kind::CompareAndSwap { expected, new, outcome } => match outcome {
                Outcome::Found(found) if known => ((found != expected).then_some(found), None),
                _ if expected == new => (known.then_some(expected), None),
                _ => (Some(expected), Some(new)),
            },
        };
        Self { sees, writes }
    }

    /// Returns true if this, in this state, changes nothing.
    fn rests_in(self, state: Value) -> bool {
        self.sees.xor(self.writes) == Some(state)
    }
}

/// One possible state of affairs.
#[derive(Clone, Default)]
struct Config {
    state: Value,
    /// Open operations that have no instant yet and need one before they return.
    owed: BTreeSet<usize>,
    /// Open operations that have changed the state. A free write is in neither set.
    spent: BTreeSet<usize>,
}

struct Search<'a> {
    ops: &'a [Op],
    steps: Vec<Step>,
    /// The end of the last operation that can see a value.
    seen_until: HashMap<Value, u64>,
    configs: Vec<Config>,
    /// The open operations that write, grouped by what they do, by end.
    open: BTreeMap<Step, BTreeSet<(u64, usize)>>,
    now: u64,
    /// Configurations made, a measure of the work.
    made: usize,
}

impl<'a> Search<'a> {
    fn new(initial: Value, ops: &'a [Op]) -> Self {
        let steps: Vec<_> = ops.iter().map(Step::of).collect();
        let mut seen_until = HashMap::new();
        for (op, step) in ops.iter().zip(&steps) {
            assert!(op.start <= op.end, "ends before it starts: {op}");
            if let Some(value) = step.sees {
                seen_until.entry(value).and_modify(|end| *end = op.end.max(*end)).or_insert(op.end);
            }
        }
        let configs = vec![Config { state: initial, ..Config::default() }];
        Self { ops, steps, seen_until, configs, open: BTreeMap::new(), now: 0, made: 0 }
    }

    fn run(&mut self) -> Result<(), Violation> {
        let mut events = Vec::with_capacity(2 * self.ops.len());
        for (n, op) in self.ops.iter().enumerate() {
            if op.end != u64::MAX {
                events.extend([(op.start, false, n), (op.end, true, n)]);
            } else if self.steps[n].writes.is_some_and(|value| self.seen(value, op.start)) {
                events.push((op.start, false, n));
            }
        }
        events.sort_unstable();
        for (time, returns, op) in events {
            self.now = time;
            if !returns {
                self.begin(op);
            } else if self.finish(op).is_none() {
                return Err(self.violation(op));
            }
        }
        Ok(())
    }

    /// Returns true if something that ends at `time` or later sees this value.
    fn seen(&self, value: Value, time: u64) -> bool {
        self.seen_until.get(&value).is_some_and(|end| *end >= time)
    }

    fn begin(&mut self, op: usize) {
        let (end, step) = (self.ops[op].end, self.steps[op]);
        if step.writes.is_some() {
            self.open.entry(step).or_default().insert((end, op));
        }
        let owes = |config: &&mut Config| end != u64::MAX && !step.rests_in(config.state);
        for config in self.configs.iter_mut().filter(owes) {
            config.owed.insert(op);
        }
    }

    /// Applies the operation now, if it can change the state, and then assigns their instant to
    /// those that change nothing more. Returns whether there is a read among them.
    fn apply(&self, config: &Config, op: usize) -> Option<(Config, bool)> {
        let (step, mut next, mut read) = (self.steps[op], config.clone(), false);
        if step.sees.is_some_and(|value| value != config.state) {
            return None;
        }
        next.state = step.writes?;
        next.spent.insert(op);
        next.owed.retain(|n| {
            let other = self.steps[*n];
            let (rests, blind) = (other.rests_in(next.state), other.sees.is_none());
            read |= rests && !blind;
            let hides = step.sees.is_none() && blind && other.writes.is_some();
            *n != op && !rests && !hides
        });
        Some((next, read))
    }

    /// Returns, among operations that do the same, the first to end that has not changed the state:
    /// it can always change places with the others.
    fn first(config: &Config, same: &BTreeSet<(u64, usize)>) -> Option<usize> {
        same.iter().map(|(_, op)| *op).find(|op| !config.spent.contains(op))
    }

    /// Returns true if `a` can do all that `b` can.
    fn dominates(&self, a: &Config, b: &Config) -> bool {
        (a.state == b.state || !self.seen(b.state, self.now))
            && a.owed.is_subset(&b.owed)
            && a.spent.is_subset(&b.spent)
    }

    /// Adds a configuration, unless another one makes it superfluous.
    fn keep(&self, configs: &mut Vec<Config>, new: &Config) -> bool {
        let wanted = !configs.iter().any(|config| self.dominates(config, new));
        if wanted {
            configs.retain(|config| !self.dominates(new, config));
            configs.push(new.clone());
        }
        wanted
    }

    /// Processes the return of the operation: leaves the configurations in which that is possible,
    /// or, if there are none, all as they were.
    fn finish(&mut self, op: usize) -> Option<()> {
        let (step, mut next, mut starts) = (self.steps[op], Vec::new(), VecDeque::new());
        let seen = step.writes.is_some_and(|value| self.seen(value, self.now));
        for config in &self.configs {
            let owed = config.owed.contains(&op);
            if owed || seen && !config.spent.contains(&op) {
                starts.push_back(config.clone());
            }
            if !owed {
                let mut config = config.clone();
                config.spent.remove(&op);
                self.keep(&mut next, &config);
            }
        }
        self.explore(op, starts, &mut next);
        // No longer open: this one, and those of unknown outcome that are certainly spent.
        let mut gone = next.first()?.spent.clone();
        gone.retain(|n| self.ops[*n].end == u64::MAX && next.iter().all(|c| c.spent.contains(n)));
        next.iter_mut().for_each(|config| config.spent.retain(|n| !gone.contains(n)));
        for n in gone.into_iter().chain([op]) {
            self.open.entry(self.steps[n]).or_default().remove(&(self.ops[n].end, n));
        }
        self.open.retain(|_, same| !same.is_empty());
        self.configs = next;
        Some(())
    }

    /// Adds the configurations in which the operation has just got its instant, or, if it is a
    /// write that is free, a visible one.
    fn explore(&mut self, op: usize, mut queue: VecDeque<Config>, found: &mut Vec<Config>) {
        let (mut met, reads) = (Vec::new(), self.steps[op].writes.is_none());
        while let Some(config) = queue.pop_front() {
            for (step, same) in &self.open {
                let Some(candidate) = Self::first(&config, same) else { continue };
                let Some((mut next, read)) = self.apply(&config, candidate) else { continue };
                self.made += 1;
                if candidate == op || reads && !next.owed.contains(&op) {
                    next.spent.remove(&op);
                    self.keep(found, &next);
                    continue;
                }
                // Only useful if a read sees it, or a swap is done or made possible.
                let swaps = step.sees.is_some() && config.owed.contains(&candidate);
                let swapped = |(step, same): (&Step, _)| {
                    step.sees == Some(next.state) && Self::first(&next, same).is_some()
                };
                if (read || swaps || self.open.iter().any(swapped)) && self.keep(&mut met, &next) {
                    queue.push_back(next);
                }
            }
        }
    }

    fn violation(&self, failed: usize) -> Violation {
        let (op, sees) = (self.ops[failed], self.steps[failed].sees);
        let states = self.configs.iter().map(|config| config.state).collect();
        let open: BTreeSet<_> = self.open.values().flatten().map(|(_, n)| *n).collect();
        let may = |n| open.contains(&n) && self.configs.iter().any(|c| !c.spent.contains(&n));
        let mut known: Vec<_> = (0..self.ops.len())
            .filter(|n| self.ops[*n].start <= op.end && (self.ops[*n].end != u64::MAX || may(*n)))
            .collect();
        known.sort_by_key(|n| self.ops[*n].end);
        // Those that overlap it and a few before; what wrote what it saw.
        let overlap = known.partition_point(|n| self.ops[*n].end < op.start);
        let source = |n: &&usize| sees.is_some() && self.steps[**n].writes == sees;
        let sources = known.iter().rev().filter(source).take(3);
        let near = known.iter().skip(overlap.saturating_sub(6)).take(30);
        let around: BTreeSet<_> =
            near.chain(sources).chain([&failed]).map(|n| (self.ops[*n].start, *n)).collect();
        let around = around.into_iter().map(|(_, n)| (self.ops[n], may(n))).collect();
        Violation { op, states, around }
    }
}

mod tests {
    use super::*;

    /// Returns the initial state of `below` (splitmix64), from a printed seed, which `ANNULUS_SEED`
    /// sets.
    fn start() -> u64 {
        let seed = std::env::var("ANNULUS_SEED").map_or(2017, |seed| seed.parse().unwrap());
        println!("ANNULUS_SEED={seed}");
        seed
    }

    fn below(r: &mut u64, bound: u64) -> u64 {
        *r = r.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (*r ^ *r >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) % bound
    }

    /// Returns any call, with any answer; a swap often expects the value `near`.
    fn any(r: &mut u64, values: u64, near: Value) -> Kind {
        let [value, new, found] = [(); 3].map(|()| (below(r, 5) > 0).then(|| below(r, values)));
        let outcome = [Outcome::Swapped, Outcome::Found(found)][below(r, 2) as usize];
        match below(r, 8) {
            0..=2 => Kind::Read { value },
            3..=5 => Kind::Write { value },
            6 => Kind::CompareAndSwap { expected: near, new, outcome },
            _ => Kind::CompareAndSwap { expected: value, new, outcome },
        }
    }

    /// Applies an operation to an atomic register, and writes its answer into `kind`.
    fn act(register: &mut Value, kind: &mut Kind) {
        match kind {
            Kind::Read { value } => *value = *register,
            Kind::Write { value } => *register = *value,
            Kind::CompareAndSwap { expected, new, outcome } if *register == *expected => {
                (*register, *outcome) = (*new, Outcome::Swapped);
            }
            Kind::CompareAndSwap { outcome, .. } => *outcome = Outcome::Found(*register),
        }
    }

    /// Simulates threads that call an atomic register, interleaved at random: a call starts, takes
    /// effect and ends in steps. One in about `lost` never ends, and may take no effect.
    fn simulate(r: &mut u64, threads: usize, count: usize, values: u64, lost: u64) -> Vec<Op> {
        let (mut ops, mut register, mut time) = (Vec::<Op>::new(), None, 0);
        let mut calls = vec![None; threads];
        while ops.len() < count || calls.iter().any(Option::is_some) {
            time += below(r, 2);
            let thread = below(r, threads as u64) as usize;
            calls[thread] = match calls[thread] {
                None if ops.len() < count => {
                    let kind = any(r, values, register);
                    ops.push(Op { thread: thread as u32, start: time, end: u64::MAX, kind });
                    Some((ops.len() - 1, false))
                }
                Some(_) if below(r, 2 * lost) == 0 => None,
                Some((op, acted)) => {
                    match acted {
                        false => act(&mut register, &mut ops[op].kind),
                        true => ops[op].end = time,
                    }
                    (!acted).then_some((op, true))
                }
                None => None,
            };
        }
        ops
    }

    fn brute(register: Value, left: &[Op]) -> bool {
        left.iter().all(|op| op.end == u64::MAX)
            || (0..left.len()).any(|n| {
                let (mut rest, mut after) = (left.to_vec(), register);
                let (op, mut kind) = (rest.remove(n), left[n].kind);
                act(&mut after, &mut kind);
                left.iter().all(|other| other.end >= op.start)
                    && (kind == op.kind || op.end == u64::MAX)
                    && brute(after, &rest)
            })
    }

    #[test]
    fn agrees_with_trying_every_order() {
        let (mut r, mut verdicts) = (start(), [0; 2]);
        for round in 0..60_000 {
            let (count, values) = (1 + below(&mut r, 7) as usize, 1 + below(&mut r, 3));
            let mut ops = simulate(&mut r, 4, count, values, 8);
            // Valid as it is; with one or two operations changed; all at random.
            for _ in 0..[0, 1, 2, 2 * count][round % 4] {
                let (n, start) = (below(&mut r, count as u64) as usize, below(&mut r, 12));
                let end = if below(&mut r, 6) == 0 { u64::MAX } else { start + below(&mut r, 8) };
                let kind = any(&mut r, values, Some(start % values));
                ops[n] = Op { thread: 0, start, end, kind };
            }
            let valid = brute(None, &ops);
            assert!(valid || round % 4 > 0, "round {round}: {ops:#?}");
            assert_eq!(check(None, &ops).is_ok(), valid, "round {round}: {ops:#?}");
            verdicts[usize::from(valid)] += 1;
        }
        assert!(verdicts.iter().all(|count| *count > 10_000), "{verdicts:?}");
    }

    #[test]
    fn accepts_an_atomic_register_with_work_that_grows_with_the_length() {
        let (own, no) = (u64::MAX, u64::MAX / 2);
        let shapes = [(1, 9, no), (8, own, no), (8, own, 200), (16, own, no), (16, 4, no)];
        for (threads, values, lost) in shapes {
            let ops = simulate(&mut start(), threads, 100_000, values, lost);
            let mut search = Search::new(None, &ops);
            search.run().unwrap_or_else(|violation| panic!("{violation}"));
            assert!(search.made < 30 * ops.len(), "{threads} threads: {}", search.made);
        }
    }

    #[test]
    fn finds_what_is_planted() {
        let [read, write] = [|value| Kind::Read { value }, |value| Kind::Write { value }];
        let swap = |expected, new, outcome| Kind::CompareAndSwap { expected, new, outcome };
        let (gone, one, two, found) = (None, Some(1), Some(2), Outcome::Found(Some(1)));
        let mut r = start();
        for (name, planted) in [
            ("stale read", [write(one), write(two), read(one)]),
            ("lost write", [write(gone), write(one), read(gone)]),
            ("never written", [write(one), read(one), read(two)]),
            ("resurrected", [write(one), write(gone), read(one)]),
            ("swapped another value", [write(one), read(one), swap(two, gone, Outcome::Swapped)]),
            ("found what it expected", [write(two), write(one), swap(one, two, found)]),
        ] {
            let mut ops = simulate(&mut r, 8, 5000, u64::MAX, u64::MAX / 2);
            let last = ops.iter().map(|op| op.end).max().unwrap();
            for (start, kind) in (last + 1..).step_by(2).zip(planted) {
                ops.push(Op { thread: 9, start, end: start + 1, kind });
            }
            let violation = check(None, &ops).expect_err(name);
            assert_eq!(violation.op, ops[5002], "{name}: {violation}");
            assert!(violation.to_string().contains(&format!("> {}", ops[5002])), "{violation}");
            ops.pop();
            assert!(check(None, &ops).is_ok(), "{name}");
        }
    }
}
