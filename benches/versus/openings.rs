//! What an opening takes.

use super::{Settings, compare, get, plain_get, support};
use annulus::placement::ARCS_PER_SHARD;
use annulus::{Keyspace, Options, Store};
use rocksdb::DB;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;
use support::{VALUE_BYTES, key, value};
use tempfile::TempDir;

/// So large that nothing is flushed before the process ends: everything is in the logs.
const WRITE_BUFFER_BYTES: usize = 1 << 30;

/// The first argument of a process that writes, and waits to be killed.
const CHILD: &str = "--write-and-wait";
const WRITTEN: &str = "written";

fn options() -> Options {
    support::options().write_buffer_bytes(WRITE_BUFFER_BYTES).heat(None)
}

fn annulus(path: &Path) -> (Store, Keyspace) {
    support::annulus(path, 4, ARCS_PER_SHARD, options())
}

fn plain(path: &Path) -> DB {
    support::plain(path, WRITE_BUFFER_BYTES)
}

fn rows(bytes: u64) -> u64 {
    bytes / (16 + VALUE_BYTES as u64)
}

pub(crate) fn is_child() -> bool {
    std::env::args().nth(1).is_some_and(|first| first == CHILD)
}

/// What the child does: which side, where, and how many bytes are its arguments.
pub(crate) fn leave_writes_in_the_log() {
    let arguments: Vec<String> = std::env::args().skip(2).collect();
    let [side, path, bytes] = &arguments[..] else { panic!("{arguments:?}") };
    let (path, rows) = (Path::new(path), rows(bytes.parse().unwrap()));
    let wait = || {
        println!("{WRITTEN}");
        loop {
            std::thread::park();
        }
    };
    if side == "annulus" {
        let (_store, keyspace) = annulus(path);
        (0..rows).for_each(|n| keyspace.put(key(n), value(n)).unwrap());
        wait();
    } else {
        let db = plain(path);
        (0..rows).for_each(|n| db.put(key(n), value(n)).unwrap());
        wait();
    }
}

/// Returns openings a second, of a directory that a killed process has left, until the first row is
/// read.
fn after_a_kill<T>(side: &str, bytes: u64, open: impl FnOnce(&Path) -> T) -> f64 {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join(side);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([CHILD, side])
        .arg(&path)
        .arg(bytes.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(said.trim(), WRITTEN);
    timed(&path, open).0
}

/// Returns openings a second, and what was opened.
fn timed<T>(path: &Path, open: impl FnOnce(&Path) -> T) -> (f64, T) {
    let started = Instant::now();
    let opened = open(path);
    (1.0 / started.elapsed().as_secs_f64(), opened)
}

/// Opens a store, and reads a row.
fn open_annulus(path: &Path, row: u64) -> Store {
    let (store, keyspace) = annulus(path);
    get(&keyspace, row);
    store
}

fn open_plain(path: &Path, row: u64) -> DB {
    let db = plain(path);
    plain_get(&db, row);
    db
}

/// Compares what an opening takes after a kill with little and with much in the log, and after a
/// close. Rates, so that larger is better.
pub(crate) fn compare_all(settings: &Settings) {
    for bytes in settings.logged {
        let last = rows(bytes) - 1;
        compare(
            settings,
            settings.loads,
            &format!("open after a kill, {} MB", bytes >> 20),
            "opens/s",
            |_| after_a_kill("annulus", bytes, |path| open_annulus(path, last)),
            |_| after_a_kill("plain", bytes, |path| open_plain(path, last)),
        );
    }
    let name = "open after a close";
    if settings.wants(name) {
        after_a_close(settings, name);
    }
}

fn after_a_close(settings: &Settings, name: &str) {
    let directory = TempDir::new().unwrap();
    let (of_annulus, of_plain) = (directory.path().join("annulus"), directory.path().join("plain"));
    let (store, keyspace) = annulus(&of_annulus);
    let db = plain(&of_plain);
    for n in 0..rows(settings.logged[1]) {
        keyspace.put(key(n), value(n)).unwrap();
        db.put(key(n), value(n)).unwrap();
    }
    store.close().unwrap();
    drop((store, keyspace));
    db.flush().unwrap();
    drop(db);
    // What is opened is closed again, out of what is measured.
    compare(
        settings,
        2 * settings.loads,
        name,
        "opens/s",
        |_| {
            let (rate, store) = timed(&of_annulus, |path| open_annulus(path, 5));
            store.close().unwrap();
            rate
        },
        |_| timed(&of_plain, |path| open_plain(path, 5)).0,
    );
}
