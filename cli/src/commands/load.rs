//! `annulus load`

use super::durability;
use crate::exit::{Exit, Outcome};
use crate::json::PathJson;
use crate::open::StoreArgs;
use crate::output::Output;
use crate::progress;
use crate::rows::{Complaints, KeyColumn, Reader, RowsArgs, Until, check_rows_expire};
use crate::text;
use annulus::Store;
use annulus_bench::loader::Loader;
use annulus_workload::human;
use indicatif::ProgressBar;
use serde_json::json;
use std::path::PathBuf;
use std::time::Instant;

/// Load a TSV or CSV file
///
/// One column is the key; the value is the rest of the line unchanged, so that `export` puts
/// the same line together again, byte for byte. Bytes need not be UTF-8. The first line is the
/// header: it defines the number of columns, and is not loaded (see --no-header).
///
/// A line that is not a row is reported as `FILE:LINE: what is wrong`, the others are loaded, and
/// the command ends with 1. Such are lines with more or fewer columns than the first, an empty key
/// (in CSV one without quotes), a key or value that is too long, CSV quotes that do not fit, and a
/// carriage return in the key. A byte order mark of UTF-8 at the beginning is skipped.
///
/// A file in UTF-16 is refused with 2, as is one whose first line has a carriage return inside it,
/// because its lines end that way. UTF-16 is recognised by a byte order mark, or a NUL byte in the
/// header or in a key. In CSV a key may have such bytes in quotes.
///
/// With --until-column, that column says when each row expires, as 2026-11-22T02:33:24.071Z, and is
/// not part of the value; where it is empty, the row never does. It is what `export --until-column`
/// writes, so that rows keep their lifetimes. Without it each row lives as long as the keyspace says.
///
/// Loading the same file again does no harm: every row is put to the same place. After an
/// interruption do that, or continue with --from-line, which the error message names. When the
/// command reports success, the rows survive a power cut.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  annulus load users --from users.tsv -s /data/store
  annulus load users --from users.csv --key-column email -s /data/store
  annulus load words --from /usr/share/dict/words --no-header -s /data/store
  zcat users.tsv.gz | annulus load users --from - -s /data/store
  annulus load users --from users.tsv --from-line 120001 -s /data/store
  annulus load sessions --from sessions.csv --until-column until -s /data/store")]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArgs,

    /// The keyspace
    keyspace: String,

    /// The file, or `-` for the standard input
    #[arg(long, value_name = "FILE")]
    from: PathBuf,

    #[command(flatten)]
    rows: RowsArgs,

    /// The column that says when a row expires: its number from 1, or its name in the header
    #[arg(long, value_name = "COLUMN", help_heading = "Layout of FILE")]
    until_column: Option<KeyColumn>,

    /// Skip the lines before this one; the first line still defines the columns
    #[arg(long, value_name = "LINE")]
    from_line: Option<u64>,

    /// Sync each batch of rows to the disk, not only the last one
    #[arg(long)]
    synced: bool,
}

/// What has been done so far.
#[derive(Default)]
struct Progress {
    rows: u64,
    /// The last line whose row is in the store, with all rows before it.
    line_done: u64,
    complaints: Complaints,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Outcome<Exit> {
    let store = args.store.open()?;
    // Before the file is opened: the standard input might have to be waited for.
    let keyspace = store.keyspace(&args.keyspace)?;
    if args.until_column.is_some() {
        check_rows_expire(&keyspace)?;
    }
    let mut reader = Reader::open(&args.from, &args.rows, &args.store.memory.options())?;
    let until = Until::find(args.until_column.as_ref(), reader.layout())?;
    let started = Instant::now();
    let mut progress = Progress::default();
    let bar = progress::file(!output.json(), reader.length());
    let mut loader = Loader::new(&store, &keyspace, durability(args.synced));
    let loaded = load(args, &mut reader, until.as_ref(), &mut loader, &mut progress, &bar, output);
    bar.finish_and_clear();
    loaded.and_then(|()| Ok(finish(&store)?)).map_err(|failure| match progress.line_done {
        0 => failure.note("nothing is known to be loaded; repeat the command"),
        line => failure.note(format!(
            "the rows up to line {line} are loaded; repeat the command, which does no harm, or \
             add --from-line {}",
            line + 1
        )),
    })?;
    report(args, &reader, &progress, started.elapsed().as_secs_f64(), output)?;
    Ok(Exit::fine_if(progress.complaints.count == 0))
}

fn load(
    args: &Args,
    reader: &mut Reader,
    until: Option<&Until>,
    loader: &mut Loader<'_>,
    progress: &mut Progress,
    bar: &ProgressBar,
    output: &Output,
) -> Outcome<()> {
    if let Some(line) = args.from_line {
        reader.skip_to(line)?;
    }
    let mut line = 0;
    while let Some(row) = reader.next()? {
        let row = row.and_then(|row| match until {
            None => Ok((row, None)),
            Some(until) => until.take(row).map(|(row, until)| (row, Some(until))),
        });
        match row {
            Ok((row, until)) => {
                progress.rows += 1;
                line = row.last_line;
                let committed = match until {
                    None => loader.put(&row.key, &row.value)?,
                    Some(until) => loader.put_until(&row.key, &row.value, until)?,
                };
                if committed {
                    progress.line_done = line;
                    bar.set_position(reader.bytes_read());
                    let rate = progress.rows as f64 / bar.elapsed().as_secs_f64().max(1e-3);
                    let rows = human::count(progress.rows);
                    bar.set_message(format!("{rows} rows  {}", human::rate(rate)));
                }
            }
            Err(malformed) => progress.complaints.add(malformed, |malformed| {
                let place = reader.path().display();
                let told = format!("{place}:{}: {}", malformed.line, malformed.problem);
                bar.suspend(|| output.note(told));
            }),
        }
    }
    loader.commit()?;
    progress.line_done = line;
    Ok(())
}

/// Makes what was loaded survive a power cut, and the next opening fast.
fn finish(store: &Store) -> annulus::Result<()> {
    store.sync()?;
    store.close()
}

fn report(
    args: &Args,
    reader: &Reader,
    progress: &Progress,
    seconds: f64,
    output: &mut Output,
) -> Outcome<()> {
    let Progress { rows, complaints, .. } = progress;
    let per_second = *rows as f64 / seconds.max(1e-9);
    let header = reader.layout().and_then(|layout| layout.header.as_deref());
    if output.json() {
        return output.object(&json!({
            "keyspace": args.keyspace,
            "file": PathJson(reader.path()),
            "header": header.map(String::from_utf8_lossy),
            "rows": rows,
            "malformed": complaints.count,
            "problems": complaints.first,
            "seconds": seconds,
            "rows_per_s": per_second,
        }));
    }
    if let Some(header) = header {
        output.line(format_args!("header, not loaded: {}", text::escape(header)))?;
    }
    let (rows, rate) = (human::count(*rows), human::rate(per_second));
    output.line(format_args!("loaded {rows} rows in {seconds:.2} s, {rate}"))?;
    if let Some(summary) = complaints.summary() {
        output.note(summary);
    }
    Ok(())
}
