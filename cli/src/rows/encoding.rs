//! Files that are not the text they are read as: in UTF-16, or with other line ends.
//!
//! Keys are bytes, so no byte is wrong by itself. But a file in UTF-16, or one whose lines end in a
//! lone carriage return, yields keys that no one intended, in lines that all look like rows. In
//! CSV, quotes say that such bytes are intended; TSV has no quotes, and so cannot contain them in a
//! key.

use super::doubt::{BYTE_ORDER_MARK, is_quoted};
use super::fields::{self, Split};
use super::format::Format;

/// The marks at the beginning of files in other encodings. UTF-32 comes first: some of its marks
/// begin with one of UTF-16.
const OTHER_MARKS: [(&[u8], &str); 4] = [
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
];

/// How to convert a file whose encoding only its NUL bytes reveal.
pub(super) const CONVERT: &str = "as all text in UTF-16 does; convert the file with \
     `iconv -f UTF-16LE -t UTF-8`, or -f UTF-16BE";

/// How to convert a file whose lines end in a carriage return.
pub(super) const MEND_LINE_ENDS: &str = r"if lines end that way, convert them with `tr '\r' '\n'`";

/// Returns what is wrong with a file that begins with these bytes; `None` if it may be UTF-8.
pub(super) fn other_mark(beginning: &[u8]) -> Option<String> {
    let (mark, name) = OTHER_MARKS.iter().find(|(mark, _)| beginning.starts_with(mark))?;
    let mark = crate::text::hex(mark);
    Some(format!(
        "the file is in {name}: it begins with the byte order mark {mark}; convert it with \
         `iconv -f {name} -t UTF-8`"
    ))
}

/// Returns true if the bytes begin with a byte order mark, which a reader takes off a first line.
pub(super) fn begins_with_mark(beginning: &[u8]) -> bool {
    beginning.starts_with(BYTE_ORDER_MARK) || other_mark(beginning).is_some()
}

/// Returns true if a field of the row has this byte outside of quotes.
pub(super) fn has_bare(format: Format, row: &[u8], byte: u8) -> bool {
    let Split::Row(places) = fields::split(format, row) else { return false };
    let mut fields = places.into_iter().map(|place| row.get(place).unwrap_or_default());
    fields.any(|field| !is_quoted(format, field) && field.contains(&byte))
}
