//! Goal: what is missing, swapped, damaged or lost is refused by name or repaired, and nothing else
//! is touched. Method: a store is made, dropped, changed on disk, and opened.

use crate::basic::{both, end_of_log, last_log, reopen, small, store};
use annulus::report::Problem;
use annulus::{Batch, CreateMode, ErrorKind, ScanOptions, ShardId, Store};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

fn open(path: &Path) -> annulus::Error {
    Store::builder(path).create(CreateMode::Never).options(small()).open().unwrap_err()
}

fn closed() -> (TempDir, PathBuf) {
    let (directory, store) = store();
    for keyspace in both(&store) {
        (0..100).for_each(|n| keyspace.put(n.to_string(), "v").unwrap());
    }
    store.close().unwrap();
    let path = directory.path().join("store");
    (directory, path)
}

/// Checks that the error has this kind and names all of these, and that the store opens again after
/// `mend`.
fn refused(path: &Path, kind: ErrorKind, names: &[&str], mend: impl FnOnce()) {
    let error = open(path);
    assert_eq!(error.kind(), kind, "{error}");
    for name in names {
        assert!(format!("{error:#}").contains(name), "`{name}` is not in: {error:#}");
    }
    mend();
    let store = Store::open(path).unwrap();
    assert!(both(&store).iter().all(|keyspace| keyspace.get("7").unwrap().unwrap() == "v"));
}

#[test]
fn a_second_opening_is_refused() {
    let (directory, store) = store();
    let error = open(&directory.path().join("store"));
    assert_eq!(error.kind(), ErrorKind::InUse);
    let text = format!("{error:#}");
    assert!(text.contains("in this process") && text.contains("`Store`"), "{text}");
    drop(store);
    reopen(&directory);
}

#[test]
fn a_missing_store_and_a_foreign_directory_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("nothing");
    assert_eq!(open(&missing).kind(), ErrorKind::NotFound);
    assert!(!missing.exists());
    let too_deep = Store::open(missing.join("below")).unwrap_err();
    assert_eq!(too_deep.kind(), ErrorKind::NotFound, "{too_deep}");
    assert!(!missing.exists());
    fs::write(directory.path().join("letter.txt"), "dear").unwrap();
    let foreign = Store::open(directory.path()).unwrap_err();
    assert_eq!(foreign.kind(), ErrorKind::AlreadyExists, "{foreign}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    let (_directory, path) = closed();
    let again = Store::builder(&path).create(CreateMode::New).open().unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AlreadyExists, "{again}");
}

#[test]
fn a_creation_that_was_interrupted_is_taken_up_again() {
    let (directory, store) = store();
    drop(store);
    let path = directory.path().join("store");
    // As it is just before the last step.
    fs::rename(path.join("STORE"), path.join("STORE.new")).unwrap();
    let store = Store::builder(&path).shards(3).open().unwrap();
    both(&store)[0].put("k", "v").unwrap();
}

/// A past bug: a creation that died between making a temporary file and renaming it left a
/// directory that was neither empty nor marked as being created, and was refused forever.
#[test]
fn a_creation_that_died_early_is_taken_up_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    fs::create_dir_all(path.join("shards/1")).unwrap();
    fs::write(path.join("STORE.tmp"), "annu").unwrap();
    fs::write(path.join("LOCK"), "1").unwrap();
    let refused = Store::builder(&path).shards(3).open().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::AlreadyExists, "shards are not part of so early a death");
    fs::remove_dir_all(path.join("shards")).unwrap();
    drop(Store::builder(&path).shards(3).open().unwrap());
    fs::rename(path.join("STORE"), path.join("STORE.new")).unwrap();
    fs::remove_dir_all(path.join("shards/1")).unwrap();
    fs::create_dir(path.join("shards/1")).unwrap();
    fs::write(path.join("shards/1/SHARD.tmp"), "annu").unwrap();
    let store = Store::builder(&path).shards(3).open().unwrap();
    both(&store)[0].put("k", "v").unwrap();
}

