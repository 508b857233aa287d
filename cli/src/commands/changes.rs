//! `annulus changes`

use crate::exit::{Exit, Failure, Outcome};
use crate::keyspace_names::KeyspaceNames;
use crate::open::{ClosedStoreArgs, ConsumerArgs};
use crate::output::Output;
use crate::text;
use annulus::KeyspaceId;
use annulus::changes::{Change, OldValue};
use annulus::log::{LogReader, LogView, Position, Record};
use annulus_workload::human;
use serde_json::{Map, Value, json};
use std::ffi::OsString;
use std::thread::sleep;
use std::time::Duration;

/// How names of keyspaces begin that are the store's own; their changes are printed on request.
const OWN_PREFIX: &str = "annulus/";

/// How long to wait before a log that is followed is looked at again.
const POLL: Duration = Duration::from_millis(50);

/// Print what was changed, commit by commit, from the log of a store
///
/// What is written is printed once the log says that it is on the disk, so that no power cut takes it
/// back: with the next sync after it. Takes no lock and changes nothing: another process may have the
/// store open. How much of the log is there depends on the options log_keep_bytes and, where there
/// are consumers, changes_keep_bytes, with which the store is opened.
///
/// A commit is a line for each of its changes: position, time, keyspace, `put`, `delete` or
/// `delete-range`, key (of a range both, as `from..to`), the value, `until` when the row lives, if it
/// expires, and the value before, if that is logged: `none` if there was none. Keys and values are
/// escaped as by `annulus scan`. With --json it is an object for each commit; `end` is the position
/// to continue from. A keyspace that was dropped has only its number.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annulus changes -s /data/store
  annulus changes -s /data/store --follow --json
  annulus changes -s /data/store --from 48213904 --keyspace orders --prefix 2026/
  annulus changes -s /data/store --consumer mail --limit 10")]
pub(crate) struct Args {
    #[command(flatten)]
    store: ClosedStoreArgs,

    /// Print changes as they are written, until this command is interrupted; without --from or
    /// --consumer, only new ones
    #[arg(long)]
    follow: bool,

    /// From this position on [default: the oldest that is there]
    #[arg(long, value_name = "POSITION")]
    from: Option<u64>,

    #[command(flatten)]
    consumer: ConsumerArgs,

    /// Only changes of this keyspace; one that was dropped by its number
    #[arg(long, value_name = "NAME")]
    keyspace: Option<String>,

    /// Only changes of keys that begin with this
    #[arg(long, value_name = "KEY")]
    prefix: Option<OsString>,

    /// End after this many commits
    #[arg(long, value_name = "COMMITS")]
    limit: Option<u64>,

    /// Print also what a power cut could still take back
    #[arg(long)]
    unsynced: bool,

    /// Keys and values, and that of --prefix, are hexadecimal digits
    #[arg(long)]
    hex: bool,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Outcome<Exit> {
    let store = &args.store.store;
    if !store.is_dir() {
        return Err(Failure::not_found(format!("there is no store in {}", store.display())));
    }
    let consumer = args.consumer.position(store)?;
    let log = LogView::open(store)?;
    let from = args.from.map(Position::new).or(consumer);
    let from = from.unwrap_or_else(|| if args.follow { log.end() } else { log.begin() });
    let mut printer = Printer::new(&log, args, output)?;
    let mut reader = if args.follow { log.follow(from)? } else { log.records(from)? };
    if !args.follow {
        let until = if args.unsynced { log.end() } else { log.synced() };
        let goes_on = printer.print(&mut reader, until)?;
        if let Some(damage) = log.damage().filter(|_| goes_on) {
            return Err(damage.clone().into());
        }
        if goes_on && reader.next()?.is_some() {
            let text = "what follows may not be on the disk yet; --unsynced prints it, too";
            printer.output.note(text);
        }
        return Ok(Exit::Fine);
    }
    // Another reader goes ahead, and finds out what is synced.
    let mut ahead = log.follow(log.end())?;
    loop {
        while ahead.next()?.is_some() {}
        let synced = log.synced().max(ahead.synced());
        let until = if args.unsynced { ahead.position() } else { synced };
        if !printer.print(&mut reader, until)? {
            return Ok(Exit::Fine);
        }
        printer.output.finish()?;
        sleep(POLL);
    }
}

/// Prints commits.
struct Printer<'a> {
    names: KeyspaceNames<'a>,
    keyspace: Option<KeyspaceId>,
    prefix: Vec<u8>,
    /// How many more commits are to be printed.
    left: u64,
    hex: bool,
    output: &'a mut Output,
}

