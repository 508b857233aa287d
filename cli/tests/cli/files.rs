//! Loading files and exporting them.

use super::{Place, lines};
use serde_json::Value;

/// Returns some thousand rows, sorted by the first column, with whatever bytes TSV can hold.
fn tsv() -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(3);
    let mut file = b"key\tvalue\tmore\n".to_vec();
    for n in 0..4_000 {
        file.extend_from_slice(format!("key-{n:05}\t").as_bytes());
        let bytes = (0..random.usize(..30)).map(|_| random.u8(..));
        file.extend(bytes.filter(|byte| !b"\t\n".contains(byte)));
        file.extend_from_slice(if n % 7 == 0 { b"\t\n" } else { b"\t\"m,o\\re'\r\n" });
    }
    file
}

#[test]
fn a_sorted_tsv_file_comes_out_as_it_went_in() {
    let place = Place::new();
    let file = tsv();
    place.write("in.tsv", &file);
    place
        .run(&["keyspace", "create", "s", "--range", "--split-like", "in.tsv", "--parts", "5"])
        .success();
    for keyspace in ["h", "r", "s"] {
        let loaded = place.json(&["load", keyspace, "--from", "in.tsv"]);
        assert_eq!(loaded["rows"], 4000);
        assert_eq!(loaded["malformed"], 0);
        assert_eq!(loaded["header"], "key\tvalue\tmore");
        assert!(place.bytes(&["export", keyspace, "--like", "in.tsv"]) == file);
        // Again, and a part of it again: nothing changes.
        place.run(&["load", keyspace, "--from", "in.tsv"]).success();
        let part = place.json(&["load", keyspace, "--from", "in.tsv", "--from-line", "3001"]);
        assert_eq!(part["rows"], 1001);
        let header = "key\\tvalue\\tmore";
        let exported = place.json(&["export", keyspace, "--header", header, "-o", "out.tsv"]);
        assert_eq!(exported["rows"], 4000);
        assert!(place.read("out.tsv") == file);
    }
    let verified = place.json(&["verify"]);
    for keyspace in verified["keyspaces"].as_array().unwrap() {
        assert_eq!(keyspace["keys"], 4000);
    }
    let partitions = &verified["keyspaces"][2]["partitions"];
    assert_eq!(partitions, 5);
    let by_shard = verified["keyspaces"][2]["keys_by_shard"].as_array().unwrap();
    assert!(by_shard.iter().all(|shard| shard[1].as_u64().unwrap() >= 800), "{by_shard:?}");
}

#[test]
fn csv_keeps_quotes_line_ends_and_columns() {
    let place = Place::new();
    let file = "name,key,note\r\n\
                \"a, b\",1,\"he said \"\"no\"\"\"\r\n\
                ,2,\"two\r\nlines\"\r\n\
                \"needless\",\"3,\"\"x\"\"\",z\r\n";
    place.write("in.csv", file);
    for keyspace in ["h", "r"] {
        place.run(&["load", keyspace, "--from", "in.csv", "--key-column", "key"]).success();
        assert_eq!(place.text(&["get", keyspace, "1", "--raw"]), "\"a, b\",\"he said \"\"no\"\"\"");
        assert_eq!(place.text(&["get", keyspace, "3,\"x\"", "--raw"]), "\"needless\",z");
        let export = ["export", keyspace, "--like", "in.csv", "--key-column", "key"];
        assert_eq!(place.text(&export), file);
    }
}

#[test]
fn the_standard_input_and_files_without_header_can_be_loaded() {
    let place = Place::new();
    let words = "ant\nbee\ncat\n";
    let load = ["load", "h", "--from", "-", "--no-header"];
    place.command(&load).write_stdin(words).assert().success();
    place.write("words", words);
    assert_eq!(place.text(&["export", "h", "--like", "words", "--no-header"]), words);
    place.command(&load).write_stdin("").assert().success();
    // Without a line feed at its end.
    place.command(&load).write_stdin("dog\neel").assert().success();
    assert_eq!(
        lines(&place.text(&["scan", "h", "--keys-only"])),
        ["ant", "bee", "cat", "dog", "eel"]
    );
    let rows = place.text(&["export", "h", "--json", "--prefix", "d"]);
    assert_eq!(rows, "{\"key\":\"dog\",\"value\":\"\"}\n");
}

