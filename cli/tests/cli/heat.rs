//! Load: replays that skew it, and the commands that show where it falls and even it out.
//!
//! How fast a replay runs decides nothing here: what takes time, such as a rebalancer that has seen
//! enough, is tried again several times, on the same store.

use super::{Place, files_below, lines};
use fastrand::Rng;
use serde_json::Value;
use std::fmt::Write as _;

/// How often something that takes time is tried.
const TRIES: usize = 30;

/// Returns a trace of reads and writes in which few keys of 2,000 take most, spread over the key
/// space.
fn skewed(operations: usize, seed: u64) -> String {
    let mut random = Rng::with_seed(seed);
    let mut trace = "op,key,value_bytes\n".to_owned();
    for _ in 0..operations {
        // Nearly Zipf's law: the logarithm of the rank is even.
        let rank = (2_000f64.powf(random.f64()) as u64).min(1_999);
        let key = rank * 7_919 % 2_000;
        let op = if random.u8(..10) < 7 { "read" } else { "write" };
        writeln!(trace, "{op},key-{key:05},{}", random.u32(16..200)).unwrap();
    }
    trace
}

fn float(object: &Value, name: &str) -> f64 {
    object[name].as_f64().unwrap_or_else(|| panic!("{name}: {object}"))
}

fn partitions(place: &Place) -> usize {
    place.json(&["partition", "list", "replay"])["partitions"].as_array().unwrap().len()
}

/// Returns a place where a skewed load has run on one partition, and nothing was done about it.
fn suggested() -> Place {
    let place = Place::empty();
    place.write("t.csv", skewed(20_000, 1));
    let replay = ["replay", "--trace", "t.csv", "--preload", "-s", "store", "--seconds", "2"];
    let replay = [&replay[..], &["--plan-every", "100", "--half-life", "60000"]].concat();
    for _ in 0..TRIES {
        let ran = place.json(&replay);
        assert_eq!((&ran["reshapes"], &ran["partitions"]), (&0.into(), &1.into()), "{ran}");
        assert_eq!((&ran["wrong_reads"], &ran["unchecked_reads"]), (&0.into(), &0.into()));
        assert_eq!(float(&ran, "max_over_mean_first"), 4.0);
        assert_eq!(float(&ran, "max_over_mean_last"), 4.0);
        let decisions = ran["decisions"].as_array().unwrap();
        if decisions.iter().any(|decision| decision["verdict"] == "suggested") {
            assert!(decisions.iter().all(|it| it["verdict"] != "started"), "{ran}");
            return place;
        }
    }
    panic!("nothing was ever suggested");
}

/// Goal: the whole loop, from one partition with all load to four shards with a quarter each,
/// without a wrong read on the way.
#[test]
fn a_skewed_load_is_evened_out() {
    let place = Place::empty();
    place.write("t.csv", skewed(20_000, 2));
    let replay = ["replay", "--trace", "t.csv", "--preload", "-s", "store", "--seconds", "3"];
    let soon = ["--policy", "automatic", "--plan-every", "200", "--cool-down", "500"];
    let replay = [&replay[..], &soon, &["--half-life", "5000"]].concat();
    let mut reshapes = 0;
    let balanced = (0..TRIES).any(|_| {
        let ran = place.json(&replay);
        assert_eq!((&ran["wrong_reads"], &ran["unchecked_reads"]), (&0.into(), &0.into()));
        reshapes += ran["reshapes"].as_u64().unwrap();
        let sum = |name: &str| -> u64 {
            let intervals = ran["intervals"].as_array().unwrap().iter();
            intervals.map(|interval| interval[name].as_u64().unwrap()).sum()
        };
        assert_eq!(ran["operations"], sum("ops"));
        assert_eq!(ran["reshapes"], sum("reshapes"), "{ran}");
        float(&ran, "max_over_mean_last") < 1.35
    });
    assert!(balanced && reshapes > 0 && partitions(&place) >= 4, "{reshapes} reshapes");
    assert_eq!(place.json(&["verify"])["sound"], true);

    // What was done can be seen in the explanations and on the map.
    let explained = place.text(&["explain", "-n", "500"]);
    assert!(explained.contains("started: split partition"), "{explained}");
    let acts = place.json(&["explain", "-n", "3", "--acts"]);
    assert!(acts["decisions"].as_array().unwrap().iter().all(|it| it["verdict"] != "refused"));
    place.run(&["heatmap", "--html", "heat.html"]).success();
    let page = String::from_utf8(place.read("heat.html")).unwrap();
    assert!(page.contains("split at #") && page.contains(">S</i>"), "no split on the map");
    assert!(!page.contains("key-0"), "keys are redacted");
    place.run(&["heatmap", "replay", "--html", "heat.html", "--show-keys"]).success();
    let page = String::from_utf8(place.read("heat.html")).unwrap();
    assert!(page.contains("&quot;key-0"));
    place.fails(&["heatmap", "other", "--html", "x"], 3, "not_found", &["other"]);
}