/// A past bug: an older copy of the metadata knew nothing of the newest keyspace, and the opening
/// dropped that keyspace's partitions as leftovers of an interrupted creation.
#[test]
fn metadata_older_than_the_shards_is_refused_and_nothing_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    Store::builder(&path).shards(3).options(small()).open().unwrap().close().unwrap();
    let (metadata, old) = (path.join("metadata"), directory.path().join("old"));
    let newest = directory.path().join("newest");
    let copied = std::process::Command::new("cp").arg("-r").arg(&metadata).arg(&old).status();
    assert!(copied.unwrap().success());
    let store = Store::builder(&path).options(small()).open().unwrap();
    for keyspace in both(&store) {
        (0..100).for_each(|n| keyspace.put(n.to_string(), "v").unwrap());
    }
    store.close().unwrap();
    drop(store);
    fs::rename(&metadata, &newest).unwrap();
    fs::rename(&old, &metadata).unwrap();
    refused(&path, ErrorKind::Damaged, &["the metadata is older"], || {
        fs::remove_dir_all(&metadata).unwrap();
        fs::rename(&newest, &metadata).unwrap();
    });
    let (_other_directory, other) = closed();
    let foreign = other.join("metadata");
    fs::rename(&metadata, &newest).unwrap();
    fs::rename(&foreign, &metadata).unwrap();
    refused(&path, ErrorKind::Damaged, &["metadata", "another store"], || {
        fs::rename(&metadata, &foreign).unwrap();
        fs::rename(&newest, &metadata).unwrap();
    });
}

/// A past bug: the lock was released with the last handle of the store while a value still kept a
/// shard open, so that a second opening got as far as that shard and met an error of the engine.
#[test]
fn a_value_keeps_the_store_locked() {
    let (directory, store) = store();
    let [hash, _] = both(&store);
    hash.put("k", "v").unwrap();
    let value = hash.get("k").unwrap();
    drop((store, hash));
    assert_eq!(open(&directory.path().join("store")).kind(), ErrorKind::InUse);
    drop(value);
    reopen(&directory);
}

#[test]
fn a_missing_shard_is_named() {
    let (directory, path) = closed();
    let (shard, aside) = (path.join("shards/1"), directory.path().join("aside"));
    fs::rename(&shard, &aside).unwrap();
    refused(&path, ErrorKind::NotFound, &["shard 1", "shards/1", "missing"], || {
        fs::rename(&aside, &shard).unwrap();
    });
    let (data, aside) = (path.join("shards/2/data"), directory.path().join("data"));
    fs::rename(&data, &aside).unwrap();
    refused(&path, ErrorKind::Damaged, &["shard 2", "shards/2"], || {
        fs::rename(&aside, &data).unwrap();
    });
}

#[test]
fn swapped_and_foreign_shards_are_named() {
    let (directory, path) = closed();
    let aside = directory.path().join("aside");
    let swap = |a: &Path, b: &Path| {
        fs::rename(a, &aside).unwrap();
        fs::rename(b, a).unwrap();
        fs::rename(&aside, b).unwrap();
    };
    let (first, second) = (path.join("shards/0"), path.join("shards/1"));
    swap(&first, &second);
    refused(&path, ErrorKind::Damaged, &["should be shard 0 but is shard 1"], || {
        swap(&first, &second);
    });
    let (_other_directory, other) = closed();
    let foreign = other.join("shards/0");
    swap(&first, &foreign);
    refused(&path, ErrorKind::Damaged, &["shard 0", "another store"], || swap(&first, &foreign));
}

#[test]
fn a_damaged_identity_is_named() {
    let (_directory, path) = closed();
    for file in ["STORE", "shards/2/SHARD"] {
        let file = path.join(file);
        let good = fs::read(&file).unwrap();
        let mut bad = good.clone();
        bad[20] ^= 1;
        fs::write(&file, bad).unwrap();
        let name = file.to_str().unwrap();
        refused(&path, ErrorKind::Damaged, &[name], || fs::write(&file, &good).unwrap());
        for other in ["1", "3"] {
            let text = String::from_utf8(good.clone()).unwrap();
            let text = text.replacen("annulus 2", &format!("annulus {other}"), 1);
            assert_ne!(text.as_bytes(), good);
            fs::write(&file, text).unwrap();
            let names = [name, &format!("format {other}"), "format 2"];
            refused(&path, ErrorKind::Incompatible, &names, || fs::write(&file, &good).unwrap());
        }
    }
}

