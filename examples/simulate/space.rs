//! The keys of a keyspace, and which partition has which of them.

use annulus::KeyspaceId;
use annulus::placement::PartitionRange;
use annulus::topology::{KeyspaceLayout, Partitioning};

/// A keyspace whose keys are the numbers from 0, eight bytes each.
pub(crate) struct Space {
    pub(crate) id: KeyspaceId,
    /// In a hash keyspace, the tokens in order with their keys.
    pub(crate) tokens: Option<Vec<(u64, u32)>>,
    /// Which key has which place in the order of popularity, at the beginning.
    pub(crate) key_of: Vec<u32>,
    pub(crate) place_of: Vec<u32>,
}

impl Space {
    pub(crate) fn new(keyspace: &KeyspaceLayout, keys: usize, random: &mut fastrand::Rng) -> Self {
        let mut key_of: Vec<u32> = (0..keys as u32).collect();
        random.shuffle(&mut key_of);
        let mut place_of = vec![0; keys];
        for (place, key) in key_of.iter().enumerate() {
            place_of[*key as usize] = place as u32;
        }
        let token = |key: u32| keyspace.partitioning().token(&u64::from(key).to_be_bytes());
        let tokens: Option<Vec<(u64, u32)>> =
            (0..keys as u32).map(|key| Some((token(key)?.0, key))).collect();
        let tokens = tokens.map(|mut tokens| {
            tokens.sort_unstable();
            tokens
        });
        Self { id: keyspace.id(), tokens, key_of, place_of }
    }

    /// Calls a function with each partition's index and the keys that it has, by place in the
    /// order.
    pub(crate) fn walk(
        &self,
        keyspace: &KeyspaceLayout,
        mut visit: impl FnMut(usize, std::ops::Range<usize>),
    ) {
        let partitioning: &Partitioning = keyspace.partitioning();
        let mut from = 0;
        for index in 0..partitioning.len() {
            let to = match (&self.tokens, partitioning.range(index)) {
                (Some(tokens), Some(PartitionRange::Tokens(range))) => {
                    range.end.map_or(tokens.len(), |end| {
                        from + tokens[from..].partition_point(|(token, _)| *token < end.0)
                    })
                }
                (_, Some(range)) => ends(&range, self.key_of.len() as u64)[1] as usize,
                (_, None) => from,
            };
            visit(index, from..to.max(from));
            from = to.max(from);
        }
    }
}

/// Returns the first key of a range of numbers, and the one after its last; at most `most`.
pub(crate) fn ends(range: &PartitionRange, most: u64) -> [u64; 2] {
    let PartitionRange::Keys(range) = range else { return [0, most] };
    let number = |key: &[u8]| {
        let mut first = [0; 8];
        first.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        // What is after a key and before the next one belongs to neither.
        (u64::from_be_bytes(first) + u64::from(key.len() > 8)).min(most)
    };
    [number(&range.start), range.end.as_deref().map_or(most, number)]
}