#[test]
fn a_plan_is_shown_and_carried_out() {
    let place = suggested();
    let explained = place.text(&["explain"]);
    assert!(explained.contains("suggested: split partition"), "{explained}");

    let before = place.bytes(&["scan", "replay"]);
    let epoch = |place: &Place| place.json(&["stats"])["epoch"].as_u64().unwrap();
    let begun = epoch(&place);
    let plan = place.json(&["rebalance", "--dry-run"]);
    assert!(!plan["actions"].as_array().unwrap().is_empty(), "{plan}");
    assert_eq!(float(&plan["before"], "load_max_over_mean"), 4.0);
    assert!(float(&plan["after"], "load_max_over_mean") < 1.5, "{plan}");
    let text = place.text(&["rebalance", "--dry-run"]);
    assert!(text.contains("split") && text.contains("before: max/mean load 4.00"), "{text}");
    let none = place.json(&["rebalance", "--dry-run", "--start", "5"]);
    assert_eq!(none["actions"], serde_json::json!([]));
    assert!(!none["refusals"].as_array().unwrap().is_empty(), "{none}");
    assert_eq!((epoch(&place), partitions(&place)), (begun, 1));

    let done = place.json(&["rebalance", "--apply"]);
    assert!(done["committed"].as_u64().unwrap() > 0, "{done}");
    assert_eq!(done["rolled_back"], 0);
    assert!(partitions(&place) > 1);
    assert!(place.bytes(&["scan", "replay"]) == before);
    assert_eq!(place.json(&["verify"])["sound"], true);
    place.fails(&["rebalance"], 2, "invalid_argument", &["--dry-run"]);
    let bad = ["rebalance", "--dry-run", "--goal", "0.5"];
    place.fails(&bad, 2, "invalid_argument", &["imbalance_goal"]);
}

#[test]
fn hot_keys_are_shown_or_redacted() {
    let place = suggested();
    let hot = place.json(&["hot", "replay", "--limit", "3", "--window", "long"]);
    assert!(hot["age_ms"].as_u64().is_some(), "{hot}");
    assert_eq!(hot["shards"].as_array().unwrap().len(), 4);
    assert_eq!(hot["partitions"].as_array().unwrap().len(), 1);
    let reads = hot["keyspaces"][0]["reads"].as_array().unwrap();
    assert!(reads.len() <= 3);
    for table in [&["hot"][..], &["hot", "--window", "medium", "--redact"]] {
        let text = place.text(table);
        assert!(text.contains("max/mean of the shards"), "{text}");
        assert_eq!(text.contains("key-0"), !table.contains(&"--redact"), "{text}");
    }
    // Commands read everything, which does not count as load.
    let reads = |place: &Place| place.json(&["hot"])["unix_ms"].clone();
    let before = reads(&place);
    place.run(&["verify"]).success();
    place.run(&["scan", "replay"]).success();
    assert_eq!(reads(&place), before);
    let redacted = place.json(&["hot", "--redact"]).to_string();
    assert!(!redacted.contains("key-0") && redacted.contains("key_mark"), "{redacted}");
    place.fails(&["hot", "other"], 3, "not_found", &["other"]);
}

