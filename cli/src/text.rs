//! Keys and values as text, both ways. They are bytes: nothing may be lost or invented on the way.

use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt::Write as _;

/// Returns bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Returns true if a terminal acts on a character instead of showing it: controls, what begins an
/// escape sequence, line separators, and marks that change the direction of the text around them.
pub(crate) fn acts(c: char) -> bool {
    let directs = matches!(
        c,
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    directs || c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

fn push_escaped(text: &mut String, c: char) {
    let mut buffer = [0; 4];
    // Writing to a string cannot fail.
    let _ = write!(text, "{}", c.encode_utf8(&mut buffer).as_bytes().escape_ascii());
}

fn escape_where(text: &str, wanted: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&wanted) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if wanted(c) { push_escaped(&mut escaped, c) } else { escaped.push(c) }
    }
    Cow::Owned(escaped)
}

/// Returns text of several lines for people: what a terminal would act on is escaped as in keys,
/// whatever name or path it came with. Tabs and line feeds stay.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    escape_where(text, |c| acts(c) && !matches!(c, '\t' | '\n'))
}

/// The same for a separate line, whatever it quotes: line feeds are escaped, too.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    escape_where(text, |c| acts(c) && c != '\t')
}

/// The same for text that shares a line with other text, such as a cell of a table.
pub(crate) fn plain_line(text: &str) -> Cow<'_, str> {
    escape_where(text, acts)
}

/// Returns bytes on one line of text: printable UTF-8 as it is, everything else and the backslash
/// as `\t`, `\n`, `\r`, `\\`, `\x1b`; or hexadecimal digits.
pub(crate) fn show(bytes: &[u8], as_hex: bool) -> Cow<'_, str> {
    if as_hex { Cow::Owned(hex(bytes)) } else { escape(bytes) }
}

/// Returns bytes on one line of text, escaped where necessary.
pub(crate) fn escape(bytes: &[u8]) -> Cow<'_, str> {
    let plain = |text: &&str| !text.chars().any(|c| c == '\\' || acts(c));
    if let Some(text) = std::str::from_utf8(bytes).ok().filter(plain) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(bytes.len() + 8);
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '\\' || acts(c) { push_escaped(&mut escaped, c) } else { escaped.push(c) }
        }
        for byte in chunk.invalid() {
            let _ = write!(escaped, "\\x{byte:02x}");
        }
    }
    Cow::Owned(escaped)
}

/// Returns bytes as [`escape`] shows them, between quotes.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", escape(bytes).replace('"', "\\\""))
}

/// Returns at most `width` characters, with an ellipsis where something is missing.
pub(crate) fn shorten(text: &str, width: usize) -> Cow<'_, str> {
    if text.chars().count() <= width {
        return Cow::Borrowed(text);
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    Cow::Owned(kept + "…")
}

/// Adds bytes to a JSON object: `"name": "text"`, or `"name_hex": "…"` if they are not UTF-8 or
/// hexadecimal digits are wanted.
pub(crate) fn insert(object: &mut Map<String, Value>, name: &str, bytes: &[u8], as_hex: bool) {
    match std::str::from_utf8(bytes) {
        Ok(text) if !as_hex => object.insert(name.to_owned(), text.into()),
        _ => object.insert(format!("{name}_hex"), hex(bytes).into()),
    };
}

/// Returns a row as a JSON object.
pub(crate) fn row(key: &[u8], value: Option<&[u8]>, as_hex: bool) -> Value {
    let mut object = Map::new();
    insert(&mut object, "key", key, as_hex);
    if let Some(value) = value {
        insert(&mut object, "value", value, as_hex);
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_only_where_it_must_be() {
        assert_eq!(escape("süß 7".as_bytes()), "süß 7");
        assert_eq!(escape(b"a\tb\\c\n\x1b[2J\xffz"), r"a\tb\\c\n\x1b[2J\xffz");
    }

    /// A key could reverse the text after it, and a directory's name could clear the screen.
    #[test]
    fn nothing_that_a_terminal_acts_on_is_left() {
        let marks = ('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}');
        let others =
            ['\u{200e}', '\u{200f}', '\u{61c}', '\u{2028}', '\x1b', '\u{9b}', '\r', '\x7f'];
        for c in marks.chain(others) {
            let text = format!("a{c}b");
            for shown in [escape(text.as_bytes()), plain(&text), line(&text), plain_line(&text)] {
                assert!(shown.is_ascii() && shown.contains('\\'), "{}", text.escape_unicode());
            }
        }
        assert_eq!(plain("a\tb\nsüß \\ שלום"), "a\tb\nsüß \\ שלום");
        assert_eq!(line("a\tb\nsüß"), "a\tb\\nsüß");
        assert_eq!(plain_line("a\tb\nc\u{202e}"), r"a\tb\nc\xe2\x80\xae");
    }
}
