//! Encoded keys as texts for people.

use super::code::{
    BYTES, END, ESCAPE, F32, F64, FALSE, NEGATIVE_LONG, NESTED, NULL, POSITIVE_LONG, TEXT, TRUE,
    UUID,
};
use super::{Key as _, KeyReader};
use crate::error::Result;
use std::fmt::Write as _;

/// A text is cut after this many characters.
const CHARS_MAX: usize = 200;

/// Tuples within tuples within tuples: deeper than any type, and no danger to the stack.
const DEPTH_MAX: u32 = 32;

/// Returns an encoded key as a text: what it encodes, whatever its type, as `("user", 7)`; or its
/// bytes, if they encode nothing. A long text is cut.
///
/// ```
/// use annulus::tuple;
///
/// let key = tuple::encode(&("user", 7_u64, (None::<bool>, b"\x00")));
/// assert_eq!(tuple::describe(&key), r#"("user", 7, (null, b"\x00"))"#);
/// assert_eq!(tuple::describe(b"user/7"), r#"b"user/7""#);
/// ```
#[must_use]
pub fn describe(key: &[u8]) -> String {
    let text = elements(key).unwrap_or_else(|_| format!("b\"{}\"", key.escape_ascii()));
    match text.char_indices().nth(CHARS_MAX) {
        Some((cut, _)) => format!("{}…", text.get(..cut).unwrap_or_default()),
        None => text,
    }
}

fn elements(key: &[u8]) -> Result<String> {
    let mut reader = KeyReader::new(key);
    let mut elements = Vec::new();
    while !reader.is_at_end() {
        elements.push(element(&mut reader, 0)?);
    }
    Ok(match &*elements {
        [alone] => alone.clone(),
        several => format!("({})", several.join(", ")),
    })
}

fn element(reader: &mut KeyReader<'_>, depth: u32) -> Result<String> {
    Ok(match reader.peek() {
        Some(NULL) => {
            reader.byte()?;
            "null".to_owned()
        }
        Some(BYTES) => format!("b\"{}\"", Vec::decode(reader)?.escape_ascii()),
        Some(TEXT) => format!("{:?}", String::decode(reader)?),
        Some(NESTED) if depth < DEPTH_MAX => nested(reader, depth)?,
        Some(NEGATIVE_LONG..=POSITIVE_LONG) => {
            let (negative, magnitude) = reader.integer()?;
            format!("{}{magnitude}", if negative { "-" } else { "" })
        }
        Some(F32) => format!("{:?}", f32::decode(reader)?),
        Some(F64) => format!("{:?}", f64::decode(reader)?),
        Some(FALSE | TRUE) => bool::decode(reader)?.to_string(),
        Some(UUID) => {
            reader.expect(UUID)?;
            uuid(reader.bytes(16)?)
        }
        _ => return Err(reader.unexpected("an element")),
    })
}

fn nested(reader: &mut KeyReader<'_>, depth: u32) -> Result<String> {
    reader.expect(NESTED)?;
    let mut elements = Vec::new();
    loop {
        if reader.peek() != Some(END) {
            elements.push(element(reader, depth + 1)?);
            continue;
        }
        reader.byte()?;
        if reader.peek() != Some(ESCAPE) {
            return Ok(format!("({})", elements.join(", ")));
        }
        reader.byte()?;
        elements.push("null".to_owned());
    }
}

fn uuid(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // A String takes whatever is written.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
