//! Reading rows, and reporting the lines that are not rows.

use super::doubt::{BYTE_ORDER_MARK, Doubt};
use super::encoding;
use super::fields::{self, Split};
use super::format::{Format, KeyColumn};
use super::layout::Layout;
use super::lines::{LINE_BYTES_MAX, Line, Lines, ROW_LINES_MAX};
use crate::exit::{Failure, Outcome};
use annulus::Options;
use annulus_workload::human;
use clap::Args;
use serde::Serialize;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// How many malformed lines are printed; all of them are counted.
const COMPLAINTS_MAX: usize = 20;

/// How to read a file's rows.
#[derive(Debug, Args)]
pub(crate) struct RowsArgs {
    /// The format [default: csv if FILE's name ends in .csv, otherwise tsv]
    #[arg(long, value_enum, help_heading = "Layout of FILE")]
    pub(crate) format: Option<Format>,

    /// The column that is the key: its number from 1, or its name in the header
    #[arg(long, value_name = "COLUMN", default_value = "1", help_heading = "Layout of FILE")]
    pub(crate) key_column: KeyColumn,

    /// The first line is a row like the others; without this, it is a header and not loaded
    #[arg(long, help_heading = "Layout of FILE")]
    pub(crate) no_header: bool,
}

/// A row, and the number of its last line: a CSV row may have several.
pub(crate) struct Row {
    pub(crate) last_line: u64,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

/// A line that is not a row.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Malformed {
    pub(crate) line: u64,
    pub(crate) problem: String,
}

/// The rows of a file or of the standard input.
pub(crate) struct Reader {
    lines: Lines<Box<dyn BufRead>>,
    path: PathBuf,
    length: Option<u64>,
    /// `None` for an empty file.
    layout: Option<Layout>,
    key_bytes_max: usize,
    value_bytes_max: usize,
}

impl Reader {
    /// Opens a file, `-` for the standard input, and derives its layout from its first line.
    pub(crate) fn open(path: &Path, args: &RowsArgs, limits: &Options) -> Outcome<Self> {
        let standard_input = path == Path::new("-");
        let (input, length): (Box<dyn BufRead>, _) = if standard_input {
            (Box::new(io::stdin().lock()), None)
        } else {
            let file = File::open(path).map_err(Failure::io("open", path))?;
            let length = file.metadata().ok().filter(std::fs::Metadata::is_file);
            let length = length.map(|metadata| metadata.len());
            (Box::new(BufReader::with_capacity(1 << 18, file)), length)
        };
        let mut reader = Self {
            lines: Lines::new(input),
            path: if standard_input { "standard input".into() } else { path.to_owned() },
            length,
            layout: None,
            key_bytes_max: limits.key_bytes_max,
            value_bytes_max: limits.value_bytes_max,
        };
        if let Some(first) = reader.next_line()? {
            reader.read_layout(first, args.format.unwrap_or_else(|| Format::of(path)), args)?;
        }
        Ok(reader)
    }

    /// Takes the layout from the first row, or the header, which may have several lines.
    fn read_layout(&mut self, mut first: Line, format: Format, args: &RowsArgs) -> Outcome<()> {
        if let Some(problem) = encoding::other_mark(&first.bytes) {
            return Err(Failure::usage(problem).at_line(&self.path, 1));
        }
        if args.no_header && first.bytes.starts_with(BYTE_ORDER_MARK) {
            // It is not part of the first key. In a header it stays, for `export --like`.
            first.bytes.drain(..BYTE_ORDER_MARK.len());
        }
        if first.cut {
            let problem = format!("the line is longer than {LINE_BYTES_MAX} bytes");
            return Err(Failure::usage(problem).at_line(&self.path, 1));
        }
        let mut text = first.bytes.clone();
        let mut lines = vec![first];
        while is_open(format, &text)
            && lines.len() < ROW_LINES_MAX
            && text.len() < LINE_BYTES_MAX
            && let Some(line) = self.next_line()?
        {
            text.push(b'\n');
            text.extend_from_slice(&line.bytes);
            lines.push(line);
        }
        let layout = Layout::of_first_line(format, &text, &args.key_column, !args.no_header)
            .map_err(|failure| failure.at_line(&self.path, 1))?;
        if args.no_header {
            self.lines.put_back(lines.into_iter());
        }
        self.layout = Some(layout);
        Ok(())
    }

    /// Returns the layout; `None` if the file is empty.
    pub(crate) const fn layout(&self) -> Option<&Layout> {
        self.layout.as_ref()
    }

    /// Returns the file's name, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns its length in bytes, if known.
    pub(crate) const fn length(&self) -> Option<u64> {
        self.length
    }

    /// Returns how many bytes were read.
    pub(crate) const fn bytes_read(&self) -> u64 {
        self.lines.bytes_read()
    }

    /// Skips the lines before this one.
    pub(crate) fn skip_to(&mut self, number: u64) -> Outcome<()> {
        while let Some(line) = self.next_line()? {
            if line.number >= number {
                self.lines.put_back([line].into_iter());
                break;
            }
        }
        Ok(())
    }

    /// Returns the next row, or what is wrong with the next line. `None` at the end.
    pub(crate) fn next(&mut self) -> Outcome<Option<Result<Row, Malformed>>> {
        let Some(layout) = self.layout.take() else { return Ok(None) };
        let next = self.next_in(&layout);
        self.layout = Some(layout);
        next
    }

