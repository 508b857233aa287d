//! Damage to a repository is found, named, and never restored.

use super::{assert_sound, files, fill, restored, rows_of};
use crate::basic::{both, quick_store};
use annulus::ErrorKind;
use annulus::backup::{Repository, RestoreOptions};
use std::path::{Path, PathBuf};

/// Changes one byte of a file, in its middle.
fn flip(path: &Path) {
    let mut content = std::fs::read(path).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 0x10;
    std::fs::write(path, content).unwrap();
}

/// Returns the files of a repository that have content which is checked.
fn checked(backups: &Path) -> Vec<PathBuf> {
    let all = files(backups).into_iter();
    all.filter(|file| file.parent().is_some_and(|it| it != backups)).collect()
}

#[test]
fn every_damaged_file_is_named_and_refused() {
    let (directory, store) = quick_store();
    let backups = directory.path().join("backups");
    let [hash, range] = both(&store);
    fill(&hash, 0..60, 1);
    store.backup(&backups).unwrap();
    fill(&range, 0..60, 2);
    store.backup(&backups).unwrap();
    assert_sound(&backups);
    let repository = Repository::open(&backups).unwrap();
    let mut tried = 0;
    for file in checked(&backups).into_iter().step_by(3) {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let is_log = file.extension().is_some_and(|it| it == "log");
        if is_log {
            // Its middle is a hole.
            continue;
        }
        let sound = std::fs::read(&file).unwrap();
        let damages: [&dyn Fn(); 3] = [
            &|| flip(&file),
            &|| std::fs::write(&file, &sound[..sound.len() / 2]).unwrap(),
            &|| std::fs::remove_file(&file).unwrap(),
        ];
        for (n, damage) in damages.iter().enumerate() {
            let is_manifest = file.parent().unwrap().ends_with("backups");
            if is_manifest && n == 2 {
                // Then there is no such backup.
                continue;
            }
            damage();
            let report = repository.verify().unwrap();
            let named = report.problems.iter().any(|it| format!("{it:#}").contains(&name));
            assert!(!report.is_sound() && named, "{name}, damage {n}: {report:?}");
            for number in [1, 2] {
                let copy = directory.path().join(format!("copy-{tried}"));
                tried += 1;
                match repository.restore(&copy, RestoreOptions::new().backup(number)) {
                    // Of the other backup.
                    Ok(_) => {}
                    Err(error) => {
                        let kind =
                            [ErrorKind::Damaged, ErrorKind::NotFound].contains(&error.kind());
                        assert!(kind && error.to_string().contains(&name), "{name}: {error:#}");
                        assert!(!copy.join("STORE").exists(), "{name}");
                    }
                }
                let _ = std::fs::remove_dir_all(copy);
            }
            std::fs::write(&file, &sound).unwrap();
        }
    }
    assert!(tried > 20, "{tried}");
    assert_sound(&backups);
}

#[test]
fn a_damaged_log_is_found_and_refused_where_it_is_needed() {
    let (directory, store) = quick_store();
    let backups = directory.path().join("backups");
    let [hash, _] = both(&store);
    fill(&hash, 0..5, 1);
    store.backup(&backups).unwrap();
    let repository = Repository::open(&backups).unwrap();
    let log = files(&backups.join("log")).pop().unwrap();
    let sound = std::fs::read(&log).unwrap();
    let end = sound.iter().rposition(|byte| *byte != 0).unwrap();
    let refused = |how: &str| {
        let report = repository.verify().unwrap();
        assert!(!report.is_sound(), "{how}");
        let copy = directory.path().join("copy");
        let error = repository.restore(&copy, RestoreOptions::new()).unwrap_err();
        let kind = [ErrorKind::Damaged, ErrorKind::NotFound].contains(&error.kind());
        assert!(kind && error.to_string().contains("log"), "{how}: {error:#}");
        assert!(!copy.exists(), "{how}");
    };
    for at in [0, 20, 5000, end] {
        let mut content = sound.clone();
        content[at] ^= 1;
        std::fs::write(&log, content).unwrap();
        refused(&format!("a bit at {at} of {end}"));
    }
    std::fs::remove_file(&log).unwrap();
    refused("no file");
    std::fs::write(&log, &sound).unwrap();
    assert_sound(&backups);
    assert!(rows_of(&restored(&backups, &directory.path().join("copy"), None)) == rows_of(&store));
}

/// With a damaged manifest it is not known which files its backup needs: none is removed, and the others can
/// be restored.
#[test]
fn a_damaged_manifest_takes_no_other_backup_with_it() {
    let (directory, store) = quick_store();
    let backups = directory.path().join("backups");
    let [hash, _] = both(&store);
    for round in 0..3 {
        fill(&hash, 0..60, round);
        store.backup(&backups).unwrap();
    }
    let repository = Repository::open(&backups).unwrap();
    let manifest = backups.join("backups/0000000002");
    flip(&manifest);
    let files_before = files(&backups.join("files"));
    let error = repository.prune(1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error:#}");
    assert_eq!(store.backup(&backups).unwrap().number, 4);
    let files_after = files(&backups.join("files"));
    assert!(files_before.iter().all(|file| files_after.contains(file)));
    let numbers: Vec<_> = repository.backups().unwrap().iter().map(|it| it.number).collect();
    assert_eq!(numbers, [1, 3, 4]);
    for number in [1, 3, 4] {
        restored(&backups, &directory.path().join(number.to_string()), Some(number));
    }
    let error = repository.restore(directory.path().join("2"), RestoreOptions::new().backup(2));
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Damaged);
    std::fs::remove_file(manifest).unwrap();
    assert_eq!(repository.prune(1).unwrap().backups, [1, 3]);
    assert_sound(&backups);
}
