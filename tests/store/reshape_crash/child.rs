//! The process that dies.

use super::writes::{WRITERS, Writer, rows};
use crate::basic::{both, small};
use crate::churn::Churn;
use annulus::planner::{Request, SplitAt};
use annulus::reshape::{ReshapeOptions, Transport};
use annulus::{ErrorKind, PartitionId, ShardId, ShardSpec, Store};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const DIRECTORY: &str = "ANNULUS_TEST_RESHAPE_DIRECTORY";
const ORDER: &str = "ANNULUS_TEST_RESHAPE_ORDER";

/// Which reshapes it makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Move,
    Split,
    Merge,
    Shards,
    Any,
}

/// What it should do: `seed` decides about reshapes, `writes` about writes.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) work: Work,
    pub(super) transport: Option<Transport>,
    pub(super) seed: u64,
    pub(super) writes: u64,
}

impl Order {
    fn text(&self) -> String {
        let transport = self.transport.map_or("any".to_owned(), |transport| transport.to_string());
        format!("{:?} {transport} {} {}", self.work, self.seed, self.writes)
    }

    fn parse(text: &str) -> Self {
        let parts: Vec<&str> = text.split(' ').collect();
        let works = [Work::Move, Work::Split, Work::Merge, Work::Shards, Work::Any];
        let work = works.into_iter().find(|work| format!("{work:?}") == parts[0]).unwrap();
        let transport = match parts[1] {
            "link" => Some(Transport::Link),
            "copy" => Some(Transport::Copy),
            _ => None,
        };
        let (seed, writes) = (parts[2].parse().unwrap(), parts[3].parse().unwrap());
        Self { work, transport, seed, writes }
    }
}

pub(super) fn store_at(directory: &Path, trim: bool) -> Store {
    let reshape = ReshapeOptions::new().trim(trim);
    let options = small().arcs_per_shard(1).reshape(reshape);
    Store::builder(directory.join("store")).shards(3).options(options).open().unwrap()
}

/// Starts this test binary again, to run only the child below.
pub(super) fn start(directory: &Path, order: &Order, failpoint: Option<&str>) -> Child {
    let _ = fs::remove_file(directory.join("ready"));
    let log = fs::File::create(directory.join("log")).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    let me = "reshape_crash::child::child";
    command.args(["--exact", me, "--nocapture", "--test-threads=1"]);
    command.env(DIRECTORY, directory).env(ORDER, order.text());
    command.stdout(Stdio::null()).stderr(log);
    if let Some(place) = failpoint {
        command.env("ANNULUS_FAILPOINT", place);
    }
    command.spawn().unwrap()
}

/// Not a test of its own: the process that dies.
#[test]
fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let order = Order::parse(&std::env::var(ORDER).unwrap());
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        usual(panic);
        std::process::exit(70);
    }));
    std::thread::spawn(|| {
        // What takes this long hangs; nothing that is expected here does, on the slowest disk.
        std::thread::sleep(Duration::from_secs(300));
        eprintln!("it did not die");
        std::process::exit(71);
    });
    let store = store_at(&directory, true);
    let there = rows(&store);
    std::thread::scope(|scope| {
        for number in 0..WRITERS {
            let (store, directory, there) = (&store, &directory, &there);
            let mut writer = Writer::new(order.writes, number);
            scope.spawn(move || writer.go_on(store, directory, there));
        }
        fs::write(directory.join("ready"), "").unwrap();
        reshape(&store, &order);
    });
}

fn reshape(store: &Store, order: &Order) {
    let mut random = fastrand::Rng::with_seed(order.seed);
    let mut churn = Churn::new(order.seed).shards_percent(10);
    let options = ReshapeOptions::new().transport(order.transport).trim(true);
    loop {
        let request = match order.work {
            Work::Any => {
                churn.step(store);
                continue;
            }
            Work::Shards => about_shards(store, &mut random),
            work => about_partitions(store, work, &mut random),
        };
        let Some(request) = request else { continue };
        // Several sources cannot be linked.
        let merge = matches!(request, Request::Merge { .. });
        let options = options.transport(options.transport.filter(|_| !merge));
        match store.start_with(&request, options).and_then(|job| job.wait()) {
            Ok(_) => {}
            // An earlier child has died here, and another shard has got the number since.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            // A partition with too few keys has no middle.
            Err(error) if error.kind() == ErrorKind::InvalidArgument && !merge => {}
            Err(error) => panic!("{request:?}: {error}"),
        }
    }
}

fn about_shards(store: &Store, random: &mut fastrand::Rng) -> Option<Request> {
    let topology = store.topology();
    let draining = topology.shards().find(|shard| shard.draining).map(|shard| shard.id);
    let ids: Vec<ShardId> = topology.shards().map(|shard| shard.id).collect();
    if draining.is_some() || ids.len() > 3 {
        return Some(Request::RemoveShard(draining.or_else(|| random.choice(ids))?));
    }
    let taken = |name: &str| topology.shards().any(|shard| shard.directory == Path::new(name));
    // Few, so that directories of removed shards are reused.
    let free = (0..6).map(|n| format!("shards/{n}")).filter(|name| !taken(name));
    let free = random.choice(free.collect::<Vec<_>>())?;
    Some(store.add_shard_request(ShardSpec::new(free)))
}

fn about_partitions(store: &Store, work: Work, random: &mut fastrand::Rng) -> Option<Request> {
    let keyspace = random.choice(both(store))?;
    let placement = keyspace.placement();
    let all: Vec<(PartitionId, ShardId)> =
        placement.partitions().map(|partition| (partition.id, partition.owner)).collect();
    let shards: Vec<ShardId> = store.topology().shards().map(|shard| shard.id).collect();
    let index = random.usize(..all.len());
    let (partition, owner) = all[index];
    let to = random.choice(shards);
    match (work, all.get(index + 1)) {
        (Work::Merge, Some((right, _))) => {
            Some(Request::Merge { left: partition, right: *right, to })
        }
        (Work::Merge, None) => None,
        (Work::Split, _) => Some(Request::Split { partition, at: SplitAt::Middle, to }),
        _ => Some(Request::Move { partition, to: to.filter(|to| *to != owner)? }),
    }
}
