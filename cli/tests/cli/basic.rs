//! The happy path of each command, in text and in JSON.

use super::{Place, lines};
use annulus::Store;
use annulus::index::IndexSpec;
use serde_json::{Value, json};

#[test]
fn init_says_what_it_made() {
    let place = Place::empty();
    let made = place.json(&["init", "--shard", "fast:3:left", "--shard", "slow"]);
    assert_eq!(made["shards"][0]["weight"], 3);
    assert_eq!(made["shards"][0]["zone"], "left");
    assert_eq!(made["shards"][1]["directory"], "slow");
    assert!(place.store().join("slow/SHARD").is_file());
    place.fails(&["init"], 7, "already_exists", &["already"]);
    let other = Place::empty();
    assert!(other.text(&["init", "-s", "here"]).contains("created here with 4 shards"));
}

#[test]
fn keyspaces_are_created_listed_and_dropped() {
    let place = Place::new();
    let created = place.json(&["keyspace", "create", "c", "--hash", "--hashed", "up-to:/"]);
    assert_eq!(created["hashed"], "up-to:/");
    assert_eq!(created["partitions"], 12);
    let names = |list: &Value| -> Vec<String> {
        let list = list["keyspaces"].as_array().unwrap();
        list.iter().map(|keyspace| keyspace["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&place.json(&["keyspace", "list"])), ["h", "r", "c"]);
    assert!(place.text(&["keyspace", "list"]).contains("hash of up-to:/"));
    assert_eq!(place.json(&["keyspace", "drop", "c"]), json!({ "dropped": "c" }));
    assert_eq!(names(&place.json(&["keyspace", "list"])), ["h", "r"]);
    place.fails(&["keyspace", "create", "h", "--hash"], 7, "already_exists", &["`h`"]);
    place.run(&["keyspace", "create", "n"]).code(2);
    place.run(&["keyspace", "create", "n", "--range", "--arcs", "3"]).code(2);
}

#[test]
fn keyspaces_whose_rows_expire_are_created_and_their_rows_are_gone() {
    let place = Place::new();
    let created = place.json(&["keyspace", "create", "soon", "--range", "--ttl", "1ms"]);
    assert_eq!(created["time_to_live"], json!({ "default_ms": 1 }));
    let created = place.json(&["keyspace", "create", "day", "--hash", "--ttl", "1d"]);
    assert_eq!(created["time_to_live"]["default_ms"], 86_400_000);
    let created = place.json(&["keyspace", "create", "some", "--hash", "--ttl", "by-put"]);
    assert_eq!(created["time_to_live"], json!({ "default_ms": null }));
    assert!(place.text(&["keyspace", "list"]).contains("rows expire after 86400s"));
    place.run(&["put", "soon", "ada", "countess"]).success();
    place.run(&["put", "day", "ada", "countess"]).success();
    place.run(&["put", "some", "ada", "countess"]).success();
    // Longer ago than a millisecond, since each is a process of its own.
    place.run(&["get", "soon", "ada"]).code(1).stdout("");
    assert_eq!(place.text(&["scan", "soon"]), "");
    assert_eq!(place.text(&["get", "day", "ada"]), "countess\n");
    assert_eq!(place.text(&["scan", "day"]), "ada\tcountess\n");
    let stats = place.json(&["stats"]);
    let keyspaces = stats["keyspaces"].as_array().unwrap();
    let expiry = |name: &str| {
        let found = keyspaces.iter().find(|keyspace| keyspace["name"] == name).unwrap();
        found.get("expiry").cloned()
    };
    assert_eq!(expiry("soon").unwrap()["default_ms"], 1);
    assert_eq!(expiry("h"), None);
    for bad in ["5", "1.5h", "soon", "0s"] {
        place.run(&["keyspace", "create", "n", "--hash", "--ttl", bad]).code(2);
    }
}

#[test]
fn put_get_delete() {
    let place = Place::new();
    for keyspace in ["h", "r"] {
        place.run(&["put", keyspace, "ada", "countess\tof Lovelace"]).success().stdout("");
        assert_eq!(place.text(&["get", keyspace, "ada"]), "countess\\tof Lovelace\n");
        assert_eq!(place.text(&["get", keyspace, "ada", "--raw"]), "countess\tof Lovelace");
        assert_eq!(
            place.json(&["get", keyspace, "ada"]),
            json!({ "key": "ada", "found": true, "value": "countess\tof Lovelace" })
        );
        place.run(&["put", keyspace, "ada", "x", "--if-absent"]).code(1);
        let refused = place.json(&["put", keyspace, "ada", "x", "--if-absent"]);
        assert_eq!(refused["put"], false);
        assert_eq!(refused["found"], "countess\tof Lovelace");
        place.run(&["put", keyspace, "bob", "x", "--if-absent", "--synced"]).success();
        place.run(&["delete", keyspace, "ada", "nobody"]).success();
        place.run(&["get", keyspace, "ada"]).code(1).stdout("");
        assert_eq!(place.json(&["get", keyspace, "ada"]), json!({ "key": "ada", "found": false }));
    }
}

#[test]
fn bytes_go_in_and_out_unchanged() {
    let place = Place::new();
    let value: Vec<u8> = (0..=255).chain([b'\n']).collect();
    place.command(&["put", "h", "blob"]).write_stdin(value.clone()).assert().success();
    place.command(&["put", "h", "same", "-"]).write_stdin(value.clone()).assert().success();
    for key in ["blob", "same"] {
        assert_eq!(place.bytes(&["get", "h", key, "--raw"]), value);
    }
    place.run(&["put", "h", "00FF", "fe", "--hex"]).success();
    assert_eq!(place.text(&["get", "h", "00ff", "--hex"]), "fe\n");
    let row = place.json(&["scan", "h", "--limit", "1"]);
    assert_eq!(row, json!({ "key_hex": "00ff", "value_hex": "fe" }));
    assert_eq!(lines(&place.text(&["scan", "h", "--limit", "1"])), ["\\x00\\xff\t\\xfe"]);
    place.fails(&["get", "h", "0f0", "--hex"], 2, "invalid_argument", &["hexadecimal"]);
}

#[test]
fn scans_select_rows_in_order() {
    let place = Place::new();
    for keyspace in ["h", "r"] {
        place.fill(keyspace, &(0..30).map(|n| format!("key-{n:02}\t{n}\n")).collect::<String>());
        let keys = |arguments: &[&str]| {
            let fixed = ["scan", keyspace, "--keys-only"];
            place.text(&[&fixed[..], arguments].concat()).replace("key-", "").replace('\n', " ")
        };
        assert_eq!(keys(&["--from", "key-08", "--to", "key-12"]), "08 09 10 11 ");
        assert_eq!(keys(&["--prefix", "key-2", "--reverse", "--limit", "3"]), "29 28 27 ");
        assert_eq!(keys(&["--to", "key-02"]), "00 01 ");
        assert_eq!(lines(&place.text(&["scan", keyspace])).len(), 30);
        let objects = place.text(&["scan", keyspace, "--from", "key-28", "--json"]);
        let objects: Vec<Value> =
            objects.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(objects[1], json!({ "key": "key-29", "value": "29" }));

        place.run(&["delete", keyspace, "--from", "key-03", "--to", "key-05"]).success();
        place.run(&["delete", keyspace, "--prefix", "key-1"]).success();
        assert_eq!(keys(&["--to", "key-20"]), "00 01 02 05 06 07 08 09 ");
        place.run(&["delete", keyspace]).code(2);
        place.run(&["delete", keyspace, "--all"]).success();
        assert_eq!(keys(&[]), "");
    }
}

#[test]
fn stats_and_verify_see_the_rows() {
    let place = Place::new();
    place.fill("h", &(0..20).map(|n| format!("{n}\tx\n")).collect::<String>());
    let stats = place.json(&["stats"]);
    assert_eq!(stats["shards"].as_array().unwrap().len(), 3);
    assert_eq!(stats["keyspaces"][0]["partitions"].as_array().unwrap().len(), 9);
    let text = place.text(&["stats"]);
    assert!(text.contains("keyspace") && text.contains("shards/2"), "{text}");

    let verified = place.json(&["verify"]);
    assert_eq!(verified["sound"], true);
    assert_eq!(verified["keyspaces"][0]["keys"], 20);
    assert_eq!(verified["keyspaces"][0]["misplaced"], 0);
    assert!(place.text(&["verify"]).contains("no problems"));
}

/// The application has declared the index; the tool knows no function.
#[test]
fn stats_and_verify_see_indexes() {
    let place = Place::new();
    {
        let store = Store::open(place.store()).unwrap();
        let rows = store.keyspace("h").unwrap();
        let spec = IndexSpec::new("by_value", 3, |_key, value| [value.to_vec()]);
        rows.index(spec.unique()).unwrap().build().unwrap();
        (0..20).for_each(|n| rows.put(format!("{n}"), format!("v{n}")).unwrap());
        let other = store.keyspace("r").unwrap();
        other.index(IndexSpec::new("unfinished", 1, |key, _value| [key.to_vec()])).unwrap();
    }
    let indexes = place.json(&["stats"])["keyspaces"][0]["indexes"].clone();
    assert_eq!(indexes.as_array().unwrap().len(), 1);
    assert_eq!(
        (&indexes[0]["name"], &indexes[0]["state"]),
        (&"by_value".into(), &"complete".into())
    );
    assert_eq!((&indexes[0]["version"], &indexes[0]["unique"]), (&3.into(), &true.into()));
    assert_eq!(indexes[0]["entries_estimated"], 20);
    let text = place.text(&["stats"]);
    for state in ["complete, version 3, unique", "incomplete"] {
        assert!(text.contains(state), "`{state}` is not in: {text}");
    }
    place.run(&["verify"]).success();
}

#[test]
fn the_demo_finds_every_row() {
    let place = Place::empty();
    let summary = place.json(&["demo", "--rows", "5000", "--shards", "3"]);
    assert_eq!(summary["ok"], true);
    assert_eq!(summary["rows"], 5000);
    assert_eq!(summary["shards"], 3);
    for zero in ["wrong_reads", "lost", "wrong_scans", "malformed"] {
        assert_eq!(summary[zero], 0, "{zero}");
    }
    for rate in ["load_ops_per_s", "read_ops_per_s"] {
        assert!(summary[rate].as_f64().unwrap() > 0.0, "{rate}");
    }
    assert!((1.0..1.3).contains(&summary["max_over_mean"].as_f64().unwrap()), "{summary}");
    // The range keyspace is balanced by bytes, and pieces this small are not split off.
    assert!((1.0..2.0).contains(&summary["max_over_mean_range"].as_f64().unwrap()), "{summary}");
    for some in ["reshapes", "moved_bytes", "pause_ms_p50", "pause_ms_max"] {
        assert!(summary[some].as_f64().unwrap() > 0.0, "{some}: {summary}");
    }
    assert!(summary["pause_ms_p50"].as_f64() <= summary["pause_ms_max"].as_f64());
    for some in ["reads", "writes", "scans", "slowest_read_ms", "slowest_write_ms"] {
        assert!(summary["live"][some].as_f64().unwrap() > 0.0, "{some}: {summary}");
    }
}

#[test]
fn the_demo_takes_a_file_and_keeps_its_store() {
    let place = Place::empty();
    place.write("few.csv", "id,name\n1,one\n2,\"t,wo\"\n1,uno\n");
    let text = place.text(&["demo", "--from", "few.csv", "--keep", "store", "--threads", "3"]);
    // A past bug: a line with its own line end was printed with `\\n` in it.
    assert!(text.contains(" at most\n\n") && !text.contains(r"\n"), "{text}");
    assert!(text.contains("fine: 2 rows"), "{text}");
    assert_eq!(place.text(&["scan", "range"]), "1\tuno\n2\t\"t,wo\"\n");
    place.write("bad.csv", "id,name\n1,one\n2\n");
    let output = place.command(&["demo", "--from", "bad.csv"]).assert().code(1);
    let told = String::from_utf8(output.get_output().stderr.clone()).unwrap();
    assert!(told.contains("bad.csv:3: 1 columns instead of 2"), "{told}");
}

#[test]
fn every_help_has_examples() {
    let place = Place::empty();
    let commands = [
        "init",
        "put",
        "get",
        "delete",
        "scan",
        "load",
        "export",
        "map",
        "stats",
        "verify",
        "demo",
        "bench",
        "keyspace",
        "shard",
        "partition",
        "plan",
        "migrations",
    ];
    for command in commands {
        let help = place.text(&[command, "--help"]);
        assert!(help.contains(&format!("Examples:\n  annulus {command}")), "{help}");
    }
    for (command, below) in [
        ("keyspace", &["create", "list", "drop"][..]),
        ("shard", &["list", "reweight"]),
        ("partition", &["list", "move", "split", "merge"]),
        ("plan", &["move", "split", "merge", "add-shard", "remove-shard", "reweight"]),
    ] {
        for below in below {
            let help = place.text(&[command, below, "--help"]);
            assert!(help.contains("Examples:\n  annulus "), "{help}");
            assert!(help.contains(&format!("annulus {command} {below}")), "{help}");
        }
    }
    let help = place.text(&["--help"]);
    assert!(help.contains("Exit codes:"), "{help}");
    for command in commands {
        assert!(help.contains(&format!("\n  {command} ")), "{help}");
    }
}
