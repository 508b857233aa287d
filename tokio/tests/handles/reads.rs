//! What memory has is answered in the task: also while every thread of the pool is occupied. What it
//! does not have is read by the pool, and is in memory from then on.

use super::{occupy, open, rows, run};
use annulus::topology::KeyspaceSpec;
use annulus::{Durability, MemoryRead, Options};
use annulus_tokio::{PoolOptions, Store};
use std::time::{Duration, SystemTime};

#[test]
fn what_is_in_memory_needs_no_thread_and_the_rest_does() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    for hot_cache_bytes in [0, 16 << 20] {
        let builder = || {
            let options = Options::new().hot_cache_bytes(hot_cache_bytes);
            annulus::Store::builder(&path).shards(2).options(options)
        };
        run(async {
            let one = PoolOptions::new().threads(1);
            let store = Store::open_with(builder(), one).await.unwrap();
            let users = rows(&store, "users").await;
            users.put("ada", "countess").await.unwrap();
            users.put("bob", "clerk").await.unwrap();
            let occupied = occupy(&store).await;
            // In a memtable; and no file says anything of the other.
            assert_eq!(users.get("ada").await.unwrap().unwrap(), "countess");
            assert!(users.get("eve").await.unwrap().is_none());
            let two = users.get_many(["bob", "eve"]).await.unwrap();
            assert_eq!((two[0].as_deref(), two[1].is_none()), (Some(&b"clerk"[..]), true));
            drop(occupied);
            let snapshot = store.snapshot().await.unwrap();
            users.delete("ada").await.unwrap();
            let occupied = occupy(&store).await;
            assert!(users.get("ada").await.unwrap().is_none());
            assert_eq!(snapshot.get(&users, "ada").await.unwrap().unwrap(), "countess");
            drop(occupied);
            users.put("ada", "countess").await.unwrap();
            store.shutdown().await.unwrap();
        });
        run(async {
            let one = PoolOptions::new().threads(1);
            let store = Store::open_with(builder(), one).await.unwrap();
            let users = rows(&store, "users").await;
            // In files alone.
            let read = users.blocking().get_from_memory("ada").unwrap();
            assert!(matches!(read, MemoryRead::Unknown), "{read:?}");
            let occupied = occupy(&store).await;
            let reader = users.clone();
            let get =
                tokio::spawn(async move { reader.get("ada").await.unwrap().unwrap().to_vec() });
            super::until(|| store.pool_stats().in_flight == 2).await;
            assert!(!get.is_finished());
            drop(occupied);
            assert_eq!(get.await.unwrap(), b"countess");
            let occupied = occupy(&store).await;
            assert_eq!(users.get("ada").await.unwrap().unwrap(), "countess");
            drop(occupied);
            store.shutdown().await.unwrap();
        });
    }
}

/// Both handles answer alike, for each call, with rows in memory, in files, and absent.
#[test]
fn each_call_answers_as_the_blocking_one_does() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let store = open(&directory.path().join("store"), PoolOptions::new()).await;
        let rows = rows(&store, "rows").await;
        for n in 0..300_u32 {
            rows.put(format!("{n:04}"), format!("value {n}")).await.unwrap();
            if n == 150 {
                store.run(annulus::Store::flush).await.unwrap();
            }
        }
        let direct = rows.blocking();
        for n in (0..320).step_by(7) {
            let key = format!("{n:04}");
            let (one, other) = (rows.get(&key).await.unwrap(), direct.get(&key).unwrap());
            assert_eq!(one.as_deref(), other.as_deref());
            assert_eq!(rows.contains(&key).await.unwrap(), other.is_some());
        }
        let keys: Vec<String> = (100..310).map(|n| format!("{n:04}")).collect();
        let (many, other) = (rows.get_many(&keys).await.unwrap(), direct.get_many(&keys).unwrap());
        let bytes = |values: &[Option<annulus::Value>]| -> Vec<Option<Vec<u8>>> {
            values.iter().map(|value| value.as_deref().map(<[u8]>::to_vec)).collect()
        };
        assert_eq!(bytes(&many), bytes(&other));
        let snapshot = store.snapshot().await.unwrap();
        let (many, old) = (snapshot.get_many(&rows, &keys).await.unwrap(), other);
        assert_eq!(bytes(&many), bytes(&old));
        assert_eq!(rows.count().await.unwrap(), 300);
        assert_eq!(rows.count_range("0100".."0110").await.unwrap(), 10);

        assert!(rows.put_if_absent("new", "1").await.unwrap().is_swapped());
        assert!(!rows.put_if_absent("new", "2").await.unwrap().is_swapped());
        assert!(rows.compare_and_swap("new", Some(b"1"), None).await.unwrap().is_swapped());
        assert_eq!(rows.add("counter", 5).await.unwrap(), 5);
        let doubled = rows.update("0001", |old| old.map(|old| old.repeat(2))).await.unwrap();
        assert_eq!(doubled.unwrap(), b"value 1value 1");
        rows.delete_range("0100".to_owned().."0200".to_owned()).await.unwrap();
        assert_eq!(rows.count_range("0".."1").await.unwrap(), 200);
        assert_eq!(snapshot.get(&rows, "0150").await.unwrap().unwrap(), "value 150");
        let error = rows.scan("b".."a").await.unwrap_err();
        assert_eq!(error.kind(), annulus::ErrorKind::InvalidArgument);
        store.shutdown().await.unwrap();
    });
}

/// Each put says how long its row lives; the scan of the blocking handle says what it was.
#[test]
fn rows_live_as_long_as_their_put_says() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let store = open(&directory.path().join("store"), PoolOptions::new()).await;
        let spec = KeyspaceSpec::range().time_to_live_by_put();
        let rows = store.keyspace_or_create("rows", spec).await.unwrap();
        let hour = Duration::from_secs(3600);
        let end = SystemTime::UNIX_EPOCH + 600_000 * hour;
        let before = SystemTime::now();
        rows.put_for("a", "", hour).await.unwrap();
        rows.put_for_with("b", "", 2 * hour, Durability::Synced).await.unwrap();
        rows.put_until("c", "", end).await.unwrap();
        rows.put_until_with("d", "", None, Durability::Synced).await.unwrap();
        rows.put_until("e", "", SystemTime::UNIX_EPOCH).await.unwrap();
        assert!(!rows.contains("e").await.unwrap());
        let (mut until, mut scan) = (Vec::new(), rows.blocking().scan(..).unwrap());
        while let Some((_, _, at)) = scan.next_row_until().unwrap() {
            until.push(at);
        }
        let [Some(a), Some(b), c, d] = until[..] else { panic!("{until:?}") };
        // The clock of the store is in milliseconds.
        let about = |at: SystemTime, lifetime: Duration| {
            let lived = at + Duration::from_secs(1) - lifetime;
            lived >= before && lived < before + Duration::from_secs(600)
        };
        assert!(about(a, hour) && about(b, 2 * hour), "{until:?}");
        assert_eq!((c, d), (Some(end), None));
        let plain = super::rows(&store, "plain").await;
        let refused = plain.put_for("a", "", hour).await.unwrap_err();
        assert_eq!(refused.kind(), annulus::ErrorKind::InvalidArgument);
        store.shutdown().await.unwrap();
    });
}
