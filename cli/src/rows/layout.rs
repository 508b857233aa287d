//! How a file is laid out: its format, its columns, and which of them is the key.

use super::fields::{self, Split};
use crate::exit::{Failure, Outcome};
use clap::ValueEnum;
use std::borrow::Cow;
use std::convert::Infallible;
use std::path::Path;
use std::str::FromStr;

/// A format of delimited text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Tabs between columns, no quoting: a tab or a line feed cannot be part of a field
    Tsv,
    /// Commas between columns, quoted where needed (RFC 4180)
    Csv,
}

impl Format {
    /// The format that a file's name suggests: CSV for `.csv`, otherwise TSV.
    pub(crate) fn of(path: &Path) -> Self {
        let csv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        if csv { Self::Csv } else { Self::Tsv }
    }

    const fn delimiter(self) -> u8 {
        match self {
            Self::Tsv => b'\t',
            Self::Csv => b',',
        }
    }
}

/// The column that holds the key: its number from 1, or its name in the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyColumn {
    Number(usize),
    Name(String),
}

impl FromStr for KeyColumn {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.parse().map_or_else(|_| Self::Name(text.to_owned()), Self::Number))
    }
}

/// The layout of a file's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) format: Format,
    /// How many columns each row has; `None` if any number will do.
    pub(crate) columns: Option<usize>,
    /// The key's column, from 0.
    pub(crate) key: usize,
    /// The first line, if it is no row.
    pub(crate) header: Option<Vec<u8>>,
    /// Whether lines end with a carriage return, too.
    pub(crate) carriage_return: bool,
}

impl Layout {
    /// The layout that a file's first line shows.
    pub(crate) fn of_first_line(
        format: Format,
        line: &[u8],
        key: &KeyColumn,
        has_header: bool,
    ) -> Outcome<Self> {
        let (text, carriage_return) = match line.strip_suffix(b"\r") {
            Some(text) => (text, true),
            None => (line, false),
        };
        // Some programs begin a file with a byte order mark, which is no part of a name.
        let names = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let names: Vec<Cow<'_, [u8]>> = match fields::split(format, names) {
            Split::Row(places) => places
                .into_iter()
                .map(|place| fields::unquote(format, names.get(place).unwrap_or_default()))
                .collect(),
            Split::Open => return Err(unreadable("a quote is not closed in this line")),
            Split::Bad(why) => return Err(unreadable(why)),
        };
        let key = find_column(key, &names, has_header)?;
        let header = has_header.then(|| text.to_vec());
        Ok(Self { format, columns: Some(names.len()), key, header, carriage_return })
    }

    /// The end of each line.
    pub(crate) const fn line_end(&self) -> &'static [u8] {
        if self.carriage_return { b"\r\n" } else { b"\n" }
    }

    /// The value of a row: its text without the key's field and one delimiter.
    pub(super) fn value_of(&self, text: &[u8], key: &std::ops::Range<usize>) -> Vec<u8> {
        let (before, after) =
            if key.start == 0 { (0, key.end + 1) } else { (key.start - 1, key.end) };
        let before = text.get(..before).unwrap_or_default();
        [before, text.get(after..).unwrap_or_default()].concat()
    }

    /// The text of the row with this key and value, or why there is none.
    pub(crate) fn row_of(&self, key: &[u8], value: &[u8], row: &mut Vec<u8>) -> Result<(), String> {
        row.clear();
        let field = fields::quote(self.format, key)
            .ok_or("its key has a tab or a line feed, which TSV cannot hold")?;
        if self.columns == Some(1) && value.is_empty() {
            row.extend_from_slice(&field);
            return Ok(());
        }
        let places = match fields::split(self.format, value) {
            Split::Row(_) if self.format == Format::Tsv && value.contains(&b'\n') => {
                return Err("its value has a line feed, which TSV cannot hold".into());
            }
            Split::Row(places) => places,
            Split::Open => return Err("its value is not CSV: a quote is not closed".into()),
            Split::Bad(why) => return Err(format!("its value is not CSV: {why}")),
        };
        let columns = places.len() + 1;
        if self.columns.is_some_and(|wanted| wanted != columns) || self.key >= columns {
            let wanted = self.columns.unwrap_or(self.key + 1);
            return Err(format!("it has {columns} columns, not {wanted}"));
        }
        let delimiter = self.format.delimiter();
        match self.key.checked_sub(1).and_then(|before| places.get(before)) {
            None => {
                row.extend_from_slice(&field);
                row.push(delimiter);
                row.extend_from_slice(value);
            }
            Some(before) => {
                let (left, right) = value.split_at_checked(before.end).unwrap_or_default();
                row.extend_from_slice(left);
                row.push(delimiter);
                row.extend_from_slice(&field);
                row.extend_from_slice(right);
            }
        }
        Ok(())
    }
}

fn unreadable(why: &str) -> Failure {
    Failure::usage(format!(
        "line 1, which tells the columns, cannot be read: {why}; mend it, or choose another --format"
    ))
}

/// The place of a column, from 0.
pub(super) fn find_column(
    wanted: &KeyColumn,
    names: &[Cow<'_, [u8]>],
    has_header: bool,
) -> Outcome<usize> {
    let columns = names.len();
    match wanted {
        KeyColumn::Number(number) if (1..=columns).contains(number) => Ok(number - 1),
        KeyColumn::Number(number) => Err(Failure::usage(format!(
            "there is no column {number}: line 1 has {columns}, counted from 1"
        ))),
        KeyColumn::Name(name) if !has_header => Err(Failure::usage(format!(
            "column `{name}` cannot be found without a header; give its number"
        ))),
        KeyColumn::Name(name) => {
            let found = names.iter().position(|field| **field == *name.as_bytes());
            found.ok_or_else(|| {
                let names: Vec<_> = names.iter().map(|name| crate::text::escape(name)).collect();
                let names = names.join("`, `");
                Failure::usage(format!("there is no column `{name}`; the header has `{names}`"))
            })
        }
    }
}
