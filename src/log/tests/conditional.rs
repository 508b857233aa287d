//! Records that are appended only if none since a position forbids it.

use super::*;
use crate::error::{Error, ErrorKind};

const THREADS: u32 = 4;
const ROUNDS: u32 = 1_000;

/// Each record says how many are before it. Threads that wait for the lock of the log have counted
/// before they waited.
#[test]
fn nothing_comes_between_the_last_record_that_was_admitted_and_the_new_one() {
    for access in ACCESSES {
        let directory = tempfile::tempdir().unwrap();
        let log = open(directory.path(), access);
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| append_counts(&log));
            }
        });
        let mut reader = log.read(log.first()).unwrap();
        let mut before = 0;
        while let Some(record) = reader.next().unwrap() {
            let said = record.operations().next().map(|operation| Owned::of(&operation));
            assert_eq!(said, Some(count(before)), "{access:?}");
            before += 1;
        }
        assert_eq!(before, THREADS * ROUNDS);
    }
}

fn count(before: u32) -> Owned {
    Owned::Put(1, before.to_be_bytes().to_vec(), Vec::new())
}

fn append_counts(log: &Arc<CommitLog>) {
    let mut reader = log.read(log.first()).unwrap();
    let mut before = 0;
    for _ in 0..ROUNDS {
        loop {
            while reader.next().unwrap().is_some() {
                before += 1;
            }
            let said = count(before);
            let admit = |_: &Record<'_>| {
                before += 1;
                Err(Error::new(ErrorKind::Conflict, "one more is before it"))
            };
            match log.append_after(std::iter::once(said.lent()), &mut reader, admit) {
                Ok(in_flight) => break drop(in_flight),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict),
            }
        }
    }
}

#[cfg(feature = "failpoints")]
#[test]
fn a_missing_look_at_the_last_records_is_noticed() {
    let test = "nothing_comes_between_the_last_record_that_was_admitted_and_the_new_one";
    for (skipped, passes) in [("", true), ("check-last-records", false)] {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("log::tests::conditional::{test}")])
            .env("ANNULUS_SKIP", skipped)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("running 1 test"), "{text}");
        assert_eq!(output.status.success(), passes, "without `{skipped}`: {text}");
    }
}
