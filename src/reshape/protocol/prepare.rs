//! The first phase: which partitions are to replace which is determined, checked and made durable.

use super::super::control::Control;
use super::super::journal::{self, Intent};
use super::super::options::{ReshapeOptions, Transport};
use super::super::phase::Phase;
use super::super::reshaper::Reshaper;
use super::context::{Endpoint, Reshape, TargetSpec};
use super::seed::{check_disks, choose};
use super::split_key;
use crate::catalog::View;
use crate::engine::{Engine, ShardEngine};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{PartitionId, ShardId};
use crate::placement::PartitionRange;
use crate::planner::{Step, StepSplitPoint};
use crate::read::RowFilter;
use crate::topology::{Change, PartitionName, ReshapeSpec, SplitPoint, Topology};
use std::sync::Arc;
use std::time::Instant;

impl<'a> Reshape<'a> {
    /// Makes the intent durable, after determining what the step leaves open.
    pub(in crate::reshape) fn prepare(
        reshaper: &'a Arc<Reshaper>,
        step: &Step,
        options: ReshapeOptions,
        control: &'a Control,
        index: usize,
    ) -> Result<Self> {
        let spec = resolve(reshaper, step)?;
        let catalog = &reshaper.catalog;
        let changing = catalog.changing();
        catalog.check_writable()?;
        catalog.check_places()?;
        let present = catalog.topology();
        // Checked first, so that a reshape that was waiting while its keyspace was dropped ends for
        // that reason.
        let view = catalog.keyspace(spec.keyspace)?.view();
        let (mut names, numbered) = present.name_targets(&spec)?;
        for (name, owner) in names.iter_mut().zip(&spec.owners) {
            avoid_stranded(&*catalog.shard(*owner)?, name);
        }
        let ranges = present.target_ranges(&spec)?;
        let next =
            numbered.apply(&Change::Reshape { spec: spec.clone(), targets: names.clone() })?;
        catalog.check_room(&next)?;
        catalog.check_gives_nothing_away(&next)?;
        check_not_draining(&present, &spec)?;
        let sources = open_sources(&present, &view, &spec)?;
        let source_range = whole_range(&present, &spec)?;
        let source_rows = RowFilter::of_range(&view.keyspace, source_range.clone());
        sources.iter().try_for_each(|side| side.partition.check_up_to_date())?;
        let clean = sources.iter().all(|side| side.partition.out_of_range_permille == 0);
        let specify = |((name, owner), range): ((&PartitionName, &ShardId), PartitionRange)| {
            let filter = match clean && spec.owners.len() == 1 {
                true => RowFilter::All,
                false => RowFilter::of_range(&view.keyspace, range.clone()),
            };
            let shard = catalog.shard(*owner)?;
            Ok(TargetSpec { name: *name, owner: *owner, shard, range, filter })
        };
        let target_specs = names.iter().zip(&spec.owners).zip(ranges).map(specify);
        let target_specs = target_specs.collect::<Result<Vec<_>>>()?;
        let partitions: Vec<_> = sources.iter().map(|side| Arc::clone(&side.partition)).collect();
        let engines: Vec<_> =
            target_specs.iter().map(|target_spec| Arc::clone(&target_spec.shard)).collect();
        let transport = choose(options.transport, &partitions, &engines)?;
        if transport == Transport::Copy {
            check_disks(&partitions, &target_specs)?;
        }
        let number = reshaper.registry.number();
        let targets = names.iter().copied().zip(spec.owners.iter().copied()).collect();
        let from = sources.iter().map(|side| side.partition.owner).collect();
        let intent = Intent { spec: spec.clone(), from, targets, transport };
        let begun = Instant::now();
        journal::begin(&catalog.metadata, number, &intent)?;
        let recording = begun.elapsed();
        crate::os::failpoint::hit("reshape-after-intent");
        catalog.set_numbers(numbered);
        let held = view.expiring().map(|expiring| expiring.hold());
        let reshape = Self {
            reshaper,
            options,
            control,
            step: index,
            number,
            spec,
            transport,
            sources,
            held,
            source_range,
            source_rows,
            target_specs,
            recording,
        };
        drop(changing);
        reshape.set_phase(Phase::Prepared);
        Ok(reshape)
    }
}

