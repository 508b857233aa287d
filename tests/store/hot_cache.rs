//! The cache of hot keys in a whole store.

use crate::basic::small;
use crate::churn::{quick_directory, seed};
use crate::heat::open;
use annulus::{Batch, ReadOptions};
use std::collections::BTreeMap;

/// The cache of hot keys returns what a model returns, whatever writes, and releases what is
/// dropped.
#[test]
fn it_is_never_stale() {
    let (directory, seed) = (quick_directory(), seed());
    let store = open(directory.path(), small().hot_cache_bytes(1 << 20));
    let keyspaces = crate::basic::both(&store);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut model: BTreeMap<(usize, String), Vec<u8>> = BTreeMap::new();
    for step in 0..60_000_u32 {
        let place = random.usize(..2);
        let (keyspace, name) = (&keyspaces[place], format!("k{}", random.u32(..40)));
        let at = (place, name.clone());
        // One value in a thousand is too large for the cache.
        let bytes = if random.u32(..1000) == 0 { 20_000 } else { 20 };
        let value = step.to_le_bytes().repeat(bytes / 4);
        match random.u32(..100) {
            0 => keyspace.delete(&name).map(|()| drop(model.remove(&at))).unwrap(),
            1 => {
                let mut batch = Batch::new();
                batch.put(&keyspaces[0], &name, &value);
                batch.put(&keyspaces[1], &name, &value);
                store.write(batch).unwrap();
                model.extend([0, 1].map(|place| ((place, name.clone()), value.clone())));
            }
            2 => {
                let end = format!("{name}~");
                keyspace.delete_range(&*name..&*end).unwrap();
                model.retain(|(one, key), _| *one != place || !(&name..&end).contains(&key));
            }
            3 => {
                let expected = model.get(&at).cloned();
                let swapped = keyspace.compare_and_swap(&name, expected.as_deref(), Some(&value));
                assert!(swapped.unwrap().is_swapped());
                model.insert(at, value);
            }
            4..=6 => {
                keyspace.put(&name, &value).unwrap();
                model.insert(at, value);
            }
            7..=9 => {
                let names: Vec<_> = (0..8).map(|_| format!("k{}", random.u32(..40))).collect();
                for (name, found) in names.iter().zip(keyspace.get_many(&names).unwrap()) {
                    let expected = model.get(&(place, name.clone()));
                    assert_eq!(found.as_deref(), expected.map(Vec::as_slice));
                }
            }
            10 => {
                let options = ReadOptions::new().bypass_cache(true);
                let found = keyspace.get_with(&name, options).unwrap();
                assert_eq!(found.as_deref(), model.get(&at).map(Vec::as_slice));
            }
            _ => {
                let found = keyspace.get(&name).unwrap();
                assert_eq!(found.as_deref(), model.get(&at).map(Vec::as_slice));
            }
        }
    }
    let stats = store.hot_cache_stats().unwrap();
    assert!(stats.hits > 5_000 && stats.bytes <= stats.bytes_max, "{stats:?}");
    keyspaces[0].put("k1", "1").unwrap();
    for _ in 0..3 {
        keyspaces[0].get("k1").unwrap();
    }
    store.drop_keyspace("hash").unwrap();
    assert_eq!(keyspaces[0].get("k1").unwrap_err().kind(), annulus::ErrorKind::Closed);
}

/// What is read between writes stays in the cache through them; what is only written is removed.
#[test]
fn it_keeps_what_is_written_if_it_is_read() {
    let directory = quick_directory();
    let store = open(directory.path(), small().hot_cache_bytes(1 << 20));
    for keyspace in crate::basic::both(&store) {
        let before = store.hot_cache_stats().unwrap();
        (0..2).for_each(|_| drop(keyspace.get("read").unwrap()));
        for number in 0..20_000_u32 {
            let value = number.to_le_bytes();
            match number % 3 {
                0 => keyspace.put("read", value).unwrap(),
                1 => {
                    let last = (number - 1).to_le_bytes();
                    let swapped = keyspace.compare_and_swap("read", Some(&last), Some(&value));
                    assert!(swapped.unwrap().is_swapped());
                }
                _ => keyspace.delete("read").unwrap(),
            }
            let expected = (number % 3 < 2).then_some(value);
            assert_eq!(keyspace.get("read").unwrap().as_deref(), expected.as_ref().map(|v| &v[..]));
        }
        let stats = store.hot_cache_stats().unwrap();
        let (hits, misses) = (stats.hits - before.hits, stats.misses - before.misses);
        assert!(hits > 10_000 && misses < 1_000, "{hits} hits, {misses} misses");
        assert_eq!(stats.keys, before.keys + 1);
        (0..9).for_each(|number| keyspace.put("read", [number]).unwrap());
        let stats = store.hot_cache_stats().unwrap();
        assert_eq!(stats.keys, before.keys + 1, "written nine times, but read before the first");
        keyspace.put("read", "a tenth time").unwrap();
        assert_eq!(store.hot_cache_stats().unwrap().keys, before.keys);
    }
}

/// For a value that is too large the cache records just that, until the key has a smaller one.
#[test]
fn it_leaves_large_values_to_the_shards() {
    let directory = quick_directory();
    let store = open(directory.path(), small().hot_cache_bytes(1 << 20));
    let [keyspace, _] = crate::basic::both(&store);
    let large = vec![7; 20_000];
    keyspace.put("key", &large).unwrap();
    let read = |times: u32, expected: &[u8]| {
        let before = store.hot_cache_stats().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..times {
                        assert_eq!(keyspace.get("key").unwrap().as_deref(), Some(expected));
                    }
                });
            }
        });
        let after = store.hot_cache_stats().unwrap();
        (after.hits - before.hits, after.misses - before.misses, after.keys, after.bytes)
    };
    let (hits, misses, keys, bytes) = read(5_000, &large);
    assert!(hits == 0 && misses > 5_000 && keys == 1, "{hits} hits, {misses} misses, {keys} keys");
    assert!(bytes < 1_000, "{bytes} bytes");
    keyspace.put("key", "small").unwrap();
    let (hits, misses, ..) = read(5_000, b"small");
    assert!(hits > 5_000 && misses < 1_000, "{hits} hits, {misses} misses");
    keyspace.put("key", &large).unwrap();
    let (hits, _, keys, bytes) = read(5_000, &large);
    assert!(hits == 0 && keys == 1 && bytes < 1_000, "{hits} hits, {keys} keys, {bytes} bytes");
}
