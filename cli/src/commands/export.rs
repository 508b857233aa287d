//! `annulus export`

use crate::exit::{Exit, Failure, Outcome};
use crate::json::PathJson;
use crate::open::ReadArgs;
use crate::output::Output;
use crate::progress;
use crate::rows::{
    Complaints, Format, KeyColumn, Layout, Malformed, Reader, RowsArgs, Until, check_rows_expire,
};
use crate::select::SelectArgs;
use crate::text;
use annulus::report::LeftOut;
use annulus::{ErrorKind, Keyspace, ReadOptions, Scan, ScanOptions};
use annulus_workload::human;
use clap::ArgGroup;
use serde_json::json;
use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// Write rows in key order to a TSV or CSV file
///
/// The value of a row is taken as its other columns, as `load` stores them, and the key is put
/// back in its place. With `--like FILE`, a file that was sorted by its key comes out as it went
/// in, byte for byte; only quotes around CSV keys that need none are not kept.
///
/// Values are written alone. With --until-column, that column of --header or --like, which is not the
/// key's, says when each row expires, and is empty where it never does: `load --until-column` puts the
/// rows back with their lifetimes.
///
/// A row that the format cannot hold is reported and left out, and the command ends with 1. What is
/// damaged is left out, too: it is named, and the command ends with 5. Of a partition with a
/// damaged file, everything from the first row that needs that file may be missing. On the standard
/// output, --json writes one object per row: `{"key":…,"value":…}`, where bytes that are not UTF-8
/// appear as `key_hex` or `value_hex`; `until` says when a row expires that does.
#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("heading").multiple(false),
    after_help = "Examples:
  annulus export users --like users.tsv -o copy.tsv -s /data/store
  annulus export users --header 'name\\tborn\\tcity' -s /data/store > users.tsv
  annulus export users --format csv --key-column 2 --prefix a -s /data/store
  annulus export sessions --header key,user,until --format csv --until-column until -s /data/store
  annulus export users --json -s /data/store | gzip > users.jsonl.gz"
)]
pub(crate) struct Args {
    #[command(flatten)]
    store: ReadArgs,

    /// The keyspace
    keyspace: String,

    /// The file to write, `-` for the standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,

    /// Take format, number of columns, header and line ends from the first line of this file
    #[arg(long, value_name = "FILE", group = "heading")]
    like: Option<PathBuf>,

    /// Write this line first; `\t` stands for a tab
    #[arg(long, value_name = "TEXT", group = "heading")]
    header: Option<String>,

    #[command(flatten)]
    rows: RowsArgs,

    /// The column that says when a row expires: its number from 1, or its name in the header
    #[arg(long, value_name = "COLUMN", requires = "heading", help_heading = "Layout of FILE")]
    until_column: Option<KeyColumn>,

    #[command(flatten)]
    select: SelectArgs,

    /// KEYs of --from, --to and --prefix are hexadecimal digits
    #[arg(long)]
    hex: bool,
}

/// How rows are written.
struct Written {
    layout: Layout,
    until: Option<Until>,
}

