//! The format of a file, and which of its columns is the key.

use clap::ValueEnum;
use std::convert::Infallible;
use std::path::Path;
use std::str::FromStr;

/// A format of delimited text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Tabs between columns, no quoting: a tab or a line feed cannot be part of a field, nor can a
    /// carriage return or a NUL byte be part of a key
    Tsv,
    /// Commas between columns, quoted where needed (RFC 4180)
    Csv,
}

impl Format {
    /// Returns the format that a file's name suggests: CSV for `.csv`, otherwise TSV.
    pub(crate) fn of(path: &Path) -> Self {
        let csv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        if csv { Self::Csv } else { Self::Tsv }
    }

    pub(super) const fn delimiter(self) -> u8 {
        match self {
            Self::Tsv => b'\t',
            Self::Csv => b',',
        }
    }
}

/// The column that holds the key: its number from 1, or its name in the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyColumn {
    Number(usize),
    Name(String),
}

impl FromStr for KeyColumn {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.parse().map_or_else(|_| Self::Name(text.to_owned()), Self::Number))
    }
}
