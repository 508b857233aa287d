//! `--read-only`: what the commands that read print is the same, and nothing is written.

use super::{Place, files_below};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

const READERS: [&[&str]; 9] = [
    &["get", "h", "key-1"],
    &["scan", "r"],
    &["export", "h"],
    &["keyspace", "list"],
    &["map", "--ascii"],
    &["migrations"],
    &["stats"],
    &["stats", "--json"],
    &["scan", "h", "--json"],
];

fn listing(place: &Place) -> BTreeMap<PathBuf, (SystemTime, Vec<u8>)> {
    let files = files_below(&place.store()).into_iter();
    let entry = |path: PathBuf| {
        let changed = path.metadata().unwrap().modified().unwrap();
        let content = std::fs::read(&path).unwrap();
        (path, (changed, content))
    };
    files.map(entry).collect()
}

#[test]
fn commands_that_read_print_the_same_and_write_nothing() {
    let place = Place::new();
    let rows: String = (0..3000).map(|n| format!("key-{n}\tvalue\n")).collect();
    place.fill("h", &rows);
    place.fill("r", &rows);
    let normal = READERS.map(|command| place.text(command));
    let before = listing(&place);
    for (command, normal) in READERS.iter().zip(normal) {
        let read_only = place.text(&[command, &["--read-only"][..]].concat());
        if !command.contains(&"stats") {
            assert_eq!(read_only, normal, "{command:?}");
        }
    }
    let verified = place.text(&["verify", "--read-only"]);
    assert!(verified.contains("no problems"), "{verified}");
    assert!(listing(&place) == before, "something was written");
    place.fails(&["get", "h", "k", "--read-only", "-s", "nowhere"], 3, "not_found", &["nowhere"]);
    place.fails(&["put", "h", "k", "v", "--read-only"], 2, "invalid_argument", &["--read-only"]);
}
