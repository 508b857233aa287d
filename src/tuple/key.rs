//! The traits of keys.

use super::{KeyReader, KeyWriter};
use crate::error::Result;

/// A value that can be encoded as a key, or as an element of one.
///
/// Implemented for integers, floats, `bool`, `char`, strings, bytes, UUIDs, times, tuples of up to
/// eight of them, references, and options. An implementation for another type encodes one or
/// several values that are keys already, always of the same types and in the same number: several
/// as one tuple.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be encoded as a key",
    note = "keys are integers, floats, bools, chars, strings, bytes, UUIDs, times, options, and \
            tuples of up to eight of them"
)]
pub trait KeyEncode {
    /// Whether some value is encoded as null, so that an option of this type would have one
    /// encoding for two values. Such an option does not compile.
    const NULLABLE: bool = false;

    /// Appends the encoding of the value to a key.
    fn encode(&self, writer: &mut KeyWriter);
}

/// A value that can also be read back from a key.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the type of a key",
    note = "keys own what they hold: a key that can be looked up by `&str` is a `String`"
)]
pub trait Key: KeyEncode + Sized {
    /// Reads the value from a key.
    ///
    /// # Errors
    ///
    /// [`WrongType`](crate::ErrorKind::WrongType) if the key has something else there.
    fn decode(reader: &mut KeyReader<'_>) -> Result<Self>;
}

/// A form in which a key of type `K` can be named: the key itself, or borrowed, as `("user", 7)`
/// for a key of type `(String, u64)`. It must have the encoding of the key that it stands for.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no form of a key of type `{K}`",
    note = "a key is named by itself, by a reference, or with `&str` for each `String` and `&[u8]` \
            for each `Vec<u8>` in it"
)]
pub trait KeyFor<K>: KeyEncode {}

impl<T: KeyEncode + ?Sized> KeyEncode for &T {
    const NULLABLE: bool = T::NULLABLE;

    fn encode(&self, writer: &mut KeyWriter) {
        (**self).encode(writer);
    }
}

impl<K, T: KeyFor<K> + ?Sized> KeyFor<K> for &T {}

/// Returns the bytes of a key: for calls that take bytes, as
/// [`RangeSpec::split_at`](crate::topology::RangeSpec::split_at).
///
/// ```
/// use annulus::topology::KeyspaceSpec;
/// use annulus::tuple;
///
/// let spec = KeyspaceSpec::range().split_at([tuple::encode(&100), tuple::encode(&200)]);
/// # let _ = spec;
/// ```
#[must_use]
pub fn encode(key: &(impl KeyEncode + ?Sized)) -> Vec<u8> {
    let mut writer = KeyWriter::new();
    key.encode(&mut writer);
    writer.into_bytes()
}

/// Returns the key that these bytes encode.
///
/// # Errors
///
/// [`WrongType`](crate::ErrorKind::WrongType) if they do not encode a value of this type.
pub fn decode<K: Key>(bytes: &[u8]) -> Result<K> {
    let mut reader = KeyReader::new(bytes);
    let key = K::decode(&mut reader)?;
    reader.finish()?;
    Ok(key)
}
