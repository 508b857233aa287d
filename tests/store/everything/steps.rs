//! The steps, each with what it must come to.

use super::model::{KEYSPACES, Model, NAMED, Write, expires, has_words};
use super::{Opened, World};
use annulus::{Batch, Error, ErrorKind, Expect, Keyspace, Swap, Transaction};
use std::time::Duration;

/// What must have happened several times in a run for it to say something.
pub(super) const KINDS: [&str; 14] = [
    "write",
    "write refused",
    "swap",
    "swap not made",
    "batch",
    "batch refused",
    "batch unmet",
    "transaction",
    "transaction refused",
    "conflict",
    "response",
    "response again",
    "job",
    "snapshot",
];

/// Adds a write to a batch.
fn put_in(batch: &mut Batch, keyspace: &Keyspace, write: &Write) {
    match write.clone() {
        Write::Put(key, value, None) => batch.put(keyspace, key, value),
        Write::Put(key, value, Some(Some(lifetime))) => {
            batch.put_for(keyspace, key, value, lifetime);
        }
        Write::Put(key, value, Some(None)) => batch.put_until(keyspace, key, value, None),
        Write::Delete(key) => batch.delete(keyspace, key),
        Write::DeleteRange(start, end) => batch.delete_range(keyspace, start..end),
        Write::Add(key, n) => batch.add(keyspace, key, n),
    }
}

fn write_within(tx: &Transaction, keyspace: &Keyspace, write: &Write) -> annulus::Result<()> {
    match write.clone() {
        Write::Put(key, value, None) => tx.put(keyspace, key, value),
        Write::Put(key, value, Some(Some(lifetime))) => tx.put_for(keyspace, key, value, lifetime),
        Write::Put(key, value, Some(None)) => tx.put_until(keyspace, key, value, None),
        Write::Delete(key) => tx.delete(keyspace, key),
        Write::DeleteRange(start, end) => tx.delete_range(keyspace, start..end),
        Write::Add(key, n) => tx.add(keyspace, key, n).map(drop),
    }
}

fn is_taken(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error:#}");
}

/// What a transaction has read and written.
#[derive(Default)]
struct Footprint {
    read: Vec<(usize, Vec<u8>)>,
    written: Vec<(usize, Write)>,
}

impl Footprint {
    /// Notes a read, unless the transaction itself decides what is there.
    fn read(&mut self, of: usize, key: &[u8]) {
        if !self.has_written(of, key) {
            self.read.push((of, key.to_vec()));
        }
    }

    fn write(&mut self, of: usize, write: &Write) {
        if let Write::Add(counter, _) = write {
            self.read(of, counter);
        }
        // An empty range is no write.
        if !matches!(write, Write::DeleteRange(start, end) if start == end) {
            self.written.push((of, write.clone()));
        }
    }

    fn has_written(&self, of: usize, key: &[u8]) -> bool {
        let of_keyspace = self.written.iter().filter(|(it, _)| *it == of);
        of_keyspace.map(|(_, write)| write).any(|write| match write {
            Write::Put(it, ..) | Write::Delete(it) | Write::Add(it, _) => it == key,
            Write::DeleteRange(start, end) => &**start <= key && key < &**end,
        })
    }
}

impl World {
    fn note(&mut self, kind: &'static str) {
        *self.made.entry(kind).or_default() += 1;
    }

    fn key(&mut self) -> Vec<u8> {
        format!("k{:02}", self.random.u32(..40)).into_bytes()
    }

    fn value(&mut self) -> Vec<u8> {
        // Few names, so that most of them are taken.
        if self.random.bool() {
            return format!("@{}", self.random.u32(..3)).into_bytes();
        }
        let words = (0..self.random.usize(..4)).map(|_| self.random.choice(["w", "x", "y", "z"]));
        words.map(Option::unwrap).collect::<Vec<_>>().join(" ").into_bytes()
    }

