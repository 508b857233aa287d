//! The encoding of records. Pure; decoding takes any bytes without a panic, and allocates nothing.
//!
//! `docs/log.md` has the table of the fields.

use super::Operation;
use crate::clock::Timestamp;
use crate::expiry::ExpiringValue;
use crate::id::KeyspaceId;

/// The bytes of a record before its payload.
pub(super) const HEADER_BYTES: usize = 40;
/// The bytes of a mark: a header, and the first position that the log keeps.
pub(super) const MARK_BYTES: u64 = 48;
/// A record with more bytes than this is refused.
pub(crate) const BYTES_MAX: u64 = 1 << 31;
/// The longest value for which a record has room, along with the longest key there may be.
pub(crate) const VALUE_BYTES_MAX: usize = BYTES_MAX as usize - (2 << 20);

const OPERATIONS: u32 = 1;
const MARK: u32 = 2;

/// Set where a record has a timestamp. Earlier versions wrote milliseconds, which never reach it.
const HAS_TIMESTAMP: u64 = 1 << 63;

const PUT: u8 = 1;
const DELETE: u8 = 2;
const DELETE_RANGE: u8 = 3;
const PREVIOUS: u8 = 4;
const NO_PREVIOUS: u8 = 5;
const PUT_UNTIL: u8 = 6;

/// What a record is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Holds operations.
    Operations,
    /// Says what the log knows of itself: how far it is synced, and from where on it is kept.
    Mark,
}

/// What precedes the payload of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// The bytes of header and payload; the next record begins at the next multiple of eight.
    pub(super) bytes: u32,
    /// The CRC-32C of the payload, begun with the segment's seed.
    pub(super) payload_check: u32,
    /// Where the record begins.
    pub(super) position: u64,
    /// Up to where the log was known to be synced when the record was appended.
    pub(super) synced: u64,
    /// When it was appended. Each record has a greater one than those before it.
    pub(super) timestamp: Timestamp,
    pub(super) kind: Kind,
}

impl Header {
    /// Returns where the next record begins.
    pub(super) fn end(&self) -> u64 {
        self.position.saturating_add(padded(u64::from(self.bytes)))
    }

    pub(super) fn payload_bytes(&self) -> usize {
        (self.bytes as usize).saturating_sub(HEADER_BYTES)
    }

    pub(super) fn encode(&self, seed: u32) -> [u8; HEADER_BYTES] {
        let kind = match self.kind {
            Kind::Operations => OPERATIONS,
            Kind::Mark => MARK,
        };
        let mut out = [0; HEADER_BYTES];
        let mut rest = &mut out[..];
        put(&mut rest, &self.bytes.to_le_bytes());
        put(&mut rest, &self.payload_check.to_le_bytes());
        put(&mut rest, &self.position.to_le_bytes());
        put(&mut rest, &self.synced.to_le_bytes());
        put(&mut rest, &encode_timestamp(self.timestamp).to_le_bytes());
        put(&mut rest, &kind.to_le_bytes());
        if let Some((fields, check)) = out.split_last_chunk_mut::<4>() {
            *check = crc32c::crc32c_append(seed, fields).to_le_bytes();
        }
        out
    }

    /// Returns the header at the start of `from`, if there is one that checks.
    pub(super) fn decode(from: &[u8], seed: u32) -> Option<Self> {
        let header = from.first_chunk::<HEADER_BYTES>()?;
        let (fields, check) = header.split_last_chunk::<4>()?;
        if crc32c::crc32c_append(seed, fields) != u32::from_le_bytes(*check) {
            return None;
        }
        let mut rest = fields;
        let bytes = take_u32(&mut rest)?;
        let payload_check = take_u32(&mut rest)?;
        let position = take_u64(&mut rest)?;
        let synced = take_u64(&mut rest)?;
        let timestamp = decode_timestamp(take_u64(&mut rest)?);
        let kind = match take_u32(&mut rest)? {
            OPERATIONS => Kind::Operations,
            MARK => Kind::Mark,
            _ => return None,
        };
        let is_possible = bytes as usize >= HEADER_BYTES
            && u64::from(bytes) <= BYTES_MAX
            && position.is_multiple_of(8)
            && position < u64::MAX / 2
            && synced <= position;
        let header = Self { bytes, payload_check, position, synced, timestamp, kind };
        is_possible.then_some(header)
    }
}

fn encode_timestamp(timestamp: Timestamp) -> u64 {
    timestamp.get() | HAS_TIMESTAMP
}

fn decode_timestamp(field: u64) -> Timestamp {
    if field & HAS_TIMESTAMP == 0 {
        return Timestamp::from_millis(field);
    }
    Timestamp::from_number(field & !HAS_TIMESTAMP)
}

/// Returns the header and the payload of the record at the start of `from`, if both check.
pub(super) fn decode(from: &[u8], seed: u32) -> Option<(Header, &[u8])> {
    let header = Header::decode(from, seed)?;
    Some((header, payload(&header, from, seed)?))
}

/// Returns the payload of the record at the start of `from`, whose header is known, if it checks.
pub(super) fn payload<'a>(header: &Header, from: &'a [u8], seed: u32) -> Option<&'a [u8]> {
    let payload = from.get(HEADER_BYTES..header.bytes as usize)?;
    let checks = crc32c::crc32c_append(seed, payload) == header.payload_check;
    (checks && is_sound(header, payload)).then_some(payload)
}

