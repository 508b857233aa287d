//! Writes of one key: put, delete, compare-and-swap, update.

use super::late::{pass_gate, stripes_are_owned, wait_for_room};
use super::present::present;
use super::writer::{Writer, not_applied};
use crate::catalog::{Catalog, KeyRoute, KeyspaceState, OpenPartition, PassedGate};
use crate::engine::{Durability, Engine};
use crate::error::{Error, Result};
use crate::expiry::{ExpiringValue, PutLifetime, WriteMoment};
use crate::heat;
use crate::latch::{Current, HeldStripe, Routed, Site, enter};
use crate::log::{CommitLog, InFlight, Operation};
use crate::read::Value;
use crate::sampling::SampleTicket;
use std::time::Instant;

/// What [`Keyspace::compare_and_swap`](crate::Keyspace::compare_and_swap) or
/// [`Keyspace::put_if_absent`](crate::Keyspace::put_if_absent) did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "the swap may not have been made"]
pub enum Swap<V = Value> {
    /// The key had the expected value, or was absent as expected, and has the new one now.
    Swapped,
    /// The key had another value, given here, or was absent; nothing was changed.
    Found(Option<V>),
}

impl<V> Swap<V> {
    /// Returns true if the swap was made.
    #[must_use]
    pub const fn is_swapped(&self) -> bool {
        matches!(self, Self::Swapped)
    }

    /// Returns the value that the key had instead of the expected one; `None` if the swap was made,
    /// or if the key was absent.
    #[must_use]
    pub fn found(self) -> Option<V> {
        match self {
            Self::Swapped => None,
            Self::Found(found) => found,
        }
    }
}

/// A write of one key that is not yet routed.
struct KeyWrite<'a> {
    catalog: &'a Catalog,
    keyspace: &'a KeyspaceState,
    key: &'a [u8],
    deadline: Option<Instant>,
}

/// The same, routed.
struct RoutedKey<'a> {
    route: KeyRoute,
    write: &'a KeyWrite<'a>,
}

impl Site for KeyWrite<'_> {
    type Error = Error;
    type Gate<'a>
        = PassedGate<'a>
    where
        Self: 'a;
    type Routed<'a>
        = RoutedKey<'a>
    where
        Self: 'a;

    #[inline]
    fn pass_gate(&self) -> Result<PassedGate<'_>> {
        pass_gate(self.catalog, self.deadline)
    }

    #[inline]
    fn route(&self) -> Result<RoutedKey<'_>> {
        let route = self.keyspace.route(self.key);
        Ok(RoutedKey { route, write: self })
    }

    #[inline]
    fn check_writable(&self) -> Result<()> {
        self.catalog.check_writable()
    }
}

impl RoutedKey<'_> {
    #[inline]
    fn partition(&self) -> &OpenPartition {
        self.route.partition()
    }
}

impl Current for RoutedKey<'_> {
    type Error = Error;

    #[inline]
    fn is_current(&self) -> Result<bool> {
        self.route.is_current()
    }
}

impl Routed for RoutedKey<'_> {
    type Stripes<'a>
        = HeldStripe<'a>
    where
        Self: 'a;

    #[inline]
    fn has_room(&self) -> bool {
        !self.partition().shard.is_stalled()
    }

    fn wait_for_room(&self) -> Result<()> {
        wait_for_room(self.write.catalog, self.partition(), self.write.deadline)
    }

    #[inline]
    fn take_stripes(&self) -> Result<Option<HeldStripe<'_>>> {
        let partition = self.partition();
        let stripe = partition.state.latch.own(self.write.key, self.write.deadline);
        stripe.map(Some).ok_or_else(|| stripes_are_owned(partition))
    }
}

/// What is written to a key by itself: its new value as it is stored, or `None` to delete it.
#[derive(Clone, Copy)]
pub(super) struct KeyChange<'a> {
    pub(super) keyspace: &'a KeyspaceState,
    pub(super) key: &'a [u8],
    pub(super) value: Option<&'a [u8]>,
    pub(super) durability: Durability,
}

