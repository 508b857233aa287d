//! Which keys of a keyspace: between bounds, or with a prefix.

use crate::exit::Outcome;
use crate::text;
use annulus::{Keyspace, Scan, ScanOptions};
use clap::Args;
use std::ffi::OsString;
use std::ops::Bound;

/// The keys to select; all of them if nothing is said.
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
        let parse =
            |key: &Option<OsString>| key.as_deref().map(|key| text::parse(key, hex)).transpose();
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
            Self::Prefix(prefix) => keyspace.prefix_with(prefix, options),
        }
    }

    /// The same keys as bounds.
    pub(crate) fn bounds(self) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
        match self {
            Self::Between(from, to) => (from, to),
            Self::Prefix(prefix) => {
                let end = after_prefix(&prefix).map_or(Bound::Unbounded, Bound::Excluded);
                (Bound::Included(prefix), end)
            }
        }
    }
}

/// The smallest key that is greater than all keys with this prefix; none for `FF FF …`.
fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix.get(..=kept)?.to_vec();
    *end.last_mut()? += 1;
    Some(end)
}
