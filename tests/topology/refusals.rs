//! Refusals, their kinds, and that the message names the cause.

use super::{create, shard, shards};
use annulus::placement::Token;
use annulus::topology::{
    Change, KeyspaceSpec, PartitionName, ReshapeKind, ReshapeSpec, ShardInfo, SplitPoint, Topology,
    decode_topology, encode_topology,
};
use annulus::{ErrorKind, KeyspaceId, PartitionId, ShardId};

const HASH: u32 = 1;
const RANGE: u32 = 2;

/// Keyspace 1 has partitions 1 to 6 by hash, keyspace 2 has 7 to 9 by range, split at g and p.
fn topology() -> Topology {
    let topology = create(&shards(3), "users", KeyspaceSpec::hash().arcs_per_shard(2));
    create(&topology, "log", KeyspaceSpec::range().split_at(["g", "p"]))
}

fn spec(
    keyspace: u32,
    sources: &[u64],
    split_points: &[SplitPoint],
    owners: &[u32],
) -> ReshapeSpec {
    ReshapeSpec {
        keyspace: KeyspaceId(keyspace),
        sources: sources.iter().copied().map(PartitionId).collect(),
        split_points: split_points.to_vec(),
        owners: owners.iter().copied().map(ShardId).collect(),
    }
}

fn key(key: &str) -> SplitPoint {
    SplitPoint::Key(key.as_bytes().into())
}

#[test]
fn a_reshape_is_refused_with_a_reason() {
    use ErrorKind::{InvalidArgument, NotFound};
    let token = |at| SplitPoint::Token(Token(at));
    let refused = [
        (spec(9, &[1], &[], &[0]), NotFound, "keyspace with number 9"),
        (spec(HASH, &[7], &[], &[0]), NotFound, "no partition 7"),
        (spec(HASH, &[1, 7], &[], &[0]), NotFound, "no partition 7"),
        (spec(HASH, &[1], &[], &[9]), NotFound, "no shard 9"),
        (spec(HASH, &[], &[], &[0]), InvalidArgument, "without partitions"),
        (spec(HASH, &[1], &[], &[]), InvalidArgument, "0 owners"),
        (spec(HASH, &[1], &[token(9)], &[0]), InvalidArgument, "2 targets and 1 owners"),
        (spec(HASH, &[1, 2], &[token(9)], &[0, 0]), InvalidArgument, "merge them first"),
        (spec(HASH, &[1, 1], &[], &[0]), InvalidArgument, "partition 1 is named twice"),
        (spec(HASH, &[2, 1], &[], &[0]), InvalidArgument, "partition 1 does not follow"),
        (spec(HASH, &[1, 3], &[], &[0]), InvalidArgument, "partition 3 does not follow"),
        (spec(HASH, &[6, 1], &[], &[0]), InvalidArgument, "partition 1 does not follow"),
        (spec(HASH, &[1], &[token(0)], &[0, 1]), InvalidArgument, "split after its start"),
        (spec(HASH, &[1], &[token(u64::MAX)], &[0, 1]), InvalidArgument, "not inside"),
        (spec(HASH, &[1], &[token(9), token(9)], &[0, 1, 0]), InvalidArgument, "does not come"),
        (spec(HASH, &[1], &[key("a")], &[0, 1]), InvalidArgument, "split it at a token"),
        (spec(RANGE, &[8], &[token(9)], &[0, 1]), InvalidArgument, "split it at a key"),
        (spec(RANGE, &[8], &[key("g")], &[0, 1]), InvalidArgument, "\"g\" is not inside"),
        (spec(RANGE, &[8], &[key("p")], &[0, 1]), InvalidArgument, "\"p\" is not inside"),
        (spec(RANGE, &[7], &[key("")], &[0, 1]), InvalidArgument, "not inside"),
        (spec(RANGE, &[8], &[key("k"), key("i")], &[0, 1, 0]), InvalidArgument, "\"i\" does not"),
    ];
    let topology = topology();
    for (spec, kind, words) in refused {
        let error = topology.name_targets(&spec).unwrap_err();
        assert_eq!(error.kind(), kind, "{spec:?}: {error}");
        assert!(error.to_string().contains(words), "{spec:?}: {error}");
        let again = topology.target_ranges(&spec).unwrap_err();
        assert_eq!(again.to_string(), error.to_string());
        let targets = vec![PartitionName { id: PartitionId(1), generation: 1 }];
        let again = topology.apply(&Change::Reshape { spec, targets }).unwrap_err();
        assert_eq!(again.to_string(), error.to_string());
    }
}

