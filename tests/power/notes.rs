//! Notes of the workload about its operations, outside of the store: each before it starts and
//! after it was acknowledged. The notes are in the journal among the calls, so it is known which of
//! them precede a cut.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Keyspace and key.
pub(crate) type Place = (String, String);
pub(crate) type Rows = BTreeMap<Place, Vec<u8>>;

/// What an operation does to one key: a value of this many bytes, or `None` to delete it.
pub(crate) type Effect = (Place, Option<usize>);

/// An operation on keys that only one writer writes to.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) id: u64,
    pub(crate) synced: bool,
    pub(crate) effects: Vec<Effect>,
    pub(crate) start: usize,
    /// When it was acknowledged.
    pub(crate) end: Option<usize>,
    /// Whether the topology changed in between.
    pub(crate) moved: bool,
    /// When a reader of changes had got it, as what no power cut takes back.
    pub(crate) published: Option<usize>,
}

/// Something with a start and, if it was acknowledged, an end.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: Option<usize>,
}

/// All that was noted.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// What existed durably before the first note.
    pub(crate) base: Rows,
    pub(crate) base_keyspaces: BTreeSet<String>,
    pub(crate) operations: Vec<Operation>,
    by_id: BTreeMap<u64, usize>,
    /// `Store::sync` and `Store::close`: what was acknowledged before them is durable after.
    pub(crate) syncs: Vec<Span>,
    /// When each opening was acknowledged.
    pub(crate) openings: Vec<usize>,
    pub(crate) created: BTreeMap<String, Span>,
    pub(crate) dropped: BTreeMap<String, Span>,
    /// When each requested reshape had ended, and before the next one.
    pub(crate) reshaped: Vec<usize>,
    pub(crate) errors: Vec<String>,
    /// Whether a call was made to fail.
    pub(crate) failed: bool,
    /// Whether there was an error since the last opening.
    erred: bool,
    /// Whether an operation was acknowledged after an error, without another opening.
    pub(crate) went_on: bool,
}

/// Returns the value that an operation writes to a key: its number, then bytes that nothing else
/// has.
pub(crate) fn value(id: u64, key: &str, bytes: usize) -> Vec<u8> {
    let salt =
        key.bytes().fold(id, |salt, byte| salt.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut random = fastrand::Rng::with_seed(salt);
    let mut value = id.to_le_bytes().to_vec();
    value.extend((0..bytes).map(|_| random.u8(..)));
    value
}

pub(crate) fn id_of(value: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(value.get(..8)?.try_into().ok()?))
}

/// Returns the note of an operation that starts.
pub(crate) fn starts(id: u64, synced: bool, effects: &[Effect]) -> String {
    let mut note = format!("S {id} {}", u8::from(synced));
    for ((keyspace, key), bytes) in effects {
        let _ = match bytes {
            Some(bytes) => write!(note, " {keyspace}:{key}={bytes}"),
            None => write!(note, " {keyspace}:{key}-"),
        };
    }
    note + "\n"
}

/// Returns the note of an operation that was acknowledged, and whether the topology changed in
/// between.
pub(crate) fn ends(id: u64, moved: bool) -> String {
    format!("E {id} {}\n", u8::from(moved))
}

/// Returns the note of an operation that a reader of changes has got.
pub(crate) fn published(id: u64) -> String {
    format!("P {id}\n")
}

impl History {
    /// Reads the notes of a journal; `notes` are their places and texts.
    pub(crate) fn read<'a>(
        base: (Rows, BTreeSet<String>),
        notes: impl Iterator<Item = (usize, &'a str)>,
    ) -> Self {
        let mut history = Self { base: base.0, base_keyspaces: base.1, ..Self::default() };
        for (at, line) in notes {
            history.note(at, line.trim_end());
        }
        history
    }

    fn note(&mut self, at: usize, line: &str) {
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        let close = |span: &mut Span| span.end = Some(at);
        let span = Span { start: at, end: None };
        match kind {
            "S" => {
                let mut words = rest.split(' ');
                let id = words.next().unwrap().parse().unwrap();
                let synced = words.next() == Some("1");
                let effects = words.map(effect).collect();
                self.by_id.insert(id, self.operations.len());
                self.operations.push(Operation {
                    id,
                    synced,
                    effects,
                    start: at,
                    end: None,
                    moved: false,
                    published: None,
                });
            }
            "E" => {
                let (id, moved) = rest.split_once(' ').unwrap();
                let operation = &mut self.operations[self.by_id[&id.parse().unwrap()]];
                (operation.end, operation.moved) = (Some(at), moved == "1");
                self.went_on |= self.erred;
            }
            "P" => {
                let operation = &mut self.operations[self.by_id[&rest.parse().unwrap()]];
                operation.published.get_or_insert(at);
            }
            "sync" => self.syncs.push(span),
            "synced" => self.syncs.last_mut().map(close).unwrap(),
            "opened" => {
                self.openings.push(at);
                self.erred = false;
            }
            "fault" => self.failed = true,
            "reshaped" => self.reshaped.push(at),
            "create" => drop(self.created.insert(rest.to_owned(), span)),
            "created" => self.created.get_mut(rest).map(close).unwrap(),
            "drop" => drop(self.dropped.insert(rest.to_owned(), span)),
            "dropped" => self.dropped.get_mut(rest).map(close).unwrap(),
            "error" => {
                self.errors.push(rest.to_owned());
                self.erred = true;
            }
            _ => panic!("a note `{line}`"),
        }
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.operations.iter().filter(|operation| operation.end.is_some()).count()
    }
}

fn effect(word: &str) -> Effect {
    let (keyspace, rest) = word.split_once(':').unwrap();
    let (key, bytes) = match rest.split_once('=') {
        Some((key, bytes)) => (key, Some(bytes.parse().unwrap())),
        None => (rest.strip_suffix('-').unwrap(), None),
    };
    ((keyspace.to_owned(), key.to_owned()), bytes)
}
