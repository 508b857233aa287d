//! Modules depend on those below them, in the order that `docs/architecture.md` lists; and the
//! targets of links in the documents exist.

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

/// Links of the form ``[`name`](../src/file.rs)``, and those to other files and headings.
#[test]
fn what_the_documents_link_to_is_there() {
    let mut wrong = Vec::new();
    let mut documents = files(&top().join("docs"), "md");
    documents.extend(["README.md", "CONTRIBUTING.md"].map(|name| top().join(name)));
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for (at, link) in text.match_indices("](") {
            let (before, after) = text.split_at(at);
            let target = after.trim_start_matches(link).split(')').next().unwrap_or_default();
            if target.contains("://") {
                continue;
            }
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = match path {
                "" => document.clone(),
                _ => document.parent().unwrap().join(path),
            };
            let Ok(there) = fs::read_to_string(&file) else {
                if !file.exists() {
                    wrong.push(format!("{}: {target}", document.display()));
                }
                continue;
            };
            let anchor = |line: &str| {
                let title = line.strip_prefix('#')?.trim_start_matches('#').trim().to_lowercase();
                let kept = |c: &char| c.is_alphanumeric() || *c == ' ' || *c == '-';
                Some(title.chars().filter(kept).collect::<String>().replace(' ', "-"))
            };
            if !heading.is_empty() && !there.lines().filter_map(anchor).any(|a| a == heading) {
                wrong.push(format!("{}: no heading {target}", document.display()));
            }
            let label = before.rsplit('[').next().unwrap_or_default().trim_matches('`');
            let name = label.rsplit("::").next().unwrap_or_default();
            let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_');
            let is_code = before.ends_with('`') && is_name && path.ends_with(".rs");
            let defines = ["fn", "struct", "trait", "enum", "type"];
            if is_code && !defines.iter().any(|kind| there.contains(&format!("{kind} {name}"))) {
                wrong.push(format!("{}: `{name}` is not in {path}", document.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