impl Writer<'_> {
    #[inline]
    fn key_write<'a>(&'a self, keyspace: &'a KeyspaceState, key: &'a [u8]) -> KeyWrite<'a> {
        KeyWrite { catalog: self.catalog, keyspace, key, deadline: self.deadline }
    }

    #[inline]
    pub(crate) fn put(
        &self,
        keyspace: &KeyspaceState,
        key: &[u8],
        value: &[u8],
        lifetime: PutLifetime,
        durability: Durability,
    ) -> Result<()> {
        self.catalog.check_value_bytes(value.len())?;
        keyspace.check_lifetime(lifetime)?;
        self.change(KeyChange { keyspace, key, value: Some(value), durability }, lifetime)
    }

    pub(crate) fn delete(
        &self,
        keyspace: &KeyspaceState,
        key: &[u8],
        durability: Durability,
    ) -> Result<()> {
        let lifetime = PutLifetime::Default;
        self.change(KeyChange { keyspace, key, value: None, durability }, lifetime)
    }

    /// Makes a change whose value is not yet as it is stored.
    #[inline]
    fn change(&self, change: KeyChange<'_>, lifetime: PutLifetime) -> Result<()> {
        let KeyChange { keyspace, key, value, .. } = change;
        self.catalog.check_key_bytes(key.len())?;
        if keyspace.has_indexes() {
            return self.change_indexed(change);
        }
        let sampled = self.sampler.begin();
        let site = self.key_write(keyspace, key);
        let written = enter(&site, |ticket| {
            if keyspace.has_indexes() {
                // Since a moment ago.
                return None;
            }
            let partition = ticket.routed().partition();
            if value.is_some()
                && let Err(error) = self.check_room(partition, keyspace.id())
            {
                return Some(Err(error));
            }
            let moment = WriteMoment::default();
            let stored = value.map(|value| keyspace.store(value, lifetime, &moment));
            let change = KeyChange { value: stored.as_deref(), ..change };
            Some(ticket.write(|| self.write_through(partition, change, &moment)))
        })?;
        let Some(written) = written else { return self.change_indexed(change) };
        self.record(sampled, change);
        written
    }

    pub(crate) fn compare_and_swap(
        &self,
        keyspace: &KeyspaceState,
        key: &[u8],
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
        durability: Durability,
    ) -> Result<Swap> {
        self.catalog.check_key_bytes(key.len())?;
        self.catalog.check_value_bytes(new.map_or(0, <[u8]>::len))?;
        let change = KeyChange { keyspace, key, value: new, durability };
        if keyspace.has_indexes() {
            return self.swap_indexed(change, expected);
        }
        let sampled = self.sampler.begin();
        let site = self.key_write(keyspace, key);
        let swap = enter(&site, |ticket| {
            if keyspace.has_indexes() {
                return Ok(None);
            }
            let partition = ticket.routed().partition();
            let moment = WriteMoment::default();
            let found = present(partition, key, &moment)?;
            let change = KeyChange { keyspace, key, value: None, durability };
            if found.as_deref() != expected {
                drop(ticket);
                self.record(sampled, change);
                return Ok(Some(Swap::Found(found)));
            }
            if new.is_some() {
                self.check_room(partition, keyspace.id())?;
            }
            let stored = new.map(|new| keyspace.store(new, PutLifetime::Default, &moment));
            let change = KeyChange { value: stored.as_deref(), ..change };
            let written = ticket.write(|| match new {
                // It is not there, as it should be.
                None if found.is_none() => Ok(()),
                _ => self.write_through(partition, change, &moment),
            });
            self.record(sampled, change);
            written.map(|()| Some(Swap::Swapped))
        })??;
        swap.map_or_else(|| self.swap_indexed(change, expected), Ok)
    }

    /// Reads a key and writes what `change` makes of it, `None` to delete it. Returns what the key
    /// has now.
    ///
    /// `change` runs while the stripe is owned, so it is called once, and no other write of the key
    /// comes in between.
    pub(crate) fn update<V: AsRef<[u8]>>(
        &self,
        keyspace: &KeyspaceState,
        key: &[u8],
        durability: Durability,
        change: impl FnOnce(Option<&[u8]>) -> Result<Option<V>>,
    ) -> Result<Option<V>> {
        self.catalog.check_key_bytes(key.len())?;
        if keyspace.has_indexes() {
            return self.update_indexed(keyspace, key, durability, change);
        }
        let sampled = self.sampler.begin();
        let site = self.key_write(keyspace, key);
        let mut change = Some(change);
        let updated = enter(&site, |ticket| {
            let Some(change) = change.take_if(|_| !keyspace.has_indexes()) else {
                return Ok(None);
            };
            let partition = ticket.routed().partition();
            let moment = WriteMoment::default();
            let found = present(partition, key, &moment)?;
            let new = change(found.as_deref())?;
            let value = new.as_ref().map(AsRef::as_ref);
            self.catalog.check_value_bytes(value.map_or(0, <[u8]>::len))?;
            if value.is_some() {
                self.check_room(partition, keyspace.id())?;
            }
            let store = |value| keyspace.store(value, PutLifetime::Default, &moment);
            let stored = value.map(store);
            let written = KeyChange { keyspace, key, value: stored.as_deref(), durability };
            let result = ticket.write(|| match value {
                // It is not there, as it should be.
                None if found.is_none() => Ok(()),
                _ => self.write_through(partition, written, &moment),
            });
            self.record(sampled, written);
            result.map(|()| Some(new))
        })??;
        match (updated, change) {
            (None, Some(change)) => self.update_indexed(keyspace, key, durability, change),
            (updated, _) => Ok(updated.flatten()),
        }
    }

    /// Writes through the cache of hot keys if there is one.
    #[inline]
    fn write_through(
        &self,
        partition: &OpenPartition,
        change: KeyChange<'_>,
        moment: &WriteMoment,
    ) -> Result<()> {
        let KeyChange { keyspace, key, value, .. } = change;
        let write = || self.write(partition, change, moment);
        match self.cache {
            Some(cache) => cache.write_through(keyspace.id(), key, value, write),
            None => write(),
        }
    }

    #[inline]
    fn write<'a>(
        &'a self,
        partition: &OpenPartition,
        change: KeyChange<'_>,
        moment: &WriteMoment,
    ) -> Result<()> {
        let KeyChange { keyspace, key, value, durability } = change;
        let logs_old_value = keyspace.logs_old_values();
        let expires = keyspace.expiring().is_some();
        let (shard, handle, keyspace) = (&partition.shard, &partition.handle, keyspace.id());
        let operation = match value {
            Some(value) if expires => {
                Operation::PutUntil { keyspace, key, value: ExpiringValue::new(value) }
            }
            Some(value) => Operation::Put { keyspace, key, value },
            None => Operation::Delete { keyspace, key },
        };
        let apply = |in_flight: &InFlight<'_>| {
            let applied = match value {
                Some(value) => shard.put(handle, key, value),
                None => shard.delete(handle, key),
            };
            applied.map_err(|error| {
                partition.fall_behind(in_flight.start(), &error);
                not_applied(partition.owner, error)
            })
        };
        if logs_old_value {
            // The stripe is held: it is the value before this write.
            let value = present(partition, key, moment)?;
            let previous = Operation::Previous { keyspace, key, value: value.as_deref() };
            let append = |log: &'a CommitLog| log.append([previous, operation].into_iter());
            return self.log_and_apply(append, durability, apply);
        }
        let append = |log: &'a CommitLog| log.append(std::iter::once(operation));
        self.log_and_apply(append, durability, apply)
    }

    /// Records a write if it is sampled.
    #[inline]
    fn record(&self, sampled: Option<SampleTicket>, change: KeyChange<'_>) {
        let KeyChange { keyspace, key, value, .. } = change;
        let bytes = key.len() + value.map_or(0, <[u8]>::len);
        self.sampler.end(sampled, keyspace.id(), key, heat::Operation::Write, bytes);
    }
}
