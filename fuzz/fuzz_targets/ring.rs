//! Any sequence of changes leaves a ring that tiles the tokens, has the weights it was given,
//! and answers like a naive map of boundaries to owners.

#![no_main]

use annulus::ShardId;
use annulus::placement::{Member, Ring, Token};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;

#[derive(Debug, Arbitrary)]
enum Op {
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
    ring.arcs().map(|arc| (arc.span.start.0, arc.owner)).collect()
}

fn owner(model: &BTreeMap<u64, ShardId>, token: u64) -> ShardId {
    *model.range(..=token).next_back().expect("the first arc begins at zero").1
}

/// Nothing but what had to move has moved: every receiver was below its share, every giver above.
fn check_moves(before: &Ring, after: &Ring) {
    let owned = |ring: &Ring| -> BTreeMap<ShardId, i128> {
        ring.shares().iter().map(|share| (share.shard, share.tokens as i128)).collect()
    };
    let (old, new) = (owned(before), owned(after));
    let moved: i128 = before.diff(after).iter().map(|moved| moved.span.width() as i128).sum();
    let gained: i128 =
        new.iter().map(|(shard, tokens)| (tokens - old.get(shard).unwrap_or(&0)).max(0)).sum();
    assert_eq!(moved, gained, "tokens moved that did not have to");
}

/// Each shard owns what its weight asks for, to within one token.
fn check_shares(ring: &Ring) {
    let weights: u128 = ring.members().iter().map(|member| u128::from(member.weight)).sum();
    for share in ring.shares() {
        // Weights are at most 2^16 here, so the products fit.
        let wanted = (1_u128 << 64) * u128::from(share.weight) / weights;
        assert!(share.tokens.abs_diff(wanted) <= 1, "{share:?}");
    }
}

fuzz_target!(|ops: Vec<Op>| {
    let mut ring =
        Ring::builder().arcs_per_shard(4).shard(Member::new(ShardId(0))).build().unwrap();
    for op in ops.into_iter().take(64) {
        let before = ring.clone();
        let balanced = match op {
            Op::Add { id, weight, arcs } => {
                let member = Member::new(ShardId(id.into())).weight(weight.into());
                let member = if arcs > 0 { member.arcs((arcs % 16).into()) } else { member };
                ring.add_shard(member)
            }
            Op::Remove { id } => ring.remove_shard(ShardId(id.into())),
            Op::Reweigh { id, weight } => ring.set_weight(ShardId(id.into()), weight.into()),
            Op::Split { at } => {
                if let Ok(split) = ring.split_arc(Token(at)) {
                    assert_eq!(split.len(), ring.len() + 1);
                    assert!(ring.diff(&split).is_empty());
                    ring = split;
                }
                continue;
            }
            Op::Merge { left } => {
                if let Ok(merged) = ring.merge_arcs(left.into()) {
                    assert_eq!(merged.len() + 1, ring.len());
                    assert!(ring.diff(&merged).is_empty());
                    ring = merged;
                }
                continue;
            }
            Op::Assign { index, id } => {
                if let Ok(assigned) = ring.assign(index.into(), ShardId(id.into())) {
                    let arc = assigned.arc(index.into()).unwrap();
                    assert_eq!(arc.owner, ShardId(id.into()));
                    ring = assigned;
                }
                continue;
            }
            Op::Find { token } => {
                assert_eq!(ring.owner(Token(token)), owner(&model(&ring), token));
                let arc = ring.arc(ring.arc_of(Token(token))).unwrap();
                assert!(arc.span.contains(Token(token)));
                continue;
            }
            Op::Prefer { token, k } => {
                let preferred = ring.preference(Token(token), k.into());
                assert_eq!(preferred.len(), usize::from(k).min(ring.members().len()));
                if let Some(first) = preferred.first() {
                    assert_eq!(*first, ring.owner(Token(token)));
                }
                continue;
            }
        };
        if let Ok(after) = balanced {
            check_moves(&before, &after);
            check_shares(&after);
            ring = after;
        }
        ring.check().unwrap();
    }
    ring.check().unwrap();
    let model = model(&ring);
    for boundary in model.keys() {
        for token in [boundary.saturating_sub(1), *boundary, boundary.saturating_add(1)] {
            assert_eq!(ring.owner(Token(token)), owner(&model, token));
        }
    }
});
