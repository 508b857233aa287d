//! Placement against models that are too simple to be wrong.
//!
//! Goal: a ring or a range map answers like a `BTreeMap` of its boundaries after any sequence of
//! edits; shards own exactly what their weights ask for, whatever joined and left before; as little
//! as possible changes its owner; nothing that is decoded breaks an invariant.
//!
//! Method: random edits, weights, keys and bytes (proptest). A failure prints its smallest input
//! and adds its seed to `tests/placement.regressions`, which the next run replays first.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use annulus::placement::{HashPart, Member, Moved, RangeMap, Ring, Token, TokenRange};
use annulus::{ErrorKind, ShardId};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::FileFailurePersistence;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

fn config(cases: u32) -> ProptestConfig {
    let file = FileFailurePersistence::Direct("tests/placement.regressions");
    ProptestConfig { cases, failure_persistence: Some(Box::new(file)), ..ProptestConfig::default() }
}

/// Something that happens to a ring; members and arcs are chosen among those that exist then.
#[derive(Debug, Clone)]
enum Edit {
    Add(Member),
    Remove(Index),
    Weight(Index, u32),
    Split(u64),
    Merge(Index),
    Assign(Index, Index),
    Reshape(Index, usize, Vec<u64>, [Index; 3]),
    Join(Member),
    Leave(Index),
    Reweigh(Index, u32),
}

fn any_member() -> impl Strategy<Value = Member> {
    let arcs = prop::option::of(1..6_u32);
    let zone = prop::option::of(0..3_u8);
    (0..40_u32, 1..5_u32, arcs, zone).prop_map(|(id, weight, arcs, zone)| {
        let mut member = Member::new(ShardId(id)).weight(weight);
        member.arcs = arcs;
        member.zone = zone.map(|zone| zone.to_string().into());
        member
    })
}

/// Returns a shard that joins, leaves or changes its weight.
fn any_change() -> impl Strategy<Value = Edit> {
    prop_oneof![
        3 => any_member().prop_map(Edit::Add),
        2 => any::<Index>().prop_map(Edit::Remove),
        1 => (any::<Index>(), 1..9_u32).prop_map(|(member, weight)| Edit::Weight(member, weight)),
    ]
}

fn any_edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        2 => any_change(),
        1 => any::<u64>().prop_map(Edit::Split),
        1 => any::<Index>().prop_map(Edit::Merge),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(arc, member)| Edit::Assign(arc, member)),
        2 => any_reshape(),
        1 => any_member().prop_map(Edit::Join),
        1 => any::<Index>().prop_map(Edit::Leave),
        1 => (any::<Index>(), 1..9_u32).prop_map(|(member, weight)| Edit::Reweigh(member, weight)),
    ]
}

/// Returns a reshape of some arcs; the cuts lie as far into the first of them as the numbers say.
fn any_reshape() -> impl Strategy<Value = Edit> {
    let split_points = prop::collection::btree_set(any::<u64>(), 0..3);
    (any::<Index>(), 1..4_usize, split_points, any::<[Index; 3]>()).prop_map(
        |(first, count, split_points, owners)| {
            Edit::Reshape(first, count, split_points.into_iter().collect(), owners)
        },
    )
}

fn reshape(ring: &Ring, edit: (&Index, usize, &[u64], &[Index])) -> annulus::Result<Ring> {
    let (first, count, split_points, owners) = edit;
    let first = first.index(ring.len());
    let range = ring.arc(first).unwrap().range;
    let cut = |cut: &u64| Token(range.start.0 + ((u128::from(*cut) * range.width()) >> 64) as u64);
    let split_points: Vec<Token> = split_points.iter().map(cut).collect();
    let owners: Vec<ShardId> = owners.iter().map(|owner| owner.get(ring.members()).id).collect();
    ring.reshape(first, count, &split_points, owners.get(..=split_points.len()).unwrap())
}

