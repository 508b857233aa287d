//! Consumers: readers of changes whose position is stored.
//!
//! A position is a row of the store's own keyspace, and so a record of the log like any other: it
//! travels with reshapes, and a batch that has it is there whole or not at all.
//!
//! | on disk | what the process leaves when it dies | what a power cut leaves |
//! |---|---|---|
//! | the work for a commit is done, its position not committed | the commit is returned again | the same |
//! | the position is committed, `Buffered` | it is there | it, or an earlier one, from which the log is kept |
//! | the position is committed, `Synced` | it is there | it is there |
//! | a batch or a transaction with work and position | both, or neither | both, or neither |
//!
//! The log is freed only after a sync of it ([`keeper`](../log/keeper.rs)), which includes the position
//! because of which it may be freed. So no position that a crash leaves is before what is kept.

use super::core::Core;
use super::keyspaces::make_keyspace;
use super::names::check_name;
use super::positions::{decode, encode, positions};
use super::{ChangesBuilder, Keyspace, Store, Transaction};
use crate::catalog::CONSUMERS_KEYSPACE;
use crate::changes::ChangesFrom;
use crate::engine::Durability;
use crate::error::{Error, ErrorKind, Result};
use crate::log::Position;
use crate::os::failpoint;
use crate::topology::KeyspaceSpec;
use crate::transaction::refuse_while_running;
use crate::write::{Batch, Expect};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// The longest name of a consumer, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// A named reader of changes whose position is stored in the store; made by [`Store::consumer`].
///
/// The log is kept from its position on, also while the store is closed, within
/// [`changes_keep_bytes`](crate::Options::changes_keep_bytes) and
/// [`changes_keep_for`](crate::Options::changes_keep_for). A consumer that is left further behind gets
/// an error of the kind [`Gone`](ErrorKind::Gone), which
/// [says where to continue](crate::changes::MissingChanges).
///
/// ```
/// use annulus::changes::{Change, ChangesFrom};
/// use annulus::{Batch, Store, topology::KeyspaceSpec};
///
/// # fn main() -> annulus::Result<()> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let store = Store::open(directory.path().join("store"))?;
/// let names = store.create_keyspace("names", KeyspaceSpec::hash())?;
/// let lengths = store.create_keyspace("lengths", KeyspaceSpec::hash())?;
/// let consumer = store.consumer_or_create("lengths", ChangesFrom::Now)?;
/// names.put("ada", "Augusta Ada King")?;
///
/// let mut changes = consumer.changes()?.keyspace(&names).open()?;
/// let commit = changes.next().expect("the store is open")?;
/// let mut batch = Batch::new();
/// for change in commit.changes() {
///     if let Change::Put { key, value, .. } = change {
///         batch.put(&lengths, key, value.len().to_string());
///     }
/// }
/// // The work and the position: both or neither, so that each commit counts exactly once.
/// consumer.commit_in(&mut batch, commit.end());
/// store.write(batch)?;
/// assert_eq!(lengths.get("ada")?.as_deref(), Some(&b"16"[..]));
/// assert_eq!(consumer.position()?, commit.end());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Consumer {
    keyspace: Keyspace,
    name: Arc<str>,
}

/// A consumer, as [`Store::consumers`] lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsumerInfo {
    /// Its name.
    pub name: String,
    /// The position that it has committed.
    pub position: Position,
    /// The bytes of the log from there to its end.
    pub bytes_behind: u64,
}

impl Consumer {
    /// Returns its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the position that it has committed.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) if it was deleted; those of [`Keyspace::get`].
    pub fn position(&self) -> Result<Position> {
        let row = self.keyspace.get(&*self.name)?;
        decode(&self.name, &row.ok_or_else(|| missing(&self.name))?)
    }

    /// Returns a builder for its changes, from the position that it has committed.
    ///
    /// # Errors
    ///
    /// Those of [`position`](Self::position).
    pub fn changes(&self) -> Result<ChangesBuilder> {
        Ok(ChangesBuilder::new(self.keyspace.core()).from(self.position()?))
    }

    /// Commits a position: that of the last commit's [`end`](crate::changes::Commit::end), or a
    /// [`watermark`](crate::changes::Changes::watermark). What is before it is not returned to this
    /// consumer again; what was returned beyond it is, if it begins again: each commit at least once.
    ///
    /// Writes nothing if the consumer has this position already. A write like any other, with the
    /// durability of the store's options: a power cut may leave an earlier position.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for a position before the present one or beyond
    /// the log's end; [`NotFound`](ErrorKind::NotFound) if it was deleted; those of
    /// [`Keyspace::put`].
    pub fn commit(&self, position: Position) -> Result<()> {
        let present = self.position()?;
        let end = self.keyspace.core().catalog.log.end();
        if position < present || position > end {
            return Err(self.cannot_commit(position, present, end));
        }
        if position == present {
            return Ok(());
        }
        self.keyspace.put(&*self.name, encode(position))
    }

