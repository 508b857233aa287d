//! The positions of the fields of a row in its text.

use super::doubt::Doubt;
use super::format::Format;
use std::borrow::Cow;
use std::ops::Range;

/// What a text turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Split {
    /// A whole row; the fields are at these positions, quotes included.
    Row(Vec<Range<usize>>),
    /// The beginning of a row: a quoted field has not ended yet.
    Open,
    /// Not a row.
    Bad(&'static str),
}

/// Finds the fields of a row. CSV is taken strictly (RFC 4180): a reader that accepts everything
/// cannot say which line is wrong, and one forgotten quote makes it swallow the rest of a file.
pub(super) fn split(format: Format, text: &[u8]) -> Split {
    match format {
        Format::Tsv => Split::Row(split_plain(text, b'\t')),
        Format::Csv if !text.contains(&b'"') => Split::Row(split_plain(text, b',')),
        Format::Csv => split_quoted(text),
    }
}

fn split_plain(text: &[u8], delimiter: u8) -> Vec<Range<usize>> {
    let mut fields = Vec::with_capacity(8);
    let mut start = 0;
    for (at, _) in text.iter().enumerate().filter(|(_, byte)| **byte == delimiter) {
        fields.push(start..at);
        start = at + 1;
    }
    fields.push(start..text.len());
    fields
}

fn split_quoted(text: &[u8]) -> Split {
    let mut fields = Vec::with_capacity(8);
    let mut start = 0;
    loop {
        let rest = text.get(start..).unwrap_or_default();
        let len = match rest {
            [b'"', quoted @ ..] => match quoted_len(quoted) {
                Some(len) => len + 1,
                None => return Split::Open,
            },
            _ => rest.iter().position(|byte| matches!(byte, b',' | b'"')).unwrap_or(rest.len()),
        };
        fields.push(start..start + len);
        match rest.get(len) {
            None => return Split::Row(fields),
            Some(b',') => start += len + 1,
            Some(b'"') => return Split::Bad("a quote stands inside a field that is not quoted"),
            Some(_) => return Split::Bad("something follows the quote that ends a field"),
        }
    }
}

/// Returns the length of a quoted field after its first quote, including the last one; `""` stands
/// for a quote.
fn quoted_len(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += text.get(at..)?.iter().position(|byte| *byte == b'"')? + 1;
        if text.get(at) != Some(&b'"') {
            return Some(at);
        }
        at += 1;
    }
}

/// Returns what a field of a row means: without its quotes.
pub(super) fn unquote(format: Format, field: &[u8]) -> Cow<'_, [u8]> {
    let (Format::Csv, [b'"', quoted @ .., b'"']) = (format, field) else {
        return Cow::Borrowed(field);
    };
    let mut meaning = Vec::with_capacity(quoted.len());
    let mut after_quote = false;
    for byte in quoted {
        after_quote = *byte == b'"' && !after_quote;
        if !after_quote {
            meaning.push(*byte);
        }
    }
    Cow::Owned(meaning)
}

/// Returns a field for a key that means these bytes, or why the format cannot hold them.
pub(super) fn quote(format: Format, meaning: &[u8]) -> Result<Cow<'_, [u8]>, &'static str> {
    let special = |bytes: &[u8]| meaning.iter().any(|byte| bytes.contains(byte));
    let doubt = Doubt::of(format, meaning);
    match format {
        Format::Tsv if special(b"\t\n") => Err("has a tab or a line feed"),
        Format::Tsv => doubt.map_or(Ok(Cow::Borrowed(meaning)), |doubt| Err(doubt.what())),
        Format::Csv if meaning.is_empty() || special(b",\"\n") || doubt.is_some() => {
            let mut field = vec![b'"'];
            for byte in meaning {
                if *byte == b'"' {
                    field.push(b'"');
                }
                field.push(*byte);
            }
            field.push(b'"');
            Ok(Cow::Owned(field))
        }
        Format::Csv => Ok(Cow::Borrowed(meaning)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::single_range_in_vec_init,
        reason = "a test fails by panicking, and a row may have a single field"
    )]
    use super::*;

    /// Goal: whatever the csv crate writes is read as what went in, and what `quote` writes is
    /// read alike by the csv crate. Method: random fields of the bytes that matter.
    #[test]
    fn csv_means_what_the_csv_crate_means() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let fields: Vec<Vec<u8>> = (0..random.usize(1..5))
                .map(|_| {
                    (0..random.usize(0..6)).map(|_| b",\"\n\r a\xffb"[random.usize(0..8)]).collect()
                })
                .collect();
            let style = [csv::QuoteStyle::Necessary, csv::QuoteStyle::Always][random.usize(0..2)];
            let mut writer = csv::WriterBuilder::new().quote_style(style).from_writer(Vec::new());
            writer.write_record(&fields).unwrap();
            let line = writer.into_inner().unwrap();
            let text = line.strip_suffix(b"\n").unwrap();
            let Split::Row(places) = split(Format::Csv, text) else {
                panic!("{}", text.escape_ascii())
            };
            let meant: Vec<_> =
                places.iter().map(|place| unquote(Format::Csv, &text[place.clone()])).collect();
            assert_eq!(meant, fields, "{}", text.escape_ascii());

            let ours: Vec<_> = fields.iter().map(|f| quote(Format::Csv, f).unwrap()).collect();
            let mut ours = ours.join(&b','.to_owned());
            ours.push(b'\n');
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&ours[..]);
            let read = reader.byte_records().next().unwrap().unwrap();
            assert!(read.iter().eq(&fields), "{}", ours.escape_ascii());
        }
    }

    #[test]
    fn malformed_csv_is_told_from_unfinished() {
        for (text, expected) in [
            ("a,\"b", Split::Open),
            ("a,\"b\"\"", Split::Open),
            ("a,b\"c", Split::Bad("a quote stands inside a field that is not quoted")),
            ("\"a\"b,c", Split::Bad("something follows the quote that ends a field")),
            ("", Split::Row(vec![0..0])),
            (",", Split::Row(vec![0..0, 1..1])),
            ("\"\",", Split::Row(vec![0..2, 3..3])),
        ] {
            assert_eq!(split(Format::Csv, text.as_bytes()), expected, "{text}");
        }
    }
}
