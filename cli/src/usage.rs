//! The message of clap for a wrong command line.

use crate::text;
use clap::error::ContextValue;
use std::error::Error as _;

/// Returns the message of a clap error, without `error: ` before it. It has several lines, and what
/// it quotes of the command line is escaped, so that no argument adds another line.
pub(crate) fn message(mut error: clap::Error) -> String {
    let context: Vec<_> =
        error.context().map(|(kind, value)| (kind, escaped(value.clone()))).collect();
    for (kind, value) in context {
        error.insert(kind, value);
    }
    let mut message = error.to_string();
    // The message of our own parser or of the library's may quote the value once more.
    if let Some(cause) = error.source().map(ToString::to_string).filter(|text| !text.is_empty()) {
        message = message.replace(&cause, &text::plain_line(&cause));
    }
    message.strip_prefix("error: ").unwrap_or(&message).trim_end().to_owned()
}

fn escaped(value: ContextValue) -> ContextValue {
    let line = |text: String| text::plain_line(&text).into_owned();
    match value {
        ContextValue::String(text) => ContextValue::String(line(text)),
        ContextValue::Strings(texts) => {
            ContextValue::Strings(texts.into_iter().map(line).collect())
        }
        // Suggestions, one per line.
        ContextValue::StyledStrs(texts) => ContextValue::StyledStrs(
            texts.into_iter().map(|text| line(text.to_string()).into()).collect(),
        ),
        value => value,
    }
}
