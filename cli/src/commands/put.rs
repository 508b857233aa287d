//! `annulus put`

use super::durability;
use crate::argument;
use crate::exit::{Exit, Failure, Outcome};
use crate::open::StoreArgs;
use crate::output::Output;
use crate::patience::patiently;
use crate::text;
use crate::time_to_live::{lifetime, moment};
use serde_json::{Map, Value};
use std::ffi::OsString;
use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Put a value, and replace an existing one
///
/// Ends with 1 if the key exists and --if-absent is given; nothing is changed then.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annulus put users ada countess -s /data/store
  printf %s \"$TOKEN\" | annulus put secrets token --synced -s /data/store
  annulus put photos cat.jpg - -s /data/store < cat.jpg
  annulus put leases leader node-1 --if-absent -s /data/store
  annulus put sessions ada token --ttl 30m -s /data/store
  annulus put blobs 00ff cafe --hex -s /data/store")]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArgs,

    /// The keyspace
    keyspace: String,

    /// The key
    key: OsString,

    /// The value; without it, or if it is `-`, the standard input to its end, as it is
    value: Option<OsString>,

    /// KEY and VALUE are hexadecimal digits
    #[arg(long)]
    hex: bool,

    /// Only if the key does not exist yet
    #[arg(long)]
    if_absent: bool,

    /// How long the row lives, in a keyspace whose rows expire: a whole number and ms, s, m, h or d
    /// [default: as the keyspace says]
    #[arg(long, value_name = "TIME", value_parser = lifetime, conflicts_with_all = ["if_absent", "until"])]
    ttl: Option<Duration>,

    /// Until when the row lives, as 2026-11-27T14:30:00Z
    #[arg(long, value_name = "TIME", value_parser = moment, conflicts_with = "if_absent")]
    until: Option<SystemTime>,

    /// Sync to the disk before reporting success, to survive a power cut
    #[arg(long)]
    synced: bool,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Outcome<Exit> {
    let key = argument::parse(&args.key, args.hex)?;
    let value = match args.value.as_deref().filter(|value| *value != "-") {
        Some(value) => argument::parse(value, args.hex)?,
        None => standard_input()?,
    };
    let store = args.store.open()?;
    let keyspace = store.keyspace(&args.keyspace)?;
    let durability = durability(args.synced);
    let found = if args.if_absent {
        patiently(|| keyspace.put_if_absent_with(&key, &value, durability))?.found()
    } else {
        patiently(|| match (args.ttl, args.until) {
            (Some(ttl), _) => keyspace.put_for_with(&key, &value, ttl, durability),
            (None, Some(until)) => keyspace.put_until_with(&key, &value, until, durability),
            (None, None) => keyspace.put_with(&key, &value, durability),
        })?;
        None
    };
    if output.json() {
        let mut object = Map::new();
        text::insert(&mut object, "key", &key, args.hex);
        object.insert("put".into(), Value::Bool(found.is_none()));
        if let Some(found) = &found {
            text::insert(&mut object, "found", found, args.hex);
        }
        output.object(&object)?;
    } else if found.is_some() {
        output.note("the key already exists; nothing was changed");
    }
    Ok(Exit::fine_if(found.is_none()))
}

fn standard_input() -> Outcome<Vec<u8>> {
    let mut value = Vec::new();
    std::io::stdin()
        .lock()
        .read_to_end(&mut value)
        .map_err(Failure::io("read", Path::new("the standard input")))?;
    Ok(value)
}
