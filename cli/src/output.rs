//! The standard output: text for people, or JSON for machines.

use crate::exit::{Failure, Outcome};
use crate::json;
use crate::standard_error::complain;
use crate::text;
use serde::Serialize;
use std::fmt;
use std::io::{self, BufWriter, IsTerminal as _, Stdout, Write};

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
        json::write(&mut self.writer, object)
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
