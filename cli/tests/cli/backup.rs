//! `backup`: making, listing, checking, removing and restoring.

use super::Place;
use annulus::Options;
use serde_json::Value;

/// Puts rows of about 10 KB.
fn put(place: &Place, numbers: std::ops::Range<u32>) {
    let mut text = String::from("key\tvalue\n");
    let mut random = fastrand::Rng::with_seed(u64::from(numbers.start));
    for n in numbers {
        let value: String = std::iter::repeat_with(|| random.alphanumeric()).take(10_000).collect();
        text.push_str(&format!("key-{n}\t{value}\n"));
    }
    std::fs::write(place.path("rows.tsv"), text).unwrap();
    place.run(&["load", "h", "--from", "rows.tsv"]).success();
    place.run(&["load", "r", "--from", "rows.tsv"]).success();
}

fn export(place: &Place, store: &str) -> Vec<Vec<u8>> {
    ["h", "r"].map(|it| place.bytes(&["export", it, "-s", store, "--format", "tsv"])).to_vec()
}

fn numbers(list: &Value) -> Vec<u64> {
    list["backups"].as_array().unwrap().iter().map(|it| it["backup"].as_u64().unwrap()).collect()
}

#[test]
fn backups_are_made_listed_checked_removed_and_restored() {
    let place = Place::new();
    put(&place, 0..200);
    let first = place.json(&["backup", "create", "backups"]);
    assert_eq!((&first["backup"], &first["shards"]), (&1.into(), &3.into()), "{first}");
    let before = export(&place, "store");
    put(&place, 200..203);
    let text = place.text(&["backup", "create", "backups", "--throttle", "900MiB/s"]);
    assert!(text.starts_with("backup 2 of position "), "{text}");
    let list = place.json(&["backup", "list", "backups"]);
    assert_eq!(numbers(&list), [1, 2]);
    let copied = |n: usize| list["backups"][n]["copied_bytes"].as_u64().unwrap();
    assert!(copied(1) * 5 < copied(0), "{list}");
    let table = place.text(&["backup", "list", "backups"]);
    assert!(table.lines().count() == 3 && table.contains("any moment since the last"), "{table}");

    let verified = place.json(&["backup", "verify", "backups"]);
    assert_eq!((&verified["sound"], &verified["backups"][1]), (&true.into(), &2.into()));
    assert!(place.text(&["backup", "verify", "backups"]).ends_with("no problems\n"));

    let done = place.json(&["backup", "restore", "backups", "--backup", "1", "--into", "first"]);
    assert_eq!((&done["backup"], &done["records"]), (&1.into(), &0.into()), "{done}");
    assert!(export(&place, "first") == before);
    let disk = place.path("disk");
    let shard = format!("1={}", disk.display());
    let text = place.text(&["backup", "restore", "backups", "--into", "second", "--shard", &shard]);
    assert!(text.starts_with("restored backup 2 in second"), "{text}");
    assert!(disk.join("SHARD").exists());
    assert!(export(&place, "second") == export(&place, "store"));
    assert!(place.json(&["verify", "-s", "second"])["sound"].as_bool().unwrap());

    let pruned = place.json(&["backup", "prune", "backups", "--keep", "1"]);
    assert_eq!(pruned["removed"], Value::from(vec![1]), "{pruned}");
    assert_eq!(numbers(&place.json(&["backup", "list", "backups"])), [2]);
}

