//! Stores that cannot be opened, arguments that make no sense: exit codes and messages.

use super::{Place, files_below};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn what_is_not_there_is_not_found() {
    let place = Place::empty();
    place.fails(&["stats"], 3, "not_found", &["there is no store in", "store"]);
    place.fails(&["init", "-s", "no/such/store"], 3, "not_found", &["no/such"]);
    place.fails(&["stats", "-s", "no/such/store"], 3, "not_found", &["no/such/store"]);
    let place = Place::new();
    place.fails(&["get", "nobody", "k"], 3, "not_found", &["`nobody`"]);
    place.fails(&["keyspace", "drop", "nobody"], 3, "not_found", &["`nobody`"]);
    place.fails(&["load", "h", "--from", "nothing.tsv"], 3, "not_found", &["nothing.tsv"]);
    place.write("file", "in the way");
    place.fails(&["init", "-s", "file/store"], 6, "io", &["file", "Not a directory"]);
}

#[test]
fn wrong_usage_is_told() {
    let place = Place::new();
    let long = "k".repeat(65_537);
    place.fails(&["put", "h", &long, "v"], 2, "invalid_argument", &["65537 bytes"]);
    place.fails(&["get", "h"], 2, "invalid_argument", &["Usage"]);
    place.fails(&["stats", "--cache-mib", "0"], 2, "invalid_argument", &["cache_bytes"]);
    place.fails(&["keyspace", "create", "", "--hash"], 2, "invalid_argument", &["name"]);
    place.write("file.tsv", "key\tvalue\n");
    let load = |column| ["load", "h", "--from", "file.tsv", "--key-column", column];
    place.fails(&load("3"), 2, "invalid_argument", &["no column 3"]);
    place.fails(&load("nobody"), 2, "invalid_argument", &["`nobody`", "`key`, `value`"]);
}

/// A second process learns who has the store open; the first one continues undisturbed.
#[test]
fn a_store_that_is_open_elsewhere_is_in_use() {
    let place = Place::new();
    let mut holder = Command::new(env!("CARGO_BIN_EXE_annulus"))
        .args(["load", "h", "--from", "-", "--no-header", "-s"])
        .arg(place.store())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = holder.stdin.take().unwrap();
    // It opens the store before it reads, so it holds it once a pipe's worth has gone.
    input.write_all("word\n".repeat(30_000).as_bytes()).unwrap();
    place.fails(&["stats"], 4, "in_use", &[&format!("process {}", holder.id())]);
    place.fails(&["init"], 4, "in_use", &["close it there first"]);
    drop(input);
    let mut said = String::new();
    holder.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(holder.wait().unwrap().success());
    assert!(said.contains("loaded 30,000 rows"), "{said}");
    assert_eq!(place.text(&["scan", "h"]), "word\t\n");
}

#[test]
fn damage_is_told_from_everything_else() {
    let place = Place::new();
    let identity = place.store().join("STORE");
    let good = std::fs::read(&identity).unwrap();
    let mut bad = good.clone();
    bad[20] ^= 1;
    std::fs::write(&identity, bad).unwrap();
    place.fails(&["stats"], 5, "damaged", &["STORE", "restore it from a copy"]);
    let later = String::from_utf8(good.clone()).unwrap().replace("annulus 2\n", "annulus 9\n");
    std::fs::write(&identity, later).unwrap();
    place.fails(&["stats"], 5, "incompatible", &["format 9"]);
    std::fs::write(&identity, good).unwrap();
    place.run(&["verify"]).success();
}

#[test]
fn damaged_metadata_is_told() {
    for kind in ["MANIFEST", ".sst"] {
        let place = Place::new();
        let files = files_below(&place.store().join("metadata"));
        let chosen: Vec<_> =
            files.iter().filter(|file| file.to_string_lossy().contains(kind)).collect();
        assert!(!chosen.is_empty(), "{files:?}");
        for file in chosen {
            let mut bytes = std::fs::read(file).unwrap();
            bytes.iter_mut().skip(12).step_by(3).for_each(|byte| *byte ^= 0x55);
            std::fs::write(file, bytes).unwrap();
        }
        place.fails(
            &["stats"],
            5,
            "damaged",
            &["metadata", "restore it from a copy", "Corruption"],
        );
    }
}

#[test]
fn shard_directories_must_be_there_and_the_right_ones() {
    let place = Place::new();
    place.run(&["put", "h", "k", "v"]).success();
    let shards = place.store().join("shards");
    let [zero, one, away] = ["0", "1", "away"].map(|name| shards.join(name));
    let rename = |from: &Path, to: &Path| std::fs::rename(from, to).unwrap();

    rename(&one, &away);
    place.fails(&["stats"], 3, "not_found", &["shards/1", "shard 1 is missing"]);

    rename(&zero, &one);
    rename(&away, &zero);
    place.fails(&["stats"], 5, "damaged", &["put them back in place"]);
    rename(&zero, &away);
    rename(&one, &zero);

    let other = Place::new();
    rename(&other.store().join("shards/1"), &one);
    place.fails(&["stats"], 5, "damaged", &["shards/1", "another store"]);
    std::fs::remove_dir_all(&one).unwrap();

    rename(&away, &one);
    assert_eq!(place.text(&["get", "h", "k"]), "v\n");
    place.run(&["verify"]).success();
}

/// A reader that stops early, like `head`, ends the command silently.
#[test]
fn a_closed_pipe_is_no_error() {
    let place = Place::new();
    let rows: String = (0..50_000).map(|n| format!("{n}\tsome value\n")).collect();
    place.fill("h", &rows);
    for arguments in [&["scan", "h"][..], &["scan", "h", "--json"], &["export", "h"]] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_annulus"))
            .args(arguments)
            .env("ANNULUS_STORE", place.store())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::with_capacity(64, child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert!(first.contains("some value"), "{first}");
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    }
}