    fn lifetime(&mut self) -> Option<Duration> {
        let lifetime = Duration::from_millis(self.random.u64(1..2 * 3_600_000));
        (self.random.u32(..8) > 0).then_some(lifetime)
    }

    fn write(&mut self, of: usize) -> Write {
        match self.random.u32(..10) {
            0..6 => {
                let own = expires(of) && self.random.bool();
                let lifetime = own.then(|| self.lifetime());
                Write::Put(self.key(), self.value(), lifetime)
            }
            6..8 => Write::Delete(self.key()),
            8 => {
                let (one, other) = (self.key(), self.key());
                Write::DeleteRange(one.clone().min(other.clone()), one.max(other))
            }
            _ => {
                let counter = format!("n{}", self.random.u32(..3)).into_bytes();
                Write::Add(counter, self.random.i64(-5..40))
            }
        }
    }

    pub(super) fn step(&mut self, opened: &Opened) {
        let of = self.random.usize(..KEYSPACES);
        match self.random.u32(..100) {
            0..30 => self.write_alone(opened, of),
            30..45 => self.swap(opened, of),
            45..60 => self.batch(opened),
            60..75 => self.transact(opened),
            75..80 => self.once(opened),
            80..86 => self.queue(opened),
            86..90 if self.snapshots.len() < 3 => {
                let snapshot = opened.store.snapshot().unwrap();
                self.snapshots.push((snapshot, self.model.clone()));
                self.note("snapshot");
            }
            86..92 => drop(self.snapshots.pop()),
            92..96 => self.follow(opened),
            96 => opened.store.flush().unwrap(),
            97 => opened.keyspaces[2 + of % 2].reclaim_expired().unwrap(),
            _ => {}
        }
        let most = if self.random.u32(..20) == 0 { 1_200_000 } else { 30_000 };
        let passed = Duration::from_millis(self.random.u64(..most));
        self.pass(passed);
        let key = self.key();
        let found = opened.keyspaces[of].get(&key).unwrap();
        assert_eq!(found.map(|value| value.to_vec()), self.model.get(of, &key));
    }

    fn write_alone(&mut self, opened: &Opened, of: usize) {
        let (write, rows) = (self.write(of), &opened.keyspaces[of]);
        let made = match write.clone() {
            Write::Put(key, value, None) => rows.put(key, value),
            Write::Put(key, value, Some(Some(lifetime))) => rows.put_for(key, value, lifetime),
            Write::Put(key, value, Some(None)) => rows.put_until(key, value, None),
            Write::Delete(key) => rows.delete(key),
            Write::DeleteRange(start, end) => rows.delete_range(start..end),
            Write::Add(key, n) => rows.add(&key, n).map(|sum| {
                assert_eq!(sum, self.model.counter(of, &key) + n);
            }),
        };
        match (made, self.model.after(of, &write)) {
            (Ok(()), Some(after)) => {
                self.model = after;
                self.note("write");
            }
            (Err(error), None) => {
                is_taken(&error);
                self.note("write refused");
            }
            (made, after) => panic!("{write:?}: {made:?}, {}", after.is_some()),
        }
    }