/// Every file of the metadata, damaged in the middle, is refused or was of no consequence; no
/// opening loses a keyspace or a key.
#[test]
fn damaged_metadata_is_named_and_nothing_is_lost() {
    let (_directory, path) = closed();
    let files: Vec<PathBuf> = fs::read_dir(path.join("metadata"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|file| {
            let name = file.file_name().unwrap().to_str().unwrap();
            name.ends_with(".sst") || name.starts_with("MANIFEST") || name == "CURRENT"
        })
        .collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        let good = fs::read(&file).unwrap();
        let mut bad = good.clone();
        // Of a table, amid its rows: without its properties RocksDB reads it all the same.
        let middle = if file.extension().is_some() { 20 } else { good.len() / 2 };
        bad[middle] ^= 0x55;
        fs::write(&file, &bad).unwrap();
        let error = open(&path);
        assert!(matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Io), "{file:?}: {error}");
        assert!(format!("{error:#}").contains("metadata"), "{file:?}: {error}");
        fs::write(&file, &good).unwrap();
    }
    let store = Store::open(&path).unwrap();
    assert!(both(&store).iter().all(|keyspace| keyspace.get("7").unwrap().unwrap() == "v"));
}

/// A past bug: the record of a committed topology was only in the metadata's write-ahead log, whose
/// recovery takes a damaged record for the end. The opening then saw an older topology and dropped
/// the newest keyspace's partitions as orphans. A commit therefore flushes.
#[test]
fn a_damaged_log_of_the_metadata_loses_no_keyspace() {
    let (directory, store) = store();
    for keyspace in both(&store) {
        keyspace.put("7", "v").unwrap();
    }
    store.sync().unwrap();
    drop(store);
    let path = directory.path().join("store");
    for entry in fs::read_dir(path.join("metadata")).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "log") {
            let damaged = vec![0x55; usize::try_from(fs::metadata(&file).unwrap().len()).unwrap()];
            fs::write(&file, damaged).unwrap();
        }
    }
    let store = reopen(&directory);
    assert!(both(&store).iter().all(|keyspace| keyspace.get("7").unwrap().unwrap() == "v"));
    assert!(store.recovery().orphans.is_empty());
}

/// A replay begins before what is in files already: whatever was written later, the end of the log
/// decides.
#[test]
fn a_replay_never_overwrites_a_later_write() {
    let (directory, store) = store();
    let keyspaces = both(&store);
    let mut batch = Batch::new();
    for n in 0..20 {
        keyspaces.iter().for_each(|keyspace| batch.put(keyspace, n.to_string(), "batch"));
    }
    store.write(batch).unwrap();
    keyspaces[0].put("3", "later").unwrap();
    keyspaces[1].delete("4").unwrap();
    keyspaces[1].delete_range("6".."7").unwrap();
    // The files have all of it, and the log as well, until it is closed.
    store.flush().unwrap();
    keyspaces[0].put("8", "last").unwrap();
    let rows = |keyspace: &annulus::Keyspace| {
        let rows = keyspace.scan(..).unwrap().map(|row| row.unwrap());
        rows.collect::<Vec<_>>()
    };
    let before = keyspaces.each_ref().map(rows);
    drop((store, keyspaces));
    for _ in 0..3 {
        let store = reopen(&directory);
        let keyspaces = both(&store);
        assert_eq!(keyspaces[0].get("3").unwrap().unwrap(), "later");
        assert!(keyspaces[1].get("4").unwrap().is_none());
        assert_eq!(keyspaces[1].get("5").unwrap().unwrap(), "batch");
        assert!(keyspaces[1].get("6").unwrap().is_none());
        assert_eq!(keyspaces[0].get("8").unwrap().unwrap(), "last");
        assert_eq!(keyspaces.each_ref().map(rows), before);
    }
    let store = reopen(&directory);
    store.close().unwrap();
    drop(store);
    let store = reopen(&directory);
    assert_eq!(store.recovery().replayed.records, 0);
    assert_eq!(both(&store).each_ref().map(rows), before);
}

