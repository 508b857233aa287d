//! What cannot be meant is refused, by an error that says what there is and what to do.

use crate::basic::{both, reopen, small, store};
use annulus::placement::HashPart;
use annulus::planner::SplitAt;
use annulus::topology::KeyspaceSpec;
use annulus::{
    Batch, CreateMode, ErrorKind, Options, ScanOptions, ShardId, ShardSpec, Store, StoreBuilder,
};
use std::ops::Bound;
use std::path::Path;

/// A range that is inverted, in each way that it can be written.
const INVERTED: [(Bound<&str>, Bound<&str>); 4] = [
    (Bound::Included("b"), Bound::Excluded("a")),
    (Bound::Included("a\0"), Bound::Included("a")),
    (Bound::Excluded("a"), Bound::Excluded("a")),
    (Bound::Excluded("b"), Bound::Included("a")),
];

fn says(error: &annulus::Error, kind: ErrorKind, words: &[&str]) {
    assert_eq!(error.kind(), kind, "{error:#}");
    for word in words {
        assert!(error.to_string().contains(word), "`{word}` is not in: {error}");
    }
}

/// A past bug: such a range was empty to each of these, which said that all was well.
#[test]
fn an_inverted_range_is_refused_by_all_that_take_one() {
    let (_directory, store) = store();
    for keyspace in both(&store) {
        ["a", "a\0", "b"].iter().for_each(|key| keyspace.put(key, "").unwrap());
        let snapshot = store.snapshot().unwrap();
        for range in INVERTED {
            let mut batch = Batch::new();
            batch.put(&keyspace, "c", "");
            batch.delete_range(&keyspace, range);
            for error in [
                keyspace.scan(range).unwrap_err(),
                keyspace.scan_with(range, ScanOptions::new().reverse(true)).unwrap_err(),
                keyspace.count_range(range).unwrap_err(),
                keyspace.delete_range(range).unwrap_err(),
                snapshot.scan(&keyspace, range).unwrap_err(),
                store.write(batch).unwrap_err(),
            ] {
                says(&error, ErrorKind::InvalidArgument, &["begins at \"", "ends before that"]);
            }
        }
        assert_eq!(keyspace.count().unwrap(), 3, "nothing was deleted, nor put");
        assert_eq!(keyspace.count_range("a".."b").unwrap(), 2);
        assert_eq!(keyspace.count_range("a".."a").unwrap(), 0, "empty, not inverted");
        keyspace.delete_range("a".."a").unwrap();
        assert_eq!(keyspace.count().unwrap(), 3);
    }
}

