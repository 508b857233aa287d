//! Elements that are neither integers nor tuples.

use super::code::{BYTES, F32, F64, FALSE, TEXT, TRUE};
use super::{Key, KeyEncode, KeyFor, KeyReader, KeyWriter};
use crate::error::Result;

impl KeyEncode for bool {
    fn encode(&self, writer: &mut KeyWriter) {
        writer.fixed(if *self { TRUE } else { FALSE }, &[]);
    }
}

impl Key for bool {
    fn decode(reader: &mut KeyReader<'_>) -> Result<Self> {
        let found = match reader.peek() {
            Some(FALSE) => false,
            Some(TRUE) => true,
            _ => return Err(reader.unexpected("a bool")),
        };
        reader.byte()?;
        Ok(found)
    }
}

impl KeyFor<bool> for bool {}

macro_rules! float {
    ($type:ty, $bits:ty, $code:expr) => {
        impl KeyEncode for $type {
            fn encode(&self, writer: &mut KeyWriter) {
                let bits = self.to_bits();
                let ordered = if self.is_sign_negative() { !bits } else { bits ^ SIGN };
                writer.fixed($code, &ordered.to_be_bytes());

                const SIGN: $bits = 1 << (<$bits>::BITS - 1);
            }
        }

        impl Key for $type {
            fn decode(reader: &mut KeyReader<'_>) -> Result<Self> {
                const SIGN: $bits = 1 << (<$bits>::BITS - 1);
                reader.expect($code)?;
                let ordered = <$bits>::from_be_bytes(reader.array()?);
                Ok(Self::from_bits(if ordered & SIGN == 0 { !ordered } else { ordered ^ SIGN }))
            }
        }

        impl KeyFor<$type> for $type {}
    };
}

float!(f32, u32, F32);
float!(f64, u64, F64);

impl KeyEncode for str {
    fn encode(&self, writer: &mut KeyWriter) {
        writer.escaped(TEXT, self.as_bytes());
    }
}

impl KeyEncode for String {
    fn encode(&self, writer: &mut KeyWriter) {
        self.as_str().encode(writer);
    }
}

impl Key for String {
    fn decode(reader: &mut KeyReader<'_>) -> Result<Self> {
        let here = reader.clone();
        Self::from_utf8(reader.escaped(TEXT)?).map_err(|_| here.error("a text is not UTF-8"))
    }
}

impl KeyFor<String> for str {}
impl KeyFor<String> for String {}

impl KeyEncode for [u8] {
    fn encode(&self, writer: &mut KeyWriter) {
        writer.escaped(BYTES, self);
    }
}

impl KeyEncode for Vec<u8> {
    fn encode(&self, writer: &mut KeyWriter) {
        self.as_slice().encode(writer);
    }
}

impl Key for Vec<u8> {
    fn decode(reader: &mut KeyReader<'_>) -> Result<Self> {
        reader.escaped(BYTES)
    }
}

impl KeyFor<Vec<u8>> for [u8] {}
impl KeyFor<Vec<u8>> for Vec<u8> {}
impl<const N: usize> KeyFor<Vec<u8>> for [u8; N] {}

impl<const N: usize> KeyEncode for [u8; N] {
    fn encode(&self, writer: &mut KeyWriter) {
        self.as_slice().encode(writer);
    }
}

impl<const N: usize> Key for [u8; N] {
    fn decode(reader: &mut KeyReader<'_>) -> Result<Self> {
        let here = reader.clone();
        reader.escaped(BYTES)?.try_into().map_err(|found: Vec<u8>| {
            here.error(format_args!("{N} bytes are expected, not {}", found.len()))
        })
    }
}

impl<const N: usize> KeyFor<[u8; N]> for [u8; N] {}

#[cfg(feature = "rocksdb")]
mod uuids {
    use super::super::code::UUID;
    use super::{Key, KeyEncode, KeyFor, KeyReader, KeyWriter, Result};
    use uuid::Uuid;

    impl KeyEncode for Uuid {
        fn encode(&self, writer: &mut KeyWriter) {
            writer.fixed(UUID, self.as_bytes());
        }
    }

    impl Key for Uuid {
        fn decode(reader: &mut KeyReader<'_>) -> Result<Self> {
            reader.expect(UUID)?;
            Ok(Self::from_bytes(reader.array()?))
        }
    }

    impl KeyFor<Uuid> for Uuid {}
}

impl<T: KeyEncode> KeyEncode for Option<T> {
    const NULLABLE: bool = true;

    fn encode(&self, writer: &mut KeyWriter) {
        const { assert!(!T::NULLABLE, "an option of an option has one encoding for two values") };
        match self {
            Some(value) => writer.element(|writer| value.encode(writer)),
            None => writer.null(),
        }
    }
}

impl<T: Key> Key for Option<T> {
    fn decode(reader: &mut KeyReader<'_>) -> Result<Self> {
        if reader.take_null() {
            return Ok(None);
        }
        reader.element(T::decode).map(Some)
    }
}

impl<K, T: KeyFor<K>> KeyFor<Option<K>> for Option<T> {}
