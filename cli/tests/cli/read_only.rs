//! `--read-only`: what the commands that read print is the same, and nothing is written.

use super::{Place, files_below};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
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

/// A past bug: a log that was damaged in the middle kept the tool from opening the store, and there
/// was no way to give up the rest but to write a program.
#[test]
fn a_damaged_log_is_dropped_only_when_asked_for() {
    let place = Place::new();
    let store = annulus::Store::open(place.store()).unwrap();
    let spec = annulus::topology::KeyspaceSpec::range();
    let keyspace = store.create_keyspace("log", spec).unwrap();
    for n in 10..100 {
        if n == 99 {
            // A power cut may take any part of what was not synced; and the last record says how
            // far the log was.
            store.sync().unwrap();
        }
        keyspace.put(n.to_string(), format!("value {n} {}", "x".repeat(100))).unwrap();
    }
    drop((store, keyspace));
    let before = listing(&place);
    let rows = place.text(&["scan", "log", "--read-only"]);
    assert_eq!(rows.lines().count(), 90, "a store that was not closed is shown with its log");
    assert!(listing(&place) == before, "something was written");
    let segments = files_below(&place.store().join("log")).into_iter();
    let middle = |log: &Path| {
        let content = std::fs::read(log).unwrap();
        content.windows(9).position(|window| window == b"value 54 ")
    };
    let mut found = segments.filter_map(|log| Some((middle(&log)?, log)));
    let (middle, log) = found.next().unwrap();
    let mut content = std::fs::read(&log).unwrap();
    content[middle] ^= 0x55;
    std::fs::write(&log, content).unwrap();

    place.fails(&["verify"], 5, "damaged", &["log"]);
    let before = listing(&place);
    let shown = place.text(&["verify", "--read-only", "--drop-damaged-log"]);
    assert!(shown.contains("lost by the logs: "), "{shown}");
    assert!(listing(&place) == before, "something was written");
    let dropped = place.json(&["verify", "--drop-damaged-log"]);
    assert_eq!(dropped["lost"].as_array().unwrap().len(), 1, "{dropped}");
    let keyspaces = dropped["keyspaces"].as_array().unwrap();
    let keyspace = keyspaces.iter().find(|keyspace| keyspace["name"] == "log").unwrap();
    let kept = keyspace["keys"].as_u64().unwrap();
    assert_eq!(kept, 44, "{dropped}");
    assert_eq!(place.json(&["verify"])["lost"].as_array().unwrap().len(), 0);
    assert_eq!(place.text(&["scan", "log"]).lines().count() as u64, kept);
}

/// A past bug: an export ended at the first damaged file, and nothing behind it could be saved.
#[test]
fn an_export_saves_what_is_sound_and_names_the_rest() {
    let place = Place::new();
    let rows: String = (0..3000).map(|n| format!("key-{n:04}\tvalue\n")).collect();
    place.fill("h", &rows);
    place.fill("r", &rows);
    let data = place.store().join("shards/1/data");
    let tables = files_below(&data).into_iter();
    let tables = tables.filter(|file| file.extension().is_some_and(|kind| kind == "sst"));
    let size = |file: &PathBuf| file.metadata().unwrap().len();
    let mut tables: Vec<_> = tables.collect();
    tables.sort_by_key(size);
    for table in tables.iter().rev().take(3) {
        let mut content = std::fs::read(table).unwrap();
        *content.last_mut().unwrap() ^= 0x55;
        std::fs::write(table, content).unwrap();
    }
    let mut left_out = 0;
    for options in [&[][..], &["--read-only"]] {
        for keyspace in ["h", "r"] {
            let command = [&["export", keyspace][..], options].concat();
            let done = place.command(&command).output().unwrap();
            let text = String::from_utf8(done.stdout).unwrap();
            let notes = String::from_utf8(done.stderr).unwrap();
            let named = notes.lines().filter(|line| line.contains("left out as damaged")).count();
            assert_eq!(done.status.code(), Some(if named > 0 { 5 } else { 0 }), "{notes}");
            assert!(text.lines().all(|row| rows.contains(row)), "{text}");
            assert_eq!(text.lines().count() < 3000, named > 0, "{notes}");
            assert!(keyspace == "r" || text.lines().count() > 1000, "{notes}");
            left_out += named;
        }
    }
    assert_eq!(left_out, 6, "three tables, twice");
}

/// A disk that is gone takes only its part of the store from the commands that read.
#[test]
fn what_is_left_of_a_store_with_a_missing_shard_is_read_when_asked_for() {
    let place = Place::new();
    let rows: String = (0..300).map(|n| format!("key-{n:03}\tvalue\n")).collect();
    place.fill("h", &rows);
    let (shard, away) = (place.store().join("shards/1"), place.path("away"));
    std::fs::rename(&shard, &away).unwrap();
    place.fails(&["stats"], 3, "not_found", &["shard 1 is missing", "shards/1"]);
    for read_only in [&[][..], &["--read-only"]] {
        let allowed = |command: &[&str]| {
            let command = [command, &["--allow-missing-shards"], read_only].concat();
            let done = place.command(&command).output().unwrap();
            let texts = [done.stdout, done.stderr].map(|text| String::from_utf8(text).unwrap());
            (done.status.code(), texts)
        };
        let (code, [text, notes]) = allowed(&["stats"]);
        assert_eq!(code, Some(0), "{notes}");
        assert!(
            text.contains("missing") && notes.contains("missing: shard 1 in "),
            "{text}{notes}"
        );
        let (code, [text, notes]) = allowed(&["export", "h"]);
        assert_eq!(code, Some(6), "{notes}");
        assert!(notes.contains("left out as missing: partition"), "{notes}");
        let count = text.lines().filter(|row| rows.contains(row)).count();
        assert!(count > 150 && count < 290, "{count}");
        let (code, [_, notes]) = allowed(&["scan", "h"]);
        assert_eq!(code, Some(6), "{notes}");
        assert!(notes.contains("shard 1 has been missing"), "{notes}");
        let (code, [text, _]) = allowed(&["verify"]);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("missing: shard 1 in "), "{text}");
    }
    std::fs::rename(away, shard).unwrap();
    assert_eq!(place.text(&["scan", "h"]).lines().count(), 300);
    assert!(place.text(&["verify"]).contains("no problems"));
}
