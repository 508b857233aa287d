//! The page as a whole, from figures that no machine has made.

use super::page;
use crate::report::data::{Event, FORMAT, Growth, Interval, Machine, Made, Moves, Raw, Run, Scans};
use annulus_workload::{Spread, UsageRecord};

fn figure(median: f64) -> Spread {
    Spread { median, min: median * 0.9, max: median * 1.1 }
}

fn run(engine: &str, partitioning: &str, workload: &str, rate: f64) -> Run {
    Run {
        engine: engine.into(),
        partitioning: partitioning.into(),
        workload: workload.into(),
        threads: 2,
        shards: 1,
        p50_us: 2.0,
        p99_us: 20.0,
        p999_us: 200.0,
        spread: figure(rate),
        rounds: vec![rate * 0.9, rate * 1.1, rate],
        usage: Some(UsageRecord {
            processor_us: 4.0,
            processor_us_by_round: vec![4.0, 3.9, 4.1],
            written_bytes: Some(2000.0),
            read_bytes: None,
            write_amplification: Some(2.0),
        }),
        wrong_reads: 0,
        records: 1000,
        value_bytes: "1000".into(),
        durability: "buffered".into(),
        cache_bytes: 1 << 20,
        write_buffer_bytes: 1 << 20,
        seconds: 1.0,
        seed: 1,
        version: "1".into(),
        commit: None,
        settings: Vec::new(),
        events: Vec::new(),
        hotspot_at: None,
        timeline: Vec::new(),
    }
}

fn empty() -> Raw {
    Raw {
        format: FORMAT,
        made: Made {
            unix_seconds: 1_795_311_204,
            seconds: 1.0,
            version: "1".into(),
            commit: None,
            seed: 1,
            quick: false,
        },
        machine: Machine {
            processor: "a <processor>".into(),
            processors: 2,
            memory_bytes: None,
            disk: "a disk".into(),
            system: "a system".into(),
            rustc: None,
        },
        workloads: Vec::new(),
        threads: Vec::new(),
        shards: Vec::new(),
        peers: Vec::new(),
        growth: Vec::new(),
        scans: Vec::new(),
        moves: Vec::new(),
        timelines: Vec::new(),
        notes: Vec::new(),
    }
}

fn full() -> Raw {
    let runs = |hash, range| {
        let plain = run("rocksdb", "none", "a", 100.0);
        vec![run("annulus", "hash", "a", hash), run("annulus", "range", "a", range), plain]
    };
    let mut peers = runs(150.0, 80.0);
    peers.push(run("<fjall>", "none", "a", 100.0));
    let interval = |from_s: f64, seconds| Interval {
        from_s,
        seconds,
        ops_per_s: 1000.0,
        p99_us: 10.0,
        max_over_mean: Some(1.5),
    };
    let timeline = Run {
        events: vec![Event { event: "add_shard".into(), began_s: 1.0, ended_s: 1.5 }],
        hotspot_at: Some(60),
        timeline: vec![vec![interval(0.0, 1.0), interval(1.0, 1.0), interval(2.0, 0.01)]],
        ..run("annulus", "hash", "b", 10.0)
    };
    let growth = |shards| Growth {
        partitioning: "hash".into(),
        shards,
        max_over_mean: 1.1,
        moved: 0.5,
        reshapes: 3,
        ms: 7.0,
    };
    Raw {
        workloads: runs(150.0, 100.0),
        threads: runs(150.0, 80.0),
        shards: runs(150.0, 80.0),
        peers,
        growth: vec![growth(1), growth(2)],
        scans: vec![Scans { name: "annulus hash".into(), rows: 10, us: figure(7.0), seeks: 64.0 }],
        moves: vec![Moves {
            transport: "link".into(),
            bytes: 1 << 20,
            ms: figure(5.0),
            pause_ms: 1.0,
        }],
        timelines: vec![timeline],
        notes: vec!["before <b>, after".into()],
        ..empty()
    }
}

#[test]
fn every_section_is_there_and_nothing_is_loaded() {
    for raw in [empty(), full()] {
        let page = page(&raw);
        for id in
            ["workloads", "peers", "threads", "shards", "growth", "scans", "moves", "timeline"]
                .into_iter()
                .chain(["notes", "source"])
        {
            assert!(page.contains(&format!("<section id=\"{id}\">")), "{id}");
        }
        for word in ["http:", "https:", " src=", "<script", "url(", "@import", "NaN", "inf\""] {
            assert!(!page.contains(word), "{word}");
        }
        assert!(page.contains("name=\"viewport\""));
        for bad in ["<processor>", "<fjall>", "<b>"] {
            assert!(!page.contains(bad), "{bad}");
        }
        for tag in ["svg", "table", "section", "figure", "g", "div"] {
            let opened = page.matches(&format!("<{tag} ")).count();
            let opened = opened + page.matches(&format!("<{tag}>")).count();
            assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
        }
    }
}

#[test]
fn it_says_what_the_figures_say() {
    let page = page(&full());
    for words in [
        "annulus hash against one plain RocksDB; ahead: A.",
        // All rounds are the same, so the ratio is exactly 1: noise.
        "annulus range against one plain RocksDB; noise: A.",
        "1.50 [1.50 … 1.50] ahead",
        "0.80 [0.80 … 0.80] behind",
        "shard added",
        "hot spot",
        "while the shard is added",
        "before &lt;b&gt;, after",
    ] {
        assert!(page.contains(words), "{words}");
    }
    let mut wrong = full();
    wrong.made.quick = true;
    wrong.peers.first_mut().unwrap().wrong_reads = 3;
    let page = super::page(&wrong);
    assert!(page.contains("3 WRONG READS") && page.contains("A quick run"));
}
