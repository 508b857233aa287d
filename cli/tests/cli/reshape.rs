//! Shards that come and go, partitions that move, split and merge. Whatever happens, an export
//! before and after is the same, byte for byte.

use super::Place;
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

/// Returns a place with rows in both keyspaces; `bytes` is about how many each has.
fn filled(bytes: usize) -> Place {
    let place = Place::new();
    let mut random = fastrand::Rng::with_seed(bytes as u64);
    let mut lines = String::new();
    for n in 0..bytes / 100 {
        let value: String = (0..80).map(|_| random.alphanumeric()).collect();
        lines += &format!("key-{:02}-{n:08}\t{value}\n", random.u8(..100));
    }
    place.fill("h", &lines);
    place.fill("r", &lines);
    place
}

fn exports(place: &Place) -> [Vec<u8>; 2] {
    ["h", "r"].map(|keyspace| place.bytes(&["export", keyspace]))
}

fn epoch(place: &Place) -> u64 {
    place.json(&["stats"])["epoch"].as_u64().unwrap()
}

/// Returns the partitions of a keyspace, in order: number and owner.
fn partitions(place: &Place, keyspace: &str) -> Vec<(String, u64)> {
    let list = place.json(&["partition", "list", keyspace]);
    let list = list["partitions"].as_array().unwrap().iter();
    list.map(|p| (p["partition"].to_string(), p["owner"].as_u64().unwrap())).collect()
}

/// Returns the numbers of the shards.
fn shards(place: &Place) -> Vec<u64> {
    let list = place.json(&["shard", "list"]);
    list["shards"].as_array().unwrap().iter().map(|shard| shard["id"].as_u64().unwrap()).collect()
}

/// Checks that nothing is wrong, nothing is left over, and the rows are these.
fn same(place: &Place, before: &[Vec<u8>; 2]) {
    assert!(exports(place) == *before);
    let report = place.json(&["verify"]);
    assert_eq!(report["sound"], true, "{report}");
    for keyspace in report["keyspaces"].as_array().unwrap() {
        assert_eq!((&keyspace["foreign"], &keyspace["misplaced"]), (&0.into(), &0.into()));
    }
}

#[test]
fn shards_are_added_reweighed_and_removed() {
    for transport in ["link", "copy"] {
        let place = filled(400_000);
        let before = exports(&place);
        let how = ["--transport", transport, "--check", "full"];
        let act = |arguments: &[&str]| place.json(&[arguments, &how].concat());

        let added = act(&["shard", "add", "shards/new", "--zone", "left"]);
        assert_eq!(added["shard"], 3);
        assert_eq!(added["foreign_bytes"], 0);
        assert_eq!(added["rolled_back"], 0);
        assert!(added["committed"].as_u64().unwrap() >= 3, "{added}");
        assert_eq!(added[&format!("{transport}ed_bytes").replace("copyed", "copied")], {
            let reshapes = added["reshapes"].as_array().unwrap();
            assert!(reshapes.iter().all(|reshape| reshape["transport"] == transport));
            reshapes.iter().map(|reshape| reshape["bytes"].as_u64().unwrap()).sum::<u64>()
        });
        assert_eq!(shards(&place), [0, 1, 2, 3]);
        let list = place.json(&["shard", "list"]);
        assert_eq!(list["shards"][3]["zone"], "left");
        same(&place, &before);
        let share = |place: &Place, shard: usize| {
            place.json(&["map", "h"])["keyspaces"][0]["shares"][shard]["owned"].as_f64().unwrap()
        };
        assert!((share(&place, 3) - 0.25).abs() < 1e-9);

        act(&["shard", "reweight", "3", "3"]);
        assert!((share(&place, 3) - 0.5).abs() < 1e-9);
        same(&place, &before);

        act(&["shard", "remove", "0"]);
        assert_eq!(shards(&place), [1, 2, 3]);
        assert!(partitions(&place, "h").iter().all(|(_, owner)| *owner != 0));
        same(&place, &before);
    }
}

