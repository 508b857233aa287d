//! Goal: a batch over several shards is seen whole or not at all by every snapshot.
//! Method: threads transfer money between accounts on different shards and keyspaces; whatever
//! the moment of a snapshot, the total stays what it was.

use crate::basic::{both, store};
use annulus::{Batch, Keyspace};
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
