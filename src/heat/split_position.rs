//! Places: keys or tokens, as cuts that begin at them.

use crate::placement::{PartitionRange, Token};
use crate::topology::SplitPoint;

/// Returns true if the place lies in the range. A key never lies among tokens.
pub(crate) fn lies_in(at: &SplitPoint, range: &PartitionRange) -> bool {
    match (range, at) {
        (PartitionRange::Tokens(range), SplitPoint::Token(token)) => range.contains(*token),
        (PartitionRange::Keys(range), SplitPoint::Key(key)) => range.contains(key),
        _ => false,
    }
}

/// Returns true if a partition of that range can be cut here: the place lies in it and is not its
/// first.
pub(crate) fn can_split_at(at: &SplitPoint, range: &PartitionRange) -> bool {
    let first = match (range, at) {
        (PartitionRange::Tokens(range), SplitPoint::Token(token)) => range.start == *token,
        (PartitionRange::Keys(range), SplitPoint::Key(key)) => range.start == *key,
        _ => true,
    };
    !first && lies_in(at, range)
}

/// Returns the place right after this one, with nothing between; `None` after the last token.
pub(crate) fn next(at: &SplitPoint) -> Option<SplitPoint> {
    match at {
        SplitPoint::Token(token) => {
            token.0.checked_add(1).map(|next| SplitPoint::Token(Token(next)))
        }
        SplitPoint::Key(key) => Some(SplitPoint::Key([key, &[0][..]].concat().into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::{KeyRange, TokenRange};

    #[test]
    fn places_and_ranges() {
        let tokens = PartitionRange::from(TokenRange::new(Token(4), Some(Token(6))));
        let inside = |n| {
            (
                lies_in(&SplitPoint::Token(Token(n)), &tokens),
                can_split_at(&SplitPoint::Token(Token(n)), &tokens),
            )
        };
        assert_eq!(
            [3, 4, 5, 6].map(inside),
            [(false, false), (true, false), (true, true), (false, false)]
        );
        let keys = PartitionRange::from(KeyRange::new("b", Some("c")));
        let key = |key: &str| SplitPoint::Key(key.as_bytes().into());
        assert!(
            lies_in(&key("b"), &keys)
                && !can_split_at(&key("b"), &keys)
                && can_split_at(&key("b\0"), &keys)
        );
        assert!(!lies_in(&key("b"), &tokens) && !can_split_at(&key("b"), &tokens));
    }

    #[test]
    fn nothing_lies_between_a_place_and_the_next() {
        assert_eq!(next(&SplitPoint::Token(Token(7))), Some(SplitPoint::Token(Token(8))));
        assert_eq!(next(&SplitPoint::Token(Token(u64::MAX))), None);
        assert_eq!(
            next(&SplitPoint::Key(b"a"[..].into())),
            Some(SplitPoint::Key(b"a\0"[..].into()))
        );
    }
}