/// A power cut takes the end of the log, and with it whole batches, over all shards, and whatever
/// came after them.
#[test]
fn what_a_power_cut_takes_is_the_end_of_all_shards() {
    what_is_left_of_a_batch(|_, end| end - 3, "batch");
    what_is_left_of_a_batch(|before, end| before + (end - before) / 2, "before");
}

/// Writes rows, then a batch over all of them, then one of them, and takes the log away from some
/// place on; all rows must then have the same value.
fn what_is_left_of_a_batch(place: impl Fn(u64, u64) -> u64, left: &str) {
    let (directory, store) = store();
    let keyspaces = both(&store);
    let path = directory.path().join("store");
    for keyspace in &keyspaces {
        (0..50).for_each(|n: u32| keyspace.put(n.to_string(), "before").unwrap());
    }
    store.sync().unwrap();
    let before = end_of_log(&last_log(&path));
    let mut batch = Batch::new();
    for n in 0..50 {
        keyspaces.iter().for_each(|keyspace| batch.put(keyspace, n.to_string(), "batch"));
    }
    store.write(batch).unwrap();
    keyspaces[0].put("7", "later").unwrap();
    drop((store, keyspaces));
    let log = last_log(&path);
    let from = place(before, end_of_log(&log));
    let mut content = fs::read(&log).unwrap();
    content[from as usize..].fill(0);
    fs::write(&log, content).unwrap();
    let store = reopen(&directory);
    assert_eq!(store.recovery().lost.len(), 1, "{:?}", store.recovery());
    for keyspace in both(&store) {
        assert!((0..50_u32).all(|n| keyspace.get(n.to_string()).unwrap().unwrap() == left));
    }
}

/// Returns a file of rows of a partition on shard 1, which no other partition needs.
fn file_of_rows(path: &Path) -> PathBuf {
    let files =
        fs::read_dir(path.join("shards/1/data")).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|file| file.extension().is_some_and(|kind| kind == "sst"));
    files.max_by_key(|file| fs::metadata(file).unwrap().len()).unwrap()
}

/// Returns how many keys are read, and how many are refused with the file's name.
fn read_all(store: &Store, file: &Path) -> (usize, usize) {
    let (mut read, mut refused) = (0, 0);
    for keyspace in both(store) {
        for n in 0..100 {
            match keyspace.get(n.to_string()) {
                Ok(value) => {
                    assert_eq!(value.unwrap(), "v");
                    read += 1;
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
                    let name = file.file_name().unwrap().to_str().unwrap();
                    assert!(format!("{error:#}").contains(name), "{error:#}");
                    assert!(format!("{error:#}").contains("of partition"), "{error:#}");
                    refused += 1;
                }
            }
        }
    }
    (read, refused)
}

/// A past bug: one bad byte in a footer, an index or a block of properties, of one file, and the
/// whole store was refused. What is sound is read and written, moves and is closed; what needs the
/// file is refused by its name; when the file is restored, everything is there.
#[test]
fn one_damaged_file_refuses_what_needs_it_and_nothing_else() {
    let (_directory, path) = closed();
    let file = file_of_rows(&path);
    let good = fs::read(&file).unwrap();
    let mut opened_in_part = 0;
    for from_end in (4..good.len().min(1200)).step_by(67) {
        let mut bad = good.clone();
        bad[good.len() - from_end] ^= 0x55;
        fs::write(&file, &bad).unwrap();
        let reader = crate::read_only::open_read_only(&path).unwrap();
        let seen = read_all(&reader, &file);
        let noticed = reader.recovery().damaged.clone();
        drop(reader);
        let store = Store::builder(&path).options(small()).open().unwrap();
        assert_eq!(read_all(&store, &file), seen, "{from_end} from the end");
        let (read, refused) = seen;
        assert_eq!(read + refused, 200);
        assert!(read > 100, "{read} keys are read, {from_end} from the end");
        assert_eq!(store.recovery().damaged, noticed);
        if !noticed.is_empty() {
            opened_in_part += 1;
            assert!(noticed[0].to_string().contains("on shard 1"), "{noticed:?}");
            assert!(refused > 0);
        }
        let report = store.verify().unwrap();
        assert!(!report.is_sound(), "{from_end} from the end");
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(
            report.problems.iter().any(|problem| problem.to_string().contains(name)),
            "{report:?}"
        );
        store.close().unwrap();
        drop(store);
        fs::write(&file, &good).unwrap();
    }
    assert!(opened_in_part > 5, "{opened_in_part}");
    let store = Store::open(&path).unwrap();
    assert_eq!(read_all(&store, &file), (200, 0));
}

