//! Plans for range keyspaces: how much each shard should give up, and to which shard.

use super::builder::PlanBuilder;
use super::format::human;
use super::plan::Step;
use super::shift::{Amounts, Part, Shift};
use crate::error::{Error, Result};
use crate::id::{KeyspaceId, ShardId};
use crate::topology::{KeyspaceLayout, Partitioning, ReshapeKind, Topology};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Nothing is split off for less than this fraction of a shard's average bytes.
const SMALL: u128 = 20;

/// What a shard has of a keyspace and what its weight asks for.
struct Account {
    shard: ShardId,
    load: u128,
    /// The share, rounded down: what a receiver is filled up to. Its counterpart for a donor is
    /// `high`, so that what cannot be divided evenly does not move back and forth.
    low: u128,
    high: u128,
}

/// Brings `subject` to its share of the keyspace. The others exchange nothing among themselves.
pub(super) fn balance(builder: &mut PlanBuilder<'_>, keyspace: &KeyspaceLayout, subject: ShardId) {
    let part = |partition| Part::new(&partition, builder.bytes(&partition));
    let mut parts: Vec<Part> = keyspace.partitions().map(part).collect();
    // Partitions without any bytes are balanced by their number, as if each had one.
    let by_count = parts.iter().all(|part| part.size == 0);
    if by_count {
        parts.iter_mut().for_each(|part| part.size = 1);
    }
    let accounts = accounts(builder.topology, &parts);
    let total: u128 = accounts.iter().map(|account| account.load).sum();
    let small = if by_count { 0 } else { total / (accounts.len() as u128) / SMALL };
    let shift = Shift::new(keyspace, &parts, small, by_count, subject);
    let Some(account) = accounts.iter().find(|account| account.shard == subject) else {
        unreachable!("the subject is a shard of the topology and not draining");
    };
    let Account { load, low, high, .. } = account;
    let others = accounts.iter().filter(|account| account.shard != subject);
    let planned = if load + small < *low {
        let surplus = |other: &Account| (other.shard, other.load.saturating_sub(other.low));
        shift.run(others.map(surplus).collect(), Amounts::from([(subject, low - load)]))
    } else if *load > high + small {
        let lack = |other: &Account| (other.shard, other.high.saturating_sub(other.load));
        shift.run(Amounts::from([(subject, load - high)]), others.map(lack).collect())
    } else {
        if !by_count && load != low && load != high {
            builder.note(format!(
                "keyspace `{}`: shard {subject} has {} and should have {}; less than 1/{SMALL} \
                 of what a shard has on average is not worth a step",
                keyspace.name(),
                human(*load),
                human(*low)
            ));
        }
        return;
    };
    builder.extend(planned);
}

/// Returns the accounts of the shards that are not draining.
fn accounts(topology: &Topology, parts: &[Part]) -> Vec<Account> {
    let mut loads: BTreeMap<ShardId, u128> = BTreeMap::new();
    for part in parts {
        *loads.entry(part.owner).or_default() += part.size;
    }
    let takers = || topology.shards().filter(|shard| !shard.draining);
    let load = |shard| loads.get(&shard).copied().unwrap_or(0);
    let total: u128 = takers().map(|shard| load(shard.id)).sum();
    let weights: u128 = takers().map(|shard| u128::from(shard.weight)).sum();
    takers()
        .map(|shard| {
            let quota = total.saturating_mul(shard.weight.into());
            let [low, high] = [quota / weights, quota.div_ceil(weights)];
            Account { shard: shard.id, load: load(shard.id), low, high }
        })
        .collect()
}

/// Moves each range of a shard to the one that has the least at that point, the largest first.
pub(super) fn empty(builder: &mut PlanBuilder<'_>, leaving: ShardId) -> Result<()> {
    let mut ranges: Vec<(u64, KeyspaceId, Part)> = Vec::new();
    for keyspace in builder.topology.keyspaces() {
        if let Partitioning::Range { .. } = keyspace.partitioning() {
            let owned = keyspace.partitions().filter(|partition| partition.owner == leaving);
            ranges.extend(owned.map(|partition| {
                let bytes = builder.bytes(&partition);
                (bytes, keyspace.id(), Part::new(&partition, bytes))
            }));
        }
    }
    ranges.sort_by_key(|(bytes, _, part)| (Reverse(*bytes), part.id));
    for (bytes, keyspace, part) in ranges {
        let to = builder.loads.least(leaving).ok_or_else(|| {
            Error::invalid(format!(
                "no other shard takes what shard {leaving} has: add a shard, or stop draining one"
            ))
        })?;
        builder.loads.shift(leaving, to, bytes);
        builder.add(Step {
            keyspace,
            sources: vec![part.id],
            split_points: Vec::new(),
            owners: vec![to],
            kind: ReshapeKind::Move,
            moved_bytes: bytes,
            bytes,
            reason: format!("to empty shard {leaving}"),
        });
    }
    Ok(())
}
