//! Writes of keyspaces that have indexes: rows, and the entries that follow from them, as one batch.
//!
//! | step | what | why here |
//! |---|---|---|
//! | 1. gate | the commit gate is passed, for all that follows | the indexes of a keyspace change only while it is closed |
//! | 2. rows | the stripes of the rows are owned, in the latches of the indexes | no one else changes these rows, so what they give up is theirs |
//! | 3. plan | the rows are read, and what the functions return for before and after is compared | |
//! | 4. batch | rows and entries are written by the [protocol](crate::latch) for batches; an entry of a unique index that must be free is a condition of it | two rows that want one entry meet at its stripe |
//!
//! The latches of the indexes come after the gate and before those of partitions, in the order of
//! keyspaces. Who owns a stripe of a partition takes none of them any more, so no circle of waiting
//! arises. A transaction has planned when it was written to; it owns its rows from before its record
//! is compared with others' to after it is applied.

mod reindex;
mod rows;
mod single;

use super::batch::{Batch, Op, Write};
use super::condition::{Condition, ConditionalWrite, Expect, Unmet};
use super::late::{late, pass_gate};
use super::writer::{Gate, Since, Writer};
use crate::catalog::{Catalog, KeyspaceState};
use crate::engine::Durability;
use crate::error::{Error, ErrorKind, Result};
use crate::id::KeyspaceId;
use crate::index::{DeclaredIndex, EntryWrite, KeyspaceIndexes, plan};
use crate::latch::StripeSet;
use crate::os::failpoint;
use rows::{read_row, rows};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The keyspaces of a batch that have indexes, with the stripes of its rows.
type Indexed = BTreeMap<KeyspaceId, (Arc<KeyspaceState>, Arc<KeyspaceIndexes>, StripeSet)>;

/// Two strings: a row and its index key, an entry and its value.
type Bytes2 = (Vec<u8>, Vec<u8>);

/// An entry that a row takes, and no other row may have.
struct Claim {
    index: Arc<DeclaredIndex>,
    entry: Vec<u8>,
    row: Vec<u8>,
    index_key: Vec<u8>,
}

/// Returns what has kept a batch from being written: conditions that the application has asked for
/// come first, and then entries that are not free.
fn refused(claims: &[Claim], unmet: Vec<Unmet>) -> Result<ConditionalWrite> {
    let claim = |unmet: &Unmet| {
        let is_it = |it: &&Claim| it.index.entries == unmet.keyspace && it.entry == unmet.key;
        claims.iter().find(is_it)
    };
    let (taken, asked): (Vec<_>, Vec<_>) =
        unmet.into_iter().partition(|unmet| claim(unmet).is_some());
    match taken.first().and_then(|taken| Some((claim(taken)?, taken.found.as_deref()?))) {
        Some((Claim { index, row, index_key, .. }, taken_by)) if asked.is_empty() => {
            Err(index.violation(index_key, row, taken_by))
        }
        _ => Ok(ConditionalWrite::Unmet(asked)),
    }
}

/// The error of a transaction that was written with other indexes than there are at its commit.
#[cold]
pub(crate) fn indexes_changed() -> Error {
    Error::new(
        ErrorKind::Conflict,
        "the indexes of a keyspace have changed since the transaction has written to it; nothing was \
         written: run it again",
    )
}

fn indexed(catalog: &Catalog, rows: impl Iterator<Item = (KeyspaceId, StripeSet)>) -> Indexed {
    let keyspaces = catalog.keyspaces();
    let mut indexed = Indexed::new();
    for (id, stripes) in rows {
        if let Some((_, _, owned)) = indexed.get_mut(&id) {
            *owned |= stripes;
        } else if let Some(keyspace) = keyspaces.get(&id)
            && let Some(indexes) = keyspace.indexes()
        {
            indexed.insert(id, (Arc::clone(keyspace), indexes, stripes));
        }
    }
    indexed
}

