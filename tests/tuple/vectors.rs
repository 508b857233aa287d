//! Goal: the encoding is the same in every version, and that of FoundationDB's tuple layer.
//! Method: `vectors.tsv` has a name, the bytes and the text of keys; a change of it is a change of
//! what is on disk. Those named `spec …` are the examples of FoundationDB's specification. Random
//! keys are compared with what the `foundationdb-tuple` crate makes of them.

use annulus::tuple::{self, Key, KeyEncode};
use foundationdb_tuple::{Bytes, TuplePack, TupleUnpack};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::{Duration, SystemTime};

struct Vectors {
    wanted: BTreeMap<&'static str, (Vec<u8>, &'static str)>,
}

impl Vectors {
    fn read() -> Self {
        let line = |line: &'static str| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [name, hex, text] = fields[..] else { panic!("{line:?} has not three fields") };
            let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            (name, ((0..hex.len()).step_by(2).map(byte).collect(), text))
        };
        Self { wanted: include_str!("vectors.tsv").lines().map(line).collect() }
    }

    /// Checks a key in both directions.
    fn check<K: Key + PartialEq + Debug>(&mut self, name: &str, key: K) {
        let encoded = self.check_only(name, &key);
        assert_eq!(tuple::decode::<K>(&encoded).unwrap(), key, "{name}");
    }

    fn check_only(&mut self, name: &str, key: &(impl KeyEncode + ?Sized)) -> Vec<u8> {
        let encoded = tuple::encode(key);
        let (bytes, text) = self.wanted.remove(name).unwrap_or_else(|| {
            let hex: String = encoded.iter().map(|byte| format!("{byte:02x}")).collect();
            panic!("vectors.tsv lacks\n{name}\t{hex}\t{}", tuple::describe(&encoded))
        });
        assert_eq!(encoded, bytes, "{name}");
        assert_eq!(tuple::describe(&encoded), text, "{name}");
        encoded
    }
}

#[test]
fn the_format_is_the_one_in_the_file() {
    let mut vectors = Vectors::read();
    vectors.check("unit", ());
    vectors.check("none", None::<u8>);
    vectors.check("spec bytes", b"foo\0bar".to_vec());
    vectors.check("spec text", "F\u{d4}O\0bar".to_owned());
    vectors.check_only("spec int", &-5_551_212_i64);
    vectors.check_only("spec double", &-42.0_f32);
    vectors.check("spec nested", ((b"foo\0bar".to_vec(), None::<bool>, ()),));
    vectors.check("array", [0_u8, 1, 0xff]);
    for (name, integer) in [
        ("0", 0),
        ("1", 1),
        ("-1", -1),
        ("255", 255),
        ("256", 256),
        ("-255", -255),
        ("-256", -256),
        ("i64::MAX", i128::from(i64::MAX)),
        ("i64::MIN", i128::from(i64::MIN)),
        ("u64::MAX", i128::from(u64::MAX)),
        ("u64::MAX + 1", i128::from(u64::MAX) + 1),
        ("-u64::MAX", -i128::from(u64::MAX)),
        ("-u64::MAX - 1", -i128::from(u64::MAX) - 1),
        ("i128::MAX", i128::MAX),
        ("i128::MIN", i128::MIN),
    ] {
        vectors.check(name, integer);
    }
    vectors.check("u128::MAX", u128::MAX);
    vectors.check("u8 of 7", 7_u8);
    vectors.check("char", 'é');
    vectors.check("f32 of 1.5", 1.5_f32);
    vectors.check("f64 of 1.5", 1.5_f64);
    vectors.check("f64 of -1.5", -1.5_f64);
    vectors.check("f64 of -0", -0.0_f64);
    vectors.check("infinity", f64::INFINITY);
    vectors.check("false", false);
    vectors.check("true", true);
    vectors.check("duration", Duration::new(1, 5));
    vectors.check("1970", SystemTime::UNIX_EPOCH);
    vectors.check("after 1970", SystemTime::UNIX_EPOCH + Duration::from_secs(1_764_270_038));
    vectors.check("before 1970", SystemTime::UNIX_EPOCH - Duration::from_millis(1));
    vectors.check("pair", ("user".to_owned(), 7_u64));
    vectors.check("option of a tuple", Some(("a".to_owned(), None::<u8>)));
    vectors.check("options", (None::<u8>, Some(5_u8), None::<String>));
    vectors.check("nested options", (("a".to_owned(), None::<u8>), Some((None::<u8>, 1_u8))));
    vectors.check("eight", (1_u8, 2_u16, 3_u32, 4_u64, -1_i8, -2_i16, -3_i32, -4_i64));
    #[cfg(feature = "rocksdb")]
    vectors.check("uuid", uuid::Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef));
    #[cfg(not(feature = "rocksdb"))]
    vectors.wanted.remove("uuid");
    assert!(vectors.wanted.is_empty(), "not checked: {:?}", vectors.wanted.keys());
}

#[test]
fn a_borrowed_key_has_the_encoding_of_the_owned_one() {
    let owned = ("user".to_owned(), vec![0_u8, 7], Some("x".to_owned()));
    let encoded = tuple::encode(&owned);
    assert_eq!(tuple::encode(&("user", [0_u8, 7], Some("x"))), encoded);
    assert_eq!(tuple::encode(&(&"user", &[0_u8, 7][..], Some(&"x"))), encoded);
    assert_eq!(tuple::encode(&7_u8), tuple::encode(&7_i128), "an integer of any type");
}

/// What both this crate and the other one have.
type Common = (String, Vec<u8>, i64, u32, (Option<i32>, f64, bool), Option<f32>);

fn common() -> impl Strategy<Value = Common> {
    let text = prop::collection::vec(prop::sample::select(vec!['a', '\0', 'é', '\u{ff}']), 0..4);
    let bytes = prop::collection::vec(prop::sample::select(vec![0_u8, 1, 0xff]), 0..5);
    let float = any::<u64>().prop_map(f64::from_bits);
    let small = any::<u32>().prop_map(f32::from_bits);
    let nested = (prop::option::of(any::<i32>()), float, any::<bool>());
    let integers = (any::<i64>(), 0..70_u32).prop_map(|(integer, shift)| integer >> shift.min(63));
    (
        text.prop_map(|chars| chars.into_iter().collect()),
        bytes,
        integers,
        any::<u32>(),
        nested,
        prop::option::of(small),
    )
}

proptest! {
    #[test]
    fn the_foundationdb_crate_makes_and_reads_the_same_bytes(key in common()) {
        let (text, bytes, integer, unsigned, nested, last) = &key;
        let theirs = (text.as_str(), Bytes::from(&bytes[..]), integer, unsigned, nested, last);
        let encoded = tuple::encode(&key);
        prop_assert_eq!(&encoded, &theirs.pack_to_vec());
        let read: Common = TupleUnpack::unpack_root(&encoded).unwrap();
        prop_assert_eq!(tuple::encode(&read), encoded);
    }
}
