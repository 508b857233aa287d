//! Scripts: the operations of a trace, or reads drawn in proportion to weights.

use fastrand::Rng;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};

/// Keys, and what is done to them.
#[derive(Debug)]
pub struct Script {
    /// The keys.
    pub keys: Keys,
    /// What is done to them.
    pub course: Course,
}

/// The keys, each once, and how large the value of each is when it is preloaded.
#[derive(Debug, Default)]
pub struct Keys {
    pub(super) keys: Vec<Box<[u8]>>,
    pub(super) bytes: Vec<Option<u32>>,
    places: HashMap<Box<[u8]>, u32>,
}

/// What is done to the keys.
#[derive(Debug)]
pub enum Course {
    /// These, in order.
    Trace(Vec<Op>),
    /// Reads. For each key the weight of all keys up to and including it.
    Draws(Vec<f64>),
}

/// An operation on the key in this place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Op {
    /// The place of the key.
    pub key: u32,
    /// What is done to it.
    pub act: Act,
}

/// What is done to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// It is read.
    Read,
    /// It is written.
    Write {
        /// The length of the value, if the trace says it.
        bytes: Option<u32>,
    },
    /// It is deleted.
    Delete,
    /// Rows from the key on are read.
    Scan {
        /// How many.
        rows: u32,
    },
}

impl Keys {
    /// Returns the place of a key, which is added if it is new.
    pub fn place(&mut self, key: Vec<u8>, bytes: Option<u32>) -> u32 {
        if let Some(place) = self.places.get(&*key).copied() {
            if let Some(known) = self.bytes.get_mut(place as usize) {
                *known = known.or(bytes);
            }
            return place;
        }
        let place = u32::try_from(self.keys.len()).unwrap_or(u32::MAX);
        let key = key.into_boxed_slice();
        self.keys.push(key.clone());
        self.bytes.push(bytes);
        self.places.insert(key, place);
        place
    }

    /// Drops the index by which a key's place is found: nothing more is added.
    pub fn seal(&mut self) {
        self.places = HashMap::new();
    }

    /// Returns the number of keys.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.keys.len() as u64
    }

    /// Returns the size of each value, where known.
    #[must_use]
    pub fn bytes(&self) -> &[Option<u32>] {
        &self.bytes
    }

    /// Returns the key in this place; an empty one if there is none.
    #[must_use]
    pub fn get(&self, place: u32) -> &[u8] {
        self.keys.get(place as usize).map_or(&[], |key| key)
    }

    /// Returns which of the threads owns a key: only that one writes and reads it, in order.
    fn thread_of(&self, place: u32, threads: usize) -> usize {
        let mut hasher = DefaultHasher::new();
        self.get(place).hash(&mut hasher);
        (hasher.finish() % threads as u64) as usize
    }
}

/// A thread's part of a script.
pub(super) enum Part<'s> {
    Trace(Vec<Op>),
    Draws { cumulative: &'s [f64], random: Rng, reads: u64 },
}

impl Script {
    /// Limits all values to this size.
    pub fn cap(&mut self, most: u32) {
        let capped = |bytes: &mut Option<u32>| *bytes = bytes.map(|bytes| bytes.min(most));
        self.keys.bytes.iter_mut().for_each(capped);
        if let Course::Trace(ops) = &mut self.course {
            for op in ops {
                if let Act::Write { bytes } = &mut op.act {
                    capped(bytes);
                }
            }
        }
    }

    /// Returns how many operations one pass has.
    #[must_use]
    pub fn pass(&self) -> u64 {
        match &self.course {
            Course::Trace(ops) => ops.len() as u64,
            Course::Draws(cumulative) => cumulative.len() as u64,
        }
    }

    /// Divides the operations among threads. Those on one key are all in one part, in order; reads
    /// of keys that no thread writes may be in any part.
    pub(super) fn parts(&self, threads: usize, seed: u64) -> Vec<Part<'_>> {
        match &self.course {
            Course::Trace(ops) => {
                let mut parts = vec![Vec::new(); threads];
                for op in ops {
                    if let Some(part) = parts.get_mut(self.keys.thread_of(op.key, threads)) {
                        part.push(*op);
                    }
                }
                parts.into_iter().map(Part::Trace).collect()
            }
            Course::Draws(cumulative) => {
                let mut random = Rng::with_seed(seed);
                let (each, rest) = (self.pass() / threads as u64, self.pass() % threads as u64);
                let part = |thread: usize| Part::Draws {
                    cumulative,
                    random: random.fork(),
                    reads: each + u64::from((thread as u64) < rest),
                };
                (0..threads).map(part).collect()
            }
        }
    }
}

impl Part<'_> {
    /// Returns how many operations one pass has.
    pub(super) fn pass(&self) -> u64 {
        match self {
            Self::Trace(ops) => ops.len() as u64,
            Self::Draws { reads, .. } => *reads,
        }
    }

    /// Returns the operation with this number of a pass.
    pub(super) fn op(&mut self, number: u64) -> Option<Op> {
        match self {
            Self::Trace(ops) => ops.get(usize::try_from(number).ok()?).copied(),
            Self::Draws { cumulative, random, .. } => {
                let drawn = random.f64() * cumulative.last()?;
                let key = cumulative.partition_point(|sum| *sum <= drawn);
                let key = u32::try_from(key.min(cumulative.len() - 1)).ok()?;
                Some(Op { key, act: Act::Read })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn the_operations_on_a_key_stay_in_order_in_one_part() {
        let mut keys = Keys::default();
        let ops: Vec<Op> = (0..1_000u32)
            .map(|n| Op {
                key: keys.place((n * 7 % 31).to_string().into(), None),
                act: Act::Write { bytes: Some(n) },
            })
            .collect();
        assert_eq!(keys.keys.len(), 31);
        let script = Script { keys, course: Course::Trace(ops) };
        let mut parts = script.parts(3, 1);
        assert_eq!(parts.iter().map(Part::pass).sum::<u64>(), script.pass());
        let mut owners = HashMap::new();
        for (thread, part) in parts.iter_mut().enumerate() {
            let mut last = HashMap::new();
            for number in 0..part.pass() {
                let Op { key, act: Act::Write { bytes } } = part.op(number).unwrap() else {
                    panic!("only writes")
                };
                assert!(last.insert(key, bytes) < Some(bytes));
                assert_eq!(*owners.entry(key).or_insert(thread), thread);
            }
        }
        assert_eq!(owners.len(), 31);
    }

    #[test]
    fn keys_are_drawn_in_proportion_to_their_weights() {
        let mut keys = Keys::default();
        for key in ["none", "one", "nothing", "three"] {
            keys.place(key.into(), None);
        }
        let script = Script { keys, course: Course::Draws(vec![0.0, 1.0, 1.0, 4.0]) };
        let mut part = script.parts(1, 7).remove(0);
        let mut drawn = [0.0; 4];
        for number in 0..40_000 {
            let key = part.op(number).unwrap().key;
            *drawn.get_mut(key as usize).unwrap() += 1.0;
        }
        let [none, one, nothing, three] = drawn;
        assert_eq!((none, nothing), (0.0, 0.0));
        // Six standard deviations.
        assert!(f64::abs(one - 10_000.0) < 520.0, "{drawn:?}");
        assert_eq!(one + three, 40_000.0);
    }
}