#[test]
fn a_fresh_store_says_how_to_get_a_load() {
    let place = Place::empty();
    for command in [&["hot"][..], &["explain"], &["heatmap", "--html", "x"]] {
        place.fails(command, 3, "not_found", &[]);
    }
    place.run(&["init"]).success();
    for command in ["hot", "explain"] {
        let output = place.command(&[command]).output().unwrap();
        let note = String::from_utf8(output.stderr).unwrap();
        assert!(output.stdout.is_empty() && note.contains("while an application"), "{note}");
    }
    assert_eq!(place.json(&["hot"]), serde_json::json!({ "age_ms": null, "damaged": [] }));
    assert_eq!(
        place.json(&["explain"]),
        serde_json::json!({ "age_ms": null, "decisions": [], "damaged": [] })
    );
    place.fails(&["heatmap", "--html", "x"], 3, "not_found", &["load"]);
    assert!(!place.path("x").exists());
    let plan = place.json(&["rebalance", "--dry-run"]);
    assert_eq!(plan["actions"], serde_json::json!([]));
    // The plan's opening has recorded that there is none.
    let hot = place.text(&["hot"]);
    assert!(hot.contains("load 0/s"), "{hot}");
}

#[test]
fn a_malformed_trace_begins_nothing() {
    let place = Place::empty();
    for (trace, words) in [
        ("op,key\nread,a\nlook,b\n", &["t.csv:3", "`look`"][..]),
        ("op,key\nread,a\nread\n", &["t.csv:3", "1 columns instead of 2"]),
        ("op,key,value_bytes\nwrite,a,many\n", &["t.csv:2", "`many`"]),
        ("op,key,value_bytes\nscan,a,0\n", &["t.csv:2", "rows"]),
        ("key,op\na,read\n", &["no trace", "op,key"]),
        ("op,key\n", &["nothing to replay"]),
        ("", &["no trace"]),
    ] {
        place.write("t.csv", trace);
        let replay = ["replay", "--trace", "t.csv", "-s", "store"];
        place.fails(&replay, 2, "invalid_argument", words);
        assert!(!place.store().exists());
    }
    place.write("w.tsv", "name\tweight\na\t1\nb\tx\n");
    let replay = ["replay", "--from", "w.tsv", "--weight", "weight", "-s", "store"];
    place.fails(&replay, 2, "invalid_argument", &["w.tsv:3", "\"x\""]);
    let replay = ["replay", "--from", "w.tsv", "--weight", "size", "-s", "store"];
    place.fails(&replay, 2, "invalid_argument", &["no column `size`"]);
    place.fails(&["replay", "--trace", "none.csv"], 3, "not_found", &["none.csv"]);
    place.fails(&["replay"], 2, "invalid_argument", &["--trace"]);
    assert!(!place.store().exists());
}

#[test]
fn every_operation_is_replayed_in_order() {
    let place = Place::empty();
    let mut trace = "op,key,value_bytes\n".to_owned();
    for n in 0..500 {
        let key = n % 50;
        for line in ["write,k,10", "read,k,", "delete,k,", "read,k,", "write,k,300", "scan,k,7"] {
            writeln!(trace, "{}", line.replace('k', &format!("k{key:02}"))).unwrap();
        }
    }
    place.write("t.csv", &trace);
    for partitioning in ["hash", "range"] {
        for how in [&["--threads", "3"][..], &["--rate", "100000", "--repeat", "2"]] {
            let replay = ["replay", "--trace", "t.csv", "--partitioning", partitioning];
            let ran = place.json(&[&replay[..], how, &["--partitions", "8"]].concat());
            let passes = if how.contains(&"--repeat") { 2 } else { 1 };
            assert_eq!(ran["operations"], 3_000 * passes, "{ran}");
            assert_eq!(
                (&ran["writes"], &ran["deletes"]),
                (&(1000 * passes).into(), &(500 * passes).into())
            );
            // Each second read is of what was just deleted.
            assert_eq!(
                (&ran["absent_reads"], &ran["scans"]),
                (&(500 * passes).into(), &(500 * passes).into())
            );
            assert_eq!((&ran["wrong_reads"], &ran["unchecked_reads"]), (&0.into(), &0.into()));
            assert_eq!((&ran["partitions"], &ran["reshapes"]), (&8.into(), &0.into()));
        }
    }
    // Temporary stores are gone, and the store of the environment was not touched.
    assert_eq!(files_below(place.directory.path()).len(), 1);
}