#[test]
fn targets_have_the_names_they_were_given() {
    let topology = topology();
    let name = |id, generation| PartitionName { id: PartitionId(id), generation };
    let moves = spec(RANGE, &[8], &[], &[0]);
    let splits = spec(RANGE, &[8], &[key("k")], &[0, 2]);
    assert_eq!(topology.name_targets(&moves).unwrap(), (vec![name(8, 1)], topology.clone()));
    assert_eq!(topology.name_targets(&splits).unwrap().0, [name(10, 0), name(11, 0)]);
    // A later generation is accepted: an error may have left the next one behind.
    let later = Change::Reshape { spec: moves.clone(), targets: vec![name(8, 3)] };
    assert!(topology.apply(&later).is_ok());
    let refused = [
        (&moves, vec![]),
        (&moves, vec![name(8, 0)]),
        (&moves, vec![name(10, 0)]),
        (&splits, vec![name(10, 0)]),
        (&splits, vec![name(10, 0), name(10, 0)]),
        (&splits, vec![name(8, 1), name(10, 0)]),
        (&splits, vec![name(1, 0), name(10, 0)]),
        (&splits, vec![name(10, 0), name(11, 1)]),
    ];
    for (spec, targets) in refused {
        let error = topology.apply(&Change::Reshape { spec: spec.clone(), targets }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    }
    // A number that was assigned elsewhere in between leaves a gap, which is never filled.
    let targets = vec![name(40, 0), name(12, 0)];
    let split = topology.apply(&Change::Reshape { spec: splits, targets }).unwrap();
    let merges = spec(RANGE, &[40, 12], &[], &[1]);
    assert_eq!(split.name_targets(&merges).unwrap().0, [name(41, 0)]);
    assert_eq!(name(5, 2).to_string(), "5.2");
}

#[test]
fn kinds_have_names() {
    let kinds = [
        (spec(RANGE, &[8], &[], &[0]), ReshapeKind::Move, "move"),
        (spec(RANGE, &[8], &[key("k")], &[0, 1]), ReshapeKind::Split, "split"),
        (spec(RANGE, &[8, 9], &[], &[0]), ReshapeKind::Merge, "merge"),
    ];
    for (spec, kind, name) in kinds {
        assert_eq!(spec.kind(), kind);
        assert_eq!(kind.to_string(), name);
        assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{name}\""));
    }
}

#[test]
fn changes_of_shards_are_refused_with_a_reason() {
    use ErrorKind::{AlreadyExists, InvalidArgument, NotFound};
    let add = |shard| Change::AddShard { shard };
    let refused = [
        (add(shard(2)), AlreadyExists, "shard 2 already"),
        (add(shard(4)), InvalidArgument, "number 3, not 4"),
        (add(ShardInfo::new(ShardId(3), "shards/0")), AlreadyExists, "directory shards/0"),
        (add(shard(3).weight(0)), InvalidArgument, "weight 0"),
        (Change::RemoveShard { id: ShardId(7) }, NotFound, "no shard 7"),
        (Change::RemoveShard { id: ShardId(1) }, InvalidArgument, "still owns 3 partitions"),
        (Change::SetWeight { id: ShardId(7), weight: 1 }, NotFound, "no shard 7"),
        (Change::SetWeight { id: ShardId(1), weight: 0 }, InvalidArgument, "weight 0"),
        (Change::DrainShard { id: ShardId(7), draining: true }, NotFound, "no shard 7"),
    ];
    let topology = topology();
    for (change, kind, words) in refused {
        let error = topology.apply(&change).unwrap_err();
        assert_eq!(error.kind(), kind, "{change:?}: {error}");
        assert!(error.to_string().contains(words), "{change:?}: {error}");
    }
    let last = shards(1).apply(&Change::RemoveShard { id: ShardId(0) }).unwrap_err();
    assert!(last.to_string().contains("the last one"), "{last}");
    let highest = Topology::new([shard(u32::MAX)]).unwrap_err();
    assert_eq!(highest.kind(), InvalidArgument);
}

