//! Transactions that are run once for a key: their response is kept, and repeats return it.
//!
//! The response is a row of a keyspace of the store's own, put by the transaction itself:
//!
//! | the process dies, or the power fails | a repeat |
//! |---|---|
//! | before the commit's record is in the log | runs the transaction: nothing of it is there |
//! | after | finds the response, and all that the transaction has written |
//!
//! Of two at the same time both find no row; the second to be committed meets a conflict, since the
//! absence that it has read has ended, and is run again: then it finds the row.

use crate::catalog::RESPONSES_KEYSPACE;
use crate::engine::Durability;
use crate::error::{Error, ErrorKind, Result};
use crate::store::keyspaces::make_keyspace;
use crate::store::{Keyspace, Store, Transaction};
use crate::topology::KeyspaceSpec;
use crate::transaction::TransactionOptions;
use std::time::Duration;

/// What [`Store::transact_once`] returns.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Once {
    /// What the transaction returned that was committed for the key, by this call or an earlier
    /// one.
    pub response: Vec<u8>,
    /// True if it was an earlier call, so that this one has changed nothing.
    pub repeated: bool,
}

impl Store {
    /// Runs a transaction as [`transact`](Self::transact) does, unless one was committed for this
    /// key before: then it changes nothing, and returns the response of that one. So a request that
    /// comes with a key of its own may be sent again, after a timeout or a crash, and takes effect
    /// once.
    ///
    /// The response is kept in the same commit as all that `run` writes through the transaction,
    /// for `keep_for` from then on by the [store's time](Self::now): for so long repeats are known,
    /// also concurrent ones and those after a crash, as far as the commit itself is. After that the
    /// key is free. If `run` or the commit fails, nothing is kept, and a repeat runs again.
    ///
    /// A repeat is known by its key alone. It must be the caller's own, such as `user/request id`:
    /// all calls of a store share the keys. Responses are in a keyspace of the store,
    /// `annulus/responses`, which the first call creates and feeds of changes leave out.
    ///
    /// ```
    /// # use annulus::{Store, topology::KeyspaceSpec};
    /// # use std::time::Duration;
    /// # fn main() -> annulus::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = Store::open(directory.path().join("store"))?;
    /// let accounts = store.create_keyspace("accounts", KeyspaceSpec::hash())?;
    /// let deposit = || {
    ///     store.transact_once("alice/request 7", Duration::from_secs(86_400), |tx| {
    ///         Ok(tx.add(&accounts, "alice", 100)?.to_string())
    ///     })
    /// };
    /// assert!(!deposit()?.repeated);
    /// let again = deposit()?;
    /// assert_eq!((again.response.as_slice(), again.repeated), (&b"100"[..], true));
    /// assert_eq!(accounts.add("alice", 0)?, 100);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Cost: that of the transaction, a read and a row more; of a repeat, a snapshot and a read.
    /// With [`Synced`](Durability::Synced), a repeat returns when the first commit is synced, too.
    ///
    /// # Errors
    ///
    /// Those of [`transact`](Self::transact), and of [`create_keyspace`](Self::create_keyspace) in
    /// the first call; [`InvalidArgument`](ErrorKind::InvalidArgument) for a key or a response that
    /// is too long, or if `keep_for` is zero.
    pub fn transact_once<R: Into<Vec<u8>>>(
        &self,
        key: impl AsRef<[u8]>,
        keep_for: Duration,
        run: impl FnMut(&Transaction) -> Result<R>,
    ) -> Result<Once> {
        self.transact_once_with(TransactionOptions::new(), key, keep_for, run)
    }

    /// Runs a transaction once for a key, and runs it again after a conflict, as the options say.
    ///
    /// # Errors
    ///
    /// Those of [`transact_once`](Self::transact_once), and of
    /// [`transact_with`](Self::transact_with).
    pub fn transact_once_with<R: Into<Vec<u8>>>(
        &self,
        options: TransactionOptions,
        key: impl AsRef<[u8]>,
        keep_for: Duration,
        mut run: impl FnMut(&Transaction) -> Result<R>,
    ) -> Result<Once> {
        if keep_for.is_zero() {
            return Err(Error::invalid(
                "a response that is kept for no time is never found: keep it for as long as \
                 repeats may come",
            ));
        }
        let (key, responses) = (key.as_ref(), self.responses()?);
        let once = self.transact_with(options, |transaction| {
            if let Some(response) = transaction.get(&responses, key)? {
                return Ok(Once { response: response.to_vec(), repeated: true });
            }
            let response = run(transaction)?.into();
            transaction.put_for(&responses, key, &response, keep_for)?;
            Ok(Once { response, repeated: false })
        })?;
        let durability = options.durability.unwrap_or(self.options().durability);
        if once.repeated && durability == Durability::Synced {
            // The first call may have been content with less.
            self.core().catalog.log.sync()?;
        }
        Ok(once)
    }

    /// Returns the keyspace of responses, which is created if it is not there.
    fn responses(&self) -> Result<Keyspace> {
        let present = || {
            let catalog = &self.core().catalog;
            // Its number is noted before it is published, for those who wait for its creation.
            let keyspaces = catalog.keyspaces();
            let state = catalog.responses_keyspace.get().and_then(|id| keyspaces.get(id));
            state.map(|state| Keyspace::new(self.core(), state))
        };
        if let Some(keyspace) = present() {
            return Ok(keyspace);
        }
        let spec = KeyspaceSpec::hash().time_to_live_by_put();
        match make_keyspace(self.core(), RESPONSES_KEYSPACE, spec.into()) {
            // Another thread was first.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => present().ok_or(error),
            made => made,
        }
    }
}
