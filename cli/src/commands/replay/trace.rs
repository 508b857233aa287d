//! Reading a trace, or names with weights. The whole file is read and checked before anything is
//! opened: a malformed one leaves no half run.

use crate::exit::{Failure, Outcome};
use crate::rows::{Column, Format, KeyColumn, Reader, Row, RowsArgs};
use crate::text;
use annulus::Options;
use annulus_bench::replay::{Act, Course, Keys, Op, Script};
use std::path::Path;

/// The maximum number of rows of one scan.
const SCAN_ROWS_MAX: u32 = 1_000_000;

/// Reads a trace: CSV with the header `op,key` or `op,key,value_bytes`.
pub(super) fn trace(path: &Path, limits: &Options) -> Outcome<Script> {
    let layout = RowsArgs {
        format: Some(Format::Csv),
        key_column: KeyColumn::Name("key".into()),
        no_header: false,
    };
    let mut reader = Reader::open(path, &layout, limits)?;
    let header = reader.layout().and_then(|layout| layout.header.clone()).unwrap_or_default();
    let header = header.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&header);
    if header != b"op,key" && header != b"op,key,value_bytes" {
        let (path, found) = (path.display(), text::quoted(header));
        return Err(Failure::usage(format!(
            "{path} is no trace: its first line is {found}, not `op,key` or `op,key,value_bytes`"
        )));
    }
    let (mut keys, mut ops) = (Keys::default(), Vec::new());
    while let Some((line, row)) = next(&mut reader)? {
        let most = limits.value_bytes_max;
        ops.push(op(row, &mut keys, most).map_err(|why| malformed(&reader, line, &why))?);
    }
    finish(&reader, keys, Course::Trace(ops))
}

/// Reads keys, each with the weight by which it is to be read.
pub(super) fn weighted(
    path: &Path,
    rows: &RowsArgs,
    weight: &KeyColumn,
    limits: &Options,
) -> Outcome<Script> {
    let mut reader = Reader::open(path, rows, limits)?;
    let Some(layout) = reader.layout().cloned() else {
        return finish(&reader, Keys::default(), Course::Draws(Vec::new()));
    };
    let column = Column::find(weight, &layout)?;
    let (mut keys, mut weights) = (Keys::default(), Vec::new());
    while let Some((line, row)) = next(&mut reader)? {
        let field = column.of(&layout, &row.value).unwrap_or_default();
        let weight = number(&field).map_err(|why| malformed(&reader, line, &why))?;
        let key = keys.place(row.key, None) as usize;
        weights.resize(weights.len().max(key + 1), 0.0);
        if let Some(sum) = weights.get_mut(key) {
            *sum += weight;
        }
    }
    let mut sum = 0.0;
    for weight in &mut weights {
        sum += *weight;
        *weight = sum;
    }
    if sum <= 0.0 {
        return finish(&reader, Keys::default(), Course::Draws(Vec::new()));
    }
    finish(&reader, keys, Course::Draws(weights))
}

fn finish(reader: &Reader, mut keys: Keys, course: Course) -> Outcome<Script> {
    keys.seal();
    let script = Script { keys, course };
    if script.pass() == 0 {
        let path = reader.path().display();
        return Err(Failure::usage(format!("{path} has nothing to replay")));
    }
    Ok(script)
}

/// Returns the next row and its line.
fn next(reader: &mut Reader) -> Outcome<Option<(u64, Row)>> {
    match reader.next()? {
        None => Ok(None),
        Some(Ok(row)) => Ok(Some((row.last_line, row))),
        Some(Err(bad)) => Err(malformed(reader, bad.line, &bad.problem)),
    }
}

fn malformed(reader: &Reader, line: u64, problem: &str) -> Failure {
    let failure = Failure::usage(format!("{}:{line}: {problem}", reader.path().display()));
    failure.note("nothing was replayed; correct the line, or remove it")
}

