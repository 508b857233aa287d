//! `log` and `recover`: what the log of a store shows, and copies that are brought to a moment.

use super::{Place, files_below};
use annulus::topology::KeyspaceSpec;
use annulus::{Batch, Keyspace, Options, Store};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// With small segments, all of which are kept.
fn options() -> Options {
    Options::new().write_buffer_bytes(4 << 20).log_keep_bytes(1 << 30)
}

fn open(path: &Path, options: Options) -> Store {
    Store::builder(path).shards(2).options(options).open().unwrap()
}

fn create(path: &Path, options: Options) -> (Store, Keyspace, Keyspace) {
    let store = open(path, options);
    let hash = store.create_keyspace("h", KeyspaceSpec::hash()).unwrap();
    let range = store.create_keyspace("r", KeyspaceSpec::range().split_at(["m"])).unwrap();
    (store, hash, range)
}

/// Returns the objects that a command prints, a line each.
fn objects(place: &Place, arguments: &[&str]) -> Vec<Value> {
    let text = place.text(&[arguments, &["--json"]].concat());
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn copy(from: &Path, to: &Path) {
    for file in files_below(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(&file, target).unwrap();
    }
}

#[test]
fn the_overview_shows_files_and_positions_and_changes_nothing() {
    let place = Place::empty();
    let (store, hash, _) = create(&place.store(), options());
    (0..30).for_each(|n| hash.put(format!("{n}"), vec![b'v'; 100_000]).unwrap());
    let log = place.json(&["log"]);
    assert_eq!((&log["records"], &log["begin"]), (&30.into(), &0.into()), "{log}");
    assert!(log["end"].as_u64().unwrap() > 3_000_000, "{log}");
    assert!(log["first_at"].as_str() <= log["last_at"].as_str() && log["damage"].is_null());
    let segments = log["segments"].as_array().unwrap();
    assert!(segments.iter().filter(|it| it["records"] != 0).count() >= 3, "{log}");
    let shown = place.text(&["log"]);
    assert!(shown.contains("positions 0 to ") && shown.contains("needed"), "{shown}");
    assert!(shown.contains("; 30 records, from "), "{shown}");

    store.close().unwrap();
    drop((store, hash));
    let read = |file| (std::fs::read(&file).unwrap(), file);
    let before: Vec<_> = files_below(&place.store()).into_iter().map(read).collect();
    let log = place.json(&["log"]);
    assert!(log["first"].as_u64().unwrap() > 3_000_000, "{log}");
    assert_eq!(log["records"], 30, "released, and kept");
    assert!(place.text(&["log"]).contains("released"));
    place.text(&["log", "--records"]);
    assert_eq!(place.json(&["log", "--check"])["records"], 30);
    assert!(place.text(&["log", "--check"]).contains("no damage in 30 records"));
    let after: Vec<_> = files_below(&place.store()).into_iter().map(read).collect();
    assert!(before == after, "something was written");

    place.fails(&["log", "-s", "nowhere"], 3, "not_found", &["nowhere"]);
    place.fails(&["log", "-s", "."], 3, "not_found", &["no segments"]);
    place.fails(&["log", "--limit", "3"], 2, "invalid_argument", &["--records"]);
}

#[test]
fn records_are_printed_by_keyspace_and_position() {
    let place = Place::empty();
    let (store, hash, range) = create(&place.store(), options());
    hash.put("a\tb", "value").unwrap();
    let mut batch = Batch::new();
    batch.put(&hash, "k", vec![0xff; 7]);
    batch.delete(&range, "old");
    store.write(batch).unwrap();
    range.delete_range("a".."b").unwrap();
    let text = place.text(&["log", "--records"]);
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert_eq!(lines[0][2..], ["h", "put", r"a\tb", "5 B"]);
    assert_eq!(lines[1][2..], ["h", "put", "k", "7 B"]);
    assert_eq!(lines[2][2..], ["r", "delete", "old"]);
    assert_eq!(lines[3][2..], ["r", "delete-range", "a..b"]);
    assert_eq!(lines[1][..2], lines[2][..2], "one record");

    let position = lines[1][0];
    let from = place.text(&["log", "--records", "--from", position, "--limit", "1"]);
    assert_eq!(from.lines().count(), 2, "{from}");
    let of_range = place.text(&["log", "--records", "--keyspace", "r"]);
    assert_eq!(of_range.lines().count(), 2, "{of_range}");
    let values = place.text(&["log", "--records", "--values", "--limit", "1"]);
    assert!(values.ends_with("\t5 B\tvalue\n"), "{values}");
    let json = objects(&place, &["log", "--records", "--values"]);
    assert_eq!(json.len(), 3);
    assert_eq!(json[1]["position"].to_string(), position);
    let [put, delete] = [0, 1].map(|n| &json[1]["operations"][n]);
    assert_eq!((&put["kind"], &put["keyspace"]), (&"put".into(), &"h".into()));
    assert_eq!((&put["value_hex"], &put["value_bytes"]), (&"ffffffffffffff".into(), &7.into()));
    assert_eq!((&delete["kind"], &delete["key"]), (&"delete".into(), &"old".into()));
    assert_eq!(json[2]["operations"][0]["to"], "b");
    place.fails(&["log", "--records", "--keyspace", "x"], 3, "not_found", &["`x`"]);
}

#[test]
fn damage_ends_with_its_file_and_offset() {
    let place = Place::empty();
    let (store, hash, range) = create(&place.store(), options());
    (0..100).for_each(|n| hash.put(format!("{n}"), format!("value {n} ")).unwrap());
    store.sync().unwrap();
    hash.put("last", "").unwrap();
    store.sync().unwrap();
    drop((store, hash, range));
    assert_eq!(place.json(&["log", "--check"])["records"], 101);
    let log = place.json(&["log"])["segments"][0]["file"].as_str().unwrap().to_owned();
    let mut content = std::fs::read(&log).unwrap();
    let middle = content.windows(9).position(|window| window == b"value 50 ").unwrap();
    content[middle] ^= 0x55;
    std::fs::write(&log, content).unwrap();
    for command in [&["log"][..], &["log", "--check"], &["log", "--records"]] {
        place.fails(command, 5, "damaged", &[&log, "is damaged at offset"]);
    }
    let shown = place.command(&["log", "--records"]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert_eq!(shown.lines().count(), 50, "what is before it is shown");
}

#[test]
fn records_are_followed_while_another_process_writes() {
    let place = Place::empty();
    let (store, hash, range) = create(&place.store(), options());
    hash.put("before", "").unwrap();
    let mut follower = Command::new(env!("CARGO_BIN_EXE_annulus"))
        .args(["log", "--follow", "--json", "--from", "0", "--limit", "42", "-s"])
        .arg(place.store())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(next()["operations"][0]["key"], "before");
    for n in 0..40 {
        // Over several segments; each record is there before the next is written.
        hash.put(format!("{n}"), vec![0; 200_000]).unwrap();
        assert_eq!(next()["operations"][0]["key"], n.to_string());
    }
    let new = store.create_keyspace("new", KeyspaceSpec::hash()).unwrap();
    new.put("k", "v").unwrap();
    assert_eq!(next()["operations"][0]["keyspace"], "new");
    assert!(follower.wait().unwrap().success());
    drop((store, hash, range, new));
}

type Rows = BTreeMap<(bool, Vec<u8>), Vec<u8>>;

/// Makes a random write, of the store and of the model.
fn write(random: &mut fastrand::Rng, keyspaces: [&Keyspace; 2], store: &Store, rows: &mut Rows) {
    let which = random.bool();
    let keyspace = keyspaces[usize::from(which)];
    let mut key = || format!("{}", random.u8(b'a'..=b'z') as char).into_bytes();
    let (one, two) = (key(), key());
    let value = vec![random.u8(..); random.usize(0..150_000)];
    match random.u8(0..5) {
        0 => {
            keyspace.delete(&one).unwrap();
            rows.remove(&(which, one));
        }
        1 => {
            let mut batch = Batch::new();
            for (n, keyspace) in keyspaces.into_iter().enumerate() {
                batch.put(keyspace, &one, &value);
                batch.put(keyspace, &two, &value);
                rows.insert((n == 1, one.clone()), value.clone());
                rows.insert((n == 1, two.clone()), value.clone());
            }
            store.write(batch).unwrap();
        }
        2 if one < two => {
            keyspace.delete_range(&one[..]..&two[..]).unwrap();
            rows.retain(|(n, key), _| *n != which || *key < one || *key >= two);
        }
        _ => {
            keyspace.put(&one, &value).unwrap();
            rows.insert((which, one), value);
        }
    }
}

/// Compares rows, and names keys where they differ.
fn assert_same(found: &Rows, expected: &Rows, what: &str) {
    let differs = |key: &&(bool, Vec<u8>)| found.get(*key) != expected.get(*key);
    let keys: Vec<_> = found.keys().chain(expected.keys()).filter(differs).collect();
    let length = |rows: &Rows, key| rows.get(key).map(Vec::len);
    let shown = keys.iter().map(|key| {
        let name = String::from_utf8_lossy(&key.1);
        (key.0, name, length(found, key), length(expected, key))
    });
    assert!(keys.is_empty(), "{what}: {:?}", shown.collect::<Vec<_>>());
}

fn rows_of(path: &Path) -> Rows {
    let store = Store::builder(path).read_only(true).open().unwrap();
    assert!(store.verify().unwrap().is_sound());
    let mut rows = Rows::new();
    for (n, name) in ["h", "r"].into_iter().enumerate() {
        for row in store.keyspace(name).unwrap().scan(..).unwrap() {
            let (key, value) = row.unwrap();
            rows.insert((n == 1, key.to_vec()), value.to_vec());
        }
    }
    rows
}

#[test]
#[expect(clippy::too_many_lines, reason = "one history, with all that can be made of it")]
fn a_copy_is_brought_to_each_position_and_time() {
    let place = Place::empty();
    let mut random = fastrand::Rng::with_seed(11);
    let mut rows = Rows::new();
    let (store, hash, range) = create(&place.store(), options());
    (0..20).for_each(|_| write(&mut random, [&hash, &range], &store, &mut rows));
    store.close().unwrap();
    drop((store, hash, range));
    copy(&place.store(), &place.path("copy"));

    let store = open(&place.store(), options());
    let [hash, range] = ["h", "r"].map(|name| store.keyspace(name).unwrap());
    let mut states = vec![rows.clone()];
    for n in 0..60 {
        std::thread::sleep(Duration::from_millis(2));
        write(&mut random, [&hash, &range], &store, &mut rows);
        states.push(rows.clone());
        if n == 30 {
            // What is in files, and where partitions are, makes no difference.
            store.flush().unwrap();
            store.add_shard(annulus::ShardSpec::new("another")).unwrap().wait().unwrap();
        }
    }
    let records = objects(&place, &["log", "--records"]);
    let records = &records[records.len() - 60..];
    let recover_by = |log: &str, to: &str| {
        let target = place.path("recovered");
        let _ = std::fs::remove_dir_all(&target);
        copy(&place.path("copy"), &target);
        let recovered = place.json(&["recover", "-s", "recovered", "--log", log, "--to", to]);
        (recovered, rows_of(&target))
    };
    let recover = |to: &str| recover_by("store/log", to);
    for n in [0, 1, 7, 30, 31, 32, 40, 45, 50, 55, 59] {
        let (said, recovered) = recover(&records[n]["position"].to_string());
        assert_eq!(said["records"], n, "{said}");
        assert_same(&recovered, &states[n], &format!("position {n}"));
        let (said, recovered) = recover(records[n]["time"].as_str().unwrap());
        assert_eq!((&said["records"], &said["last_at"]), (&(n + 1).into(), &records[n]["time"]));
        assert_same(&recovered, &states[n + 1], &format!("time {n}"));
    }
    // While the store is open, and once it is closed.
    assert_same(&rows_of(&place.store()), &states[60], "the store itself");
    assert_same(&recover("end").1, &states[60], "the end");
    store.close().unwrap();
    drop((store, hash, range));
    assert_same(&recover("end").1, &states[60], "the end of a closed log");

    // Segments that were copied in time, none older than the one with which the copy ends.
    let of_copy = place.json(&["log", "-s", "copy"]);
    let with_records = |it: &&Value| it["first"] != it["end"];
    let last = of_copy["segments"].as_array().unwrap().iter().rfind(with_records).unwrap();
    std::fs::create_dir(place.path("archive")).unwrap();
    for file in files_below(&place.store().join("log")) {
        let name = file.file_name().unwrap().to_str().unwrap();
        if last["file"].as_str().unwrap().rsplit('/').next().unwrap() <= name {
            std::fs::copy(&file, place.path("archive").join(name)).unwrap();
        }
    }
    let archived = place.json(&["log", "-s", "archive"]);
    assert_eq!((&archived["begin"], &archived["damage"]), (&last["first"], &Value::Null));
    assert!(place.text(&["log", "-s", "archive", "--records"]).lines().count() >= 60);
    assert_same(&recover_by("archive", "end").1, &states[60], "the end of copied segments");

    // Killed between two files, if it is built so that it can be, and repeated.
    for place_of_death in ["log-recover", "log-recover@3", "opening-after-replay"] {
        let target = place.path("killed");
        let _ = std::fs::remove_dir_all(&target);
        copy(&place.path("copy"), &target);
        let arguments = ["recover", "-s", "killed", "--log", "archive", "--to", "end"];
        let mut killed = place.command(&arguments);
        let _ = killed.env("ANNULUS_FAILPOINT", place_of_death).output().unwrap();
        place.run(&arguments).success();
        assert_same(&rows_of(&target), &states[60], place_of_death);
    }

    let log = place.store().join("log");
    let again = ["recover", "-s", "recovered", "--log", log.to_str().unwrap(), "--to", "end"];
    assert!(place.text(&again).contains("nothing to apply"), "it can be repeated");
    place.run(&["put", "h", "k", "v", "-s", "recovered"]).success();
    place.fails(&again, 2, "invalid_argument", &["opened for writing", "position"]);
    assert!(place.json(&["verify", "-s", "recovered"])["sound"].as_bool().unwrap());
}

#[test]
fn what_cannot_be_recovered_is_refused() {
    let place = Place::empty();
    let (store, hash, range) = create(&place.store(), options());
    hash.put("k", "v").unwrap();
    store.close().unwrap();
    drop((store, hash, range));
    copy(&place.store(), &place.path("copy"));
    let listing = || {
        let read = |file| (std::fs::read(&file).unwrap(), file);
        // The lock names the process that had it last.
        let files = files_below(&place.path("copy")).into_iter();
        files.filter(|file| !file.ends_with("LOCK")).map(read).collect::<Vec<_>>()
    };
    let log = place.store().join("log").to_str().unwrap().to_owned();
    let recover = |log: &str, to: &str, code, kind: &str, words: &[&str]| {
        let arguments = ["recover", "-s", "copy", "--log", log, "--to", to];
        place.fails(&arguments, code, kind, words);
    };
    recover(&log, "0", 2, "invalid_argument", &["take an older copy"]);
    let before = listing();
    recover(&log, "2020-01-01T00:00:00Z", 2, "invalid_argument", &["take an older copy"]);
    recover(&log, "99999999", 2, "invalid_argument", &["ends at position", "99999999"]);
    recover(&log, "yesterday", 2, "invalid_argument", &["`yesterday`"]);
    recover("copy/log", "end", 2, "invalid_argument", &["log of the store itself"]);
    recover("copy/shards", "end", 3, "not_found", &["no segments"]);
    create(&place.path("other"), options()).0.close().unwrap();
    recover("other", "end", 2, "invalid_argument", &["another store"]);

    let store = open(&place.store(), options());
    let new = store.create_keyspace("new", KeyspaceSpec::hash()).unwrap();
    new.put("k", "v").unwrap();
    store.close().unwrap();
    drop((store, new));
    let records = objects(&place, &["log", "--records", "--keyspace", "new"]);
    let position = records[0]["position"].to_string();
    let id = records[0]["operations"][0]["keyspace_id"].to_string();
    let words = [&*format!("position {position} "), &*format!("keyspace {id},")];
    recover(&log, "end", 2, "invalid_argument", &words);

    // Nothing is kept: the segment in which the copy ends is gone.
    let store = open(&place.store(), options().log_keep_bytes(0));
    let hash = store.keyspace("h").unwrap();
    (0..60).for_each(|n| hash.put(format!("{n}"), vec![0; 100_000]).unwrap());
    store.close().unwrap();
    assert!(store.stats().unwrap().log_bytes < 5 << 20);
    drop((store, hash));
    let begin = place.json(&["log"])["begin"].to_string();
    recover(&log, "end", 3, "not_found", &[&format!("position {begin},"), "log_keep_bytes"]);
    assert!(listing() == before, "the copy is as it was");
    place.run(&["verify", "-s", "copy"]).success();
}

/// A log is placed and mirrored from the command line, and what has become of its copies is shown.
#[test]
fn the_log_is_placed_and_mirrored() {
    let place = Place::empty();
    let [log, mirror, other] = ["log", "mirror", "other"].map(|name| place.path(name));
    let [log, mirror, other] = [&log, &mirror, &other].map(|path| path.to_str().unwrap());
    place.text(&["init", "--shards", "2", "--log-directory", log, "--log-mirror", mirror]);
    place.text(&["keyspace", "create", "h", "--hash"]);
    place.text(&["put", "h", "key", "value"]);
    let stats = place.json(&["stats"]);
    let directories: Vec<_> = stats["log_copies"].as_array().unwrap().to_vec();
    let ends = |value: &Value, name: &str| value.as_str().unwrap().ends_with(name);
    assert!(
        ends(&directories[0]["directory"], "log") && ends(&directories[1]["directory"], "mirror")
    );
    assert_eq!(directories[0]["bytes"], directories[1]["bytes"]);
    assert!(place.text(&["stats"]).contains("written"));
    let shown = place.text(&["log"]);
    assert_eq!(shown.matches("has everything").count(), 2, "{shown}");
    assert_eq!(place.json(&["log"])["copies"].as_array().unwrap().len(), 2);

    // A copy that is lost is made again, and said to be.
    for file in files_below(Path::new(log)) {
        std::fs::remove_file(file).unwrap();
    }
    let shown = place.text(&["log"]);
    assert!(shown.contains("damaged") && shown.contains("has everything"), "{shown}");
    let placed = place.json(&["log-place"]);
    assert!(ends(&placed["copies"][0]["directory"], "log"), "{placed}");
    assert!(placed["repaired"][0].as_str().unwrap().contains("made again"), "{placed}");
    let placed = place.text(&["log-place", "--directory", other, "--no-mirror"]);
    assert!(placed.contains(other) && !placed.contains("mirror"), "{placed}");
    assert_eq!(place.text(&["get", "h", "key"]).trim(), "value");
    place.text(&["log-place", "--mirror", mirror]);
    std::fs::rename(other, log.to_owned() + "-aside").unwrap();
    let placed = place.run(&["log-place"]).code(1);
    let placed = String::from_utf8(placed.get_output().stdout.clone()).unwrap();
    assert!(placed.contains("FAILED") && placed.contains(other), "{placed}");
    let verified = place.json(&["verify"]);
    assert_eq!(verified["sound"], true, "{verified}");
    assert_eq!(place.text(&["get", "h", "key"]).trim(), "value");
    place.fails(&["log-place", "--no-mirror"], 2, "invalid_argument", &["mirror", "everything"]);
}
