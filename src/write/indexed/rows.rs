//! The rows of an indexed keyspace that a batch writes: what they were, and what they become.

use crate::catalog::KeyspaceState;
use crate::error::Result;
use crate::expiry::WriteMoment;
use crate::index::RowChange;
use crate::latch::Current;
use crate::placement::KeyRange;
use crate::read::{Bounds, Scan, Value};
use crate::write::Write;
use crate::write::counter::sum;
use crate::write::present::present;
use std::borrow::Cow;
use std::collections::btree_map::{BTreeMap, Entry};

/// A row of a batch: what it was, and what the batch has made of it so far.
pub(super) struct Row<'a> {
    old: Option<Value>,
    new: New<'a>,
}

enum New<'a> {
    Unchanged,
    Deleted,
    Value(Cow<'a, [u8]>),
}

impl Row<'_> {
    fn before(&self) -> Option<&[u8]> {
        self.old.as_deref()
    }

    fn after(&self) -> Option<&[u8]> {
        match &self.new {
            New::Unchanged => self.before(),
            New::Deleted => None,
            New::Value(value) => Some(value),
        }
    }

    pub(super) fn change<'r>(&'r self, key: &'r [u8]) -> RowChange<'r> {
        RowChange { key, old: self.before(), new: self.after() }
    }
}

/// Reads a row at the present. The caller owns it.
pub(super) fn read_row(keyspace: &KeyspaceState, key: &[u8]) -> Result<Option<Value>> {
    // Never asked: neither rows that have indexes nor entries expire.
    let moment = WriteMoment::default();
    loop {
        let route = keyspace.route(key)?;
        if let Some(found) = route.read(|| present(route.partition(), key, &moment))? {
            return Ok(found);
        }
    }
}

/// Returns the rows of a keyspace that operations change. The caller owns them.
pub(super) fn rows<'a>(
    keyspace: &KeyspaceState,
    ops: impl Iterator<Item = &'a Write>,
) -> Result<BTreeMap<Cow<'a, [u8]>, Row<'a>>> {
    let mut rows: BTreeMap<Cow<'a, [u8]>, Row<'a>> = BTreeMap::new();
    for write in ops {
        match write {
            Write::Put { key, value } => {
                row_of(&mut rows, keyspace, key)?.new = New::Value(Cow::Borrowed(value));
            }
            Write::Delete { key } => row_of(&mut rows, keyspace, key)?.new = New::Deleted,
            Write::Add { key, n } => {
                let row = row_of(&mut rows, keyspace, key)?;
                let after = sum(key, row.after(), *n)?;
                row.new = New::Value(Cow::Owned(after.to_le_bytes().to_vec()));
            }
            Write::DeleteRange { start, end, prefix } => {
                let range = KeyRange::new(start, end.as_ref());
                let deleted = rows.iter_mut().filter(|(key, _)| range.contains(key));
                deleted.for_each(|(_, row)| row.new = New::Deleted);
                let bounds = Bounds { range, prefix: prefix.clone() };
                // The rows are owned, so it sees the present.
                let mut scan = Scan::of_keyspace(keyspace, &bounds)?;
                while let Some((key, value)) = scan.next_row()? {
                    rows.entry(Cow::Owned(key.to_vec())).or_insert_with(|| Row {
                        old: Some(Value::owned(value)),
                        new: New::Deleted,
                    });
                }
            }
        }
    }
    Ok(rows)
}

fn row_of<'r, 'a>(
    rows: &'r mut BTreeMap<Cow<'a, [u8]>, Row<'a>>,
    keyspace: &KeyspaceState,
    key: &'a [u8],
) -> Result<&'r mut Row<'a>> {
    match rows.entry(Cow::Borrowed(key)) {
        Entry::Occupied(row) => Ok(row.into_mut()),
        Entry::Vacant(row) => {
            let old = read_row(keyspace, key)?;
            Ok(row.insert(Row { old, new: New::Unchanged }))
        }
    }
}
