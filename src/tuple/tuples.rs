//! Tuples.

use super::{Key, KeyEncode, KeyFor, KeyReader, KeyWriter};
use crate::error::Result;

/// Implements the traits of keys for a tuple, from the types of its elements, those of the keys
/// that they stand for, and its fields.
macro_rules! tuple {
    ($(($type:ident $key:ident $field:tt))*) => {
        impl<$($type: KeyEncode),*> KeyEncode for ($($type,)*) {
            fn encode(&self, writer: &mut KeyWriter) {
                writer.tuple(|_writer| {
                    $(self.$field.encode(_writer);)*
                });
            }
        }

        impl<$($type: Key),*> Key for ($($type,)*) {
            fn decode(reader: &mut KeyReader<'_>) -> Result<Self> {
                reader.tuple(|_reader| Ok(($($type::decode(_reader)?,)*)))
            }
        }

        impl<$($key, $type: KeyFor<$key>),*> KeyFor<($($key,)*)> for ($($type,)*) {}
    };
}

tuple!();
tuple!((A KA 0));
tuple!((A KA 0)(B KB 1));
tuple!((A KA 0)(B KB 1)(C KC 2));
tuple!((A KA 0)(B KB 1)(C KC 2)(D KD 3));
tuple!((A KA 0)(B KB 1)(C KC 2)(D KD 3)(E KE 4));
tuple!((A KA 0)(B KB 1)(C KC 2)(D KD 3)(E KE 4)(F KF 5));
tuple!((A KA 0)(B KB 1)(C KC 2)(D KD 3)(E KE 4)(F KF 5)(G KG 6));
tuple!((A KA 0)(B KB 1)(C KC 2)(D KD 3)(E KE 4)(F KF 5)(G KG 6)(H KH 7));
