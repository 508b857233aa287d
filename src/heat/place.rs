//! Places: keys or tokens, as cuts that begin at them.

use crate::placement::{Span, Token};
use crate::topology::Cut;

/// Whether the place lies in the span. A key never lies among tokens.
pub(crate) fn lies_in(at: &Cut, span: &Span) -> bool {
    match (span, at) {
        (Span::Tokens(span), Cut::Token(token)) => span.contains(*token),
        (Span::Keys(span), Cut::Key(key)) => span.contains(key),
        _ => false,
    }
}

/// Whether a partition of that span can be cut here: the place lies in it and is not its first.
pub(crate) fn cuts(at: &Cut, span: &Span) -> bool {
    let first = match (span, at) {
        (Span::Tokens(span), Cut::Token(token)) => span.start == *token,
        (Span::Keys(span), Cut::Key(key)) => span.start == *key,
        _ => true,
    };
    !first && lies_in(at, span)
}

/// The place right after this one, with nothing between; `None` after the last token.
pub(crate) fn next(at: &Cut) -> Option<Cut> {
    match at {
        Cut::Token(token) => token.0.checked_add(1).map(|next| Cut::Token(Token(next))),
        Cut::Key(key) => Some(Cut::Key([key, &[0][..]].concat().into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::{KeySpan, TokenSpan};

    #[test]
    fn places_and_spans() {
        let tokens = Span::from(TokenSpan::new(Token(4), Some(Token(6))));
        let inside =
            |n| (lies_in(&Cut::Token(Token(n)), &tokens), cuts(&Cut::Token(Token(n)), &tokens));
        assert_eq!(
            [3, 4, 5, 6].map(inside),
            [(false, false), (true, false), (true, true), (false, false)]
        );
        let keys = Span::from(KeySpan::new("b", Some("c")));
        let key = |key: &str| Cut::Key(key.as_bytes().into());
        assert!(lies_in(&key("b"), &keys) && !cuts(&key("b"), &keys) && cuts(&key("b\0"), &keys));
        assert!(!lies_in(&key("b"), &tokens) && !cuts(&key("b"), &tokens));
    }

    #[test]
    fn nothing_lies_between_a_place_and_the_next() {
        assert_eq!(next(&Cut::Token(Token(7))), Some(Cut::Token(Token(8))));
        assert_eq!(next(&Cut::Token(Token(u64::MAX))), None);
        assert_eq!(next(&Cut::Key(b"a"[..].into())), Some(Cut::Key(b"a\0"[..].into())));
    }
}
