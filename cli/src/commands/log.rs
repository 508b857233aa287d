//! `annulus log`

use crate::exit::{Exit, Failure, Outcome};
use crate::json::PathJson;
use crate::keyspace_names::KeyspaceNames;
use crate::open::ClosedStoreArgs;
use crate::output::Output;
use crate::table::Table;
use crate::text;
use annulus::KeyspaceId;
use annulus::log::{
    ExpiringValue, LogCopy, LogReader, LogSegment, LogView, Operation, Position, Record,
};
use annulus_workload::human;
use serde_json::{Map, Value, json};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

/// How long to wait before a log that is followed is looked at again.
const POLL: Duration = Duration::from_millis(50);

/// Show the log of a store: its files, its records, those to come
///
/// Every write is in the log before it is anywhere else; what has come into files of all shards is
/// released, and not replayed by the next opening. A position is the number of bytes of records before
/// it since the store was created. Takes no lock and changes nothing: another process may have the
/// store open. DIR may also be a directory with copies of segments. If the log has a mirror, the copy
/// is shown that the next opening would read.
///
/// A record is a line for each of its operations: position, time, keyspace, `put`, `delete`,
/// `delete-range`, or `previous` (what the next operation's key had before), key (of a range both, as
/// `from..to`), and the length of the value. Keys are
/// escaped as by `annulus scan`. With --json it is an object for each record. A keyspace that was
/// dropped has only its number.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annulus log -s /data/store
  annulus log -s /data/store --records --keyspace users --limit 20
  annulus log -s /data/store --records --from 48213904 --json
  annulus log -s /data/store --follow
  annulus log -s /data/store --check")]
pub(crate) struct Args {
    #[command(flatten)]
    store: ClosedStoreArgs,

    /// Print the records
    #[arg(long)]
    records: bool,

    /// Print records as they are written, until this command is interrupted; without --from, only
    /// new ones
    #[arg(long)]
    follow: bool,

    /// Read all records, and check each. Ends with 5 at damage, with the file and the offset
    #[arg(long, conflicts_with_all = ["records", "follow"])]
    check: bool,

    #[command(flatten)]
    select: Select,
}

#[derive(Debug, clap::Args)]
struct Select {
    /// Only operations of this keyspace; one that was dropped by its number
    #[arg(long, value_name = "NAME", conflicts_with = "check", help_heading = "Records")]
    keyspace: Option<String>,

    /// From this position on
    #[arg(long, value_name = "POSITION", conflicts_with = "check", help_heading = "Records")]
    from: Option<u64>,

    /// End after this many records
    #[arg(long, value_name = "RECORDS", conflicts_with = "check", help_heading = "Records")]
    limit: Option<u64>,

    /// Print values, too
    #[arg(long, conflicts_with = "check", help_heading = "Records")]
    values: bool,

    /// Print keys and values as hexadecimal digits
    #[arg(long, conflicts_with = "check", help_heading = "Records")]
    hex: bool,
}