#[test]
fn malformed_lines_are_reported_and_the_rest_is_loaded() {
    let place = Place::new();
    let long = "k".repeat(70_000);
    let file = format!("key\tvalue\na\t1\nalone\nb\t2\n\tno key\n\nc\t3\tmore\n{long}\t4\nd\t5\n");
    place.write("bad.tsv", file);
    let output = place.command(&["load", "h", "--from", "bad.tsv"]).assert().code(1);
    let told = String::from_utf8(output.get_output().stderr.clone()).unwrap();
    for expected in [
        "bad.tsv:3: 1 columns instead of 2",
        "bad.tsv:5: the key is empty",
        "bad.tsv:6: the line is empty",
        "bad.tsv:7: 3 columns instead of 2",
        "bad.tsv:8: the key has 70000 bytes, the most is 65536",
        "5 malformed lines were left out",
    ] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    assert_eq!(place.text(&["scan", "h"]), "a\t1\nb\t2\nd\t5\n");
    let report = place.json(&["load", "h", "--from", "bad.tsv"]);
    assert_eq!((&report["rows"], &report["malformed"]), (&3.into(), &5.into()));
    let numbers: Vec<&Value> =
        report["problems"].as_array().unwrap().iter().map(|problem| &problem["line"]).collect();
    assert_eq!(numbers, [3, 5, 6, 7, 8]);
}

/// Spreadsheets begin files with a byte order mark; it is kept, but it is not part of a name.
#[test]
fn a_byte_order_mark_does_not_hide_a_column() {
    let place = Place::new();
    let file = "\u{feff}\"id\",name\r\n1,one\r\n";
    place.write("bom.csv", file);
    place.run(&["load", "h", "--from", "bom.csv", "--key-column", "id"]).success();
    assert_eq!(place.text(&["export", "h", "--like", "bom.csv"]), file);
}

/// A quote that is never closed costs its own line, not the rest of the file.
#[test]
fn malformed_csv_loses_its_own_line_only() {
    let place = Place::new();
    let mut file = "key,value\n1,\"one\n2,two\n3,th\"ree\n4,\"fo\"ur\n".to_owned();
    for n in 5..3000 {
        file += &format!("{n},plain\n");
    }
    file += "z,\"never\n";
    place.write("bad.csv", file);
    let report = place.json(&["load", "r", "--from", "bad.csv"]);
    assert_eq!(report["rows"], 2996);
    let numbers: Vec<&Value> =
        report["problems"].as_array().unwrap().iter().map(|problem| &problem["line"]).collect();
    assert_eq!(numbers, [2, 4, 5, 3001]);
    assert_eq!(place.text(&["get", "r", "2"]), "two\n");
}

#[test]
fn many_malformed_lines_are_counted_but_not_all_printed() {
    let place = Place::new();
    place.write("bad.tsv", format!("key\tvalue\n{}", "x\n".repeat(1000)));
    let output = place.command(&["load", "h", "--from", "bad.tsv"]).assert().code(1);
    let told = String::from_utf8(output.get_output().stderr.clone()).unwrap();
    assert!(told.contains("1,000 malformed lines were left out; 980 of them"), "{told}");
    assert!(lines(&told).len() < 30, "{told}");
}

#[test]
fn rows_that_a_format_cannot_hold_are_left_out_of_an_export() {
    let place = Place::new();
    place.run(&["put", "h", "a\tb", "1"]).success();
    place.run(&["put", "h", "c", "1\n2"]).success();
    place.run(&["put", "h", "d", "1"]).success();
    let output = place.command(&["export", "h"]).assert().code(1).stdout("d\t1\n");
    let told = String::from_utf8(output.get_output().stderr.clone()).unwrap();
    assert!(told.contains("`a\\tb`") && told.contains("`c`"), "{told}");
    place.run(&["put", "h", "d", "say \"hi\""]).success();
    let output = place.command(&["export", "h", "--format", "csv"]).assert().code(1);
    let told = String::from_utf8(output.get_output().stderr.clone()).unwrap();
    assert!(told.contains("`d` is left out: its value is not CSV"), "{told}");
}

/// A past bug: `--json` panicked where a path is no text. Such a path is a list of its bytes.
#[test]
fn paths_that_are_no_text_are_printed() {
    use std::os::unix::ffi::OsStrExt as _;
    let place = Place::empty();
    let name = std::ffi::OsStr::from_bytes(b"no \xff text");
    let run = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        command.env("ANNULUS_STORE", place.directory.path().join(name));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        output.stdout
    };
    let made: Value = serde_json::from_slice(&run(&["init", "--shards", "2", "--json"])).unwrap();
    assert!(made["store"].as_array().unwrap().contains(&0xff.into()), "{made}");
    run(&["keyspace", "create", "h", "--hash"]);
    for command in ["stats", "map", "verify"] {
        run(&[command]);
        serde_json::from_slice::<Value>(&run(&[command, "--json"])).unwrap();
    }
}
