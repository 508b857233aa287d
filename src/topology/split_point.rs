//! Cuts: where the targets of a reshape meet.

use super::keyspace::KeyspaceLayout;
use crate::error::{Error, Result};
use crate::placement::{KeyRange, PartitionRange, Token, TokenRange};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where one target of a reshape ends and the next one begins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SplitPoint {
    /// The first token of the next one, in a hash keyspace.
    Token(Token),
    /// The first key of the next one, in a range keyspace.
    Key(Box<[u8]>),
}

impl fmt::Display for SplitPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(token) => write!(f, "token {token}"),
            Self::Key(key) => write!(f, "key \"{}\"", key.escape_ascii()),
        }
    }
}

impl SplitPoint {
    pub(super) fn token(&self) -> Option<Token> {
        match self {
            Self::Token(token) => Some(*token),
            Self::Key(_) => None,
        }
    }

    pub(super) fn key(&self) -> Option<&[u8]> {
        match self {
            Self::Token(_) => None,
            Self::Key(key) => Some(key),
        }
    }
}

/// Whether cuts of what partitions of a keyspace cover are in order and strictly inside.
///
/// # Errors
///
/// `InvalidArgument`.
pub(super) fn check_split_points(
    keyspace: &KeyspaceLayout,
    total: &PartitionRange,
    split_points: &[SplitPoint],
) -> Result<()> {
    let mut previous: Option<&SplitPoint> = None;
    for cut in split_points {
        let inside = match (total, cut) {
            (PartitionRange::Tokens(range), SplitPoint::Token(at)) => {
                *at > range.start && range.contains(*at)
            }
            (PartitionRange::Keys(range), SplitPoint::Key(at)) => {
                *at > range.start && range.contains(at)
            }
            (PartitionRange::Tokens(_), SplitPoint::Key(_))
            | (PartitionRange::Keys(_), SplitPoint::Token(_)) => {
                let wanted = if total.width().is_some() { "token" } else { "key" };
                return Err(Error::invalid(format!(
                    "a cut at {cut}, but keyspace `{}` is partitioned by {}: cut at a {wanted}",
                    keyspace.name,
                    keyspace.partitioning.name()
                )));
            }
        };
        if !inside {
            return Err(Error::invalid(format!(
                "the cut at {cut} is not inside {total}: cut after its start and before its end"
            )));
        }
        if let Some(previous) = previous.filter(|previous| *previous >= cut) {
            return Err(Error::invalid(format!(
                "the cut at {cut} does not come after the one at {previous}; give split_points in order"
            )));
        }
        previous = Some(cut);
    }
    Ok(())
}

/// Divides a range at checked cuts.
pub(super) fn divide(total: &PartitionRange, split_points: &[SplitPoint]) -> Vec<PartitionRange> {
    let pieces = split_points.len() + 1;
    match total {
        PartitionRange::Tokens(range) => {
            let split_points: Vec<Token> =
                split_points.iter().filter_map(SplitPoint::token).collect();
            let starts = std::iter::once(range.start).chain(split_points.iter().copied());
            let ends = split_points.iter().copied().map(Some).chain([range.end]);
            starts.zip(ends).take(pieces).map(|(s, e)| TokenRange::new(s, e).into()).collect()
        }
        PartitionRange::Keys(range) => {
            let split_points: Vec<&[u8]> =
                split_points.iter().filter_map(SplitPoint::key).collect();
            let starts = std::iter::once(&*range.start).chain(split_points.iter().copied());
            let ends = split_points.iter().copied().map(Some).chain([range.end.as_deref()]);
            starts.zip(ends).take(pieces).map(|(s, e)| KeyRange::new(s, e).into()).collect()
        }
    }
}