#[test]
fn numbers_of_removed_shards_are_not_given_again() {
    let grown = topology().apply(&Change::AddShard { shard: shard(3) }).unwrap();
    let shrunk = grown.apply(&Change::RemoveShard { id: ShardId(3) }).unwrap();
    assert_eq!(shrunk.next_shard(), ShardId(4));
    let error = shrunk.apply(&Change::AddShard { shard: shard(3) }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(shrunk.apply(&Change::AddShard { shard: shard(4) }).is_ok());
}

#[test]
fn a_draining_shard_gets_nothing_new_and_can_come_back() {
    let drain = |topology: &Topology, id, draining| {
        topology.apply(&Change::DrainShard { id: ShardId(id), draining }).unwrap()
    };
    let drained = drain(&shards(3), 1, true);
    let topology = create(&drained, "users", KeyspaceSpec::hash().arcs_per_shard(2));
    let topology = create(&topology, "log", KeyspaceSpec::range().split_at(["d", "g", "k", "p"]));
    let topology = create(&topology, "small", KeyspaceSpec::range());
    assert_eq!(topology.partitions_of(ShardId(1)), 0);
    assert_eq!(topology.partitions_of(ShardId(0)) + topology.partitions_of(ShardId(2)), 10);
    // It is a member all the same, so that a partition can be moved to it later.
    let back = drain(&topology, 1, false);
    let moves = spec(1, &[1], &[], &[1]);
    let (targets, numbered) = back.name_targets(&moves).unwrap();
    let moved = numbered.apply(&Change::Reshape { spec: moves, targets }).unwrap();
    assert_eq!(moved.partitions_of(ShardId(1)), 1);

    let all = [0, 1, 2].into_iter().fold(shards(3), |topology, id| drain(&topology, id, true));
    for spec in [KeyspaceSpec::hash().into(), KeyspaceSpec::range().into()] {
        let change = Change::CreateKeyspace { name: "none".into(), spec };
        let error = all.apply(&change).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains("draining"), "{error}");
    }
}

#[test]
fn records_have_format_2() {
    let record = encode_topology(&topology()).unwrap();
    assert_eq!(record[..2], [2, 0]);
}

