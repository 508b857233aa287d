//! Goal: encoded keys have the order of the values, are read back, and ranges and prefixes contain
//! the keys that they should.
//! Method: pairs of random keys of several types, from few and extreme values, so that they are
//! often equal or neighbours. proptest prints the pair that fails, and keeps it.

use annulus::tuple::{self, BeginsWith, Key, TupleBounds, TuplePrefix};
use proptest::prelude::*;
use std::cmp::Ordering;
use std::fmt::Debug;
use std::ops::Bound;
use std::time::{Duration, SystemTime};

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!['\0', '\u{1}', 'a', '\u{ff}', '😀']), 0..4)
        .prop_map(|chars| chars.into_iter().collect())
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![0, 1, 5, 0xfe, 0xff]), 0..4)
}

/// Integers of all lengths, most of them next to where the length changes.
fn integer() -> impl Strategy<Value = i128> {
    (0..128_u32, -2..3_i128, any::<bool>(), any::<i128>()).prop_map(
        |(bits, near, negative, any)| {
            let edge = 1_i128.checked_shl(bits).unwrap_or(0).wrapping_add(near);
            match (bits % 8, negative) {
                (0, false) => edge,
                (0, true) => edge.wrapping_neg(),
                _ => any >> bits,
            }
        },
    )
}

fn float() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        prop::sample::select(vec![
            0.0,
            -0.0,
            1.0,
            -1.0,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::NAN
        ]),
    ]
}

/// Checks what holds of two keys of a type.
fn check<K: Key + Debug>(a: &K, b: &K, order: Ordering) -> Result<(), TestCaseError> {
    let (one, other) = (tuple::encode(a), tuple::encode(b));
    prop_assert_eq!(one.cmp(&other), order);
    let after = other.strip_prefix(&*one).and_then(|rest| rest.first());
    prop_assert!(order == Ordering::Equal || matches!(after, None | Some(0xff)));
    let back: K = tuple::decode(&one).unwrap();
    prop_assert_eq!(tuple::encode(&back), &*one);
    prop_assert_eq!(format!("{back:?}"), format!("{a:?}"));
    Ok(())
}

type Mixed = (Option<String>, (Vec<u8>, Option<i128>), Option<(Option<bool>, char)>, u8);

fn mixed() -> impl Strategy<Value = Mixed> {
    (
        prop::option::of(text()),
        (bytes(), prop::option::of(integer())),
        prop::option::of((prop::option::of(any::<bool>()), any::<char>())),
        any::<u8>(),
    )
}

fn time() -> impl Strategy<Value = SystemTime> {
    (any::<bool>(), 0..3_u64, 0..3_u32).prop_map(|(before, seconds, nanos)| {
        let distance = Duration::new(seconds, nanos);
        let epoch = SystemTime::UNIX_EPOCH;
        if before { epoch - distance } else { epoch + distance }
    })
}

