//! Values that are not copied.

use crate::cache::CachedValue;
use crate::engine::EngineValue;
use crate::error::Result;
use crate::expiry::{ExpiringValue, HEADER_BYTES, Moment};
use std::fmt;
use std::ops::Deref;

/// A value where the engine or the cache of hot keys has it: nothing is copied. It keeps its block
/// in memory while it is held. What a transaction reads of its own writes is a copy.
pub struct Value {
    place: Place,
    /// How many bytes before the value say when it expires.
    header: u8,
}

enum Place {
    ShardEngine(EngineValue),
    Cached(CachedValue),
    Owned(Box<[u8]>),
}

impl Value {
    const fn whole(place: Place) -> Self {
        Self { place, header: 0 }
    }

    /// Returns the value of a row that says when it expires, unless it has.
    ///
    /// # Errors
    ///
    /// `Damaged` if it does not say it.
    pub(crate) fn unless_expired(self, at: Moment) -> Result<Option<Self>> {
        let (expires, _) = ExpiringValue::new(self.bytes()).split()?;
        Ok((!at.has_passed(expires)).then_some(Self { header: HEADER_BYTES as u8, ..self }))
    }

    /// Returns from when on it has expired, if its keyspace has rows that expire.
    pub(crate) fn expires(&self) -> Option<u64> {
        let stored = ExpiringValue::new(self.bytes());
        if self.header == 0 { None } else { stored.split().ok().map(|(expires, _)| expires) }
    }

    /// Returns the value with what says when it expires.
    fn bytes(&self) -> &[u8] {
        match &self.place {
            Place::ShardEngine(value) => value,
            Place::Cached(value) => value,
            Place::Owned(value) => value,
        }
    }

    pub(crate) const fn new(value: EngineValue) -> Self {
        Self::whole(Place::ShardEngine(value))
    }

    pub(crate) const fn cached(value: CachedValue) -> Self {
        Self::whole(Place::Cached(value))
    }

    /// Copies a value that has no place of its own: that of a scan, or what a transaction has written.
    pub(crate) fn owned(value: &[u8]) -> Self {
        Self::whole(Place::Owned(value.into()))
    }
}

/// What memory knows of a key; returned by
/// [`Keyspace::get_from_memory`](crate::Keyspace::get_from_memory).
#[derive(Debug)]
pub enum MemoryRead {
    /// The key's value.
    Value(Value),
    /// The key is not there.
    Absent,
    /// A file would have to be read to know.
    Unknown,
}

impl MemoryRead {
    /// Of what is known of a key: `None` if a file would have to be read.
    pub(crate) fn new(known: Option<Option<Value>>) -> Self {
        match known {
            Some(Some(value)) => Self::Value(value),
            Some(None) => Self::Absent,
            None => Self::Unknown,
        }
    }

    /// Returns what was found, or `None` if it is not known.
    #[must_use]
    pub fn known(self) -> Option<Option<Value>> {
        match self {
            Self::Value(value) => Some(Some(value)),
            Self::Absent => Some(None),
            Self::Unknown => None,
        }
    }
}

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes().get(usize::from(self.header)..).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Value {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl<T: AsRef<[u8]> + ?Sized> PartialEq<T> for Value {
    fn eq(&self, other: &T) -> bool {
        **self == *other.as_ref()
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}