/// The rest of a shard with a damaged file takes writes, through flushes and where RocksDB would
/// merge the file; its partitions can be moved away, and the damaged one cannot.
#[test]
fn what_is_beside_a_damaged_file_goes_on() {
    let (_directory, path) = closed();
    let file = file_of_rows(&path);
    let good = fs::read(&file).unwrap();
    let mut bad = good.clone();
    let magic = good.len() - 4;
    bad[magic] ^= 0x55;
    fs::write(&file, &bad).unwrap();
    let store = Store::builder(&path).options(small()).open().unwrap();
    assert_eq!(store.recovery().damaged.len(), 1, "{:?}", store.recovery());
    for round in 0..12 {
        for keyspace in both(&store) {
            (100..200).for_each(|n| keyspace.put(n.to_string(), round.to_string()).unwrap());
        }
        store.flush().unwrap();
    }
    let mut moved = 0;
    let mut stayed = Vec::new();
    for keyspace in both(&store) {
        for partition in keyspace.placement().partitions() {
            if partition.owner == ShardId(1) {
                let job = store.move_partition(partition.id, ShardId(2)).unwrap();
                match job.wait() {
                    Ok(_) => moved += 1,
                    Err(error) => stayed.push((partition.id, error)),
                }
            }
        }
    }
    assert!(moved > 0);
    assert_eq!(stayed.len(), 1, "{stayed:?}");
    assert_eq!(store.recovery().damaged[0].partition, stayed[0].0);
    store.close().unwrap();
    drop(store);
    fs::write(&file, &good).unwrap();
    let store = Store::open(&path).unwrap();
    assert_eq!(read_all(&store, &file), (200, 0));
    for keyspace in both(&store) {
        assert!((100..200).all(|n| keyspace.get(n.to_string()).unwrap().unwrap() == "11"));
    }
    assert!(store.verify().unwrap().is_sound());
}

/// A past bug: `verify` read the rows, and so nothing of the metadata except what the opening
/// needs.
#[test]
fn verify_reads_the_blocks_that_no_row_needs() {
    let (_directory, path) = closed();
    let store = Store::builder(&path).options(small()).open().unwrap();
    assert!(store.verify().unwrap().is_sound());
    let metadata = fs::read_dir(path.join("metadata")).unwrap().map(|entry| entry.unwrap().path());
    let metadata = metadata.filter(|file| file.extension().is_some_and(|kind| kind == "sst"));
    // All of them: one may be about to be removed, after a merge.
    let names: Vec<_> = metadata
        .filter_map(|file| {
            let mut bad = fs::read(&file).ok()?;
            bad[10] ^= 0x55;
            // In place, as a disk would: the store has the file open.
            fs::write(&file, bad).unwrap();
            Some(file.file_name()?.to_str()?.to_owned())
        })
        .collect();
    let problems = store.verify().unwrap().problems;
    let named = |problem: &Problem| {
        let problem = problem.to_string();
        problem.contains("metadata") && names.iter().any(|name| problem.contains(name))
    };
    assert!(problems.iter().any(named), "{problems:?}");
}

