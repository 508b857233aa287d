//! Prefixes of keys: the first elements of a tuple, or the beginning of a text.

use super::code::{BYTES, TEXT};
use super::{KeyFor, KeyWriter};

/// What keys of type `K` begin with: the first elements of a tuple, as `("user",)` of a key of type
/// `(String, u64)`; a whole key; or a key or first elements whose last text or bytes are only a
/// [beginning](BeginsWith).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no prefix of a key of type `{K}`",
    note = "a prefix of a tuple is a tuple of its first elements, as `(\"user\",)`; that of a text is \
            `BeginsWith(\"us\")`"
)]
pub trait PrefixOf<K> {
    /// Appends the encoding of the prefix to a writer.
    fn encode_prefix(&self, writer: &mut KeyWriter);
}

impl<K, T: KeyFor<K>> PrefixOf<K> for T {
    fn encode_prefix(&self, writer: &mut KeyWriter) {
        self.encode(writer);
    }
}

/// The beginning of a text or of bytes, where the prefix of a key ends within one.
///
/// ```
/// use annulus::tuple::{self, BeginsWith, TuplePrefix};
///
/// let range = tuple::encode_range::<(String, String)>(TuplePrefix(("user", BeginsWith("al"))))?;
/// assert!(range.contains(&tuple::encode(&("user", "alice"))));
/// assert!(!range.contains(&tuple::encode(&("user", "bob"))));
/// # Ok::<(), annulus::Error>(())
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct BeginsWith<'a, T: ?Sized>(pub &'a T);

impl<T: ?Sized> Clone for BeginsWith<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: ?Sized> Copy for BeginsWith<'_, T> {}

impl BeginsWith<'_, str> {
    fn write(self, writer: &mut KeyWriter) {
        writer.escaped_beginning(TEXT, self.0.as_bytes());
    }
}

impl BeginsWith<'_, [u8]> {
    fn write(self, writer: &mut KeyWriter) {
        writer.escaped_beginning(BYTES, self.0);
    }
}

/// The last part of a prefix: an element of type `K`, or the [beginning](BeginsWith) of one.
pub trait LastPart<K> {
    /// Appends the encoding of the part to a prefix.
    fn encode_part(&self, writer: &mut KeyWriter);
}

impl<K, T: KeyFor<K>> LastPart<K> for T {
    fn encode_part(&self, writer: &mut KeyWriter) {
        self.encode(writer);
    }
}

/// Implements prefixes that end with the beginning of a key's only, or last, element.
macro_rules! begins_with {
    ($borrowed:ty, $owned:ty) => {
        impl LastPart<$owned> for BeginsWith<'_, $borrowed> {
            fn encode_part(&self, writer: &mut KeyWriter) {
                self.write(writer);
            }
        }

        impl PrefixOf<$owned> for BeginsWith<'_, $borrowed> {
            fn encode_prefix(&self, writer: &mut KeyWriter) {
                self.write(writer);
            }
        }

        begins_with!($borrowed, $owned,);
        begins_with!($borrowed, $owned, (A KA 0));
        begins_with!($borrowed, $owned, (A KA 0)(B KB 1));
        begins_with!($borrowed, $owned, (A KA 0)(B KB 1)(C KC 2));
        begins_with!($borrowed, $owned, (A KA 0)(B KB 1)(C KC 2)(D KD 3));
        begins_with!($borrowed, $owned, (A KA 0)(B KB 1)(C KC 2)(D KD 3)(E KE 4));
        begins_with!($borrowed, $owned, (A KA 0)(B KB 1)(C KC 2)(D KD 3)(E KE 4)(F KF 5));
        begins_with!($borrowed, $owned, (A KA 0)(B KB 1)(C KC 2)(D KD 3)(E KE 4)(F KF 5)(G KG 6));
    };
    ($borrowed:ty, $owned:ty, $(($type:ident $key:ident $field:tt))*) => {
        impl<$($key, $type: KeyFor<$key>),*> PrefixOf<($($key,)* $owned,)>
            for ($($type,)* BeginsWith<'_, $borrowed>,)
        {
            #[allow(non_snake_case, reason = "named after their types")]
            fn encode_prefix(&self, writer: &mut KeyWriter) {
                let ($($type,)* last,) = self;
                writer.tuple(|writer| {
                    $($type.encode(writer);)*
                    last.write(writer);
                });
            }
        }
    };
}

begins_with!(str, String);
begins_with!([u8], Vec<u8>);

/// Implements prefixes of fewer elements than the key has: the elements but the last, the last one,
/// and the types of the key that come after them, each list of which is tried.
macro_rules! first_elements {
    ([$($all:tt)*] $last:tt) => {};
    ([$(($type:ident $key:ident))*] ($last:ident $last_key:ident) $($next:ident)+) => {
        first_elements!(@each [$(($type $key))*] ($last $last_key) [] $($next)+);
    };
    (@each $first:tt $last:tt [$($after:ident)*] $next:ident $($more:ident)*) => {
        first_elements!(@one $first $last [$($after)* $next]);
        first_elements!(@each $first $last [$($after)* $next] $($more)*);
    };
    (@each $first:tt $last:tt $after:tt) => {};
    (@one [$(($type:ident $key:ident))*] ($last:ident $last_key:ident) [$($after:ident)+]) => {
        impl<$($key, $type: KeyFor<$key>,)* $last_key, $last: LastPart<$last_key>, $($after),+>
            PrefixOf<($($key,)* $last_key, $($after,)+)> for ($($type,)* $last,)
        {
            #[allow(non_snake_case, reason = "named after their types")]
            fn encode_prefix(&self, writer: &mut KeyWriter) {
                let ($($type,)* $last,) = self;
                writer.tuple(|writer| {
                    $($type.encode(writer);)*
                    $last.encode_part(writer);
                });
            }
        }
    };
}

first_elements!([] (A KA) KB KC KD KE KF KG KH);
first_elements!([(A KA)] (B KB) KC KD KE KF KG KH);
first_elements!([(A KA)(B KB)] (C KC) KD KE KF KG KH);
first_elements!([(A KA)(B KB)(C KC)] (D KD) KE KF KG KH);
first_elements!([(A KA)(B KB)(C KC)(D KD)] (E KE) KF KG KH);
first_elements!([(A KA)(B KB)(C KC)(D KD)(E KE)] (F KF) KG KH);
first_elements!([(A KA)(B KB)(C KC)(D KD)(E KE)(F KF)] (G KG) KH);
