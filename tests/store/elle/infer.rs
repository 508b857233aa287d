//! What follows from a history: the order of each list, what depends on what, and what is wrong
//! already without a cycle.

use super::cycles::{Edge, Graph};
use super::history::{Element, End, Key, Transaction};
use std::collections::{BTreeMap, BTreeSet};

/// What must not be in a history, after Adya (1999), and Kingsbury and Alvaro (2020).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Anomaly {
    /// A transaction does not see its own appends, or sees two states of one list.
    Internal,
    /// A list has an element twice, or one that no transaction has appended.
    Garbage,
    /// Two reads of a list of which neither is the beginning of the other.
    Forked,
    /// A committed append is in no later read of its list.
    Lost,
    /// A read of what an aborted transaction has appended.
    G1a,
    /// A read of what a transaction has appended in between.
    G1b,
    /// A cycle of writes after writes.
    G0,
    /// A cycle of writes after writes, and reads of writes.
    G1c,
    /// A cycle with one read of what is overwritten: lost updates, for example.
    GSingle,
    /// A cycle with several of them, none right after another.
    GNonadjacent,
    /// A cycle with several of them, of single keys: write skew.
    G2Item,
    /// The same with one that has read a range: a phantom.
    G2,
}

/// An anomaly, with what shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) anomaly: Anomaly,
    pub(super) text: String,
}

impl Found {
    pub(super) fn new(anomaly: Anomaly, text: String) -> Self {
        Self { anomaly, text }
    }
}

/// What a history says about its lists.
pub(super) struct Inferred<'a> {
    history: &'a [Transaction],
    /// Which transaction has appended an element, and whether it is the last of its own in the
    /// list.
    writers: BTreeMap<(Key, Element), (usize, bool)>,
    /// The longest read of each list.
    lists: BTreeMap<Key, Vec<Element>>,
    pub(super) found: Vec<Found>,
}

impl<'a> Inferred<'a> {
    pub(super) fn of(history: &'a [Transaction]) -> Self {
        let mut inferred =
            Self { history, writers: BTreeMap::new(), lists: BTreeMap::new(), found: Vec::new() };
        inferred.note_writers();
        inferred.note_lists();
        inferred.check_reads();
        inferred.check_lost();
        inferred
    }

    fn find(&mut self, anomaly: Anomaly, text: String) {
        self.found.push(Found::new(anomaly, text));
    }

