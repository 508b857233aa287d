//! One partition, by link, by copy, and put by put, next to `cp -r` of the same files.

use crate::load::{ROW_BYTES, fill, key, under_load};
use crate::{Settings, spread};
use annulus::planner::Request;
use annulus::reshape::{Check, ReshapeOptions, Transport};
use annulus::topology::KeyspaceSpec;
use annulus::{Batch, Compression, Durability, Keyspace, Options, ShardId, ShardSpec, Store};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn open(directory: &Path) -> (Store, Keyspace) {
    // The rows do not compress; trying costs the copy what `cp` does not pay.
    let options = Options::new().compression(Compression::None).write_buffer_bytes(256 << 20);
    let store = Store::builder(directory.join("store"))
        .shard(ShardSpec::new("a"))
        .shard(ShardSpec::new("b"))
        .options(options)
        .open()
        .unwrap();
    let keyspace = store.keyspace_or_create("rows", KeyspaceSpec::range()).unwrap();
    (store, keyspace)
}

/// Waits until flushes and compactions have ended: the files stay the same for a while.
fn settle(directory: &Path, settings: &Settings) {
    let files = || {
        let data = |shard: &str| directory.join("store").join(shard).join("data");
        let names = ["a", "b"].into_iter().flat_map(|shard| data(shard).read_dir().unwrap());
        let mut names: Vec<_> = names.map(|file| file.unwrap().path()).collect();
        names.sort();
        names
    };
    let pause = Duration::from_millis(if settings.turns > 2 { 1500 } else { 100 });
    let mut before = files();
    loop {
        std::thread::sleep(pause);
        let now = files();
        if now == before {
            return;
        }
        before = now;
    }
}

/// Moves the only partition to the other shard. Returns milliseconds.
fn move_it(store: &Store, keyspace: &Keyspace, transport: Transport, check: Check) -> f64 {
    let there = keyspace.stats().unwrap()[0].clone();
    let to = ShardId(1 - there.owner.0);
    let options = ReshapeOptions::new().transport(transport).check(check);
    let request = Request::Move { partition: there.id, to };
    let begun = Instant::now();
    let outcomes = store.start_with(&request, options).unwrap().wait().unwrap();
    let elapsed = begun.elapsed().as_secs_f64() * 1e3;
    assert_eq!(outcomes[0].transport, transport);
    elapsed
}

fn on_disk(keyspace: &Keyspace) -> u64 {
    keyspace.stats().unwrap().iter().map(|partition| partition.bytes_on_disk).sum()
}

/// Copies the files of the shard that owns the partition, with `cp -r`. Returns milliseconds. A
/// copied partition survives a power cut, the files of `cp` do so only when they are synced.
///
/// RocksDB drops what it writes for a copy from the page cache, so the next copy, and the `cp`
/// before it, read the disk; a `cp` after that one finds the files in memory.
fn copy_files(directory: &Path, keyspace: &Keyspace, sync: bool) -> f64 {
    let owner = keyspace.stats().unwrap()[0].owner;
    let from = directory.join("store").join(["a", "b"][owner.0 as usize]).join("data");
    let to = directory.join("copy");
    let begun = Instant::now();
    assert!(Command::new("cp").arg("-r").args([&from, &to]).status().unwrap().success());
    if sync {
        for file in to.read_dir().unwrap() {
            std::fs::File::open(file.unwrap().path()).unwrap().sync_all().unwrap();
        }
    }
    let elapsed = begun.elapsed().as_secs_f64() * 1e3;
    std::fs::remove_dir_all(to).unwrap();
    elapsed
}

/// Reads every row and puts it into another keyspace on the other shard, as stores without either
/// transport do. Returns milliseconds.
fn put_by_put(store: &Store, keyspace: &Keyspace, turn: usize) -> f64 {
    let name = format!("copy {turn}");
    let copy = store.create_keyspace(&name, KeyspaceSpec::range()).unwrap();
    let begun = Instant::now();
    let mut rows = keyspace.scan(..).unwrap();
    let mut batch = Batch::new();
    while let Some((key, value)) = rows.next_row().unwrap() {
        batch.put(&copy, key, value);
        if batch.len() == 500 {
            store.write(std::mem::take(&mut batch)).unwrap();
        }
    }
    store.write(batch).unwrap();
    store.sync().unwrap();
    let elapsed = begun.elapsed().as_secs_f64() * 1e3;
    drop(copy);
    store.drop_keyspace(&name).unwrap();
    elapsed
}

