//! Selection of keys of a keyspace: between bounds, or with a prefix.

use crate::argument;
use crate::exit::Outcome;
use annulus::{Batch, Keyspace, Prefix, Scan, ScanOptions};
use clap::Args;
use std::ffi::OsString;
use std::ops::Bound;

/// The keys to select; all of them by default.
#[derive(Debug, Args)]
pub(crate) struct SelectArgs {
    /// Only keys from this one on
    #[arg(long, value_name = "KEY")]
    from: Option<OsString>,

    /// Only keys before this one
    #[arg(long, value_name = "KEY")]
    to: Option<OsString>,

    /// Only keys that begin with this
    #[arg(long, value_name = "KEY", conflicts_with_all = ["from", "to"])]
    prefix: Option<OsString>,
}

/// Selected keys.
pub(crate) enum Selection {
    Between(Bound<Vec<u8>>, Bound<Vec<u8>>),
    Prefix(Vec<u8>),
}

impl SelectArgs {
    pub(crate) const fn is_empty(&self) -> bool {
        self.from.is_none() && self.to.is_none() && self.prefix.is_none()
    }

    pub(crate) fn selection(&self, hex: bool) -> Outcome<Selection> {
        let parse = |key: &Option<OsString>| {
            key.as_deref().map(|key| argument::parse(key, hex)).transpose()
        };
        if let Some(prefix) = parse(&self.prefix)? {
            return Ok(Selection::Prefix(prefix));
        }
        let from = parse(&self.from)?.map_or(Bound::Unbounded, Bound::Included);
        let to = parse(&self.to)?.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(Selection::Between(from, to))
    }
}

impl Selection {
    pub(crate) fn scan(self, keyspace: &Keyspace, options: ScanOptions) -> annulus::Result<Scan> {
        match self {
            Self::Between(from, to) => keyspace.scan_with((from, to), options),
            Self::Prefix(prefix) => keyspace.scan_with(Prefix::new(prefix), options),
        }
    }

    /// Adds the delete of the selected keys to a batch.
    pub(crate) fn delete(self, batch: &mut Batch, keyspace: &Keyspace) {
        match self {
            Self::Between(from, to) => batch.delete_range(keyspace, (from, to)),
            Self::Prefix(prefix) => batch.delete_range(keyspace, Prefix::new(prefix)),
        }
    }
}