/// Returns true if a payload, which checks, is what its header says.
pub(super) fn is_sound(header: &Header, payload: &[u8]) -> bool {
    match header.kind {
        Kind::Mark => payload.len() == 8,
        Kind::Operations => {
            let mut operations = Operations::new(payload);
            while operations.next().is_some() {}
            operations.rest.is_empty()
        }
    }
}

/// Returns the first position that the log keeps, as a mark states it.
pub(super) fn stated_first(payload: &[u8]) -> Option<u64> {
    payload.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes))
}

pub(super) fn padded(bytes: u64) -> u64 {
    bytes.next_multiple_of(8)
}

/// Returns the bytes that operations take as a payload.
pub(super) fn payload_bytes<'a>(operations: impl Iterator<Item = Operation<'a>>) -> u64 {
    let part = |part: &[u8]| varint_bytes(part.len() as u64) + part.len() as u64;
    let operations = operations.map(|operation| match operation {
        Operation::Put { keyspace, key, value } => head_bytes(keyspace) + part(key) + part(value),
        Operation::PutUntil { keyspace, key, value } => {
            head_bytes(keyspace) + part(key) + part(value.bytes())
        }
        Operation::Delete { keyspace, key } => head_bytes(keyspace) + part(key),
        Operation::DeleteRange { keyspace, start, end } => {
            head_bytes(keyspace) + part(start) + part(end)
        }
        Operation::Previous { keyspace, key, value } => {
            head_bytes(keyspace) + part(key) + value.map_or(0, part)
        }
    });
    operations.fold(0, u64::saturating_add)
}

/// Writes operations; returns false if they do not fill `out` exactly.
pub(super) fn encode<'a>(
    operations: impl Iterator<Item = Operation<'a>>,
    mut out: &mut [u8],
) -> bool {
    for operation in operations {
        let (kind, keyspace, first, second) = match operation {
            Operation::Put { keyspace, key, value } => (PUT, keyspace, key, Some(value)),
            Operation::PutUntil { keyspace, key, value } => {
                (PUT_UNTIL, keyspace, key, Some(value.bytes()))
            }
            Operation::Delete { keyspace, key } => (DELETE, keyspace, key, None),
            Operation::DeleteRange { keyspace, start, end } => {
                (DELETE_RANGE, keyspace, start, Some(end))
            }
            Operation::Previous { keyspace, key, value } => {
                let kind = if value.is_some() { PREVIOUS } else { NO_PREVIOUS };
                (kind, keyspace, key, value)
            }
        };
        let mut fits = put(&mut out, &[kind]) && put_varint(&mut out, u64::from(keyspace.0));
        for part in std::iter::once(first).chain(second) {
            fits = fits && put_varint(&mut out, part.len() as u64) && put(&mut out, part);
        }
        if !fits {
            return false;
        }
    }
    out.is_empty()
}

/// The operations of a payload. Ends at the first that cannot be decoded.
#[derive(Debug, Clone)]
pub(crate) struct Operations<'a> {
    rest: &'a [u8],
}

impl<'a> Operations<'a> {
    pub(crate) fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload }
    }
}

impl<'a> Iterator for Operations<'a> {
    type Item = Operation<'a>;

    #[inline]
    fn next(&mut self) -> Option<Operation<'a>> {
        let mut rest = self.rest;
        let operation = take_operation(&mut rest)?;
        self.rest = rest;
        Some(operation)
    }
}

#[inline]
fn take_operation<'a>(rest: &mut &'a [u8]) -> Option<Operation<'a>> {
    let (kind, after) = rest.split_first()?;
    *rest = after;
    let keyspace = KeyspaceId(u32::try_from(take_varint(rest)?).ok()?);
    let first = take_part(rest)?;
    Some(match *kind {
        PUT => Operation::Put { keyspace, key: first, value: take_part(rest)? },
        PUT_UNTIL => {
            let value = ExpiringValue::new(take_part(rest)?);
            // A sound record has the field.
            value.split().ok()?;
            Operation::PutUntil { keyspace, key: first, value }
        }
        DELETE => Operation::Delete { keyspace, key: first },
        DELETE_RANGE => Operation::DeleteRange { keyspace, start: first, end: take_part(rest)? },
        PREVIOUS => Operation::Previous { keyspace, key: first, value: Some(take_part(rest)?) },
        NO_PREVIOUS => Operation::Previous { keyspace, key: first, value: None },
        _ => return None,
    })
}

fn take_part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let bytes = usize::try_from(take_varint(rest)?).ok()?;
    let (part, after) = rest.split_at_checked(bytes)?;
    *rest = after;
    Some(part)
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    let (bytes, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    Some(u32::from_le_bytes(*bytes))
}

fn take_u64(rest: &mut &[u8]) -> Option<u64> {
    let (bytes, after) = rest.split_first_chunk::<8>()?;
    *rest = after;
    Some(u64::from_le_bytes(*bytes))
}

fn put(out: &mut &mut [u8], bytes: &[u8]) -> bool {
    let Some((here, rest)) = std::mem::take(out).split_at_mut_checked(bytes.len()) else {
        return false;
    };
    here.copy_from_slice(bytes);
    *out = rest;
    true
}

fn put_varint(out: &mut &mut [u8], mut value: u64) -> bool {
    while value >= 0x80 {
        if !put(out, &[(value & 0x7f) as u8 | 0x80]) {
            return false;
        }
        value >>= 7;
    }
    put(out, &[value as u8])
}

fn varint_bytes(value: u64) -> u64 {
    u64::from((64 - (value | 1).leading_zeros()).div_ceil(7))
}

fn head_bytes(keyspace: KeyspaceId) -> u64 {
    1 + varint_bytes(u64::from(keyspace.0))
}
