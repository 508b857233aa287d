//! A cursor over one partition.

use super::handles::{OpenDb, Snapshot};
use super::names::own_key;
use crate::engine::Cursor;
use crate::error::Result;
use slatedb::{DbIterator, KeyValue};
use std::sync::Arc;
use std::time::Instant;

/// How many rows are taken from the engine at once, at most: entering it costs more than a row.
const AT_ONCE: usize = 256;

pub(crate) struct SlateCursor {
    rows: Option<DbIterator>,
    taken: Vec<KeyValue>,
    at: usize,
    /// How many rows are taken next time. A scan that ends early has not paid for many.
    next: usize,
    deadline: Option<Instant>,
    ended: Result<()>,
    open: Arc<OpenDb>,
    _snapshot: Option<Arc<Snapshot>>,
}

impl SlateCursor {
    /// Returns a cursor that stands on the first row.
    pub(super) fn new(
        rows: Option<DbIterator>,
        deadline: Option<Instant>,
        open: &Arc<OpenDb>,
        snapshot: Option<&Arc<Snapshot>>,
    ) -> Result<Self> {
        let mut cursor = Self {
            rows,
            taken: Vec::new(),
            at: 0,
            next: 1,
            deadline,
            ended: Ok(()),
            open: Arc::clone(open),
            _snapshot: snapshot.cloned(),
        };
        cursor.take_more();
        cursor.status()?;
        Ok(cursor)
    }

    fn take_more(&mut self) {
        self.taken.clear();
        self.at = 0;
        let Some(rows) = &mut self.rows else { return };
        let (wanted, taken) = (self.next, &mut self.taken);
        self.next = (self.next * 4).min(AT_ONCE);
        let take = async {
            while taken.len() < wanted {
                match rows.next().await? {
                    Some(row) => taken.push(row),
                    None => return Ok(true),
                }
            }
            Ok(false)
        };
        match self.open.wait("a scan", self.deadline, take) {
            Ok(false) => {}
            Ok(true) => self.rows = None,
            Err(error) => {
                // The rows that came before it are shown first.
                self.rows = None;
                self.ended = Err(error);
            }
        }
    }
}

impl Cursor for SlateCursor {
    #[inline]
    fn row(&self) -> Option<(&[u8], &[u8])> {
        self.taken.get(self.at).map(|row| (own_key(&row.key), &*row.value))
    }

    #[inline]
    fn key(&self) -> Option<&[u8]> {
        self.taken.get(self.at).map(|row| own_key(&row.key))
    }

    #[inline]
    fn advance(&mut self) {
        self.at += 1;
        if self.at >= self.taken.len() {
            self.take_more();
        }
    }

    fn status(&self) -> Result<()> {
        if self.key().is_some() { Ok(()) } else { self.ended.clone() }
    }
}