impl Select {
    const fn is_empty(&self) -> bool {
        let Self { keyspace, from, limit, values, hex } = self;
        keyspace.is_none() && from.is_none() && limit.is_none() && !*values && !*hex
    }
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Outcome<Exit> {
    if !args.records && !args.follow && !args.select.is_empty() {
        let text = "--keyspace, --from, --limit, --values and --hex go with --records or --follow";
        return Err(Failure::usage(text));
    }
    let store = &args.store.store;
    if !store.is_dir() {
        return Err(Failure::not_found(format!("there is no store in {}", store.display())));
    }
    let log = LogView::open(store)?;
    if args.check {
        return check(&log, output);
    }
    if !args.records && !args.follow {
        return overview(&log, output);
    }
    let mut printer = Printer::new(&log, &args.select, output)?;
    let from = args.select.from.map(Position::new);
    if args.follow {
        let mut reader = log.follow(from.unwrap_or_else(|| log.end()))?;
        while printer.print(&mut reader)? {
            printer.output.finish()?;
            sleep(POLL);
        }
        return Ok(Exit::Fine);
    }
    let mut reader = log.records(from.unwrap_or_else(|| log.begin()))?;
    let goes_on = printer.print(&mut reader)?;
    match log.damage() {
        Some(damage) if goes_on => Err(damage.clone().into()),
        _ => Ok(Exit::Fine),
    }
}

fn check(log: &LogView, output: &mut Output) -> Outcome<Exit> {
    let records = log.check()?;
    if output.json() {
        let lost: Vec<String> = log.lost().iter().map(ToString::to_string).collect();
        output.object(&json!({ "sound": true, "records": records, "lost": lost }))?;
        return Ok(Exit::Fine);
    }
    for lost in log.lost() {
        output.line(format_args!("a torn end, which the next opening cuts: {lost}"))?;
    }
    output.line(format_args!("no damage in {} records", human::count(records)))?;
    Ok(Exit::Fine)
}

fn overview(log: &LogView, output: &mut Output) -> Outcome<Exit> {
    let times = || log.segments().iter().filter_map(|segment| segment.times);
    let (first_at, last_at) =
        (times().next().map(|(at, _)| at), times().next_back().map(|(_, at)| at));
    let records = log.segments().iter().map(|segment| segment.records).sum::<u64>();
    let lost: Vec<String> = log.lost().iter().map(ToString::to_string).collect();
    if output.json() {
        output.object(&json!({
            "directory": PathJson(log.directory()),
            "begin": log.begin().get(),
            "first": log.first().get(),
            "end": log.end().get(),
            "bytes": log.bytes(),
            "records": records,
            "first_at": first_at.map(human::precise_date),
            "last_at": last_at.map(human::precise_date),
            "damage": log.damage().map(|damage| format!("{damage:#}")),
            "lost": lost,
            "copies": log.copies().iter().map(copy).collect::<Vec<_>>(),
            "segments": log.segments().iter().map(object).collect::<Vec<_>>(),
        }))?;
    } else {
        output.line(format_args!("log {}", log.directory().display()))?;
        output.line(format_args!(
            "positions {} to {}; an opening replays from {}",
            log.begin(),
            log.end(),
            log.first()
        ))?;
        let files = human::bytes(log.bytes());
        let records = human::count(records);
        output.line(match (first_at, last_at) {
            (Some(first), Some(last)) => format!(
                "{files} in files; {records} records, from {} to {}",
                human::precise_date(first),
                human::precise_date(last)
            ),
            _ => format!("{files} in files; no records"),
        })?;
        if log.copies().len() > 1 {
            output.text(format_args!("\n{}", copies(log.copies())))?;
        }
        output.text(format_args!("\n{}", table(log.segments())))?;
        for lost in lost {
            output.line(format_args!("lost: {lost}"))?;
        }
    }
    match log.damage() {
        Some(damage) => Err(damage.clone().into()),
        None => Ok(Exit::Fine),
    }
}

fn copy(copy: &LogCopy) -> Value {
    json!({
        "directory": PathJson(&copy.directory),
        "current": copy.is_current,
        "end": copy.end.map(Position::get),
        "damage": copy.damage.as_ref().map(|damage| format!("{damage:#}")),
    })
}

fn copies(copies: &[LogCopy]) -> Table {
    let mut table = Table::new(1, ["copy", "end", "state"]);
    for copy in copies {
        let state = match &copy.damage {
            Some(damage) => format!("damaged: {damage:#}"),
            None if copy.is_current => "has everything".to_owned(),
            None => "given up: the next opening makes it again".to_owned(),
        };
        let end = copy.end.map(|end| end.to_string()).unwrap_or_default();
        table.row([copy.directory.display().to_string(), end, state]);
    }
    table
}

fn object(segment: &LogSegment) -> Value {
    json!({
        "file": PathJson(&segment.file),
        "number": segment.number,
        "state": segment.state.as_str(),
        "bytes": segment.bytes,
        "first": segment.positions.start.get(),
        "end": segment.positions.end.get(),
        "records": segment.records,
        "first_at": segment.times.map(|(first, _)| human::precise_date(first)),
        "last_at": segment.times.map(|(_, last)| human::precise_date(last)),
    })
}

fn table(segments: &[LogSegment]) -> Table {
    let head = ["segment", "state", "bytes", "from", "to", "records", "first", "last"];
    let mut table = Table::new(2, head);
    for segment in segments {
        let has_records = !segment.positions.is_empty();
        let position = |it: Position| if has_records { it.to_string() } else { String::new() };
        let time = |at: Option<SystemTime>| at.map(human::precise_date).unwrap_or_default();
        let name = segment.file.file_name().unwrap_or_default();
        table.row([
            name.display().to_string(),
            segment.state.as_str().to_owned(),
            human::bytes(segment.bytes),
            position(segment.positions.start),
            position(segment.positions.end),
            human::count(segment.records),
            time(segment.times.map(|(first, _)| first)),
            time(segment.times.map(|(_, last)| last)),
        ]);
    }
    table
}

/// Prints records.
struct Printer<'a> {
    names: KeyspaceNames<'a>,
    keyspace: Option<KeyspaceId>,
    /// How many more records are to be printed.
    left: u64,
    values: bool,
    hex: bool,
    output: &'a mut Output,
}

impl<'a> Printer<'a> {
    fn new(log: &'a LogView, select: &Select, output: &'a mut Output) -> Outcome<Self> {
        let names = KeyspaceNames::read(log, output);
        let keyspace = match &select.keyspace {
            None => None,
            Some(name) => Some(names.number(name)?),
        };
        let (values, hex) = (select.values, select.hex);
        let left = select.limit.unwrap_or(u64::MAX);
        Ok(Self { names, keyspace, left, values, hex, output })
    }

