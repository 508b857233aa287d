//! Integers, and `char`s, which are encoded as integers.

use super::{Key, KeyEncode, KeyFor, KeyReader, KeyWriter};
use crate::error::Result;

/// Returns an integer if the type has it.
fn read<T: TryFrom<u128> + TryFrom<i128>>(reader: &mut KeyReader<'_>) -> Result<T> {
    let here = reader.clone();
    let (negative, magnitude) = reader.integer()?;
    let value = if negative {
        0_i128.checked_sub_unsigned(magnitude).and_then(|value| value.try_into().ok())
    } else {
        magnitude.try_into().ok()
    };
    value.ok_or_else(|| {
        let sign = if negative { "-" } else { "" };
        let name = std::any::type_name::<T>();
        here.error(format_args!("the integer {sign}{magnitude} is not a {name}"))
    })
}

macro_rules! unsigned {
    ($($type:ty),*) => {$(
        impl KeyEncode for $type {
            fn encode(&self, writer: &mut KeyWriter) {
                writer.integer(false, *self as u128);
            }
        }
        integer!($type);
    )*};
}

macro_rules! signed {
    ($($type:ty),*) => {$(
        impl KeyEncode for $type {
            fn encode(&self, writer: &mut KeyWriter) {
                writer.integer(*self < 0, self.unsigned_abs() as u128);
            }
        }
        integer!($type);
    )*};
}

macro_rules! integer {
    ($type:ty) => {
        impl Key for $type {
            fn decode(reader: &mut KeyReader<'_>) -> Result<Self> {
                read(reader)
            }
        }

        impl KeyFor<$type> for $type {}
    };
}

unsigned!(u8, u16, u32, u64, u128, usize);
signed!(i8, i16, i32, i64, i128, isize);

impl KeyEncode for char {
    fn encode(&self, writer: &mut KeyWriter) {
        u32::from(*self).encode(writer);
    }
}

impl Key for char {
    fn decode(reader: &mut KeyReader<'_>) -> Result<Self> {
        let here = reader.clone();
        let code: u32 = read(reader)?;
        Self::from_u32(code)
            .ok_or_else(|| here.error(format_args!("the integer {code} is not a char")))
    }
}

impl KeyFor<char> for char {}
