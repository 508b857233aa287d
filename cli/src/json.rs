//! JSON as the tool prints it.

use crate::text;
use serde::{Serialize, Serializer};
use serde_json::ser::Formatter;
use std::io::{self, Write};
use std::path::Path;

/// A path in JSON: text where it is text, otherwise a list of its bytes.
pub(crate) struct PathJson<'a>(pub(crate) &'a Path);

impl Serialize for PathJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.to_str() {
            Some(text) => serializer.serialize_str(text),
            None => serializer.serialize_bytes(self.0.as_os_str().as_encoded_bytes()),
        }
    }
}

/// Returns an object on one line.
pub(crate) fn line(object: &impl Serialize) -> String {
    let mut line = Vec::new();
    // Writing to a vector cannot fail.
    let _ = write(&mut line, object);
    String::from_utf8(line).unwrap_or_default()
}

/// Writes an object, without a line end.
pub(crate) fn write(writer: impl Write, object: &impl Serialize) -> serde_json::Result<()> {
    object.serialize(&mut serde_json::Serializer::with_formatter(writer, EscapedJson))
}

/// JSON in which everything that a terminal would act on is escaped. It means the same.
struct EscapedJson;

impl Formatter for EscapedJson {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        for part in fragment.split_inclusive(text::acts) {
            let last = part.chars().next_back().filter(|c| text::acts(*c));
            let plain = part.len() - last.map_or(0, char::len_utf8);
            writer.write_all(part.get(..plain).unwrap_or_default().as_bytes())?;
            for unit in last.into_iter().flat_map(|c| c.encode_utf16(&mut [0; 2]).to_vec()) {
                write!(writer, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}
