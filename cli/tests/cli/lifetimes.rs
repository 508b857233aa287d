//! Lifetimes of rows: what `put` says, and how they are exported and loaded.

use super::Place;
use serde_json::Value;

fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns a place with two keyspaces more, whose rows expire as their put says.
fn place() -> Place {
    let place = Place::new();
    for (keyspace, kind) in [("eh", "--hash"), ("er", "--range")] {
        place.run(&["keyspace", "create", keyspace, kind, "--ttl", "by-put"]).success();
    }
    place
}

#[test]
fn a_put_says_how_long_its_row_lives() {
    let place = place();
    place.run(&["put", "er", "a", "1", "--ttl", "1d", "--synced"]).success();
    place
        .run(&["put", "er", "b", "2", "--until", "2100-01-02T03:04:05.006Z", "--synced"])
        .success();
    place.run(&["put", "er", "c", "3", "--until", "1999-01-01T00:00:00Z"]).success();
    place.run(&["put", "er", "d", "4", "--synced"]).success();
    assert_eq!(place.text(&["scan", "er"]), "a\t1\nb\t2\nd\t4\n");
    let rows = objects(&place.text(&["export", "er", "--json"]));
    let until: Vec<_> = rows.iter().map(|row| row.get("until").and_then(Value::as_str)).collect();
    assert!(until[0].is_some());
    assert_eq!(until[1..], [Some("2100-01-02T03:04:05.006Z"), None]);
    // So do the changes.
    let text = place.text(&["changes", "--keyspace", "er", "--prefix", "b"]);
    assert!(text.ends_with("\tput\tb\t2\tuntil 2100-01-02T03:04:05.006Z\n"), "{text}");
    let changes = objects(&place.text(&["changes", "--keyspace", "er", "--json"]));
    assert_eq!(changes[1]["changes"][0]["until"], "2100-01-02T03:04:05.006Z");
    assert_eq!(changes[3]["changes"][0].get("until"), None);
    for wrong in [
        &["put", "er", "e", "5", "--ttl", "soon"][..],
        &["put", "er", "e", "5", "--until", "soon"],
        &["put", "er", "e", "5", "--ttl", "1d", "--until", "2100-01-01T00:00:00Z"],
        &["put", "er", "e", "5", "--ttl", "1d", "--if-absent"],
    ] {
        place.run(wrong).code(2);
    }
    let words = &["`h`", "do not expire"];
    place.fails(&["put", "h", "e", "5", "--ttl", "1d"], 2, "invalid_argument", words);
}

#[test]
fn lifetimes_are_kept_in_a_column() {
    let place = place();
    let gone = "cy,1999-01-01T00:00:00.000Z,d\n";
    let rest = "key,until,user\nada,2100-01-02T03:04:05.006Z,\"a, b\"\nbob,,c\n";
    place.write("in.csv", format!("{rest}{gone}"));
    for keyspace in ["eh", "er"] {
        let load = ["load", keyspace, "--from", "in.csv", "--until-column", "until"];
        assert_eq!(place.json(&load)["rows"], 3);
        assert_eq!(place.text(&["get", keyspace, "ada", "--raw"]), "\"a, b\"");
        place.run(&["get", keyspace, "cy"]).code(1);
        let export = ["export", keyspace, "--like", "in.csv", "--until-column", "2"];
        assert_eq!(place.text(&export), rest);
        let (header, format) = (["--header", "key,user,until"], ["--format", "csv"]);
        let arguments = [&["export", keyspace, "--until-column", "until"][..], &header, &format];
        let last = "key,user,until\nada,\"a, b\",2100-01-02T03:04:05.006Z\nbob,c,\n";
        assert_eq!(place.text(&arguments.concat()), last);
        // And back, to the other keyspace.
        place.write("last.csv", last);
        let back = ["load", "er", "--from", "last.csv", "--until-column", "3"];
        assert_eq!(place.json(&back)["rows"], 2);
        assert_eq!(place.text(&["export", "er", "--like", "in.csv", "--until-column", "2"]), rest);
    }
    // A key and a time, and nothing else.
    place.write("two.tsv", "key\tuntil\nk\t2100-01-01T00:00:00.000Z\n");
    place.run(&["load", "eh", "--from", "two.tsv", "--until-column", "until"]).success();
    assert_eq!(place.text(&["get", "eh", "k", "--raw"]), "");
    let export = ["export", "eh", "--like", "two.tsv", "--until-column", "until", "--prefix", "k"];
    assert_eq!(place.text(&export), "key\tuntil\nk\t2100-01-01T00:00:00.000Z\n");
}

#[test]
fn what_is_no_time_is_reported_and_the_rest_is_loaded() {
    let place = place();
    place.write("bad.tsv", "key\tuntil\tv\na\tsoon\t1\nb\t2100-01-01T00:00:00Z\t2\nc\t7\t3\n");
    let load = ["load", "er", "--from", "bad.tsv", "--until-column", "until"];
    let output = place.command(&load).assert().code(1);
    let told = String::from_utf8(output.get_output().stderr.clone()).unwrap();
    assert!(told.contains("bad.tsv:2: `soon` is no time such as"), "{told}");
    assert!(told.contains("bad.tsv:4: `7` is no time such as"), "{told}");
    assert_eq!(place.text(&["scan", "er"]), "b\t2\n");
    // Later than a date can say: more than 8,000 years.
    place.run(&["put", "er", "far", "4", "--ttl", "3000000d"]).success();
    let export = ["export", "er", "--like", "bad.tsv", "--until-column", "until"];
    let output = place.command(&export).assert().code(1);
    let output = output.get_output();
    assert_eq!(output.stdout, b"key\tuntil\tv\nb\t2100-01-01T00:00:00.000Z\t2\n");
    let told = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(told.contains("`far` is left out: it expires later"), "{told}");
    for (arguments, word) in [
        (&["load", "h", "--from", "bad.tsv", "--until-column", "until"][..], "do not expire"),
        (&["export", "h", "--like", "bad.tsv", "--until-column", "until"], "do not expire"),
        (&["load", "er", "--from", "bad.tsv", "--until-column", "key"], "that column is the key"),
        (&["load", "er", "--from", "bad.tsv", "--until-column", "end"], "no column `end`"),
    ] {
        place.fails(arguments, 2, "invalid_argument", &[word]);
    }
    place.run(&["export", "er", "--until-column", "2"]).code(2);
}
