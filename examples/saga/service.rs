//! A service with a store of its own, which answers each request once and remembers the answer.

use annulus::topology::KeyspaceSpec;
use annulus::{Keyspace, Result, Store, Transaction};
use std::path::Path;

/// Stock, payments or shipping: amounts by name, and what was answered.
pub(crate) struct Service {
    store: Store,
    pub(crate) amounts: Keyspace,
    answers: Keyspace,
}

impl Service {
    pub(crate) fn open(directory: &Path) -> Self {
        let store = Store::builder(directory).shards(1).open().unwrap();
        let keyspace = |name| store.keyspace_or_create(name, KeyspaceSpec::hash()).unwrap();
        Self { amounts: keyspace("amounts"), answers: keyspace("answers"), store }
    }

    /// Sets an amount at the beginning, once.
    pub(crate) fn begin_with(&self, name: &str, amount: i64) {
        let _ = self.amounts.put_if_absent(name, amount.to_le_bytes()).unwrap();
    }

    pub(crate) fn amount(&self, name: &str) -> i64 {
        self.amounts.add(name, 0).unwrap()
    }

    /// Does what an order asks for, and returns whether it was accepted; asked again, also at the same
    /// time or after a crash, it answers the same and does nothing.
    pub(crate) fn act(
        &self,
        order: &str,
        act: impl Fn(&Transaction) -> Result<bool>,
    ) -> Result<bool> {
        self.store.transact(|tx| {
            if let Some(answer) = tx.get(&self.answers, order)? {
                return Ok(*answer == *b"accepted");
            }
            let accepted = act(tx)?;
            tx.put(&self.answers, order, if accepted { "accepted" } else { "refused" })?;
            Ok(accepted)
        })
    }

    /// Undoes what was done for an order. What was not is refused from now on: a request that comes
    /// late, from a worker that has lost its lease, finds that answer.
    pub(crate) fn undo(
        &self,
        order: &str,
        undo: impl Fn(&Transaction) -> Result<()>,
    ) -> Result<()> {
        self.store.transact(|tx| {
            let answer = tx.get(&self.answers, order)?;
            if answer.is_some_and(|answer| *answer == *b"accepted") {
                undo(tx)?;
            }
            tx.put(&self.answers, order, "undone")
        })
    }

    /// Takes from an amount, if it is enough.
    pub(crate) fn take(&self, order: &str, name: &str, amount: i64) -> Result<bool> {
        self.act(order, |tx| {
            let is_enough = tx.add(&self.amounts, name, 0)? >= amount;
            if is_enough {
                tx.add(&self.amounts, name, -amount)?;
            }
            Ok(is_enough)
        })
    }

    pub(crate) fn give_back(&self, order: &str, name: &str, amount: i64) -> Result<()> {
        self.undo(order, |tx| tx.add(&self.amounts, name, amount).map(drop))
    }
}
