//! What is done when a shard is lost: it is given up, and what can be read is saved.

use crate::Place;

fn lose_a_shard(place: &Place) {
    let rows: String = (0..300).map(|n| format!("key-{n:03}\tvalue\n")).collect();
    place.fill("h", &rows);
    std::fs::remove_dir_all(place.store().join("shards/1")).unwrap();
}

#[test]
fn a_shard_is_given_up_when_its_number_is_typed() {
    let place = Place::new();
    place.fails(&["shard", "forget", "1", "--yes"], 2, "invalid_argument", &["shard remove"]);
    lose_a_shard(&place);
    place.fails(&["shard", "forget", "7", "--yes"], 3, "not_found", &["no shard 7"]);
    for typed in ["", "2\n", "yes\n", "1 1\n"] {
        let mut command = place.command(&["shard", "forget", "1"]);
        let done = command.write_stdin(typed).output().unwrap();
        let text = String::from_utf8(done.stdout).unwrap();
        assert_eq!(done.status.code(), Some(10), "{typed:?}: {text}");
        assert!(text.contains("type its number, 1") && text.contains('h'), "{text}");
    }
    place.fails(&["stats"], 3, "not_found", &["shard 1 is missing"]);
    place.run(&["shard", "forget", "1", "--json"]).code(2);

    let mut command = place.command(&["shard", "forget", "1"]);
    let done = command.write_stdin("1\n").output().unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    assert_eq!(done.status.code(), Some(0), "{text}");
    assert!(text.contains("shard 1 in ") && text.contains("was given up"), "{text}");
    let left = place.text(&["scan", "h"]).lines().count();
    assert!(left > 150 && left < 290, "{left}");
    assert!(place.text(&["verify"]).contains("no problems"));
    place.run(&["put", "h", "new", "row"]).success();
    place.fails(&["shard", "forget", "1", "--yes"], 3, "not_found", &["no shard 1"]);
}

#[test]
fn with_yes_it_is_given_up_at_once() {
    let place = Place::new();
    lose_a_shard(&place);
    let object = place.json(&["shard", "forget", "1", "--yes"]);
    assert_eq!(object["forgotten"]["shard"], 1, "{object}");
    assert!(!object["forgotten"]["partitions"].as_array().unwrap().is_empty(), "{object}");
    assert!(place.text(&["verify"]).contains("no problems"));
}

#[test]
fn what_can_be_read_is_copied_to_a_new_store() {
    let place = Place::new();
    let rows: String = (0..300).map(|n| format!("key-{n:03}\tvalue\n")).collect();
    place.fill("h", &rows);
    place.fill("r", &rows);
    let ttl = ["keyspace", "create", "short", "--hash", "--ttl", "12h"];
    place.run(&ttl).success();
    place.run(&["put", "short", "a", "b"]).success();
    let saved = |name: &str| place.path(name).to_str().unwrap().to_owned();
    let whole = saved("whole");
    let text = place.text(&["verify", "--salvage", &whole]);
    assert!(text.contains("copied to"), "{text}");
    for keyspace in ["h", "r", "short"] {
        let [copy, original] = [Some(whole.as_str()), None].map(|store| {
            let store = store.map(|store| ["-s", store]);
            let arguments = ["scan", keyspace, "--json"];
            place.text(&[&arguments[..], store.as_ref().map_or(&[][..], |it| &it[..])].concat())
        });
        assert_eq!(copy, original, "{keyspace}");
    }
    // It must be a new one.
    place.fails(&["verify", "--salvage", &whole], 7, "already_exists", &["whole"]);

    std::fs::remove_dir_all(place.store().join("shards/1")).unwrap();
    let part = saved("part");
    let done = place.command(&["verify", "--salvage", &part]).output().unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    assert_eq!(done.status.code(), Some(5), "{text}");
    assert!(text.contains("not copied of h: partition"), "{text}");
    let copied = place.text(&["scan", "h", "-s", &part]);
    let left = place.command(&["export", "h", "--allow-missing-shards"]).output().unwrap().stdout;
    assert_eq!(copied.lines().count(), String::from_utf8(left).unwrap().lines().count());
    assert!(place.text(&["verify", "-s", &part]).contains("no problems"));
}