/// A past bug: the keyspace was returned whatever was asked for.
#[test]
fn a_keyspace_of_another_specification_is_refused() {
    let (directory, store) = store();
    let split = || KeyspaceSpec::range().split_at(["d", "m"]);
    let hashed = || KeyspaceSpec::hash().hashed(HashPart::Prefix { bytes: 2 });
    let range = store.keyspace_or_create("range", split()).unwrap();
    store.keyspace_or_create("hash", hashed().arcs_per_shard(2)).unwrap();
    range.put("k", "v").unwrap();
    let check = |store: &Store| {
        let refused = |name, spec: KeyspaceSpec, words: &[&str]| {
            let error = store.keyspace_or_create(name, spec).unwrap_err();
            says(&error, ErrorKind::InvalidArgument, words);
        };
        let created = r#"keyspace `range` was created by range (split at "d", "m")"#;
        refused("range", KeyspaceSpec::hash().into(), &[created, "asked for by hash (whole)"]);
        refused("range", KeyspaceSpec::range().split_at(["x"]).into(), &[created, r#"at "x""#]);
        let created = "keyspace `hash` was created by hash (prefix:2, 2 arcs per shard)";
        refused("hash", KeyspaceSpec::hash().into(), &[created, "by hash (whole)"]);
        refused("hash", hashed().arcs_per_shard(3).into(), &[created, "3 arcs per shard"]);
        refused("hash", KeyspaceSpec::range().into(), &[created, "asked for by range:"]);
        for spec in [split(), KeyspaceSpec::range()] {
            let range = store.keyspace_or_create("range", spec).unwrap();
            assert_eq!(range.get("k").unwrap().unwrap(), "v");
        }
        store.keyspace_or_create("hash", hashed()).unwrap();
        store.keyspace_or_create("hash", hashed().arcs_per_shard(2)).unwrap();
    };
    check(&store);
    // It splits later: what it was created by is still right, and so is what it is now.
    let first = range.placement().partition(0).unwrap();
    store.split(first.id, SplitAt::Key("c".into())).unwrap().wait().unwrap();
    check(&store);
    drop((range, store));
    let store = reopen(&directory);
    check(&store);
    store.keyspace_or_create("range", KeyspaceSpec::range().split_at(["c", "d", "m"])).unwrap();
    // A keyspace that takes its place is another.
    store.drop_keyspace("range").unwrap();
    store.keyspace_or_create("range", KeyspaceSpec::hash()).unwrap();
}

#[test]
fn a_keyspace_begins_with_the_partitions_that_its_specification_splits() {
    let (_directory, store) = store();
    let range = store.create_keyspace("r", KeyspaceSpec::range().split_at(["d", "m"])).unwrap();
    assert_eq!(range.placement().partition_count(), 3);
    for (name, points) in [("unordered", ["m", "d"]), ("twice", ["d", "d"]), ("empty", ["", "d"])] {
        let spec = KeyspaceSpec::range().split_at(points);
        let error = store.create_keyspace(name, spec).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{name}: {error}");
    }
}

fn builder(path: &Path) -> StoreBuilder {
    Store::builder(path).options(small())
}

/// A past bug: a builder's shards had no effect on an existing store, and nothing said so.
#[test]
fn other_shards_than_the_store_has_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = builder(&path).shards(2).shard(ShardSpec::new("fast").weight(3)).open().unwrap();
    drop(store);
    let refused = |builder: StoreBuilder, words: &[&str]| {
        for read_only in [false, true] {
            let error = builder.clone().read_only(read_only).open().unwrap_err();
            says(&error, ErrorKind::InvalidArgument, words);
        }
    };
    let created = || builder(&path).shards(2).shard(ShardSpec::new("fast").weight(3));
    refused(builder(&path).shards(9), &["has 3 shards", "specifies 9", "shards/2", "add_shard"]);
    refused(builder(&path).shards(2), &["has 3 shards", "specifies 2", "without fast"]);
    let light = ShardSpec::new("fast").weight(1);
    refused(builder(&path).shards(2).shard(light), &["fast has weight 3, not 1", "set_weight"]);
    created().create(CreateMode::Never).open().unwrap();
    let store = created().open().unwrap();
    store.add_shard(ShardSpec::new("more")).unwrap().wait().unwrap();
    store.set_weight(ShardId(2), 5).unwrap().wait().unwrap();
    drop(store);
    // As it was created, as it is now, or whatever it has.
    created().open().unwrap();
    let now = builder(&path).shards(2).shard(ShardSpec::new("fast").weight(5));
    now.clone().shard(ShardSpec::new("more")).open().unwrap();
    builder(&path).open().unwrap();
    refused(now.clone(), &["has 4 shards", "specifies 3", "without more"]);
    let other = now.shard(ShardSpec::new("other"));
    refused(other, &["of which other is none of them"]);
}

/// A past bug: the error named the process itself, as if it were another one.
#[test]
fn a_store_that_is_open_in_this_process_names_the_handle() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let open = || Store::builder(&path).options(Options::new().heat(None)).open();
    let refused = |handle: &str| {
        let error = open().unwrap_err();
        says(&error, ErrorKind::InUse, &["open in this process", handle, path.to_str().unwrap()]);
    };
    let store = open().unwrap();
    let keyspace = store.keyspace_or_create("k", KeyspaceSpec::hash()).unwrap();
    keyspace.put("k", "v").unwrap();
    let snapshot = store.snapshot().unwrap();
    let typed = keyspace.typed::<String, u8>();
    let scan = keyspace.scan(..).unwrap();
    refused("a `Store`");
    store.close().unwrap();
    refused("a `Store`");
    drop(store);
    refused("a `Keyspace`");
    drop(keyspace);
    refused("a `Keyspace`");
    drop(typed);
    refused("a `Snapshot`");
    drop(snapshot);
    refused("a `Scan` or a `Value`");
    drop(scan);
    // Each opening is one of its own.
    let store = open().unwrap();
    refused("a `Store`");
    let value = store.keyspace("k").unwrap().get("k").unwrap().unwrap();
    drop(store);
    refused("a `Scan` or a `Value`");
    drop(value);
    open().unwrap();
}