    /// Prints the records that there are; returns false if there are to be no more.
    fn print(&mut self, reader: &mut LogReader) -> Outcome<bool> {
        while self.left > 0 {
            let Some(record) = reader.next()? else { return Ok(true) };
            self.names.learn(record.operations().map(|operation| operation.keyspace()));
            if self.record(&record)? {
                self.left -= 1;
            }
        }
        Ok(false)
    }

    /// Prints a record; returns whether anything of it was to be printed.
    fn record(&mut self, record: &Record<'_>) -> Outcome<bool> {
        let wanted = |operation: &Operation<'_>| {
            self.keyspace.is_none_or(|keyspace| operation.keyspace() == keyspace)
        };
        let mut operations = record.operations().filter(wanted).peekable();
        if operations.peek().is_none() {
            return Ok(false);
        }
        let (position, time) = (record.start(), human::precise_date(record.time()));
        if self.output.json() {
            let operations: Vec<Value> = operations.map(|it| self.operation_object(&it)).collect();
            self.output.object(&json!({
                "position": position.get(),
                "end": record.end().get(),
                "time": time,
                "timestamp": record.timestamp().to_string(),
                "operations": operations,
            }))?;
            return Ok(true);
        }
        let lines: Vec<String> = operations.map(|it| self.operation_line(&it)).collect();
        for line in lines {
            self.output.line(format_args!("{position}\t{time}\t{line}"))?;
        }
        Ok(true)
    }

    fn operation_line(&self, operation: &Operation<'_>) -> String {
        let keyspace = self.names.show(operation.keyspace());
        let show = |bytes| text::show(bytes, self.hex);
        match *operation {
            Operation::Put { key, value, .. } if self.values => {
                let bytes = value.len();
                format!("{keyspace}\tput\t{}\t{bytes} B\t{}", show(key), show(value))
            }
            Operation::Put { key, value, .. } => {
                format!("{keyspace}\tput\t{}\t{} B", show(key), value.len())
            }
            Operation::PutUntil { key, value, .. } => {
                let until = until(value);
                let (key, value) = (show(key), value.value());
                let bytes = value.len();
                let shown = if self.values { format!("\t{}", show(value)) } else { String::new() };
                format!("{keyspace}\tput\t{key}\t{bytes} B\tuntil {until}{shown}")
            }
            Operation::Delete { key, .. } => format!("{keyspace}\tdelete\t{}", show(key)),
            Operation::DeleteRange { start, end, .. } => {
                format!("{keyspace}\tdelete-range\t{}..{}", show(start), show(end))
            }
            Operation::Previous { key, value: None, .. } => {
                format!("{keyspace}\tprevious\t{}\tnone", show(key))
            }
            Operation::Previous { key, value: Some(value), .. } if self.values => {
                let bytes = value.len();
                format!("{keyspace}\tprevious\t{}\t{bytes} B\t{}", show(key), show(value))
            }
            Operation::Previous { key, value: Some(value), .. } => {
                format!("{keyspace}\tprevious\t{}\t{} B", show(key), value.len())
            }
        }
    }

    fn operation_object(&self, operation: &Operation<'_>) -> Value {
        let mut object = Map::new();
        let keyspace = operation.keyspace();
        object.insert("keyspace".into(), self.names.get(keyspace).into());
        object.insert("keyspace_id".into(), keyspace.0.into());
        let kind = match operation {
            Operation::Put { .. } | Operation::PutUntil { .. } => "put",
            Operation::Delete { .. } => "delete",
            Operation::DeleteRange { .. } => "delete_range",
            Operation::Previous { .. } => "previous",
        };
        object.insert("kind".into(), kind.into());
        match *operation {
            Operation::Put { key, value, .. } => {
                text::insert(&mut object, "key", key, self.hex);
                object.insert("value_bytes".into(), value.len().into());
                if self.values {
                    text::insert(&mut object, "value", value, self.hex);
                }
            }
            Operation::PutUntil { key, value, .. } => {
                text::insert(&mut object, "key", key, self.hex);
                object.insert("until".into(), value.expires().map(human::precise_date).into());
                object.insert("value_bytes".into(), value.value().len().into());
                if self.values {
                    text::insert(&mut object, "value", value.value(), self.hex);
                }
            }
            Operation::Delete { key, .. } => text::insert(&mut object, "key", key, self.hex),
            Operation::DeleteRange { start, end, .. } => {
                text::insert(&mut object, "from", start, self.hex);
                text::insert(&mut object, "to", end, self.hex);
            }
            Operation::Previous { key, value, .. } => {
                text::insert(&mut object, "key", key, self.hex);
                object.insert("value_bytes".into(), value.map(<[u8]>::len).into());
                if let Some(value) = value.filter(|_| self.values) {
                    text::insert(&mut object, "value", value, self.hex);
                }
            }
        }
        Value::Object(object)
    }
}

/// Returns when a row expires, for people.
fn until(value: ExpiringValue<'_>) -> String {
    value.expires().map_or_else(|| "ever".to_owned(), human::precise_date)
}