    /// Those whose reads count: what an aborted transaction has read, no one relies on.
    fn not_aborted(&self) -> impl Iterator<Item = (usize, &'a Transaction)> + use<'a> {
        self.history.iter().enumerate().filter(|(_, it)| it.end != End::Aborted)
    }

    fn note_writers(&mut self) {
        for (index, transaction) in self.history.iter().enumerate() {
            for (key, elements) in transaction.appends() {
                for (place, element) in elements.iter().enumerate() {
                    let entry = (index, place + 1 == elements.len());
                    let before = self.writers.insert((key, *element), entry);
                    assert!(before.is_none(), "the test appends {element} to {key} twice");
                }
            }
        }
    }

    fn note_lists(&mut self) {
        for (index, transaction) in self.not_aborted() {
            for read in transaction.reads() {
                // Its own elements are in the order of the list only if it was committed.
                let list = read.of_others().unwrap_or(read.list);
                let longest = self.lists.entry(read.key).or_default();
                if list.len() > longest.len() {
                    list.clone_into(longest);
                }
                let unique: BTreeSet<_> = list.iter().collect();
                if unique.len() < list.len() {
                    let text = format!("{index} reads an element twice in {}: {list:?}", read.key);
                    self.find(Anomaly::Garbage, text);
                }
            }
        }
    }

    fn check_reads(&mut self) {
        for (index, transaction) in self.not_aborted() {
            let mut seen: BTreeMap<Key, &[Element]> = BTreeMap::new();
            for read in transaction.reads() {
                let (key, list) = (read.key, read.list);
                let Some(of_others) = read.of_others() else {
                    let text = format!("{index} lacks its own appends in {key}: {list:?}");
                    self.find(Anomaly::Internal, text);
                    continue;
                };
                if *seen.entry(key).or_insert(of_others) != of_others {
                    let text = format!("{index} reads {key} differently the second time: {list:?}");
                    self.find(Anomaly::Internal, text);
                }
                if !self.lists[&key].starts_with(of_others) {
                    let text =
                        format!("{index} reads {key} as {list:?}, of {:?}", self.lists[&key]);
                    self.find(Anomaly::Forked, text);
                }
                self.check_elements(index, key, of_others);
            }
        }
    }

    /// Checks whether what was read was there to be read.
    fn check_elements(&mut self, index: usize, key: Key, list: &[Element]) {
        for (place, element) in list.iter().enumerate() {
            let Some((writer, last)) = self.writers.get(&(key, *element)).copied() else {
                self.find(Anomaly::Garbage, format!("{index} reads {element}, which none appends"));
                continue;
            };
            if self.history[writer].end == End::Aborted {
                let text = format!("{index} reads {element} of {writer}, which was aborted");
                self.find(Anomaly::G1a, text);
            }
            if place + 1 == list.len() && !last && writer != index {
                let text = format!("{index} reads {key} up to {element}, amid {writer}");
                self.find(Anomaly::G1b, text);
            }
        }
    }

    /// Checks that the lists have what was committed, if someone has read them since.
    fn check_lost(&mut self) {
        let mut last_read: BTreeMap<Key, u64> = BTreeMap::new();
        for (_, transaction) in self.not_aborted() {
            for read in transaction.reads() {
                let began = last_read.entry(read.key).or_default();
                *began = transaction.began.max(*began);
            }
        }
        for ((key, element), (writer, _)) in self.writers.clone() {
            let transaction = &self.history[writer];
            let is_read = self.lists.get(&key).is_some_and(|list| list.contains(&element));
            let later = last_read.get(&key).is_some_and(|began| *began > transaction.ended);
            if transaction.end == End::Committed && later && !is_read {
                let text = format!("{writer} has appended {element} to {key}, which lacks it");
                self.find(Anomaly::Lost, text);
            }
        }
    }

    /// Returns what depends on what.
    pub(super) fn graph(&self) -> Graph {
        let mut graph = Graph::new(self.history.len());
        self.add_writes(&mut graph);
        self.add_reads(&mut graph);
        self.add_times(&mut graph);
        graph
    }

    fn writer(&self, key: Key, element: Element) -> Option<usize> {
        self.writers.get(&(key, element)).map(|(writer, _)| *writer)
    }

    fn add_writes(&self, graph: &mut Graph) {
        for (key, list) in &self.lists {
            for pair in list.windows(2) {
                if let (Some(before), Some(after)) =
                    (self.writer(*key, pair[0]), self.writer(*key, pair[1]))
                {
                    graph.add(before, after, Edge::WriteWrite);
                }
            }
        }
    }

    fn add_reads(&self, graph: &mut Graph) {
        for (index, transaction) in self.not_aborted() {
            for read in transaction.reads() {
                let Some(of_others) = read.of_others() else { continue };
                let last = of_others.last().and_then(|last| self.writer(read.key, *last));
                if let Some(writer) = last {
                    graph.add(writer, index, Edge::WriteRead);
                }
                let edge = if read.scanned { Edge::ScanWrite } else { Edge::ReadWrite };
                let list = &self.lists[&read.key];
                // Its own elements may come next; the first that is another's has overwritten it.
                let later = list.iter().skip(of_others.len());
                let mut writers = later.filter_map(|next| self.writer(read.key, *next));
                if let Some(writer) = writers.find(|writer| *writer != index) {
                    graph.add(index, writer, edge);
                }
            }
        }
    }

    /// Adds edges from those that had ended to those that began afterwards: to each only from those
    /// of which no other edge says so already.
    fn add_times(&self, graph: &mut Graph) {
        let of = |(index, it): (usize, &Transaction)| {
            [(it.began, true, index), (it.ended, false, index)]
        };
        let mut moments: Vec<_> = self.not_aborted().flat_map(of).collect();
        moments.sort_unstable();
        let mut ended: BTreeSet<usize> = BTreeSet::new();
        let mut before: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for (_, begins, index) in moments {
            if begins {
                ended.iter().for_each(|earlier| graph.add(*earlier, index, Edge::Time));
                before.insert(index, ended.clone());
            } else if self.history[index].end == End::Committed {
                // The others may take effect at any later time.
                let implied = before.remove(&index).unwrap_or_default();
                ended.retain(|earlier| !implied.contains(earlier));
                ended.insert(index);
            }
        }
    }
}
