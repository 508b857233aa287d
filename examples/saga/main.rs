//! A saga: an order takes an item from the stock, money from a customer and a place in a van, from
//! three services with a store each, between which there are no transactions. What one refuses, the
//! others undo; and each order comes to one end, though the application is killed again and again.
//!
//! ```text
//! cargo run --release --example saga -- check --kills 10
//! cargo run --release --example saga -- run DIRECTORY
//! ```
//!
//! The state of an order and the job for its next step are one commit, in a fourth store. A step asks
//! a service, which answers each order once, however often it is asked; then the next state, the next
//! job and the end of this one are committed. So a step that was interrupted is made again, and counts
//! once.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "an example fails by panicking"
)]

mod service;
#[path = "../support/mod.rs"]
mod support;

use annulus::queue::{Lease, Queue, QueueOptions};
use annulus::retry::Retry;
use annulus::topology::KeyspaceSpec;
use annulus::{ErrorKind, Keyspace, Result, Store};
use service::Service;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

const ITEMS: u64 = 5;
const CUSTOMERS: u64 = 7;
/// Some run out during the check.
const STOCK: i64 = 400;
const MONEY: i64 = 300_000;

fn main() {
    support::main(run, check);
}

/// Where an order is. What is to be undone stands before what is done first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Reserve,
    Charge,
    Ship,
    Refund,
    Release,
    Shipped,
    Cancelled,
}

impl State {
    const ALL: [Self; 7] = [
        Self::Reserve,
        Self::Charge,
        Self::Ship,
        Self::Refund,
        Self::Release,
        Self::Shipped,
        Self::Cancelled,
    ];

    /// Returns what follows an answer.
    const fn next(self, accepted: bool) -> Self {
        match (self, accepted) {
            (Self::Reserve, true) => Self::Charge,
            (Self::Charge, true) => Self::Ship,
            (Self::Ship, true) => Self::Shipped,
            (Self::Ship, false) => Self::Refund,
            (Self::Charge, false) | (Self::Refund, _) => Self::Release,
            (Self::Reserve, false) | (Self::Release, _) => Self::Cancelled,
            (Self::Shipped | Self::Cancelled, _) => self,
        }
    }

    const fn is_end(self) -> bool {
        matches!(self, Self::Shipped | Self::Cancelled)
    }
}

/// An order: its state, what is ordered, by whom, for how much. A row is these numbers.
#[derive(Debug, Clone, Copy)]
struct Order {
    state: State,
    item: u64,
    customer: u64,
    cents: i64,
}

impl Order {
    fn row(&self) -> String {
        format!("{} {} {} {}", self.state as u8, self.item, self.customer, self.cents)
    }

    fn of(row: &[u8]) -> Self {
        let row = std::str::from_utf8(row).unwrap();
        let mut numbers = row.split(' ').map(|number| number.parse::<u64>().unwrap());
        let mut next = || numbers.next().unwrap();
        let state = State::ALL.into_iter().nth(next() as usize).unwrap();
        Self { state, item: next(), customer: next(), cents: next() as i64 }
    }
}

struct Shop {
    store: Store,
    orders: Keyspace,
    steps: Queue,
    stock: Service,
    payments: Service,
    shipping: Service,
    retry: Retry,
}

impl Shop {
    fn open(directory: &Path) -> Self {
        std::fs::create_dir_all(directory).unwrap();
        let store = Store::builder(directory.join("orders")).shards(1).open().unwrap();
        let options = QueueOptions::new().lease(Duration::from_millis(100)).attempts_max(u32::MAX);
        let shop = Self {
            orders: store.keyspace_or_create("orders", KeyspaceSpec::range()).unwrap(),
            steps: Queue::open(&store, "steps", options).unwrap(),
            store,
            stock: Service::open(&directory.join("stock")),
            payments: Service::open(&directory.join("payments")),
            shipping: Service::open(&directory.join("shipping")),
            retry: Retry::default(),
        };
        (0..ITEMS).for_each(|item| shop.stock.begin_with(&item.to_string(), STOCK));
        (0..CUSTOMERS).for_each(|customer| shop.payments.begin_with(&customer.to_string(), MONEY));
        shop
    }

    fn order(&self, number: &str, order: Order) -> Result<()> {
        self.store.transact(|tx| {
            tx.put(&self.orders, number, order.row())?;
            self.steps.push_in(tx, number).map(drop)
        })
    }

