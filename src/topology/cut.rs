//! Cuts: where the targets of a reshape meet.

use super::keyspace::Keyspace;
use crate::error::{Error, Result};
use crate::placement::{KeySpan, Span, Token, TokenSpan};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where one target of a reshape ends and the next one begins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Cut {
    /// The first token of the next one, in a hash keyspace.
    Token(Token),
    /// The first key of the next one, in a range keyspace.
    Key(Box<[u8]>),
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(token) => write!(f, "token {token}"),
            Self::Key(key) => write!(f, "key \"{}\"", key.escape_ascii()),
        }
    }
}

impl Cut {
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
pub(super) fn check_cuts(keyspace: &Keyspace, total: &Span, cuts: &[Cut]) -> Result<()> {
    let mut previous: Option<&Cut> = None;
    for cut in cuts {
        let inside = match (total, cut) {
            (Span::Tokens(span), Cut::Token(at)) => *at > span.start && span.contains(*at),
            (Span::Keys(span), Cut::Key(at)) => *at > span.start && span.contains(at),
            (Span::Tokens(_), Cut::Key(_)) | (Span::Keys(_), Cut::Token(_)) => {
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
                "the cut at {cut} does not come after the one at {previous}; give cuts in order"
            )));
        }
        previous = Some(cut);
    }
    Ok(())
}

/// Divides a span at checked cuts.
pub(super) fn divide(total: &Span, cuts: &[Cut]) -> Vec<Span> {
    let pieces = cuts.len() + 1;
    match total {
        Span::Tokens(span) => {
            let cuts: Vec<Token> = cuts.iter().filter_map(Cut::token).collect();
            let starts = std::iter::once(span.start).chain(cuts.iter().copied());
            let ends = cuts.iter().copied().map(Some).chain([span.end]);
            starts.zip(ends).take(pieces).map(|(s, e)| TokenSpan::new(s, e).into()).collect()
        }
        Span::Keys(span) => {
            let cuts: Vec<&[u8]> = cuts.iter().filter_map(Cut::key).collect();
            let starts = std::iter::once(&*span.start).chain(cuts.iter().copied());
            let ends = cuts.iter().copied().map(Some).chain([span.end.as_deref()]);
            starts.zip(ends).take(pieces).map(|(s, e)| KeySpan::new(s, e).into()).collect()
        }
    }
}