    /// A put if the key is absent, a swap, or an update.
    fn swap(&mut self, opened: &Opened, of: usize) {
        let (rows, key, value) = (&opened.keyspaces[of], self.key(), self.value());
        let present = self.model.get(of, &key);
        let lifetime =
            (expires(of) && self.random.bool()).then(|| self.lifetime().unwrap_or(super::HOUR));
        if self.random.u32(..3) == 0 {
            let new = [present.as_deref().unwrap_or_default(), b" v"].concat();
            let new: Vec<u8> = new.into_iter().take(20).collect();
            let write = Write::Put(key.clone(), new.clone(), None);
            match (rows.update(&key, |_| Some(new)), self.model.after(of, &write)) {
                (Ok(_), Some(after)) => self.model = after,
                (Err(error), None) => is_taken(&error),
                (made, _) => panic!("{write:?}: {made:?}"),
            }
            return;
        }
        let right = self.random.u32(..3) > 0;
        let expected = if right { present.clone() } else { Some(b"another".to_vec()) };
        let swap = match (&expected, lifetime) {
            (None, None) => rows.put_if_absent(&key, &value),
            (None, Some(lifetime)) => rows.put_if_absent_for(&key, &value, lifetime),
            (expected, None) => rows.compare_and_swap(&key, expected.as_deref(), Some(&value)),
            (expected, Some(lifetime)) => {
                rows.compare_and_swap_for(&key, expected.as_deref(), &value, lifetime)
            }
        };
        let write = Write::Put(key, value, lifetime.map(Some));
        match (swap, self.model.after(of, &write)) {
            (Ok(Swap::Found(found)), _) if expected != present => {
                assert_eq!(found.map(|found| found.to_vec()), present);
                self.note("swap not made");
            }
            (Ok(Swap::Swapped), Some(after)) if expected == present => {
                self.model = after;
                self.note("swap");
            }
            (Err(error), None) if expected == present => is_taken(&error),
            (swap, _) => panic!("{write:?}: {swap:?}, {expected:?}, {present:?}"),
        }
    }