/// What has been done so far.
#[derive(Default)]
struct Progress {
    rows: u64,
    bytes: u64,
    complaints: Complaints,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Outcome<Exit> {
    let layout = layout(args)?;
    let store = args.store.open(output)?;
    let keyspace = store.keyspace(&args.keyspace)?;
    if args.until_column.is_some() {
        check_rows_expire(&keyspace)?;
    }
    let until = Until::find(args.until_column.as_ref(), Some(&layout))?;
    let format = Written { layout, until };
    let options = ScanOptions::new().read(ReadOptions::new().bypass_cache(true));
    let options = options.leave_out_damaged(true).leave_out_missing(true);
    let mut scan = args.select.selection(args.hex)?.scan(&keyspace, options)?;
    let mut progress = Progress::default();
    if args.output != Path::new("-") {
        to_file(args, &format, &keyspace, &mut scan, &mut progress, output)?;
        report(args, &progress, &scan.left_out(), output)?;
    } else if output.json() {
        while let Some((key, value, until)) = scan.next_row_until()? {
            let mut row = text::row(key, Some(value), args.hex);
            if let (Some(row), Some(until)) = (row.as_object_mut(), until) {
                row.insert("until".into(), human::precise_date(until).into());
            }
            output.object(&row)?;
        }
    } else {
        let write = |bytes: &[u8], output: &mut Output| output.bytes(bytes);
        rows(&format, &mut scan, &mut progress, output, write)?;
    }
    if let Some(summary) = progress.complaints.summary() {
        output.note(summary);
    }
    let left_out = scan.left_out();
    if !left_out.is_empty() {
        let is_missing = |part: &LeftOut| part.error.kind() == ErrorKind::Unavailable;
        for part in &left_out {
            let why = if is_missing(part) { "missing" } else { "damaged" };
            output.note(format_args!("left out as {why}: {part}"));
        }
        return Ok(if left_out.iter().all(is_missing) { Exit::Io } else { Exit::Damaged });
    }
    Ok(Exit::fine_if(progress.complaints.count == 0))
}

/// Returns the layout of the rows to write.
fn layout(args: &Args) -> Outcome<Layout> {
    let RowsArgs { format, key_column, no_header } = &args.rows;
    if let Some(like) = &args.like {
        let reader = Reader::open(like, &args.rows, &args.store.memory().options())?;
        return reader.layout().cloned().ok_or_else(|| {
            Failure::usage(format!("{} is empty: it shows no columns", like.display()))
        });
    }
    let format = format.unwrap_or_else(|| Format::of(&args.output));
    if let Some(header) = &args.header {
        let line = header.replace("\\t", "\t");
        return Layout::of_first_line(format, line.as_bytes(), key_column, !no_header);
    }
    let KeyColumn::Number(number @ 1..) = key_column else {
        return Err(Failure::usage("to find the key column, pass --like, --header or its number"));
    };
    Ok(Layout { format, columns: None, key: number - 1, header: None, carriage_return: false })
}

fn to_file(
    args: &Args,
    format: &Written,
    keyspace: &Keyspace,
    scan: &mut Scan,
    progress: &mut Progress,
    output: &mut Output,
) -> Outcome<()> {
    let path = &args.output;
    let file = File::create(path).map_err(Failure::io("create", path))?;
    let mut file = BufWriter::with_capacity(1 << 18, file);
    let bar = progress::rows(!output.json(), "export", keyspace.count_estimated()?);
    let mut unseen = 0;
    let written = rows(format, scan, progress, output, |bytes, _| {
        unseen += 1;
        if unseen == 1_000 {
            bar.inc(std::mem::take(&mut unseen));
        }
        file.write_all(bytes).map_err(Failure::io("write", path))
    });
    bar.finish_and_clear();
    // Synced, so that a full disk shows here and not when someone misses the file.
    let mut flushed = || file.flush().and_then(|()| file.get_ref().sync_all());
    written
        .and_then(|()| flushed().map_err(Failure::io("write", path)))
        .map_err(|failure| failure.note(format!("{} is incomplete", path.display())))
}

/// Writes header and rows, in one piece each.
fn rows(
    Written { layout, until }: &Written,
    scan: &mut Scan,
    progress: &mut Progress,
    output: &mut Output,
    mut write: impl FnMut(&[u8], &mut Output) -> Outcome<()>,
) -> Outcome<()> {
    if let Some(header) = &layout.header {
        write(&[header, layout.line_end()].concat(), output)?;
    }
    let mut row = Vec::new();
    let mut number = 0;
    while let Some((key, value, expires)) = scan.next_row_until()? {
        number += 1;
        let first = progress.rows == 0;
        let value = match until {
            None => Ok(Cow::Borrowed(value)),
            Some(until) => until.put(value, expires).map(Cow::Owned),
        };
        match value.and_then(|value| layout.row_of(key, &value, first, &mut row)) {
            Ok(()) => {
                row.extend_from_slice(layout.line_end());
                progress.rows += 1;
                progress.bytes += row.len() as u64;
                write(&row, output)?;
            }
            Err(problem) => {
                let key = text::shorten(&text::escape(key), 60).into_owned();
                let problem = format!("the row of key `{key}` is left out: {problem}");
                let malformed = Malformed { line: number, problem };
                progress.complaints.add(malformed, |malformed| output.note(&malformed.problem));
            }
        }
    }
    Ok(())
}

fn report(
    args: &Args,
    progress: &Progress,
    damaged: &[LeftOut],
    output: &mut Output,
) -> Outcome<()> {
    let Progress { rows, bytes, complaints } = progress;
    let object = json!({
        "keyspace": args.keyspace,
        "file": PathJson(&args.output),
        "rows": rows,
        "bytes": bytes,
        "left_out": complaints.count,
        "problems": complaints.first,
        "damaged": damaged,
    });
    let (rows, bytes) = (human::count(*rows), human::bytes(*bytes));
    let text = format!("exported {rows} rows, {bytes}, to {}", args.output.display());
    output.either(&object, text)
}
