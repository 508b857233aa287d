//! Places: keys or tokens, as cuts that begin at them.

use crate::placement::{PartitionRange, Token};
use crate::topology::SplitPoint;

/// Whether the place lies in the span. A key never lies among tokens.
pub(crate) fn lies_in(at: &SplitPoint, span: &PartitionRange) -> bool {
    match (span, at) {
        (PartitionRange::Tokens(span), SplitPoint::Token(token)) => span.contains(*token),
        (PartitionRange::Keys(span), SplitPoint::Key(key)) => span.contains(key),
        _ => false,
    }
}

/// Whether a partition of that span can be cut here: the place lies in it and is not its first.
pub(crate) fn cuts(at: &SplitPoint, span: &PartitionRange) -> bool {
    let first = match (span, at) {
        (PartitionRange::Tokens(span), SplitPoint::Token(token)) => span.start == *token,
        (PartitionRange::Keys(span), SplitPoint::Key(key)) => span.start == *key,
        _ => true,
    };
    !first && lies_in(at, span)
}

/// The place right after this one, with nothing between; `None` after the last token.
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
    fn places_and_spans() {
        let tokens = PartitionRange::from(TokenRange::new(Token(4), Some(Token(6))));
        let inside = |n| {
            (
                lies_in(&SplitPoint::Token(Token(n)), &tokens),
                cuts(&SplitPoint::Token(Token(n)), &tokens),
            )
        };
        assert_eq!(
            [3, 4, 5, 6].map(inside),
            [(false, false), (true, false), (true, true), (false, false)]
        );
        let keys = PartitionRange::from(KeyRange::new("b", Some("c")));
        let key = |key: &str| SplitPoint::Key(key.as_bytes().into());
        assert!(lies_in(&key("b"), &keys) && !cuts(&key("b"), &keys) && cuts(&key("b\0"), &keys));
        assert!(!lies_in(&key("b"), &tokens) && !cuts(&key("b"), &tokens));
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
