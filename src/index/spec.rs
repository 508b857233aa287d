//! What an index is declared by.

use crate::error::Result;
use std::fmt;
use std::sync::Arc;

/// The function of an index: the index keys of a row.
pub(crate) type Function = Arc<dyn Fn(&[u8], &[u8]) -> Result<Vec<Vec<u8>>> + Send + Sync>;

/// A secondary index: its name, its version, and the function of key and value that returns the
/// index keys of a row; see [the module](crate::index).
///
/// ```
/// use annulus::index::IndexSpec;
///
/// // Each word of a text.
/// let words = IndexSpec::new("words", 1, |_key, text| {
///     text.split(|byte| *byte == b' ').map(<[u8]>::to_vec).collect::<Vec<_>>()
/// });
/// // Some rows only.
/// let starred = IndexSpec::new("starred", 3, |key, value| {
///     value.starts_with(b"*").then(|| key.to_vec())
/// });
/// # let _ = (words, starred);
/// ```
#[derive(Clone)]
pub struct IndexSpec {
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) unique: bool,
    pub(crate) split_points: Vec<Vec<u8>>,
    pub(crate) function: Function,
}

impl IndexSpec {
    /// Returns an index with a name, a version, and a function of key and value. An index key that
    /// the function returns twice counts once.
    pub fn new<I>(
        name: impl Into<String>,
        version: u32,
        function: impl Fn(&[u8], &[u8]) -> I + Send + Sync + 'static,
    ) -> Self
    where
        I: IntoIterator<Item: Into<Vec<u8>>>,
    {
        Self::fallible(name, version, move |key, value| {
            Ok(function(key, value).into_iter().map(Into::into).collect())
        })
    }

    /// The same with a function that refuses some rows.
    pub(crate) fn fallible(
        name: impl Into<String>,
        version: u32,
        function: impl Fn(&[u8], &[u8]) -> Result<Vec<Vec<u8>>> + Send + Sync + 'static,
    ) -> Self {
        let function = Arc::new(function);
        Self { name: name.into(), version, unique: false, split_points: Vec::new(), function }
    }

    /// Makes it unique: of two rows with the same index key, the second is refused.
    #[must_use]
    pub fn unique(mut self) -> Self {
        self.unique = true;
        self
    }

    /// Has the index begin with several partitions, divided at these index keys. That matters only
    /// when it is declared for the first time; later it is split and merged as keyspaces are.
    #[must_use]
    pub fn split_at<K: Into<Vec<u8>>>(mut self, points: impl IntoIterator<Item = K>) -> Self {
        self.split_points = points.into_iter().map(Into::into).collect();
        self
    }
}

impl fmt::Debug for IndexSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexSpec")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("unique", &self.unique)
            .finish_non_exhaustive()
    }
}