/// Returns the ring after an edit, or the ring itself if the edit is refused.
fn apply(ring: &Ring, edit: &Edit) -> Ring {
    let members = ring.members();
    let result = match edit {
        Edit::Add(member) => ring.add_shard(member.clone()),
        Edit::Remove(member) => ring.remove_shard(member.get(members).id),
        Edit::Weight(member, weight) => ring.set_weight(member.get(members).id, *weight),
        Edit::Split(at) => ring.split_arc(Token(*at)),
        Edit::Merge(arc) => ring.merge_arcs(arc.index(ring.len())),
        Edit::Assign(arc, member) => ring.assign(arc.index(ring.len()), member.get(members).id),
        Edit::Reshape(first, count, split_points, owners) => {
            reshape(ring, (first, *count, split_points, owners))
        }
        Edit::Join(member) => ring.join(member.clone()),
        Edit::Leave(member) => ring.leave(member.get(members).id),
        Edit::Reweigh(member, weight) => ring.reweigh(member.get(members).id, *weight),
    };
    result.unwrap_or_else(|_| ring.clone())
}

fn build(members: impl IntoIterator<Item = Member>, arcs_per_shard: u32) -> Ring {
    Ring::builder().arcs_per_shard(arcs_per_shard).shards(members).build().unwrap()
}

fn equal_shards(count: u32, arcs_per_shard: u32) -> Ring {
    build((0..count).map(|id| Member::new(ShardId(id))), arcs_per_shard)
}

fn any_ring_by(edit: impl Strategy<Value = Edit>, edits: usize) -> impl Strategy<Value = Ring> {
    let edits = prop::collection::vec(edit, 0..edits);
    (any_member(), 1..9_u32, edits).prop_map(|(first, arcs, edits)| {
        edits.iter().fold(build([first], arcs), |ring, edit| apply(&ring, edit))
    })
}

fn any_ring() -> impl Strategy<Value = Ring> {
    any_ring_by(any_edit(), 30)
}

fn starts(ring: &Ring) -> BTreeMap<u64, ShardId> {
    ring.arcs().map(|arc| (arc.range.start.0, arc.owner)).collect()
}

fn owned(ring: &Ring) -> BTreeMap<ShardId, u128> {
    ring.shares().into_iter().map(|share| (share.shard, share.tokens)).collect()
}

fn moved_tokens(moved: &[Moved]) -> u128 {
    moved.iter().map(|moved| moved.range.width()).sum()
}

