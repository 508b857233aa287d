//! The column that says when rows expire.

use super::column::Column;
use super::format::KeyColumn;
use super::layout::Layout;
use super::reader::{Malformed, Row};
use crate::exit::{Failure, Outcome};
use annulus::Keyspace;
use annulus_workload::human;
use std::time::SystemTime;

/// The column of a file that says when each row expires: a moment, or nothing if it never does.
#[derive(Debug)]
pub(crate) struct Until {
    column: Column,
    layout: Layout,
}

impl Until {
    /// Finds the column, if one is wanted, and the file has a row.
    pub(crate) fn find(
        wanted: Option<&KeyColumn>,
        layout: Option<&Layout>,
    ) -> Outcome<Option<Self>> {
        let (Some(wanted), Some(layout)) = (wanted, layout) else { return Ok(None) };
        let column = Column::find(wanted, layout)?;
        Ok(Some(Self { column, layout: layout.clone() }))
    }

    /// Takes the column out of a row. Returns the row without it, and when it expires.
    pub(crate) fn take(&self, row: Row) -> Result<(Row, Option<SystemTime>), Malformed> {
        let malformed = |problem| Malformed { line: row.last_line, problem };
        let taken = self.column.take(&self.layout, &row.value);
        let (field, value) = taken
            .ok_or_else(|| malformed("it has no column that says when it expires".to_owned()))?;
        let until = match std::str::from_utf8(&field) {
            Ok("") => None,
            text => Some(text.ok().and_then(human::parse_date).ok_or_else(|| {
                let field = crate::text::escape(&field);
                malformed(format!("`{field}` is no time such as 2026-11-22T02:33:24.071Z"))
            })?),
        };
        Ok((Row { value, ..row }, until))
    }

    /// Returns a value with the column that says when it expires.
    pub(crate) fn put(&self, value: &[u8], until: Option<SystemTime>) -> Result<Vec<u8>, String> {
        let field = until.map(human::precise_date).unwrap_or_default();
        if human::parse_date(&field) != until {
            return Err("it expires later than a date can say".into());
        }
        self.column.put(&self.layout, value, field.as_bytes())
    }
}

/// Refuses a keyspace whose rows do not expire.
pub(crate) fn check_rows_expire(keyspace: &Keyspace) -> Outcome<()> {
    if keyspace.time_to_live().is_some() {
        return Ok(());
    }
    let name = keyspace.name();
    Err(Failure::usage(format!(
        "the rows of keyspace `{name}` do not expire: leave --until-column out, or create a keyspace \
         with --ttl"
    )))
}
