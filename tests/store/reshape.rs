//! Goal: partitions move, split and merge without a key lost, doubled or misplaced; bad requests
//! change nothing. Method: each kind of reshape by each transport, on data with puts, deletes and
//! deleted ranges in files and in memory, compared with the content before; then reopened.

use crate::basic::{both, quick_store, reopen, store};
use annulus::placement::Token;
use annulus::planner::{Request, SplitAt};
use annulus::reshape::{Check, Outcome, Phase, ReshapeOptions, Transport};
use annulus::topology::KeyspaceSpec;
use annulus::{ErrorKind, Keyspace, PartitionId, ShardId, ShardSpec, Store};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

pub(crate) type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// Rows in files and in memory, some overwritten, some deleted one by one and some by range.
pub(crate) fn fill(store: &Store, keyspace: &Keyspace) {
    let key = |n: u32| format!("{}{n:05}", (b'a' + (n % 26) as u8) as char);
    for n in 0..3000 {
        keyspace.put(key(n), format!("first {n}")).unwrap();
    }
    store.flush().unwrap();
    for n in (0..3000).step_by(3) {
        keyspace.put(key(n), format!("second {n}")).unwrap();
    }
    for n in (0..3000).step_by(7) {
        keyspace.delete(key(n)).unwrap();
    }
    keyspace.delete_range("c".."c01").unwrap();
    keyspace.delete_range("f".."g").unwrap();
    keyspace.put("f/again", "after the range").unwrap();
}

pub(crate) fn rows(keyspace: &Keyspace) -> Rows {
    let rows: Rows = keyspace.scan(..).unwrap().map(|row| row.unwrap()).collect();
    for (key, value) in &rows {
        assert_eq!(keyspace.get(key).unwrap().as_deref(), Some(&value[..]));
    }
    rows
}

fn with(transport: Option<Transport>) -> ReshapeOptions {
    ReshapeOptions::new().transport(transport).check(Check::Full).trim(false)
}

fn run(store: &Store, request: &Request, transport: Option<Transport>) -> Outcome {
    let outcomes = store.start_with(request, with(transport)).unwrap().wait().unwrap();
    assert_eq!(outcomes.len(), 1);
    assert_eq!(outcomes[0].phase, Phase::Cleaned);
    if let Some(transport) = transport {
        assert_eq!(outcomes[0].transport, transport);
    }
    outcomes[0].clone()
}

fn partitions(keyspace: &Keyspace) -> Vec<(PartitionId, ShardId)> {
    keyspace.stats().unwrap().iter().map(|partition| (partition.id, partition.owner)).collect()
}

/// Returns another of three shards.
pub(crate) fn elsewhere(shard: ShardId) -> ShardId {
    ShardId((shard.0 + 1) % 3)
}

#[test]
fn every_kind_by_every_transport_keeps_every_row() {
    for transport in [Transport::Link, Transport::Copy] {
        let (directory, store) = store();
        for keyspace in both(&store) {
            fill(&store, &keyspace);
            let before = rows(&keyspace);
            let transport = Some(transport);
            for (partition, owner) in partitions(&keyspace) {
                run(&store, &Request::Move { partition, to: elsewhere(owner) }, transport);
                assert_eq!(rows(&keyspace), before);
            }
            for (partition, owner) in partitions(&keyspace) {
                let at = SplitAt::Middle;
                let split = Request::Split { partition, at, to: Some(elsewhere(owner)) };
                let outcome = run(&store, &split, transport);
                assert_eq!(outcome.targets.len(), 2);
                assert_eq!(rows(&keyspace), before);
            }
            // Splits and moves of partitions that share their files already.
            for (partition, owner) in partitions(&keyspace) {
                run(&store, &Request::Move { partition, to: elsewhere(owner) }, transport);
                let split = Request::Split { partition, at: SplitAt::Middle, to: None };
                run(&store, &split, transport);
            }
            assert_eq!(rows(&keyspace), before);
            // Merges of files that hold rows of their neighbours: none may reappear.
            keyspace.delete_range("h".."j").unwrap();
            let mut expected = before.clone();
            expected.retain(|key, _| !(&b"h"[..]..&b"j"[..]).contains(&&key[..]));
            while let [(left, _), (right, owner), ..] = partitions(&keyspace)[..] {
                let to = Some(elsewhere(owner));
                run(&store, &Request::Merge { left, right, to }, Some(Transport::Copy));
                assert_eq!(rows(&keyspace), expected);
            }
            assert_eq!(keyspace.count().unwrap(), expected.len() as u64);
        }
        let report = store.verify().unwrap();
        assert!(report.is_sound(), "{:?}", report.problems);
        let before: Vec<Rows> = both(&store).iter().map(rows).collect();
        drop(store);
        let store = reopen(&directory);
        assert!(store.recovery().orphans.is_empty() && store.recovery().rolled_back.is_empty());
        assert_eq!(both(&store).iter().map(rows).collect::<Vec<_>>(), before);
        assert!(store.verify().unwrap().is_sound());
    }
}

