//! What a write that depends on a row reads of it.

use crate::catalog::OpenPartition;
use crate::engine::{Engine as _, Read};
use crate::error::Result;
use crate::expiry::WriteMoment;
use crate::read::Value;

/// Returns what a key of a partition has, at the moment of a write. The caller owns the key's stripe.
#[inline]
pub(super) fn present(
    partition: &OpenPartition,
    key: &[u8],
    moment: &WriteMoment,
) -> Result<Option<Value>> {
    let found = partition.shard.get(&partition.handle, key, Read::PRESENT)?.map(Value::new);
    match (found, &partition.expiring) {
        (Some(value), Some(expiring)) => value.unless_expired(moment.get(expiring)),
        (found, _) => Ok(found),
    }
}
