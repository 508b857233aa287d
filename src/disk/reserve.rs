//! How much room is kept on a disk, and when there is too little. Pure.

/// The share of a file system, as a divisor, that the reserve takes at most by default: of a small one
/// everything else would be little.
const SHARE_MAX: u64 = 20;

/// How much room is to be left on a disk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reserve {
    /// What the options say; `None` for the default, 0 for none.
    pub(crate) option: Option<u64>,
    /// What may be in memory and come to files yet.
    pub(crate) write_buffer_bytes: u64,
}

impl Reserve {
    /// Returns true if nothing is to be left.
    pub(crate) const fn is_off(&self) -> bool {
        matches!(self.option, Some(0))
    }

    /// Returns the reserve of a file system of this size: by default what is in memory, and as much again
    /// for the merging of files.
    pub(crate) fn bytes(&self, size: u64) -> u64 {
        let usual = self.write_buffer_bytes.saturating_mul(2).min(size / SHARE_MAX);
        self.option.unwrap_or(usual)
    }

    /// Returns whether a disk is low. One that was is so until it has an eighth more than the reserve:
    /// otherwise puts would be refused and accepted in turn.
    pub(crate) const fn is_low(was_low: bool, free: u64, reserve: u64) -> bool {
        let enough = if was_low { reserve.saturating_add(reserve / 8) } else { reserve };
        free < enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_default_is_in_proportion_to_memory_and_a_part_of_a_small_disk() {
        let reserve = |option| Reserve { option, write_buffer_bytes: 256 * MIB };
        assert_eq!(reserve(None).bytes(1 << 40), 512 * MIB);
        assert_eq!(reserve(None).bytes(100 * MIB), 5 * MIB);
        assert_eq!(reserve(Some(7)).bytes(100 * MIB), 7);
        assert!(reserve(Some(0)).is_off() && !reserve(None).is_off());
    }

    #[test]
    fn a_disk_that_was_low_needs_more_than_the_reserve() {
        for (was_low, free, low) in [
            (false, 800, false),
            (false, 799, true),
            (true, 800, true),
            (true, 899, true),
            (true, 900, false),
        ] {
            assert_eq!(Reserve::is_low(was_low, free, 800), low, "{was_low} {free}");
        }
        assert!(!Reserve::is_low(true, 0, 0));
    }
}
