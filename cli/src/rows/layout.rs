//! The layout of a file: its format, its columns, and which of them is the key.

use super::doubt::BYTE_ORDER_MARK;
use super::encoding;
use super::fields::{self, Split};
use super::format::{Format, KeyColumn};
use super::lines::ROW_LINES_MAX;
use crate::exit::{Failure, Outcome};
use std::borrow::Cow;
use std::ops::Range;

/// The layout of a file's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) format: Format,
    /// The number of columns of each row; `None` if any number is accepted.
    pub(crate) columns: Option<usize>,
    /// The key's column, from 0.
    pub(crate) key: usize,
    /// The first line, if it is not a row.
    pub(crate) header: Option<Vec<u8>>,
    /// Whether lines end with a carriage return, too.
    pub(crate) carriage_return: bool,
}

impl Layout {
    /// Returns the layout that a file's first line shows.
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
        let names = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        check_first_line(format, names, has_header)?;
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

    /// Returns the end of each line.
    pub(crate) const fn line_end(&self) -> &'static [u8] {
        if self.carriage_return { b"\r\n" } else { b"\n" }
    }

    /// Returns the value of a row: its text without the key's field and one delimiter.
    pub(super) fn value_of(&self, text: &[u8], key: &Range<usize>) -> Vec<u8> {
        let (before, after) =
            if key.start == 0 { (0, key.end + 1) } else { (key.start - 1, key.end) };
        let before = text.get(..before).unwrap_or_default();
        [before, text.get(after..).unwrap_or_default()].concat()
    }

    /// Assembles the row with this key and value, or says why it cannot be written. Without a
    /// header, the `first` row of a file defines how the others are read, and less can be part of
    /// it.
    pub(crate) fn row_of(
        &self,
        key: &[u8],
        value: &[u8],
        first: bool,
        row: &mut Vec<u8>,
    ) -> Result<(), String> {
        self.put_together(key, value, row)?;
        self.check_readable(row, first && self.header.is_none())
    }

    /// Checks that a written row would be read back as the same row.
    fn check_readable(&self, row: &[u8], tells_the_layout: bool) -> Result<(), String> {
        let line_feeds = row.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        for (lines, (at, _)) in (1..).zip(line_feeds) {
            let before = row.get(..at).unwrap_or_default();
            if lines >= ROW_LINES_MAX {
                return Err(format!("it has {ROW_LINES_MAX} lines or more"));
            }
            if fields::split(self.format, before) != Split::Open {
                return Err("it has a line feed outside of quotes".into());
            }
        }
        if tells_the_layout && encoding::begins_with_mark(row) {
            return Err("it begins with a byte order mark; write a header before it".into());
        }
        if tells_the_layout && encoding::has_bare(self.format, row, b'\r') {
            return Err("it has a carriage return outside of quotes, which would be taken for a \
                        line's end; write a header before it"
                .into());
        }
        Ok(())
    }

    fn put_together(&self, key: &[u8], value: &[u8], row: &mut Vec<u8>) -> Result<(), String> {
        row.clear();
        if key.is_empty() && self.format == Format::Tsv {
            return Err("its key is empty, which TSV cannot hold; CSV can".into());
        }
        let field = fields::quote(self.format, key)
            .map_err(|why| format!("its key {why}, which TSV cannot hold; CSV can"))?;
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
        insert(self.format, value, &places, self.key, &field, row);
        Ok(())
    }
}

/// Adds to a row a text with a field put into it: the one with this number, from 0.
pub(super) fn insert(
    format: Format,
    text: &[u8],
    places: &[Range<usize>],
    number: usize,
    field: &[u8],
    row: &mut Vec<u8>,
) {
    let delimiter = format.delimiter();
    match number.checked_sub(1).and_then(|before| places.get(before)) {
        None => {
            row.extend_from_slice(field);
            row.push(delimiter);
            row.extend_from_slice(text);
        }
        Some(before) => {
            let (left, right) = text.split_at_checked(before.end).unwrap_or_default();
            row.extend_from_slice(left);
            row.push(delimiter);
            row.extend_from_slice(field);
            row.extend_from_slice(right);
        }
    }
}

/// Refuses a first line in another encoding, or of several lines: every row would be read wrong.
fn check_first_line(format: Format, line: &[u8], has_header: bool) -> Outcome<()> {
    let has_nul = match fields::split(format, line) {
        Split::Row(_) => has_header && encoding::has_bare(format, line, 0),
        Split::Open | Split::Bad(_) => line.contains(&0),
    };
    if has_nul {
        let convert = encoding::CONVERT;
        return Err(Failure::usage(format!("the first line has a NUL byte, {convert}")));
    }
    if encoding::has_bare(format, line, b'\r') {
        let mend = encoding::MEND_LINE_ENDS;
        let otherwise =
            if has_header { "" } else { "; if it is part of a value, put a header first" };
        return Err(Failure::usage(format!(
            "a carriage return stands inside the first line; {mend}{otherwise}"
        )));
    }
    Ok(())
}

fn unreadable(why: &str) -> Failure {
    Failure::usage(format!(
        "the first line, which defines the columns, cannot be read: {why}; correct it, or choose \
         another --format"
    ))
}

