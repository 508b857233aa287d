//! The key space as the vertical axis of a heat map.

use annulus::placement::{PartitionRange, Token};
use annulus::topology::SplitPoint;
use std::collections::BTreeSet;

/// The maximum number of rows of a map.
const ROWS_MAX: usize = 64;

/// Where keys or tokens are, from 0 at the bottom to 1 at the top.
#[derive(Debug, PartialEq)]
pub(crate) enum Axis {
    /// Tokens, evenly.
    Tokens,
    /// The keys that were sampled, in order: a key is at its rank among them.
    Keys(Vec<Box<[u8]>>),
}

impl Axis {
    /// Returns the axis for these places, which are all keys or all tokens.
    pub(super) fn of<'p>(hash: bool, places: impl Iterator<Item = &'p SplitPoint>) -> Self {
        if hash {
            return Self::Tokens;
        }
        let keys = places.filter_map(|place| match place {
            SplitPoint::Key(key) => Some(&**key),
            SplitPoint::Token(_) => None,
        });
        let keys: BTreeSet<&[u8]> = keys.collect();
        Self::Keys(keys.into_iter().map(Into::into).collect())
    }

    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Tokens => ROWS_MAX,
            Self::Keys(keys) => keys.len().clamp(1, ROWS_MAX),
        }
    }

    /// Returns the position of a place.
    pub(super) fn height(&self, place: &SplitPoint) -> f64 {
        match (self, place) {
            (Self::Tokens, SplitPoint::Token(token)) => turn(u128::from(token.0)),
            (Self::Keys(keys), SplitPoint::Key(key)) => {
                let rank = keys.partition_point(|other| **other < **key);
                if keys.is_empty() { 0.0 } else { rank as f64 / keys.len() as f64 }
            }
            _ => 0.0,
        }
    }

    /// Returns the row that a place is in, from the bottom.
    pub(super) fn row(&self, place: &SplitPoint) -> usize {
        // Half a rank up: a key is in the row that begins at or before it.
        let half = match self {
            Self::Tokens => 0.0,
            Self::Keys(keys) => 0.5 / keys.len().max(1) as f64,
        };
        let row = (self.height(place) + half) * self.rows() as f64;
        (row as usize).min(self.rows() - 1)
    }

    /// Returns where a span begins and ends.
    pub(super) fn span(&self, span: &PartitionRange) -> (f64, f64) {
        match span {
            PartitionRange::Tokens(span) => {
                let start = u128::from(span.start.0);
                (turn(start), turn(start + span.width()))
            }
            PartitionRange::Keys(span) => {
                let start = self.height(&SplitPoint::Key(span.start.clone()));
                let end = span.end.clone().map_or(1.0, |end| self.height(&SplitPoint::Key(end)));
                (start, end)
            }
        }
    }

    /// Returns the place at which a row begins.
    pub(super) fn begin(&self, row: usize) -> Option<SplitPoint> {
        match self {
            Self::Tokens => {
                let token = ((row as u128) << 64) / self.rows() as u128;
                Some(SplitPoint::Token(Token(u64::try_from(token).ok()?)))
            }
            Self::Keys(keys) => {
                let first = (row * keys.len()).div_ceil(self.rows());
                Some(SplitPoint::Key(keys.get(first)?.clone()))
            }
        }
    }
}

fn turn(token: u128) -> f64 {
    token as f64 / 2f64.powi(64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
    use super::*;
    use annulus::placement::{KeyRange, TokenRange};

    fn key(text: &str) -> SplitPoint {
        SplitPoint::Key(text.as_bytes().into())
    }

    #[test]
    fn keys_stand_by_rank_and_rows_begin_at_their_first_key() {
        let places: Vec<SplitPoint> = (0..1_000).map(|n| key(&format!("{n:03}"))).collect();
        let axis = Axis::of(false, places.iter().chain(&places));
        assert_eq!((axis.rows(), axis.height(&key("500"))), (ROWS_MAX, 0.5));
        assert_eq!(axis.span(&KeyRange::new("250", Some("750")).into()), (0.25, 0.75));
        assert_eq!(axis.span(&KeyRange::whole().into()), (0.0, 1.0));
        for row in 0..axis.rows() {
            assert_eq!(axis.row(&axis.begin(row).unwrap()), row);
        }
        assert_eq!((axis.row(&places[0]), axis.row(&places[999])), (0, ROWS_MAX - 1));
        let few = Axis::of(false, places.iter().take(3));
        assert_eq!((few.rows(), few.row(&key("001")), few.begin(2)), (3, 1, Some(key("002"))));
        let none = Axis::of(false, std::iter::empty());
        assert_eq!((none.rows(), none.row(&key("x")), none.begin(0)), (1, 0, None));
    }

    #[test]
    fn tokens_stand_evenly() {
        let axis = Axis::of(true, std::iter::empty());
        let half = SplitPoint::Token(Token(1 << 63));
        assert_eq!((axis.height(&half), axis.row(&half)), (0.5, ROWS_MAX / 2));
        assert_eq!(axis.begin(ROWS_MAX / 2), Some(half));
        assert_eq!(axis.row(&SplitPoint::Token(Token(u64::MAX))), ROWS_MAX - 1);
        let quarter = TokenRange::new(Token(1 << 62), Some(Token(1 << 63)));
        assert_eq!(axis.span(&quarter.into()), (0.25, 0.5));
        assert_eq!(axis.span(&TokenRange::new(Token(0), None).into()), (0.0, 1.0));
    }
}