    fn next_in(&mut self, layout: &Layout) -> Outcome<Option<Result<Row, Malformed>>> {
        let Some(first) = self.next_line()? else { return Ok(None) };
        let (number, mut text) = (first.number, first.bytes);
        if first.cut {
            let problem = format!("the line is longer than {LINE_BYTES_MAX} bytes");
            return Ok(Some(Err(Malformed { line: number, problem })));
        }
        let mut more: Vec<Line> = Vec::new();
        let row = loop {
            match fields::split(layout.format, without_end(layout, &text)) {
                Split::Bad(why) => break Err(why.to_owned()),
                Split::Row(places) => {
                    let last_line = number + more.len() as u64;
                    let text = without_end(layout, &text);
                    self.refuse_other_encoding(layout, number, text, &places)?;
                    break self.row(layout, last_line, text, &places);
                }
                Split::Open => {}
            }
            let room = more.len() + 1 < ROW_LINES_MAX && text.len() < LINE_BYTES_MAX;
            let Some(line) = (if room { self.next_line()? } else { None }) else {
                break Err("a quote is not closed".to_owned());
            };
            text.push(b'\n');
            text.extend_from_slice(&line.bytes);
            more.push(line);
        };
        if row.is_err() {
            // Only the first line is known to be wrong; the others may be rows.
            self.lines.put_back(more.into_iter());
        }
        Ok(Some(row.map_err(|problem| Malformed { line: number, problem })))
    }

    /// Refuses the file if this key shows that it is in another encoding: then all keys are wrong,
    /// even those that look sound.
    fn refuse_other_encoding(
        &self,
        layout: &Layout,
        line: u64,
        text: &[u8],
        places: &[Range<usize>],
    ) -> Outcome<()> {
        let field = places.get(layout.key).and_then(|place| text.get(place.clone()));
        if field.and_then(|field| Doubt::of(layout.format, field)) != Some(Doubt::Nul) {
            return Ok(());
        }
        let problem = format!(
            "the key has a NUL byte, {}; a key with one can be loaded from CSV, in quotes",
            encoding::CONVERT
        );
        Err(Failure::usage(problem).at_line(&self.path, line))
    }

    fn row(
        &self,
        layout: &Layout,
        last_line: u64,
        text: &[u8],
        places: &[Range<usize>],
    ) -> Result<Row, String> {
        if text.is_empty() && layout.columns != Some(1) {
            return Err("the line is empty".into());
        }
        let (columns, wanted) = (places.len(), layout.columns.unwrap_or(places.len()));
        let place = places.get(layout.key).filter(|_| columns == wanted);
        let place = place.ok_or_else(|| format!("{columns} columns instead of {wanted}"))?;
        let field = text.get(place.clone()).unwrap_or_default();
        let key = fields::unquote(layout.format, field).into_owned();
        let value = layout.value_of(text, place);
        // In CSV, quotes say that an empty key is intended.
        if field.is_empty() {
            return Err("the key is empty".into());
        }
        if !layout.carriage_return && place.end == text.len() && field.ends_with(b"\r") {
            return Err("the line ends with a carriage return, but the first line does not; it \
                        would become part of the key"
                .into());
        }
        match Doubt::of(layout.format, field) {
            Some(Doubt::CarriageReturn) => {
                let mend = encoding::MEND_LINE_ENDS;
                return Err(format!("a carriage return stands inside the key; {mend}"));
            }
            Some(doubt) => return Err(format!("the key {}", doubt.what())),
            None => {}
        }
        for (what, bytes, most) in
            [("key", key.len(), self.key_bytes_max), ("value", value.len(), self.value_bytes_max)]
        {
            if bytes > most {
                return Err(format!("the {what} has {bytes} bytes, the most is {most}"));
            }
        }
        Ok(Row { last_line, key, value })
    }

    fn next_line(&mut self) -> Outcome<Option<Line>> {
        self.lines.next().map_err(Failure::io("read", &self.path))
    }
}

fn is_open(format: Format, text: &[u8]) -> bool {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    fields::split(format, text) == Split::Open
}

fn without_end<'t>(layout: &Layout, text: &'t [u8]) -> &'t [u8] {
    if layout.carriage_return { text.strip_suffix(b"\r").unwrap_or(text) } else { text }
}

/// The malformed lines of a file: all are counted, the first ones kept.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    pub(crate) count: u64,
    pub(crate) first: Vec<Malformed>,
}

impl Complaints {
    /// Records a line, and tells the user unless there were too many.
    pub(crate) fn add(&mut self, malformed: Malformed, tell: impl FnOnce(&Malformed)) {
        self.count += 1;
        if self.first.len() < COMPLAINTS_MAX {
            tell(&malformed);
            self.first.push(malformed);
        }
    }

    /// Returns what to report at the end, if anything.
    pub(crate) fn summary(&self) -> Option<String> {
        let untold = self.count - self.first.len() as u64;
        (self.count > 0).then(|| {
            let count = human::count(self.count);
            match untold {
                0 => format!("{count} malformed lines were left out"),
                _ => format!(
                    "{count} malformed lines were left out; {} of them are not listed",
                    human::count(untold)
                ),
            }
        })
    }
}