    /// Asks the service of an order's state. Returns whether it accepts.
    fn ask(&self, number: &str, order: &Order) -> Result<bool> {
        let (item, customer) = (order.item.to_string(), order.customer.to_string());
        match order.state {
            State::Reserve => self.stock.take(number, &item, 1),
            State::Charge => self.payments.take(number, &customer, order.cents),
            // No van goes to that address.
            State::Ship => self.shipping.act(number, |tx| {
                let goes = order.cents % 9 != 0;
                if goes {
                    tx.put(&self.shipping.amounts, number, 1_i64.to_le_bytes())?;
                }
                Ok(goes)
            }),
            State::Refund => self.payments.give_back(number, &customer, order.cents).map(|()| true),
            State::Release => self.stock.give_back(number, &item, 1).map(|()| true),
            State::Shipped | State::Cancelled => Ok(true),
        }
    }

    /// Makes the step of a job.
    fn step(&self, lease: &Lease) -> Result<()> {
        let number = std::str::from_utf8(lease.payload()).unwrap();
        let order = Order::of(&self.orders.get(number)?.unwrap());
        // A service that refuses for now is asked again, which counts once.
        let next = order.state.next(self.retry.run(|| self.ask(number, &order))?);
        let commit = || {
            self.store.transact(|tx| {
                self.steps.finish_in(tx, lease)?;
                tx.put(&self.orders, number, Order { state: next, ..order }.row())?;
                if !next.is_end() {
                    self.steps.push_in(tx, number)?;
                }
                Ok(())
            })
        };
        self.retry.run(commit)
    }

    /// Takes an order of anything, by anyone.
    fn order_at_random(&self, number: usize, random: &mut fastrand::Rng) {
        let (item, customer) = (random.u64(..ITEMS), random.u64(..CUSTOMERS));
        let cents = random.i64(1..5_000);
        let order = Order { state: State::Reserve, item, customer, cents };
        self.order(&format!("{number:08}"), order).unwrap();
    }

    /// Makes steps until none comes for a while. Some workers are late, and some vanish.
    fn work(&self, wait: Duration, mut random: Option<fastrand::Rng>) {
        while let Some(lease) = self.steps.take_within(wait).unwrap() {
            match random.as_mut().map_or(99, |random| random.u32(..100)) {
                0 => continue,
                1 => std::thread::sleep(Duration::from_millis(120)),
                _ => {}
            }
            match self.step(&lease) {
                // Another worker has made it, or will.
                Err(error) if error.kind() == ErrorKind::Gone => {}
                stepped => stepped.unwrap(),
            }
        }
    }
}

/// The application: takes orders, and makes their steps, until it is killed.
fn run(directory: &Path) {
    let shop = Shop::open(directory);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    shop.work(Duration::from_secs(1), Some(fastrand::Rng::new()));
                }
            });
        }
        let mut random = fastrand::Rng::new();
        for number in shop.orders.scan(..).unwrap().count().. {
            shop.order_at_random(number, &mut random);
            std::thread::sleep(Duration::from_millis(1));
        }
    });
}

/// Kills the application at random moments, finishes what it has begun, and counts stock and money.
fn check(kills: u32) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("shop");
    let mut random = support::random();
    support::kill_repeatedly(&path, kills, &mut random);
    let shop = Shop::open(&path);
    // Enough of them even if it was always killed while it started.
    let taken = shop.orders.scan(..).unwrap().count();
    (taken..taken + 200).for_each(|number| shop.order_at_random(number, &mut random));
    shop.work(Duration::from_millis(500), None);
    let (mut stock, mut money) = (vec![STOCK; ITEMS as usize], vec![MONEY; CUSTOMERS as usize]);
    let mut ends = BTreeMap::new();
    for row in shop.orders.scan(..).unwrap() {
        let (number, order) = row.unwrap();
        let order = Order::of(&order);
        *ends.entry(order.state).or_insert(0) += 1;
        let is_shipped = shop.shipping.amounts.contains(&number).unwrap();
        assert_eq!(is_shipped, order.state == State::Shipped, "{order:?}");
        assert!(order.state.is_end(), "an order is left at {order:?}");
        if is_shipped {
            *stock.get_mut(order.item as usize).unwrap() -= 1;
            *money.get_mut(order.customer as usize).unwrap() -= order.cents;
        }
    }
    for (item, left) in stock.into_iter().enumerate() {
        assert_eq!(shop.stock.amount(&item.to_string()), left, "pieces of item {item}");
    }
    for (customer, left) in money.into_iter().enumerate() {
        assert_eq!(shop.payments.amount(&customer.to_string()), left, "cents of {customer}");
    }
    let end = |state| ends.get(&state).copied().unwrap_or(0);
    let (shipped, cancelled) = (end(State::Shipped), end(State::Cancelled));
    assert!(shipped > 20 && cancelled > 5, "{shipped} and {cancelled}");
    println!(
        "{shipped} orders shipped, {cancelled} cancelled; stock and money are as they should be"
    );
}
