//! Writes: buffered puts and deletes in the task where they need not wait, the rest on the pool.

use super::Keyspace;
use annulus::{Durability, KeyBounds, Result, Swap};
use std::time::{Duration, SystemTime};
use tokio::task::coop::consume_budget;

impl Keyspace {
    /// Puts a value: [`annulus::Keyspace::put`]. In the task, if it is buffered and
    /// [need not wait](annulus::Keyspace::put_at_once).
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Keyspace::put`] and of [`Store::run`](crate::Store::run), as of every
    /// write.
    pub async fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        let durability = self.inner().store().options().durability;
        self.put_with(key, value, durability).await
    }

    /// Puts a value with the given durability.
    ///
    /// # Errors
    ///
    /// Those of [`put`](Self::put).
    pub async fn put_with(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        durability: Durability,
    ) -> Result<()> {
        if durability == Durability::Buffered {
            self.begin_in_task().await?;
            if self.blocking().put_at_once(&key, &value)? {
                return Ok(());
            }
        }
        let (key, value) = (key.as_ref().to_vec(), value.as_ref().to_vec());
        self.run(move |keyspace| keyspace.put_with(key, value, durability)).await
    }

    /// Lets other tasks run if this one has done much, and refuses the operation after a shutdown.
    async fn begin_in_task(&self) -> Result<()> {
        consume_budget().await;
        self.inner().pool().check_open()
    }

    /// Puts a value for a time, at whose end the row has expired: [`annulus::Keyspace::put_for`].
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Keyspace::put_for`] and of [`Store::run`](crate::Store::run).
    pub async fn put_for(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        lifetime: Duration,
    ) -> Result<()> {
        let (key, value) = (key.as_ref().to_vec(), value.as_ref().to_vec());
        self.run(move |keyspace| keyspace.put_for(key, value, lifetime)).await
    }

    /// Puts a value for a time, with the given durability.
    ///
    /// # Errors
    ///
    /// Those of [`put_for`](Self::put_for).
    pub async fn put_for_with(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        lifetime: Duration,
        durability: Durability,
    ) -> Result<()> {
        let (key, value) = (key.as_ref().to_vec(), value.as_ref().to_vec());
        self.run(move |keyspace| keyspace.put_for_with(key, value, lifetime, durability)).await
    }

    /// Puts a value until a time, or for ever: [`annulus::Keyspace::put_until`].
    ///
    /// # Errors
    ///
    /// Those of [`put_for`](Self::put_for).
    pub async fn put_until(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        until: impl Into<Option<SystemTime>>,
    ) -> Result<()> {
        let (key, value, until) = (key.as_ref().to_vec(), value.as_ref().to_vec(), until.into());
        self.run(move |keyspace| keyspace.put_until(key, value, until)).await
    }

    /// Puts a value until a time, or for ever, with the given durability.
    ///
    /// # Errors
    ///
    /// Those of [`put_for`](Self::put_for).
    pub async fn put_until_with(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        until: impl Into<Option<SystemTime>>,
        durability: Durability,
    ) -> Result<()> {
        let (key, value, until) = (key.as_ref().to_vec(), value.as_ref().to_vec(), until.into());
        self.run(move |keyspace| keyspace.put_until_with(key, value, until, durability)).await
    }

    /// Deletes a key, if it is there: [`annulus::Keyspace::delete`]. In the task, as [`put`](Self::put).
    ///
    /// # Errors
    ///
    /// Those of [`put`](Self::put).
    pub async fn delete(&self, key: impl AsRef<[u8]>) -> Result<()> {
        let durability = self.inner().store().options().durability;
        self.delete_with(key, durability).await
    }

    /// Deletes a key with the given durability.
    ///
    /// # Errors
    ///
    /// Those of [`put`](Self::put).
    pub async fn delete_with(&self, key: impl AsRef<[u8]>, durability: Durability) -> Result<()> {
        if durability == Durability::Buffered {
            self.begin_in_task().await?;
            if self.blocking().delete_at_once(&key)? {
                return Ok(());
            }
        }
        let key = key.as_ref().to_vec();
        self.run(move |keyspace| keyspace.delete_with(key, durability)).await
    }

    /// Deletes all keys of a range: [`annulus::Keyspace::delete_range`].
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Keyspace::delete_range`] and of [`Store::run`](crate::Store::run).
    pub async fn delete_range(&self, range: impl KeyBounds + Send + 'static) -> Result<()> {
        self.run(|keyspace| keyspace.delete_range(range)).await
    }

    /// Puts a value if the key is absent: [`annulus::Keyspace::put_if_absent`].
    ///
    /// # Errors
    ///
    /// Those of [`put`](Self::put).
    pub async fn put_if_absent(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<Swap> {
        let (key, value) = (key.as_ref().to_vec(), value.as_ref().to_vec());
        self.run(|keyspace| keyspace.put_if_absent(key, value)).await
    }

    /// Puts a value for a time if the key is absent: [`annulus::Keyspace::put_if_absent_for`].
    ///
    /// # Errors
    ///
    /// Those of [`put_for`](Self::put_for).
    pub async fn put_if_absent_for(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        lifetime: Duration,
    ) -> Result<Swap> {
        let (key, value) = (key.as_ref().to_vec(), value.as_ref().to_vec());
        self.run(move |keyspace| keyspace.put_if_absent_for(key, value, lifetime)).await
    }

    /// Puts a value until a time, or for ever, if the key is absent:
    /// [`annulus::Keyspace::put_if_absent_until`].
    ///
    /// # Errors
    ///
    /// Those of [`put_for`](Self::put_for).
    pub async fn put_if_absent_until(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        until: impl Into<Option<SystemTime>>,
    ) -> Result<Swap> {
        let (key, value, until) = (key.as_ref().to_vec(), value.as_ref().to_vec(), until.into());
        self.run(move |keyspace| keyspace.put_if_absent_until(key, value, until)).await
    }

    /// Replaces a value if it is the expected one, by one that lives for a time from now on:
    /// [`annulus::Keyspace::compare_and_swap_for`].
    ///
    /// # Errors
    ///
    /// Those of [`put_for`](Self::put_for).
    pub async fn compare_and_swap_for(
        &self,
        key: impl AsRef<[u8]>,
        expected: Option<&[u8]>,
        new: impl AsRef<[u8]>,
        lifetime: Duration,
    ) -> Result<Swap> {
        let (key, new) = (key.as_ref().to_vec(), new.as_ref().to_vec());
        let expected = expected.map(<[u8]>::to_vec);
        self.run(move |keyspace| {
            keyspace.compare_and_swap_for(key, expected.as_deref(), new, lifetime)
        })
        .await
    }

    /// Replaces a value if it is the expected one, by one that lives until a time, or for ever:
    /// [`annulus::Keyspace::compare_and_swap_until`].
    ///
    /// # Errors
    ///
    /// Those of [`put_for`](Self::put_for).
    pub async fn compare_and_swap_until(
        &self,
        key: impl AsRef<[u8]>,
        expected: Option<&[u8]>,
        new: impl AsRef<[u8]>,
        until: impl Into<Option<SystemTime>>,
    ) -> Result<Swap> {
        let (key, new, until) = (key.as_ref().to_vec(), new.as_ref().to_vec(), until.into());
        let expected = expected.map(<[u8]>::to_vec);
        self.run(move |keyspace| {
            keyspace.compare_and_swap_until(key, expected.as_deref(), new, until)
        })
        .await
    }

    /// Replaces a value if it is the expected one: [`annulus::Keyspace::compare_and_swap`].
    ///
    /// # Errors
    ///
    /// Those of [`put`](Self::put).
    pub async fn compare_and_swap(
        &self,
        key: impl AsRef<[u8]>,
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<Swap> {
        let key = key.as_ref().to_vec();
        let (expected, new) = (expected.map(<[u8]>::to_vec), new.map(<[u8]>::to_vec));
        self.run(move |keyspace| {
            keyspace.compare_and_swap(key, expected.as_deref(), new.as_deref())
        })
        .await
    }

    /// Replaces a key's value by what `change` makes of it: [`annulus::Keyspace::update`], which says
    /// what `change` must not do.
    ///
    /// # Errors
    ///
    /// Those of [`put`](Self::put).
    ///
    /// # Panics
    ///
    /// If `change` does; nothing was written.
    pub async fn update<V: AsRef<[u8]> + Send + 'static>(
        &self,
        key: impl AsRef<[u8]>,
        change: impl FnOnce(Option<&[u8]>) -> Option<V> + Send + 'static,
    ) -> Result<Option<V>> {
        let key = key.as_ref().to_vec();
        self.run(|keyspace| keyspace.update(key, change)).await
    }

    /// Adds to a counter, and returns what it is then: [`annulus::Keyspace::add`].
    ///
    /// # Errors
    ///
    /// Those of [`annulus::Keyspace::add`] and of [`Store::run`](crate::Store::run).
    pub async fn add(&self, counter: impl AsRef<[u8]>, n: i64) -> Result<i64> {
        let counter = counter.as_ref().to_vec();
        self.run(move |keyspace| keyspace.add(counter, n)).await
    }
}
