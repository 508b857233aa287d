//! What a verification of an index has found.

use serde::{Serialize, Serializer};
use std::fmt;

/// What [`Index::verify`](crate::Index::verify) or [`Index::repair`](crate::Index::repair) found.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct IndexVerification {
    /// How many rows were read.
    pub rows: u64,
    /// How many entries were read.
    pub entries: u64,
    /// How many entries are missing that follow from rows.
    pub missing: u64,
    /// How many entries there are that follow from no row.
    pub stale: u64,
    /// The first of them.
    pub problems: Vec<IndexProblem>,
    /// How many entries a repair has written or deleted.
    pub repaired: u64,
}

impl IndexVerification {
    /// Returns true if nothing is missing and nothing is stale.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.missing == 0 && self.stale == 0
    }
}

/// What is wrong with an index. Its text describes it for people, and so does its serialized form.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum IndexProblem {
    /// An entry is missing that follows from a row; or, in a unique index, is that of another row.
    #[non_exhaustive]
    Missing {
        /// The index key.
        index_key: Vec<u8>,
        /// The key of the row.
        key: Vec<u8>,
    },
    /// An entry follows from no row: the row is not there, or does not have this index key.
    #[non_exhaustive]
    Stale {
        /// The index key.
        index_key: Vec<u8>,
        /// The key of the row that it names.
        key: Vec<u8>,
    },
    /// Something that is no entry.
    #[non_exhaustive]
    NoEntry {
        /// Its key.
        key: Vec<u8>,
    },
}

impl fmt::Display for IndexProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { index_key, key } => write!(
                f,
                "row `{}` has the index key `{}`, but the index has no entry of it",
                key.escape_ascii(),
                index_key.escape_ascii()
            ),
            Self::Stale { index_key, key } => write!(
                f,
                "the index has row `{}` at the index key `{}`, which the row does not have",
                key.escape_ascii(),
                index_key.escape_ascii()
            ),
            Self::NoEntry { key } => write!(f, "`{}` is no entry", key.escape_ascii()),
        }
    }
}

impl Serialize for IndexProblem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
