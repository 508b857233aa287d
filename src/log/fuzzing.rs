//! What fuzzing checks of the pure parts of the log.

use super::record::{self, Kind, Operations};
use super::segment::{CONTENT, SegmentHeader};
use super::{Operation, walk};

/// Takes bytes as a segment, as its content, and as the payload of a record, and returns what of it
/// was there.
///
/// # Panics
///
/// If what was decoded does not hold what the encoding promises.
pub fn check(bytes: &[u8]) -> Vec<&'static str> {
    let mut reached = Vec::new();
    let seed = SegmentHeader::decode(bytes).ok().map(|header| {
        reached.push("segment");
        let encoded = header.encode();
        assert_eq!(SegmentHeader::decode(&encoded), Ok(header), "a header does not come back");
        header.seed()
    });
    let mut padded = vec![0; CONTENT as usize];
    padded.extend_from_slice(bytes);
    for (file, seed) in [(bytes, seed.unwrap_or_default()), (&padded[..], 0)] {
        let first = walk::begin(file, seed);
        if first.is_some() {
            reached.push("records");
        }
        let first = first.unwrap_or_default();
        let mut source = file;
        let Ok(walked) = walk::walk(&mut source, seed, first, None);
        let used = walked.end - first;
        assert!(used <= file.len() as u64 + 8, "records reach beyond the file");
        let possible = first..=u64::MAX;
        let Ok(all) = walk::beyond(&mut source, seed, CONTENT, Some(first), &possible);
        assert!(all.position >= walked.end || used == 0, "a record that was walked is not found");
        let Ok(_) = walk::beyond(&mut source, seed, CONTENT, None, &(0..=u64::MAX));
    }
    if let Some((header, payload)) = record::decode(bytes, 0) {
        reached.push("record");
        if header.kind == Kind::Operations {
            check_payload(payload);
        }
    }
    if check_payload(bytes) > 0 {
        reached.push("payload");
    }
    reached
}

/// Returns how many operations there are; checks that they are encoded again as they were.
fn check_payload(payload: &[u8]) -> usize {
    let operations: Vec<Operation<'_>> = Operations::new(payload).collect();
    let bytes = record::payload_bytes(operations.iter().copied());
    // A longer form of a length decodes, too, so what is encoded again may be shorter.
    assert!(bytes <= payload.len() as u64, "operations need more bytes than they had");
    let mut again = vec![0; bytes as usize];
    assert!(record::encode(operations.iter().copied(), &mut again), "a payload has another length");
    assert!(Operations::new(&again).eq(operations.iter().copied()), "operations changed");
    operations.len()
}
