//! Fields that are keys which probably no one intended.

use super::format::Format;

/// Some programs begin a file with it; it is not part of a name or a key.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Why a field is doubtful as a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    Nul,
    CarriageReturn,
    Mark,
}

impl Doubt {
    /// Returns the doubt about a field as it is written; `None` if it is in quotes, or plain.
    pub(super) fn of(format: Format, field: &[u8]) -> Option<Self> {
        match field {
            _ if is_quoted(format, field) => None,
            _ if field.contains(&0) => Some(Self::Nul),
            _ if field.contains(&b'\r') => Some(Self::CarriageReturn),
            _ if field.starts_with(BYTE_ORDER_MARK) => Some(Self::Mark),
            _ => None,
        }
    }

    /// Describes the doubt, as a predicate of a key.
    pub(super) const fn what(self) -> &'static str {
        match self {
            Self::Nul => "has a NUL byte",
            Self::CarriageReturn => "has a carriage return",
            Self::Mark => "begins with a byte order mark",
        }
    }
}

/// Returns true if a field is written in quotes.
pub(super) fn is_quoted(format: Format, field: &[u8]) -> bool {
    format == Format::Csv && field.starts_with(b"\"")
}
