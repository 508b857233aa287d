//! Random reshapes without a pause, for tests that check something else during them; and where such
//! tests put their stores, how long they take, what their seed is.

use annulus::placement::{PartitionRange, Token};
use annulus::planner::{Request, SplitAt};
use annulus::reshape::{Check, Outcome, ReshapeOptions, Transport};
use annulus::topology::KeyspaceLayout;
use annulus::{Error, ErrorKind, Index, PartitionId, ShardId, ShardSpec, Store};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Creates a directory in memory, if there is one: syncs are cheap there. A process that dies
/// leaves it as it was, so only tests of power cuts need a disk.
pub(crate) fn quick_directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.or_else(|_| tempfile::tempdir()).unwrap()
}

/// Returns the seed of a random test: `ANNULUS_SEED`, or another one each time. Printed.
pub(crate) fn seed() -> u64 {
    let seed = std::env::var("ANNULUS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("ANNULUS_SEED={seed}");
    seed
}

/// When a test has done enough: after some work, or, where `ANNULUS_SOAK_SECONDS` is set, after
/// that time.
pub(crate) struct Enough {
    soak_until: Option<Instant>,
}

impl Enough {
    pub(crate) fn new() -> Self {
        let seconds = std::env::var("ANNULUS_SOAK_SECONDS").ok();
        let soak = seconds.map(|seconds| Duration::from_secs(seconds.parse().unwrap()));
        Self { soak_until: soak.map(|soak| Instant::now() + soak) }
    }

    pub(crate) fn is_reached(&self, work_done: bool) -> bool {
        self.soak_until.map_or(work_done, |until| Instant::now() >= until)
    }
}

/// Sets a flag when a test ends, in whichever way, so that its other threads end, too.
pub(crate) struct Stop<'a>(pub(crate) &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Makes one random reshape after the other.
pub(crate) struct Churn {
    random: fastrand::Rng,
    /// Whether another thread reshapes the same store, and may be faster.
    rivals: bool,
    /// How many of a hundred requests concern whole shards.
    shards_percent: u32,
    /// Whose partitions are reshaped, too.
    indexes: Vec<Index>,
    pub(crate) transport: Option<Transport>,
}

impl Churn {
    pub(crate) fn new(seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        let indexes = Vec::new();
        Self { random, rivals: false, shards_percent: 2, indexes, transport: None }
    }

    pub(crate) fn among_rivals(mut self) -> Self {
        self.rivals = true;
        self
    }

    pub(crate) fn with_indexes(mut self, indexes: Vec<Index>) -> Self {
        self.indexes = indexes;
        self
    }

    pub(crate) fn shards_percent(mut self, percent: u32) -> Self {
        self.shards_percent = percent;
        self
    }

    /// Continues until the flag is set.
    pub(crate) fn run(&mut self, store: &Store, stop: &AtomicBool) {
        while !stop.load(Ordering::Acquire) {
            self.step(store);
        }
    }

    /// Makes one request, to its end.
    pub(crate) fn step(&mut self, store: &Store) -> Vec<Outcome> {
        let keyspaces = store.keyspaces().into_iter().map(|keyspace| keyspace.placement());
        let placements = keyspaces.chain(self.indexes.iter().map(Index::placement));
        let placement = self.random.choice(placements.collect::<Vec<_>>()).unwrap();
        let request = match self.random.u32(..100) < self.shards_percent {
            true => self.about_shards(store),
            false => self.about_partitions(store, &placement),
        };
        let Some(request) = request else { return Vec::new() };
        let options = self.options(&request);
        match store.start_with(&request, options).and_then(|job| job.wait()) {
            Ok(outcomes) => outcomes,
            Err(error) if self.is_expected(&request, &error) => Vec::new(),
            Err(error) => panic!("{request:?} with {options:?}: {:?} {error}", error.kind()),
        }
    }

    fn options(&mut self, request: &Request) -> ReshapeOptions {
        let any = [None, Some(Transport::Link), Some(Transport::Copy)];
        let transport = match request {
            // Possibly more than one source.
            Request::Merge { .. } | Request::SetWeight { .. } => [None, any[2]],
            Request::AddShard(_) | Request::RemoveShard(_) => [None, any[2]],
            _ => [any[1], any[2]],
        };
        ReshapeOptions::new()
            .transport(self.transport.or_else(|| self.random.choice(transport).flatten()))
            .check(self.random.choice([Check::None, Check::Sampled, Check::Full]).unwrap())
            .pause_target(Duration::from_millis(self.random.u64(1..40)))
            .trim(self.random.bool())
    }

    fn is_expected(&self, request: &Request, error: &Error) -> bool {
        let at_middle = matches!(request, Request::Split { at: SplitAt::Middle, .. });
        match error.kind() {
            // Too few keys for a middle; or removals that were interrupted, and left their shards
            // draining.
            ErrorKind::InvalidArgument => {
                let text = format!("{error:#}");
                let draining = ["is being removed", "no other shard takes what this one has"];
                at_middle || self.rivals || draining.iter().any(|cause| text.contains(cause))
            }
            // Left by an addition that was interrupted; another shard has its number now.
            ErrorKind::AlreadyExists => matches!(request, Request::AddShard(_)),
            ErrorKind::NotFound | ErrorKind::Busy => self.rivals,
            _ => false,
        }
    }

    fn about_shards(&mut self, store: &Store) -> Option<Request> {
        let topology = store.topology();
        let shards: Vec<ShardId> = topology.shards().map(|shard| shard.id).collect();
        let taken = |name: &str| topology.shards().any(|shard| shard.directory == Path::new(name));
        let free = (0..6).map(|n| format!("shards/{n}")).filter(|name| !taken(name));
        let free = self.random.choice(free.collect::<Vec<_>>())?;
        Some(match self.random.u32(..3) {
            0 if shards.len() < 5 => {
                let weight = self.random.u32(1..3);
                store.add_shard_request(ShardSpec::new(free).weight(weight))
            }
            1 if shards.len() > 3 => Request::RemoveShard(self.random.choice(shards)?),
            _ => {
                let weight = self.random.u32(1..3);
                Request::SetWeight { shard: self.random.choice(shards)?, weight }
            }
        })
    }

    fn about_partitions(&mut self, store: &Store, placement: &KeyspaceLayout) -> Option<Request> {
        let all: Vec<(PartitionId, ShardId)> =
            placement.partitions().map(|partition| (partition.id, partition.owner)).collect();
        let shards: Vec<ShardId> = store.topology().shards().map(|shard| shard.id).collect();
        let index = self.random.usize(..all.len());
        let (partition, owner) = all[index];
        let to = self.random.choice(&shards).copied().filter(|to| *to != owner);
        let many = all.len() > 4 + self.random.usize(..6);
        Some(match (self.random.u32(..4), all.get(index + 1)) {
            (0, Some((right, _))) if many => Request::Merge { left: partition, right: *right, to },
            (0 | 1, _) if !many => {
                let span = placement.partitions().nth(index)?.range;
                Request::Split { partition, at: self.place(span), to }
            }
            _ => Request::Move { partition, to: to? },
        })
    }

    /// Returns somewhere inside a span.
    fn place(&mut self, span: PartitionRange) -> SplitAt {
        match span {
            // Changed weights may leave an arc of a single token, which cannot be cut.
            PartitionRange::Tokens(span) if span.width() > 1 && self.random.bool() => {
                let width = u64::try_from(span.width()).unwrap_or(u64::MAX);
                SplitAt::Token(Token(span.start.0 + self.random.u64(1..width)))
            }
            PartitionRange::Keys(span) => {
                let letter = self.random.lowercase().to_string().into_bytes();
                if span.contains(&letter) && letter[..] != span.start[..] {
                    return SplitAt::Key(letter);
                }
                SplitAt::Middle
            }
            _ => SplitAt::Middle,
        }
    }
}