/// The log between two backups is kept where the store keeps it; the tool restores a moment of it.
#[test]
fn a_moment_between_backups_is_restored() {
    let place = Place::new();
    let keep = || {
        let options = Options::new().log_keep_bytes(1 << 30);
        annulus::Store::builder(place.store()).options(options).open().unwrap()
    };
    let store = keep();
    let keyspace = store.keyspace("h").unwrap();
    let backups = place.path("backups");
    store.backup(&backups).unwrap();
    for n in 0..20 {
        keyspace.put("counter", n.to_string()).unwrap();
    }
    store.backup(&backups).unwrap();
    store.close().unwrap();
    drop((store, keyspace));
    let records: Vec<Value> = place
        .text(&["log", "--records", "--keyspace", "h", "--json"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let position = records[7]["position"].to_string();
    let into = ["--into", "copy", "--to", &position];
    let done = place.json(&[&["backup", "restore", "backups"][..], &into].concat());
    assert_eq!((&done["backup"], &done["records"]), (&1.into(), &7.into()), "{done}");
    assert_eq!(place.bytes(&["get", "h", "counter", "-s", "copy"]), b"6\n");
    // And the rest, from the log of the original, to a copy that was not opened.
    place.run(&["backup", "restore", "backups", "--backup", "1", "--into", "again"]).success();
    let recover = ["recover", "-s", "again", "--log", "store/log", "--to", "end"];
    assert_eq!(place.json(&recover)["records"], 20);
    assert_eq!(place.bytes(&["get", "h", "counter", "-s", "again"]), b"19\n");
}

#[test]
fn what_cannot_be_done_is_refused_with_a_reason() {
    let place = Place::new();
    place.run(&["put", "h", "k", "v"]).success();
    place.run(&["backup", "create", "backups"]).success();
    let refused = |arguments: &[&str], code: i32, word: &str| {
        let output = place.command(arguments).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(word), "{arguments:?}: {text}");
    };
    refused(&["backup", "list", "nothing"], 3, "there are no backups");
    refused(&["backup", "create", "store/backups"], 2, "overlap");
    refused(&["backup", "restore", "backups", "--into", "store"], 7, "not empty");
    refused(&["backup", "restore", "backups", "--into", "x", "--backup", "9"], 3, "no backup 9");
    let later = ["backup", "restore", "backups", "--into", "x", "--to", "2999-01-01T00:00:00Z"];
    refused(&later, 2, "only up to position");
    refused(
        &["backup", "restore", "backups", "--into", "x", "--shard", "1"],
        2,
        "number of a shard",
    );
    refused(&["backup", "prune", "backups", "--keep", "0"], 2, "at least one");
    let table = std::fs::read_dir(place.path("backups/files")).unwrap();
    let table = table.map(|it| it.unwrap().path()).find(|it| it.extension().unwrap() == "sst");
    let table = table.unwrap();
    std::fs::write(&table, "damaged").unwrap();
    let name = table.file_name().unwrap().to_str().unwrap();
    refused(&["backup", "restore", "backups", "--into", "x"], 5, name);
    let verified = place.command(&["backup", "verify", "backups"]).output().unwrap();
    assert_eq!(verified.status.code(), Some(1));
    assert!(String::from_utf8(verified.stdout).unwrap().contains(name));
}

#[test]
fn a_copy_is_adopted() {
    let place = Place::new();
    let disk = place.path("disk");
    place.run(&["shard", "add", disk.to_str().unwrap()]).success();
    put(&place, 0..20);
    for (from, to) in [("store", "copy"), ("disk", "other")] {
        let mut copy = std::process::Command::new("cp");
        assert!(
            copy.arg("-a").arg(place.path(from)).arg(place.path(to)).status().unwrap().success()
        );
    }
    let refused = place.command(&["adopt-copy", "-s", "copy"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let other = format!("3={}", place.path("other").display());
    let adopted = place.json(&["adopt-copy", "-s", "copy", "--shard", &other]);
    assert_eq!(adopted["shards"].as_array().unwrap().len(), 4, "{adopted}");
    place.run(&["put", "h", "who", "copy", "-s", "copy"]).success();
    place.run(&["put", "h", "who", "original"]).success();
    assert_eq!(place.bytes(&["get", "h", "who", "-s", "copy"]), b"copy\n");
    for store in ["copy", "store"] {
        assert!(place.json(&["verify", "-s", store])["sound"].as_bool().unwrap(), "{store}");
    }
}