    /// Adds the position to a batch: it is committed with what else is in it, or not at all. If that
    /// is all that was done for the commits before the position, each of them counts exactly once.
    ///
    /// The position is not checked. Where several readers of the consumer may be at work, also
    /// [require](Self::require_in) that it is where the work of the batch begins.
    pub fn commit_in(&self, batch: &mut Batch, position: Position) {
        batch.put(&self.keyspace, &*self.name, encode(position));
    }

    /// Adds a condition to a batch, which [`Store::write_if`] checks: that the consumer has committed
    /// this position, and no other. With the position at which the work of the batch begins, of several
    /// readers that have done the work of one commit a single one writes it.
    ///
    /// ```
    /// # use annulus::changes::ChangesFrom;
    /// # use annulus::{Batch, Store, topology::KeyspaceSpec};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// # let names = store.create_keyspace("names", KeyspaceSpec::hash())?;
    /// # let counts = store.create_keyspace("counts", KeyspaceSpec::hash())?;
    /// let consumer = store.consumer_or_create("counts", ChangesFrom::Now)?;
    /// names.put("ada", "Augusta Ada King")?;
    ///
    /// let mut changes = consumer.changes()?.keyspace(&names).open()?;
    /// let from = changes.watermark();
    /// let commit = changes.next().expect("the store is open")?;
    /// let mut batch = Batch::new();
    /// batch.add(&counts, "changes", commit.changes().count() as i64);
    /// consumer.require_in(&mut batch, from);
    /// consumer.commit_in(&mut batch, commit.end());
    /// assert!(store.write_if(batch.clone())?.is_written());
    /// assert!(!store.write_if(batch)?.is_written());
    /// assert_eq!(counts.add("changes", 0)?, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn require_in(&self, batch: &mut Batch, position: Position) {
        batch.require(&self.keyspace, &*self.name, Expect::Value(&encode(position)));
    }

    /// Commits the work of a part of the log in a transaction: the consumer's position is the end of
    /// the part when the transaction is committed, with what it has written, or nothing of it is
    /// there. For work that reads what it changes, or on what else has been written.
    ///
    /// The part begins where the consumer is: at the [`watermark`](crate::changes::Changes::watermark)
    /// with which its changes begin, and later at the end of the part before. The transaction relies on
    /// that. So **each commit counts exactly once, whatever number of readers the consumer has**, and
    /// however many commits one transaction does the work of: of two parts that overlap, one takes
    /// effect, and the other is refused.
    ///
    /// ```
    /// use annulus::changes::ChangesFrom;
    /// # use annulus::{ErrorKind, Store, topology::KeyspaceSpec};
    ///
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// let names = store.create_keyspace("names", KeyspaceSpec::hash())?;
    /// let counts = store.create_keyspace("counts", KeyspaceSpec::hash())?;
    /// let consumer = store.consumer_or_create("counts", ChangesFrom::Now)?;
    /// names.put("ada", "Augusta Ada King")?;
    ///
    /// let mut changes = consumer.changes()?.keyspace(&names).open()?;
    /// let from = changes.watermark();
    /// let commit = changes.next().expect("the store is open")?;
    /// let count = || {
    ///     store.transact(|tx| {
    ///         tx.add(&counts, "changes", commit.changes().count() as i64)?;
    ///         consumer.commit_within(tx, from..commit.end())
    ///     })
    /// };
    /// count()?;
    /// assert_eq!(count().unwrap_err().kind(), ErrorKind::Gone);
    /// assert_eq!(counts.add("changes", 0)?, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Gone`](ErrorKind::Gone) if the consumer is not where the part begins, because another reader
    /// has committed its work, or this one has: return this error from the closure, so that nothing is
    /// written, and go on from its [position](Self::position). It is no
    /// [`Conflict`](ErrorKind::Conflict), with which the transaction would be run again, since what it
    /// would write again is done; that is the error of its commit, if the position is committed by
    /// another one in between. [`InvalidArgument`](ErrorKind::InvalidArgument) for a part that is empty
    /// or inverted, or that ends beyond the log; [`NotFound`](ErrorKind::NotFound) if the consumer was
    /// deleted; those of [`Transaction::get`] and [`Transaction::put`].
    pub fn commit_within(&self, transaction: &Transaction, part: Range<Position>) -> Result<()> {
        let row = transaction.get(&self.keyspace, &*self.name)?;
        let present = decode(&self.name, &row.ok_or_else(|| missing(&self.name))?)?;
        let end = self.keyspace.core().catalog.log.end();
        if part.is_empty() || part.end > end {
            return Err(self.cannot_commit(part.end, present, end));
        }
        // IMPORTANT: neither a later position nor an earlier one. What is between would count twice, or
        // not at all.
        if part.start != present && !failpoint::skip("consumer-within") {
            let (name, Range { start, end }) = (&self.name, part);
            let text = format!(
                "consumer `{name}` has committed {present}, so the work from {start} to {end} may not \
                 be written: it was done in part, or not from where the consumer is; go on from {present}"
            );
            return Err(Error::new(ErrorKind::Gone, text));
        }
        transaction.put(&self.keyspace, &*self.name, encode(part.end))
    }

    #[cold]
    fn cannot_commit(&self, position: Position, present: Position, end: Position) -> Error {
        Error::invalid(format!(
            "consumer `{}` is at position {present} and the log ends at {end}; it cannot commit \
             {position}",
            self.name
        ))
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Store {
    /// Returns the consumer with a name.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) if there is none.
    pub fn consumer(&self, name: &str) -> Result<Consumer> {
        let keyspace = own_keyspace(self.core())?.ok_or_else(|| missing(name))?;
        let consumer = Consumer { keyspace, name: name.into() };
        consumer.position()?;
        Ok(consumer)
    }

    /// Returns the consumer with a name, or creates it if there is none; only then does it matter
    /// where it begins. It is durable when this returns.
    ///
    /// The first consumer of a store creates a keyspace, `annulus/consumers`, with one partition.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for a name that is empty, longer than 255 bytes,
    /// or has control characters; those of [`ChangesBuilder::open`], of
    /// [`create_keyspace`](Self::create_keyspace) and of [`Keyspace::put`].
    pub fn consumer_or_create(&self, name: &str, from: impl Into<ChangesFrom>) -> Result<Consumer> {
        check_name("a consumer", name, NAME_BYTES_MAX)?;
        let core = self.core();
        let keyspace = match own_keyspace(core)? {
            Some(keyspace) => keyspace,
            None => match make_keyspace(core, CONSUMERS_KEYSPACE, KeyspaceSpec::range().into()) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    own_keyspace(core)?.ok_or_else(|| missing(name))?
                }
                made => made?,
            },
        };
        let consumer = Consumer { keyspace, name: name.into() };
        if consumer.keyspace.contains(name)? {
            return Ok(consumer);
        }
        refuse_while_running(core.catalog.home.id, "create a consumer")?;
        // IMPORTANT: held until the row is there. Between two looks at the rows the log would be freed
        // for a consumer that neither has one yet, nor is held any more.
        let _excluded = core.catalog.consumers.lock();
        if consumer.keyspace.get(name)?.is_none() {
            let held = self.changes().from(from).open()?;
            let row = encode(held.watermark());
            consumer.keyspace.put_with(name, row, Durability::Synced)?;
        }
        Ok(consumer)
    }

    /// Returns all consumers, by name.
    ///
    /// # Errors
    ///
    /// Those of [`Keyspace::scan`]; [`Damaged`](ErrorKind::Damaged) for a row that is none.
    pub fn consumers(&self) -> Result<Vec<ConsumerInfo>> {
        let catalog = &self.core().catalog;
        catalog.check_open()?;
        let end = catalog.log.end();
        let info = |(name, position): (String, Position)| ConsumerInfo {
            name,
            position,
            bytes_behind: end.get().saturating_sub(position.get()),
        };
        Ok(positions(catalog)?.into_iter().map(info).collect())
    }

    /// Deletes a consumer: the log is not kept for it any more. Durable when this returns.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) if there is none; those of [`Keyspace::delete`].
    pub fn delete_consumer(&self, name: &str) -> Result<()> {
        let consumer = self.consumer(name)?;
        refuse_while_running(self.core().catalog.home.id, "delete a consumer")?;
        let _excluded = self.core().catalog.consumers.lock();
        consumer.keyspace.delete_with(name, Durability::Synced)
    }
}

fn own_keyspace(core: &Arc<Core>) -> Result<Option<Keyspace>> {
    core.catalog.check_open()?;
    let Some(id) = core.catalog.consumers_keyspace.get() else { return Ok(None) };
    core.catalog.keyspace(*id).map(|state| Some(Keyspace::new(core, &state)))
}

fn missing(name: &str) -> Error {
    let text = format!("there is no consumer `{name}`; create it, or list those there are");
    Error::new(ErrorKind::NotFound, text)
}
