//! Values that identify themselves: a sequence number, the key, and a filling that follows from
//! both, so that no part of a value can be missing, mixed up or outdated unnoticed.

use fastrand::Rng;

/// What a key holds, as far as its thread knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// Something that was there before.
    Unknown,
    Nothing,
    Value {
        sequence: u64,
        bytes: u32,
    },
}

/// Bytes before the key: the sequence number, and the key's length.
const HEAD: usize = 12;

/// Writes the value of this key and sequence number: of this length, or as long as it must be.
pub(super) fn write(value: &mut Vec<u8>, key: &[u8], sequence: u64, bytes: u32) {
    value.clear();
    value.extend_from_slice(&sequence.to_le_bytes());
    value.extend_from_slice(&(key.len() as u32).to_le_bytes());
    value.extend_from_slice(key);
    let bytes = (bytes as usize).max(value.len());
    let mut filling = Filling::new(key, sequence);
    while value.len() + 8 <= bytes {
        value.extend_from_slice(&filling.next());
    }
    let rest = filling.next();
    value.extend_from_slice(rest.get(..bytes - value.len()).unwrap_or_default());
}

/// Returns true if this is what a key holds. Some know only that it must be a value of the key.
pub(super) fn is_right(found: Option<&[u8]>, key: &[u8], held: Held) -> bool {
    match (held, found) {
        (Held::Unknown, _) | (Held::Nothing, None) => true,
        (Held::Nothing, Some(_)) | (Held::Value { .. }, None) => false,
        (Held::Value { sequence, bytes }, Some(value)) => {
            let bytes = (bytes as usize).max(HEAD + key.len());
            value.len() == bytes && sequence_of(value, key) == Some(sequence)
        }
    }
}

/// Returns the sequence number of a value, if it belongs to this key and is whole.
pub(super) fn sequence_of(value: &[u8], key: &[u8]) -> Option<u64> {
    let (sequence, rest) = value.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (sequence, length) = (u64::from_le_bytes(*sequence), u32::from_le_bytes(*length));
    let filled = rest.strip_prefix(key).filter(|_| length as usize == key.len())?;
    let mut filling = Filling::new(key, sequence);
    let (words, rest) = filled.as_chunks::<8>();
    let whole = words.iter().all(|word| *word == filling.next());
    (whole && filling.next().starts_with(rest)).then_some(sequence)
}

/// Bytes that no compression shortens.
struct Filling(Rng);

impl Filling {
    fn new(key: &[u8], sequence: u64) -> Self {
        let ends = [key.first(), key.last()].map(|byte| byte.copied().unwrap_or_default());
        Self(Rng::with_seed(sequence ^ u64::from(u16::from_le_bytes(ends)) << 48))
    }

    fn next(&mut self) -> [u8; 8] {
        self.0.u64(..).to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the replay would notice. Method: everything about a value is changed in turn.
    #[test]
    fn every_difference_is_noticed() {
        let mut value = Vec::new();
        for bytes in [0, 12, 15, 16, 23, 24, 100, 1_001] {
            write(&mut value, b"key", 7, bytes);
            assert_eq!(value.len(), (bytes as usize).max(15));
            let held = Held::Value { sequence: 7, bytes };
            assert!(is_right(Some(&value), b"key", held));
            assert!(is_right(Some(&value), b"key", Held::Unknown));
            assert!(!is_right(Some(&value), b"key", Held::Value { sequence: 8, bytes }));
            assert!(!is_right(Some(&value), b"kez", held));
            assert!(!is_right(Some(&value), b"ke", held));
            assert!(!is_right(None, b"key", held));
            assert!(!is_right(Some(&value), b"key", Held::Nothing));
            for place in 0..value.len() {
                let mut other = value.clone();
                if let Some(byte) = other.get_mut(place) {
                    *byte ^= 1;
                }
                assert!(!is_right(Some(&other), b"key", held), "{bytes} bytes, at {place}");
            }
            value.pop();
            assert!(!is_right(Some(&value), b"key", held));
        }
    }
}
