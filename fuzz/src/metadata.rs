//! What decodes as metadata keeps every invariant.

use annulus::topology::{FORMAT, Topology, decode_topology, encode_topology};

/// Returns an input as it is, and as the content of a record whose header is right: most arbitrary
/// bytes would not get past the checksum.
pub(crate) fn records(bytes: &[u8]) -> [(&'static str, Vec<u8>); 2] {
    let checksum = crc32fast::hash(bytes).to_le_bytes();
    let wrapped = [&FORMAT.to_le_bytes()[..], &checksum, bytes].concat();
    [("record", bytes.to_vec()), ("content", wrapped)]
}

pub(crate) fn check(topology: &Topology) {
    topology.check().unwrap();
    assert_eq!(decode_topology(&encode_topology(topology).unwrap()).unwrap(), *topology);
}
