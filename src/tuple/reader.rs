//! The reader of encoded keys.

use super::code::{
    self, END, ESCAPE, INTEGER_BYTES_MAX, NEGATIVE_LONG, NESTED, NULL, POSITIVE_LONG,
    SHORT_BYTES_MAX, ZERO,
};
use crate::error::{Error, ErrorKind, Result};

/// A key while it is decoded. [`Key::decode`](super::Key::decode) reads from it.
#[derive(Debug, Clone)]
pub struct KeyReader<'k> {
    rest: &'k [u8],
    length: usize,
    /// How many tuples surround what is read next.
    depth: u32,
}

impl<'k> KeyReader<'k> {
    pub(super) const fn new(key: &'k [u8]) -> Self {
        Self { rest: key, length: key.len(), depth: 0 }
    }

    /// Returns an error at the present place.
    #[cold]
    pub(super) fn error(&self, what: impl std::fmt::Display) -> Error {
        let at = self.length - self.rest.len();
        Error::new(ErrorKind::WrongType, format!("at byte {at} of the key: {what}"))
    }

    #[cold]
    fn ends_early(&self) -> Error {
        self.error("the key ends within an element")
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Checks that nothing is left.
    pub(super) fn finish(&self) -> Result<()> {
        if self.is_at_end() {
            return Ok(());
        }
        Err(self.error("the key has more elements than its type"))
    }

    /// Returns the code of the next element without taking it.
    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(super) fn byte(&mut self) -> Result<u8> {
        let (first, rest) = self.rest.split_first().ok_or_else(|| self.ends_early())?;
        self.rest = rest;
        Ok(*first)
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'k [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(|| self.ends_early())?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(|| self.ends_early())?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Returns the error of an element that is not what it should be.
    #[cold]
    pub(super) fn unexpected(&self, wanted: &str) -> Error {
        match self.peek() {
            Some(found) => {
                self.error(format_args!("{wanted} is expected, not {}", code::name(found)))
            }
            None => self.error(format_args!("{wanted} is expected, and the key ends")),
        }
    }

    pub(super) fn expect(&mut self, code: u8) -> Result<()> {
        if self.peek() == Some(code) {
            return self.byte().map(drop);
        }
        Err(self.unexpected(code::name(code)))
    }

    /// Takes a null, if one is next.
    pub(super) fn take_null(&mut self) -> bool {
        let null: &[u8] = if self.depth > 1 { &[NULL, ESCAPE] } else { &[NULL] };
        match self.rest.strip_prefix(null) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Returns the content of bytes or of a text.
    pub(super) fn escaped(&mut self, code: u8) -> Result<Vec<u8>> {
        self.expect(code)?;
        let mut content = Vec::new();
        loop {
            let end = self.rest.iter().position(|byte| *byte == END);
            let end = end.ok_or_else(|| self.ends_early())?;
            content.extend_from_slice(self.bytes(end)?);
            self.byte()?;
            if self.peek() != Some(ESCAPE) {
                return Ok(content);
            }
            self.byte()?;
            content.push(END);
        }
    }

    /// Returns an integer as its sign and its magnitude.
    pub(super) fn integer(&mut self) -> Result<(bool, u128)> {
        let here = self.clone();
        let code = self.peek().unwrap_or(NULL);
        if !(NEGATIVE_LONG..=POSITIVE_LONG).contains(&code) {
            return Err(self.unexpected("an integer"));
        }
        self.byte()?;
        let negative = code < ZERO;
        let length = match code {
            POSITIVE_LONG => self.byte()?,
            NEGATIVE_LONG => !self.byte()?,
            _ => code.abs_diff(ZERO),
        };
        let is_long = matches!(code, POSITIVE_LONG | NEGATIVE_LONG);
        if length > INTEGER_BYTES_MAX || (is_long && length <= SHORT_BYTES_MAX) {
            return Err(here.error(format_args!("an integer of {length} bytes")));
        }
        let mut magnitude = 0;
        for (index, byte) in self.bytes(usize::from(length))?.iter().enumerate() {
            let byte = if negative { !byte } else { *byte };
            if index == 0 && byte == 0 {
                return Err(here.error("an integer with a leading zero"));
            }
            magnitude = magnitude << 8 | u128::from(byte);
        }
        Ok((negative, magnitude))
    }

    /// Reads a tuple, whose elements `elements` reads.
    pub(super) fn tuple<T>(&mut self, elements: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let nested = self.depth > 0;
        if nested {
            self.expect(NESTED)?;
        }
        self.depth += 1;
        let read = elements(self)?;
        self.depth -= 1;
        if nested {
            if self.peek() != Some(END) {
                return Err(self.error("a nested tuple has more elements than its type"));
            }
            self.byte()?;
        }
        Ok(read)
    }

    /// Reads what is one element even where it is the whole key.
    pub(super) fn element<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let outermost = self.depth == 0;
        self.depth += u32::from(outermost);
        let element = read(self)?;
        self.depth -= u32::from(outermost);
        Ok(element)
    }
}
