//! Which partitions there are: a list, of which each change is a new object with the next number.
//!
//! | step | in the object store after it | if the process dies here, the next opening |
//! |---|---|---|
//! | open 1. the database is opened | its writer epoch is ours: another process can make no table durable | does the same |
//! | open 2. the last list is read, and written again as the next one | a list of this opening | reads that one |
//! | create 1. the next list, with the partition | an empty partition | has it: an orphan, if no topology names it |
//! | load 1. rows, as tables | tables that no list names | removes them |
//! | load 2. the next list | the partition, whole | has it |
//! | drop 1. the next list, without the partition | tables that no list names | removes them |
//! | drop 2. its tables, when its last handle goes | nothing | |
//!
//! An object is created only if there is none of its number. So of two processes that both believe
//! the shard to be theirs, one finds its number taken, by a list that names another opening: it has
//! been fenced. An answer that was lost leaves a list that names this opening, which is taken over.

use super::error::fenced;
use super::place::{ObjectPlace, forget};
use crate::error::{Error, ErrorKind, Result};
use crate::id::PartitionId;
use crate::topology::PartitionName;
use slatedb::object_store::path::Path;
use slatedb::object_store::{Error as StoreError, ObjectStoreExt as _, PutMode, PutOptions};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The format of a list.
const FORMAT: &str = "annulus partitions 1";

/// The last list, as this process knows it.
pub(super) struct Lists {
    place: ObjectPlace,
    /// What distinguishes this opening from all others.
    opening: u128,
    number: u64,
}

/// The content of a list.
#[derive(Debug, PartialEq, Eq)]
struct List {
    opening: u128,
    names: BTreeSet<PartitionName>,
}

