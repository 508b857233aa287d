//! Typed handles answer as the bytes below them say, and name what does not decode.

use crate::basic::{reopen, store};
use annulus::placement::HashPart;
use annulus::topology::KeyspaceSpec;
use annulus::tuple::{self, BeginsWith, TuplePrefix};
use annulus::typed::{Codec, CodecError, Counter, TypedKeyspace};
use annulus::{
    Batch, ConditionalWrite, Durability, ErrorKind, Expect, ReadOptions, ScanOptions, Store, Swap,
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Order {
    item: String,
    cents: u32,
}

type Orders = TypedKeyspace<(String, u64), Order>;

fn order(item: &str, cents: u32) -> Order {
    Order { item: item.to_owned(), cents }
}

/// One keyspace of each kind: by hash, by the hash of the first element, and by range, where one
/// user's keys are in two partitions.
fn all(store: &Store) -> [Orders; 3] {
    let first = HashPart::UpTo { delimiter: 0 };
    let points = [tuple::encode(&("b", 1000)), tuple::encode(&("c",))];
    [
        store.keyspace_or_create("whole", KeyspaceSpec::hash()).unwrap().typed(),
        store.keyspace_or_create("first", KeyspaceSpec::hash().hashed(first)).unwrap().typed(),
        store.keyspace_or_create("range", KeyspaceSpec::range().split_at(points)).unwrap().typed(),
    ]
}

fn fill(orders: &Orders) {
    for user in ["a", "ab", "b", "c"] {
        for number in [0, 7, 256, 70_000] {
            orders.put((user, number), &order(user, number as u32)).unwrap();
        }
    }
}

fn keys(scan: impl Iterator<Item = annulus::Result<((String, u64), Order)>>) -> Vec<(String, u64)> {
    let row = |row: annulus::Result<((String, u64), Order)>| {
        let (key, value) = row.unwrap();
        assert_eq!((&value.item, u64::from(value.cents)), (&key.0, key.1), "the value of its key");
        key
    };
    scan.map(row).collect()
}

fn of(user: &str, numbers: &[u64]) -> Vec<(String, u64)> {
    numbers.iter().map(|number| (user.to_owned(), *number)).collect()
}

#[test]
fn rows_come_back_in_the_order_of_their_keys() {
    let (directory, store) = store();
    for orders in all(&store) {
        fill(&orders);
    }
    drop(store);
    let store = reopen(&directory);
    for orders in all(&store) {
        let whole = keys(orders.scan(..).unwrap());
        assert!(whole.is_sorted() && whole.len() == 16, "{whole:?}");
        assert_eq!(keys(orders.scan_prefix(("b",)).unwrap()), of("b", &[0, 7, 256, 70_000]));
        assert_eq!(keys(orders.scan(("b", 7)..("b", 70_000)).unwrap()), of("b", &[7, 256]));
        assert_eq!(keys(orders.scan(("b", 7)..=("b", 256)).unwrap()), of("b", &[7, 256]));
        let newest = ScanOptions::new().reverse(true).limit(2);
        let scan = orders.scan_with(TuplePrefix(("ab",)), newest).unwrap();
        assert_eq!(keys(scan), of("ab", &[70_000, 256]));
        assert_eq!(orders.scan_prefix((BeginsWith("a"),)).unwrap().count(), 8);
        assert_eq!(orders.count_range(("ab",)..=("b",)).unwrap(), 8);
        let after = (Bound::Excluded(("b",)), Bound::Unbounded);
        assert_eq!(orders.count_range_with(after, ReadOptions::new()).unwrap(), 4);
        assert_eq!(orders.count().unwrap(), 16);
    }
}

#[test]
fn each_call_does_what_that_of_the_keyspace_does() {
    let (_directory, store) = store();
    for orders in all(&store) {
        let owned = ("a".to_owned(), 7);
        orders.put(&owned, &order("lamp", 1)).unwrap();
        orders.put_with(("a", 8), &order("desk", 2), Durability::Synced).unwrap();
        assert_eq!(orders.get(("a", 7)).unwrap(), Some(order("lamp", 1)));
        assert_eq!(orders.get(("a", 9)).unwrap(), None);
        let soon = ReadOptions::new().timeout(Duration::ZERO);
        assert_eq!(
            orders.get_with(("a", 7), soon).unwrap_err().kind(),
            ErrorKind::DeadlineExceeded
        );
        assert!(orders.contains(&owned).unwrap() && !orders.contains(("b", 7)).unwrap());
        let many = orders.get_many([("a", 9), ("a", 8), ("a", 7)]).unwrap();
        assert_eq!(many, [None, Some(order("desk", 2)), Some(order("lamp", 1))]);

        let (lamp, bed) = (order("lamp", 1), order("bed", 3));
        assert_eq!(orders.put_if_absent(("a", 7), &bed).unwrap(), Swap::Found(Some(lamp.clone())));
        assert!(orders.put_if_absent(("a", 9), &bed).unwrap().is_swapped());
        let found = orders.compare_and_swap(("a", 9), Some(&lamp), None).unwrap();
        assert_eq!(found, Swap::Found(Some(bed.clone())));
        assert!(orders.compare_and_swap(("a", 9), Some(&bed), Some(&lamp)).unwrap().is_swapped());
        let synced = Durability::Synced;
        assert!(
            orders.compare_and_swap_with(("a", 9), Some(&lamp), None, synced).unwrap().is_swapped()
        );
        assert_eq!(
            orders.compare_and_swap(("a", 9), Some(&lamp), None).unwrap(),
            Swap::Found(None)
        );

        orders.delete(("a", 7)).unwrap();
        orders.delete_with(("a", 8), synced).unwrap();
        assert_eq!(orders.count().unwrap(), 0);
        fill(&orders);
        orders.delete_range(TuplePrefix(("a",))).unwrap();
        orders.delete_range_with(("b", 7)..("b", 256), synced).unwrap();
        assert_eq!(orders.count().unwrap(), 11);
    }
}

#[test]
fn in_a_batch_and_at_a_snapshot() {
    let (_directory, store) = store();
    for orders in all(&store) {
        fill(&orders);
        let before = store.snapshot().unwrap();
        let mut batch = Batch::new();
        orders.put_in(&mut batch, ("d", 1), &order("d", 1)).unwrap();
        orders.delete_in(&mut batch, ("c", 7));
        orders.delete_range_in(&mut batch, TuplePrefix(("a",))).unwrap();
        let refused = orders.delete_range_in(&mut batch, ("b",)..("a",)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
        assert_eq!(batch.len(), 3, "what was refused is not in it");
        store.write(batch).unwrap();
        assert_eq!(orders.count().unwrap(), 12);
        let then = orders.at(&before);
        assert_eq!(then.get(("d", 1)).unwrap(), None);
        assert_eq!(then.get_with(("c", 7), ReadOptions::new()).unwrap(), Some(order("c", 7)));
        assert_eq!(then.scan(..).unwrap().count(), 16);
        assert_eq!(keys(then.scan_prefix(("a",)).unwrap()), of("a", &[0, 7, 256, 70_000]));
        let last = ScanOptions::new().reverse(true).limit(1);
        assert_eq!(keys(then.scan_with(("a",).., last).unwrap()), of("c", &[70_000]));
    }
}

#[test]
fn an_update_changes_the_value_that_is_there() {
    let (_directory, store) = store();
    for orders in all(&store) {
        let dearer = |old: Option<Order>| {
            let old = old.unwrap_or_else(|| order("new", 0));
            Some(Order { cents: old.cents + 1, ..old })
        };
        assert_eq!(orders.update(("a", 1), dearer).unwrap(), Some(order("new", 1)));
        let synced = Durability::Synced;
        assert_eq!(orders.update_with(("a", 1), synced, dearer).unwrap(), Some(order("new", 2)));
        assert_eq!(orders.get(("a", 1)).unwrap(), Some(order("new", 2)));
        assert_eq!(orders.update(("a", 1), |_| None).unwrap(), None);
        assert_eq!(orders.count().unwrap(), 0);

        orders.keyspace().put(tuple::encode(&("a", 1)), "no order").unwrap();
        let unread = orders.update(("a", 1), |_| panic!("called with what does not decode"));
        assert_eq!(unread.unwrap_err().kind(), ErrorKind::WrongType);
        assert_eq!(orders.keyspace().get(tuple::encode(&("a", 1))).unwrap().unwrap(), "no order");
        orders.delete(("a", 1)).unwrap();
    }
    let keyspace = store.create_keyspace("even", KeyspaceSpec::hash()).unwrap();
    let even = keyspace.typed_with::<String, u32, _>(Even);
    even.put("n", &2).unwrap();
    let odd = even.update("n", |old| old.map(|old| old + 1)).unwrap_err();
    assert_eq!(odd.kind(), ErrorKind::InvalidArgument);
    assert_eq!(even.get("n").unwrap(), Some(2), "what cannot be encoded is not written");
}

#[test]
fn a_counter_is_that_of_the_bytes() {
    let (_directory, store) = store();
    let keyspace = store.create_keyspace("visits", KeyspaceSpec::hash()).unwrap();
    let visits = keyspace.typed_with::<(String, u64), i64, _>(Counter);
    assert_eq!(visits.add(("a", 1), 5).unwrap(), 5);
    assert_eq!(visits.add_with(("a", 1), -7, Durability::Synced).unwrap(), -2);
    assert_eq!(keyspace.add(tuple::encode(&("a", 1)), 1).unwrap(), -1);
    let mut batch = Batch::new();
    visits.add_in(&mut batch, ("a", 1), 3);
    visits.add_in(&mut batch, ("b", 1), 4);
    store.write(batch).unwrap();
    let sum = store.transact(|tx| {
        assert_eq!(visits.within(tx).add(("b", 1), 10)?, 14);
        visits.within(tx).add(("a", 1), 10)
    });
    assert_eq!(sum.unwrap(), 12);
    let rows: Vec<_> = visits.scan(..).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows, [(("a".to_owned(), 1), 12), (("b".to_owned(), 1), 14)]);
    keyspace.put(tuple::encode(&("a", 1)), "none").unwrap();
    assert_eq!(visits.add(("a", 1), 1).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(visits.get(("a", 1)).unwrap_err().kind(), ErrorKind::WrongType);
}

#[test]
fn a_batch_with_conditions_is_written_if_they_hold() {
    let (_directory, store) = store();
    for orders in all(&store) {
        let (lamp, desk) = (order("lamp", 1), order("desk", 2));
        orders.put(("a", 1), &lamp).unwrap();
        let batch = |expects: &[(u64, Expect<'_, Order>)]| {
            let mut batch = Batch::new();
            for (number, expect) in expects {
                orders.require_in(&mut batch, ("a", *number), *expect).unwrap();
            }
            orders.put_in(&mut batch, ("a", 2), &desk).unwrap();
            store.write_if(batch).unwrap()
        };
        let written =
            batch(&[(1, Expect::Absent), (1, Expect::Value(&desk)), (3, Expect::Present)]);
        let ConditionalWrite::Unmet(unmet) = written else { panic!("written") };
        let found: Vec<_> = unmet.iter().map(|it| orders.decode_unmet(it).unwrap()).collect();
        let key = |number| ("a".to_owned(), number);
        assert_eq!(
            found,
            [(key(1), Some(lamp.clone())), (key(1), Some(lamp.clone())), (key(3), None)]
        );
        assert!(!orders.contains(("a", 2)).unwrap());
        let holding = [(1, Expect::Value(&lamp)), (1, Expect::Present), (2, Expect::Absent)];
        assert!(batch(&holding).is_written());
        assert_eq!(orders.get(("a", 2)).unwrap(), Some(desk));

        let other = store.keyspace_or_create("other", KeyspaceSpec::hash()).unwrap();
        let other = other.typed::<(String, u64), Order>();
        let error = other.decode_unmet(&unmet[0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains("`other`"), "{error}");
    }
}

#[test]
fn within_a_transaction() {
    let (_directory, store) = store();
    for orders in all(&store) {
        fill(&orders);
        let tx = store.begin().unwrap();
        let within = orders.within(&tx);
        within.put(("d", 1), &order("d", 1)).unwrap();
        within.delete(("c", 7)).unwrap();
        within.delete_range(TuplePrefix(("a",))).unwrap();
        assert_eq!(within.get(("d", 1)).unwrap(), Some(order("d", 1)));
        assert!(!within.contains(("c", 7)).unwrap());
        let many = within.get_many([("a", 0), ("d", 1), ("b", 7)]).unwrap();
        assert_eq!(many, [None, Some(order("d", 1)), Some(order("b", 7))]);
        assert_eq!(keys(within.scan_prefix(("c",)).unwrap()), of("c", &[0, 256, 70_000]));
        let last = ScanOptions::new().reverse(true).limit(1);
        assert_eq!(keys(within.scan_with(.., last).unwrap()), of("d", &[1]));
        assert_eq!(within.scan(..).unwrap().count(), 12);
        assert_eq!(orders.count().unwrap(), 16, "nothing is written yet");
        tx.commit().unwrap();
        assert_eq!(orders.count().unwrap(), 12);

        // It relies on what it has read through the typed handle.
        let tx = store.begin().unwrap();
        let sum: u32 =
            orders.within(&tx).scan_prefix(("b",)).unwrap().map(|it| it.unwrap().1.cents).sum();
        orders.within(&tx).put(("sum", 0), &order("sum", sum)).unwrap();
        orders.put(("b", 8), &order("b", 8)).unwrap();
        assert_eq!(tx.commit().unwrap_err().kind(), ErrorKind::Conflict);

        orders.keyspace().put(tuple::encode(&("b", 9)), "no order").unwrap();
        let tx = store.begin().unwrap();
        let within = orders.within(&tx);
        assert_eq!(within.get(("b", 9)).unwrap_err().kind(), ErrorKind::WrongType);
        assert_eq!(within.get_many([("b", 9)]).unwrap_err().kind(), ErrorKind::WrongType);
        let rows: Vec<_> = within.scan_prefix(("b",)).unwrap().collect();
        assert_eq!((rows.len(), rows.iter().filter(|row| row.is_err()).count()), (6, 1));
    }
}

#[test]
fn an_index_has_the_order_of_its_values() {
    let (_directory, store) = store();
    for orders in all(&store) {
        fill(&orders);
        // The dearest first, and by item.
        let by_price =
            orders.index("by_price", 1, |_, order| [(-i64::from(order.cents), order.item.clone())]);
        let by_price = by_price.unwrap();
        assert_eq!(by_price.row((0, "a")).unwrap_err().kind(), ErrorKind::Busy);
        by_price.build().unwrap();
        let rows: Vec<_> = by_price.rows(..).unwrap().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 16);
        assert!(rows.is_sorted_by_key(|((cents, item), ..)| (*cents, item.clone())));
        assert!(
            rows.iter()
                .all(|((cents, _), key, value)| key.1 as i64 == -cents && value.item == key.0)
        );
        let cheap = by_price.scan((-7,)..).unwrap().map(|entry| entry.unwrap().1);
        assert_eq!(cheap.filter(|key| key.0 == "ab").collect::<Vec<_>>(), of("ab", &[7, 0]));
        let last = ScanOptions::new().reverse(true).limit(2);
        let rows = by_price.rows_with(TuplePrefix((-256,)), last).unwrap();
        let keys: Vec<_> = rows.map(|row| row.unwrap().1.0).collect();
        assert_eq!(keys, ["c", "b"]);
        assert_eq!(by_price.keys((-7, "ab")).unwrap(), of("ab", &[7]));

        let before = store.snapshot().unwrap();
        let tx = store.begin().unwrap();
        orders.within(&tx).put(("d", 1), &order("d", 9)).unwrap();
        assert_eq!(by_price.within(&tx).keys((-9, "d")).unwrap(), of("d", &[1]));
        assert!(by_price.row((-9, "d")).unwrap().is_none());
        tx.commit().unwrap();
        assert_eq!(by_price.row((-9, "d")).unwrap(), Some((("d".into(), 1), order("d", 9))));
        assert!(by_price.at(&before).row((-9, "d")).unwrap().is_none());

        // A value that does not decode cannot be indexed, through whichever handle it is written.
        let error = orders.keyspace().put(tuple::encode(&("e", 1)), "no order").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WrongType);
        assert!(error.to_string().contains(r#"("e", 1)"#), "{error}");
        assert!(!orders.contains(("e", 1)).unwrap());
        orders.keyspace().drop_index("by_price").unwrap();
    }
}

#[test]
fn a_unique_index_of_types() {
    let (_directory, store) = store();
    let [orders, ..] = all(&store);
    let by_item = orders.unique_index("by_item", 1, |_, order| Some(order.item.clone())).unwrap();
    by_item.build().unwrap();
    orders.put(("a", 1), &order("lamp", 1)).unwrap();
    let error = orders.put(("b", 1), &order("lamp", 2)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    orders.update(("a", 1), |_| Some(order("desk", 1))).unwrap();
    orders.put(("b", 1), &order("lamp", 2)).unwrap();
    assert_eq!(by_item.keys("lamp").unwrap(), of("b", &[1]));
    // Another type reads what is there as an error, and not as nonsense.
    let other = orders.unique_index("by_item", 1, |key: &(String, u64), _| [key.1]).unwrap();
    let error = other.scan(..).unwrap().find_map(Result::err).unwrap();
    assert_eq!(error.kind(), ErrorKind::WrongType);
    assert!(by_item.index().verify().unwrap().is_sound());
}

#[test]
fn an_inverted_range_is_refused() {
    let (_directory, store) = store();
    for orders in all(&store) {
        let snapshot = store.snapshot().unwrap();
        let then = orders.at(&snapshot);
        for (error, from, to) in [
            (orders.scan(("b", 7)..("b", 6)).unwrap_err(), r#"("b", 7)"#, r#"("b", 6)"#),
            (orders.count_range(("b", 7)..=("b", 6)).unwrap_err(), r#"("b", 7)"#, r#"("b", 6)"#),
            // A tuple of one element has the encoding of that element.
            (orders.delete_range(("b",)..("a",)).unwrap_err(), r#""b""#, r#""a""#),
            (then.scan(("b", 7)..("b", 6)).unwrap_err(), r#"("b", 7)"#, r#"("b", 6)"#),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            let text = format!("begins at {from} and ends before that, at {to};");
            assert!(error.to_string().contains(&text), "`{text}` is not in: {error}");
        }
    }
}

/// A prefix of the hashed element is in one partition, and a scan reads no other.
#[test]
fn all_keys_of_a_first_element_are_in_one_partition() {
    let (_directory, store) = store();
    let [_, orders, _] = all(&store);
    let placement = orders.keyspace().placement();
    let partition = |n: u64| placement.partitioning().find(&tuple::encode(&("ada", n)));
    assert!((1..1000).all(|n| partition(n) == partition(0)));
    let prefix = tuple::encode(&("ada",));
    let part = HashPart::UpTo { delimiter: 0 };
    assert!(part.fixed_by_prefix(&prefix).is_some());
}

#[test]
fn what_does_not_decode_is_named() {
    let (_directory, store) = store();
    let [orders, ..] = all(&store);
    let bytes = orders.keyspace();
    fill(&orders);
    bytes.put(tuple::encode(&("b", 8)), "no order").unwrap();
    let error = orders.get(("b", 8)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongType);
    for word in [r#"("b", 8)"#, "`whole`", "typed::Order`"] {
        assert!(error.to_string().contains(word), "`{word}` is not in: {error}");
    }
    assert!(std::error::Error::source(&error).is_some());
    for error in [
        orders.get_many([("b", 7), ("b", 8)]).unwrap_err(),
        orders.put_if_absent(("b", 8), &order("x", 1)).unwrap_err(),
        orders.at(&store.snapshot().unwrap()).get(("b", 8)).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::WrongType);
    }
    assert!(orders.contains(("b", 8)).unwrap(), "asks for no value");
    // A scan names the row, and goes on after it.
    let rows: Vec<_> = orders.scan_prefix(("b",)).unwrap().collect();
    assert_eq!(rows.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, false, true, true]);
    bytes.delete(tuple::encode(&("b", 8))).unwrap();

    // Bytes that follow a value, as of a type that had one more field.
    let longer = postcard::to_stdvec(&(order("b", 1), 9_u8)).unwrap();
    bytes.put(tuple::encode(&("b", 8)), &longer).unwrap();
    let error = format!("{:#}", orders.get(("b", 8)).unwrap_err());
    assert!(error.contains("ends before its last 1 bytes"), "{error}");
    bytes.delete(tuple::encode(&("b", 8))).unwrap();

    bytes.put("raw/7", "").unwrap();
    let error = orders.scan(..).unwrap().find_map(Result::err).unwrap();
    assert_eq!(error.kind(), ErrorKind::WrongType);
    for word in [r#"b"raw/7""#, "`whole`", "(alloc::string::String, u64)`"] {
        assert!(error.to_string().contains(word), "`{word}` is not in: {error}");
    }
    let as_bytes: TypedKeyspace<(u64, String), Order> = bytes.typed();
    let other = as_bytes.scan_prefix((7,)).unwrap().next();
    assert!(other.is_none(), "keys of another type begin with another code");
    assert_eq!(as_bytes.scan(..).unwrap().filter(Result::is_err).count(), 17);
}

/// A codec that encodes some values only.
#[derive(Clone)]
struct Even;

impl Codec<u32> for Even {
    fn encode(&self, value: &u32) -> Result<Vec<u8>, CodecError> {
        if value.is_multiple_of(2) { Ok(value.to_be_bytes().to_vec()) } else { Err("odd".into()) }
    }

    fn decode(&self, bytes: &[u8]) -> Result<u32, CodecError> {
        Ok(u32::from_be_bytes(bytes.try_into()?))
    }
}

#[test]
fn a_value_that_cannot_be_encoded_is_named_and_nothing_is_written() {
    let (_directory, store) = store();
    let keyspace = store.create_keyspace("even", KeyspaceSpec::hash()).unwrap();
    let numbers = keyspace.typed_with::<String, u32, _>(Even);
    numbers.put("two", &2).unwrap();
    let mut batch = Batch::new();
    for error in [
        numbers.put("one", &1).unwrap_err(),
        numbers.put_if_absent("one", &1).unwrap_err(),
        numbers.compare_and_swap("two", Some(&2), Some(&1)).unwrap_err(),
        numbers.put_in(&mut batch, "one", &1).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains("cannot be encoded as a `u32`"), "{error}");
        assert!(format!("{error:#}").ends_with(": odd"), "{error:#}");
    }
    assert!(batch.is_empty());
    let rows: Vec<_> = numbers.clone().scan(..).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows, [("two".to_owned(), 2)]);
}

/// The key of the test below.
type Nullable = (String, Option<i8>);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// A typed keyspace answers ranges and prefixes like a map of its keys.
    #[test]
    fn ranges_are_those_of_a_map(
        rows in prop::collection::btree_map(("[ab\u{0}]{0,2}", any::<Option<i8>>()), any::<u16>(), 0..40),
        from in ("[ab\u{0}]{0,2}", any::<Option<i8>>()),
        to in ("[ab\u{0}]{0,2}", any::<Option<i8>>()),
        reverse in any::<bool>(),
    ) {
        thread_local! {
            static STORE: (tempfile::TempDir, Store) = store();
        }
        let rows: BTreeMap<Nullable, u16> = rows;
        let options = ScanOptions::new().reverse(reverse);
        let ordered = |mut rows: Vec<_>| {
            if reverse { rows.reverse() }
            rows
        };
        STORE.with(|(_, store)| {
            let points = [tuple::encode(&("a",)), tuple::encode(&("b", Some(0_i8)))];
            for (name, spec) in [
                ("hash", KeyspaceSpec::from(KeyspaceSpec::hash())),
                ("range", KeyspaceSpec::range().split_at(points).into()),
            ] {
                let keyspace = store.keyspace_or_create(name, spec).unwrap();
                let typed = keyspace.typed::<Nullable, u16>();
                typed.delete_range(..).unwrap();
                rows.iter().for_each(|(key, value)| typed.put(key, value).unwrap());
                let collected = |scan: annulus::Result<annulus::typed::TypedScan<_, _>>| {
                    scan.unwrap().map(Result::unwrap).collect::<Vec<(Nullable, u16)>>()
                };
                let of_map = |keep: &dyn Fn(&Nullable) -> bool| {
                    let kept = rows.iter().filter(|(key, _)| keep(key));
                    ordered(kept.map(|(key, value)| (key.clone(), *value)).collect())
                };
                let (low, high) = (from.clone().min(to.clone()), from.clone().max(to.clone()));
                prop_assert_eq!(
                    collected(typed.scan_with(low.clone()..high.clone(), options)),
                    of_map(&|key| *key >= low && *key < high)
                );
                prop_assert_eq!(
                    collected(typed.scan_with(&low..=&high, options)),
                    of_map(&|key| *key >= low && *key <= high)
                );
                prop_assert_eq!(
                    collected(typed.scan_with((Bound::Excluded(&low), Bound::Unbounded), options)),
                    of_map(&|key| *key > low)
                );
                let prefix = TuplePrefix((from.0.as_str(),));
                prop_assert_eq!(
                    collected(typed.scan_with(prefix, options)),
                    of_map(&|key| key.0 == from.0)
                );
                let begun = TuplePrefix((BeginsWith(&*from.0),));
                prop_assert_eq!(
                    collected(typed.scan_with(begun, options)),
                    of_map(&|key| key.0.starts_with(&from.0))
                );
                let first = |key: &Nullable| key.0 >= low.0 && key.0 <= high.0;
                prop_assert_eq!(
                    collected(typed.scan_with((&*low.0,)..=(&*high.0,), options)),
                    of_map(&first)
                );
            }
            Ok(())
        })?;
    }
}
