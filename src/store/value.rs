//! Values that are not copied.

use crate::shard::EngineValue;
use std::fmt;
use std::ops::Deref;

/// A value, where the engine has it: nothing is copied. It keeps its block in memory while held.
pub struct Value(EngineValue);

impl Value {
    pub(super) const fn new(value: EngineValue) -> Self {
        Self(value)
    }
}

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
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