/// A directory's name used to clear the screen, and a key to reverse the text after it: what people
/// see has neither escape sequences nor marks of direction, in results, notes and errors.
#[test]
fn nothing_printed_acts_on_the_terminal() {
    let place = Place::empty();
    let bad = "a\u{1b}[2J\u{202e}b\u{9b}c";
    place.run(&["init", "--shards", "1", "--store", bad]).success();
    let at = ["--store", bad];
    let hash = ["keyspace", "create", "h", "--hash"];
    place.run(&[&hash[..], &at].concat()).success();
    place.run(&[&["put", "h", bad, bad][..], &at].concat()).success();
    let commands: [&[&str]; 12] = [
        &["get", "h", bad],
        &["get", "h", "\u{1b}[31m\u{2066}missing"],
        &["scan", "h"],
        &["scan", bad],
        &["stats"],
        &["shard", "list"],
        &["map"],
        &["verify"],
        &["load", "h", "--from", bad],
        &["init"],
        &["hot", bad],
        &[bad],
    ];
    for command in commands {
        let output = place.command(&[command, &at].concat()).output().unwrap();
        for printed in [output.stdout, output.stderr] {
            let text = String::from_utf8(printed).unwrap();
            let acts = |c: char| {
                (c.is_control() && c != '\n' && c != '\t') || "\u{202e}\u{2066}".contains(c)
            };
            assert!(!text.contains(acts), "{command:?}: {}", text.escape_debug());
        }
    }
}

/// A name with a line feed used to make two messages of one, the second with text of the name's
/// choice. A mark of direction in a name made JSON that cannot be parsed.
#[test]
fn a_message_stays_one_line_whatever_it_quotes() {
    let bad = "a\nfake: b\u{85}\u{2028}c\u{1b}[2J\u{202e}\u{9b}d";
    let place = Place::empty();
    place.run(&["init", "--shards", "1", "--store", bad]).success();
    place.run(&["keyspace", "create", "h", "--hash", "--store", bad]).success();
    place.write("none.tsv", bad.replace('\n', "") + "\n");
    std::fs::write(place.path(&(bad.to_owned() + ".tsv")), "k\tv\none\n").unwrap();
    std::fs::write(place.path(bad).join("HEAT"), "").unwrap();
    let rows = bad.to_owned() + ".tsv";
    let flag = format!("--{bad}");
    let assigned = format!("--limit={bad}");
    let commands: [&[&str]; 22] = [
        &["get", "h", bad],
        &["get", bad, "k"],
        &["keyspace", "drop", bad],
        &["load", "h", "--from", bad],
        &["load", "h", "--from", "nothing", "--format", bad],
        &["load", "h", "--from", "none.tsv", "--key-column", bad],
        &["load", "h", "--from", "none.tsv", "--key-column", "missing"],
        &["load", "h", "--from", &rows],
        &["export", "h", "--like", bad],
        &["export", "h", "--key-column", "1", "-o", &format!("missing/{bad}")],
        &["export", "h", "--key-column", "1", "-o", &rows],
        &["put", "h", bad, "v", "--hex"],
        &["scan", "h", &assigned],
        &["scan", "h", &flag],
        &["partition", "split", "0", "--at-token", bad],
        &["shard", "add", bad],
        &["init"],
        &["stats"],
        &["hot", bad],
        &["explain"],
        &["replay", "--trace", bad],
        &[bad],
    ];
    for command in commands {
        let command = [command, &["--store", bad]].concat();
        let run = |json: &[&str]| place.command(&[&command[..], json].concat()).output().unwrap();
        let (text, json) = (run(&[]), run(&["--json"]));
        for printed in [text.stdout, text.stderr, json.stdout.clone(), json.stderr.clone()] {
            let text = String::from_utf8(printed).unwrap();
            let acts = |c: char| {
                (c.is_control() && c != '\n' && c != '\t') || "\u{2028}\u{202e}".contains(c)
            };
            assert!(!text.contains(acts), "{command:?}: {}", text.escape_debug());
            assert!(!text.contains("\nfake"), "{command:?}: {text}");
        }
        for printed in [json.stdout, json.stderr].iter().filter(|printed| !printed.is_empty()) {
            let parsed = serde_json::from_slice::<serde_json::Value>(printed);
            assert!(parsed.is_ok(), "{command:?}: {}", printed.escape_ascii());
        }
    }
    // No message quotes the name that the program was called by.
    let mut renamed = Command::new(env!("CARGO_BIN_EXE_annulus"));
    let output = std::os::unix::process::CommandExt::arg0(&mut renamed, bad).arg("get").output();
    let text = String::from_utf8(output.unwrap().stderr).unwrap();
    assert!(text.contains("Usage: annulus get") && !text.contains("fake"), "{text}");
    // What is escaped in JSON is still the same text.
    let made = place.json(&["init", "--store", "new\u{202e}\u{9b}"]);
    assert!(made["store"].as_str().unwrap().ends_with("/new\u{202e}\u{9b}"), "{made}");
}

/// A past bug: printing an error panicked where the standard error was closed.
#[cfg(target_os = "linux")]
#[test]
fn the_exit_code_stays_when_an_error_cannot_be_printed() {
    let place = Place::new();
    for (command, code) in
        [("get h missing", 1), ("get nowhere key", 3), ("--wrong", 2), ("get h", 2)]
    {
        let annulus = env!("CARGO_BIN_EXE_annulus");
        let script = format!("'{annulus}' {command} 2> /dev/full > /dev/full");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).env("ANNULUS_STORE", place.store());
        assert_eq!(shell.status().unwrap().code(), Some(code), "{command}");
    }
}
