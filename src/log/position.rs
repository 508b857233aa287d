//! Places in the log.

use std::fmt;

/// A place in the log: how many bytes of records lie before it since the store was created. It
/// never goes back, and each record has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub(crate) u64);

impl Position {
    /// Returns the position that has this many bytes of records before it.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Returns how many bytes of records lie before it.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// Where a reader of changes begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ChangesFrom {
    /// At what is written from now on.
    #[default]
    Now,
    /// At the oldest change that is still there.
    Earliest,
    /// At a position that another reader, or a record of the log, has named.
    Position(Position),
}

impl From<Position> for ChangesFrom {
    fn from(position: Position) -> Self {
        Self::Position(position)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
