//! The phases of a reshape, and which may follow which.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The phase of a reshape.
///
/// ```text
/// Queued → Prepared → Seeding → CatchingUp ⇄ Sealed → Committed → Cleaned
///    └─────────┴──────────┴───────────┴─────────┴→ RolledBack
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Phase {
    /// It waits for its partitions, and for a place on its shards. Nothing is on disk yet.
    Queued,
    /// The intent is in the metadata, so that whatever follows can be undone.
    Prepared,
    /// The targets are made, by link or by copy; the log keeps what is written meanwhile.
    Seeding,
    /// Round by round, what was written meanwhile is read from the log and applied to the targets.
    CatchingUp,
    /// Writes wait; the last of them are applied to the targets, and the commit is synced.
    Sealed,
    /// The new topology is on disk and in use.
    Committed,
    /// The sources are gone.
    Cleaned,
    /// It ended before it was committed: the sources serve as before, the targets are gone.
    RolledBack,
}

impl Phase {
    /// Returns true if the other phase may follow this one: the table of legal transitions.
    #[must_use]
    pub(crate) const fn may_become(self, next: Self) -> bool {
        use Phase::{
            CatchingUp, Cleaned, Committed, Prepared, Queued, RolledBack, Sealed, Seeding,
        };
        matches!(
            (self, next),
            (Queued, Prepared | RolledBack)
                | (Prepared, Seeding | RolledBack)
                | (Seeding, CatchingUp | RolledBack)
                | (CatchingUp, Sealed | RolledBack)
                // Unsealed again, because sealing took too long.
                | (Sealed, CatchingUp | Committed | RolledBack)
                | (Committed, Cleaned)
        )
    }

    /// Returns true if no phase follows this one.
    #[must_use]
    pub const fn is_last(self) -> bool {
        matches!(self, Self::Cleaned | Self::RolledBack)
    }

    /// Returns a short name, stable across versions.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Prepared => "prepared",
            Self::Seeding => "seeding",
            Self::CatchingUp => "catching_up",
            Self::Sealed => "sealed",
            Self::Committed => "committed",
            Self::Cleaned => "cleaned",
            Self::RolledBack => "rolled_back",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Phase::{self, *};

    const ALL: [Phase; 8] =
        [Queued, Prepared, Seeding, CatchingUp, Sealed, Committed, Cleaned, RolledBack];

    #[test]
    fn every_phase_leads_to_an_end_and_none_back_from_the_commit() {
        for phase in ALL {
            let next: Vec<Phase> = ALL.into_iter().filter(|next| phase.may_become(*next)).collect();
            assert_eq!(next.is_empty(), phase.is_last(), "{phase} → {next:?}");
            // What is committed is never rolled back; what is not, always can be.
            let rolls_back = !matches!(phase, Committed | Cleaned | RolledBack);
            assert_eq!(phase.may_become(RolledBack), rolls_back, "{phase}");
            assert_eq!(phase.may_become(Committed), phase == Sealed, "{phase}");
        }
    }
}