impl Lists {
    /// Reads the last list, and writes it again for this opening. IMPORTANT: called when the
    /// database is open, so that others can make nothing durable any more.
    ///
    /// # Errors
    ///
    /// `Fenced`, `Unavailable`, `Damaged`.
    pub(super) fn open(place: &ObjectPlace) -> Result<(Self, BTreeSet<PartitionName>)> {
        let opening = uuid::Uuid::new_v4().as_u128();
        let mut lists = Self { place: place.clone(), opening, number: 0 };
        loop {
            let names = lists.read_last()?;
            // Another opening may be writing the same number; the database says which is the later.
            match lists.create(lists.number + 1, &names) {
                Ok(()) => {
                    lists.number += 1;
                    return Ok((lists, names));
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes these the partitions there are; durable when it returns.
    ///
    /// # Errors
    ///
    /// `Fenced`; `Unavailable`, after which they may or may not be.
    pub(super) fn replace(&mut self, names: &BTreeSet<PartitionName>) -> Result<()> {
        loop {
            let next = self.number + 1;
            let Err(error) = self.create(next, names) else {
                // What is superseded is not needed; it is left where it cannot be deleted.
                let old = self.object(self.number);
                let place = &self.place;
                let forgotten = place.ask("a delete at", forget(&*place.store, &old));
                if let Err(error) = forgotten {
                    tracing::debug!(error = format_args!("{error:#}"), "left a superseded list");
                }
                self.number = next;
                return Ok(());
            };
            if error.kind() != ErrorKind::AlreadyExists {
                return Err(error);
            }
            // Ours, if an earlier answer was lost: what follows supersedes it.
            let taken = self.read(next)?;
            if taken.is_none_or(|list| list.opening != self.opening) {
                return Err(fenced(format_args!("a change of the partitions at {}", self.place)));
            }
            self.number = next;
        }
    }

    fn object(&self, number: u64) -> Path {
        self.place.lists().join(format!("{number:020}"))
    }

    fn create(&self, number: u64, names: &BTreeSet<PartitionName>) -> Result<()> {
        let (object, text) = (self.object(number), encode(self.opening, names));
        let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        self.place.ask("writing the list of partitions at", async {
            self.place.store.put_opts(&object, text.into(), create).await.map(drop)
        })
    }

    /// Reads a list; `None` if there is none of that number.
    fn read(&self, number: u64) -> Result<Option<List>> {
        let object = self.object(number);
        let text = self.place.ask("reading the list of partitions at", async {
            match self.place.store.get(&object).await {
                Ok(found) => Ok(Some(found.bytes().await?)),
                Err(StoreError::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        })?;
        let Some(text) = text else { return Ok(None) };
        let list = std::str::from_utf8(&text).ok().and_then(decode);
        list.map(Some).ok_or_else(|| {
            Error::new(
                ErrorKind::Damaged,
                format!("the list of partitions {object} at {} is damaged; restore it", self.place),
            )
        })
    }

    /// Finds the last list; there may be none yet.
    fn read_last(&mut self) -> Result<BTreeSet<PartitionName>> {
        use futures::TryStreamExt as _;
        loop {
            let folder = self.place.lists();
            let there: Vec<_> = self.place.ask("listing the partitions at", async {
                self.place.store.list(Some(&folder)).try_collect().await
            })?;
            let number = |object: &Path| object.filename()?.parse::<u64>().ok();
            let last = there.iter().filter_map(|object| number(&object.location)).max();
            let Some(last) = last else {
                self.number = 0;
                return Ok(BTreeSet::new());
            };
            self.number = last;
            // It may just have been superseded, and deleted.
            if let Some(list) = self.read(last)? {
                return Ok(list.names);
            }
        }
    }
}

fn encode(opening: u128, names: &BTreeSet<PartitionName>) -> String {
    let mut text = format!("{FORMAT}\nopening {opening:032x}\n");
    for name in names {
        // A `String` takes everything.
        let _ = writeln!(text, "partition {} {}", name.id.0, name.generation);
    }
    let checksum = crc32fast::hash(text.as_bytes());
    let _ = writeln!(text, "check {checksum:08x}");
    text
}

fn decode(text: &str) -> Option<List> {
    let (body, checksum) = text.split_once("check ")?;
    let checksum = u32::from_str_radix(checksum.trim_end(), 16).ok()?;
    if crc32fast::hash(body.as_bytes()) != checksum {
        return None;
    }
    let mut lines = body.lines();
    if lines.next()? != FORMAT {
        return None;
    }
    let opening = u128::from_str_radix(lines.next()?.strip_prefix("opening ")?, 16).ok()?;
    let name = |line: &str| {
        let (id, generation) = line.strip_prefix("partition ")?.split_once(' ')?;
        Some(PartitionName {
            id: PartitionId(id.parse().ok()?),
            generation: generation.parse().ok()?,
        })
    };
    Some(List { opening, names: lines.map(name).collect::<Option<_>>()? })
}

/// What a store must do for a shard to be safe in it: of several requests that create the same
/// object at once, exactly one succeeds, and what it wrote is there.
///
/// # Errors
///
/// `InvalidArgument`, naming the place, if it does not; `Unavailable`, `Io`.
pub(super) fn probe(place: &ObjectPlace) -> Result<()> {
    /// How many requests are made at once, and how often.
    const AT_ONCE: usize = 8;
    const ROUNDS: usize = 3;
    for _ in 0..ROUNDS {
        let nonce = uuid::Uuid::new_v4();
        let object = place.lists().join(format!("probe-{nonce}"));
        let put = |n: usize| {
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            let (object, store) = (&object, &place.store);
            async move {
                match store.put_opts(object, format!("{nonce} {n}").into(), options).await {
                    Ok(_) => Ok(Some(n)),
                    Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => {
                        Ok(None)
                    }
                    Err(error) => Err(error),
                }
            }
        };
        let (winners, content) = place.ask("probing", async {
            let winners = futures::future::try_join_all((0..AT_ONCE).map(put)).await?;
            let content = place.store.get(&object).await?.bytes().await?;
            forget(&*place.store, &object).await?;
            Ok((winners, content))
        })?;
        let winners: Vec<usize> = winners.into_iter().flatten().collect();
        let is_kept = matches!(
            winners[..],
            [winner] if content == format!("{nonce} {winner}").as_bytes()
        );
        if !is_kept {
            return Err(Error::invalid(format!(
                "the object store of {place} lets {} of {AT_ONCE} requests create the same object: \
                 two processes could both take a shard for theirs; use a store that enforces \
                 If-None-Match",
                winners.len()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(ids: impl IntoIterator<Item = u64>) -> BTreeSet<PartitionName> {
        ids.into_iter().map(|id| PartitionName { id: PartitionId(id), generation: 3 }).collect()
    }

    fn place(name: &str) -> ObjectPlace {
        ObjectPlace::of(&format!("memory:lists-{name}")).unwrap()
    }

    #[test]
    fn a_list_is_read_as_it_was_written_or_not_at_all() {
        let text = encode(77, &names([1, u64::MAX]));
        assert_eq!(decode(&text).unwrap(), List { opening: 77, names: names([1, u64::MAX]) });
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let changed = String::from_utf8(bytes).unwrap();
            assert_eq!(decode(&changed), None, "{changed}");
        }
    }

    #[test]
    fn the_last_list_counts_and_the_earlier_opening_is_fenced() {
        let place = place("fence");
        let (mut first, there) = Lists::open(&place).unwrap();
        assert!(there.is_empty());
        first.replace(&names([1])).unwrap();
        first.replace(&names([1, 2])).unwrap();
        let (mut second, there) = Lists::open(&place).unwrap();
        assert_eq!(there, names([1, 2]));
        assert_eq!(first.replace(&names([9])).unwrap_err().kind(), ErrorKind::Fenced);
        second.replace(&names([2])).unwrap();
        assert_eq!(first.replace(&names([9])).unwrap_err().kind(), ErrorKind::Fenced);
        assert_eq!(Lists::open(&place).unwrap().1, names([2]));
    }

    /// The object was created, and the answer was lost.
    #[test]
    fn a_list_of_ones_own_whose_answer_was_lost_is_superseded() {
        let place = place("lost");
        let (mut lists, _) = Lists::open(&place).unwrap();
        lists.create(lists.number + 1, &names([1])).unwrap();
        lists.replace(&names([2])).unwrap();
        assert_eq!(Lists::open(&place).unwrap().1, names([2]));
    }

    #[test]
    fn a_store_that_creates_once_passes_the_probe() {
        probe(&place("probe")).unwrap();
        assert!(!place("probe").holds_anything().unwrap(), "the probe leaves nothing");
    }
}
