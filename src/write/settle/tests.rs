use super::*;

fn whole(number: u64, shards: &[u32]) -> Whole {
    Whole { number, bytes: 100, shards: shards.iter().copied().map(ShardId).collect() }
}

/// Returns a state in which these batches are whole and the others up to `last` are still running.
fn state(last: u64, batches: impl IntoIterator<Item = Whole>) -> State {
    let mut state = State::beginning_at(1);
    for number in 1..=last {
        assert_eq!(state.begin(&[]).unwrap(), number);
    }
    batches.into_iter().for_each(|batch| state.end(batch));
    state
}

fn numbers(batches: &[Whole]) -> Vec<u64> {
    batches.iter().map(|batch| batch.number).collect()
}

fn sick(shard: u32) -> (ShardId, Result<()>) {
    (ShardId(shard), Err(Error::invalid("on purpose")))
}

fn well(shard: u32) -> (ShardId, Result<()>) {
    (ShardId(shard), Ok(()))
}

/// A past bug: the bytes of batches that were still running counted as settled, and those of the
/// next settling were too few.
#[test]
fn the_bytes_that_count_are_those_of_batches_that_can_be_settled() {
    let mut state = state(3, [whole(1, &[0, 1]), whole(3, &[0, 1])]);
    assert_eq!(state.bytes, 200);
    let work = state.take(Instant::now());
    assert_eq!(numbers(&work.batches), [1, 3]);
    assert_eq!(state.bytes, 0);
    state.end(whole(2, &[0, 1]));
    assert_eq!(state.bytes, 100);
}

#[test]
fn a_shard_that_cannot_be_synced_holds_up_its_own_batches_alone() {
    let mut state = state(3, [whole(1, &[0, 1]), whole(2, &[0, 2]), whole(3, &[1, 2])]);
    let work = state.take(Instant::now());
    assert_eq!(work.shards, [0, 1, 2].map(ShardId).into());
    let settled = state.note_syncs(work.batches, [well(0), sick(1), well(2)].into());
    assert_eq!(numbers(&settled), [2]);
    assert_eq!(numbers(&state.held_up), [1, 3]);
    assert!(state.begin(&[ShardId(0), ShardId(1)]).is_err());
    let next = state.begin(&[ShardId(0), ShardId(2)]).unwrap();
    assert_eq!(next, 4, "what is refused takes no number");

    // While the shard rests none of its batches is tried; then it is, whatever else there is to do.
    let sick = state.sick.get(&ShardId(1)).unwrap();
    let before = sick.rests_until - Duration::from_nanos(1);
    assert!(state.take(before).batches.is_empty());
    state.end_rests();
    assert!(state.is_due());
    let work = state.take(Instant::now());
    assert_eq!(work.shards, [0, 1, 2].map(ShardId).into());
    let settled = state.note_syncs(work.batches, [well(0), well(1), well(2)].into());
    assert_eq!(numbers(&settled), [1, 3]);
    assert!(state.begin(&[ShardId(0), ShardId(1)]).is_ok());
}

#[test]
fn a_fence_is_put_up_only_against_batches_that_are_not_settled() {
    let mut state = state(0, []);
    assert_eq!(state.fence(), None);
    let running = state.begin(&[]).unwrap();
    assert_eq!(state.fence(), Some(2));
    state.end(whole(running, &[0]));
    assert_eq!(state.fence(), Some(2));
    // Its record is still there until the settling is done.
    let work = state.take(Instant::now());
    assert_eq!(state.fence(), Some(2));
    state.note_syncs(work.batches, [well(0)].into());
    assert_eq!(state.fence(), None);
}

#[test]
fn runs_have_no_number_that_was_not_settled() {
    let batches = [7, 3, 2, 9, 10, 1].map(|number| whole(number, &[0]));
    assert_eq!(runs(&batches), [1..4, 7..8, 9..11]);
}

#[test]
fn rests_grow_and_end() {
    for failures in 1..200 {
        let most = REST_MIN.saturating_mul(1 << failures.min(16)).min(REST_MAX);
        assert!((0..20).all(|_| rest(failures) <= most));
    }
}

#[cfg(feature = "failpoints")]
mod with_a_sick_shard {
    use super::super::super::records::RECORD_PREFIX;
    use super::*;
    use crate::catalog::record_key::parse_number;
    use crate::topology::KeyspaceSpec;
    use crate::{Batch, ErrorKind, Keyspace, Options, Store};
    use std::path::{Path, PathBuf};
    use tempfile::TempDir;

    fn open(directory: &TempDir) -> (Store, Keyspace) {
        let options = Options { heat: None, ..Options::default() };
        let path = directory.path().join("store");
        let store = Store::builder(path).shards(3).options(options).open().unwrap();
        let spec = KeyspaceSpec::range().split_at(["1", "2"]);
        let rows = store.keyspace_or_create("rows", spec).unwrap();
        (store, rows)
    }

    /// Returns a batch that puts a key on each of these shards.
    fn batch(rows: &Keyspace, shards: [u32; 2], n: u32) -> Batch {
        let mut batch = Batch::new();
        for shard in shards {
            batch.put(rows, format!("{shard}/{n}"), n.to_string());
        }
        batch
    }

    /// Makes engine 1 impossible to sync as long as this file exists. It has a byte for each
    /// attempt.
    fn make_sick(directory: &Path) -> PathBuf {
        let file = directory.join("store/shards/1/data/FAIL-sync");
        std::fs::write(&file, "").unwrap();
        file
    }

