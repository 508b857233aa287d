//! A copy of a store becomes a store of its own; until it has, no call takes it for one.

use crate::basic::{both, small};
use crate::churn::quick_directory;
use annulus::{AdoptOptions, ErrorKind, ShardId, ShardSpec, Store};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A store with a shard and its log elsewhere, closed, and copies of all three, with links as links.
struct Copied {
    directory: TempDir,
}

impl Copied {
    fn make() -> Self {
        let copied = Self { directory: quick_directory() };
        let path = |name: &str| copied.path(name);
        let options = small().log_directory(path("log"));
        let store = Store::builder(path("store"))
            .shard(ShardSpec::new("shards/0"))
            .shard(ShardSpec::new(path("disk")))
            .options(options)
            .open()
            .unwrap();
        for keyspace in both(&store) {
            (0..40).for_each(|n| keyspace.put(format!("{n}"), "both").unwrap());
        }
        store.close().unwrap();
        drop(store);
        for (from, to) in [("store", "copy"), ("disk", "copied-disk"), ("log", "copied-log")] {
            let copy = Command::new("cp").arg("-a").arg(path(from)).arg(path(to)).status().unwrap();
            assert!(copy.success());
        }
        copied
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn options(&self) -> AdoptOptions {
        AdoptOptions::new().shard(ShardId(1), self.path("copied-disk")).log(self.path("copied-log"))
    }

    fn adopt(&self) -> annulus::Result<Vec<PathBuf>> {
        Store::adopt_copy(self.path("copy"), self.options())
    }

    /// Opens both next to each other, and writes to both.
    fn check(&self) {
        for round in 0..2 {
            let (original, copy) = (open(&self.path("store")), open(&self.path("copy")));
            for (store, name) in [(&original, "original"), (&copy, "copy")] {
                let report = store.verify().unwrap();
                assert!(report.is_sound(), "{name}: {:?}", report.problems);
                for keyspace in both(store) {
                    for n in 0..40 {
                        let expected = if round == 0 { "both" } else { name };
                        let value = keyspace.get(format!("{n}")).unwrap().unwrap();
                        assert_eq!(std::str::from_utf8(&value), Ok(expected), "{name}, {n}");
                        keyspace.put(format!("{n}"), name).unwrap();
                    }
                }
                store.flush().unwrap();
            }
            // One is closed, the other one only dropped.
            copy.close().unwrap();
        }
        assert!(self.path("store/log").is_symlink() && !self.path("copy/log").is_symlink());
        let left = std::fs::read_dir(self.path("copy")).unwrap();
        let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let left: Vec<_> =
            left.filter(|it| it.contains("adopting") || it.contains("copied")).collect();
        assert_eq!(left, [] as [String; 0]);
    }
}

fn open(path: &Path) -> Store {
    Store::builder(path).options(small()).open().unwrap()
}

#[test]
fn a_copy_and_its_original_are_opened_side_by_side() {
    let copied = Copied::make();
    let shards = copied.adopt().unwrap();
    let canonical = |name: &str| copied.path(name).canonicalize().unwrap();
    assert_eq!(shards, [canonical("copy/shards/0"), canonical("copied-disk")]);
    copied.check();
}

#[test]
fn what_is_the_originals_is_refused_and_nothing_is_changed() {
    let copied = Copied::make();
    let refused = |options: AdoptOptions, kind, word: &str| {
        let error = Store::adopt_copy(copied.path("copy"), options).unwrap_err();
        assert_eq!(error.kind(), kind, "{error:#}");
        assert!(error.to_string().contains(word), "{error:#}");
        assert!(copied.path("copy/STORE").exists() && !copied.path("copy/STORE.adopting").exists());
    };
    let (disk, log) = (copied.path("copied-disk"), copied.path("copied-log"));
    let invalid = ErrorKind::InvalidArgument;
    refused(AdoptOptions::new().log(&log), invalid, "shard 1");
    refused(
        AdoptOptions::new().log(&log).shard(ShardId(1), copied.path("disk")),
        invalid,
        "shard 1",
    );
    refused(AdoptOptions::new().shard(ShardId(1), &disk), invalid, "log");
    refused(copied.options().shard(ShardId(7), &disk), ErrorKind::NotFound, "no shard 7");
    refused(copied.options().shard(ShardId(0), &disk), ErrorKind::Damaged, "shard 0");
    refused(copied.options().shard(ShardId(1), copied.path("no")), ErrorKind::NotFound, "no");
    // A part of a later copy does not belong to it.
    drop(open(&copied.path("store")));
    std::fs::copy(copied.path("disk/OPENED"), disk.join("OPENED")).unwrap();
    refused(copied.options(), ErrorKind::Damaged, "last opened");
    let missing = Store::adopt_copy(copied.path("nothing"), AdoptOptions::new()).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}

#[cfg(feature = "failpoints")]
const DIRECTORY: &str = "ANNULUS_TEST_ADOPT_DIRECTORY";

/// Not a test in itself: the process that dies.
#[cfg(feature = "failpoints")]
#[test]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let options = AdoptOptions::new()
        .shard(ShardId(1), directory.join("copied-disk"))
        .log(directory.join("copied-log"));
    Store::adopt_copy(directory.join("copy"), options).unwrap();
}

#[cfg(feature = "failpoints")]
#[test]
fn an_adoption_that_dies_at_any_step_goes_on() {
    let places = [
        "adopt-begun",
        "adopt-shard",
        "adopt-shard@2",
        "adopt-log",
        "adopt-log-aside",
        "adopt-log-switched",
        "adopt-metadata",
    ];
    for place in places {
        let copied = Copied::make();
        for _ in 0..2 {
            let status = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "adopt::child", "--nocapture", "--test-threads=1"])
                .env(DIRECTORY, copied.directory.path())
                .env("ANNULUS_FAILPOINT", place)
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .status()
                .unwrap();
            let signal = std::os::unix::process::ExitStatusExt::signal(&status);
            assert_eq!(signal, Some(6), "{place}: {status}");
            let error = Store::open(copied.path("copy")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{place}: {error:#}");
        }
        copied.adopt().unwrap();
        copied.check();
    }
}
