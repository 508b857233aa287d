//! `annulus verify --salvage`

use crate::exit::{Exit, Failure, Outcome};
use crate::output::Output;
use crate::table::Table;
use annulus::report::LeftOut;
use annulus::topology::{KeyspaceSpec, Partitioning, TimeToLive};
use annulus::{CreateMode, Durability, Keyspace, Options, ReadOptions, ScanOptions, Store};
use annulus_bench::loader::Loader;
use annulus_workload::human;
use serde::Serialize;
use std::path::Path;

/// What was copied of a keyspace, and what could not be.
#[derive(Serialize)]
struct Salvaged {
    keyspace: String,
    rows: u64,
    bytes: u64,
    partitions: u64,
    left_out: Vec<LeftOut>,
}

/// Copies every row that can be read to a new store, and counts what cannot. Ends with 5 if anything is
/// left out.
pub(super) fn run(
    store: &Store,
    to: &Path,
    options: Options,
    output: &mut Output,
) -> Outcome<Exit> {
    let shards = u32::try_from(store.topology().shards().len()).unwrap_or(u32::MAX);
    let builder = Store::builder(to).shards(shards).create(CreateMode::New);
    let copy = builder.options(options).open()?;
    let mut all = Vec::new();
    for keyspace in store.keyspaces() {
        let target = copy.create_keyspace(keyspace.name(), spec(&keyspace)?)?;
        all.push(salvage(&keyspace, &copy, &target)?);
    }
    copy.sync()?;
    copy.close()?;
    print(&all, to, output)?;
    let is_whole = all.iter().all(|keyspace| keyspace.left_out.is_empty());
    Ok(if is_whole { Exit::Fine } else { Exit::Damaged })
}

fn salvage(keyspace: &Keyspace, copy: &Store, target: &Keyspace) -> Outcome<Salvaged> {
    let options = ScanOptions::new().read(ReadOptions::new().bypass_cache(true));
    let options = options.leave_out_damaged(true).leave_out_missing(true);
    let mut scan = keyspace.scan_with(.., options)?;
    let mut loader = Loader::new(copy, target, Durability::Buffered);
    let expires = keyspace.placement().time_to_live().is_some();
    let (mut rows, mut bytes) = (0, 0);
    while let Some((key, value, until)) = scan.next_row_until()? {
        match expires {
            true => loader.put_until(key, value, until)?,
            false => loader.put(key, value)?,
        };
        rows += 1;
        bytes += (key.len() + value.len()) as u64;
    }
    loader.commit()?;
    Ok(Salvaged {
        keyspace: keyspace.name().to_owned(),
        rows,
        bytes,
        partitions: keyspace.placement().partition_count() as u64,
        left_out: scan.left_out(),
    })
}

/// Returns a specification by which a keyspace like this one is created.
fn spec(keyspace: &Keyspace) -> Outcome<KeyspaceSpec> {
    let placement = keyspace.placement();
    let lives = placement.time_to_live().map(TimeToLive::default_lifetime);
    match placement.partitioning() {
        Partitioning::Hash { hashed, .. } => {
            let spec = KeyspaceSpec::hash().hashed(*hashed);
            Ok(match lives {
                None => spec.into(),
                Some(None) => spec.time_to_live_by_put().into(),
                Some(Some(lifetime)) => spec.time_to_live(lifetime).into(),
            })
        }
        Partitioning::Range { map, .. } => {
            let spec = KeyspaceSpec::range().split_at(map.boundaries().map(<[u8]>::to_vec));
            Ok(match lives {
                None => spec.into(),
                Some(None) => spec.time_to_live_by_put().into(),
                Some(Some(lifetime)) => spec.time_to_live(lifetime).into(),
            })
        }
        _ => Err(Failure::usage("a keyspace is partitioned in a way that is not known")),
    }
}

fn print(all: &[Salvaged], to: &Path, output: &mut Output) -> Outcome<()> {
    if output.json() {
        return all.iter().try_for_each(|keyspace| output.object(keyspace));
    }
    let mut table =
        Table::new(1, ["keyspace", "rows copied", "bytes", "partitions", "in part or not"]);
    for Salvaged { keyspace, rows, bytes, partitions, left_out } in all {
        table.row([
            keyspace.clone(),
            human::count(*rows),
            human::bytes(*bytes),
            partitions.to_string(),
            left_out.len().to_string(),
        ]);
    }
    output.text(format_args!("{table}\n"))?;
    for keyspace in all {
        for part in &keyspace.left_out {
            output.line(format_args!("not copied of {}: {part}", keyspace.keyspace))?;
        }
    }
    output.line(format_args!("copied to {}", to.display()))
}