    /// A batch over all keyspaces, with a condition that holds or not.
    fn batch(&mut self, opened: &Opened) {
        let (mut batch, mut after) = (Batch::new(), self.model.clone());
        let (of, key) = (self.random.usize(..KEYSPACES), self.key());
        let present = self.model.get(of, &key);
        let expect: Expect<'_> = match (self.random.u32(..4), &present) {
            (0, _) => Expect::Value(b"another"),
            (1, _) => Expect::Present,
            (_, Some(value)) => Expect::Value(value),
            (_, None) => Expect::Absent,
        };
        let holds = match expect {
            Expect::Absent => present.is_none(),
            Expect::Present => present.is_some(),
            Expect::Value(value) => present.as_deref() == Some(value),
            _ => false,
        };
        batch.require(&opened.keyspaces[of], &key, expect);
        for _ in 0..self.random.usize(1..5) {
            let of = self.random.usize(..KEYSPACES);
            let write = self.write(of);
            put_in(&mut batch, &opened.keyspaces[of], &write);
            after.apply(of, &write);
        }
        match opened.store.write_if(batch) {
            Ok(written) if written.is_written() => {
                assert!(holds && after.has_unique_names());
                self.model = after;
                self.note("batch");
            }
            Ok(_) => {
                assert!(!holds);
                self.note("batch unmet");
            }
            Err(error) => {
                is_taken(&error);
                assert!(!after.has_unique_names());
                self.note("batch refused");
            }
        }
    }

    /// A transaction over all keyspaces, during which another write may change what it has read.
    fn transact(&mut self, opened: &Opened) {
        let tx = opened.store.begin().unwrap();
        let (mut view, mut footprint) = (self.model.clone(), Footprint::default());
        for _ in 0..self.random.usize(1..6) {
            let of = self.random.usize(..KEYSPACES);
            let rows = &opened.keyspaces[of];
            match self.random.u32(..6) {
                0 | 1 => {
                    let key = self.key();
                    let found = tx.get(rows, &key).unwrap().map(|value| value.to_vec());
                    assert_eq!(found, view.get(of, &key));
                    footprint.read(of, &key);
                }
                2 if has_words(of) => {
                    let word = *self.random.choice(&[b"x", b"y"]).unwrap();
                    let found = opened.words[of].within(&tx).keys(word).unwrap();
                    let expected = view.words(of).into_iter().filter(|(it, _)| it == word);
                    assert_eq!(found, expected.map(|(_, key)| key).collect::<Vec<_>>());
                }
                3 if has_words(of) => {
                    let found = tx.scan(rows, ..).unwrap().map(Result::unwrap);
                    assert_eq!(found.collect::<Vec<_>>(), view.alive(of));
                }
                _ => {
                    let write = self.write(of);
                    footprint.write(of, &write);
                    // Names are looked at when they are written: what is given up later is taken.
                    match (write_within(&tx, rows, &write), view.after(of, &write)) {
                        (Ok(()), Some(after)) => view = after,
                        (Err(error), None) => {
                            is_taken(&error);
                            return self.note("transaction refused");
                        }
                        (made, _) => panic!("{write:?}: {made:?}"),
                    }
                }
            }
        }
        self.commit(opened, tx, view, &footprint);
    }

    fn commit(&mut self, opened: &Opened, tx: Transaction, mut view: Model, footprint: &Footprint) {
        // Others write one row; of keyspaces that have no index, so that nothing else follows from it.
        let read = footprint.read.iter().filter(|(of, _)| expires(*of)).cloned();
        let other = match self.random.u32(..4) {
            0 => Some((2 + self.random.usize(..2), self.key())),
            1 | 2 => self.random.choice(read.collect::<Vec<_>>()),
            _ => None,
        };
        let other = other.filter(|(of, key)| !footprint.has_written(*of, key));
        let write = |key: &Vec<u8>| Write::Put(key.clone(), b"other".to_vec(), None);
        if let Some((of, key)) = &other {
            opened.keyspaces[*of].put(key, "other").unwrap();
            self.model.apply(*of, &write(key));
            view.apply(*of, &write(key));
        }
        let writes = !footprint.written.is_empty();
        let conflict = writes && other.as_ref().is_some_and(|it| footprint.read.contains(it));
        match tx.commit() {
            Ok(()) => {
                assert!(!conflict, "{other:?} was read");
                self.model = view;
                self.note("transaction");
            }
            Err(error) => {
                assert!(conflict && error.kind() == ErrorKind::Conflict, "{error:#}");
                self.note("conflict");
            }
        }
    }

    /// A request that may have come before.
    fn once(&mut self, opened: &Opened) {
        let request = format!("request {}", self.random.u32(..4));
        let now = self.model.now;
        let kept = self.responses.get(&request).filter(|(_, until)| *until > now).cloned();
        let rows = &opened.keyspaces[0];
        let keep_for = super::HOUR;
        let once = opened
            .store
            .transact_once(&request, keep_for, |tx| Ok(tx.add(rows, "n9", 1)?.to_string()))
            .unwrap();
        assert_eq!(once.repeated, kept.is_some());
        if let Some((response, _)) = kept {
            assert_eq!(once.response, response);
            return self.note("response again");
        }
        let sum = self.model.counter(0, b"n9") + 1;
        assert_eq!(once.response, sum.to_string().into_bytes());
        self.model.apply(0, &Write::Add(b"n9".to_vec(), 1));
        self.responses.insert(request, (once.response, now + keep_for));
        self.note("response");
    }

    /// Pushes a job, or takes one and finishes it with its effect.
    fn queue(&mut self, opened: &Opened) {
        let Opened { store, queue, keyspaces, .. } = opened;
        if self.random.bool() || self.jobs.is_empty() {
            let payload = self.random.u32(1..100).to_string();
            if self.random.bool() {
                queue.push(&payload).unwrap();
            } else {
                store.transact(|tx| queue.push_in(tx, &payload)).unwrap();
            }
            self.jobs.push_back(payload);
            return;
        }
        let lease = queue.take().unwrap().expect("there are jobs");
        let payload = self.jobs.pop_front().unwrap();
        assert_eq!((lease.payload(), lease.attempt()), (payload.as_bytes(), 1));
        let n = payload.parse().unwrap();
        let sum = store.transact(|tx| {
            queue.finish_in(tx, &lease)?;
            tx.add(&keyspaces[NAMED - 1], "n8", n)
        });
        assert_eq!(sum.unwrap(), self.model.counter(0, b"n8") + n);
        self.model.apply(0, &Write::Add(b"n8".to_vec(), n));
        self.note("job");
    }
}
