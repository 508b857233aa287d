//! A shard against a map, under random operations, flushes, compactions and crashes.

use super::{Fixture, ONE, PartitionOf, Subject, TWO, rows_of};
use crate::engine::{Direction, Engine, Read, WriteBatch as _};
use crate::id::KeyspaceId;
use crate::log::{Operation, Position};
use crate::placement::KeyRange;
use crate::topology::PartitionName;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::collections::BTreeMap;

type Bytes = Vec<u8>;
type Rows = BTreeMap<Bytes, Bytes>;

#[derive(Clone, Debug)]
enum Change {
    Put(Bytes, Bytes),
    Delete(Bytes),
    DeleteRange(Bytes, Bytes),
}

impl Change {
    fn apply(&self, rows: &mut Rows) {
        match self {
            Self::Put(key, value) => drop(rows.insert(key.clone(), value.clone())),
            Self::Delete(key) => drop(rows.remove(key)),
            Self::DeleteRange(start, end) => rows.retain(|key, _| key < start || key >= end),
        }
    }

    fn operation(&self) -> Operation<'_> {
        let keyspace = KeyspaceId(1);
        match self {
            Self::Put(key, value) => Operation::Put { keyspace, key, value },
            Self::Delete(key) => Operation::Delete { keyspace, key },
            Self::DeleteRange(start, end) => Operation::DeleteRange { keyspace, start, end },
        }
    }
}

/// A change and the partition that it concerns.
type Write = (bool, Change);

#[derive(Clone, Debug)]
enum Step {
    /// One write by itself, or several as a batch.
    Write(Vec<Write>),
    Flush,
    FlushPartition(bool),
    Compact(bool),
    /// The shard ends, is opened, and gets what the log has from where it needed it.
    Crash,
    Snapshot,
    /// Compares a range with the map, at present and in the snapshot.
    Look {
        start: Bytes,
        end: Option<Bytes>,
        reverse: bool,
    },
}

/// Few enough that changes meet.
fn any_key() -> impl Strategy<Value = Bytes> {
    vec(prop_oneof![Just(0), Just(b'a'), Just(b'b'), Just(255)], 0..4)
}

fn any_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => (any_key(), vec(any::<u8>(), 0..40)).prop_map(|(key, value)| Change::Put(key, value)),
        2 => any_key().prop_map(Change::Delete),
        1 => (any_key(), any_key()).prop_map(|(start, end)| Change::DeleteRange(start, end)),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => vec((any::<bool>(), any_change()), 1..6).prop_map(Step::Write),
        2 => Just(Step::Flush),
        1 => any::<bool>().prop_map(Step::FlushPartition),
        1 => any::<bool>().prop_map(Step::Compact),
        1 => Just(Step::Crash),
        2 => Just(Step::Snapshot),
        8 => (any_key(), prop::option::of(any_key()), any::<bool>())
            .prop_map(|(start, end, reverse)| Step::Look { start, end, reverse }),
    ]
}

/// A shard with two partitions, and what they should hold.
struct Run<S: Subject> {
    snapshot: Option<(<S::Engine as Engine>::Snapshot, [Rows; 2])>,
    rows: [Rows; 2],
    /// What is in the log.
    history: Vec<(Position, Vec<Write>)>,
    fixture: Fixture<S>,
}

fn of(second: bool) -> PartitionName {
    if second { TWO } else { ONE }
}

impl<S: Subject> Run<S> {
    fn new() -> Self {
        let fixture = Fixture::<S>::new();
        [ONE, TWO].map(|name| drop(fixture.shard().create_partition(name).unwrap()));
        Self { snapshot: None, rows: Default::default(), history: Vec::new(), fixture }
    }

