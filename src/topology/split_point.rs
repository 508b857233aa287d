//! Split points: where the targets of a reshape meet.

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
    const fn token(&self) -> Option<Token> {
        match self {
            Self::Token(token) => Some(*token),
            Self::Key(_) => None,
        }
    }

    fn key(&self) -> Option<&[u8]> {
        match self {
            Self::Token(_) => None,
            Self::Key(key) => Some(key),
        }
    }
}

/// A range, and points strictly inside it, in order and of its kind, that divide it.
pub(super) enum Division<'p> {
    Tokens(TokenRange, Vec<Token>),
    Keys(KeyRange, Vec<&'p [u8]>),
}

impl<'p> Division<'p> {
    /// Checks the points at which to divide what partitions of a keyspace cover.
    ///
    /// # Errors
    ///
    /// `InvalidArgument`.
    pub(super) fn new(
        keyspace: &KeyspaceLayout,
        total: PartitionRange,
        points: &'p [SplitPoint],
    ) -> Result<Self> {
        let other_kind = |point: &SplitPoint, wanted| {
            Error::invalid(format!(
                "split point {point}: keyspace `{}` is partitioned by {}, so split it at a {wanted}",
                keyspace.name,
                keyspace.partitioning.as_str()
            ))
        };
        match total {
            PartitionRange::Tokens(total) => {
                let token =
                    |point: &SplitPoint| point.token().ok_or_else(|| other_kind(point, "token"));
                let inside = |at: &Token| *at > total.start && total.contains(*at);
                Ok(Self::Tokens(total, checked(points, &total, token, inside)?))
            }
            PartitionRange::Keys(total) => {
                let key =
                    |point: &'p SplitPoint| point.key().ok_or_else(|| other_kind(point, "key"));
                let inside = |at: &&[u8]| **at > *total.start && total.contains(at);
                let points = checked(points, &total, key, inside)?;
                Ok(Self::Keys(total, points))
            }
        }
    }

    /// Returns the parts, in order.
    pub(super) fn parts(&self) -> Vec<PartitionRange> {
        match self {
            Self::Tokens(total, points) => {
                let starts = std::iter::once(total.start).chain(points.iter().copied());
                let ends = points.iter().copied().map(Some).chain([total.end]);
                starts.zip(ends).map(|(start, end)| TokenRange::new(start, end).into()).collect()
            }
            Self::Keys(total, points) => {
                let starts = std::iter::once(&*total.start).chain(points.iter().copied());
                let ends = points.iter().copied().map(Some).chain([total.end.as_deref()]);
                starts.zip(ends).map(|(start, end)| KeyRange::new(start, end).into()).collect()
            }
        }
    }
}

/// Returns what is read from each point, if that ascends and is inside `total`.
fn checked<'p, T: Ord>(
    points: &'p [SplitPoint],
    total: &impl fmt::Display,
    read: impl Fn(&'p SplitPoint) -> Result<T>,
    is_inside: impl Fn(&T) -> bool,
) -> Result<Vec<T>> {
    let mut checked: Vec<T> = Vec::with_capacity(points.len());
    let mut previous: Option<&SplitPoint> = None;
    for point in points {
        let at = read(point)?;
        if !is_inside(&at) {
            return Err(Error::invalid(format!(
                "split point {point} is not inside {total}: split after its start and before its \
                 end"
            )));
        }
        if let Some(previous) = previous.filter(|_| checked.last().is_some_and(|last| *last >= at))
        {
            return Err(Error::invalid(format!(
                "split point {point} does not come after {previous}; give split points in order"
            )));
        }
        checked.push(at);
        previous = Some(point);
    }
    Ok(checked)
}
