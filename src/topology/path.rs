//! Paths in records and in JSON: for `#[serde(with = "…")]`.
//!
//! A path is bytes, and mostly text. In a record it is always its bytes (the encoding of text is
//! the same); in a form for people it is text where it is text, and a list of bytes otherwise.

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserializer, Serializer};
use std::fmt;
use std::path::{Path, PathBuf};

pub(crate) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    match path.to_str() {
        Some(text) if serializer.is_human_readable() => serializer.serialize_str(text),
        _ => serializer.serialize_bytes(path.as_os_str().as_encoded_bytes()),
    }
}

pub(crate) fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<PathBuf, D::Error> {
    if deserializer.is_human_readable() {
        deserializer.deserialize_any(PathVisitor)
    } else {
        deserializer.deserialize_byte_buf(PathVisitor)
    }
}

/// The same for a path that may be absent.
#[cfg(feature = "rocksdb")]
pub(crate) mod option {
    use super::{Deserializer, PathBuf, Serializer};
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    struct Present(#[serde(with = "super")] PathBuf);

    #[expect(clippy::ref_option, reason = "the signature that serde calls")]
    pub(crate) fn serialize<S: Serializer>(
        path: &Option<PathBuf>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        path.clone().map(Present).serialize(serializer)
    }

    pub(crate) fn deserialize<'d, D: Deserializer<'d>>(
        deserializer: D,
    ) -> Result<Option<PathBuf>, D::Error> {
        Ok(Option::<Present>::deserialize(deserializer)?.map(|Present(path)| path))
    }
}

struct PathVisitor;

impl<'d> Visitor<'d> for PathVisitor {
    type Value = PathBuf;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a path, as text or as bytes")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<PathBuf, E> {
        Ok(PathBuf::from(text))
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<PathBuf, E> {
        from_bytes(bytes.to_vec()).ok_or_else(|| E::custom("a path that this system cannot have"))
    }

    fn visit_seq<A: SeqAccess<'d>>(self, mut sequence: A) -> Result<PathBuf, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = sequence.next_element()? {
            bytes.push(byte);
        }
        from_bytes(bytes).ok_or_else(|| A::Error::custom("a path that this system cannot have"))
    }
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere not all bytes are a path")]
fn from_bytes(bytes: Vec<u8>) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;
    Some(std::ffi::OsString::from_vec(bytes).into())
}

#[cfg(not(unix))]
fn from_bytes(bytes: Vec<u8>) -> Option<PathBuf> {
    String::from_utf8(bytes).ok().map(PathBuf::from)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use crate::id::ShardId;
    use crate::topology::{Change, ShardInfo, Topology, decode_topology, encode_topology};
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    /// A past bug: a path that is not text could not be encoded. Adding a shard at such a path
    /// ended in doubt, after its directory had been made, and stopped the running store; `--json`
    /// panicked.
    #[test]
    fn paths_that_are_no_text_survive_records_and_json() {
        for name in [&b"plain"[..], "gr\u{fc}n".as_bytes(), b"no\xfftext", b"\xc3"] {
            let shard = ShardInfo::new(ShardId(1), OsStr::from_bytes(name));
            let first = Topology::new([ShardInfo::new(ShardId(0), "0")]).unwrap();
            let topology = first.apply(&Change::AddShard { shard: shard.clone() }).unwrap();
            let record = encode_topology(&topology).unwrap();
            assert_eq!(decode_topology(&record).unwrap(), topology);
            let json = serde_json::to_value(&shard).unwrap();
            let is_text = json.get("directory").is_some_and(serde_json::Value::is_string);
            assert_eq!(is_text, std::str::from_utf8(name).is_ok(), "{json}");
            assert_eq!(serde_json::from_value::<ShardInfo>(json).unwrap(), shard);
        }
    }
}
