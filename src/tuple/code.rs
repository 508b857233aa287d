//! The codes with which elements begin; the table is in the documentation of [`tuple`](super).

pub(super) const NULL: u8 = 0x00;
pub(super) const BYTES: u8 = 0x01;
pub(super) const TEXT: u8 = 0x02;
pub(super) const NESTED: u8 = 0x05;
pub(super) const NEGATIVE_LONG: u8 = 0x0b;
pub(super) const ZERO: u8 = 0x14;
pub(super) const POSITIVE_LONG: u8 = 0x1d;
pub(super) const F32: u8 = 0x20;
pub(super) const F64: u8 = 0x21;
pub(super) const FALSE: u8 = 0x26;
pub(super) const TRUE: u8 = 0x27;
pub(super) const UUID: u8 = 0x30;

/// What ends bytes, texts and nested tuples.
pub(super) const END: u8 = 0x00;

/// What follows a byte that would otherwise be an [`END`]. No element begins with it.
pub(super) const ESCAPE: u8 = 0xff;

/// The most bytes of an integer whose length is in its code.
pub(super) const SHORT_BYTES_MAX: u8 = 8;

/// The most bytes of an integer.
pub(super) const INTEGER_BYTES_MAX: u8 = 16;

/// Returns what an element with this code is, for people.
pub(super) const fn name(code: u8) -> &'static str {
    match code {
        NULL => "null",
        BYTES => "bytes",
        TEXT => "a text",
        NESTED => "a tuple",
        NEGATIVE_LONG..=POSITIVE_LONG => "an integer",
        F32 => "an f32",
        F64 => "an f64",
        FALSE | TRUE => "a bool",
        UUID => "a UUID",
        _ => "no element",
    }
}
