//! What a process has used so far. Unlike rates, these figures hardly move while other processes
//! compete for the machine.

use std::time::Duration;

/// Processor time, and bytes written to disks and read from them, by all threads of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Usage {
    /// User and system time.
    pub(crate) processor: Duration,
    /// Bytes that went, or are to go, from the page cache to a disk; `None` if the system does not
    /// report it.
    pub(crate) written_bytes: Option<u64>,
    /// Bytes that came from a disk.
    pub(crate) read_bytes: Option<u64>,
}

impl Usage {
    /// Returns what this process has used since it was started.
    pub(crate) fn of_process() -> Self {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
        let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
        let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
        let field = |name: &str| {
            let value = io.lines().find_map(|line| line.strip_prefix(name))?;
            value.trim().parse::<u64>().ok()
        };
        // Of a file that was removed before it was written.
        let never_written = field("cancelled_write_bytes:").unwrap_or_default();
        Self {
            processor: Duration::new(seconds, nanos),
            written_bytes: field("write_bytes:").map(|all| all.saturating_sub(never_written)),
            read_bytes: field("read_bytes:"),
        }
    }

    /// Returns what was used since an earlier moment.
    pub(crate) fn since(self, before: Self) -> Self {
        let less = |now: Option<u64>, then: Option<u64>| Some(now?.saturating_sub(then?));
        Self {
            processor: self.processor.saturating_sub(before.processor),
            written_bytes: less(self.written_bytes, before.written_bytes),
            read_bytes: less(self.read_bytes, before.read_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_counted() {
        let before = Usage::of_process();
        let mut sum = 0_u64;
        while Usage::of_process().since(before).processor < Duration::from_millis(5) {
            sum = (0..10_000).fold(sum, |sum, n| std::hint::black_box(sum ^ n));
        }
        let file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut &file, &vec![sum as u8; 1 << 20]).unwrap();
        file.sync_all().unwrap();
        let used = Usage::of_process().since(before);
        // In a file system in memory, nothing goes to a disk.
        assert!(used.written_bytes.is_none_or(|bytes| bytes == 0 || bytes >= 1 << 20), "{used:?}");
    }
}
