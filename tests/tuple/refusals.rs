//! What is not the encoding of a key is refused, by an error that says where and why.

use annulus::ErrorKind;
use annulus::tuple::{self, Key};
use proptest::prelude::*;
use std::time::{Duration, SystemTime};

fn refusal<K: Key>(bytes: &[u8]) -> String {
    let Err(error) = tuple::decode::<K>(bytes) else { panic!("{} was read", bytes.escape_ascii()) };
    assert_eq!(error.kind(), ErrorKind::WrongType);
    error.to_string()
}

#[test]
fn an_error_says_where_and_what() {
    let key = tuple::encode(&("user", 7_u64));
    assert_eq!(
        refusal::<(String, String)>(&key),
        "at byte 6 of the key: a text is expected, not an integer"
    );
    assert_eq!(
        refusal::<String>(&key),
        "at byte 6 of the key: the key has more elements than its type"
    );
    let more = refusal::<(String, u64, bool)>(&key);
    assert_eq!(more, "at byte 8 of the key: a bool is expected, and the key ends");
    assert_eq!(
        refusal::<u8>(&tuple::encode(&300)),
        "at byte 0 of the key: the integer 300 is not a u8"
    );
    assert_eq!(
        refusal::<u64>(&tuple::encode(&-1)),
        "at byte 0 of the key: the integer -1 is not a u64"
    );
    assert!(refusal::<u64>(b"user/7").contains("an integer is expected, not no element"));
    assert!(refusal::<[u8; 3]>(&tuple::encode(b"ab")).contains("3 bytes are expected, not 2"));
    assert!(refusal::<char>(&tuple::encode(&0xd800_u32)).contains("not a char"));
    let nested = tuple::encode(&((1_u8, 2_u8),));
    assert!(refusal::<((u8,),)>(&nested).contains("a nested tuple has more elements"));
}

#[test]
fn there_is_one_encoding_for_each_value() {
    assert!(refusal::<u64>(b"\x15\x00").contains("leading zero"));
    assert!(refusal::<u64>(b"\x16\x00\x07").contains("leading zero"));
    assert!(refusal::<i64>(b"\x12\xff\xf8").contains("leading zero"));
    assert!(refusal::<u128>(b"\x1d\x08\x01\x01\x01\x01\x01\x01\x01\x01").contains("of 8 bytes"));
    assert!(refusal::<u128>(&[&[0x1d, 17][..], &[1; 17]].concat()).contains("of 17 bytes"));
    assert!(refusal::<i128>(&[&[0x0b, !16][..], &[0; 16]].concat()).contains("is not a i128"));
    assert!(refusal::<String>(b"\x02\xff\x00").contains("not UTF-8"));
    assert!(refusal::<String>(b"\x02a").contains("ends within"));
    assert!(refusal::<Vec<u8>>(b"\x01a\x00\xff").contains("ends within"));
    assert!(refusal::<f64>(b"\x21\x80").contains("ends within"));
    assert!(refusal::<u32>(b"\x18\x01").contains("ends within"));
    assert!(refusal::<Duration>(&tuple::encode(&u128::MAX)).contains("no duration"));
    assert!(refusal::<SystemTime>(&tuple::encode(&i128::MIN)).contains("so far from 1970"));
}

#[test]
fn a_text_for_people_is_cut_and_never_fails() {
    let long = tuple::describe(&tuple::encode(&"é".repeat(1000)));
    assert_eq!(long.chars().count(), 201);
    assert!(long.ends_with('…'));
    assert!(
        tuple::describe(&[5; 100_000]).starts_with(r#"b"\x05\x05"#),
        "no overflow of the stack"
    );
    assert_eq!(tuple::describe(b""), "()");
}

type Mixed = (Option<String>, (Vec<u8>, Option<i64>), Option<(Option<bool>, f64)>, u8);

/// What is accepted is what encoding returns.
fn accepts_only_encodings<K: Key>(bytes: &[u8]) {
    if let Ok(key) = tuple::decode::<K>(bytes) {
        assert_eq!(tuple::encode(&key), bytes);
    }
}

proptest! {
    #[test]
    fn bytes_that_are_read_are_those_that_are_written(
        bytes in prop::collection::vec(
            prop::sample::select(vec![0, 1, 2, 5, 0x0b, 0x13, 0x14, 0x15, 0x16, 0x1d, 0x21, 0x26, 0x27, 0xff]),
            0..16
        ),
    ) {
        accepts_only_encodings::<Mixed>(&bytes);
        accepts_only_encodings::<(i128, i128)>(&bytes);
        accepts_only_encodings::<(Vec<u8>, String)>(&bytes);
        accepts_only_encodings::<Option<(Option<u8>, Option<u64>)>>(&bytes);
        accepts_only_encodings::<((u64,), (), bool)>(&bytes);
        let _ = tuple::describe(&bytes);
    }
}
