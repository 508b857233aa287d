//! How much of the log is kept for consumers, and for readers of changes.
//!
//! At an opening the log frees nothing until this was decided for the first time. Then the thread that
//! looks after the log decides again whenever a file is kept for no other reason. Positions are read
//! from their rows, however they were committed, so a commit need not notify anything.
//!
//! It affects neither an opening's replay nor flushes: what is kept so was released.

use super::core::Core;
use super::positions::positions;
use crate::catalog::Catalog;
use crate::log::{HoldLimits, Position};

/// Decides from where on the log is kept for consumers and readers of changes.
pub(super) fn retain_changes(catalog: &Catalog, limits: HoldLimits) {
    let _excluded = catalog.consumers.lock();
    let needed = match positions(catalog) {
        Ok(positions) => positions.iter().map(|(_, position)| *position).min(),
        Err(error) => {
            tracing::warn!(
                error = format_args!("{error:#}"),
                "cannot read the positions of consumers; the log is kept up to its limit"
            );
            Some(Position::default())
        }
    };
    catalog.log.retain(needed, limits);
}

impl Core {
    pub(super) fn hold_limits(&self) -> HoldLimits {
        let (bytes, age) = (self.options.changes_keep_bytes, self.options.changes_keep_for);
        HoldLimits { bytes, age }
    }
}
