//! Keys made of values, in an encoding whose byte order is the order of the values.
//!
//! A key is a value or a tuple of values. Encoded keys compare as the values do, element by
//! element, and keys that begin with the same elements lie next to each other, so a range of values
//! or all keys below a tuple are one scan. [`typed`](crate::typed) has the handles that use it.
//!
//! ```
//! use annulus::tuple;
//!
//! let key = tuple::encode(&("user", 7_u64));
//! assert_eq!(tuple::decode::<(String, u64)>(&key)?, ("user".to_owned(), 7));
//! assert!(key < tuple::encode(&("user", 300_u64)));
//! assert!(key > tuple::encode(&("user", -5_i64)));
//! # Ok::<(), annulus::Error>(())
//! ```
//!
//! # The format
//!
//! It is that of [FoundationDB's tuple
//! layer](https://github.com/apple/foundationdb/blob/main/design/tuple.md), which has been stable
//! for a decade and has implementations in many languages; they read these keys, and this module
//! reads theirs. Each element has a code and a content:
//!
//! | code | value | content |
//! |---|---|---|
//! | `00` | `None` | none; within a nested tuple `FF` follows |
//! | `01` | `Vec<u8>`, `[u8]`, `[u8; N]` | the bytes, each `00` as `00 FF`, then `00` |
//! | `02` | `String`, `str` | the same with the UTF-8 bytes |
//! | `05` | a tuple within a tuple | its elements, then `00` |
//! | `0C` … `13` | an integer below 0, of 8 … 1 bytes | the magnitude, big-endian, all bits inverted |
//! | `0B` | an integer below 0, of 9 to 16 bytes | the number of bytes, inverted; then as above |
//! | `14` | the integer 0 | none |
//! | `15` … `1C` | an integer above 0, of 1 … 8 bytes | big-endian, without leading zeros |
//! | `1D` | an integer above 0, of 9 to 16 bytes | the number of bytes; then as above |
//! | `20`, `21` | `f32`, `f64` | the bits, big-endian; all inverted below 0, else the first |
//! | `26`, `27` | `false`, `true` | none |
//! | `30` | [`Uuid`](https://docs.rs/uuid/1/uuid/struct.Uuid.html) | its 16 bytes |
//!
//! Of other types, a `char` is the integer of its code point, a [`Duration`](std::time::Duration)
//! the integer of its nanoseconds, and a [`SystemTime`](std::time::SystemTime) that of its
//! nanoseconds since 1970 began in UTC, which may be negative.
//!
//! All integer types share one encoding, so a key's `u32` can become a `u64` or an `i128` later,
//! and keys of both compare as the numbers do. Floats are in the total order of [`f64::total_cmp`]:
//! −NaN, −∞, …, −0, +0, …, +∞, +NaN. `None` comes before every other value.
//!
//! Decoding accepts exactly what encoding returns: one sequence of bytes for each value. Since each
//! element has a code, a key of another type is refused, unless the two types have the same
//! encodings, as integers do.
//!
//! # Keys of your own types
//!
//! A type of your own is a key if it is encoded as an element or a tuple of elements:
//!
//! ```
//! use annulus::tuple::{self, Key, KeyEncode, KeyFor, KeyReader, KeyWriter};
//!
//! #[derive(Debug, PartialEq)]
//! struct UserId(u64);
//!
//! impl KeyEncode for UserId {
//!     fn encode(&self, writer: &mut KeyWriter) {
//!         self.0.encode(writer);
//!     }
//! }
//!
//! impl Key for UserId {
//!     fn decode(reader: &mut KeyReader<'_>) -> annulus::Result<Self> {
//!         u64::decode(reader).map(Self)
//!     }
//! }
//!
//! // What a key of this type can be looked up by.
//! impl KeyFor<UserId> for UserId {}
//!
//! let key = tuple::encode(&(UserId(7), "cart"));
//! assert_eq!(tuple::decode::<(UserId, String)>(&key)?.0, UserId(7));
//! # Ok::<(), annulus::Error>(())
//! ```

mod bounds;
mod code;
mod elements;
mod integers;
mod key;
mod prefix;
mod reader;
mod text;
mod times;
mod tuples;
mod writer;

pub use bounds::{EncodedRange, TupleBounds, TuplePrefix, encode_bounds, encode_range};
pub use key::{Key, KeyEncode, KeyFor, decode, encode};
pub use prefix::{BeginsWith, LastPart, PrefixOf};
pub use reader::KeyReader;
pub use text::describe;
pub use writer::KeyWriter;
