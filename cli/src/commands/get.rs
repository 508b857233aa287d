//! `annulus get`

use crate::argument;
use crate::exit::{Exit, Outcome};
use crate::open::ReadArgs;
use crate::output::Output;
use crate::patience::patiently;
use crate::text;
use serde_json::{Map, Value};
use std::ffi::OsString;

/// Print the value of a key
///
/// The value is printed on one line: printable UTF-8 as it is, everything else and the backslash
/// escaped as `\t`, `\n`, `\\`, `\x1b`. With --json, bytes that are not UTF-8 appear as
/// `value_hex`. Ends with 1 if there is no such key.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annulus get users ada -s /data/store
  annulus get photos cat.jpg --raw -s /data/store > cat.jpg
  annulus get blobs 00ff --hex -s /data/store
  annulus get users ada --json -s /data/store")]
pub(crate) struct Args {
    #[command(flatten)]
    store: ReadArgs,

    /// The keyspace
    keyspace: String,

    /// The key
    key: OsString,

    /// KEY is, and the value is printed as, hexadecimal digits
    #[arg(long)]
    hex: bool,

    /// Write the value's bytes as they are, without a line end
    #[arg(long, conflicts_with = "json")]
    raw: bool,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Outcome<Exit> {
    let key = argument::parse(&args.key, args.hex)?;
    let store = args.store.open(output)?;
    let keyspace = store.keyspace(&args.keyspace)?;
    let value = patiently(|| keyspace.get(&key))?;
    if output.json() {
        let mut object = Map::new();
        text::insert(&mut object, "key", &key, args.hex);
        object.insert("found".into(), Value::Bool(value.is_some()));
        if let Some(value) = &value {
            text::insert(&mut object, "value", value, args.hex);
        }
        output.object(&object)?;
        return Ok(Exit::fine_if(value.is_some()));
    }
    let Some(value) = value else {
        output.note(format_args!("there is no key `{}`", text::show(&key, args.hex)));
        return Ok(Exit::Wrong);
    };
    if args.raw {
        output.bytes(&value)?;
    } else {
        output.line(text::show(&value, args.hex))?;
    }
    Ok(Exit::Fine)
}