/// Not only the first damage: on two shards, and twice on one of them.
#[test]
fn everything_that_is_damaged_is_named() {
    let (_directory, path) = closed();
    let tables = |shard: u32| {
        let files = fs::read_dir(path.join(format!("shards/{shard}/data"))).unwrap();
        let files = files.map(|entry| entry.unwrap().path());
        let mut tables: Vec<_> =
            files.filter(|file| file.extension().is_some_and(|kind| kind == "sst")).collect();
        tables.sort();
        tables
    };
    let damaged: Vec<_> = [&tables(0)[1..3], &tables(2)[1..2]].concat();
    assert_eq!(damaged.len(), 3);
    for file in &damaged {
        let mut bad = fs::read(file).unwrap();
        *bad.last_mut().unwrap() ^= 0x55;
        fs::write(file, bad).unwrap();
    }
    let reader = crate::read_only::open_read_only(&path).unwrap();
    for store in [reader, Store::open(&path).unwrap()] {
        let told = &store.recovery().damaged;
        assert_eq!(told.len(), 3, "{told:?}");
        let problems = store.verify().unwrap().problems;
        for file in &damaged {
            let name = file.file_name().unwrap().to_str().unwrap();
            assert!(told.iter().any(|damaged| damaged.reason.contains(name)), "{told:?}");
            assert!(
                problems.iter().any(|problem| problem.to_string().contains(name)),
                "{problems:?}"
            );
        }
    }
}

/// A past bug: a scan ended at the first damaged block, and there was no way to reach what lies
/// behind it. A scan that leaves damage out returns everything else, in order, and names what is
/// missing.
#[test]
fn a_scan_that_leaves_damage_out_says_so() {
    let (_directory, path) = closed();
    let file = file_of_rows(&path);
    let mut bad = fs::read(&file).unwrap();
    // In the first block, so that the file opens.
    bad[10] ^= 0x55;
    fs::write(&file, bad).unwrap();
    let store = Store::builder(&path).options(small()).open().unwrap();
    assert!(store.recovery().damaged.is_empty() || store.recovery().damaged.len() == 1);
    let name = file.file_name().unwrap().to_str().unwrap();
    let mut left_out = 0;
    for keyspace in both(&store) {
        for options in [ScanOptions::new(), ScanOptions::new().reverse(true)] {
            let failed = keyspace.scan_with(.., options).and_then(|scan| scan.collect());
            let failed: annulus::Result<Vec<_>> = failed;
            let mut scan = keyspace.scan_with(.., options.leave_out_damaged(true)).unwrap();
            let mut keys = Vec::new();
            while let Some((key, value)) = scan.next_row().unwrap() {
                assert_eq!(value, b"v");
                keys.push(key.to_vec());
            }
            assert!(if options.reverse {
                keys.is_sorted_by(|a, b| a > b)
            } else {
                keys.is_sorted()
            });
            let parts = scan.left_out();
            assert_eq!(failed.is_err(), !parts.is_empty(), "{parts:?}");
            assert_eq!(keys.len() < 100, !parts.is_empty(), "{parts:?}");
            assert!(parts.iter().all(|part| part.to_string().contains(name)), "{parts:?}");
            assert!(parts.iter().all(|part| part.shard == ShardId(1)), "{parts:?}");
            left_out += parts.len();
        }
    }
    assert_eq!(left_out, 2, "one partition, in both directions");
}

/// A past bug: a file of a shard, or of the metadata, was missing. The opening that serves what is
/// sound met that, took it for a temporary error, and closing the database never ended.
#[test]
fn a_missing_file_is_refused_and_the_opening_ends() {
    for database in ["shards/1/data", "metadata"] {
        let (directory, path) = closed();
        let files = fs::read_dir(path.join(database)).unwrap().map(|entry| entry.unwrap().path());
        let table = files.filter(|file| file.extension().is_some_and(|end| end == "sst")).max();
        let (table, aside) = (table.unwrap(), directory.path().join("aside"));
        fs::rename(&table, &aside).unwrap();
        let (done, waiting) = std::sync::mpsc::channel();
        let opened = path.clone();
        std::thread::spawn(move || done.send(open(&opened)));
        let error = waiting.recv_timeout(Duration::from_secs(120)).expect("the opening hangs");
        let name = table.file_name().unwrap().to_string_lossy().into_owned();
        assert!(format!("{error:#}").contains(&name), "{error:#}");
        fs::rename(&aside, &table).unwrap();
        let store = Store::open(&path).unwrap();
        assert!(both(&store).iter().all(|keyspace| keyspace.get("7").unwrap().unwrap() == "v"));
    }
}
