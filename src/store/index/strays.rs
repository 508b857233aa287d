//! Indexes whose keyspaces are gone.
//!
//! A keyspace is dropped after its indexes, and none is declared meanwhile. Earlier versions allowed
//! that, and left the keyspace of the index's entries: hidden, since it is the store's own, and for ever.

use crate::catalog::{Catalog, stray_indexes};
use crate::os::failpoint;
use crate::store::findings::Leftover;
use crate::store::keyspaces::drop_closed;

/// Drops the indexes of keyspaces that are gone, in a store that is being opened and has replayed its
/// log. One that cannot be dropped is left for the next opening.
pub(in crate::store) fn drop_strays(catalog: &Catalog, recovered: &mut Vec<Leftover>) {
    if failpoint::skip("index-strays") {
        return;
    }
    let strays = stray_indexes(&catalog.keyspaces());
    for (of, index, entries) in strays {
        match drop_closed(catalog, &entries) {
            Ok(()) => {
                tracing::warn!(%index, keyspace = %of, "dropped the index of a keyspace that is gone");
                recovered.push(Leftover::Index { keyspace: of, index });
            }
            Err(error) => tracing::warn!(
                %index,
                keyspace = %of,
                error = format_args!("{error:#}"),
                "left the index of a keyspace that is gone behind"
            ),
        }
    }
}