#[test]
fn keys_are_read_by_weight() {
    let place = Place::empty();
    place.write("w.csv", "name,n\n\"a,b\",0\nmost,90\nrest,10\n");
    let replay = ["replay", "--from", "w.csv", "--weight", "n", "--repeat", "3000"];
    let how = ["--partitioning", "hash", "--hot-cache", "1MiB", "-s", "store"];
    let ran = place.json(&[&replay[..], &how].concat());
    assert_eq!((&ran["reads"], &ran["absent_reads"]), (&9_000.into(), &0.into()), "{ran}");
    assert_eq!((&ran["wrong_reads"], &ran["preloaded"]["keys"]), (&0.into(), &3.into()));
    assert!(ran["hot_cache"]["bytes_max"].as_u64().unwrap() > 0, "{ran}");
    let text = place.text(&[&replay[..], &how].concat());
    assert!(lines(&text).contains(&"wrong reads: 0"), "{text}");
    let rows = place.text(&["scan", "replay", "--limit", "9"]);
    assert_eq!(lines(&rows).len(), 3, "{rows}");
}

/// The files of the load are not synced, so a power cut may leave them empty or torn, and another
/// version writes another format. They hold statistics only: what is damaged is named and skipped;
/// it used to be an error that ended the command. JSON once looked as if there were no files.
#[test]
fn damaged_files_of_the_load_are_passed_over() {
    let place = suggested();
    let (now, whole) = ("store/HEAT.now", "store/HEAT");
    let sound = place.read(whole);
    let mut old = sound.clone();
    old[0] = 1;
    for bad in [&b""[..], &sound[..1], &sound[..sound.len() / 2], &old] {
        // One is damaged, the other is not.
        for (damaged, other) in [(now, whole), (whole, now)] {
            place.write(damaged, bad);
            place.write(other, &sound);
            for command in [&["hot"][..], &["explain"], &["heatmap", "--html", "heat.html"]] {
                let output = place.run(command).success().get_output().clone();
                let told = String::from_utf8(output.stderr).unwrap();
                let path = place.path(damaged).display().to_string();
                assert!(told.contains(&format!("{path} ")), "{told}");
                assert!(told.contains("may be deleted"), "{told}");
                assert!(!output.stdout.is_empty());
                let named = place.json(command)["damaged"].clone();
                assert!(named[0].as_str().unwrap().starts_with(&path), "{command:?}: {named}");
            }
        }
        // Both are.
        place.write(now, bad);
        place.write(whole, bad);
        for command in ["hot", "explain"] {
            let output = place.run(&[command]).success().get_output().clone();
            let told = String::from_utf8(output.stderr).unwrap();
            assert!(told.contains("HEAT.now ") && told.contains("may be deleted"), "{told}");
            assert!(told.contains("nothing is known of the load yet"), "{told}");
            let known = place.json(&[command]);
            assert_eq!(known["age_ms"], Value::Null);
            assert!(known["damaged"][0].as_str().unwrap().contains("may be deleted"), "{known}");
        }
        for json in [&[][..], &["--json"]] {
            let heatmap = [&["heatmap", "--html", "heat.html"][..], json].concat();
            let output = place.run(&heatmap).code(3).get_output().clone();
            let told = String::from_utf8(output.stderr).unwrap();
            assert_eq!(told.matches("may be deleted").count(), 1, "{told}");
        }
        // The store opens all the same.
        place.run(&["rebalance", "--dry-run"]).success();
    }
}
