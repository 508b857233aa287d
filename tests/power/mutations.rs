//! Goal: the images would show a missing sync. Method: each protection is left out, one at a time
//! (`ANNULUS_SKIP`), and within a bounded number of images a promise must be found broken.

use crate::churn::seed;
use crate::disk::Names;
use crate::images::{Figures, Series, count, on_two_threads, series};
use std::sync::Mutex;
use std::time::Instant;

/// The protections, and the disk on which their absence shows.
const PROTECTIONS: [(&str, Names); 15] = [
    ("sync-sources", Names::Journalled),
    ("sync-targets", Names::Journalled),
    ("commit", Names::Journalled),
    ("intent", Names::Journalled),
    ("redo-record", Names::Journalled),
    ("settle-sync", Names::Journalled),
    ("settle-records", Names::Journalled),
    ("settle-order", Names::Journalled),
    ("sync-logs-at-opening", Names::Journalled),
    ("sync-before-arrival", Names::Journalled),
    ("sync-after-arrival", Names::Journalled),
    ("sync-directory-after-arrival", Names::Strict),
    ("sync-identity", Names::Journalled),
    ("sync-directory-at-creation", Names::Strict),
    ("flush-before-drop", Names::Journalled),
];

/// How many images it took until a violation was found, and which.
fn find(protection: &str, names: Names, seed: u64, most: u64) -> (u64, Option<String>) {
    let figures = Figures::default();
    let found = Mutex::new(None);
    on_two_threads(most.div_ceil(80) as usize, |number| {
        let seed = seed.wrapping_add(number as u64);
        let result = series(&Series { seed, names, images: 40, skipped: protection }, &figures);
        if let Err(what) = result {
            found.lock().unwrap().get_or_insert(what);
        }
        found.lock().unwrap().is_none()
    });
    (Figures::of(&figures.images), found.into_inner().unwrap())
}

fn all_are_noticed(protections: &[(&str, Names)]) {
    let seed = seed();
    let most = count("ANNULUS_MUTATION_IMAGES", 4000);
    let mut unnoticed = Vec::new();
    for (protection, names) in protections {
        let begun = Instant::now();
        let (images, found) = find(protection, *names, seed, most);
        let what = found.as_deref().map_or("NOT NOTICED", |what| what.lines().next().unwrap());
        println!(
            "| `{protection}` | {names:?} | {images} | {what} | {:.0} s",
            begun.elapsed().as_secs_f64()
        );
        if found.is_none() {
            unnoticed.push(*protection);
        }
    }
    assert!(unnoticed.is_empty(), "left out and not noticed: {unnoticed:?}");
}

#[test]
#[ignore = "minutes; ANNULUS_MUTATION_IMAGES says how many images to try for each"]
fn every_missing_protection_is_noticed() {
    match std::env::var("ANNULUS_MUTATION") {
        Ok(name) => {
            let only: Vec<_> =
                PROTECTIONS.into_iter().filter(|(known, _)| *known == name).collect();
            all_are_noticed(&only);
        }
        Err(_) => all_are_noticed(&PROTECTIONS),
    }
}
