//! Goal: the images would show a missing sync. Method: each protection is left out, one at a time
//! (`ANNULUS_SKIP`), and within a bounded number of images a promise must be found broken.

use crate::churn::seed;
use crate::disk::Names;
use crate::images::{self, Figures, Series, count, on_threads};
use crate::mirror::Mirror;
use std::sync::Mutex;
use std::time::Instant;

/// A protection, or several that can replace one another (separated by commas), and where their
/// absence shows.
struct Protection {
    names: &'static str,
    disk: Names,
    links: bool,
    mirror: Mirror,
    quiet: bool,
}

const fn on_any_disk(names: &'static str) -> Protection {
    Protection {
        names,
        disk: Names::Journalled,
        links: true,
        mirror: Mirror::Without,
        quiet: false,
    }
}

const fn with_mirror(names: &'static str, mirror: Mirror) -> Protection {
    Protection { mirror, ..on_any_disk(names) }
}

const fn on_strict_disk(names: &'static str, links: bool) -> Protection {
    Protection { disk: Names::Strict, links, ..on_any_disk(names) }
}

/// A protection that others hide, which sync the log soon after.
const fn where_it_is_quiet(names: &'static str) -> Protection {
    Protection { quiet: true, ..on_any_disk(names) }
}

const PROTECTIONS: [Protection; 18] = [
    on_any_disk("sync-write"),
    on_any_disk("changes-synced"),
    on_any_disk("log-before-files"),
    where_it_is_quiet("log-before-arrival"),
    on_any_disk("log-before-commit"),
    on_any_disk("log-sync-segment"),
    on_any_disk("sync-logs-at-opening"),
    with_mirror("log-sync-mirror", Mirror::Sound),
    with_mirror("log-record", Mirror::Failing),
    on_any_disk("truncate-after-flush"),
    on_any_disk("birth-position"),
    on_any_disk("catch-up-rest"),
    // The flush that follows syncs it, too.
    on_any_disk("commit,flush-commit"),
    on_any_disk("intent"),
    on_any_disk("accept-opening"),
    on_any_disk("sync-identity"),
    on_strict_disk("sync-directory-at-creation", false),
    on_strict_disk("sync-directory-after-arrival", true),
];

/// Returns how many images it took until a broken promise was found, and which.
fn find(protection: &Protection, seed: u64, most: u64) -> (u64, Option<String>) {
    let figures = Figures::default();
    let found = Mutex::new(None);
    let Protection { names: skipped, disk: names, links, mirror, quiet } = *protection;
    on_threads(most.div_ceil(80) as usize, |number| {
        let seed = seed.wrapping_add(number as u64);
        let (images, sync_micros) = (40, 0);
        let series = Series { seed, names, links, mirror, quiet, images, sync_micros, skipped };
        let result = images::series(&series, &figures);
        if let Err(what) = result {
            // A child that fails has shown nothing.
            assert!(Figures::of(&figures.violations) > 0, "{what}");
            found.lock().unwrap().get_or_insert(what);
        }
        found.lock().unwrap().is_none()
    });
    (Figures::of(&figures.images), found.into_inner().unwrap())
}

fn all_are_noticed(protections: &[&Protection]) {
    let seed = seed();
    let most = count("ANNULUS_MUTATION_IMAGES", 4000);
    let mut unnoticed = Vec::new();
    for protection in protections {
        let begun = Instant::now();
        let (images, found) = find(protection, seed, most);
        let what = found.as_deref().map_or("NOT NOTICED", |what| what.lines().next().unwrap());
        let (names, seconds) = (protection.names, begun.elapsed().as_secs());
        println!("| `{names}` | {:?} | {images} | {what} | {seconds} s", protection.disk);
        if found.is_none() {
            unnoticed.push(names);
        }
    }
    assert!(unnoticed.is_empty(), "left out and not noticed: {unnoticed:?}");
}

#[test]
#[ignore = "minutes; ANNULUS_MUTATION_IMAGES says how many images to try for each"]
fn every_missing_protection_is_noticed() {
    let only = std::env::var("ANNULUS_MUTATION").ok();
    let wanted = |known: &&Protection| only.as_deref().is_none_or(|only| only == known.names);
    all_are_noticed(&PROTECTIONS.iter().filter(wanted).collect::<Vec<_>>());
}

/// A short version for every test run: one that shows soon.
#[test]
fn a_missing_protection_is_noticed() {
    all_are_noticed(&[&on_any_disk("sync-write")]);
}