#[test]
fn partitions_are_moved_split_and_merged() {
    for transport in ["link", "copy"] {
        let place = filled(400_000);
        let before = exports(&place);
        for (keyspace, at) in [("h", &["--middle"][..]), ("r", &["--at", "key-15"])] {
            let how = ["--transport", transport];
            let (id, owner) = partitions(&place, keyspace)[1].clone();
            let to = ((owner + 1) % 3).to_string();
            let moved = place.text(&[&["partition", "move", &id, "--to", &to][..], &how].concat());
            assert!(moved.contains(&format!("done: move partition {id} to shard {to}")), "{moved}");
            assert!(moved.contains(transport), "{moved}");
            assert_eq!(partitions(&place, keyspace)[1], (id.clone(), to.parse().unwrap()));

            let split = place.json(&[&["partition", "split", &id][..], at, &how].concat());
            assert_eq!(split["reshapes"][0]["kind"], "split");
            assert_eq!(split["trimmed"].as_u64().unwrap() > 0, transport == "link", "{split}");
            let [left, right] = [1, 2].map(|n| partitions(&place, keyspace)[n].0.clone());
            assert_eq!(split["reshapes"][0]["targets"].to_string(), format!("[{left},{right}]"));
            same(&place, &before);

            let merge = ["partition", "merge", &left, &right, "--to", "0"];
            let merged = place.json(&merge);
            assert_eq!(merged["reshapes"][0]["transport"], "copy");
            let (id, owner) = partitions(&place, keyspace)[1].clone();
            assert_eq!(merged["reshapes"][0]["targets"].to_string(), format!("[{id}]"));
            assert_eq!(owner, 0);
            same(&place, &before);
        }
    }
}

#[test]
fn what_is_shared_is_told_and_trimmed_later() {
    let place = filled(400_000);
    let before = exports(&place);
    let (id, _) = partitions(&place, "r")[0].clone();
    let split = ["partition", "split", &id, "--middle", "--no-trim", "--transport", "link"];
    let split = place.json(&split);
    assert!(split["foreign_bytes"].as_u64().unwrap() > 0, "{split}");
    let stats = place.json(&["stats"]);
    let foreign = |stats: &Value| -> u64 {
        let shards = stats["shards"].as_array().unwrap();
        shards.iter().map(|shard| shard["foreign_bytes"].as_u64().unwrap()).sum()
    };
    assert_eq!(foreign(&stats), split["foreign_bytes"]);
    assert_eq!(stats["reshape_history"]["committed"], 1);
    let verified = place.json(&["verify"]);
    assert!(verified["keyspaces"][1]["foreign"].as_u64().unwrap() > 0, "{verified}");
    assert_eq!(verified["sound"], true);
    // Commands that do not reshape leave it as it is, the next one that does trims it.
    assert!(foreign(&place.json(&["stats"])) > 0);
    let (other, owner) = partitions(&place, "h")[0].clone();
    let to = ((owner + 1) % 3).to_string();
    assert_eq!(place.json(&["partition", "move", &other, "--to", &to])["foreign_bytes"], 0);
    same(&place, &before);
    assert!(place.text(&["stats"]).contains("reshapes: 2 committed, 2 trims, 0 rolled back"));
}

#[test]
fn a_plan_changes_nothing() {
    let place = filled(400_000);
    let (first, second) = (partitions(&place, "r"), partitions(&place, "h"));
    let (id, owner) = first[0].clone();
    let to = ((owner + 1) % 3).to_string();
    let epoch_before = epoch(&place);
    let requests = [
        &["move", &id, "--to", &to][..],
        &["split", &id, "--middle", "--to", &to],
        &["split", &id, "--at", "key-0"],
        &["split", &second[0].0, "--at-token", "0000000000000100"],
        &["merge", &first[0].0, &first[1].0],
        &["add-shard", "shards/new"],
        &["remove-shard", "0"],
        &["reweight", "1", "4"],
    ];
    for request in requests {
        let plan = place.json(&[&["plan"], request].concat());
        let steps = plan["steps"].as_array().unwrap();
        assert!(!steps.is_empty(), "{request:?}: {plan}");
        assert!(steps.iter().all(|step| !step["why"].as_str().unwrap().is_empty()), "{plan}");
        let text = place.text(&[&["plan"], request].concat());
        assert!(text.contains("nothing was done"), "{text}");
    }
    let split = place.json(&["plan", "split", &id, "--at", "key-0"]);
    assert_eq!(split["steps"][0]["cuts"][0]["key"], "key-0");
    assert_eq!(split["steps"][0]["keyspace"], "r");
    assert_eq!(place.json(&["plan", "add-shard", "shards/new"])["shard"], 3);
    assert_eq!(epoch(&place), epoch_before);
    assert!(!place.store().join("shards/new").exists());
    assert_eq!(place.json(&["migrations"])["migrations"].as_array().unwrap().len(), 0);
    // What is planned is what is done.
    let planned = place.json(&["plan", "add-shard", "shards/new"]);
    let done = place.json(&["shard", "add", "shards/new", "--no-trim"]);
    assert_eq!(
        planned["steps"].as_array().unwrap().len(),
        done["reshapes"].as_array().unwrap().len()
    );
}

