//! A range map answers like a sorted set of boundaries, after any insertions and removals.

use annulus::placement::RangeMap;
use arbitrary::Arbitrary;
use std::collections::BTreeSet;
use std::ops::Bound;

#[derive(Debug, Arbitrary)]
pub(crate) enum Op {
    Insert(Vec<u8>),
    Remove(Vec<u8>),
    Find(Vec<u8>),
    Intersecting(Bound<Vec<u8>>, Bound<Vec<u8>>),
}

fn naive(model: &BTreeSet<Vec<u8>>, key: &[u8]) -> usize {
    model.iter().filter(|boundary| boundary.as_slice() <= key).count()
}

/// Returns true if a range of keys and the partition with this index have a key in common.
fn intersects(
    model: &[&Vec<u8>],
    index: usize,
    start: &Bound<Vec<u8>>,
    end: &Bound<Vec<u8>>,
) -> bool {
    // The smallest key of both, if there is one.
    let low = match start {
        Bound::Included(key) => key.clone(),
        Bound::Excluded(key) => [key.as_slice(), &[0]].concat(),
        Bound::Unbounded => Vec::new(),
    };
    let first = if index == 0 { Vec::new() } else { model[index - 1].clone() };
    let smallest = low.max(first);
    let below_end = match end {
        Bound::Included(key) => smallest <= *key,
        Bound::Excluded(key) => smallest < *key,
        Bound::Unbounded => true,
    };
    below_end && model.get(index).is_none_or(|next| smallest < **next)
}

/// Carries out the operations; returns the kinds of those that took effect, or that queried more
/// than one partition.
pub(crate) fn run(ops: Vec<Op>) -> BTreeSet<&'static str> {
    let mut map = RangeMap::whole();
    let mut model = BTreeSet::new();
    let mut reached = BTreeSet::new();
    for op in ops.into_iter().take(200) {
        match op {
            Op::Insert(key) => match map.insert(&key) {
                Ok(next) => {
                    assert!(!key.is_empty() && model.insert(key));
                    map = next;
                    reached.insert("insert");
                }
                Err(_) => assert!(key.is_empty() || model.contains(&key)),
            },
            Op::Remove(key) => match map.remove(&key) {
                Ok(next) => {
                    assert!(model.remove(&key));
                    map = next;
                    reached.insert("remove");
                }
                Err(_) => assert!(!model.contains(&key)),
            },
            Op::Find(key) => {
                assert_eq!(map.find(&key), naive(&model, &key));
                reached.extend((map.len() > 1).then_some("find"));
            }
            Op::Intersecting(start, end) => {
                let found = map.intersecting((start.clone(), end.clone()));
                let boundaries: Vec<_> = model.iter().collect();
                for index in 0..map.len() {
                    let expected = intersects(&boundaries, index, &start, &end);
                    assert_eq!(found.contains(&index), expected, "partition {index}");
                }
                reached.extend((map.len() > 1).then_some("intersecting"));
            }
        }
    }
    map.check().unwrap();
    assert!(map.boundaries().eq(model.iter().map(Vec::as_slice)));
    for boundary in &model {
        assert_eq!(map.find(boundary), naive(&model, boundary));
    }
    assert_eq!(RangeMap::new(&model).unwrap(), map);
    reached
}
