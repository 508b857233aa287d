//! Backups: what is in them, what they share, what is restored from them.

#[cfg(feature = "failpoints")]
mod crash;
mod damage;
mod moment;
mod points;

use crate::basic::{both, quick_store, reopen, small};
use crate::churn::quick_directory;
use annulus::backup::{Backup, BackupOptions, Repository, RestoreOptions};
use annulus::reshape::Throttle;
use annulus::topology::KeyspaceSpec;
use annulus::{ErrorKind, Keyspace, ShardId, ShardSpec, Store};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// Returns the rows of all keyspaces, by name.
fn rows_of(store: &Store) -> BTreeMap<String, Rows> {
    let rows = |it: &Keyspace| it.scan(..).unwrap().map(Result::unwrap).collect::<Rows>();
    store.keyspaces().iter().map(|it| (it.name().to_owned(), rows(it))).collect()
}

/// Restores a backup, or the newest one, elsewhere, opens it and verifies it.
fn restored(repository: &Path, to: &Path, backup: Option<u64>) -> Store {
    let options = RestoreOptions::new().backup(backup);
    Repository::open(repository).unwrap().restore(to, options).unwrap();
    open_sound(to)
}

fn open_sound(path: &Path) -> Store {
    let store = Store::builder(path).options(small()).open().unwrap();
    let report = store.verify().unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
    store
}

/// Checks all backups of a repository.
fn assert_sound(repository: &Path) {
    let report = Repository::open(repository).unwrap().verify().unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
}