/// Parses the operation of a row, whose value is what is next to the key: `op` or `op,value_bytes`.
fn op(row: Row, keys: &mut Keys, bytes_max: usize) -> Result<Op, String> {
    let text = String::from_utf8_lossy(&row.value).into_owned();
    let (op, amount) = text.split_once(',').unwrap_or((&text, ""));
    let amount = match amount {
        "" => None,
        digits => Some(digits.parse::<u32>().map_err(|_| {
            format!("value_bytes is `{}`, not a whole number", text::escape(digits.as_bytes()))
        })?),
    };
    let act = match op {
        "read" => Act::Read,
        "write" => Act::Write { bytes: amount },
        "delete" => Act::Delete,
        "scan" => Act::Scan {
            rows: amount
                .filter(|rows| (1..=SCAN_ROWS_MAX).contains(rows))
                .ok_or_else(|| format!("a scan needs 1 to {SCAN_ROWS_MAX} rows in value_bytes"))?,
        },
        other => {
            let other = text::escape(other.as_bytes()).into_owned();
            return Err(format!("`{other}` is no operation: read, write, delete or scan"));
        }
    };
    let bytes = amount.filter(|_| matches!(act, Act::Read | Act::Write { .. }));
    if bytes.is_some_and(|bytes| bytes as usize > bytes_max) {
        return Err(format!("value_bytes is {}; the most is {bytes_max}", bytes.unwrap_or(0)));
    }
    Ok(Op { key: keys.place(row.key, bytes), act })
}

fn number(field: &[u8]) -> Result<f64, String> {
    let number = std::str::from_utf8(field).ok().and_then(|text| text.trim().parse::<f64>().ok());
    number
        .filter(|number| number.is_finite() && *number >= 0.0)
        .ok_or_else(|| format!("the weight is {}, not a number from 0 on", text::quoted(field)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn read(content: &str) -> Outcome<Script> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("t.csv");
        std::fs::write(&path, content).unwrap();
        trace(&path, &Options::default())
    }

    #[test]
    fn a_trace_is_read_as_it_stands() {
        let script = read("op,key,value_bytes\nread,b,10\nwrite,a,20\ndelete,b,\nscan,a,5\n");
        let script = script.unwrap();
        let Course::Trace(ops) = &script.course else { unreachable!("a trace") };
        let acts = [
            (0, Act::Read),
            (1, Act::Write { bytes: Some(20) }),
            (0, Act::Delete),
            (1, Act::Scan { rows: 5 }),
        ];
        assert_eq!(*ops, acts.map(|(key, act)| Op { key, act }));
        assert_eq!((script.keys.get(0), script.keys.get(1)), (&b"b"[..], &b"a"[..]));
        assert_eq!(script.keys.bytes(), [Some(10), Some(20)]);
        let script = read("op,key\nread,\"a,\"\"b\"\nwrite,c\n").unwrap();
        assert_eq!(script.keys.get(0), b"a,\"b");
        assert_eq!(script.keys.bytes(), [None, None]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (content, words) in [
            ("", "first line"),
            ("key,op\na,read\n", "is no trace"),
            ("op,value\nread,1\n", "no column `key`"),
            ("op,key\n", "nothing to replay"),
            ("op,key\nread,a\nlook,b\n", ":3: `look` is no operation"),
            ("op,key\nread,a\nread,b,7\n", ":3: 3 columns instead of 2"),
            ("op,key\nread,a\n\nread,b\n", ":3: the line is empty"),
            ("op,key\nread,\n", ":2: the key is empty"),
            ("op,key,value_bytes\nwrite,a,x\n", ":2: value_bytes is `x`"),
            ("op,key,value_bytes\nwrite,a,-1\n", ":2: value_bytes is `-1`"),
            ("op,key,value_bytes\nwrite,a,4000000000\n", ":2: value_bytes is 4000000000"),
            ("op,key,value_bytes\nscan,a,\n", ":2: a scan needs"),
            ("op,key\nread,\"a\n", ":2: a quote is not closed"),
        ] {
            let failure = format!("{:?}", read(content).unwrap_err());
            assert!(failure.replace("\\\"", "\"").contains(words), "{content}: {failure}");
        }
    }
}
