//! Decisions as text.

use super::{NoSplitReason, SplitDecision};
use std::fmt;

impl fmt::Display for SplitDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Median { at, left_share, scans_cut } => write!(
                f,
                "split at {at}: {:.1} % of the load lies before it, and it cuts {:.1} % of the scans",
                left_share * 100.0,
                scans_cut * 100.0
            ),
            Self::Isolate { place, share, scans_cut, .. } => write!(
                f,
                "a partition of its own for {place}: it has {:.1} % of the load, and no cut makes \
                 halves; {:.1} % of the scans are cut",
                share * 100.0,
                scans_cut * 100.0
            ),
            Self::Ahead { at, rising_share, load_share } => write!(
                f,
                "split ahead of the writes at {at}: {:.1} % of them went beyond all keys before \
                 them, {:.1} % of the load",
                rising_share * 100.0,
                load_share * 100.0
            ),
            Self::NotEnough { samples, wanted } => {
                write!(f, "no split: the profile is worth {samples:.1} samples, of {wanted} wanted")
            }
            Self::WouldNotHelp { reason } => write!(f, "no split: {reason}"),
        }
    }
}

impl fmt::Display for NoSplitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cold { load, wanted } => {
                write!(f, "{load:.1} operations a second, and less than {wanted:.1} is no load")
            }
            Self::Alone { place } => write!(f, "{place} is all there is in the partition"),
            Self::InTheWay { place, share, wanted } => write!(
                f,
                "{place} has {:.1} % of the load: too much to make halves, and less than the \
                 {:.1} % for a partition of its own",
                share * 100.0,
                wanted * 100.0
            ),
            Self::CutsScans { scans_cut, most } => write!(
                f,
                "every cut that would help cuts {:.1} % of the scans or more, of {:.1} % allowed",
                scans_cut * 100.0,
                most * 100.0
            ),
        }
    }
}
