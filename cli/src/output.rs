//! The standard output: text for people, or JSON for machines.

use crate::exit::{Failure, Outcome};
use crate::json;
use crate::standard_error::complain;
use crate::text;
use serde::Serialize;
use std::fmt;
use std::io::{self, BufWriter, IsTerminal as _, Stdout, Write};

/// The destination of a command's result. Notes and progress go to the standard error instead.
pub(crate) struct Output {
    json: bool,
    writer: BufWriter<Stdout>,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, writer: BufWriter::with_capacity(1 << 16, io::stdout()) }
    }

    /// Returns true if the output is JSON.
    pub(crate) const fn json(&self) -> bool {
        self.json
    }

    /// Returns true if the output is a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        !self.json && io::stdout().is_terminal()
    }

    /// Prints a line of text, whatever names it contains.
    pub(crate) fn line(&mut self, line: impl fmt::Display) -> Outcome<()> {
        self.bytes(text::line(&line.to_string()).as_bytes())?;
        self.bytes(b"\n")
    }

    /// Prints text with its own line ends. What a terminal would act on is escaped.
    pub(crate) fn text(&mut self, text: impl fmt::Display) -> Outcome<()> {
        self.bytes(text::plain(&text.to_string()).as_bytes())
    }

    /// Prints a drawing with colours. Names in it were escaped when it was drawn.
    pub(crate) fn drawing(&mut self, drawn: &str) -> Outcome<()> {
        self.bytes(drawn.as_bytes())
    }

    /// Writes bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Outcome<()> {
        self.writer.write_all(bytes).map_err(Failure::standard_output)
    }

    /// Prints an object on a separate line.
    pub(crate) fn object(&mut self, object: &impl Serialize) -> Outcome<()> {
        json::write(&mut self.writer, object)
            .map_err(|error| Failure::standard_output(error.into()))?;
        self.bytes(b"\n")
    }

    /// Prints an object if the output is JSON, otherwise text.
    pub(crate) fn either(
        &mut self,
        object: &impl Serialize,
        text: impl fmt::Display,
    ) -> Outcome<()> {
        if self.json { self.object(object) } else { self.line(text) }
    }

    /// Prints a note in addition to the result, on one line.
    pub(crate) fn note(&self, note: impl fmt::Display) {
        if !self.json {
            complain(&note.to_string());
        }
    }

    /// Flushes everything to the operating system.
    pub(crate) fn finish(&mut self) -> Outcome<()> {
        self.writer.flush().map_err(Failure::standard_output)
    }
}
