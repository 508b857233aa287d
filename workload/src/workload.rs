//! The six core workloads of YCSB.

use crate::chooser::Distribution;
use serde::Serialize;
use std::fmt;

/// A core workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Workload {
    /// Half reads, half updates, Zipfian: a store of sessions
    A,
    /// 95 % reads, 5 % updates, Zipfian: tags of photos
    B,
    /// Reads, Zipfian: a cache of profiles
    C,
    /// 95 % reads of the latest, 5 % inserts: what users have posted
    D,
    /// 95 % scans of 1 to 100 rows, 5 % inserts, Zipfian: threads of conversations
    E,
    /// Half reads, half read-modify-writes, Zipfian: a database of users
    F,
}

/// How many of a hundred operations are of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[expect(missing_docs, reason = "each is the kind of that name")]
pub struct Mix {
    pub read: u8,
    pub update: u8,
    pub insert: u8,
    pub scan: u8,
    pub read_modify_write: u8,
}

/// The rows of a scan are from 1 to this, all equally likely.
pub(crate) const SCAN_ROWS_MAX: usize = 100;

impl Workload {
    /// All, in the order in which YCSB runs them on the same data: those that insert come last.
    pub const ALL: [Self; 6] = [Self::A, Self::B, Self::C, Self::F, Self::D, Self::E];

    /// Returns its operations.
    #[must_use]
    pub const fn mix(self) -> Mix {
        const NONE: Mix = Mix { read: 0, update: 0, insert: 0, scan: 0, read_modify_write: 0 };
        match self {
            Self::A => Mix { read: 50, update: 50, ..NONE },
            Self::B => Mix { read: 95, update: 5, ..NONE },
            Self::C => Mix { read: 100, ..NONE },
            Self::D => Mix { read: 95, insert: 5, ..NONE },
            Self::E => Mix { scan: 95, insert: 5, ..NONE },
            Self::F => Mix { read: 50, read_modify_write: 50, ..NONE },
        }
    }

    /// Returns how records are chosen for its operations.
    #[must_use]
    pub const fn distribution(self) -> Distribution {
        match self {
            Self::D => Distribution::Latest,
            _ => Distribution::Scrambled,
        }
    }

    /// Returns its position in [`ALL`](Self::ALL).
    #[must_use]
    pub fn place(self) -> usize {
        Self::ALL.iter().position(|workload| *workload == self).unwrap_or_default()
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
            Self::D => "D",
            Self::E => "E",
            Self::F => "F",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mix_is_whole() {
        for (place, workload) in Workload::ALL.into_iter().enumerate() {
            let Mix { read, update, insert, scan, read_modify_write } = workload.mix();
            assert_eq!(read + update + insert + scan + read_modify_write, 100);
            assert_eq!(workload.place(), place);
            assert!(insert == 0 || place >= 4, "those that insert come last");
        }
    }
}