proptest! {
    #[test]
    fn integers(a in integer(), b in integer()) {
        check(&a, &b, a.cmp(&b))?;
        let (a, b) = (a as u128, b as u128);
        check(&a, &b, a.cmp(&b))?;
        let (a, b) = (a as i64, b as i64);
        check(&a, &b, a.cmp(&b))?;
        let (a, b) = (a as u16, b as u16);
        check(&a, &b, a.cmp(&b))?;
    }

    /// Integers of different types compare as numbers do.
    #[test]
    fn integers_of_two_types(a in any::<i16>(), b in any::<u64>()) {
        prop_assert_eq!(tuple::encode(&a).cmp(&tuple::encode(&b)), i128::from(a).cmp(&i128::from(b)));
        prop_assert_eq!(tuple::decode::<i128>(&tuple::encode(&a)).unwrap(), i128::from(a));
    }

    #[test]
    fn texts_and_bytes(a in (text(), bytes()), b in (text(), bytes())) {
        check(&a.0, &b.0, a.0.cmp(&b.0))?;
        check(&a.1, &b.1, a.1.cmp(&b.1))?;
        check(&a, &b, a.cmp(&b))?;
    }

    #[test]
    fn floats(a in float(), b in float()) {
        check(&a, &b, a.total_cmp(&b))?;
        let (a, b) = (a as f32, b as f32);
        check(&(a, 0_u8), &(b, 0_u8), a.total_cmp(&b))?;
    }

    #[test]
    fn tuples_in_tuples_and_options(a in mixed(), b in mixed()) {
        check(&a, &b, a.cmp(&b))?;
        let (a, b) = (Some(a.1), Some(b.1));
        check(&a, &b, a.cmp(&b))?;
        check(&None, &a, Ordering::Less)?;
    }

    #[test]
    fn times(a in (time(), 0..3_u64), b in (time(), 0..3_u64)) {
        check(&a, &b, a.cmp(&b))?;
        let (a, b) = (Duration::from_nanos(a.1), Duration::from_nanos(b.1));
        check(&a, &b, a.cmp(&b))?;
    }

    #[test]
    fn arrays(a in any::<[u8; 3]>(), b in any::<[u8; 3]>()) {
        check(&(a, true), &(b, false), a.cmp(&b).then(Ordering::Greater))?;
    }

    /// A prefix is that of the keys that begin with its elements, and of no others.
    #[test]
    fn prefixes(key in mixed(), other in mixed()) {
        let first = TuplePrefix((key.0.clone(),));
        prop_assert_eq!(contains(first, &other), key.0 == other.0);
        let two = (key.0.clone(), key.1.clone());
        let same = two == (other.0.clone(), other.1.clone());
        prop_assert_eq!(contains(TuplePrefix(two), &other), same);
        prop_assert_eq!(contains(TuplePrefix(&key), &other), key == other);
    }

    #[test]
    fn beginnings(
        number in 0..2_u8,
        a in (0..2_u8, text()),
        b in (0..2_u8, bytes()),
        begun in text(),
        begun_bytes in bytes(),
    ) {
        let prefix = TuplePrefix((number, BeginsWith(&*begun)));
        let expected = number == a.0 && a.1.starts_with(&begun);
        prop_assert_eq!(contains(prefix, &a), expected);
        let prefix = TuplePrefix(BeginsWith(&*begun));
        prop_assert_eq!(contains(prefix, &a.1), a.1.starts_with(&begun));
        let prefix = TuplePrefix((number, BeginsWith(&*begun_bytes)));
        let expected = number == b.0 && b.1.starts_with(&begun_bytes);
        prop_assert_eq!(contains(prefix, &(b.0, b.1, 9_u64)), expected);
    }

    /// Bounds that are keys, and bounds that are prefixes, contain what the values say.
    #[test]
    fn ranges(
        a in (text(), -2..3_i8),
        b in (text(), -2..3_i8),
        key in (text(), -2..3_i8),
    ) {
        let (low, high) = (a.clone().min(b.clone()), a.max(b));
        prop_assert_eq!(contains(&low..&high, &key), low <= key && key < high);
        prop_assert_eq!(contains(&low..=&high, &key), low <= key && key <= high);
        let excluded = (Bound::Excluded(&low), Bound::Unbounded);
        prop_assert_eq!(contains(excluded, &key), key > low);
        let (first, last) = (low.0.as_str(), high.0.as_str());
        let of_first = first <= &*key.0 && &*key.0 <= last;
        prop_assert_eq!(contains((first,)..=(last,), &key), of_first);
        let after = (Bound::Excluded((first,)), Bound::Unbounded);
        prop_assert_eq!(contains(after, &key), &*key.0 > first);
        let inverted = tuple::encode_range::<(String, i8)>(&high..&low);
        prop_assert_eq!(inverted.is_err(), low != high);
    }
}

fn contains<K: Key>(bounds: impl TupleBounds<K>, key: &K) -> bool {
    tuple::encode_range(bounds).unwrap().contains(&tuple::encode(key))
}
