//! Modules depend on those below them, in the order that `docs/architecture.md` lists; and what the
//! documents name is there: files, headings, functions and types, and every folder on the map.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn top() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the modules, from the top down.
fn layers(document: &str) -> Vec<String> {
    let list = document.split("<!-- layers -->").nth(1).expect("a list of layers");
    let list = list.split("```text\n").nth(1).and_then(|rest| rest.split("```").next());
    let first = |line: &str| line.split_whitespace().next().map(str::to_owned);
    list.expect("a fenced list").lines().filter_map(first).collect()
}

/// Returns the files below a directory with this extension.
fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|is| is == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Returns the module at the root of the crate that a file below `src` belongs to; none for
/// `lib.rs`.
fn module(below_src: &Path) -> Option<String> {
    let first = below_src.components().next()?.as_os_str().to_str()?;
    let module = first.strip_suffix(".rs").unwrap_or(first);
    (module != "lib").then(|| module.to_owned())
}

/// Returns what a file is compiled to without tests and documentation: tests are last in a file.
fn without_tests(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let code = code.split("#[cfg(all(test").next().unwrap_or_default();
    let mut lines = Vec::new();
    let mut only_doc = false;
    for line in code.lines() {
        let line = line.trim_start();
        only_doc |= line.starts_with("#[cfg(doc)]");
        if !only_doc && !line.starts_with("//") {
            lines.push(line);
        }
        only_doc &= !line.ends_with(';');
    }
    lines.join("\n")
}

/// Returns the names at the root of the crate that a text names: `crate::a::b`, `crate::{a::b, c}`.
fn named_at_root(code: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut named = Vec::new();
    for after in code.split("crate::").skip(1) {
        let Some(list) = after.strip_prefix('{') else {
            named.push(name(after));
            continue;
        };
        let mut depth = 1;
        let mut item = String::new();
        for c in list.chars() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 || (depth == 1 && c == ',') {
                named.push(name(&item));
                item.clear();
            } else {
                item.push(c);
            }
            if depth == 0 {
                break;
            }
        }
    }
    named.retain(|name| !name.is_empty());
    named
}

/// What is wrong with the arrows of a file.
fn violations(layers: &[String], file: &str, of: &str, text: &str) -> Vec<String> {
    let rank: BTreeMap<&str, usize> =
        layers.iter().enumerate().map(|(rank, layer)| (layer.as_str(), rank)).collect();
    let Some(mine) = rank.get(of) else {
        return vec![format!("{file}: module `{of}` is not in the list of docs/architecture.md")];
    };
    let wrong = |name: String| match rank.get(name.as_str()) {
        _ if name == of => None,
        Some(other) if other > mine => None,
        Some(_) => Some(format!("{file}: `{of}` uses `{name}`, which is above it")),
        None => Some(format!("{file}: `crate::{name}` names no module of the list")),
    };
    named_at_root(&without_tests(text)).into_iter().filter_map(wrong).collect()
}