#[test]
fn migrations_are_listed_the_newest_last() {
    let place = filled(100_000);
    assert_eq!(place.text(&["migrations"]), "");
    let (id, owner) = partitions(&place, "h")[0].clone();
    let [one, other] = [1, 2].map(|n| ((owner + n) % 3).to_string());
    place.run(&["partition", "move", &id, "--to", &one]).success();
    place.run(&["partition", "move", &id, "--to", &other, "--transport", "copy"]).success();
    let list = place.json(&["migrations"]);
    let list = list["migrations"].as_array().unwrap();
    assert_eq!(list.len(), 2);
    assert_eq!((&list[0]["transport"], &list[1]["transport"]), (&"link".into(), &"copy".into()));
    assert_eq!(list[1]["phase"], "cleaned");
    assert!(list[0]["reshape"].as_u64() < list[1]["reshape"].as_u64());
    assert_eq!(place.json(&["migrations", "--last", "1"])["migrations"][0], list[1]);
    let text = place.text(&["migrations"]);
    assert!(text.contains("move") && text.contains("2 committed"), "{text}");
}

#[test]
fn bad_requests_are_refused_and_change_nothing() {
    let place = filled(50_000);
    let (id, owner) = partitions(&place, "h")[0].clone();
    let (range, _) = partitions(&place, "r")[0].clone();
    let third = partitions(&place, "h")[2].0.clone();
    let (here, there) = (owner.to_string(), ((owner + 1) % 3).to_string());
    let epoch_before = epoch(&place);
    let bad = "invalid_argument";
    let fails = |arguments: &[&str], code, kind, words: &[&str]| {
        place.fails(arguments, code, kind, words);
    };
    fails(&["partition", "move", "999", "--to", "0"], 3, "not_found", &["no partition 999"]);
    fails(&["partition", "move", &id, "--to", "9"], 3, "not_found", &["no shard 9"]);
    fails(&["partition", "move", &id, "--to", &here], 2, bad, &["already"]);
    fails(&["partition", "move", &id, "--to", "x"], 2, bad, &["--to"]);
    fails(&["partition", "split", &id, "--at", "k"], 2, bad, &["by hash", "split it at a token"]);
    fails(&["partition", "split", &id], 2, bad, &["--middle"]);
    fails(&["partition", "split", &id, "--at-token", "12"], 2, bad, &["16 hexadecimal digits"]);
    fails(&["partition", "split", &range, "--at", "zz"], 2, bad, &["not inside"]);
    fails(&["partition", "merge", &id, &third], 2, bad, &["neighbours"]);
    let merge = ["partition", "merge", &id, &partitions(&place, "h")[1].0, "--transport", "link"];
    let refused = place.command(&merge).arg("--json").output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.contains("ask for a copy") && told.contains("0 of 1 reshapes"), "{told}");
    fails(&["partition", "list", "nobody"], 3, "not_found", &["`nobody`"]);
    fails(&["shard", "add", "/no/such/place"], 3, "not_found", &["/no/such"]);
    fails(&["shard", "add", "shards/1"], 7, "already_exists", &["choose another"]);
    fails(&["shard", "remove", "9"], 3, "not_found", &["no shard 9"]);
    fails(&["shard", "reweight", "1", "0"], 2, bad, &["0"]);
    let act = |option| ["partition", "move", &id, "--to", &there, option];
    for (option, value, word) in [
        ("--throttle", "0", "bytes_per_second"),
        ("--throttle", "fast", "50MiB"),
        ("--latency-rise", "0.5", "latency_rise_max"),
        ("--pause-ms", "0", "pause_target"),
    ] {
        fails(&[&act(option)[..], &[value]].concat(), 2, bad, &[word]);
    }
    fails(&["plan", "remove-shard", "9"], 3, "not_found", &["no shard 9"]);
    assert_eq!(partitions(&place, "h")[0], (id, owner));
    // A reshape that was begun, and rolled back, may have taken a number.
    assert!(epoch(&place) >= epoch_before);
    let lonely = Place::empty();
    lonely.run(&["init", "--shards", "1"]).success();
    lonely.fails(&["shard", "remove", "0"], 2, bad, &["last one"]);
}