#[test]
fn shards_come_go_and_change_weight() {
    let (directory, store) = store();
    let keyspaces = both(&store);
    for keyspace in &keyspaces {
        fill(&store, keyspace);
    }
    let before: Vec<Rows> = keyspaces.iter().map(rows).collect();
    let check = |store: &Store| {
        assert_eq!(both(store).iter().map(rows).collect::<Vec<_>>(), before);
        let report = store.verify().unwrap();
        assert!(report.is_sound(), "{:?}", report.problems);
    };
    store.add_shard(ShardSpec::new("shards/new").weight(2)).unwrap().wait().unwrap();
    check(&store);
    let ring = |store: &Store| match both(store)[0].placement().partitioning() {
        annulus::topology::Partitioning::Hash { ring, .. } => ring.clone(),
        _ => unreachable!(),
    };
    let shares = ring(&store).shares();
    assert!((shares[3].tokens as f64 / 2f64.powi(64) - 0.4).abs() < 1e-9, "{shares:?}");
    store.set_weight(ShardId(0), 3).unwrap().wait().unwrap();
    check(&store);
    store.remove_shard(ShardId(1)).unwrap().wait().unwrap();
    check(&store);
    assert!(store.topology().shard(ShardId(1)).is_none());
    store.close().unwrap();
    drop((keyspaces, store));
    assert!(!directory.path().join("store/shards/1/data").exists());
    assert!(!directory.path().join("store/shards/1/SHARD").exists());
    let store = reopen(&directory);
    check(&store);
    // The number is not reused; the directory can be.
    store.add_shard(ShardSpec::new("shards/1")).unwrap().wait().unwrap();
    assert_eq!(store.topology().shards().last().unwrap().id, ShardId(4));
    check(&store);
}

#[test]
fn trimming_leaves_no_foreign_bytes() {
    let (_directory, store) = quick_store();
    for keyspace in both(&store) {
        fill(&store, &keyspace);
        let before = rows(&keyspace);
        for (partition, _) in partitions(&keyspace) {
            let split = Request::Split { partition, at: SplitAt::Middle, to: None };
            let options = with(Some(Transport::Link)).trim(true);
            store.start_with(&split, options).unwrap().wait().unwrap();
        }
        let foreign = || keyspace.stats().unwrap().iter().map(|p| p.foreign_bytes).sum::<u64>();
        let (mut left, mut since) = (foreign(), Instant::now());
        while left > 0 {
            assert_eq!(rows(&keyspace), before);
            let now = foreign();
            if now != left {
                (left, since) = (now, Instant::now());
            }
            assert!(since.elapsed() < Duration::from_secs(60), "{left} bytes are never trimmed");
        }
        assert_eq!(rows(&keyspace), before);
    }
    let report = store.verify().unwrap();
    assert!(report.is_sound() && report.keyspaces.iter().all(|keyspace| keyspace.foreign == 0));
    assert!(store.reshape_stats().trimmed > 0);
}

