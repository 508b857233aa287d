//! Beginning transactions, and running them again after conflicts.

use super::Transaction;
use crate::error::{Error, ErrorKind, Result};
use crate::store::Store;
use crate::store::deadline::late_error;
use crate::transaction::{Attempts, TransactionOptions};

impl Store {
    /// Begins a transaction with the default options. It sees the store as it is now.
    ///
    /// Cost: that of a [snapshot](Self::snapshot).
    ///
    /// # Errors
    ///
    /// Those of [`snapshot`](Self::snapshot).
    pub fn begin(&self) -> Result<Transaction> {
        self.begin_with(TransactionOptions::new())
    }

    /// Begins a transaction. Its options about attempts do not matter here.
    ///
    /// # Errors
    ///
    /// Those of [`begin`](Self::begin), and [`InvalidArgument`](ErrorKind::InvalidArgument) for
    /// options that are out of bounds.
    pub fn begin_with(&self, options: TransactionOptions) -> Result<Transaction> {
        Transaction::begin(self.core(), self.deadline, self.priority, options)
    }

    /// Runs a transaction with the default options, and runs it again after a conflict. Returns
    /// what `run` returned in the attempt that was committed.
    ///
    /// `run` may be called several times, and should have no effects other than through the
    /// transaction. If it returns an error, nothing is written. An error of kind
    /// [`Conflict`](ErrorKind::Conflict), which calls of the transaction may return, is a reason to run
    /// it again; any other one is returned. [`Transaction::abort`] makes an error to end with. Between
    /// attempts the thread sleeps, for a random time of up to 20 µs after the first conflict and up to
    /// 10 ms after many.
    ///
    /// A transaction that has met eight conflicts is run once with all other writes of the store
    /// waiting, so that a long one gets through, too:
    /// [`exclusive_after`](TransactionOptions::exclusive_after). IMPORTANT: `run` must not wait for
    /// another thread that writes to the store.
    ///
    /// ```
    /// # use annulus::{ErrorKind, Store, topology::KeyspaceSpec};
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// let accounts = store.create_keyspace("accounts", KeyspaceSpec::hash())?;
    /// let journal = store.create_keyspace("journal", KeyspaceSpec::range())?;
    /// accounts.add("alice", 100)?;
    ///
    /// let transfer = |amount: i64| {
    ///     store.transact(|tx| {
    ///         if tx.add(&accounts, "alice", -amount)? < 0 {
    ///             return Err(tx.abort("alice has not that much"));
    ///         }
    ///         tx.add(&accounts, "bob", amount)?;
    ///         let entries = tx.scan(&journal, ..)?.count();
    ///         tx.put(&journal, format!("{entries:08}"), format!("alice -> bob: {amount}"))
    ///     })
    /// };
    /// transfer(70)?;
    /// assert_eq!(transfer(70).unwrap_err().kind(), ErrorKind::Aborted);
    /// assert_eq!(accounts.add("alice", 0)?, 30);
    /// assert_eq!(journal.count()?, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Conflict`](ErrorKind::Conflict) if all attempts have met conflicts, or the time was up;
    /// those of [`begin`](Self::begin), of [`commit`](Transaction::commit), and of `run`.
    pub fn transact<T>(&self, run: impl FnMut(&Transaction) -> Result<T>) -> Result<T> {
        self.transact_with(TransactionOptions::new(), run)
    }

    /// Runs a transaction, and runs it again after a conflict, as the options say.
    ///
    /// # Errors
    ///
    /// Those of [`transact`](Self::transact), and [`InvalidArgument`](ErrorKind::InvalidArgument)
    /// for options that are out of bounds.
    pub fn transact_with<T>(
        &self,
        options: TransactionOptions,
        mut run: impl FnMut(&Transaction) -> Result<T>,
    ) -> Result<T> {
        let mut attempts = Attempts::new(options);
        loop {
            let gate = &self.core().catalog.gate;
            let exclude = || {
                let late =
                    || late_error("other writes, all of which the transaction is to keep waiting");
                gate.exclude(self.deadline).ok_or_else(late)
            };
            let exclusive = attempts.is_exclusive().then(exclude).transpose()?;
            let transaction = self.begin_with(options)?;
            let committed = match run(&transaction) {
                Ok(returned) => transaction.commit().map(|()| returned),
                Err(error) => Err(error),
            };
            drop(exclusive);
            match committed {
                Ok(returned) => return Ok(returned),
                Err(error) if error.kind() != ErrorKind::Conflict => return Err(error),
                Err(error) if !attempts.go_on() => return Err(given_up(attempts.failed(), error)),
                Err(_) => {}
            }
        }
    }
}

#[cold]
fn given_up(attempts: u32, cause: Error) -> Error {
    let text = format!(
        "each of {attempts} attempts at the transaction has met a conflict; nothing was written: try \
         again later, do less in it, or allow more attempts"
    );
    Error::new(ErrorKind::Conflict, text).with_source(cause)
}
