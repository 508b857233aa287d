//! Typed handles answer as the blocking ones do, and read memory in the task.

use super::{occupy, open, rows, run};
use annulus::topology::KeyspaceSpec;
use annulus::tuple::TuplePrefix;
use annulus::typed::Counter;
use annulus::{Batch, ErrorKind, ReadOptions, ScanOptions, Swap};
use annulus_tokio::{PoolOptions, TypedScan};
use std::time::{Duration, SystemTime};

async fn rest(mut scan: TypedScan<(String, u32), u64>) -> Vec<((String, u32), u64)> {
    let mut rows = Vec::new();
    while let Some(row) = scan.next().await {
        rows.push(row.unwrap());
    }
    rows
}

#[test]
fn each_call_answers_as_the_blocking_one_does() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let store = open(&directory.path().join("store"), PoolOptions::new().threads(1)).await;
        let typed = rows(&store, "rows").await.typed::<(String, u32), u64>();
        let mut batch = Batch::new();
        for n in 0..300 {
            let user = if n % 2 == 0 { "ada" } else { "bob" };
            typed.blocking().put_in(&mut batch, (user, n), &u64::from(n)).unwrap();
        }
        store.write(batch).await.unwrap();
        typed.put(("eve", 1), &7).await.unwrap();
        typed.put_with(("eve", 2), &8, annulus::Durability::Synced).await.unwrap();

        // What memory has needs no thread.
        let occupied = occupy(&store).await;
        assert_eq!(typed.get(("ada", 4)).await.unwrap(), Some(4));
        assert_eq!(typed.get(("ada", 5)).await.unwrap(), None);
        let many = typed.get_many([("bob", 1), ("bob", 2), ("eve", 2)]).await.unwrap();
        assert_eq!(many, [Some(1), None, Some(8)]);
        assert!(typed.contains(("eve", 1)).await.unwrap());
        drop(occupied);
        let soon = ReadOptions::new().timeout(Duration::from_secs(30));
        assert_eq!(typed.get_with(("eve", 1), soon).await.unwrap(), Some(7));

        let direct = typed.blocking();
        let all: Vec<_> = direct.scan(..).unwrap().map(Result::unwrap).collect();
        assert_eq!(all.len(), 302);
        assert_eq!(rest(typed.scan(..).await.unwrap()).await, all);
        let newest = ScanOptions::new().reverse(true).limit(100);
        let last: Vec<_> =
            direct.scan_with(TuplePrefix(("bob",)), newest).unwrap().map(Result::unwrap).collect();
        let scan = typed.scan_with(TuplePrefix(("bob",)), newest).await.unwrap();
        assert_eq!(rest(scan).await, last);
        assert_eq!(rest(typed.scan_prefix(("eve",)).await.unwrap()).await.len(), 2);
        assert_eq!(typed.count().await.unwrap(), 302);
        assert_eq!(typed.count_range(("ada", 10)..("ada", 20)).await.unwrap(), 5);
        let inverted = typed.scan(("b", 0)..("a", 0)).await.unwrap_err();
        assert_eq!(inverted.kind(), ErrorKind::InvalidArgument);

        let snapshot = store.snapshot().await.unwrap();
        let key = || ("new", 1);
        assert_eq!(typed.put_if_absent(key(), &1).await.unwrap(), Swap::Swapped);
        assert_eq!(typed.put_if_absent(key(), &2).await.unwrap(), Swap::Found(Some(1)));
        let swap = typed.compare_and_swap(key(), Some(&1), Some(&3)).await.unwrap();
        assert!(swap.is_swapped());
        let swap = typed.compare_and_swap(key(), Some(&1), None).await.unwrap();
        assert_eq!(swap, Swap::Found(Some(3)));
        let updated = typed.update(key(), |old| old.map(|old| old * 2)).await.unwrap();
        assert_eq!((updated, typed.get(key()).await.unwrap()), (Some(6), Some(6)));
        typed.delete(("eve", 1)).await.unwrap();
        typed.delete_range(("ada", 0)..("ada", 100)).await.unwrap();
        assert_eq!(typed.count_range(("ada", 0)..).await.unwrap(), 302 - 50);
        let then = typed.at(&snapshot);
        assert_eq!(then.get(("ada", 4)).await.unwrap(), Some(4));
        assert_eq!(then.get(key()).await.unwrap(), None);
        assert_eq!(rest(then.scan(..).await.unwrap()).await, all);
        assert_eq!(rest(then.scan_prefix(("eve",)).await.unwrap()).await.len(), 2);
        store.shutdown().await.unwrap();
    });
}

#[test]
fn what_does_not_decode_is_an_error_and_the_rest_comes() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let store = open(&directory.path().join("store"), PoolOptions::new()).await;
        let bytes = rows(&store, "rows").await;
        let typed = bytes.typed::<u32, String>();
        for n in 0..3_u32 {
            typed.put(n, &n.to_string()).await.unwrap();
        }
        bytes.put(annulus::tuple::encode(&1_u32), [0xff; 3]).await.unwrap();
        assert_eq!(typed.get(1).await.unwrap_err().kind(), ErrorKind::WrongType);
        let mut scan = typed.scan(..).await.unwrap();
        assert_eq!(scan.next().await.unwrap().unwrap(), (0, "0".to_owned()));
        let error = scan.next().await.unwrap().unwrap_err();
        assert!(error.kind() == ErrorKind::WrongType && error.to_string().contains("rows"));
        assert_eq!(scan.next().await.unwrap().unwrap().0, 2);
        assert!(scan.next().await.is_none() && scan.next().await.is_none());
        let swap = typed.put_if_absent(1, &String::new()).await.unwrap_err();
        assert_eq!(swap.kind(), ErrorKind::WrongType);
        store.shutdown().await.unwrap();
    });
}

#[test]
fn counters_and_rows_that_expire_have_types_too() {
    let directory = tempfile::tempdir().unwrap();
    run(async {
        let store = open(&directory.path().join("store"), PoolOptions::new()).await;
        let visits = rows(&store, "visits").await.typed_with::<String, i64, _>(Counter);
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let visits = visits.clone();
                tokio::spawn(async move { visits.add("/", 2).await.unwrap() })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(visits.get("/").await.unwrap(), Some(40));

        let spec = KeyspaceSpec::hash().time_to_live_by_put();
        let leases = store.keyspace_or_create("leases", spec).await.unwrap();
        let leases = leases.typed::<u32, String>();
        let (ada, hour) = ("ada".to_owned(), Duration::from_secs(3600));
        leases.put_for(1, &ada, hour).await.unwrap();
        leases.put_until(2, &ada, SystemTime::UNIX_EPOCH).await.unwrap();
        assert_eq!(
            leases.put_if_absent_for(1, &ada, hour).await.unwrap(),
            Swap::Found(Some(ada.clone()))
        );
        assert_eq!(leases.put_if_absent_for(2, &ada, hour).await.unwrap(), Swap::Swapped);
        assert_eq!(leases.count().await.unwrap(), 2);
        store.shutdown().await.unwrap();
    });
}
