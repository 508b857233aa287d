//! The values that the keys of a batch have before it, for keyspaces that log them.

use super::batch::Op;
use super::key_states::KeyStates;
use super::present::present;
use super::routed::{ConcreteBatch, Previous, RoutedBatch};
use crate::catalog::Catalog;
use crate::error::Result;
use crate::expiry::WriteMoment;
use crate::log::Operation;

/// Reads the values before, of keyspaces that log them. The caller owns the stripes of all keys.
pub(super) fn previous(
    batch: &RoutedBatch<'_>,
    concrete: &ConcreteBatch<'_>,
    catalog: &Catalog,
    moment: &WriteMoment,
) -> Result<Previous> {
    let keyspaces = catalog.keyspaces();
    let logs = |op: &Op| keyspaces.get(&op.keyspace).is_some_and(|it| it.logs_old_values());
    // Once: whether a keyspace logs them may change meanwhile.
    let logged = batch.ops().iter().enumerate().filter(|(_, op)| logs(op));
    let logged: Vec<(usize, Operation<'_>)> =
        logged.filter_map(|(index, op)| Some((index, concrete.operation(index, op)?))).collect();
    let mut values = KeyStates::of(logged.iter().filter_map(|(_, operation)| match *operation {
        Operation::Put { keyspace, key, .. }
        | Operation::PutUntil { keyspace, key, .. }
        | Operation::Delete { keyspace, key } => Some((keyspace, key)),
        Operation::DeleteRange { .. } | Operation::Previous { .. } => None,
    }));
    let mut previous = Previous::new();
    for (index, operation) in logged {
        let (keyspace, key, value) = match operation {
            Operation::Put { keyspace, key, value } => (keyspace, key, Some(value)),
            Operation::PutUntil { keyspace, key, value } => (keyspace, key, Some(value.value())),
            Operation::Delete { keyspace, key } => (keyspace, key, None),
            Operation::DeleteRange { keyspace, start, end } => {
                values.set_range(keyspace, start, Some(end), None);
                continue;
            }
            Operation::Previous { .. } => continue,
        };
        let old = match values.get(keyspace, key) {
            Some(old) => old.map(<[u8]>::to_vec),
            None => {
                let found = present(batch.partition_of(index)?, key, moment)?;
                found.map(|value| value.to_vec())
            }
        };
        previous.insert(index, old);
        values.set(keyspace, key, value);
    }
    Ok(previous)
}
