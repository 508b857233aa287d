//! Histories of transactions on lists: each appends to lists and reads whole lists.

use std::collections::BTreeMap;

pub(super) type Key = usize;

/// Appended at most once, to one list.
pub(super) type Element = u64;

/// A step of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Append(Key, Element),
    /// The list of a key, empty if it is not there.
    Read(Key, Vec<Element>),
    /// A read of a range of keys: those that it covers, each with its list, empty if none was
    /// found.
    Scan(BTreeMap<Key, Vec<Element>>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Committed,
    Aborted,
    /// It may have been committed or not: the call has failed, or never returned.
    #[allow(dead_code, reason = "no call of the store's tests ends so; the checker knows it")]
    Unknown,
}

/// A transaction, and when it began and ended, by one clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Transaction {
    pub(super) began: u64,
    pub(super) ended: u64,
    pub(super) end: End,
    pub(super) steps: Vec<Step>,
}

impl Transaction {
    /// Returns what it appends to each list, in order.
    pub(super) fn appends(&self) -> BTreeMap<Key, Vec<Element>> {
        let mut appends: BTreeMap<Key, Vec<Element>> = BTreeMap::new();
        for step in &self.steps {
            if let Step::Append(key, element) = step {
                appends.entry(*key).or_default().push(*element);
            }
        }
        appends
    }

    /// Returns each read of a key, in order, with what the transaction had appended to its list by
    /// then, and whether it was part of a scan.
    pub(super) fn reads(&self) -> Vec<Read<'_>> {
        let (mut own, mut reads) = (BTreeMap::<Key, Vec<Element>>::new(), Vec::new());
        for step in &self.steps {
            match step {
                Step::Append(key, element) => own.entry(*key).or_default().push(*element),
                Step::Read(key, list) => reads.push(Read::new(*key, list, &own, false)),
                Step::Scan(lists) => {
                    reads.extend(lists.iter().map(|(key, list)| Read::new(*key, list, &own, true)));
                }
            }
        }
        reads
    }
}

/// A read of one list.
pub(super) struct Read<'a> {
    pub(super) key: Key,
    pub(super) list: &'a [Element],
    /// What its transaction had appended before.
    pub(super) own: Vec<Element>,
    /// Whether it is part of a scan: then that the list was absent is known of a range, not of a
    /// key.
    pub(super) scanned: bool,
}

impl<'a> Read<'a> {
    fn new(
        key: Key,
        list: &'a [Element],
        own: &BTreeMap<Key, Vec<Element>>,
        scanned: bool,
    ) -> Self {
        Self { key, list, own: own.get(&key).cloned().unwrap_or_default(), scanned }
    }

    /// Returns what others have appended; `None` if the list does not end with the transaction's
    /// own elements.
    pub(super) fn of_others(&self) -> Option<&'a [Element]> {
        self.list.strip_suffix(&self.own[..])
    }
}
