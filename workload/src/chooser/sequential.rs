//! One record after the other, from the first again after the last.

/// Chooses every nth record in turn, so that n threads together choose all.
#[derive(Debug, Clone, Copy)]
pub struct Sequential {
    next: u64,
    step: u64,
}

impl Sequential {
    /// Begins with a record, and continues in steps.
    #[must_use]
    pub const fn new(first: u64, step: u64) -> Self {
        Self { next: first, step }
    }

    /// Returns the next record below `records`.
    #[inline]
    pub const fn choose(&mut self, records: u64) -> u64 {
        let records = if records == 0 { 1 } else { records };
        let chosen = self.next % records;
        self.next = self.next.wrapping_add(self.step);
        chosen
    }
}