    fn partition(&self, second: bool) -> PartitionOf<S> {
        self.fixture.partition(of(second))
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Write(writes) => self.write(writes),
            Step::Flush => self.fixture.shard().flush().unwrap(),
            Step::FlushPartition(second) => {
                self.fixture.shard().flush_partition(&self.partition(*second)).unwrap();
            }
            Step::Compact(second) => {
                self.fixture.shard().compact(&self.partition(*second)).unwrap();
            }
            Step::Crash => self.crash(),
            Step::Snapshot => {
                let snapshot = self.fixture.shard().snapshot().unwrap();
                self.snapshot = Some((snapshot, self.rows.clone()));
            }
            Step::Look { start, end, reverse } => {
                let mut range = KeyRange::new(&**start, end.as_deref());
                if range.is_empty() {
                    range.end = Some(range.start.clone());
                }
                self.look(&range, *reverse)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, writes: &[Write]) {
        let shard = self.fixture.shard();
        let operations: Vec<_> = writes.iter().map(|(_, change)| change.operation()).collect();
        let in_flight = self.fixture.log.append(operations.iter().copied()).unwrap();
        match writes {
            [(second, Change::Put(key, value))] => {
                shard.put(&self.partition(*second), key, value).unwrap();
            }
            [(second, Change::Delete(key))] => {
                shard.delete(&self.partition(*second), key).unwrap();
            }
            several => self.apply(several),
        }
        self.history.push((in_flight.start(), writes.to_vec()));
        drop(in_flight);
        for (second, change) in writes {
            change.apply(&mut self.rows[usize::from(*second)]);
        }
    }

    fn apply(&self, writes: &[Write]) {
        let mut batch = self.fixture.shard().batch();
        for (second, change) in writes {
            let partition = self.partition(*second);
            match change {
                Change::Put(key, value) => batch.put(&partition, key, value),
                Change::Delete(key) => batch.delete(&partition, key),
                Change::DeleteRange(start, end) => batch.delete_range(&partition, start, end),
            }
        }
        self.fixture.shard().write(batch).unwrap();
    }

    fn crash(&mut self) {
        let from = self.fixture.shard().unflushed_from();
        self.snapshot = None;
        self.fixture.crash_before_replay();
        for (position, writes) in &self.history {
            if *position >= from {
                self.apply(writes);
            }
        }
        self.fixture.log.finish_replay();
    }

    fn look(&self, range: &KeyRange, reverse: bool) -> Result<(), TestCaseError> {
        let snapshot = self.snapshot.as_ref();
        self.compare(&self.rows, None, range, reverse)?;
        match snapshot {
            Some((snapshot, rows)) => self.compare(rows, Some(snapshot), range, reverse),
            None => Ok(()),
        }
    }

    fn compare(
        &self,
        expected: &[Rows; 2],
        at: Option<&<S::Engine as Engine>::Snapshot>,
        range: &KeyRange,
        reverse: bool,
    ) -> Result<(), TestCaseError> {
        let direction = if reverse { Direction::Reverse } else { Direction::Forward };
        let read = Read { at, ..Read::PRESENT };
        let shard = self.fixture.shard();
        for (second, expected) in [false, true].into_iter().zip(expected) {
            let partition = self.partition(second);
            let inside = expected.iter().filter(|(key, _)| range.contains(key));
            let mut inside: Vec<_> =
                inside.map(|(key, value)| (key.clone(), value.clone())).collect();
            if reverse {
                inside.reverse();
            }
            prop_assert_eq!(rows_of(shard, &partition, range, direction, read), inside);
            let key = &*range.start;
            let found = shard.get(&partition, key, read).unwrap();
            prop_assert_eq!(found.as_deref(), expected.get(key).map(Vec::as_slice));
            let found = shard.get_many(&partition, &[key], read).unwrap();
            prop_assert_eq!(found[0].as_deref(), expected.get(key).map(Vec::as_slice));
        }
        Ok(())
    }
}

pub(in crate::engine) fn a_shard_agrees_with_a_map_over_crashes<S: Subject>() {
    let config = ProptestConfig { cases: 24, max_shrink_iters: 256, ..ProptestConfig::default() };
    let mut runner = TestRunner::new(config);
    let ran = runner.run(&vec(any_step(), 1..80), |steps| {
        let mut run = Run::<S>::new();
        for step in &steps {
            run.step(step)?;
        }
        run.crash();
        run.look(&KeyRange::whole(), false)
    });
    ran.unwrap_or_else(|error| panic!("{error}"));
}
