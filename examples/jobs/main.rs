//! A job queue: invoices are settled by workers, each exactly once, though workers vanish, are late
//! or find the bank closed, and the application is killed again and again.
//!
//! ```text
//! cargo run --release --example jobs -- check --kills 10
//! cargo run --release --example jobs -- run DIRECTORY
//! ```
//!
//! An invoice and the job to settle it are written in one transaction; what a worker books and the end
//! of its job, in another. Invoices that cannot be settled, here those over an odd amount of 13 cents,
//! come to the dead ones.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "an example fails by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

use annulus::queue::{Lease, Queue, QueueOptions};
use annulus::retry::Retry;
use annulus::topology::KeyspaceSpec;
use annulus::{ErrorKind, Keyspace, Result, Store};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

const WORKERS: usize = 3;
const CUSTOMERS: u64 = 10;

fn main() {
    support::main(run, check);
}

struct Application {
    store: Store,
    /// By number: customer and cents.
    invoices: Keyspace,
    /// What each customer has paid.
    accounts: Keyspace,
    /// By number of the invoice: the attempt that settled it.
    receipts: Keyspace,
    queue: Queue,
    /// For all threads: what fails for one leaves less for the others to try again.
    retry: Retry,
}

impl Application {
    fn open(directory: &Path) -> Self {
        let store = Store::builder(directory).shards(2).open().unwrap();
        let keyspace = |name, spec: KeyspaceSpec| store.keyspace_or_create(name, spec).unwrap();
        let options = QueueOptions::new()
            .lease(Duration::from_millis(100))
            .retry_after(Duration::from_millis(5))
            .retry_max(Duration::from_millis(40))
            .attempts_max(20);
        Self {
            invoices: keyspace("invoices", KeyspaceSpec::range().into()),
            accounts: keyspace("accounts", KeyspaceSpec::hash().into()),
            receipts: keyspace("receipts", KeyspaceSpec::range().into()),
            queue: Queue::open(&store, "to settle", options).unwrap(),
            retry: Retry::default(),
            store,
        }
    }

    /// Writes an invoice, and the job to settle it.
    fn bill(&self, number: u64, customer: u64, cents: u64) -> Result<()> {
        let (key, invoice) = (format!("{number:08}"), format!("{customer} {cents}"));
        let bill = || {
            self.store.transact(|tx| {
                tx.put(&self.invoices, &key, &invoice)?;
                self.queue.push_in(tx, &key).map(drop)
            })
        };
        self.retry.run(bill)
    }

    /// Settles the invoice of a job; again, if the store refuses it for now.
    fn settle(&self, lease: &Lease) -> Result<()> {
        let settle = || {
            self.store.transact(|tx| {
                let invoice = tx.get(&self.invoices, lease.payload())?.unwrap();
                let (customer, cents) = read(&invoice);
                tx.add(&self.accounts, customer.to_string(), cents as i64)?;
                tx.put(&self.receipts, lease.payload(), lease.attempt().to_string())?;
                self.queue.finish_in(tx, lease)
            })
        };
        self.retry.run(settle)
    }

    /// What a worker does with one job. Some vanish with it, some are late.
    fn work(&self, lease: &Lease, random: &mut fastrand::Rng) {
        let invoice = self.invoices.get(lease.payload()).unwrap().unwrap();
        let done = match random.u32(0..50) {
            _ if is_hopeless(&invoice) => self.queue.fail(lease, "the amount is unlucky"),
            0 => return,
            1 | 2 => self.queue.fail(lease, "the bank is closed"),
            3 => {
                std::thread::sleep(Duration::from_millis(random.u64(80..150)));
                self.settle(lease)
            }
            _ => self.settle(lease),
        };
        match done {
            // Another worker has it by now, and nothing was booked.
            Err(error) if error.kind() == ErrorKind::Gone => {}
            done => done.unwrap(),
        }
    }
}

/// Returns an invoice's customer and cents.
fn read(invoice: &[u8]) -> (u64, u64) {
    let (customer, cents) = std::str::from_utf8(invoice).unwrap().split_once(' ').unwrap();
    (customer.parse().unwrap(), cents.parse().unwrap())
}

fn is_hopeless(invoice: &[u8]) -> bool {
    read(invoice).1 % 100 == 13
}

/// The application: writes invoices and settles them until it is killed.
fn run(directory: &Path) {
    let application = Application::open(directory);
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                let mut random = fastrand::Rng::new();
                loop {
                    let job = application.queue.take_within(Duration::from_secs(1)).unwrap();
                    job.inspect(|lease| application.work(lease, &mut random));
                }
            });
        }
        let mut random = fastrand::Rng::new();
        let numbers = application.invoices.scan(..).unwrap().count() as u64;
        for number in numbers.. {
            let (customer, cents) = (random.u64(..CUSTOMERS), random.u64(1..10_000));
            application.bill(number, customer, cents).unwrap();
            std::thread::sleep(Duration::from_micros(200));
        }
    });
}

/// Kills the application at random moments, settles what is left, and audits the books.
fn check(kills: u32) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    support::kill_repeatedly(&path, kills, &mut support::random());
    let application = Application::open(&path);
    // Whatever its workers have left is due at most a lease, or the longest wait, later.
    while application.queue.keyspace().scan_prefix([1]).unwrap().next().is_some() {
        let Some(lease) = application.queue.take_within(Duration::from_secs(1)).unwrap() else {
            continue;
        };
        let invoice = application.invoices.get(lease.payload()).unwrap().unwrap();
        match is_hopeless(&invoice) {
            true => application.queue.fail(&lease, "the amount is unlucky").unwrap(),
            false => application.settle(&lease).unwrap(),
        }
    }
    let dead: BTreeSet<Vec<u8>> =
        application.queue.dead().unwrap().map(|job| job.unwrap().payload).collect();
    let (mut owed, mut invoices, mut again) = ([0; CUSTOMERS as usize], 0, 0);
    for row in application.invoices.scan(..).unwrap() {
        let (number, invoice) = row.unwrap();
        let receipt = application.receipts.get(&number).unwrap();
        assert_eq!(receipt.is_none(), is_hopeless(&invoice), "{}", number.escape_ascii());
        assert_eq!(receipt.is_none(), dead.contains(&number), "{}", number.escape_ascii());
        let (customer, cents) = read(&invoice);
        owed[customer as usize] += receipt.as_ref().map_or(0, |_| cents as i64);
        again += u64::from(receipt.is_some_and(|attempt| *attempt != *b"1"));
        invoices += 1;
    }
    for (customer, owed) in owed.into_iter().enumerate() {
        let paid = application.accounts.add(customer.to_string(), 0).unwrap();
        assert_eq!(
            paid, owed,
            "customer {customer} has paid another sum than that of the invoices"
        );
    }
    let dead = dead.len();
    assert!(invoices > 100, "only {invoices} invoices");
    println!(
        "{invoices} invoices, each settled once ({again} at a later attempt), or dead ({dead})"
    );
}
