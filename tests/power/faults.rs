//! Goal: an error of the operating system, at whatever call, loses nothing that was acknowledged,
//! and no call that failed is taken for one that succeeded. Method: a child of which one call
//! fails, or from one on all below the same shard or the log, for a while or for good. Kinds of
//! calls (what they do, and to which file) are tried in turn with each error. Then the store is
//! opened without errors and compared with what was acknowledged. `ANNULUS_FAULTS` makes more.

use crate::check::End;
use crate::churn::{quick_directory, seed};
use crate::disk::lay_out;
use crate::disk::{Cut, Disk, Image, Names};
use crate::images::{Content, Figures, count, examine, on_threads};
use crate::kills::history;
use crate::notes::History;
use crate::recorder;
use crate::workload::Order;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

/// How calls fail: with `EIO` and `ENOSPC`, once, from then on, and until there is room again; and
/// in the ways that only some of them know.
const WAYS: [(&str, &str); 9] = [
    ("5", ""),
    ("28", ""),
    ("5:sticky", ""),
    ("28:sticky", ""),
    ("28:sticky", "400"),
    ("short", "write"),
    ("24", "open"),
    ("24", "create"),
    ("12", "map"),
];

fn order(directory: &Path, seed: u64, mapped: bool) -> Order {
    Order {
        directory: directory.to_owned(),
        seed,
        first: 1 << 32,
        lives: 2,
        steps: 5,
        links: true,
        faults: true,
        quiet: false,
        mapped,
    }
}

/// A store to start with, as an undisturbed child leaves it.
struct Start {
    image: Image,
    content: Content,
}

impl Start {
    fn prepare(seed: u64, figures: &Figures) -> Self {
        let directory = quick_directory();
        let order = order(directory.path(), seed, false);
        let order = Order { first: 1, lives: 1, faults: false, ..order };
        fs::create_dir_all(order.disk()).unwrap();
        let status = recorder::child(&order).status().unwrap();
        assert!(status.success(), "{status}\n{}", recorder::log(&order));
        let disk = Disk::of(&order.disk(), Names::Journalled);
        let image = disk.image(&[], Cut::NothingLost, &mut fastrand::Rng::new());
        let history = history(&order, Content::default());
        let content =
            examine(&order.disk(), &history, usize::MAX, End::Process, false, figures).unwrap();
        Self { image, content }
    }

    /// Returns how many calls of each kind a child makes, which goes on from here.
    fn calls(&self, mapped: bool) -> Vec<(String, u64)> {
        let directory = quick_directory();
        let order = order(directory.path(), 1, mapped);
        lay_out(&self.image, &order.disk());
        let counts = directory.path().join("counts");
        let status = recorder::child(&order).env("ANNULUS_FAULT_COUNT", &counts).status().unwrap();
        assert!(status.success(), "{status}\n{}", recorder::log(&order));
        let text = fs::read_to_string(counts).unwrap();
        let count = |line: &str| {
            let (call, count) = line.rsplit_once(' ')?;
            Some((call.to_owned(), count.parse().ok()?))
        };
        text.lines().filter_map(count).collect()
    }
}

/// One way in which calls of one kind fail.
struct Plan {
    mapped: bool,
    call: String,
    /// How many such calls there are.
    calls: u64,
    error: &'static str,
    millis: Option<&'static str>,
}

/// Returns all ways for all kinds of calls.
fn plans(start: &Start) -> Vec<Plan> {
    let mut plans = Vec::new();
    for mapped in [false, true] {
        for (call, calls) in start.calls(mapped) {
            for (error, of) in WAYS {
                let millis = of.parse::<u64>().is_ok().then_some(of);
                let act = call.split(' ').next();
                if of.is_empty() || millis.is_some() || act == Some(of) {
                    plans.push(Plan { mapped, call: call.clone(), calls, error, millis });
                }
            }
        }
    }
    plans
}

/// What came of faults, by the kind of call.
#[derive(Default)]
struct Outcomes {
    tried: u64,
    /// The child made fewer calls of the kind.
    not_reached: u64,
    /// No call of the store returned an error.
    unnoticed: u64,
    /// Some call did, and later ones of the same process succeeded without another opening.
    went_on: u64,
}

impl Outcomes {
    fn note(&mut self, history: &History) {
        self.tried += 1;
        match (history.failed, history.errors.is_empty()) {
            (false, _) => self.not_reached += 1,
            (true, true) => self.unnoticed += 1,
            (true, false) => self.went_on += u64::from(history.went_on),
        }
    }
}

fn print(outcomes: &BTreeMap<String, Outcomes>) {
    println!("| call | tried | not reached | no error | error, went on | error, opened again |");
    println!("|---|---|---|---|---|---|");
    for (call, outcomes) in outcomes {
        let Outcomes { tried, not_reached, unnoticed, went_on } = outcomes;
        let opened_again = tried - not_reached - unnoticed - went_on;
        println!("| {call} | {tried} | {not_reached} | {unnoticed} | {went_on} | {opened_again} |");
    }
}

fn run(plan: &Plan, start: &Start, seed: u64, figures: &Figures) -> Result<History, String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let directory = quick_directory();
    let order = order(directory.path(), seed, plan.mapped);
    lay_out(&start.image, &order.disk());
    let fault = format!("{}:{}", random.u64(1..=plan.calls), plan.error);
    let mut child = recorder::child(&order);
    child.env("ANNULUS_FAULT", &fault).env("ANNULUS_FAULT_CALL", &plan.call);
    child.envs(plan.millis.map(|millis| ("ANNULUS_FAULT_MILLIS", millis)));
    let status = child.status().unwrap();
    Figures::add(&figures.images, 1);
    let history = history(&order, start.content.clone());
    Figures::add(&figures.acknowledged, history.acknowledged());
    let works = random.u32(..16) == 0;
    let examined = match status.success() {
        false => Err(format!("the child ended with {status}:\n{}", recorder::log(&order))),
        true => examine(&order.disk(), &history, usize::MAX, End::Process, works, figures),
    };
    let Err(what) = examined else { return Ok(history) };
    Figures::add(&figures.violations, 1);
    let (place, errors) = (directory.keep(), history.errors.join("\n"));
    Err(format!(
        "{what}\n{} with {fault} for {:?} ms, seed {seed}, left in {}\n{errors}",
        plan.call,
        plan.millis,
        place.display()
    ))
}

#[test]
fn faults() {
    let (seed, begun) = (seed(), Instant::now());
    let wanted = count("ANNULUS_FAULTS", 24) as usize;
    let figures = Figures::default();
    let starts: Vec<_> = (0..4).map(|n| Start::prepare(seed.wrapping_add(n), &figures)).collect();
    let mut plans = plans(&starts[0]);
    // A short test tries some of them.
    fastrand::Rng::with_seed(seed).shuffle(&mut plans);
    let outcomes = Mutex::new(BTreeMap::<String, Outcomes>::new());
    on_threads(wanted, |index| {
        let plan = &plans[index % plans.len()];
        let start = &starts[index % starts.len()];
        match run(plan, start, seed.wrapping_add(index as u64), &figures) {
            Ok(history) => {
                let mut outcomes = outcomes.lock().unwrap();
                outcomes.entry(plan.call.clone()).or_default().note(&history);
            }
            Err(what) => println!("VIOLATION: {what}\n"),
        }
        true
    });
    print(&outcomes.into_inner().unwrap());
    println!("{} ways for calls to fail", plans.len());
    figures.print("faults", seed, begun);
    assert_eq!(Figures::of(&figures.violations), 0);
}
