//! Goal: every snapshot sees a batch over several shards whole or not at all. Method: threads
//! transfer money between accounts on different shards and keyspaces; whatever the moment of a
//! snapshot, the total stays what it was. The same while every partition is moved, split and merged
//! and shards come and go.

use crate::basic::{both, small, store};
use crate::churn::{Churn, Enough, Stop, quick_directory, seed};
use annulus::{Batch, Keyspace, Scan, Snapshot, Store};
use std::sync::atomic::{AtomicBool, Ordering};

const ACCOUNTS: u64 = 20;
const START: i64 = 100;

fn balance(value: &[u8]) -> i64 {
    i64::from_le_bytes(value.try_into().unwrap())
}

#[test]
fn totals_stay_constant_in_every_snapshot() {
    let (_directory, store) = store();
    let banks: [Keyspace; 2] = both(&store);
    for bank in &banks {
        for account in 0..ACCOUNTS {
            bank.put(account.to_be_bytes(), START.to_le_bytes()).unwrap();
        }
    }
    let total = 2 * START * i64::try_from(ACCOUNTS).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // One thread transfers, so that reading and writing a balance needs no lock of the test.
        scope.spawn(|| {
            let mut random = fastrand::Rng::with_seed(7);
            for _ in 0..3000 {
                let (from, to) = (random.u64(..ACCOUNTS), random.u64(..ACCOUNTS));
                let amount = random.i64(1..10);
                let read = |bank: &Keyspace, account: u64| {
                    balance(&bank.get(account.to_be_bytes()).unwrap().unwrap())
                };
                let mut transfer = Batch::new();
                let (left, right) = (read(&banks[0], from) - amount, read(&banks[1], to) + amount);
                transfer.put(&banks[0], from.to_be_bytes(), left.to_le_bytes());
                transfer.put(&banks[1], to.to_be_bytes(), right.to_le_bytes());
                store.write(transfer).unwrap();
            }
            done.store(true, Ordering::Release);
        });
        scope.spawn(|| {
            let mut snapshots = 0;
            while !done.load(Ordering::Acquire) || snapshots == 0 {
                let snapshot = store.snapshot().unwrap();
                let sum: i64 = banks
                    .iter()
                    .flat_map(|bank| snapshot.scan(bank, ..).unwrap())
                    .map(|row| balance(&row.unwrap().1))
                    .sum();
                assert_eq!(sum, total, "snapshot {snapshots}");
                snapshots += 1;
            }
        });
    });
    assert!(store.verify().unwrap().is_sound());
}

/// Puts the same amount of money into every account.
fn endow(banks: &[Keyspace; 2]) -> i64 {
    for bank in banks {
        for account in 0..ACCOUNTS {
            bank.put(name(account), START.to_le_bytes()).unwrap();
        }
    }
    2 * START * i64::try_from(ACCOUNTS).unwrap()
}

/// Returns the names of accounts spread over what random splits of a range keyspace divide.
fn name(account: u64) -> String {
    format!("{}{account:02}", (b'a' + account as u8) as char)
}

fn total(scans: impl IntoIterator<Item = Scan>) -> i64 {
    scans.into_iter().flatten().map(|row| balance(&row.unwrap().1)).sum()
}

fn scans<'a>(snapshot: &'a Snapshot, banks: &'a [Keyspace]) -> impl Iterator<Item = Scan> + 'a {
    banks.iter().map(|bank| snapshot.scan(bank, ..).unwrap())
}

/// Makes some transfers. One thread makes them all, so that reading and writing a balance needs no
/// lock of the test.
fn transfer(store: &Store, banks: &[Keyspace; 2], random: &mut fastrand::Rng) {
    for _ in 0..20 {
        let (from, to) = (name(random.u64(..ACCOUNTS)), name(random.u64(..ACCOUNTS)));
        let amount = random.i64(1..10);
        let read = |bank: &Keyspace, key: &str| balance(&bank.get(key).unwrap().unwrap());
        let mut transfer = Batch::new();
        let (left, right) = (read(&banks[0], &from) - amount, read(&banks[1], &to) + amount);
        transfer.put(&banks[0], &from, left.to_le_bytes());
        transfer.put(&banks[1], &to, right.to_le_bytes());
        store.write(transfer).unwrap();
    }
}

#[test]
fn totals_stay_constant_while_partitions_and_shards_are_reshaped() {
    let seed = seed();
    let directory = quick_directory();
    let options = small().arcs_per_shard(1);
    let builder = Store::builder(directory.path().join("store")).shards(3);
    let store = builder.options(options).open().unwrap();
    let banks = both(&store);
    let total_before = endow(&banks);
    let (stop, enough) = (AtomicBool::new(false), Enough::new());
    std::thread::scope(|scope| {
        let (store, banks, stop) = (&store, &banks, &stop);
        for rival in 0..2 {
            // Two at once, so that they also conflict with each other.
            let mut churn = Churn::new(seed ^ rival).among_rivals().shards_percent(8);
            scope.spawn(move || {
                let _stop = Stop(stop);
                churn.run(store, stop);
            });
        }
        scope.spawn(move || {
            let _stop = Stop(stop);
            let mut random = fastrand::Rng::with_seed(seed ^ 2);
            while !stop.load(Ordering::Acquire) {
                transfer(store, banks, &mut random);
                std::thread::sleep(std::time::Duration::from_micros(200));
            }
        });
        let _stop = Stop(stop);
        while !enough.is_reached(store.reshape_stats().committed >= 400)
            && !stop.load(Ordering::Acquire)
        {
            let snapshot = store.snapshot().unwrap();
            // Opened before, read to its end after some reshapes have dropped what it reads.
            let mut early: Vec<Scan> = scans(&snapshot, banks).collect();
            let mut plain: Vec<Scan> = banks.iter().map(|bank| bank.scan(..).unwrap()).collect();
            let firsts: i64 =
                early.iter_mut().map(|scan| balance(&scan.next().unwrap().unwrap().1)).sum();
            assert_eq!(total(scans(&snapshot, banks)), total_before);
            let until = store.reshape_stats().committed + 8;
            while store.reshape_stats().committed < until && !stop.load(Ordering::Acquire) {
                std::thread::sleep(std::time::Duration::from_micros(500));
            }
            assert_eq!(firsts + total(early), total_before);
            assert_eq!(total(scans(&snapshot, banks)), total_before);
            // Not a cut, but every account once.
            let count: usize = plain.iter_mut().map(|scan| scan.map(Result::unwrap).count()).sum();
            assert_eq!(count as u64, 2 * ACCOUNTS);
        }
    });
    println!("{:?}", store.reshape_stats());
    assert_eq!(total(scans(&store.snapshot().unwrap(), &banks)), total_before);
    let report = store.verify().unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
}
