//! The number of files that the process may have open, and how a store divides it.
//!
//! A shard that cannot open a file refuses writes until its store is opened again, so a store must
//! not come near the limit. It raises the soft limit to the hard one. A third of what is free at
//! the opening is for the tables of its shards, which they open and close as they need them. The
//! rest is for what cannot be closed: the directory of each partition that was made since the
//! opening, which RocksDB holds open, logs, files that are being written, and what the application
//! opens. New partitions are refused before that runs short.

use crate::error::{Error, ErrorKind, Result};

/// The fewest files a shard keeps open. RocksDB takes no fewer.
const PER_SHARD_MIN: u64 = 20;

/// What must be left when partitions are made, so that shards can continue: a fraction of the
/// limit, and no fewer than `RESERVE_MIN`. Where flushes and merges lag behind, a shard has several
/// logs and a dozen files that are being written.
const RESERVE_PART: u64 = 8;
const RESERVE_MIN: u64 = 48;

/// Returns how many files the process may have open, or `None` if that is unlimited or cannot be
/// known. Raises the limit as far as the process may by itself.
pub(crate) fn raise_limit() -> Option<u64> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        if current == maximum {
            return current;
        }
        match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
            Ok(()) => maximum,
            // Some systems have a second bound.
            Err(_) => current,
        }
    }
    #[cfg(not(unix))]
    None
}

fn limit() -> Option<u64> {
    #[cfg(unix)]
    return rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(unix))]
    None
}

/// Returns how many files other than tables the process has open, or `None` if that cannot be
/// known.
fn open_besides_tables() -> Option<u64> {
    let open = std::fs::read_dir("/proc/self/fd").ok()?;
    let is_table = |entry: &std::io::Result<std::fs::DirEntry>| {
        let file = entry.as_ref().map(|entry| std::fs::read_link(entry.path()));
        file.is_ok_and(|file| {
            file.is_ok_and(|file| file.extension().is_some_and(|extension| extension == "sst"))
        })
    };
    u64::try_from(open.filter(|entry| !is_table(entry)).count()).ok()
}

/// Returns how many tables each of n shards may keep open if no option sets it; `None` for all.
pub(crate) fn share(limit: Option<u64>, shards: usize) -> Option<u32> {
    let free = limit?.saturating_sub(open_besides_tables().unwrap_or(0));
    let share = free / 3 / (shards.max(1) as u64);
    Some(u32::try_from(share.max(PER_SHARD_MIN)).unwrap_or(u32::MAX))
}

/// Checks that there are descriptors for n more partitions, each of which takes one, next to those
/// of the tables that the store may have open.
///
/// # Errors
///
/// `Io` if there are not.
pub(crate) fn check_room(partitions: usize, tables: u64) -> Result<()> {
    let (Some(limit), Some(open)) = (limit(), open_besides_tables()) else { return Ok(()) };
    // An option may ask for more than half of the limit; the application that set it is responsible
    // for it.
    let tables = tables.min(limit / 2);
    let reserve = (limit / RESERVE_PART).max(RESERVE_MIN);
    if open + tables + partitions as u64 + reserve <= limit {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Io,
        format!(
            "the process has {open} files open and may open {tables} tables, of {limit} files in \
             all; {partitions} more partitions would leave too few; nothing was changed; {REMEDY}"
        ),
    ))
}

const REMEDY: &str = "raise the limit (ulimit -n, LimitNOFILE), or lower option \
                      open_files_per_shard and open the store again, which needs fewer then";

/// Returns what to do about an error of the operating system if it is caused by a lack of
/// descriptors, to be appended to its message.
pub(crate) fn remedy(error: &std::io::Error) -> String {
    // EMFILE and ENFILE have these numbers on every Unix.
    if cfg!(unix) && matches!(error.raw_os_error(), Some(23 | 24)) {
        too_many()
    } else {
        String::new()
    }
}

/// The same, for an error of which only the text is known.
pub(crate) fn remedy_of_text(message: &str) -> String {
    if message.contains("Too many open files") { too_many() } else { String::new() }
}

fn too_many() -> String {
    let limit = limit().map_or_else(|| "not known".to_owned(), |limit| limit.to_string());
    format!("; the process's limit is {limit}: {REMEDY}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_share_a_third_of_what_is_free() {
        let open = open_besides_tables().unwrap_or(0);
        assert_eq!(share(None, 4), None);
        assert_eq!(share(Some(0), 4), Some(20));
        // Other tests open and close files at the same time.
        let share = share(Some(open + 1_200_000), 4).unwrap();
        assert!((99_000..=101_000).contains(&share), "{share}");
    }

    #[test]
    fn an_error_for_want_of_descriptors_names_the_limit_and_the_option() {
        for remedy in [
            remedy(&std::io::Error::from_raw_os_error(24)),
            remedy_of_text("IO error: While open a file: /a/1.sst: Too many open files"),
        ] {
            assert!(
                remedy.contains("open_files_per_shard") && remedy.contains("limit"),
                "{remedy}"
            );
        }
        assert_eq!(remedy(&std::io::Error::from_raw_os_error(2)), "");
    }
}
