//! The standard output: text for people, or JSON for machines.

use crate::exit::{Failure, Outcome};
use crate::text;
use serde::{Serialize, Serializer};
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

    /// A line of text.
    pub(crate) fn line(&mut self, line: impl fmt::Display) -> Outcome<()> {
        self.text(format_args!("{line}\n"))
    }

    /// Text that brings its own line ends. What a terminal would act on is escaped.
    pub(crate) fn text(&mut self, text: impl fmt::Display) -> Outcome<()> {
        self.bytes(text::plain(&text.to_string()).as_bytes())
    }

    /// A drawing with colours. Names in it are escaped by those who draw.
    pub(crate) fn drawing(&mut self, drawn: &str) -> Outcome<()> {
        self.bytes(drawn.as_bytes())
    }

    /// Bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Outcome<()> {
        self.writer.write_all(bytes).map_err(Failure::standard_output)
    }

    /// An object on a line of its own.
    pub(crate) fn object(&mut self, object: &impl Serialize) -> Outcome<()> {
        serde_json::to_writer(&mut self.writer, object)
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

    /// Tells a person something beside the result.
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

/// Prints a line to the standard error, for people. A closed standard error does not end the command.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{}", text::plain(text));
}