/// Returns true if a copy was begun: its files are made there.
fn copies(place: &Place) -> bool {
    let scratch = |shard: std::fs::DirEntry| shard.path().join("data/scratch").read_dir();
    let mut shards = place.store().join("shards").read_dir().unwrap().map(Result::unwrap);
    shards.any(|shard| scratch(shard).is_ok_and(|mut entries| entries.next().is_some()))
}

/// Starts a command that copies so slowly that it is in progress when this returns.
fn slow(place: &Place, arguments: &[&str]) -> (Child, impl Iterator<Item = String> + use<>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_annulus"))
        .args(arguments)
        .args(["--transport", "copy", "--throttle", "8KiB/s"])
        .env("ANNULUS_STORE", place.store())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(told.next().unwrap().contains("to do"));
    while !copies(place) {
        assert!(child.try_wait().unwrap().is_none(), "it ended without a copy");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    (child, told)
}

#[test]
#[cfg(unix)]
fn an_interrupt_rolls_back_and_a_killed_process_is_rolled_back_later() {
    let place = filled(2_000_000);
    let before = exports(&place);
    let (id, owner) = partitions(&place, "r")[0].clone();
    let to = ((owner + 1) % 3).to_string();
    let (mut child, told) = slow(&place, &["partition", "move", &id, "--to", &to]);
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(10));
    let told: Vec<String> = told.collect();
    assert!(told.iter().any(|line| line.contains("error: the job was aborted")), "{told:?}");
    assert!(told.iter().any(|line| line.contains("0 of 1 reshapes")), "{told:?}");
    let list = place.json(&["migrations"]);
    assert_eq!(list["migrations"][0]["phase"], "rolled_back");
    assert_eq!(list["rolled_back"].as_array().unwrap().len(), 0);
    same(&place, &before);

    let (mut child, _) = slow(&place, &["shard", "remove", &owner.to_string()]);
    child.kill().unwrap();
    child.wait().unwrap();
    let list = place.json(&["migrations"]);
    assert!(!list["rolled_back"].as_array().unwrap().is_empty(), "{list}");
    assert_eq!(list["draining"].to_string(), format!("[{owner}]"));
    let text = place.text(&["verify"]);
    let continues = format!("`annulus shard remove {owner}` continues that");
    assert!(text.contains(&continues), "{text}");
    assert!(place.text(&["shard", "list"]).contains("being removed"));
    same(&place, &before);
    place.run(&["shard", "remove", &owner.to_string()]).success();
    assert!(!shards(&place).contains(&owner));
    same(&place, &before);
}

#[test]
fn maps_show_split_arcs() {
    let place = filled(100_000);
    let (id, _) = partitions(&place, "h")[4].clone();
    place.run(&["partition", "split", &id, "--middle", "--to", "0"]).success();
    let arcs = place.json(&["map", "h"])["keyspaces"][0]["arcs"].as_array().unwrap().clone();
    assert_eq!(arcs.len(), 10);
    assert!(arcs.windows(2).all(|pair| pair[0]["end"] == pair[1]["start"]));
    assert_eq!(arcs[5]["owner"], 0);
    assert!(place.text(&["map", "h", "--ascii"]).contains("10 arcs"));
    place.run(&["shard", "remove", "1"]).success();
    let map = place.text(&["map", "--ascii", "--svg", "map.svg"]);
    assert!(map.contains("map.svg"), "{map}");
    assert!(place.text(&["map", "--ascii"]).contains("B 2"));
}
