//! Compactions that are asked for: one of a whole partition, and the removal of one.
//!
//! A partition is a segment with tables of its own, so its removal is a change of the manifest: the
//! compactor takes the segment out of it, and the tables are deleted later.

use super::database::SlateDb;
use super::guarded::Guarded;
use super::handles::Partition;
use super::names::Prefix;
use super::place::ObjectPlace;
use super::threads::Task;
use crate::error::{Error, ErrorKind, Result};
use crate::topology::PartitionName;
use parking_lot::Mutex;
use slatedb::admin::{Admin, AdminBuilder};
use slatedb::bytes::Bytes;
use slatedb::compactor::{CompactionSpec, CompactionStatus, SourceId};
use slatedb::config::{FlushOptions, FlushType};
use slatedb::manifest::Segment;
use slatedb::object_store::ObjectStore;
use slatedb::{Db, ErrorKind as Slate};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedReceiver;

/// How often the state of a compaction is looked at.
const LOOK: Duration =
    if cfg!(test) { Duration::from_millis(20) } else { Duration::from_millis(500) };

/// How long a drain is left alone that has failed.
const AGAIN: Duration =
    if cfg!(test) { Duration::from_millis(200) } else { Duration::from_secs(10) };

/// How long a compaction is waited for that others keep from being made.
const COMPACT_MAX: Duration = Duration::from_secs(3600);

fn admin(place: &ObjectPlace, guarded: &Arc<Guarded>) -> Admin {
    AdminBuilder::new(place.data(), Arc::clone(guarded) as Arc<dyn ObjectStore>).build()
}

/// Returns all tables of a segment, the newest first.
fn sources(segment: &Segment) -> Vec<SourceId> {
    let first_level = segment.l0().iter().map(|table| SourceId::SstView(table.id));
    let runs = segment.compacted().iter().map(|run| SourceId::SortedRun(run.id));
    first_level.chain(runs).collect()
}

/// Starts what removes the rows of partitions, one after the other.
pub(super) fn drain_all(
    db: &Db,
    place: &ObjectPlace,
    guarded: &Arc<Guarded>,
    draining: &Arc<Mutex<BTreeSet<PartitionName>>>,
    mut names: UnboundedReceiver<PartitionName>,
) -> Task {
    let (db, admin, draining) = (db.clone(), admin(place, guarded), Arc::clone(draining));
    let at = place.to_string();
    place.threads.spawn(async move {
        while let Some(name) = names.recv().await {
            draining.lock().insert(name);
            while let Err(error) = drain(&db, &admin, &Prefix::of(name).bytes()).await {
                if matches!(error.kind(), Slate::Closed(_)) {
                    // The next opening removes what is left.
                    return;
                }
                tracing::warn!(partition = %name.id, place = at, %error, "cannot remove rows yet");
                tokio::time::sleep(AGAIN).await;
            }
            draining.lock().remove(&name);
        }
    })
}

/// Removes a segment.
async fn drain(db: &Db, admin: &Admin, prefix: &Bytes) -> std::result::Result<(), slatedb::Error> {
    // What is in memory would come back as another segment of the same name.
    db.flush_with_options(FlushOptions { flush_type: FlushType::MemTable }).await?;
    loop {
        db.refresh_manifest().await?;
        let manifest = db.manifest();
        let Some(segment) = manifest.segment(prefix) else { return Ok(()) };
        let spec = CompactionSpec::drain_segment(prefix.clone(), sources(segment));
        // It fails where another compaction of the segment is being made; then it is tried again.
        let compaction = admin.submit_compaction(spec).await?;
        loop {
            tokio::time::sleep(LOOK).await;
            let found = admin.read_compaction(compaction.id(), None).await?;
            match found.map(|compaction| compaction.status()) {
                None | Some(CompactionStatus::Completed | CompactionStatus::Failed) => break,
                Some(_) => {}
            }
        }
    }
}

impl SlateDb {
    /// Rewrites all tables of a partition.
    pub(super) fn compact_partition(&self, partition: &Partition) -> Result<()> {
        self.flush_all()?;
        let (db, admin) = (&self.open.db, admin(&self.open.place, &self.open.guarded));
        let begun = Instant::now();
        loop {
            let refreshing = db.refresh_manifest();
            self.open.wait("a look at the manifest", None, refreshing)?;
            let manifest = db.manifest();
            let Some(segment) = manifest.segment(&partition.prefix.bytes()) else { return Ok(()) };
            // Into the oldest of its runs, or into a new one: their numbers are of all segments.
            let oldest = segment.compacted().iter().map(|run| run.id).min();
            let runs = manifest.segments().iter().flat_map(|segment| segment.compacted());
            let next = runs.map(|run| run.id).max().map_or(0, |last| last + 1);
            let spec = CompactionSpec::for_segment(
                partition.prefix.bytes(),
                sources(segment),
                oldest.unwrap_or(next),
            );
            let submitting = admin.submit_compaction(spec);
            let compaction = self.open.wait("a compaction", None, submitting)?;
            loop {
                std::thread::sleep(LOOK);
                let reading = admin.read_compaction(compaction.id(), None);
                let found = self.open.wait("a look at a compaction", None, reading)?;
                match found.map(|compaction| compaction.status()) {
                    Some(CompactionStatus::Completed) => {
                        let refreshing = db.refresh_manifest();
                        return self.open.wait("a look at the manifest", None, refreshing);
                    }
                    None | Some(CompactionStatus::Failed) => break,
                    Some(_) => {}
                }
            }
            // Another compaction of the partition was being made.
            if begun.elapsed() > COMPACT_MAX {
                return Err(Error::new(
                    ErrorKind::Busy,
                    format!(
                        "partition {} at {} is always being compacted; try again",
                        partition.name, self.open.place
                    ),
                ));
            }
        }
    }
}
