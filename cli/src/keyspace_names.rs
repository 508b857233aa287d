//! Names of keyspaces for what the log says of their numbers.

use crate::exit::{Failure, Outcome};
use crate::output::Output;
use crate::text;
use annulus::KeyspaceId;
use annulus::log::LogView;
use std::collections::BTreeMap;

/// The names of the keyspaces of a store that may be open elsewhere.
pub(crate) struct KeyspaceNames<'a> {
    log: &'a LogView,
    names: BTreeMap<KeyspaceId, String>,
    /// The greatest number for which names were looked up.
    known: Option<KeyspaceId>,
}

impl<'a> KeyspaceNames<'a> {
    /// Reads the names; notes an error, after which keyspaces have only numbers.
    pub(crate) fn read(log: &'a LogView, output: &mut Output) -> Self {
        let names = log.keyspaces().unwrap_or_else(|error| {
            output.note(format_args!("keyspaces have only numbers: {error:#}"));
            BTreeMap::new()
        });
        let known = names.keys().next_back().copied();
        Self { log, names, known }
    }

    /// Reads the names again if there is a number among these that is greater than all that were
    /// there: the keyspace was created since.
    pub(crate) fn learn(&mut self, numbers: impl Iterator<Item = KeyspaceId>) {
        let greatest = numbers.max();
        if greatest > self.known {
            self.known = greatest;
            self.names.extend(self.log.keyspaces().unwrap_or_default());
        }
    }

    /// Returns the name of a keyspace, if it is known.
    pub(crate) fn get(&self, keyspace: KeyspaceId) -> Option<&str> {
        self.names.get(&keyspace).map(String::as_str)
    }

    /// Returns the name of a keyspace, or its number, as it is printed.
    pub(crate) fn show(&self, keyspace: KeyspaceId) -> String {
        match self.get(keyspace) {
            Some(name) => text::escape(name.as_bytes()).to_string(),
            None => keyspace.to_string(),
        }
    }

    /// Returns the number of a keyspace, by its name; of one that is gone, by its number.
    pub(crate) fn number(&self, name: &str) -> Outcome<KeyspaceId> {
        let named = self.names.iter().find(|(_, it)| *it == name).map(|(number, _)| *number);
        let number = || name.parse().ok().map(KeyspaceId).filter(|it| !self.names.contains_key(it));
        named.or_else(number).ok_or_else(|| {
            Failure::not_found(format!("there is no keyspace `{}`", text::escape(name.as_bytes())))
        })
    }
}
