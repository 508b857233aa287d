//! `annulus bench`, with few records and few operations. No figure depends on the machine.

use super::Place;
use serde_json::Value;
use std::collections::BTreeMap;

const QUICK: [&str; 4] = ["bench", "--quick", "--records", "1000"];

fn bench(arguments: &[&str]) -> Vec<Value> {
    let place = Place::empty();
    // Whatever happens, nothing is left where the data was.
    let here = place.directory.path().to_str().unwrap().to_owned();
    let all = [&QUICK[..], &["--directory", &here], arguments].concat();
    let records = place.json(&all).as_array().unwrap().clone();
    assert_eq!(std::fs::read_dir(&here).unwrap().count(), 0, "the data was removed");
    records
}

fn candidate(record: &Value) -> String {
    let text = |name: &str| record[name].as_str().unwrap().to_owned();
    format!("{} {} {}", text("engine"), text("partitioning"), record["shards"])
}

#[test]
fn every_workload_runs_on_every_combination() {
    let records = bench(&["--shards", "1,2", "--operations", "600"]);
    let mut of_workload: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for record in &records {
        let workload = record["workload"].as_str().unwrap();
        of_workload.entry(workload).or_default().push(candidate(record));
        let (loads, inserts) = (workload == "load", ["load", "d", "e"].contains(&workload));
        assert_eq!(record["operations"], if loads { 1000 } else { 600 }, "{record}");
        assert_eq!(record["wrong_reads"], 0);
        assert_eq!(record["threads"], 2);
        assert_eq!((&record["value_bytes"], &record["seed"]), (&"1000".into(), &1.into()));
        assert_eq!(record["records_after"].as_u64() > record["records"].as_u64(), inserts);
        assert_eq!(record["rows"].as_u64() > Some(0), workload == "e");
        assert_eq!(record["durability"], "buffered");
        let figure = |name: &str| record[name].as_f64().unwrap();
        assert!(figure("ops_per_s") > 0.0 && figure("p50_us") > 0.0);
        assert!(figure("p50_us") <= figure("p99_us") && figure("p99_us") <= figure("p999_us"));
        assert!(figure("p999_us") <= figure("max_us"));
        let kinds = record["kinds"].as_object().unwrap().values();
        let counted: u64 = kinds.map(|kind| kind["operations"].as_u64().unwrap()).sum();
        assert_eq!(record["operations"], counted);
        assert!(record["version"].as_str().unwrap().contains("RocksDB"));
        let plain = record["engine"] == "rocksdb";
        assert_eq!(record.get("ratio").is_none(), plain, "{record}");
        if !plain {
            assert_eq!(record["ratio"]["to"], "rocksdb");
            assert!(loads || (1.0..=2.0).contains(&figure("max_over_mean")), "{record}");
        }
    }
    let all = ["annulus hash 1", "annulus hash 2", "annulus range 1", "annulus range 2"];
    let all = [&all[..], &["rocksdb none 1"]].concat();
    for workload in ["load", "a", "b", "c", "d", "e", "f"] {
        assert_eq!(of_workload[workload], all, "{workload}");
    }
    assert_eq!(of_workload.len(), 7);
}

#[test]
fn a_seed_gives_the_same_operations_again() {
    let counts = |seed: &str| -> Vec<Value> {
        let line = ["--workload", "a,d", "--engine", "annulus", "--seed", seed, "--threads", "3"];
        let records = bench(&[&line[..], &["--rounds", "2"]].concat());
        let counts = records.iter().map(|record| {
            let kinds = record["kinds"].as_object().unwrap().iter();
            kinds.map(|(kind, of)| (kind.clone(), of["operations"].clone())).collect()
        });
        counts.collect()
    };
    let once = counts("7");
    assert_eq!(once, counts("7"));
    assert_ne!(once, counts("8"));
}

#[test]
fn a_reshape_and_a_hot_spot_come_in_the_middle() {
    for (reshape, happened) in [("move", "move"), ("add-shard", "add_shard")] {
        let line = ["--workload", "b", "--reshape-at", "50", "--reshape", reshape];
        let more = ["--hotspot-at", "25", "--rounds", "2", "--shards", "2", "--timeline"];
        let records = bench(&[&line[..], &more].concat());
        for record in records.iter().filter(|record| record["workload"] == "b") {
            assert_eq!(record["wrong_reads"], 0);
            assert_eq!(record["hotspot_at"], 25);
            assert_eq!(record["timeline"].as_array().unwrap().len(), 2, "a line for each round");
            let events = record.get("events").and_then(Value::as_array);
            if record["engine"] == "rocksdb" {
                assert_eq!(events, None, "there is nothing to reshape");
                continue;
            }
            let events = events.unwrap();
            assert_eq!(events.len(), 2, "{record}");
            assert!(events.iter().all(|event| event["event"] == happened), "{record}");
        }
    }
}

#[test]
fn the_text_says_what_was_run() {
    let place = Place::empty();
    let line = [&QUICK[..], &["--workload", "c", "--rounds", "3", "--value-bytes", "10x20"]];
    let text = place.text(&line.concat());
    for words in ["1000 records of 10x20 bytes", "seed 1", "C, scrambled, 2 threads"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    for words in ["annulus hash ×4", "annulus range ×4", "the baseline", "split evenly"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(text.ends_with("no wrong read\n"), "{text}");
}

#[test]
fn a_rate_is_kept() {
    let line = ["--engine", "rocksdb", "--workload", "c", "--rate", "4000", "--operations", "400"];
    let records = bench(&[&line[..], &["--warm-up", "0"]].concat());
    // The last of 400 operations starts after 399 steps, however fast the machine is.
    assert!(records[1]["seconds"].as_f64().unwrap() >= 399.0 / 4000.0, "{}", records[1]);
    assert_eq!((&records[0]["rate"], &records[1]["rate"]), (&Value::Null, &4000.0.into()));
}

#[test]
fn bad_arguments_are_named() {
    let place = Place::empty();
    for (arguments, words) in [
        (&["--workload", "g"][..], &["g"][..]),
        (&["--engine", "leveldb"], &["leveldb"]),
        (&["--shards", "0"], &["--shards", "0"]),
        (&["--seconds", "0"], &["--seconds", "0"]),
        (&["--rate=-3"], &["--rate", "-3"]),
        (&["--value-bytes", "3"], &["--value-bytes", "16"]),
        (&["--cache", "lots"], &["--cache", "KiB"]),
        (&["--directory", "nowhere"], &["nowhere"]),
        (&["--baseline", "leveldb"], &["leveldb"]),
        (&["--cache", "1k"], &["cache_bytes"]),
        (&["--reshape", "move"], &["--reshape-at"]),
    ] {
        place.fails(&[&["bench", "--quick"], arguments].concat(), 2, "invalid_argument", words);
    }
}