    fn records(store: &Store) -> usize {
        store.core().catalog.metadata.records(RECORD_PREFIX, parse_number).unwrap().len()
    }

    /// A past bug: one shard that could not be synced made every settling fail, so that settling
    /// stayed due, and each batch over the healthy shards synced all of them first; no record was
    /// ever removed.
    #[test]
    fn batches_over_healthy_shards_are_settled_and_do_not_wait() {
        let directory = tempfile::tempdir().unwrap();
        let (store, rows) = open(&directory);
        let owners: Vec<_> =
            rows.placement().partitions().map(|partition| partition.owner).collect();
        assert_eq!(owners, [0, 1, 2].map(ShardId));
        store.write(batch(&rows, [0, 1], 0)).unwrap();
        let file = make_sick(directory.path());
        const HEALTHY: u32 = 3 * SETTLE_RECORDS as u32;
        for n in 1..=HEALTHY {
            store.write(batch(&rows, [0, 2], n)).unwrap();
        }
        assert!(records(&store) <= SETTLE_RECORDS + 1, "{}", records(&store));
        let attempts = file.metadata().unwrap().len();
        assert!((1..HEALTHY as u64 / 20).contains(&attempts), "{attempts} attempts");

        // A batch that concerns the sick shard is refused before anything of it is written.
        let before = records(&store);
        let error = store.write(batch(&rows, [0, 1], 1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        let named = file.parent().unwrap().to_str().unwrap();
        assert!(
            error.to_string().contains("shard 1") && error.to_string().contains(named),
            "{error}"
        );
        assert_eq!(records(&store), before);
        assert!(rows.get("0/1").unwrap().is_none_or(|value| value == "1"));
        assert!(rows.get("1/1").unwrap().is_none());
        rows.put("1/alone", "").unwrap();

        // When the shard is healthy again, the next batch that is refused finds out.
        std::fs::remove_file(file).unwrap();
        while let Err(error) = store.write(batch(&rows, [1, 2], 2)) {
            assert_eq!(error.kind(), ErrorKind::Io, "{error}");
            std::thread::sleep(Duration::from_millis(1));
        }
        store.close().unwrap();
        assert_eq!(records(&store), 0);
    }

    /// Goal: batches that were settled out of order leave what a replay needs, and no more. Method:
    /// a store is dropped with the records of a sick shard, and opened again.
    #[test]
    fn what_is_held_up_is_replayed_and_what_is_settled_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let (store, rows) = open(&directory);
        for n in 0..10 {
            store.write(batch(&rows, [0, 1], n)).unwrap();
            store.write(batch(&rows, [0, 2], 100 + n)).unwrap();
        }
        let file = make_sick(directory.path());
        assert_eq!(
            store.core().redo.settle(&store.core().catalog).unwrap_err().kind(),
            ErrorKind::Io
        );
        assert_eq!(records(&store), 10);
        // Written later, on the shard that was synced: a replay must not undo it.
        rows.put("0/3", "later").unwrap();
        std::fs::remove_file(file).unwrap();
        drop((store, rows));
        let (store, rows) = open(&directory);
        assert_eq!(store.recovery().batches, 10);
        assert_eq!(records(&store), 0);
        for n in 0..10 {
            for (shard, n) in [(0, n), (1, n), (0, 100 + n), (2, 100 + n)] {
                let expected = if (shard, n) == (0, 3) { "later".into() } else { n.to_string() };
                assert_eq!(rows.get(format!("{shard}/{n}")).unwrap().unwrap(), expected.as_bytes());
            }
        }
    }

    /// A past bug: closing a store with a sick shard settled nothing, so the next opening replayed
    /// every batch.
    #[test]
    fn closing_settles_what_can_be_settled() {
        let directory = tempfile::tempdir().unwrap();
        let (store, rows) = open(&directory);
        store.write(batch(&rows, [0, 1], 0)).unwrap();
        store.write(batch(&rows, [0, 2], 1)).unwrap();
        let file = make_sick(directory.path());
        assert_eq!(store.close().unwrap_err().kind(), ErrorKind::Io);
        std::fs::remove_file(file).unwrap();
        drop((store, rows));
        assert_eq!(open(&directory).0.recovery().batches, 1);
    }

    /// A past bug: each target of a reshape left a fence in the metadata until the next opening,
    /// which a store that is never closed does not have.
    #[test]
    fn fences_do_not_gather() {
        let directory = tempfile::tempdir().unwrap();
        let (store, rows) = open(&directory);
        let fences = || read_fences(&store.core().catalog.metadata).unwrap().len();
        let move_all = |n: u32| {
            for partition in rows.stats().unwrap() {
                let to = ShardId((partition.owner.0 + 1) % 3);
                store.write(batch(&rows, [0, 2], n)).unwrap();
                store.move_partition(partition.id, to).unwrap().wait().unwrap();
            }
        };
        (0..5).for_each(move_all);
        assert!(fences() <= 3, "{}", fences());
        store.core().redo.settle(&store.core().catalog).unwrap();
        assert_eq!(fences(), 0);
        let partition = rows.stats().unwrap().remove(0);
        let to = ShardId((partition.owner.0 + 1) % 3);
        store.move_partition(partition.id, to).unwrap().wait().unwrap();
        assert_eq!(fences(), 0, "nothing is unsettled, so nothing is fenced");
    }
}
