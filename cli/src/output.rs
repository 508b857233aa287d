//! The standard output: text for people, or JSON for machines.

use crate::exit::{Failure, Outcome};
use crate::text;
use serde::{Serialize, Serializer};
use serde_json::ser::Formatter;
use std::fmt;
use std::io::{self, BufWriter, IsTerminal as _, Stdout, Write};
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

/// What a command prints its result to. Notes and progress go to the standard error instead.
pub(crate) struct Output {
    json: bool,
    writer: BufWriter<Stdout>,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, writer: BufWriter::with_capacity(1 << 16, io::stdout()) }
    }

    /// Whether JSON is wanted.
    pub(crate) const fn json(&self) -> bool {
        self.json
    }

    /// Whether a person looks at it.
    pub(crate) fn is_terminal(&self) -> bool {
        !self.json && io::stdout().is_terminal()
    }

    /// A line of text, whatever names it has in it.
    pub(crate) fn line(&mut self, line: impl fmt::Display) -> Outcome<()> {
        self.bytes(text::line(&line.to_string()).as_bytes())?;
        self.bytes(b"\n")
    }

    /// Text that brings its own line ends. What a terminal would act on is escaped.
    pub(crate) fn text(&mut self, text: impl fmt::Display) -> Outcome<()> {
        self.bytes(text::plain(&text.to_string()).as_bytes())
    }

    /// A drawing with colours. Names in it were escaped when it was drawn.
    pub(crate) fn drawing(&mut self, drawn: &str) -> Outcome<()> {
        self.bytes(drawn.as_bytes())
    }

    /// Bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Outcome<()> {
        self.writer.write_all(bytes).map_err(Failure::standard_output)
    }

    /// An object on a line of its own.
    pub(crate) fn object(&mut self, object: &impl Serialize) -> Outcome<()> {
        to_json(&mut self.writer, object)
            .map_err(|error| Failure::standard_output(error.into()))?;
        self.bytes(b"\n")
    }

    /// An object if JSON is wanted, otherwise text.
    pub(crate) fn either(
        &mut self,
        object: &impl Serialize,
        text: impl fmt::Display,
    ) -> Outcome<()> {
        if self.json { self.object(object) } else { self.line(text) }
    }

    /// Tells a person something besides the result, on one line.
    pub(crate) fn note(&self, note: impl fmt::Display) {
        if !self.json {
            complain(&note.to_string());
        }
    }

    /// Hands everything to the operating system.
    pub(crate) fn finish(&mut self) -> Outcome<()> {
        self.writer.flush().map_err(Failure::standard_output)
    }
}

/// Prints a line to the standard error. A closed standard error does not end the command.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{}", text::line(line));
}

/// The same for a message of several lines, in which everything quoted is escaped already.
pub(crate) fn complain_lines(lines: &str) {
    let _ = writeln!(io::stderr(), "{}", text::plain(lines));
}

/// An object on one line.
pub(crate) fn json_line(object: &impl Serialize) -> String {
    let mut line = Vec::new();
    // Writing to a vector cannot fail.
    let _ = to_json(&mut line, object);
    String::from_utf8(line).unwrap_or_default()
}

fn to_json(writer: impl Write, object: &impl Serialize) -> serde_json::Result<()> {
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
