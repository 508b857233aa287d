//! Goal: a store of a format that this version cannot read is refused by name, says what to do, and
//! is left as it is. Method: stores that an earlier revision left when its process was killed are
//! unpacked and opened, for writing and read-only; all their files are compared before and after.
//!
//! `former/README.md` says which revisions they are of and how they were made.

use crate::churn::quick_directory;
use crate::workload::options;
use annulus::{ErrorKind, Store};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns all files and their content, except for the file that is locked, which names the process
/// that was the last to try.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut left = vec![directory.to_owned()];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(path.read_dir().unwrap().map(|entry| entry.unwrap().path()));
            found.insert(path, Vec::new());
        } else if !path.ends_with("LOCK") {
            let content = fs::read(&path).unwrap();
            found.insert(path, content);
        }
    }
    found
}

#[test]
fn a_store_of_an_earlier_format_is_refused_by_name() {
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
        let store = directory.path().join("disk/store");
        let before = files(&store);
        assert!(before.len() > 10, "{before:?}");
        for read_only in [false, true] {
            let builder = Store::builder(&store).options(options(false)).read_only(read_only);
            let error = builder.open().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Incompatible, "{error:#}");
            let text = format!("{error:#}");
            for word in [store.to_str().unwrap(), "format 1", "format 2", "export"] {
                assert!(text.contains(word), "`{word}` is not in: {text}");
            }
            assert!(files(&store) == before, "{}: something was changed", archive.display());
        }
    }
}