pub(crate) fn run(settings: &Settings) {
    println!("\n== transport: one partition from shard to shard, idle; milliseconds");
    let mut links = Vec::new();
    for bytes in [settings.bytes, settings.bytes_large] {
        let directory = tempfile::tempdir().unwrap();
        let (store, keyspace) = open(directory.path());
        fill(&store, &keyspace, bytes);
        settle(directory.path(), settings);
        let size = on_disk(&keyspace) as f64 / f64::from(1 << 20);
        for check in [Check::None, Check::Sampled] {
            let link = || move_it(&store, &keyspace, Transport::Link, check);
            let times: Vec<f64> = (0..settings.turns * 3).map(|_| link()).collect();
            if check == Check::None {
                links.push(times.clone());
            }
            println!("link, {size:.0} MiB, check {check:?}: {}", spread(times));
        }
        if bytes == settings.bytes {
            unflushed(&store, &keyspace, settings);
            copies(&directory, &store, &keyspace, settings, size);
            busy(&store, &keyspace, settings);
        }
    }
    let ratios = links[0].iter().zip(&links[1]).map(|(small, large)| large / small).collect();
    println!("link, large against small: {} times", spread(ratios));
}

/// Moves while a quarter of the write buffer's budget is in memory, and must be flushed.
fn unflushed(store: &Store, keyspace: &Keyspace, settings: &Settings) {
    let mut times = Vec::new();
    for turn in 0..settings.turns as u64 {
        let mut value = vec![0; (ROW_BYTES - 16) as usize];
        let mut random = fastrand::Rng::with_seed(turn);
        for n in 0..settings.bytes / 20 / ROW_BYTES {
            random.fill(&mut value);
            keyspace.put(key(n), &value).unwrap();
        }
        times.push(move_it(store, keyspace, Transport::Link, Check::None));
    }
    let memory = settings.bytes / 20 / (1 << 20);
    println!("link, {memory} MiB of it in memory: {}", spread(times));
}

fn copies(directory: &TempDir, store: &Store, keyspace: &Keyspace, settings: &Settings, size: f64) {
    let (mut copy, mut puts) = (Vec::new(), Vec::new());
    let (mut cp, mut synced) = (Vec::new(), Vec::new());
    let turns = settings.turns;
    for turn in 0..turns {
        settle(directory.path(), settings);
        cp.push(copy_files(directory.path(), keyspace, false));
        synced.push(copy_files(directory.path(), keyspace, true));
        copy.push(move_it(store, keyspace, Transport::Copy, Check::None));
        settle(directory.path(), settings);
        puts.push(put_by_put(store, keyspace, turn));
    }
    let speed = |times: &[f64]| spread(times.iter().map(|ms| size / ms * 1e3).collect());
    println!("copy: {} ms, {} MiB/s", spread(copy.clone()), speed(&copy));
    println!("cp -r, as cold as the copy: {} ms, {} MiB/s", spread(cp.clone()), speed(&cp));
    println!(
        "cp -r once more, warm, then synced: {} ms, {} MiB/s",
        spread(synced.clone()),
        speed(&synced)
    );
    println!("put by put: {} ms, {} MiB/s", spread(puts.clone()), speed(&puts));
    let ratio = |other: &[f64]| {
        let mut ratios: Vec<f64> =
            other.iter().zip(&copy).map(|(other, copy)| other / copy).collect();
        ratios.sort_by(f64::total_cmp);
        format!("{:.2}", ratios[ratios.len() / 2])
    };
    println!(
        "copy is {} times as fast as cp -r, {} times as the warm cp, {} times as put by put",
        ratio(&cp),
        ratio(&synced),
        ratio(&puts)
    );
}

fn busy(store: &Store, keyspace: &Keyspace, settings: &Settings) {
    let mut times = Vec::new();
    let rows = settings.bytes / ROW_BYTES;
    under_load(keyspace, rows, Durability::Buffered, 50, |_| {
        for _ in 0..settings.turns {
            times.push(move_it(store, keyspace, Transport::Link, Check::Sampled));
        }
    });
    println!("link, while two threads read and write it: {}", spread(times));
}
