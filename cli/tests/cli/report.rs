//! `annulus report`, with little data. No figure depends on the machine.

use super::Place;
use serde_json::Value;

const SECTIONS: [&str; 10] = [
    "workloads",
    "peers",
    "threads",
    "shards",
    "growth",
    "scans",
    "moves",
    "timeline",
    "notes",
    "source",
];

fn page(place: &Place, name: &str) -> String {
    String::from_utf8(place.read(name)).unwrap()
}

#[test]
fn a_quick_run_writes_a_page_that_needs_nothing_else() {
    let place = Place::empty();
    std::fs::create_dir(place.path("data")).unwrap();
    // A note of two lines, and a second one.
    place.write("notes.txt", "First <note>,\ntwo lines.\n\n\nSecond note.\n");
    let line = ["report", "--quick", "--seed", "7", "-o", "page.html", "--save", "raw.json"];
    let line = [&line[..], &["--directory", "data", "--notes", "notes.txt"]].concat();
    let line = [&line[..], &["--peers-binary", "./peers.sh"]].concat();
    peers_program(&place, "peers.sh");
    let written = place.json(&line);
    assert_eq!((&written["page"], &written["wrong_reads"]), (&"page.html".into(), &0.into()));
    assert_eq!(std::fs::read_dir(place.path("data")).unwrap().count(), 0, "the data was removed");
    let first = page(&place, "page.html");
    for id in SECTIONS {
        assert!(first.contains(&format!("<section id=\"{id}\">")), "{id}");
    }
    for word in ["http:", "https:", " src=", "<script", "<link", "url(", "NaN"] {
        assert!(!first.contains(word), "{word}");
    }
    for words in ["A quick run", "First &lt;note&gt;, two lines.", "rocksdb", "annulus hash ×4"] {
        assert!(first.contains(words), "{words}");
    }
    let raw: Value = serde_json::from_slice(&place.read("raw.json")).unwrap();
    assert_eq!(raw["made"]["seed"], 7);
    for part in ["workloads", "peers", "threads", "shards", "growth", "scans", "moves", "timelines"]
    {
        assert!(!raw[part].as_array().unwrap().is_empty(), "{part}");
    }
    check_figures(&raw);
    place.run(&["report", "--from", "raw.json", "-o", "again.html"]).success();
    assert_eq!(page(&place, "again.html"), first);
    // What `annulus-peers` prints has the form of what `annulus bench` prints.
    let runs = serde_json::to_vec(&raw["workloads"]).unwrap();
    place.write("peers.json", runs);
    let line = ["report", "--from", "raw.json", "--peers", "peers.json", "-o", "peers.html"];
    place.run(&line).success();
    assert!(page(&place, "peers.html").contains("Settings of each store"));
}

/// A program that takes the arguments of `annulus-peers`, and prints what has the same form.
fn peers_program(place: &Place, name: &str) {
    use std::os::unix::fs::PermissionsExt;
    let tool = env!("CARGO_BIN_EXE_annulus");
    place.write(name, format!("#!/bin/sh\nexec '{tool}' bench --workload c \"$@\"\n"));
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(place.path(name), executable).unwrap();
}

/// Checks what must hold on every machine.
fn check_figures(raw: &Value) {
    let figure = |value: &Value| value.as_f64().unwrap();
    for scans in raw["scans"].as_array().unwrap() {
        let (name, seeks) = (scans["name"].as_str().unwrap(), figure(&scans["seeks"]));
        let expected = match name {
            "rocksdb" => seeks == 1.0,
            "annulus hash ×4" => seeks == 16.0,
            _ => (1.0..=16.0).contains(&seeks),
        };
        assert!(expected, "{scans}");
    }
    for growth in raw["growth"].as_array().unwrap() {
        let shards = figure(&growth["shards"]);
        let (moved, uneven) = (figure(&growth["moved"]), figure(&growth["max_over_mean"]));
        assert!((1.0..1.3).contains(&uneven), "{growth}");
        assert!(if shards == 1.0 { moved == 0.0 } else { moved < 1.3 / shards }, "{growth}");
    }
    for run in raw["timelines"].as_array().unwrap() {
        assert_eq!(run["events"][0]["event"], "add_shard");
        assert!(!run["timeline"][0].as_array().unwrap().is_empty());
    }
}

#[test]
fn bad_files_are_named() {
    let place = Place::empty();
    place.write("bad.json", "[1");
    place.write("old.json", "{\"format\": 0}");
    place.write("none.json", "[]");
    let cases: [(&[&str], i32, &str, &str); 8] = [
        (&["--from", "missing.json"], 3, "not_found", "missing.json"),
        (&["--from", "bad.json"], 2, "invalid_argument", "bad.json is not what"),
        (&["--from", "old.json"], 2, "invalid_argument", "format 0"),
        (&["--quick", "--peers", "bad.json"], 2, "invalid_argument", "annulus-peers"),
        (&["--quick", "--peers", "none.json"], 2, "invalid_argument", "no results"),
        (&["--quick", "--peers-binary", "./none"], 3, "not_found", "./none"),
        (&["--quick", "--directory", "nowhere"], 2, "invalid_argument", "--directory nowhere"),
        (&["--quick", "-o", "nowhere/page.html"], 3, "not_found", "nowhere"),
    ];
    for (arguments, code, kind, words) in cases {
        place.fails(&[&["report"], arguments].concat(), code, kind, &[words]);
    }
    assert!(!place.path("annulus-report.html").exists());
}
