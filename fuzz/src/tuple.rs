//! Decoding keys never panics, and accepts only what encoding returns; and encoded keys have the
//! order of the values.

use annulus::tuple::{self, Key};
use arbitrary::Arbitrary;
use std::collections::BTreeSet;

type Mixed = (Option<String>, (Vec<u8>, Option<i128>), Option<(Option<bool>, char)>, u64);

#[derive(Debug, Arbitrary)]
pub(crate) enum Op {
    Decode(Vec<u8>),
    /// A key, and the same with some bytes replaced.
    Damage(Mixed, Vec<(u8, u8)>),
    Compare(Mixed, Mixed),
    Floats(f64, f64),
}

/// Decodes bytes as a type; returns true if they are a key of it.
fn decode<K: Key>(bytes: &[u8]) -> bool {
    let decoded = tuple::decode::<K>(bytes);
    if let Ok(key) = &decoded {
        assert_eq!(tuple::encode(key), bytes);
    }
    decoded.is_ok()
}

fn decode_as_each(bytes: &[u8]) -> bool {
    let _ = tuple::describe(bytes);
    let decoded = [
        decode::<Mixed>(bytes),
        decode::<(u64, i64)>(bytes),
        decode::<i128>(bytes),
        decode::<u128>(bytes),
        decode::<(String, Vec<u8>)>(bytes),
        decode::<Option<(Option<u8>, [u8; 4])>>(bytes),
        decode::<((f32, f64), bool, ())>(bytes),
        decode::<(std::time::SystemTime, std::time::Duration)>(bytes),
    ];
    decoded.contains(&true)
}

/// Carries out the operations; returns the kinds of those that met a key.
pub(crate) fn run(ops: Vec<Op>) -> BTreeSet<&'static str> {
    let mut reached = BTreeSet::new();
    for op in ops.into_iter().take(100) {
        match op {
            Op::Decode(bytes) => {
                reached.extend(decode_as_each(&bytes).then_some("decode"));
            }
            Op::Damage(key, replaced) => {
                let mut bytes = tuple::encode(&key);
                assert_eq!(tuple::decode::<Mixed>(&bytes).unwrap(), key);
                for (at, byte) in replaced {
                    let at = usize::from(at) % bytes.len();
                    bytes[at] = byte;
                }
                decode_as_each(&bytes);
                reached.insert("damage");
            }
            Op::Compare(a, b) => {
                let (one, other) = (tuple::encode(&a), tuple::encode(&b));
                assert_eq!(one.cmp(&other), a.cmp(&b));
                let range = tuple::encode_range::<Mixed>(..=&a).unwrap();
                assert_eq!(range.contains(&other), b <= a);
                reached.insert("compare");
            }
            Op::Floats(a, b) => {
                assert_eq!(tuple::encode(&a).cmp(&tuple::encode(&b)), a.total_cmp(&b));
                let back: f64 = tuple::decode(&tuple::encode(&a)).unwrap();
                assert_eq!(back.to_bits(), a.to_bits());
                reached.insert("floats");
            }
        }
    }
    reached
}