/// Returns true if each shard owns what its weight asks for, to the token.
fn is_exact(ring: &Ring) -> bool {
    let weights: u128 = ring.members().iter().map(|member| u128::from(member.weight)).sum();
    ring.shares().iter().all(|share| {
        let quota = (u128::from(share.weight) << 64) / weights;
        share.tokens == quota || share.tokens == quota + 1
    })
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn a_ring_is_a_map_of_boundaries(ring in any_ring(), tokens: [u64; 32]) {
        ring.check().unwrap();
        let model = starts(&ring);
        prop_assert_eq!(model.len(), ring.len());
        let around = model.keys().flat_map(|&at| [at.wrapping_sub(1), at, at.wrapping_add(1)]);
        for token in around.chain(tokens) {
            let (start, owner) = model.range(..=token).next_back().unwrap();
            let arc = ring.arc(ring.arc_of(Token(token))).unwrap();
            prop_assert_eq!((arc.range.start.0, arc.owner), (*start, *owner));
            prop_assert!(arc.range.contains(Token(token)));
            prop_assert_eq!(ring.owner(Token(token)), *owner);
        }
    }

    /// From any ring, in balance or not: exactly the surplus of some shards changes owner.
    #[test]
    fn a_change_moves_the_least_possible(ring in any_ring(), edit in any_change()) {
        let changed = apply(&ring, &edit);
        changed.check().unwrap();
        prop_assume!(changed.members() != ring.members());
        prop_assert!(is_exact(&changed));
        let after = owned(&changed);
        let surplus = |(shard, tokens): (&ShardId, &u128)| {
            tokens.saturating_sub(after.get(shard).copied().unwrap_or(0))
        };
        let moved = ring.diff(&changed);
        prop_assert_eq!(moved_tokens(&moved), owned(&ring).iter().map(surplus).sum::<u128>());
    }

    /// The two halves of a change of the members are the change.
    #[test]
    fn members_change_first_and_arcs_later(ring in any_ring(), member in any_member(), weight in 1..9_u32) {
        let mut member = member;
        member.id = ShardId(99);
        let joined = ring.join(member.clone()).unwrap();
        joined.check().unwrap();
        prop_assert!(ring.diff(&joined).is_empty());
        prop_assert_eq!(joined.balanced().unwrap(), ring.add_shard(member).unwrap());
        prop_assert_eq!(joined.leave(ShardId(99)).unwrap(), ring.clone());
        let shard = ring.members()[0].id;
        let reweighed = ring.reweigh(shard, weight).unwrap();
        prop_assert!(ring.diff(&reweighed).is_empty());
        prop_assert_eq!(reweighed.balanced().unwrap(), ring.set_weight(shard, weight).unwrap());
        let balanced = ring.balanced().unwrap();
        prop_assert!(is_exact(&balanced));
        prop_assert_eq!(&balanced.balanced().unwrap(), &balanced);
        let leaves = ring.leave(shard);
        let may_leave = owned(&ring)[&shard] == 0 && ring.members().len() > 1;
        prop_assert_eq!(leaves.is_ok(), may_leave);
    }

    /// A reshape is its splits, merges and assignments, one after the other.
    #[test]
    fn a_reshape_is_many_edits(ring in any_ring(), edit in any_reshape()) {
        let Edit::Reshape(first, count, split_points, owners) = &edit else { unreachable!() };
        let result = reshape(&ring, (first, *count, split_points, owners));
        let first = first.index(ring.len());
        prop_assert!(result.is_ok() || first + count > ring.len() || !split_points.is_empty());
        let Ok(reshaped) = result else { return Ok(()) };
        reshaped.check().unwrap();
        let (old, new) = (starts(&ring), starts(&reshaped));
        let start = ring.arc(first).unwrap().range.start.0;
        let end = ring.arc(first + count).map_or(u64::MAX, |arc| arc.range.start.0);
        let is_outside = |(at, _): &(&u64, &ShardId)| **at < start || **at >= end && first + count < ring.len();
        prop_assert!(old.iter().filter(is_outside).eq(new.iter().filter(is_outside)));
        prop_assert_eq!(reshaped.len(), ring.len() - count + split_points.len() + 1);
        for (index, owner) in owners.iter().take(split_points.len() + 1).enumerate() {
            prop_assert_eq!(reshaped.arc(first + index).unwrap().owner, owner.get(ring.members()).id);
        }
    }

    /// In balance, that is: only to the new shard and only from the removed one.
    #[test]
    fn shards_come_and_go_without_a_trace(
        ring in any_ring_by(any_change(), 20),
        member in any_member(),
    ) {
        let mut member = member;
        member.id = ShardId(99);
        let grown = ring.set_weight(ring.members()[0].id, 2).unwrap().add_shard(member).unwrap();
        let ring = ring.set_weight(ring.members()[0].id, 2).unwrap();
        let moved = ring.diff(&grown);
        prop_assert!(moved.iter().all(|moved| moved.to == ShardId(99)));
        prop_assert_eq!(moved_tokens(&moved), owned(&grown)[&ShardId(99)]);
        let shrunk = grown.remove_shard(ShardId(99)).unwrap();
        prop_assert!(grown.diff(&shrunk).iter().all(|moved| moved.from == ShardId(99)));
        prop_assert_eq!(shrunk, ring);
    }

    #[test]
    fn diff_is_what_differs(one in any_ring(), other in any_ring(), edit in any_edit()) {
        for (old, new) in [(&one, &other), (&one, &apply(&one, &edit)), (&one, &one)] {
            let (old_starts, new_starts) = (starts(old), starts(new));
            let edges: BTreeSet<u64> = old_starts.keys().chain(new_starts.keys()).copied().collect();
            let ends = edges.iter().skip(1).map(|&end| Some(Token(end))).chain([None]);
            let mut expected: Vec<(TokenRange, ShardId, ShardId)> = Vec::new();
            for (&start, end) in edges.iter().zip(ends) {
                let (from, to) = (old.owner(Token(start)), new.owner(Token(start)));
                match expected.last_mut() {
                    _ if from == to => {}
                    Some((range, a, b)) if (*a, *b, range.end) == (from, to, Some(Token(start))) => {
                        range.end = end;
                    }
                    _ => expected.push((TokenRange::new(Token(start), end), from, to)),
                }
            }
            let moved = old.diff(new);
            let moved = moved.iter().map(|moved| (moved.range, moved.from, moved.to));
            prop_assert_eq!(moved.collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn preference_is_a_walk_around_the_ring(ring in any_ring(), token: u64, k in 0..8_usize) {
        let first = ring.arc_of(Token(token));
        let mut walk: Vec<ShardId> = Vec::new();
        for step in 0..ring.len() {
            let owner = ring.arc((first + step) % ring.len()).unwrap().owner;
            if !walk.contains(&owner) {
                walk.push(owner);
            }
        }
        let mut zones = BTreeSet::new();
        let is_first = |shard: &ShardId| match &ring.member(*shard).unwrap().zone {
            Some(zone) => zones.insert(zone.clone()),
            None => true,
        };
        let (new_zones, old_zones): (Vec<ShardId>, Vec<ShardId>) = walk.into_iter().partition(is_first);
        let expected: Vec<ShardId> = new_zones.into_iter().chain(old_zones).take(k).collect();
        prop_assert_eq!(ring.preference(Token(token), k), expected);
    }

    #[test]
    fn a_ring_survives_encoding(ring in any_ring()) {
        let bytes = postcard::to_stdvec(&ring).unwrap();
        prop_assert_eq!(postcard::from_bytes::<Ring>(&bytes).unwrap(), ring.clone());
        let text = serde_json::to_string(&ring).unwrap();
        prop_assert_eq!(serde_json::from_str::<Ring>(&text).unwrap(), ring);
    }
}

proptest! {
    #![proptest_config(config(1000))]

    /// From nothing, and from an encoded ring with some bytes replaced.
    #[test]
    fn a_decoded_ring_holds_its_invariants(
        bytes: Vec<u8>,
        ring in any_ring_by(any_edit(), 3),
        changes: [(Index, u8); 2],
    ) {
        let mut damaged = postcard::to_stdvec(&ring).unwrap();
        for (index, byte) in changes {
            *index.get_mut(&mut damaged) = byte;
        }
        for bytes in [bytes, damaged] {
            if let Ok(ring) = postcard::from_bytes::<Ring>(&bytes) {
                ring.check().unwrap();
            }
        }
    }
}

/// Every number of shards from 2 to 256 is reached by growing and by shrinking.
#[test]
fn shares_are_equal_at_every_size() {
    let mut ring = equal_shards(1, 4);
    for id in 1..256 {
        let grown = ring.add_shard(Member::new(ShardId(id))).unwrap();
        assert_is_balanced(&grown);
        let moved = moved_tokens(&ring.diff(&grown));
        assert!(moved.abs_diff((1 << 64) / u128::from(id + 1)) <= 1, "1/(n + 1) of all tokens");
        assert_eq!(grown.remove_shard(ShardId(id)).unwrap(), ring, "removing undoes adding");
        ring = grown;
    }
    let mut order: Vec<u32> = (0..256).collect();
    fastrand::Rng::with_seed(5).shuffle(&mut order);
    for id in &order[..254] {
        ring = ring.remove_shard(ShardId(*id)).unwrap();
        assert_is_balanced(&ring);
    }
}

fn assert_is_balanced(ring: &Ring) {
    let shards = ring.members().len();
    assert!(is_exact(ring), "{shards} shards");
    assert!(ring.max_over_mean() <= 1.000_001, "{shards} shards: {}", ring.max_over_mean());
}

/// Shards join and leave for a long time. The number of arcs stays near what their number asks for:
/// the arcs of each, or half an arc for each pair of shards.
#[test]
fn arcs_do_not_creep_up() {
    for (shards_min, shards_max, arcs) in [(2, 8, 16), (3, 5, 4), (8, 24, 16)] {
        let mut random = fastrand::Rng::with_seed(11);
        let mut ring = equal_shards(shards_min, arcs);
        for id in 100..2100 {
            let shards = ring.members().len() as u32;
            ring = if shards == shards_min || shards < shards_max && random.bool() {
                ring.add_shard(Member::new(ShardId(id))).unwrap()
            } else {
                let leaves = &ring.members()[random.usize(..shards as usize)];
                ring.remove_shard(leaves.id).unwrap()
            };
            let per_shard = ring.len() / ring.members().len();
            let limit = 4 * arcs.max(shards_max / 2) as usize;
            assert!(per_shard <= limit, "{per_shard} arcs a shard of {shards} after {id} steps");
        }
    }
}

#[test]
fn few_arcs_are_added_to_many_shards() {
    let mut ring = equal_shards(1, 16);
    for id in 1..100 {
        ring = ring.add_shard(Member::new(ShardId(id))).unwrap();
        let arcs = ring.shares().last().unwrap().arcs;
        let needed = (ring.members().len() / 2).max(16);
        assert!(arcs <= needed + needed / 3 + 1, "{arcs} arcs for shard {id}");
    }
}

#[test]
fn a_ring_refuses_what_it_cannot_be() {
    let member = |id| Member::new(ShardId(id));
    let refused =
        |members: Vec<Member>| Ring::builder().shards(members).build().unwrap_err().kind();
    assert_eq!(refused(vec![]), ErrorKind::InvalidArgument);
    assert_eq!(refused(vec![member(1), member(1)]), ErrorKind::InvalidArgument);
    assert_eq!(refused(vec![member(1).weight(0)]), ErrorKind::InvalidArgument);
    assert_eq!(refused(vec![member(1).arcs(0)]), ErrorKind::InvalidArgument);
    assert_eq!(refused(vec![member(1).arcs(u32::MAX)]), ErrorKind::InvalidArgument);
    assert_eq!(refused(vec![member(1).arcs(1 << 24), member(2)]), ErrorKind::InvalidArgument);

    let ring = equal_shards(2, 2);
    assert_eq!(ring.add_shard(member(1)).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(ring.add_shard(member(2).weight(0)).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(ring.remove_shard(ShardId(2)).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(ring.set_weight(ShardId(2), 1).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(ring.set_weight(ShardId(1), 0).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(ring.split_arc(Token(0)).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(ring.merge_arcs(0).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(ring.merge_arcs(3).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(ring.merge_arcs(usize::MAX).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(ring.assign(4, ShardId(0)).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(ring.assign(0, ShardId(2)).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(ring.join(member(1)).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(ring.join(member(2).weight(0)).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(ring.leave(ShardId(2)).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(ring.leave(ShardId(1)).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(ring.reweigh(ShardId(2), 1).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(ring.reweigh(ShardId(1), 0).unwrap_err().kind(), ErrorKind::InvalidArgument);
    let refused = |first, count, split_points: &[u64], owners: &[u32]| {
        let split_points: Vec<Token> = split_points.iter().copied().map(Token).collect();
        let owners: Vec<ShardId> = owners.iter().copied().map(ShardId).collect();
        ring.reshape(first, count, &split_points, &owners).unwrap_err().kind()
    };
    assert_eq!(refused(0, 0, &[], &[0]), ErrorKind::InvalidArgument);
    assert_eq!(refused(0, 5, &[], &[0]), ErrorKind::NotFound);
    assert_eq!(refused(usize::MAX, 2, &[], &[0]), ErrorKind::NotFound);
    assert_eq!(refused(0, 1, &[], &[2]), ErrorKind::NotFound);
    assert_eq!(refused(0, 1, &[5], &[0]), ErrorKind::InvalidArgument);
    assert_eq!(refused(0, 1, &[0], &[0, 1]), ErrorKind::InvalidArgument);
    assert_eq!(refused(0, 1, &[1 << 62], &[0, 1]), ErrorKind::InvalidArgument);
    assert_eq!(refused(0, 1, &[7, 7], &[0, 1, 0]), ErrorKind::InvalidArgument);
    let alone = ring.remove_shard(ShardId(0)).unwrap();
    assert_eq!(alone.leave(ShardId(1)).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(alone.remove_shard(ShardId(1)).unwrap_err().kind(), ErrorKind::InvalidArgument);
}

/// Weights as far apart as they can be, and one shard with more arcs than fit its tokens evenly.
#[test]
fn extreme_weights_are_met_exactly() {
    let members = [(0, u32::MAX, 1), (1, 1, 1 << 16), (2, u32::MAX, 3), (3, 7, 1)];
    let member = |(id, weight, arcs)| Member::new(ShardId(id)).weight(weight).arcs(arcs);
    let mut ring = build(members.map(member), 16);
    assert!(is_exact(&ring));
    for (id, weight) in [(0, 1), (2, 1), (1, u32::MAX), (3, 1), (1, 1), (0, u32::MAX)] {
        ring = ring.set_weight(ShardId(id), weight).unwrap();
        ring.check().unwrap();
        assert!(is_exact(&ring), "shard {id} at weight {weight}");
    }
}

/// Keys that differ late or only in zeros at the end: the hard cases for heads of eight bytes.
fn any_key() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop::sample::select(vec![0, 1, b'a', 255]);
    let prefix =
        prop::sample::select(vec!["", "a", "@types/", "@scoped/package-", "\0\0\0\0\0\0\0\0"]);
    let suffix = prop_oneof![3 => prop::collection::vec(byte, 0..4), 1 => prop::collection::vec(any::<u8>(), 0..20)];
    (prefix, 0..3_usize, suffix).prop_map(|(prefix, times, suffix)| {
        let mut key = prefix.repeat(times).into_bytes();
        key.extend(suffix);
        key
    })
}

fn any_keys(count: usize) -> impl Strategy<Value = BTreeSet<Vec<u8>>> {
    prop::collection::btree_set(
        any_key().prop_filter("boundaries are not empty", |key| !key.is_empty()),
        0..count,
    )
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn a_range_map_is_a_set_of_boundaries(
        boundaries in any_keys(80),
        probes in prop::collection::vec(any_key(), 20),
        split in any_key(),
    ) {
        let map = RangeMap::new(&boundaries).unwrap();
        map.check().unwrap();
        prop_assert_eq!(map.len(), boundaries.len() + 1);
        prop_assert!(map.boundaries().eq(boundaries.iter()));
        for key in probes.iter().chain(&boundaries) {
            let index = map.find(key);
            prop_assert_eq!(index, boundaries.range::<Vec<u8>, _>(..=key).count());
            prop_assert!(map.range(index).unwrap().contains(key));
        }
        let mut expected = boundaries.clone();
        let is_new = !split.is_empty() && expected.insert(split.clone());
        match map.insert(&split) {
            Ok(inserted) => {
                prop_assert!(is_new);
                prop_assert_eq!(&inserted, &RangeMap::new(&expected).unwrap());
                prop_assert_eq!(inserted.remove(&split).unwrap(), map);
            }
            Err(error) if split.is_empty() => prop_assert_eq!(error.kind(), ErrorKind::InvalidArgument),
            Err(error) => {
                prop_assert!(!is_new);
                prop_assert_eq!(error.kind(), ErrorKind::AlreadyExists);
            }
        }
    }

    /// Whatever was between two boundaries, afterwards there is what was requested.
    #[test]
    fn a_replacement_is_between_its_ends(
        boundaries in any_keys(40),
        split_points in any_keys(4),
        first: Index,
        count in 1..4_usize,
    ) {
        let map = RangeMap::new(&boundaries).unwrap();
        let first = first.index(map.len());
        let all: Vec<&Vec<u8>> = boundaries.iter().collect();
        let expected = all.get(first + count - 1..).map(|after| {
            let before = all[..first].iter().copied();
            RangeMap::new(before.chain(&split_points).chain(after.iter().copied()))
        });
        match (map.replace(first, count, &split_points), expected) {
            (Ok(replaced), Some(Ok(expected))) => prop_assert_eq!(replaced, expected),
            (Err(error), None) => prop_assert_eq!(error.kind(), ErrorKind::NotFound),
            (Err(error), Some(Err(_))) => prop_assert_eq!(error.kind(), ErrorKind::InvalidArgument),
            (found, expected) => prop_assert!(false, "{found:?} {expected:?}"),
        }
    }

    #[test]
    fn a_range_of_keys_finds_its_partitions(boundaries in any_keys(12), bounds in any_bounds()) {
        let map = RangeMap::new(&boundaries).unwrap();
        let after = |key: &Vec<u8>| [key.as_slice(), &[0]].concat();
        let start = match &bounds.0 {
            Bound::Included(key) => key.clone(),
            Bound::Excluded(key) => after(key),
            Bound::Unbounded => Vec::new(),
        };
        let end = match &bounds.1 {
            Bound::Included(key) => Some(after(key)),
            Bound::Excluded(key) => Some(key.clone()),
            Bound::Unbounded => None,
        };
        let keys = annulus::placement::KeyRange::new(start, end);
        let expected: Vec<usize> =
            (0..map.len()).filter(|&index| map.range(index).unwrap().intersects(&keys)).collect();
        prop_assert_eq!(map.intersecting(bounds).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn split_points_divide_evenly(samples in any_keys(60), parts in 0..20_usize, repeat in 1..4_usize) {
        let distinct: Vec<Vec<u8>> = samples.into_iter().collect();
        let points = RangeMap::split_points(&distinct, parts);
        let map = RangeMap::new(&points).unwrap();
        let parts_possible = parts.min(distinct.len()).max(1);
        prop_assert_eq!(map.len(), parts_possible);
        let mut sizes = vec![0; map.len()];
        distinct.iter().for_each(|key| sizes[map.find(key)] += 1);
        prop_assert!(sizes.iter().all(|size| distinct.len().abs_diff(size * parts_possible) < parts_possible));

        let repeated: Vec<&Vec<u8>> = distinct.iter().flat_map(|key| vec![key; repeat]).collect();
        let points = RangeMap::split_points(&repeated, parts);
        prop_assert!(RangeMap::new(&points).unwrap().len() <= parts.max(1));
    }

    #[test]
    fn a_range_map_survives_encoding(boundaries in any_keys(40)) {
        let map = RangeMap::new(&boundaries).unwrap();
        let bytes = postcard::to_stdvec(&map).unwrap();
        prop_assert_eq!(postcard::from_bytes::<RangeMap>(&bytes).unwrap(), map);
    }

    #[test]
    fn a_decoded_range_map_holds_its_invariants(
        bytes: Vec<u8>,
        boundaries in any_keys(6),
        changes: [(Index, u8); 2],
    ) {
        let mut damaged = postcard::to_stdvec(&RangeMap::new(&boundaries).unwrap()).unwrap();
        for (index, byte) in changes {
            *index.get_mut(&mut damaged) = byte;
        }
        for bytes in [bytes, damaged] {
            if let Ok(map) = postcard::from_bytes::<RangeMap>(&bytes) {
                map.check().unwrap();
            }
        }
    }

    /// What a prefix fixes is the hashed part of every key with that prefix.
    #[test]
    fn a_fixed_hashed_part_is_that_of_all_keys(
        part in any_part(),
        prefix in "[{}/a]{0,8}",
        suffix in "[{}/a]{0,8}",
    ) {
        let key = format!("{prefix}{suffix}");
        if let Some(fixed) = part.fixed_by_prefix(prefix.as_bytes()) {
            prop_assert_eq!(part.of(key.as_bytes()), fixed);
        }
        prop_assert_eq!(part.to_string().parse::<HashPart>().unwrap(), part);
    }
}

fn any_bounds() -> impl Strategy<Value = (Bound<Vec<u8>>, Bound<Vec<u8>>)> {
    let bound = || {
        prop_oneof![
            3 => any_key().prop_map(Bound::Included),
            3 => any_key().prop_map(Bound::Excluded),
            1 => Just(Bound::Unbounded),
        ]
    };
    (bound(), bound())
}

fn any_part() -> impl Strategy<Value = HashPart> {
    prop_oneof![
        Just(HashPart::Whole),
        Just(HashPart::Tag),
        (0..12_u16).prop_map(|bytes| HashPart::Prefix { bytes }),
        prop_oneof![Just(b'/'), any::<u8>()].prop_map(|delimiter| HashPart::UpTo { delimiter }),
    ]
}

#[test]
fn a_range_map_names_the_boundary_it_refuses() {
    for (boundaries, named) in
        [(vec!["b", "a"], "boundary 2"), (vec!["a", "a"], "boundary 2"), (vec![""], "boundary 1")]
    {
        let error = RangeMap::new(&boundaries).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(named), "{error}");
    }
    let map = RangeMap::whole();
    assert_eq!(map.remove("a").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(map.remove("").unwrap_err().kind(), ErrorKind::NotFound);
}
