//! Trimming: a partition that shares files with others is rewritten with only its own rows.
//!
//! A trim is a move of the partition to its own shard by the copying transport, and so needs no
//! separate protocol. It yields to any other reshape of its partition.

use super::control::Control;
use super::options::{ReshapeOptions, Transport};
use super::protocol::Reshape;
use super::reshaper::Reshaper;
use crate::error::{ErrorKind, Result};
use crate::id::{KeyspaceId, ShardId};
use crate::planner::Step;
use crate::topology::{PartitionName, ReshapeKind};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long a store is left alone after it was opened or reshaped.
const REST: Duration = Duration::from_millis(500);

/// The thread ends after this long without anything to do.
const IDLE_MAX: Duration = Duration::from_secs(5);

/// How long a failed trim is put off: at first, and at most.
const WAIT_MIN: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(300);

/// Starts the trimming thread, unless it is running.
pub(crate) fn start(reshaper: &Arc<Reshaper>) {
    let registry = &reshaper.registry;
    if registry.trimming.swap(true, Ordering::AcqRel) || !registry.thread_started() {
        return;
    }
    let (mine, counted) = (Arc::clone(reshaper), Arc::clone(registry));
    let spawned = std::thread::Builder::new().name("annulus-trim".into()).spawn(move || {
        let _ = catch_unwind(AssertUnwindSafe(|| work(&mine)));
        counted.trimming.store(false, Ordering::Release);
        if counted.has_to_trim() {
            start(&mine);
        }
        drop(mine);
        counted.thread_ended();
    });
    if let Err(error) = spawned {
        tracing::warn!(%error, "cannot start the thread that trims");
        registry.trimming.store(false, Ordering::Release);
        registry.thread_ended();
    }
}

/// Trims that failed for a reason that may pass, such as a full disk. All of them are tried again
/// after a wait that doubles as long as none succeeds.
struct PutOff {
    names: BTreeSet<PartitionName>,
    wait: Duration,
    until: Instant,
}

impl PutOff {
    fn new() -> Self {
        Self { names: BTreeSet::new(), wait: WAIT_MIN, until: Instant::now() }
    }

    fn add(&mut self, name: PartitionName) {
        if self.names.is_empty() {
            self.until = Instant::now() + self.wait;
            self.wait = (self.wait * 2).min(WAIT_MAX);
        }
        self.names.insert(name);
    }

    /// Takes the trims that are to be tried again now.
    fn take(&mut self) -> BTreeSet<PartitionName> {
        if Instant::now() < self.until { BTreeSet::new() } else { std::mem::take(&mut self.names) }
    }
}

fn work(reshaper: &Arc<Reshaper>) {
    let mut idle = Duration::ZERO;
    let mut put_off = PutOff::new();
    while idle < IDLE_MAX {
        match reshaper.registry.next_to_trim(REST) {
            Ok(Some(name)) => {
                idle = Duration::ZERO;
                match trim(reshaper, name) {
                    Ok(()) => put_off.wait = WAIT_MIN,
                    Err(error) if error.kind() == ErrorKind::Closed => return,
                    Err(error) => {
                        tracing::debug!(partition = %name.id, error = format_args!("{error:#}"), "not trimmed");
                        // It yielded to another reshape. If that one fails, the partition is still
                        // there under this name.
                        if error.kind() == ErrorKind::Aborted {
                            reshaper.registry.trim_later(name);
                            std::thread::sleep(REST / 10);
                        } else if error.kind() == ErrorKind::Io {
                            put_off.add(name);
                        }
                    }
                }
            }
            Ok(None) if put_off.names.is_empty() => idle += REST,
            Ok(None) => {
                for name in put_off.take() {
                    reshaper.registry.trim_later(name);
                }
            }
            Err(_) => return,
        }
    }
}

/// Rewrites a partition, if it is still there under this name.
fn trim(reshaper: &Arc<Reshaper>, name: PartitionName) -> Result<()> {
    let Some((keyspace, _)) = find(reshaper, name) else { return Ok(()) };
    let begun = Instant::now();
    let registry = &reshaper.registry;
    let control = Arc::new(Control::new(1));
    let yields = Some(Arc::clone(&control));
    // Takes no place on its shard: there is one trim at a time.
    let _claimed = registry.claim(keyspace, &[name.id], BTreeSet::new(), &control, yields)?;
    // IMPORTANT: look the partition up only now. The reshape that had claimed it before may have
    // moved it.
    let Some((_, owner)) = find(reshaper, name) else { return Ok(()) };
    let step = Step {
        keyspace,
        sources: vec![name.id],
        split_points: Vec::new(),
        owners: vec![owner],
        kind: ReshapeKind::Move,
        moved_bytes: 0,
        bytes: 0,
        reason: "it shares files with other partitions".into(),
    };
    let _disturbance = registry.foreground.disturb();
    let options = ReshapeOptions { transport: Some(Transport::Copy), ..registry.options };
    let reshape = Reshape::prepare(reshaper, &step, options, &control, 0)?;
    reshape.finish(begun, true).error.map_or(Ok(()), Err)
}

/// Returns the keyspace and the owner of a partition, if it is there in this generation.
fn find(reshaper: &Arc<Reshaper>, name: PartitionName) -> Option<(KeyspaceId, ShardId)> {
    let topology = reshaper.catalog.topology();
    let (keyspace, index) = topology.find_partition(name.id)?;
    let partition = topology.keyspace(keyspace)?.partition(index)?;
    (partition.generation == name.generation).then_some((keyspace, partition.owner))
}