impl Writer<'_> {
    /// Returns true if operations write rows of keyspaces that have indexes.
    pub(super) fn writes_indexed(&self, ops: &[Op]) -> bool {
        self.catalog.may_have_indexes() && {
            let keyspaces = self.catalog.keyspaces();
            let of = |op: &Op| keyspaces.get(&op.keyspace).is_some_and(|it| it.has_indexes());
            ops.iter().any(of)
        }
    }

    /// Owns rows that are to be written, and calls `write`.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` if a keyspace has an index that is not declared: it would not have them.
    fn own_written_rows<T>(
        &self,
        rows: impl Iterator<Item = (KeyspaceId, StripeSet)>,
        write: impl FnOnce(&Indexed) -> Result<T>,
    ) -> Result<T> {
        self.own_rows(rows, |indexed| {
            for (keyspace, indexes, _) in indexed.values() {
                indexes.check_declared(keyspace.name())?;
            }
            write(indexed)
        })
    }

    /// Passes the gate, owns rows, and calls `write`: steps 1 and 2.
    fn own_rows<T>(
        &self,
        rows: impl Iterator<Item = (KeyspaceId, StripeSet)>,
        write: impl FnOnce(&Indexed) -> Result<T>,
    ) -> Result<T> {
        let _gate = pass_gate(self.catalog, self.deadline)?;
        let indexed = indexed(self.catalog, rows);
        let mut held = Vec::new();
        if !failpoint::skip("index-rows") {
            for (keyspace, indexes, stripes) in indexed.values() {
                let stripes = indexes.rows.own_set(*stripes, self.deadline).ok_or_else(|| {
                    let name = keyspace.name();
                    late(format_args!("others that write the same rows of keyspace `{name}`"))
                })?;
                held.extend(stripes);
            }
        }
        write(&indexed)
    }

    /// Commits a batch that writes rows of keyspaces that have indexes.
    pub(super) fn commit_indexed(
        &self,
        batch: Batch,
        durability: Durability,
    ) -> Result<ConditionalWrite> {
        let rows: Vec<_> = batch.ops.iter().map(|op| (op.keyspace, op.write.stripes())).collect();
        self.own_written_rows(rows.into_iter(), |indexed| {
            self.commit_rows(indexed, batch, durability)
        })
    }

    /// Commits the batch of a transaction, which has the entries already.
    pub(super) fn commit_since_indexed(
        &self,
        batch: &Batch,
        durability: Durability,
        since: Since<'_>,
    ) -> Result<()> {
        let rows = batch.ops.iter().map(|op| (op.keyspace, op.write.stripes()));
        self.own_written_rows(rows, |indexed| {
            let is_used = |(id, (_, now, _)): (&KeyspaceId, &(_, Arc<KeyspaceIndexes>, _))| {
                since.indexes.get(id).is_some_and(|used| Arc::ptr_eq(used, now))
            };
            let all_present = since.indexes.keys().all(|id| indexed.contains_key(id));
            if !all_present || !indexed.iter().all(is_used) {
                return Err(indexes_changed());
            }
            let views = &**self.catalog.keyspaces();
            self.enter(views, batch, durability, Some(since), Gate::Passed).map(|_| ())
        })
    }

    /// Adds to a batch the entries that follow from its rows, which the caller owns, and commits it.
    fn commit_rows(
        &self,
        indexed: &Indexed,
        batch: Batch,
        durability: Durability,
    ) -> Result<ConditionalWrite> {
        let mut entries = Vec::new();
        for (id, (keyspace, indexes, _)) in indexed {
            let ops = batch.ops.iter().filter(|op| op.keyspace == *id).map(|op| &op.write);
            let rows = rows(keyspace, ops)?;
            let changes: Vec<_> = rows.iter().map(|(key, row)| row.change(key)).collect();
            entries.extend(plan(indexes, &changes, |index, key| self.read_entry(index, key))?);
        }
        self.commit_entries(batch, entries, durability)
    }

    /// Returns the value of an entry.
    fn read_entry(&self, index: &DeclaredIndex, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let entries = self.catalog.keyspace(index.entries)?;
        Ok(read_row(&entries, key)?.map(|value| value.to_vec()))
    }

    /// Commits a batch with entries, of which those that are claimed must be free. The caller owns
    /// the rows, with the gate passed.
    fn commit_entries(
        &self,
        mut batch: Batch,
        entries: Vec<EntryWrite>,
        durability: Durability,
    ) -> Result<ConditionalWrite> {
        let mut claims = Vec::new();
        for EntryWrite { index, key, value, claim } in entries {
            let (id, bytes) = (index.entries, key.len());
            self.catalog.check_key_bytes(bytes).map_err(|cause| index.too_long(cause))?;
            if let Some((row, index_key)) = claim {
                if !failpoint::skip("index-claim") {
                    let condition = Condition::new(id, &key, Expect::Absent);
                    batch.add_condition(self.catalog.home.id, condition);
                }
                claims.push(Claim { index, entry: key.clone(), row, index_key });
            }
            let write = match value {
                Some(value) => Write::Put { key, value },
                None => Write::Delete { key },
            };
            batch.push(self.catalog.home.id, id, bytes, write, None);
        }
        batch.check(self.catalog)?;
        let views = &**self.catalog.keyspaces();
        match self.enter(views, &batch, durability, None, Gate::Passed)? {
            Some(ConditionalWrite::Unmet(unmet)) => refused(&claims, unmet),
            Some(written) => Ok(written),
            None => Err(Error::new(ErrorKind::Internal, "a batch with entries was not written")),
        }
    }
}