/// A past bug: a topology with fewer owners or names than ranges was decoded from JSON, and its
/// last partitions were silently skipped.
#[test]
fn a_topology_that_breaks_an_invariant_is_not_decoded() {
    let valid = serde_json::to_value(topology()).unwrap();
    assert_eq!(serde_json::from_value::<Topology>(valid.clone()).unwrap(), topology());
    let pop = |value: &mut serde_json::Value| drop(value.as_array_mut().unwrap().pop());
    type Edit<'e> = &'e dyn Fn(&mut serde_json::Value);
    let cases: [(&str, Edit<'_>, &str); 4] = [
        ("/keyspaces/2/partitions", &pop, "keyspace `log` has 3 ranges and 2 partitions"),
        ("/keyspaces/1/partitions", &pop, "keyspace `users` has 6 ranges and 5 partitions"),
        ("/keyspaces/2/partitioning/Range/owners", &pop, "3 ranges and 2 owners"),
        ("/keyspaces/2/partitioning/Range/owners/1", &|it| *it = 9.into(), "owned by shard 9"),
    ];
    for (pointer, change, message) in cases {
        let mut broken = valid.clone();
        change(broken.pointer_mut(pointer).unwrap());
        let error = serde_json::from_value::<Topology>(broken).unwrap_err().to_string();
        assert!(error.contains(message), "{pointer}: {error}");
    }
}

/// Each byte of a record is changed in several ways, with a correct checksum: most of the results
/// break an invariant.
#[test]
fn a_record_with_a_changed_byte_is_damaged_or_valid() {
    let record = encode_topology(&topology()).unwrap();
    let mut damaged = 0;
    for at in 6..record.len() {
        for mask in [1, 2, 4, 8, 0x10, 0x40, 0x80, 0xff] {
            let mut changed = record.clone();
            changed[at] ^= mask;
            let checksum = crc32fast::hash(&changed[6..]);
            changed[2..6].copy_from_slice(&checksum.to_le_bytes());
            match decode_topology(&changed) {
                Ok(topology) => {
                    topology.check().unwrap();
                    for keyspace in topology.keyspaces() {
                        assert_eq!(keyspace.partitions().count(), keyspace.partition_count());
                    }
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Damaged, "byte {at}: {error}");
                    damaged += 1;
                }
            }
        }
    }
    assert!(damaged > record.len(), "{damaged}");
}

/// A topology without keyspaces whose rows expire is what earlier versions write and read; one that
/// has them, or has had them, has a format that those refuse: the log may still have their puts.
#[test]
fn rows_that_expire_have_a_format_of_their_own() {
    let without = topology();
    let record = encode_topology(&without).unwrap();
    assert_eq!(record[..2], 2_u16.to_le_bytes());
    let hour = std::time::Duration::from_secs(3600);
    let create =
        |name: &str, spec: KeyspaceSpec| Change::CreateKeyspace { name: name.into(), spec };
    let with = without.apply(&create("hour", KeyspaceSpec::range().time_to_live(hour).into()));
    let by_put = KeyspaceSpec::hash().time_to_live_by_put();
    let with = with.unwrap().apply(&create("by put", by_put.into())).unwrap();
    let mut record = encode_topology(&with).unwrap();
    assert_eq!(record[..2], 3_u16.to_le_bytes());
    let back = decode_topology(&record).unwrap();
    assert_eq!(back, with);
    let lifetime = |name: &str| {
        let keyspace = back.keyspace_named(name).unwrap();
        keyspace.time_to_live().map(|time_to_live| time_to_live.default_lifetime())
    };
    assert_eq!(lifetime("hour"), Some(Some(hour)));
    assert_eq!(lifetime("by put"), Some(None));
    assert_eq!(without.keyspaces().filter(|it| it.time_to_live().is_some()).count(), 0);
    let id = back.keyspace_named("hour").unwrap().id();
    let mut dropped = back.apply(&Change::DropKeyspace { id }).unwrap();
    let id = back.keyspace_named("by put").unwrap().id();
    for id in [None, Some(id)] {
        dropped =
            id.map_or(dropped.clone(), |id| dropped.apply(&Change::DropKeyspace { id }).unwrap());
        let record = encode_topology(&dropped).unwrap();
        assert_eq!(record[..2], 3_u16.to_le_bytes());
        dropped = decode_topology(&record).unwrap();
    }
    assert_eq!(dropped.keyspaces().count(), without.keyspaces().count());
    let last = record.len() - 1;
    record[last] ^= 1;
    assert_eq!(decode_topology(&record).unwrap_err().kind(), ErrorKind::Damaged);
    for bad in [std::time::Duration::ZERO, std::time::Duration::from_micros(1500)] {
        let spec = KeyspaceSpec::hash().time_to_live(bad).into();
        let refused = without.apply(&create("bad", spec)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{refused}");
    }
}
