//! Encoding and decoding.

use super::super::Operation;
use super::super::record::{self, HEADER_BYTES, Header, Kind, Operations};
use super::super::walk;
use super::Owned;
use crate::clock::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;

fn operation() -> impl Strategy<Value = Owned> {
    let bytes = || vec(any::<u8>(), 0..300);
    prop_oneof![
        (any::<u32>(), bytes(), bytes()).prop_map(|(k, a, b)| Owned::Put(k, a, b)),
        (any::<u32>(), bytes(), vec(any::<u8>(), 8..300))
            .prop_map(|(k, a, b)| Owned::PutUntil(k, a, b)),
        (any::<u32>(), bytes()).prop_map(|(k, a)| Owned::Delete(k, a)),
        (any::<u32>(), bytes(), bytes()).prop_map(|(k, a, b)| Owned::DeleteRange(k, a, b)),
        (any::<u32>(), bytes(), proptest::option::of(bytes()))
            .prop_map(|(k, a, b)| Owned::Previous(k, a, b)),
    ]
}

fn encoded(operations: &[Owned]) -> Vec<u8> {
    let lent = operations.iter().map(Owned::lent);
    let mut payload = vec![0; record::payload_bytes(lent.clone()) as usize];
    assert!(record::encode(lent, &mut payload));
    payload
}

proptest! {
    #[test]
    fn operations_come_back(operations in vec(operation(), 0..20)) {
        let payload = encoded(&operations);
        let back: Vec<_> = Operations::new(&payload).map(|it| Owned::of(&it)).collect();
        prop_assert_eq!(back, operations);
    }

    #[test]
    fn a_payload_of_another_length_is_refused(operations in vec(operation(), 1..5), less: bool) {
        let lent = operations.iter().map(Owned::lent);
        let bytes = record::payload_bytes(lent.clone()) as usize;
        let mut payload = vec![0; if less { bytes - 1 } else { bytes + 1 }];
        prop_assert!(!record::encode(lent, &mut payload));
    }

    #[test]
    fn any_bytes_are_decoded_without_a_panic(bytes in vec(any::<u8>(), 0..500), seed: u32) {
        let decoded = Operations::new(&bytes).count();
        prop_assert!(decoded <= bytes.len());
        let _ = record::decode(&bytes, seed);
        let Ok(_) = walk::walk(&mut &bytes[..], seed, 0, None);
        let Ok(_) = walk::beyond(&mut &bytes[..], seed, 0, None, &(0..=u64::MAX));
    }

    #[test]
    fn a_header_comes_back_and_one_changed_bit_is_noticed(
        bytes in HEADER_BYTES as u32..1 << 20, at in 0_u64..1 << 50, back in 0_u64..1 << 50,
        check: u32, number in 0_u64..1 << 63, seed: u32, bit in 0..HEADER_BYTES * 8,
    ) {
        let position = at * 8;
        let synced = position.saturating_sub(back);
        let kind = if check % 2 == 0 { Kind::Mark } else { Kind::Operations };
        let timestamp = Timestamp::from_number(number);
        let header = Header { bytes, payload_check: check, position, synced, timestamp, kind };
        let mut encoded = header.encode(seed);
        prop_assert_eq!(Header::decode(&encoded, seed), Some(header));
        prop_assert_eq!(Header::decode(&encoded, seed ^ 1), None);
        encoded[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(Header::decode(&encoded, seed), None);
    }
}

#[test]
fn the_longest_value_fits_into_a_record_with_the_longest_key() {
    let key = vec![0; 1 << 20];
    // What is never written to takes no memory.
    let value = vec![0; record::VALUE_BYTES_MAX];
    let keyspace = crate::id::KeyspaceId(u32::MAX);
    let put = Operation::Put { keyspace, key: &key, value: &value };
    let before = Operation::Previous { keyspace, key: &key, value: None };
    let bytes = |operations: &[Operation<'_>]| record::payload_bytes(operations.iter().copied());
    // Where rows expire, a value has 8 bytes more.
    let most = bytes(&[before, put]) + HEADER_BYTES as u64 + 8;
    assert!(most <= record::BYTES_MAX, "{most}");
}

/// Writes the seeds of the fuzz target `log`, where `ANNULUS_WRITE_SEEDS` is set.
#[test]
#[cfg(feature = "failpoints")]
fn seeds_of_the_fuzz_target() {
    use super::super::fuzzing;
    use super::super::segment::SegmentHeader;
    let operations = [
        Owned::Put(1, b"a".into(), b"value".into()),
        Owned::Delete(2, b"b".into()),
        Owned::DeleteRange(3, b"a".into(), b"z".into()),
    ];
    let payload = encoded(&operations);
    let record = |seed: u32, position: u64, kind: Kind, payload: &[u8]| {
        let bytes = (HEADER_BYTES + payload.len()) as u32;
        let payload_check = crc32c::crc32c_append(seed, payload);
        let timestamp = Timestamp::from_millis(1);
        let header = Header { bytes, payload_check, position, synced: 0, timestamp, kind };
        let mut record = [&header.encode(seed)[..], payload].concat();
        record.resize(record.len().next_multiple_of(8), 0);
        record
    };
    let header = SegmentHeader { store: 7, number: 1, file_bytes: 1 << 14, salt: 9, copy: 0 };
    let mut segment = header.encode();
    segment.truncate(4096);
    segment.extend(record(header.seed(), 0, Kind::Mark, &[0; 8]));
    segment.extend(record(header.seed(), 48, Kind::Operations, &payload));
    let records = [record(0, 0, Kind::Mark, &[0; 8]), record(0, 48, Kind::Operations, &payload)];
    let seeds = [
        ("payload", payload.clone()),
        ("record", record(0, 0, Kind::Operations, &payload)),
        ("records", records.concat()),
        ("segment", segment),
    ];
    let write = std::env::var_os("ANNULUS_WRITE_SEEDS").is_some();
    for (name, seed) in seeds {
        assert!(fuzzing::check(&seed).contains(&name), "{name}");
        if write {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/log");
            std::fs::create_dir_all(&path).unwrap();
            std::fs::write(path.join(name), seed).unwrap();
        }
    }
}
