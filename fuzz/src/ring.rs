//! Any sequence of changes leaves a ring that tiles the tokens, has the weights it was given,
//! and answers like a naive map of boundaries to owners.

use annulus::placement::{Member, Ring, Token};
use annulus::{Result, ShardId};
use arbitrary::Arbitrary;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Arbitrary)]
pub(crate) enum Op {
    Add { id: u8, weight: u16, arcs: u8 },
    Remove { id: u8 },
    Reweigh { id: u8, weight: u16 },
    Split { at: u64 },
    Merge { left: u8 },
    Assign { index: u8, id: u8 },
    Find { token: u64 },
    Prefer { token: u64, k: u8 },
}

fn model(ring: &Ring) -> BTreeMap<u64, ShardId> {
    ring.arcs().map(|arc| (arc.range.start.0, arc.owner)).collect()
}

fn owner(model: &BTreeMap<u64, ShardId>, token: u64) -> ShardId {
    *model.range(..=token).next_back().expect("the first arc begins at zero").1
}

/// Checks that nothing has moved except what had to: every receiver was below its share, every
/// giver above.
fn check_moves(before: &Ring, after: &Ring) {
    let owned = |ring: &Ring| -> BTreeMap<ShardId, i128> {
        ring.shares().iter().map(|share| (share.shard, share.tokens as i128)).collect()
    };
    let (old, new) = (owned(before), owned(after));
    let moved: i128 = before.diff(after).iter().map(|moved| moved.range.width() as i128).sum();
    let gained: i128 =
        new.iter().map(|(shard, tokens)| (tokens - old.get(shard).unwrap_or(&0)).max(0)).sum();
    assert_eq!(moved, gained, "tokens moved that did not have to");
}

/// Checks that each shard owns what its weight asks for, to within one token.
fn check_shares(ring: &Ring) {
    let weights: u128 = ring.members().iter().map(|member| u128::from(member.weight)).sum();
    for share in ring.shares() {
        // Weights are at most 2^16 here, so the products fit.
        let wanted = (1_u128 << 64) * u128::from(share.weight) / weights;
        assert!(share.tokens.abs_diff(wanted) <= 1, "{share:?}");
    }
}

/// Returns the ring after a change of its members, if that is possible.
fn balanced(before: &Ring, after: Result<Ring>) -> Option<Ring> {
    let after = after.ok()?;
    check_moves(before, &after);
    check_shares(&after);
    Some(after)
}

fn find(ring: &Ring, token: u64) {
    assert_eq!(ring.owner(Token(token)), owner(&model(ring), token));
    let arc = ring.arc(ring.arc_of(Token(token))).unwrap();
    assert!(arc.range.contains(Token(token)));
}

fn prefer(ring: &Ring, token: u64, k: u8) {
    let preferred = ring.preference(Token(token), k.into());
    assert_eq!(preferred.len(), usize::from(k).min(ring.members().len()));
    if let Some(first) = preferred.first() {
        assert_eq!(*first, ring.owner(Token(token)));
    }
}

/// Returns the kind of an operation, and the ring after it if it took effect.
fn step(ring: &Ring, op: Op) -> (&'static str, Option<Ring>) {
    match op {
        Op::Add { id, weight, arcs } => {
            let member = Member::new(ShardId(id.into())).weight(weight.into());
            let member = if arcs > 0 { member.arcs((arcs % 16).into()) } else { member };
            ("add", balanced(ring, ring.add_shard(member)))
        }
        Op::Remove { id } => ("remove", balanced(ring, ring.remove_shard(ShardId(id.into())))),
        Op::Reweigh { id, weight } => {
            let after = ring.set_weight(ShardId(id.into()), weight.into());
            ("reweigh", balanced(ring, after))
        }
        Op::Split { at } => {
            let split = ring.split_arc(Token(at)).ok();
            if let Some(split) = &split {
                assert_eq!(split.len(), ring.len() + 1);
                assert!(ring.diff(split).is_empty());
            }
            ("split", split)
        }
        Op::Merge { left } => {
            let merged = ring.merge_arcs(left.into()).ok();
            if let Some(merged) = &merged {
                assert_eq!(merged.len() + 1, ring.len());
                assert!(ring.diff(merged).is_empty());
            }
            ("merge", merged)
        }
        Op::Assign { index, id } => {
            let assigned = ring.assign(index.into(), ShardId(id.into())).ok();
            if let Some(assigned) = &assigned {
                assert_eq!(assigned.arc(index.into()).unwrap().owner, ShardId(id.into()));
            }
            ("assign", assigned)
        }
        Op::Find { token } => {
            find(ring, token);
            ("find", Some(ring.clone()))
        }
        Op::Prefer { token, k } => {
            prefer(ring, token, k);
            ("prefer", Some(ring.clone()))
        }
    }
}

/// Carries out the operations; returns the kinds of those that took effect.
pub(crate) fn run(ops: Vec<Op>) -> BTreeSet<&'static str> {
    let mut ring =
        Ring::builder().arcs_per_shard(4).shard(Member::new(ShardId(0))).build().unwrap();
    let mut reached = BTreeSet::new();
    for op in ops.into_iter().take(64) {
        let (kind, after) = step(&ring, op);
        if let Some(after) = after {
            after.check().unwrap();
            ring = after;
            reached.insert(kind);
        }
    }
    let model = model(&ring);
    for boundary in model.keys() {
        for token in [boundary.saturating_sub(1), *boundary, boundary.saturating_add(1)] {
            assert_eq!(ring.owner(Token(token)), owner(&model, token));
        }
    }
    reached
}
