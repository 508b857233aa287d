//! Keys, or marks in their place where they must not be shown.

use crate::text;
use serde_json::{Map, Value};
use std::hash::{BuildHasher as _, RandomState};

/// How keys are shown.
pub(crate) enum Keys {
    Shown,
    /// As a mark that is the same for the same key, and the length. The marks of another run
    /// differ, so that no one can find a key by trying.
    Redacted(RandomState),
}

impl Keys {
    pub(crate) fn shown_if(shown: bool) -> Self {
        if shown { Self::Shown } else { Self::Redacted(RandomState::new()) }
    }

    /// Returns a key on one line of text.
    pub(crate) fn text(&self, key: &[u8]) -> String {
        match self {
            _ if key.is_empty() => "\"\"".to_owned(),
            Self::Shown => text::quoted(key),
            Self::Redacted(marks) => format!("#{} ({} B)", mark(marks, key), key.len()),
        }
    }

    /// Adds a key to a JSON object: `name` or `name_hex`, or `name_mark` and `name_bytes`.
    pub(crate) fn insert(&self, object: &mut Map<String, Value>, name: &str, key: &[u8]) {
        match self {
            Self::Shown => text::insert(object, name, key, false),
            Self::Redacted(marks) => {
                object.insert(format!("{name}_mark"), mark(marks, key).into());
                object.insert(format!("{name}_bytes"), key.len().into());
            }
        }
    }
}

fn mark(marks: &RandomState, key: &[u8]) -> String {
    format!("{:08x}", marks.hash_one(key) >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redacted_key_says_only_its_length_and_whether_it_is_the_same() {
        let keys = Keys::shown_if(false);
        let [one, other] = ["alice@example", "bob"].map(|key| keys.text(key.as_bytes()));
        assert!(!one.contains("alice") && one.ends_with("(13 B)"), "{one}");
        assert_eq!(keys.text(b"alice@example"), one);
        assert_ne!(other.split_once(' '), one.split_once(' '));
        assert_ne!(Keys::shown_if(false).text(b"alice@example"), one);
        assert_eq!(Keys::Shown.text(b"a\"b"), "\"a\\\"b\"");
    }
}