/// Writes about 1 MiB for each hundred, in rows that compression leaves as they are.
fn fill(keyspace: &Keyspace, numbers: std::ops::Range<u32>, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    for n in numbers {
        let value: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(10_000).collect();
        keyspace.put(format!("{n:06}"), value).unwrap();
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[test]
fn a_backup_has_everything_and_a_second_one_copies_what_has_changed() {
    let directory = quick_directory();
    // Large buffers, so that no file is merged with another meanwhile.
    let options = small().write_buffer_bytes(64 << 20);
    let builder = Store::builder(directory.path().join("store"));
    let store = builder.shards(3).options(options).open().unwrap();
    let backups = directory.path().join("backups");
    let [hash, range] = both(&store);
    fill(&hash, 0..400, 1);
    fill(&range, 0..400, 2);
    let first = store.backup(&backups).unwrap();
    let before = rows_of(&store);
    assert_eq!((first.number, first.shards, first.continues), (1, 3, false));
    assert!(first.copied_bytes >= 8_000_000, "{first:?}");
    assert!(first.keyspaces.contains(&"hash".to_owned()), "{first:?}");

    fill(&hash, 0..8, 3);
    hash.delete("000399").unwrap();
    let second = store.backup(&backups).unwrap();
    assert_eq!(second.number, 2);
    assert!(second.copied_bytes * 5 < first.copied_bytes, "{second:?} after {first:?}");
    let unchanged = store.backup(&backups).unwrap();
    assert!(unchanged.copied_bytes < 300_000, "{unchanged:?}");

    let repository = Repository::open(&backups).unwrap();
    assert_eq!(repository.backups().unwrap(), [first, second, unchanged]);
    let report = repository.verify().unwrap();
    assert!(report.is_sound() && report.files > 6 && report.bytes > 8_000_000, "{report:?}");
    for (number, rows) in [(1, before), (2, rows_of(&store)), (3, rows_of(&store))] {
        let copy = restored(&backups, &directory.path().join(number.to_string()), Some(number));
        assert!(rows_of(&copy) == rows, "backup {number}");
        // It takes writes, and has nothing of the original's.
        copy.keyspace("hash").unwrap().put("other", "store").unwrap();
        copy.close().unwrap();
    }
    assert_eq!(hash.get("other").unwrap(), None);
}

#[test]
fn what_old_backups_alone_needed_goes_with_them() {
    let (directory, store) = quick_store();
    let backups = directory.path().join("backups");
    let [hash, _] = both(&store);
    for round in 0..4 {
        fill(&hash, 0..100, round);
        store.backup(&backups).unwrap();
    }
    let repository = Repository::open(&backups).unwrap();
    let before = files(&backups).len();
    assert_eq!(repository.prune(9).unwrap().backups, [] as [u64; 0]);
    let pruned = repository.prune(2).unwrap();
    assert_eq!(pruned.backups, [1, 2]);
    assert!(files(&backups).len() < before);
    assert_sound(&backups);
    let numbers = |backups: Vec<Backup>| backups.iter().map(|it| it.number).collect::<Vec<_>>();
    assert_eq!(numbers(repository.backups().unwrap()), [3, 4]);
    let rows = rows_of(&store);
    assert!(rows_of(&restored(&backups, &directory.path().join("copy"), None)) == rows);
    assert_eq!(store.backup(&backups).unwrap().number, 5);
    assert_eq!(repository.prune(0).unwrap_err().kind(), ErrorKind::InvalidArgument);
}

/// The original's shard with an absolute path is not the copy's; nor is the directory of a shard that
/// was removed, which an opening empties.
#[test]
fn a_restored_store_has_directories_of_its_own() {
    let directory = quick_directory();
    let elsewhere = directory.path().join("elsewhere");
    let path = directory.path().join("store");
    let specs = [ShardSpec::new("fast"), ShardSpec::new(&elsewhere), ShardSpec::new("third")];
    let builder = |path: &Path| Store::builder(path).options(small());
    let store = specs.into_iter().fold(builder(&path), |it, spec| it.shard(spec)).open().unwrap();
    let [hash, range] = both(&store);
    fill(&hash, 0..50, 1);
    fill(&range, 0..50, 2);
    let rows = rows_of(&store);
    let backups = directory.path().join("backups");
    store.backup(&backups).unwrap();

    let repository = Repository::open(&backups).unwrap();
    let (one, other) = (directory.path().join("one"), directory.path().join("other"));
    let placed = repository.restore(&one, RestoreOptions::new()).unwrap();
    assert_eq!(placed.shards, [one.join("fast"), one.join("shards/1"), one.join("third")]);
    let disk = directory.path().join("disk");
    let options = RestoreOptions::new().shard(ShardId(0), &disk);
    let placed = repository.restore(&other, options).unwrap();
    assert_eq!(placed.shards, [disk, other.join("shards/1"), other.join("third")]);
    let (one, other) = (open_sound(&one), open_sound(&other));
    for copy in [&one, &other] {
        assert!(rows_of(copy) == rows);
        copy.keyspace("hash").unwrap().put("who", "copy").unwrap();
    }
    assert_eq!(hash.get("who").unwrap(), None);
    store.close().unwrap();
    drop((store, hash, range));
    assert!(rows_of(&open_sound(&path)) == rows, "opened after its copies");
}

#[test]
fn what_is_no_place_for_backups_is_refused() {
    let (directory, store) = quick_store();
    both(&store);
    let refused = |path: &Path, kind| {
        let error = store.backup(path).unwrap_err();
        assert_eq!(error.kind(), kind, "{error:#}");
    };
    let (inside, full) = (store.path().join("backups"), directory.path().join("full"));
    refused(&inside, ErrorKind::InvalidArgument);
    refused(directory.path(), ErrorKind::InvalidArgument);
    std::fs::create_dir(&full).unwrap();
    std::fs::write(full.join("file"), "of someone").unwrap();
    refused(&full, ErrorKind::AlreadyExists);
    refused(&directory.path().join("no/parent"), ErrorKind::NotFound);

    let backups = directory.path().join("backups");
    store.backup(&backups).unwrap();
    let (_directory, another) = quick_store();
    let error = another.backup(&backups).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error:#}");

    let repository = Repository::open(&backups).unwrap();
    let refused = |to: &Path, options: RestoreOptions, kind| {
        let error = repository.restore(to, options).unwrap_err();
        assert_eq!(error.kind(), kind, "{error:#}");
    };
    let copy = directory.path().join("copy");
    refused(&copy, RestoreOptions::new().backup(7), ErrorKind::NotFound);
    refused(&copy, RestoreOptions::new().shard(ShardId(9), "x"), ErrorKind::NotFound);
    refused(&full, RestoreOptions::new(), ErrorKind::AlreadyExists);
    refused(store.path(), RestoreOptions::new(), ErrorKind::AlreadyExists);
    refused(&copy, RestoreOptions::new().shard(ShardId(0), &full), ErrorKind::AlreadyExists);
    let overlapping = RestoreOptions::new().shard(ShardId(0), "a").shard(ShardId(1), "a/b");
    refused(&copy, overlapping, ErrorKind::InvalidArgument);
    let missing = Repository::open(directory.path().join("missing")).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);

    let read_only = Store::builder(store.path()).read_only(true).open().unwrap();
    let error = read_only.backup(&backups).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReadOnly, "{error:#}");
    store.close().unwrap();
    assert_eq!(store.backup(&backups).unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn a_backup_is_slowed_down_and_ended_on_request() {
    let (directory, store) = quick_store();
    let backups = directory.path().join("backups");
    let [hash, _] = both(&store);
    fill(&hash, 0..300, 1);
    let seen = Arc::new(AtomicU64::new(0));
    let note = Arc::clone(&seen);
    let until_2_mib = BackupOptions::new().on_progress(move |progress| {
        assert!(progress.bytes <= progress.bytes_total, "{progress:?}");
        note.store(progress.bytes, Ordering::Relaxed);
        if progress.bytes < 2 << 20 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    let error = store.backup_with(&backups, until_2_mib).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Aborted, "{error:#}");
    assert!((2 << 20..4 << 20).contains(&seen.load(Ordering::Relaxed)), "{seen:?}");
    assert_eq!(Repository::open(&backups).unwrap().backups().unwrap(), []);

    let began = Instant::now();
    let slow = BackupOptions::new().throttle(Throttle::new().bytes_per_second(4 << 20));
    let backup = store.backup_with(&backups, slow).unwrap();
    // A lower bound, which no machine is too slow for; a tenth of a second comes for free.
    let seconds = backup.copied_bytes as f64 / f64::from(4 << 20) - 0.2;
    let least = Duration::from_secs_f64(seconds.max(0.0));
    assert!(began.elapsed() >= least, "{backup:?} in {:?}", began.elapsed());
    assert_sound(&backups);
    // Nothing of the links is left in the shards.
    let links =
        files(store.path()).into_iter().filter(|file| file.to_string_lossy().contains("scratch"));
    assert_eq!(links.collect::<Vec<_>>(), [] as [PathBuf; 0]);
}

/// Splits by link leave partitions of several shards with the same files.
#[test]
fn files_that_shards_share_are_copied_once() {
    let (directory, store) = quick_store();
    let backups = directory.path().join("backups");
    let range = store.create_keyspace("one", KeyspaceSpec::range()).unwrap();
    fill(&range, 0..500, 1);
    store.flush().unwrap();
    let partition = range.stats().unwrap()[0].clone();
    let to = store.topology().shards().map(|it| it.id).find(|it| *it != partition.owner).unwrap();
    let options = annulus::reshape::ReshapeOptions::new()
        .transport(annulus::reshape::Transport::Link)
        .trim(false);
    let at = annulus::planner::SplitAt::Key(b"000250".to_vec());
    let request = annulus::planner::Request::Split { partition: partition.id, at, to: Some(to) };
    store.start_with(&request, options).unwrap().wait().unwrap();
    let backup = store.backup(&backups).unwrap();
    assert!(backup.bytes > 9_500_000, "each of two shards has all of it: {backup:?}");
    assert!(backup.copied_bytes < 8_500_000, "{backup:?}");
    let rows = rows_of(&store);
    assert!(rows_of(&restored(&backups, &directory.path().join("copy"), None)) == rows);
}

#[test]
fn a_repository_is_used_by_one_at_a_time() {
    let (directory, store) = quick_store();
    let backups = directory.path().join("backups");
    both(&store);
    store.backup(&backups).unwrap();
    let (again, path) = (store.clone(), backups.clone());
    let amid = BackupOptions::new().on_progress(move |_| {
        let error = again.backup(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InUse, "{error:#}");
        let repository = Repository::open(&path).unwrap();
        assert_eq!(repository.prune(1).unwrap_err().kind(), ErrorKind::InUse);
        assert_eq!(repository.verify().unwrap_err().kind(), ErrorKind::InUse);
        assert_eq!(repository.backups().unwrap().len(), 1, "listing waits for nothing");
        ControlFlow::Continue(())
    });
    store.backup_with(&backups, amid).unwrap();
    drop(store);
    reopen(&directory).backup(&backups).unwrap();
    assert_sound(&backups);
}