#[test]
fn bad_requests_are_refused_and_change_nothing() {
    let (_directory, store) = store();
    let [hash, range] = both(&store);
    fill(&store, &range);
    let epoch = store.topology().epoch();
    let arc = hash.stats().unwrap()[0].clone();
    let first = range.stats().unwrap()[0].clone();
    let last = range.stats().unwrap()[2].id;
    let key = |key: &str| SplitAt::Key(key.into());
    let token = SplitAt::Token(Token(5));
    let partition = first.id;
    let (left, to) = (first.id, None);
    let directory = store.topology().shards().next().unwrap().directory.clone();
    let refused = [
        (Request::Move { partition, to: ShardId(9) }, ErrorKind::NotFound),
        (Request::Move { partition: PartitionId(999), to: ShardId(0) }, ErrorKind::NotFound),
        (Request::Move { partition, to: first.owner }, ErrorKind::InvalidArgument),
        (Request::Split { partition, at: key("x"), to }, ErrorKind::InvalidArgument),
        (Request::Split { partition, at: key("d"), to }, ErrorKind::InvalidArgument),
        (Request::Split { partition, at: token, to }, ErrorKind::InvalidArgument),
        (Request::Split { partition: arc.id, at: key("x"), to }, ErrorKind::InvalidArgument),
        (Request::Merge { left, right: last, to }, ErrorKind::InvalidArgument),
        (Request::Merge { left, right: arc.id, to }, ErrorKind::NotFound),
        (Request::Merge { left, right: left, to }, ErrorKind::InvalidArgument),
        (Request::RemoveShard(ShardId(7)), ErrorKind::NotFound),
        (Request::SetWeight { shard: ShardId(0), weight: 0 }, ErrorKind::InvalidArgument),
        (Request::SetWeight { shard: ShardId(8), weight: 1 }, ErrorKind::NotFound),
        (store.add_shard_request(ShardSpec::new("shards/3").weight(0)), ErrorKind::InvalidArgument),
        (store.add_shard_request(ShardSpec::new("/not mounted/annulus")), ErrorKind::NotFound),
        (store.add_shard_request(ShardSpec::new(directory)), ErrorKind::AlreadyExists),
    ];
    for (request, kind) in refused {
        let error = store.start(&request).unwrap_err();
        println!("{request:?}: {error}");
        assert_eq!(error.kind(), kind, "{request:?}: {error}");
        assert!(!matches!(request, Request::Move { .. }) || store.plan(&request).is_err());
    }
    assert_eq!(store.topology().epoch(), epoch);
    assert!(store.verify().unwrap().is_sound());

    let one = tempfile::tempdir().unwrap();
    let single = Store::builder(one.path().join("store")).shards(1).open().unwrap();
    let error = single.remove_shard(ShardId(0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    assert!(!single.topology().shards().next().unwrap().draining);
}

#[test]
fn a_plan_shows_what_the_job_then_does() {
    let (_directory, store) = store();
    let keyspaces = both(&store);
    for keyspace in &keyspaces {
        fill(&store, keyspace);
    }
    let request = store.add_shard_request(ShardSpec::new("shards/3"));
    let epoch = store.topology().epoch();
    let plan = store.plan(&request).unwrap();
    assert_eq!(store.topology().epoch(), epoch);
    assert!(plan.steps.iter().all(|step| step.transport == Transport::Link), "{plan}");
    assert!(plan.to_string().contains("shard 3"), "{plan}");
    let outcomes = store.start(&request).unwrap().wait().unwrap();
    let sorted = |mut sources: Vec<Vec<PartitionId>>| {
        sources.sort();
        sources
    };
    let planned = plan.steps.iter().map(|step| step.step.sources.clone()).collect();
    let done = outcomes.iter().map(|outcome| outcome.sources.clone()).collect();
    assert_eq!(sorted(planned), sorted(done));
}

#[test]
fn a_keyspace_can_be_dropped_and_a_store_closed_while_partitions_move() {
    let (directory, store) = store();
    let [hash, _] = both(&store);
    fill(&store, &hash);
    let slow = annulus::reshape::Throttle::new().bytes_per_second(1000);
    store.set_throttle(slow).unwrap();
    let partition = hash.stats().unwrap()[0].clone();
    let moving = Request::Move { partition: partition.id, to: elsewhere(partition.owner) };
    let job = store.start_with(&moving, with(Some(Transport::Copy))).unwrap();
    let busy = store.start(&moving).unwrap_err();
    assert_eq!(busy.kind(), ErrorKind::Busy, "{busy}");
    store.drop_keyspace("hash").unwrap();
    assert_eq!(job.wait().unwrap_err().kind(), ErrorKind::Closed);
    drop(hash);
    let hash = store.create_keyspace("hash", KeyspaceSpec::hash()).unwrap();
    fill(&store, &hash);
    let before = rows(&hash);
    let partition = hash.stats().unwrap()[0].clone();
    let moving = Request::Move { partition: partition.id, to: elsewhere(partition.owner) };
    let job = store.start_with(&moving, with(Some(Transport::Copy))).unwrap();
    job.pause();
    assert!(job.wait_timeout(Duration::from_millis(50)).is_none());
    job.abort();
    assert_eq!(job.wait().unwrap_err().kind(), ErrorKind::Aborted);
    assert_eq!(rows(&hash), before);
    let job = store.start_with(&moving, with(Some(Transport::Copy))).unwrap();
    store.close().unwrap();
    assert!(job.wait().is_err());
    drop((job, hash, store));
    let store = reopen(&directory);
    assert_eq!(rows(&store.keyspace("hash").unwrap()), before);
    assert!(store.recovery().orphans.is_empty(), "{:?}", store.recovery());
}
