//! Codecs: how values become bytes.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a codec cannot encode a value, or decode one.
pub type CodecError = Box<dyn std::error::Error + Send + Sync>;

/// How values of type `V` become bytes and values again.
///
/// [`compare_and_swap`](super::TypedKeyspace::compare_and_swap) compares bytes: with it, equal
/// values should have equal encodings.
///
/// ```
/// use annulus::typed::{Codec, CodecError};
/// use annulus::{Store, topology::KeyspaceSpec};
/// use serde::Serialize;
/// use serde::de::DeserializeOwned;
///
/// #[derive(Clone)]
/// struct Json;
///
/// impl<V: Serialize + DeserializeOwned> Codec<V> for Json {
///     fn encode(&self, value: &V) -> Result<Vec<u8>, CodecError> {
///         Ok(serde_json::to_vec(value)?)
///     }
///
///     fn decode(&self, bytes: &[u8]) -> Result<V, CodecError> {
///         Ok(serde_json::from_slice(bytes)?)
///     }
/// }
///
/// # fn main() -> annulus::Result<()> {
/// # let directory = tempfile::tempdir().unwrap();
/// let store = Store::open(directory.path().join("store"))?;
/// let keyspace = store.keyspace_or_create("scores", KeyspaceSpec::hash())?;
/// let scores = keyspace.typed_with::<String, Vec<u32>, _>(Json);
/// scores.put("ada", &vec![3, 5])?;
/// let first = scores.keyspace().scan(..)?.next().transpose()?;
/// assert_eq!(first.map(|(_, value)| value), Some(b"[3,5]".to_vec()));
/// # Ok(())
/// # }
/// ```
pub trait Codec<V> {
    /// Returns the bytes of a value.
    ///
    /// # Errors
    ///
    /// Why it cannot be encoded.
    fn encode(&self, value: &V) -> Result<Vec<u8>, CodecError>;

    /// Returns the value of these bytes, all of which belong to it.
    ///
    /// # Errors
    ///
    /// Why they are no such value.
    fn decode(&self, bytes: &[u8]) -> Result<V, CodecError>;
}

/// Values by serde, in the format of [postcard](https://docs.rs/postcard): compact, and without
/// names of fields or types. Its [specification](https://postcard.jamesmunns.com) is stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Postcard;

impl<V: Serialize + DeserializeOwned> Codec<V> for Postcard {
    fn encode(&self, value: &V) -> Result<Vec<u8>, CodecError> {
        Ok(postcard::to_stdvec(value)?)
    }

    fn decode(&self, bytes: &[u8]) -> Result<V, CodecError> {
        let (value, rest) = postcard::take_from_bytes(bytes)?;
        match rest.len() {
            0 => Ok(value),
            left => Err(format!("the value ends before its last {left} bytes").into()),
        }
    }
}
