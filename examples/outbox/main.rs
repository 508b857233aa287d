//! An outbox: what an application writes is published to a stream of a NATS server, every event once,
//! in order, and none before it is committed, though the application is killed again and again.
//!
//! ```text
//! cargo run --release --example outbox -- check --server PATH/nats-server --kills 10
//! cargo run --release --example outbox -- run DIRECTORY 127.0.0.1:4222
//! ```
//!
//! There is no table of events to be sent: the feed of changes is one. A consumer returns what is
//! synced; each change is published with its position as its number, and once the stream has it, the
//! position is committed. After a kill in between, the change is published again with the same number,
//! and the stream drops it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "an example fails by panicking"
)]

mod nats;

use annulus::changes::{Change, ChangesFrom};
use annulus::topology::KeyspaceSpec;
use annulus::{Batch, Store};
use nats::Nats;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const STREAM: &str = "ORDERS";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["run", directory, server] => run(Path::new(directory), server),
        ["check", "--server", server, "--kills", kills] => check(server, kills.parse().unwrap()),
        _ => panic!("run DIRECTORY HOST:PORT, or check --server PATH --kills N"),
    }
}

fn open(directory: &Path) -> Store {
    Store::builder(directory).shards(3).open().unwrap()
}

/// The application: takes orders until it is killed, and publishes them.
fn run(directory: &Path, server: &str) {
    let store = open(directory);
    let orders = store.keyspace_or_create("orders", KeyspaceSpec::hash()).unwrap();
    let totals = store.keyspace_or_create("totals", KeyspaceSpec::range()).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| publish(&store, server, None));
        let number = |value: &[u8]| std::str::from_utf8(value).unwrap().parse::<u64>().unwrap();
        let last = totals.get("orders").unwrap().map_or(0, |value| number(&value));
        for order in last + 1.. {
            let mut batch = Batch::new();
            batch.put(&orders, format!("{order:08}"), format!("{} cups of tea", order % 7));
            batch.put(&totals, "orders", order.to_string());
            store.write(batch).unwrap();
            std::thread::sleep(Duration::from_micros(300));
        }
    });
}

/// Publishes what is committed; without end, or until nothing has come for a while.
fn publish(store: &Store, server: &str, until_idle: Option<Duration>) {
    let orders = store.keyspace("orders").unwrap();
    let mut nats = Nats::connect(server).unwrap();
    nats.create_stream(STREAM, "orders.>").unwrap();
    let outbox = store.consumer_or_create("outbox", ChangesFrom::Earliest).unwrap();
    let mut changes = outbox.changes().unwrap().keyspace(&orders).open().unwrap();
    loop {
        let wait = until_idle.unwrap_or(Duration::from_secs(3600));
        let Some(first) = changes.next_timeout(wait).unwrap() else {
            if until_idle.is_some() {
                return;
            }
            continue;
        };
        // What else is there goes along.
        let mut commits = vec![first];
        while commits.len() < 256 {
            let Some(commit) = changes.try_next().unwrap() else { break };
            commits.push(commit);
        }
        let mut messages = Vec::new();
        for commit in &commits {
            for (index, change) in commit.changes().enumerate() {
                let Change::Put { key, value, .. } = change else { continue };
                let subject = format!("orders.{}", String::from_utf8_lossy(key));
                messages.push((subject, format!("{}.{index}", commit.position()), value.to_vec()));
            }
        }
        nats.publish(&messages).unwrap();
        outbox.commit(changes.watermark()).unwrap();
    }
}

/// A process that ends with this one.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Kills the application at random moments, and then compares stream and store.
fn check(server: &str, kills: u32) {
    let directory = tempfile::tempdir().unwrap();
    let (data, port) = (directory.path().join("nats"), free_port().to_string());
    let address = format!("127.0.0.1:{port}");
    let mut command = Command::new(server);
    command.args(["-js", "-a", "127.0.0.1", "-p", &port, "-sd"]).arg(&data);
    let _server = Process(command.stderr(Stdio::null()).spawn().unwrap());
    let begun = Instant::now();
    while Nats::connect(&address).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{server} does not answer");
        std::thread::sleep(Duration::from_millis(20));
    }
    let path = directory.path().join("store");
    let seed = std::env::var("ANNULUS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("ANNULUS_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..kills {
        let mut application = Command::new(std::env::current_exe().unwrap());
        application.arg("run").arg(&path).arg(&address);
        let mut application = Process(application.spawn().unwrap());
        std::thread::sleep(Duration::from_millis(random.u64(300..1500)));
        let ended = application.0.try_wait().unwrap();
        assert!(ended.is_none(), "the application ended by itself: {ended:?}");
        drop(application);
        // Whatever is in the stream was committed.
        let store = open(&path);
        let rows = store.keyspace_or_create("orders", KeyspaceSpec::hash()).unwrap().count();
        let mut nats = Nats::connect(&address).unwrap();
        let published = nats.messages(STREAM).unwrap_or(0);
        assert!(published <= rows.unwrap(), "published before it was committed");
    }
    let store = open(&path);
    publish(&store, &address, Some(Duration::from_millis(300)));
    let mut nats = Nats::connect(&address).unwrap();
    let published = nats.messages(STREAM).unwrap();
    let orders = store.keyspace("orders").unwrap();
    assert_eq!(published, orders.count().unwrap(), "each order once");
    for (place, row) in (1..).zip(orders.scan(..).unwrap()) {
        let (key, value) = row.unwrap();
        let message = nats.get(STREAM, place).unwrap();
        let subject = format!("Nats-Subject: orders.{}\r\n", String::from_utf8_lossy(&key));
        assert!(message.headers.contains(&subject), "{place}: {}", message.headers);
        assert_eq!(message.content, value, "{subject}");
    }
    println!("{published} orders, each published once and in order, over {kills} kills");
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
