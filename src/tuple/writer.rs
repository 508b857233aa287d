//! The writer of encoded keys.

use super::code::SHORT_BYTES_MAX;
use super::code::{END, ESCAPE, NEGATIVE_LONG, NESTED, NULL, POSITIVE_LONG, ZERO};

/// A key while it is encoded. [`KeyEncode::encode`](super::KeyEncode::encode) appends to it.
#[derive(Debug)]
pub struct KeyWriter {
    bytes: Vec<u8>,
    /// How many tuples surround what is written next. The outermost one has no frame: a key that is
    /// a tuple is the sequence of its elements.
    depth: u32,
    /// True if the last element is only begun, so that any byte may follow.
    open: bool,
}

impl KeyWriter {
    pub(super) const fn new() -> Self {
        Self { bytes: Vec::new(), depth: 0, open: false }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) const fn is_open(&self) -> bool {
        self.open
    }

    /// Writes an element that has no content, or whose content has a fixed length.
    pub(super) fn fixed(&mut self, code: u8, content: &[u8]) {
        self.bytes.push(code);
        self.bytes.extend_from_slice(content);
    }

    pub(super) fn null(&mut self) {
        self.bytes.push(NULL);
        if self.depth > 1 {
            // Otherwise it would be the end of the nested tuple.
            self.bytes.push(ESCAPE);
        }
    }

    /// Writes bytes or a text.
    pub(super) fn escaped(&mut self, code: u8, content: &[u8]) {
        self.escaped_beginning(code, content);
        self.bytes.push(END);
        self.open = false;
    }

    /// Writes the beginning of bytes or of a text that may continue in any way.
    pub(super) fn escaped_beginning(&mut self, code: u8, content: &[u8]) {
        self.bytes.push(code);
        let mut parts = content.split(|byte| *byte == END);
        self.bytes.extend_from_slice(parts.next().unwrap_or_default());
        for part in parts {
            self.bytes.extend_from_slice(&[END, ESCAPE]);
            self.bytes.extend_from_slice(part);
        }
        self.open = true;
    }

    pub(super) fn integer(&mut self, negative: bool, magnitude: u128) {
        let unused = magnitude.leading_zeros() / 8;
        let bytes = magnitude.to_be_bytes();
        let significant = bytes.iter().skip(unused as usize);
        let length = (16 - unused) as u8;
        match (negative, length <= SHORT_BYTES_MAX) {
            (false, true) => self.bytes.push(ZERO + length),
            (false, false) => self.bytes.extend([POSITIVE_LONG, length]),
            (true, true) => self.bytes.push(ZERO - length),
            (true, false) => self.bytes.extend([NEGATIVE_LONG, !length]),
        }
        self.bytes.extend(significant.map(|byte| if negative { !byte } else { *byte }));
    }

    /// Writes a tuple, whose elements `elements` writes.
    pub(super) fn tuple(&mut self, elements: impl FnOnce(&mut Self)) {
        let nested = self.depth > 0;
        if nested {
            self.bytes.push(NESTED);
        }
        self.depth += 1;
        elements(self);
        self.depth -= 1;
        if nested {
            self.bytes.push(END);
        }
    }

    /// Writes what is one element even where it is the whole key: a tuple gets a frame.
    pub(super) fn element(&mut self, write: impl FnOnce(&mut Self)) {
        let outermost = self.depth == 0;
        self.depth += u32::from(outermost);
        write(self);
        self.depth -= u32::from(outermost);
    }
}