/// Returns the tokens or keys of all sources together.
fn whole_range(present: &Topology, spec: &ReshapeSpec) -> Result<PartitionRange> {
    let single = ReshapeSpec {
        split_points: Vec::new(),
        owners: spec.owners.iter().take(1).copied().collect(),
        ..spec.clone()
    };
    present.target_ranges(&single)?.into_iter().next().ok_or_else(|| {
        Error::new(ErrorKind::Internal, "a reshape of partitions that cover nothing")
    })
}

/// Returns the sources, with their rows.
fn open_sources(present: &Topology, view: &View, spec: &ReshapeSpec) -> Result<Vec<Endpoint>> {
    let mut sources = Vec::with_capacity(spec.sources.len());
    for id in &spec.sources {
        let (_, at) = present.find_partition(*id).ok_or_else(|| gone(*id))?;
        let filter = match view.keyspace.partitioning().range(at) {
            Some(range) if spec.sources.len() > 1 => RowFilter::of_range(&view.keyspace, range),
            _ => RowFilter::of(view, at)?,
        };
        sources.push(Endpoint { partition: Arc::clone(view.partition(at)?), filter });
    }
    Ok(sources)
}

/// Chooses a later generation for a move whose target was left behind by an error. New numbers need
/// no such check, because they are never assigned twice.
fn avoid_stranded(shard: &ShardEngine, name: &mut PartitionName) {
    while shard.is_stranded(*name) {
        name.generation = name.generation.saturating_add(1);
    }
}

/// Checks that nothing moves to a shard that is being removed. What is already there may be split
/// or rewritten in place.
fn check_not_draining(present: &Topology, spec: &ReshapeSpec) -> Result<()> {
    let from = |id: &PartitionId| {
        let (keyspace, index) = present.find_partition(*id)?;
        present.keyspace(keyspace)?.partitioning().owner(index)
    };
    let from: Vec<_> = spec.sources.iter().filter_map(from).collect();
    let arrives = |id: &&ShardId| {
        !from.contains(id) && present.shard(**id).is_some_and(|shard| shard.draining)
    };
    match spec.owners.iter().find(arrives) {
        Some(shard) => Err(Error::invalid(format!(
            "shard {shard} is being removed; choose another, or abort its removal"
        ))),
        None => Ok(()),
    }
}

/// Returns a step with all split points found.
fn resolve(reshaper: &Arc<Reshaper>, step: &Step) -> Result<ReshapeSpec> {
    let mut split_points = Vec::with_capacity(step.split_points.len());
    for point in &step.split_points {
        split_points.push(match point {
            StepSplitPoint::At(point) => point.clone(),
            StepSplitPoint::Bytes { permille } => {
                SplitPoint::Key(key_at(reshaper, step, *permille)?.into())
            }
        });
    }
    Ok(ReshapeSpec {
        keyspace: step.keyspace,
        sources: step.sources.clone(),
        split_points,
        owners: step.owners.clone(),
    })
}

fn key_at(reshaper: &Arc<Reshaper>, step: &Step, permille: u32) -> Result<Vec<u8>> {
    let [id, ..] = step.sources[..] else {
        return Err(Error::new(ErrorKind::Internal, "a step without a partition"));
    };
    let view = reshaper.catalog.keyspace(step.keyspace)?.view();
    let at = view.position(id).ok_or_else(|| gone(id))?;
    let Some(PartitionRange::Keys(range)) = view.keyspace.partitioning().range(at) else {
        return Err(Error::invalid(format!("partition {id} is an arc; split it at a token")));
    };
    split_key::find_split_key(view.partition(at)?, &range, permille)?.ok_or_else(|| {
        Error::invalid(format!(
            "partition {id} has too few keys to be split; name a key to split at"
        ))
    })
}

fn gone(id: PartitionId) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("partition {id} is gone: it was split, merged or dropped; list those there are"),
    )
}