impl<'a> Printer<'a> {
    fn new(log: &'a LogView, args: &Args, output: &'a mut Output) -> Outcome<Self> {
        let names = KeyspaceNames::read(log, output);
        let keyspace = match &args.keyspace {
            None => None,
            Some(name) => Some(names.number(name)?),
        };
        let prefix = args.prefix.as_ref().map(|key| crate::argument::parse(key, args.hex));
        let (prefix, left) =
            (prefix.transpose()?.unwrap_or_default(), args.limit.unwrap_or(u64::MAX));
        Ok(Self { names, keyspace, prefix, left, hex: args.hex, output })
    }

    /// Prints the commits before a position; returns false if there are to be no more.
    fn print(&mut self, reader: &mut LogReader, until: Position) -> Outcome<bool> {
        while self.left > 0 {
            let Some(record) = reader.next_before(until)? else { return Ok(true) };
            self.names.learn(record.changes().map(|change| change.keyspace()));
            if self.record(&record)? {
                self.left -= 1;
            }
        }
        Ok(false)
    }

    fn wants(&self, change: &Change<'_>) -> bool {
        if self.keyspace.is_some_and(|keyspace| change.keyspace() != keyspace) {
            return false;
        }
        match *change {
            Change::DeleteRange { start, end, .. } => {
                let prefix = &self.prefix[..];
                prefix < end && (start <= prefix || start.starts_with(prefix))
            }
            _ => change.key().starts_with(&self.prefix),
        }
    }

    /// Prints a commit; returns whether anything of it was to be printed.
    fn record(&mut self, record: &Record<'_>) -> Outcome<bool> {
        let is_own = |change: &Change<'_>| {
            let name = self.names.get(change.keyspace());
            name.is_some_and(|name| name.starts_with(OWN_PREFIX)) && self.keyspace.is_none()
        };
        let changes: Vec<Change<'_>> =
            record.changes().filter(|change| self.wants(change) && !is_own(change)).collect();
        if changes.is_empty() {
            return Ok(false);
        }
        let (position, time) = (record.start(), human::precise_date(record.time()));
        if self.output.json() {
            let changes: Vec<Value> = changes.iter().map(|it| self.object(it)).collect();
            self.output.object(&json!({
                "position": position.get(),
                "end": record.end().get(),
                "time": time,
                "timestamp": record.timestamp().to_string(),
                "changes": changes,
            }))?;
            return Ok(true);
        }
        for change in &changes {
            let line = self.line(change);
            self.output.line(format_args!("{position}\t{time}\t{line}"))?;
        }
        Ok(true)
    }

    fn line(&self, change: &Change<'_>) -> String {
        let name = self.names.show(change.keyspace());
        let show = |bytes| text::show(bytes, self.hex);
        let before = |old| match old {
            OldValue::NotLogged => String::new(),
            OldValue::Absent => "\tnone".to_owned(),
            OldValue::Value(old) => format!("\tbefore {}", show(old)),
        };
        match *change {
            Change::Put { key, value, old, expires, .. } => {
                let until = expires.map(|at| format!("\tuntil {}", human::precise_date(at)));
                let (until, before) = (until.unwrap_or_default(), before(old));
                format!("{name}\tput\t{}\t{}{until}{before}", show(key), show(value))
            }
            Change::Delete { key, old, .. } => {
                format!("{name}\tdelete\t{}{}", show(key), before(old))
            }
            Change::DeleteRange { start, end, .. } => {
                format!("{name}\tdelete-range\t{}..{}", show(start), show(end))
            }
            _ => format!("{name}\tunknown\t{}", show(change.key())),
        }
    }

    fn object(&self, change: &Change<'_>) -> Value {
        let mut object = Map::new();
        let keyspace = change.keyspace();
        object.insert("keyspace".into(), self.names.get(keyspace).into());
        object.insert("keyspace_id".into(), keyspace.0.into());
        let mut add = |name: &str, bytes| text::insert(&mut object, name, bytes, self.hex);
        let (kind, old) = match *change {
            Change::Put { key, value, old, expires, .. } => {
                add("key", key);
                add("value", value);
                if let Some(at) = expires {
                    object.insert("until".into(), human::precise_date(at).into());
                }
                ("put", old)
            }
            Change::Delete { key, old, .. } => {
                add("key", key);
                ("delete", old)
            }
            Change::DeleteRange { start, end, .. } => {
                add("from", start);
                add("to", end);
                ("delete_range", OldValue::NotLogged)
            }
            _ => ("unknown", OldValue::NotLogged),
        };
        match old {
            OldValue::NotLogged => {}
            OldValue::Absent => drop(object.insert("old".into(), Value::Null)),
            OldValue::Value(old) => text::insert(&mut object, "old", old, self.hex),
        }
        object.insert("kind".into(), kind.into());
        Value::Object(object)
    }
}
