//! Goal: an error of the operating system, at whatever call, loses nothing that was acknowledged,
//! and no call that failed is taken for one that succeeded. Method: a child whose calls fail: one
//! of them, or all from one on below the same shard, with `EIO`, `ENOSPC`, `EMFILE` or a short
//! write. The numbers of the calls are tried in turn. Then the store is opened without errors and
//! compared with what was acknowledged. `ANNULUS_FAULTS` makes more.

use crate::check::End;
use crate::churn::{quick_directory, seed};
use crate::disk::lay_out;
use crate::disk::{Cut, Disk, Names};
use crate::images::{Content, Figures, count, examine, on_two_threads};
use crate::kills::history;
use crate::recorder;
use crate::workload::Order;
use std::fs;
use std::time::Instant;

/// Error numbers.
const EIO: i32 = 5;
const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;

fn order(directory: &std::path::Path, seed: u64) -> Order {
    Order {
        directory: directory.to_owned(),
        seed,
        first: 1 << 32,
        lives: 2,
        steps: 4,
        links: true,
        faults: true,
    }
}

/// Returns a store to start with, as an undisturbed child leaves it.
fn prepare(seed: u64, figures: &Figures) -> (crate::disk::Image, Content) {
    let directory = quick_directory();
    let order = Order { first: 1, lives: 1, faults: false, ..order(directory.path(), seed) };
    fs::create_dir_all(order.disk()).unwrap();
    let status = recorder::child(&order).status().unwrap();
    assert!(status.success(), "{status}\n{}", recorder::log(&order));
    let disk = Disk::of(&order.disk(), Names::Journalled);
    let image = disk.image(&[], Cut::NothingLost, &mut fastrand::Rng::new());
    let history = history(&order, Content::default());
    let content =
        examine(&order.disk(), &history, usize::MAX, End::Process, false, figures).unwrap();
    (image, content)
}

fn fault(number: u64, random: &mut fastrand::Rng) -> String {
    let what = match random.u32(..5) {
        0 => "short".to_owned(),
        1 => ENOSPC.to_string(),
        2 => EMFILE.to_string(),
        _ => EIO.to_string(),
    };
    let sticky = if random.u32(..4) == 0 { ":sticky" } else { "" };
    format!("{number}:{what}{sticky}")
}

#[test]
fn faults() {
    let (seed, begun) = (seed(), Instant::now());
    let wanted = count("ANNULUS_FAULTS", 24);
    let figures = Figures::default();
    let stores: Vec<_> = (0..4).map(|n| prepare(seed.wrapping_add(n), &figures)).collect();
    // A run makes about this many calls; in a short test they are tried with gaps.
    let (calls, step) = (4000, (4000 / wanted).max(1));
    on_two_threads(wanted as usize, |index| {
        let seed = seed.wrapping_add(index as u64);
        let mut random = fastrand::Rng::with_seed(seed);
        let directory = quick_directory();
        let order = order(directory.path(), seed);
        let (image, base) = &stores[index % stores.len()];
        lay_out(image, &order.disk());
        let number = 1 + (index as u64 * step + random.u64(..step)) % calls;
        let fault = fault(number, &mut random);
        let status = recorder::child(&order).env("ANNULUS_FAULT", &fault).status().unwrap();
        Figures::add(&figures.images, 1);
        let history = history(&order, base.clone());
        Figures::add(&figures.acknowledged, history.acknowledged());
        let examined = match status.success() {
            false => Err(format!("the child ended with {status}:\n{}", recorder::log(&order))),
            true => examine(
                &order.disk(),
                &history,
                usize::MAX,
                End::Process,
                random.u32(..16) == 0,
                &figures,
            ),
        };
        if let Err(what) = examined {
            Figures::add(&figures.violations, 1);
            let errors = history.errors.join("\n");
            let place = directory.keep();
            println!(
                "VIOLATION: {what}\nfault {fault}, seed {seed}, left in {}\n{errors}\n",
                place.display()
            );
        }
        true
    });
    figures.print("faults", begun);
    assert_eq!(Figures::of(&figures.violations), 0);
}