#[test]
fn every_arrow_points_down() {
    let layers = layers(&fs::read_to_string(top().join("docs/architecture.md")).unwrap());
    let src = top().join("src");
    let mut wrong = Vec::new();
    for path in files(&src, "rs") {
        let below = path.strip_prefix(&src).unwrap();
        // Files of tests: the models of the latch, and tests in separate files.
        let is_test = below.ends_with("tests.rs") || below.starts_with("latch/model");
        let Some(of) = module(below).filter(|_| !is_test) else { continue };
        let text = fs::read_to_string(&path).unwrap();
        wrong.extend(violations(&layers, &below.display().to_string(), &of, &text));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_arrow_that_runs_upward_is_found() {
    let layers = ["top", "middle", "low"].map(str::to_owned);
    let of_middle = |text| violations(&layers, "middle/x.rs", "middle", text);
    assert_eq!(of_middle("use crate::low::A;\nuse crate::middle::B;"), [] as [String; 0]);
    for upward in ["use crate::top::A;", "use crate::{low::A, top::{B, C}};", "crate::top::f()"] {
        assert_eq!(of_middle(upward).len(), 1, "{upward}");
    }
    assert_eq!(of_middle("use crate::Error;").len(), 1, "a name of no module");
    assert_eq!(violations(&layers, "new/mod.rs", "new", "").len(), 1, "a module of no layer");
    let exempt = "/// [`A`](crate::top::A)\n#[cfg(doc)]\nuse crate::top::A;\nfn f() {}\n\
                  #[cfg(test)]\nmod tests { use crate::top::B; }";
    assert_eq!(of_middle(exempt), [] as [String; 0]);
}

/// Whether a source file defines something of this name. Of `Type::method` it defines the method, and
/// names the type.
fn defines(source: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let has_word = |word: &str| {
        source.match_indices(word).any(|(at, _)| {
            let (before, after) = (source.get(..at), source.get(at + word.len()..));
            let ends = before.is_some_and(|text| !text.ends_with(is_part));
            ends && after.is_some_and(|text| !text.starts_with(is_part))
        })
    };
    let (types, last) = match name.rsplit_once("::") {
        Some((types, last)) => (types, last),
        None => ("", name),
    };
    let kinds = ["fn", "struct", "trait", "enum", "type", "const", "static", "mod"];
    let is_named = |name: &str| name.is_empty() || has_word(name);
    types.split("::").all(is_named) && kinds.iter().any(|kind| has_word(&format!("{kind} {last}")))
}

/// The form in which a link names a heading: none for a line that is not one.
fn anchor(line: &str) -> Option<String> {
    let title = line.strip_prefix('#')?.trim_start_matches('#').trim().to_lowercase();
    let kept = |c: &char| c.is_alphanumeric() || *c == ' ' || *c == '-';
    Some(title.chars().filter(kept).collect::<String>().replace(' ', "-"))
}

/// What is wrong with a link: to a file, to a heading, or of the form ``[`name`](../src/file.rs)``.
fn broken_link(document: &Path, own: &str, label: &str, target: &str) -> Option<String> {
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let file = document.parent().unwrap().join(path);
    if !path.is_empty() && !file.exists() {
        return Some(format!("there is no {target}"));
    }
    // A folder has neither headings nor definitions.
    let there = if path.is_empty() { own.to_owned() } else { fs::read_to_string(&file).ok()? };
    if !heading.is_empty() && !there.lines().filter_map(anchor).any(|a| a == heading) {
        return Some(format!("there is no heading {target}"));
    }
    let name = label.strip_prefix('`')?.strip_suffix('`')?;
    let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == ':');
    let is_code = is_name && path.ends_with(".rs");
    (is_code && !defines(&there, name)).then(|| format!("`{name}` is not defined in {path}"))
}

/// A path of this repository in backquotes, as `src/latch` or `tests/a.rs::test`, that is not there.
fn missing_path(code: &str) -> Option<String> {
    let path = code.split("::").next()?;
    let (folder, _) = path.split_once('/')?;
    let is_path = path.chars().all(|c| c.is_alphanumeric() || "_-./".contains(c));
    let is_ours = !folder.is_empty() && top().join(folder).is_dir();
    (is_path && is_ours && !top().join(path).exists()).then(|| format!("there is no {path}"))
}

/// What a document names that is not there.
fn missing(document: &Path, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for (at, link) in text.match_indices("](") {
        let (before, after) = text.split_at(at);
        let target = after.trim_start_matches(link).split(')').next().unwrap_or_default();
        let label = before.rsplit('[').next().unwrap_or_default();
        if !target.contains("://") {
            wrong.extend(broken_link(document, text, label, target));
        }
    }
    for line in text.lines() {
        wrong.extend(line.split('`').skip(1).step_by(2).filter_map(missing_path));
    }
    wrong
}

#[test]
fn what_the_documents_name_is_there() {
    let mut documents = files(&top().join("docs"), "md");
    documents.extend(["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| top().join(name)));
    let mut wrong = Vec::new();
    for document in documents {
        let found = missing(&document, &fs::read_to_string(&document).unwrap());
        wrong.extend(found.iter().map(|what| format!("{}: {what}", document.display())));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_a_document_names_and_is_not_there_is_found() {
    let document = top().join("docs").join("x.md");
    let found = |text: &str| missing(&document, text).len();
    for right in [
        "[`enter`](../src/latch/protocol.rs), [`Current::read`](../src/latch/protocol.rs)",
        "[`ALL_STRIPES`](../src/latch/stripes.rs), [any words](../src/latch/stripes.rs)",
        "[words](architecture.md#words), [here](#here)\n## Here\n",
        "`src/latch`, `tests/layers.rs::defines`, `no/folder/of/ours`, <https://a.b/c>",
    ] {
        assert_eq!(found(right), 0, "{right}");
    }
    for wrong in [
        "[`ente`](../src/latch/protocol.rs)",
        "[`Nothing::read`](../src/latch/protocol.rs)",
        "[`enter`](../src/latch/nowhere.rs)",
        "[any words](nowhere.md)",
        "[words](architecture.md#no-such-heading)",
        "[here](#here)",
        "`src/nowhere`",
    ] {
        assert_eq!(found(wrong), 1, "{wrong}");
    }
}

/// The documents that a source file names.
fn named_documents(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("docs/").filter_map(|(at, _)| {
        let is_part = |c: &char| c.is_alphanumeric() || "-_/.".contains(*c);
        let length: usize = text.get(at..)?.chars().take_while(is_part).map(char::len_utf8).sum();
        let path = text.get(at..at + length)?.trim_end_matches('.');
        path.ends_with(".md").then_some(path)
    })
}

#[test]
fn the_documents_that_sources_name_are_there() {
    let mut wrong = Vec::new();
    let folders =
        ["src", "tests", "benches", "examples", "cli", "bench", "tokio", "workload", "peers/src"];
    for folder in folders {
        for path in files(&top().join(folder), "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let gone = named_documents(&text).filter(|document| !top().join(document).exists());
            wrong.extend(gone.map(|document| format!("{}: {document}", path.display())));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The folders in a directory, without those that are hidden or made by builds.
fn folders(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let directories = entries.filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> =
        directories.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.retain(|name| !name.starts_with('.') && name != "target");
    names.sort();
    names
}

/// The map of `CONTRIBUTING.md` has each folder of the repository, and each of `src` below it.
#[test]
fn every_folder_is_on_the_map() {
    let document = fs::read_to_string(top().join("CONTRIBUTING.md")).unwrap();
    let map =
        document.split("## Where things are").nth(1).and_then(|rest| rest.split("```").nth(1));
    let map: Vec<&str> = map.expect("a fenced map").lines().collect();
    let is_on = |indent: &str, folder: &str| {
        map.iter().any(|line| line.starts_with(&format!("{indent}{folder}/")))
    };
    let mut off: Vec<String> = folders(&top());
    off.retain(|folder| !is_on("", folder));
    let mut below = folders(&top().join("src"));
    below.retain(|folder| !is_on("  ", folder));
    assert_eq!((off, below), (Vec::new(), Vec::new()), "folders that the map lacks");
    let gone = map.iter().filter_map(|line| line.split_once('/')).filter(|(name, _)| {
        let is_folder = |base: &str, name: &str| top().join(base).join(name).is_dir();
        match name.strip_prefix("  ") {
            Some(deeper) if deeper.contains(' ') => false,
            Some(below) => !is_folder("src", below),
            None => !name.contains(' ') && !is_folder("", name),
        }
    });
    assert_eq!(gone.collect::<Vec<_>>(), [], "on the map, and not there");
}
