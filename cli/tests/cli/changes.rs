//! `changes` and `consumer`: what is printed of a store's changes, also while another process writes.

use super::Place;
use annulus::changes::ChangesFrom;
use annulus::topology::KeyspaceSpec;
use annulus::{Batch, Durability, Keyspace, Store};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

fn create(place: &Place) -> (Store, Keyspace) {
    let store = Store::builder(place.store()).shards(2).open().unwrap();
    let rows = store.create_keyspace("rows", KeyspaceSpec::range()).unwrap();
    (store, rows)
}

fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn commits_are_printed_whole_and_only_when_they_are_synced() {
    let place = Place::empty();
    let (store, rows) = create(&place);
    rows.log_old_values(true).unwrap();
    rows.put("a\tb", "1").unwrap();
    let mut batch = Batch::new();
    batch.put(&rows, "a\tb", [0xff]);
    batch.delete(&rows, "k");
    store.write(batch).unwrap();
    rows.delete_range("c".."d").unwrap();
    store.sync().unwrap();
    rows.put_with("later", "1", Durability::Buffered).unwrap();

    let text = place.text(&["changes"]);
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert_eq!(lines[0][2..], ["rows", "put", r"a\tb", "1", "none"]);
    assert_eq!(lines[1][2..], ["rows", "put", r"a\tb", r"\xff", "before 1"]);
    assert_eq!(lines[2][2..], ["rows", "delete", "k", "none"]);
    assert_eq!(lines[3][2..], ["rows", "delete-range", "c..d"]);
    assert_eq!(lines[1][..2], lines[2][..2], "one commit");
    assert_eq!(place.text(&["changes", "--unsynced"]).lines().count(), 5);
    assert_eq!(place.text(&["changes", "--prefix", "k"]).lines().count(), 1);
    assert_eq!(place.text(&["changes", "--prefix", "cx", "--keyspace", "rows"]).lines().count(), 1);

    let json = objects(&place.text(&["changes", "--json"]));
    assert_eq!(json.len(), 3);
    let change = &json[1]["changes"][0];
    assert_eq!((&change["kind"], &change["keyspace"]), (&"put".into(), &"rows".into()));
    assert_eq!((&change["value_hex"], &change["old"]), (&"ff".into(), &"1".into()));
    assert_eq!(json[0]["changes"][0]["old"], Value::Null);
    assert_eq!(json[2]["changes"][0]["to"], "d");
    let end = json[1]["end"].to_string();
    let from = objects(&place.text(&["changes", "--json", "--from", &end]));
    assert_eq!(from[0]["position"], json[2]["position"]);
    assert_eq!(objects(&place.text(&["changes", "--json", "--limit", "1"])).len(), 1);
    // The records of old values are in the log, too.
    let log = place.text(&["log", "--records", "--values"]);
    assert!(log.contains("\tprevious\ta\\tb\tnone\n"), "{log}");
    assert!(log.contains("\tprevious\ta\\tb\t1 B\t1\n"), "{log}");

    place.fails(&["changes", "-s", "nowhere"], 3, "not_found", &["nowhere"]);
    place.fails(&["changes", "--keyspace", "x"], 3, "not_found", &["`x`"]);
    place.fails(&["changes", "--from", "99999999"], 2, "invalid_argument", &["99999999"]);
    place.fails(&["changes", "--from", "0", "--consumer", "c"], 2, "invalid_argument", &["--from"]);
}

#[test]
fn changes_are_followed_as_they_are_synced() {
    let place = Place::empty();
    let (store, rows) = create(&place);
    rows.put("before", "1").unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_annulus"))
        .args(["changes", "--follow", "--json", "--from", "0", "--limit", "3", "-s"])
        .arg(place.store())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = move || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    store.sync().unwrap();
    assert_eq!(next()["changes"][0]["key"], "before");
    let late = store.create_keyspace("late", KeyspaceSpec::hash()).unwrap();
    late.put_with("k", "v", Durability::Synced).unwrap();
    // A mark after the sync says so; the next record would, too.
    let change = next();
    assert_eq!(
        (&change["changes"][0]["keyspace"], &change["changes"][0]["value"]),
        (&"late".into(), &"v".into())
    );
    rows.put_with("last", "1", Durability::Synced).unwrap();
    assert_eq!(next()["changes"][0]["key"], "last");
    assert!(child.wait().unwrap().success());
}

#[test]
fn consumers_are_listed_followed_and_deleted() {
    let place = Place::empty();
    let (store, rows) = create(&place);
    let consumer = store.consumer_or_create("mail", ChangesFrom::Now).unwrap();
    ["a", "b"].iter().for_each(|key| rows.put(key, "1").unwrap());
    let mut changes = consumer.changes().unwrap().open().unwrap();
    consumer.commit(changes.next().unwrap().unwrap().end()).unwrap();
    store.sync().unwrap();
    let text = place.text(&["changes", "--consumer", "mail"]);
    assert!(text.lines().count() == 1 && text.contains("\tput\tb\t1\n"), "{text}");
    let own = place.text(&["changes", "--keyspace", "annulus/consumers"]);
    assert_eq!(own.lines().count(), 2, "only if it is asked for: {own}");
    let list = place.json(&["consumer", "list", "--read-only"]);
    assert_eq!(list["consumers"][0]["name"], "mail");
    assert_eq!(list["consumers"][0]["position"], consumer.position().unwrap().get());
    place.fails(&["changes", "--consumer", "x"], 3, "not_found", &["`x`"]);
    drop((changes, consumer, rows, store));
    assert!(place.text(&["consumer", "list"]).contains("mail"));
    place.text(&["consumer", "delete", "mail"]);
    place.fails(&["consumer", "delete", "mail"], 3, "not_found", &["`mail`"]);
    assert_eq!(place.json(&["consumer", "list"])["consumers"], serde_json::json!([]));
}