/// Returns the position of a column, from 0.
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
            "column `{name}` cannot be found without a header; pass its number"
        ))),
        KeyColumn::Name(name) => {
            let mut found = (0..).zip(names).filter(|(_, field)| ***field == *name.as_bytes());
            let (found, another) = (found.next(), found.next());
            if another.is_some() {
                return Err(Failure::usage(format!(
                    "several columns are named `{name}`; pass the number of the one you mean"
                )));
            }
            found.map(|(place, _)| place).ok_or_else(|| {
                let names: Vec<_> = names.iter().map(|name| crate::text::escape(name)).collect();
                let names = names.join("`, `");
                Failure::usage(format!("there is no column `{name}`; the header has `{names}`"))
            })
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
    use super::*;
    use crate::rows::{Reader, RowsArgs};
    use annulus::Options;

    type Rows = Vec<(Vec<u8>, Vec<u8>)>;

    /// Returns what a file is read as: keys and values, and the number of lines that are not rows.
    fn read(name: &str, file: &[u8], args: &RowsArgs) -> Outcome<(Rows, usize)> {
        let name = format!("annulus-rows-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, file).unwrap();
        let read = Reader::open(&path, args, &Options::default()).and_then(|mut reader| {
            let (mut rows, mut malformed) = (Vec::new(), 0);
            while let Some(row) = reader.next()? {
                match row {
                    Ok(row) => rows.push((row.key, row.value)),
                    Err(_) => malformed += 1,
                }
            }
            Ok((rows, malformed))
        });
        std::fs::remove_file(&path).unwrap();
        read
    }

    fn args(format: Format, key: &str, no_header: bool) -> RowsArgs {
        RowsArgs { format: Some(format), key_column: key.parse().unwrap(), no_header }
    }

    /// Goal: each row that is written is read back as it was, byte for byte; what cannot be written
    /// that way is refused. Method: random keys and values of the bytes that matter, in every
    /// layout, as the first row of a file and as a later one.
    #[test]
    fn what_is_exported_is_loaded_as_it_was() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut written, mut refused) = (0, 0);
        for _ in 0..3_000 {
            let format = [Format::Tsv, Format::Csv][random.usize(..2)];
            let columns = random.usize(1..4);
            let key_column = random.usize(..columns);
            let header = random.bool().then(|| {
                vec!["x"; columns].join(std::str::from_utf8(&[format.delimiter()]).unwrap())
            });
            let layout = Layout {
                format,
                columns: Some(columns),
                key: key_column,
                header: header.clone().map(String::into_bytes),
                carriage_return: random.bool(),
            };
            let mut bytes = |most: usize| -> Vec<u8> {
                let alphabet = b"a,\t\"\n\r\0\xef\xbb\xbf\xff\xfe b";
                let len = random.usize(..=most);
                (0..len).map(|_| alphabet[random.usize(..alphabet.len())]).collect()
            };
            let (key, value) = (bytes(4), bytes(8));
            let first = random.bool().then(|| {
                let delimiter = format.delimiter();
                (b"x".to_vec(), vec![delimiter; columns.saturating_sub(2)])
            });
            let mut row = Vec::new();
            if layout.row_of(&key, &value, first.is_none(), &mut row).is_err() {
                refused += 1;
                continue;
            }
            written += 1;
            let mut file = Vec::new();
            let mut first_row = Vec::new();
            if let Some((key, value)) = &first {
                layout.row_of(key, value, true, &mut first_row).unwrap();
            }
            let first_row = first.iter().map(|_| &first_row);
            for line in layout.header.iter().chain(first_row).chain([&row]) {
                file.extend_from_slice(line);
                file.extend_from_slice(layout.line_end());
            }
            let args = args(format, &(key_column + 1).to_string(), header.is_none());
            let (rows, malformed) = read("all", &file, &args).unwrap();
            let shown = file.escape_ascii();
            let meant: Rows = first.into_iter().chain([(key, value)]).collect();
            assert_eq!((rows, malformed), (meant, 0), "{layout:?}: {shown}");
        }
        assert!(written > 300 && refused > 300, "{written} written, {refused} refused");
    }

    /// Each of these yielded a wrong key without a message, or could not be read at all.
    #[test]
    fn no_file_gives_a_wrong_key_in_silence() {
        let keys = |file: &str, args: &RowsArgs| {
            let (rows, malformed) = read("wrong", file.as_bytes(), args).ok()?;
            let key = |(key, _): (Vec<u8>, Vec<u8>)| String::from_utf8(key).unwrap();
            Some((rows.into_iter().map(key).collect::<Vec<_>>().join(" "), malformed))
        };
        let (tsv, csv) = (Format::Tsv, Format::Csv);
        let keys_are = |keys: &str, malformed| Some((keys.to_owned(), malformed));
        let mark = "\u{feff}";
        // A byte order mark, with and without a header.
        let file = format!("{mark}ada\t1\nbob\t2\n");
        assert_eq!(keys(&file, &args(tsv, "1", true)), keys_are("ada bob", 0));
        assert_eq!(keys(&file, &args(tsv, "ada", false)), keys_are("bob", 0));
        // Carriage returns in the rows only, and in the header only.
        assert_eq!(keys("n\tk\n1\tada\r\n2\tbob\n", &args(tsv, "k", false)), keys_are("bob", 1));
        assert_eq!(keys("k\nada\r\n", &args(csv, "1", false)), keys_are("", 1));
        assert_eq!(keys("k\r\nada\nbob\r\n", &args(csv, "1", false)), keys_are("ada bob", 0));
        // Two columns of the key's name.
        assert_eq!(keys("id,id\n1,2\n", &args(csv, "id", false)), None);
        assert_eq!(keys("id,id\n1,2\n", &args(csv, "2", false)), keys_are("2", 0));
        // A header of two lines.
        let file = "\"a\nb\",k\n1,ada\n";
        assert_eq!(keys(file, &args(csv, "k", false)), keys_are("ada", 0));
        assert_eq!(keys(file, &args(csv, "2", true)), keys_are("k ada", 0));
        // The empty key is one only if it is intended.
        assert_eq!(keys("k,v\n\"\",1\n,2\n", &args(csv, "1", false)), keys_are("", 1));
    }
}
