//! Goal: whatever the moment at which the process dies, nothing acknowledged is lost, whatever its
//! durability. Method: children work on one store, one after the other, and are killed: after a
//! random time, or before a call of the operating system with a random number. After each, the
//! store is opened and compared with what was acknowledged. `ANNULUS_KILLS` kills more often.

use crate::check::End;
use crate::churn::{quick_directory, seed};
use crate::images::{Content, Figures, count, examine, on_threads};
use crate::notes::History;
use crate::recorder;
use crate::workload::Order;
use std::fs;
use std::time::{Duration, Instant};

/// This many children die on one store before another is made.
const ON_ONE_STORE: usize = 25;

/// Returns the notes of the last child.
pub(crate) fn history(order: &Order, base: Content) -> History {
    let notes = fs::read_to_string(order.notes()).unwrap_or_default();
    History::read(base, notes.split_inclusive('\n').filter(|line| line.ends_with('\n')).enumerate())
}

fn kill(order: &Order, random: &mut fastrand::Rng) {
    let mut child = recorder::child(order);
    if random.bool() {
        // An opening makes some hundreds of calls.
        let most = random.choice([100, 1000, 4000]).unwrap();
        child.env("ANNULUS_FAULT", format!("{}:kill", random.u32(1..most)));
        // It may finish before.
        child.status().unwrap();
    } else {
        let mut child = child.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(random.u64(5..150)));
        let _ = child.kill();
        child.wait().unwrap();
    }
}

fn kill_on_one_store(seed: u64, kills: usize, figures: &Figures) -> Result<(), String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let directory = quick_directory();
    let mut order = Order {
        directory: directory.path().to_owned(),
        seed,
        first: 1,
        lives: 3,
        steps: 8,
        links: true,
        faults: false,
        quiet: false,
        mapped: false,
    };
    fs::create_dir_all(order.disk()).unwrap();
    let mut base = Content::default();
    for number in 0..kills {
        order.seed = random.u64(..);
        order.first = (number as u64 + 1) << 32;
        let _ = fs::remove_file(order.notes());
        kill(&order, &mut random);
        Figures::add(&figures.images, 1);
        let log = recorder::log(&order);
        let history = history(&order, base);
        Figures::add(&figures.acknowledged, history.acknowledged());
        let works = random.u32(..16) == 0;
        let examined = match log.contains("panicked") {
            true => Err(format!("the child failed:\n{log}")),
            false => examine(&order.disk(), &history, usize::MAX, End::Process, works, figures),
        };
        base = match examined {
            // What the examination itself has written is there, too.
            Ok(_) if works => reread(&order)?,
            Ok(content) => content,
            Err(what) => {
                Figures::add(&figures.violations, 1);
                let place = directory.keep();
                return Err(format!(
                    "{what}\nseed {seed}, kill {number}, left in {}",
                    place.display()
                ));
            }
        };
    }
    Ok(())
}

fn reread(order: &Order) -> Result<Content, String> {
    let store =
        crate::workload::open(&order.disk(), false).map_err(|error| format!("{error:#}"))?;
    crate::images::content(&store)
}

#[test]
fn kills() {
    let (seed, begun) = (seed(), Instant::now());
    let wanted = count("ANNULUS_KILLS", 20) as usize;
    let each = wanted.min(ON_ONE_STORE).div_ceil(if wanted < 100 { 2 } else { 1 });
    let figures = Figures::default();
    on_threads(wanted.div_ceil(each), |number| {
        let seed = seed.wrapping_add(number as u64);
        if let Err(what) = kill_on_one_store(seed, each, &figures) {
            println!("VIOLATION: {what}\n");
        }
        true
    });
    figures.print("kills", seed, begun);
    assert_eq!(Figures::of(&figures.violations), 0);
}
