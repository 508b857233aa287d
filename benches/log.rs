//! A log with a mirror against one without: ratios.
//!
//! ```text
//! cargo bench --bench log                         both logs, and the mirror, in the temporary directory
//! cargo bench --bench log -- /disk1 /disk2        the logs on one disk, the mirror on another
//! cargo bench --bench log -- --quick              short rounds, to see whether it runs
//! ```
//!
//! Both sides are open at the same time and write in turns, A B B A …; each round yields one ratio.
//! Printed is the median of the ratios with its 95 % interval. Above 1 the log with the mirror is faster.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a bench"
)]

#[path = "support/mod.rs"]
mod support;
#[path = "support/turns.rs"]
mod turns;

use annulus::{Durability, Keyspace, LogMirror};
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::{annulus, key, options, value};

const ROWS: u64 = 20_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|it| it != "--bench").collect();
    let quick = arguments.iter().any(|it| it == "--quick" || it == "--test");
    let mut disks = arguments.iter().filter(|it| !it.starts_with("--")).map(PathBuf::from);
    let first = disks.next().unwrap_or_else(std::env::temp_dir);
    let second = disks.next().unwrap_or_else(|| first.clone());
    let below = |disk: &Path| tempfile::tempdir_in(disk).unwrap();
    let (first, second) = (below(&first), below(&second));
    let open = |name: &str, mirror: LogMirror| {
        annulus(&first.path().join(name), 2, 2, options().log_mirror(mirror))
    };
    let (_alone, without) = open("without", LogMirror::None);
    let (_both, with) = open("with", LogMirror::at(second.path().join("mirror")));
    let (turns, time) = if quick { (2, 20) } else { (30, 300) };
    for (durability, threads) in
        [(Durability::Buffered, 1), (Durability::Synced, 1), (Durability::Synced, 8)]
    {
        let side = |rows: &Keyspace, turn: usize| {
            let put = |n: u64| rows.put_with(key(n), value(n), durability).unwrap();
            turns::rate(ROWS, Duration::from_millis(time), threads, turn, put)
        };
        let name = format!("{durability:?}, {threads} threads");
        turns::compare(turns, &name, "/s", |turn| side(&with, turn), |turn| side(&without, turn));
    }
}
