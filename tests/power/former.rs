//! Goal: files of an earlier revision open, and what it acknowledged is there. Method: stores that
//! such a revision left when its process was killed, with the notes of its operations, are
//! unpacked, opened, compared with the notes, written to, reshaped and opened again.
//!
//! `former/README.md` says which revisions they are of and how they were made.

use crate::check::End;
use crate::churn::quick_directory;
use crate::images::{Content, Figures, examine};
use crate::kills::history;
use crate::workload::Order;
use std::path::Path;
use std::process::Command;

#[test]
fn what_an_earlier_revision_left_is_opened() {
    let stores = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/power/former"));
    let archives: Vec<_> = stores
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "gz"))
        .collect();
    assert!(archives.len() >= 2, "{archives:?}");
    for archive in archives {
        let directory = quick_directory();
        let unpack = ["-xzf".as_ref(), archive.as_os_str(), "-C".as_ref()];
        let unpacked = Command::new("tar").args(unpack).arg(directory.path()).status().unwrap();
        assert!(unpacked.success(), "{}", archive.display());
        let order = Order {
            directory: directory.path().to_owned(),
            seed: 0,
            first: 1,
            lives: 1,
            steps: 0,
            links: true,
            faults: false,
        };
        let (history, figures) = (history(&order, Content::default()), Figures::default());
        assert!(history.acknowledged() > 100, "{}", archive.display());
        let examined = examine(&order.disk(), &history, usize::MAX, End::Process, true, &figures);
        examined.unwrap_or_else(|what| panic!("{}: {what}", archive.display()));
    }
}
