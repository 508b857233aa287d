//! Loads as tables, and as an object.

use super::args::Args;
use crate::exit::Outcome;
use crate::output::Output;
use crate::redact::Keys;
use crate::table::Table;
use crate::text;
use annulus::heat::{HotKey, KeyspaceReport, PartitionReport, Windows};
use annulus::placement::PartitionRange;
use annulus::rebalancer::SavedHeat;
use annulus_workload::human;
use serde_json::{Map, Value, json};
use std::time::UNIX_EPOCH;

/// Returns the requested keyspaces.
fn keyspaces<'h>(args: &Args, heat: &'h SavedHeat) -> impl Iterator<Item = &'h KeyspaceReport> {
    let name = args.keyspace.clone();
    let keyspaces = heat.report.keyspaces.iter();
    keyspaces.filter(move |keyspace| name.as_ref().is_none_or(|name| keyspace.name == *name))
}

/// Returns the requested partitions, the one with the most load first.
fn hottest<'h>(args: &Args, heat: &'h SavedHeat) -> Vec<(&'h KeyspaceReport, &'h PartitionReport)> {
    let mut partitions: Vec<_> = keyspaces(args, heat)
        .flat_map(|keyspace| keyspace.partitions.iter().map(move |it| (keyspace, it)))
        .collect();
    let load = |partition: &PartitionReport| args.window.of(&partition.rates).load;
    partitions.sort_by(|(_, one), (_, other)| load(other).total_cmp(&load(one)));
    partitions.truncate(args.limit);
    partitions
}

/// Prints the age and the total.
pub(super) fn head(args: &Args, heat: &SavedHeat, output: &mut Output) -> Outcome<()> {
    let report = &heat.report;
    let (age, rate) = (human::span(heat.age()), human::rate(args.window.of(&report.total).load));
    let times = args.window.of(&report.max_over_mean);
    let (when, window) = (human::date(heat.written_at), args.window.name());
    output.line(format_args!(
        "{age} ago, at {when}: load {rate}, max/mean of the shards {times:.2}, {window} window"
    ))
}

pub(super) fn shards(args: &Args, heat: &SavedHeat) -> Table {
    let head = ["shard", "weight", "load/s", "of fair", "reads/s", "writes/s", "rows/s", "busy"];
    let mut table = Table::new(1, head);
    for shard in &heat.report.shards {
        let rates = args.window.of(&shard.rates);
        table.row([
            shard.id.to_string(),
            shard.weight.to_string(),
            whole(rates.load),
            format!("{:.2}", args.window.of(&shard.over_fair)),
            whole(rates.reads),
            whole(rates.writes),
            whole(rates.rows),
            human::percent(rates.nanos / 1e9),
        ]);
    }
    table
}

pub(super) fn partitions(args: &Args, heat: &SavedHeat, keys: &Keys) -> Table {
    let head =
        ["partition", "keyspace", "from", "", "shard", "load/s", "share", "reads/s", "writes/s"];
    let mut table = Table::new(4, head);
    let total = args.window.of(&heat.report.total).load;
    for (keyspace, partition) in hottest(args, heat) {
        let rates = args.window.of(&partition.rates);
        let from = match &partition.range {
            PartitionRange::Tokens(span) => span.start.to_string(),
            PartitionRange::Keys(span) => keys.text(&span.start),
        };
        table.row([
            partition.id.to_string(),
            keyspace.name.clone(),
            text::shorten(&from, 32).into_owned(),
            if partition.hot { "hot".into() } else { String::new() },
            partition.owner.to_string(),
            whole(rates.load),
            human::percent(if total > 0.0 { rates.load / total } else { 0.0 }),
            whole(rates.reads),
            whole(rates.writes),
        ]);
    }
    table
}

pub(super) fn keys(args: &Args, heat: &SavedHeat, keys: &Keys) -> Table {
    let mut table = Table::new(4, ["key", "keyspace", "", "", "per second", "error", "share"]);
    for keyspace in keyspaces(args, heat) {
        let kinds = [("read", &keyspace.keys.reads), ("written", &keyspace.keys.writes)];
        for (kind, list) in kinds {
            for key in list.iter().take(args.limit) {
                table.row([
                    text::shorten(&keys.text(&key.key), 40).into_owned(),
                    keyspace.name.clone(),
                    kind.to_owned(),
                    if key.hot { "hot".into() } else { String::new() },
                    whole(key.per_second),
                    whole(key.error_per_second),
                    human::percent(key.share),
                ]);
            }
        }
    }
    table
}

fn whole(rate: f64) -> String {
    human::count(rate.round() as u64)
}

pub(super) fn object(args: &Args, heat: &SavedHeat, damaged: &[String], keys: &Keys) -> Value {
    let report = &heat.report;
    let partitions = hottest(args, heat).into_iter().map(|(keyspace, it)| {
        let mut object = rates(it.rates);
        object.insert("partition".into(), json!(it.id));
        object.insert("keyspace".into(), json!(keyspace.name));
        object.insert("owner".into(), json!(it.owner));
        object.insert("hot".into(), it.hot.into());
        span(&mut object, &it.range, keys);
        Value::Object(object)
    });
    let list = |list: &[HotKey]| -> Vec<Value> {
        list.iter().take(args.limit).map(|key| hot_key(key, keys)).collect()
    };
    let keyspaces = keyspaces(args, heat).map(|keyspace| {
        let mut object = rates(keyspace.rates);
        object.insert("name".into(), json!(keyspace.name));
        object.insert("partitions".into(), json!(keyspace.partition_count));
        object.insert("reads".into(), list(&keyspace.keys.reads).into());
        object.insert("writes".into(), list(&keyspace.keys.writes).into());
        Value::Object(object)
    });
    let since_1970 = heat.written_at.duration_since(UNIX_EPOCH).unwrap_or_default();
    json!({
        "age_ms": heat.age().as_millis() as u64,
        "unix_ms": since_1970.as_millis() as u64,
        "epoch": report.epoch,
        "total": report.total,
        "max_over_mean": report.max_over_mean,
        "shards": report.shards,
        "partitions": partitions.collect::<Vec<_>>(),
        "keyspaces": keyspaces.collect::<Vec<_>>(),
        "damaged": damaged,
    })
}

fn rates(rates: Windows<annulus::heat::PerSecond>) -> Map<String, Value> {
    Map::from_iter([("rates".to_owned(), json!(rates))])
}

fn span(object: &mut Map<String, Value>, span: &PartitionRange, keys: &Keys) {
    match span {
        PartitionRange::Tokens(span) => {
            object.insert("start".into(), span.start.to_string().into());
            object.insert("end".into(), span.end.map(|end| end.to_string()).into());
        }
        PartitionRange::Keys(span) => {
            keys.insert(object, "start", &span.start);
            if let Some(end) = &span.end {
                keys.insert(object, "end", end);
            }
        }
    }
}

fn hot_key(key: &HotKey, keys: &Keys) -> Value {
    let mut object = Map::new();
    keys.insert(&mut object, "key", &key.key);
    object.insert("per_second".into(), key.per_second.into());
    object.insert("error_per_second".into(), key.error_per_second.into());
    object.insert("share".into(), key.share.into());
    object.insert("hot".into(), key.hot.into());
    object.into()
}
