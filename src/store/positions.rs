//! The positions of consumers, as they are stored: rows of a keyspace of the store's own.

use crate::catalog::Catalog;
use crate::error::{Error, ErrorKind, Result};
use crate::log::Position;
use crate::read::{Bounds, Scan};
use std::ops::Bound;

/// The format of a row: this byte, and the position.
const FORMAT: u8 = 1;

/// Returns the positions of all consumers, by name.
pub(super) fn positions(catalog: &Catalog) -> Result<Vec<(String, Position)>> {
    let Some(id) = catalog.consumers_keyspace.get() else { return Ok(Vec::new()) };
    let keyspace = catalog.keyspace(*id)?;
    let all = Bounds::of(&(Bound::<&[u8]>::Unbounded, Bound::<&[u8]>::Unbounded))?;
    let mut scan = Scan::of_keyspace(&keyspace, &all)?;
    let mut positions = Vec::new();
    while let Some((name, row)) = scan.next_row()? {
        let name = String::from_utf8_lossy(name).into_owned();
        let position = decode(&name, row)?;
        positions.push((name, position));
    }
    Ok(positions)
}

/// Returns the row of a position.
pub(super) fn encode(position: Position) -> [u8; 9] {
    let [a, b, c, d, e, f, g, h] = position.get().to_le_bytes();
    [FORMAT, a, b, c, d, e, f, g, h]
}

/// Returns the position of a consumer from its row.
pub(super) fn decode(name: &str, row: &[u8]) -> Result<Position> {
    let position = match row.split_first() {
        Some((&FORMAT, position)) => position.try_into().ok().map(u64::from_le_bytes),
        _ => None,
    };
    position.map(Position::new).ok_or_else(|| {
        Error::new(
            ErrorKind::Damaged,
            format!("the position of consumer `{name}` cannot be read; delete the consumer"),
        )
    })
}
