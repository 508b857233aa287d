//! Goal: the tests that the documentation names for its claims about the disk exist. The table is
//! in `docs/reliability.md`; whether a test shows what it is named for, its reader decides.

use std::fs;
use std::path::Path;

/// Returns the words in backquotes of the second column of each row.
fn named(document: &str) -> Vec<&str> {
    let (_, rest) = document.split_once("## Claims about the disk and their tests").unwrap();
    let section = rest.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    let tests = rows.map(|row| row.rsplit('|').nth(1).unwrap());
    tests.flat_map(|tests| tests.split('`').skip(1).step_by(2)).collect()
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).ok()
}

/// Returns true if a test or protection exists. A test is named by its file and its function, a
/// protection as where it is left out.
fn is_there(name: &str, left_out: &str) -> bool {
    match name.split_once("::") {
        Some((file, function)) => {
            let test = format!("#[test]\nfn {function}()");
            read(file).is_some_and(|text| {
                let text: Vec<&str> = text.lines().map(str::trim).collect();
                text.join("\n").contains(&test)
            })
        }
        None => left_out.split('"').flat_map(|text| text.split(',')).any(|left| left == name),
    }
}

#[test]
fn each_claim_about_the_disk_names_tests_that_are_there() {
    let document = read("docs/reliability.md").unwrap();
    let left_out =
        ["tests/power/mutations.rs", "tests/store/commits.rs", "src/log/tests/damages.rs"];
    let left_out: String = left_out.iter().map(|file| read(file).unwrap()).collect();
    let named = named(&document);
    assert!(named.len() > 40, "{named:?}");
    let missing: Vec<_> = named.into_iter().filter(|name| !is_there(name, &left_out)).collect();
    assert!(missing.is_empty(), "docs/reliability.md names {missing:?}");
}
