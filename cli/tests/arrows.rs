//! No two files of a crate of the tool depend on each other, directly or through others: each can
//! be read from what it uses upward.
//!
//! Method: the paths of each file, outside of its tests, are followed to the file that defines what
//! they name, through re-exports; and a file from which the arrows lead back to itself is found.
//! Paths in the arguments of macros are not read.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree, Visibility};

/// A module, by the names that lead to it from the root of its crate.
type Module = Vec<String>;

/// What the files of a crate name.
#[derive(Default)]
struct Crate {
    /// Absolute paths, by module.
    named: BTreeMap<Module, BTreeSet<Vec<String>>>,
    /// What other modules may import from a module that does not define it.
    exported: BTreeMap<Vec<String>, Vec<String>>,
}

/// Collects the paths of one file.
struct Paths {
    module: Module,
    children: BTreeSet<String>,
    named: BTreeSet<Vec<String>>,
    exported: BTreeMap<Vec<String>, Vec<String>>,
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let list = attribute.meta.require_list();
        list.is_ok_and(|list| list.path.is_ident("cfg") && list.tokens.to_string().contains("test"))
    })
}

impl Paths {
    /// Returns the path from the root of the crate; none if it leads out of the crate.
    fn absolute(&self, path: &[String]) -> Option<Vec<String>> {
        let ups = path.iter().take_while(|name| *name == "super").count();
        let (base, rest) = match path.first()?.as_str() {
            "crate" => (&[][..], &path[1..]),
            "self" => (&self.module[..], &path[1..]),
            "super" => (&self.module[..self.module.len().checked_sub(ups)?], &path[ups..]),
            child if self.children.contains(child) => (&self.module[..], path),
            _ => return None,
        };
        Some([base, rest].concat())
    }

    fn import(&mut self, before: &[String], tree: &UseTree, public: bool) {
        let (name, alias) = match tree {
            UseTree::Path(path) => {
                let path_before = [before, &[path.ident.to_string()]].concat();
                return self.import(&path_before, &path.tree, public);
            }
            UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.import(before, item, public));
                return;
            }
            UseTree::Name(name) => (name.ident.to_string(), name.ident.to_string()),
            UseTree::Rename(rename) => (rename.ident.to_string(), rename.rename.to_string()),
            UseTree::Glob(_) => return,
        };
        let Some(mut path) = self.absolute(&[before, &[name]].concat()) else { return };
        path.retain(|name| name != "self");
        // A re-export says where a name is found, and uses nothing.
        if public {
            self.exported.insert([&self.module[..], &[alias]].concat(), path);
        } else {
            self.named.insert(path);
        }
    }
}

impl<'a> Visit<'a> for Paths {
    fn visit_item(&mut self, item: &'a Item) {
        match item {
            Item::Mod(module) if is_test(&module.attrs) => {}
            Item::Use(import) => {
                let public = !matches!(import.vis, Visibility::Inherited);
                self.import(&[], &import.tree, public);
            }
            other => visit::visit_item(self, other),
        }
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|part| part.ident.to_string()).collect();
        if names.len() > 1 {
            self.named.extend(self.absolute(&names));
        }
        visit::visit_path(self, path);
    }
}

impl Crate {
    /// Reads the files below a directory, each by its path and its text.
    fn of(files: &[(Module, String)]) -> Self {
        let mut all = Self::default();
        for (module, text) in files {
            let below = |other: &Module| {
                (other.len() == module.len() + 1 && other.starts_with(module))
                    .then(|| other[module.len()].clone())
            };
            let children = files.iter().filter_map(|(other, _)| below(other)).collect();
            let (module, named) = (module.clone(), BTreeSet::new());
            let mut paths = Paths { module, children, named, exported: BTreeMap::new() };
            paths.visit_file(&syn::parse_file(text).unwrap());
            all.named.insert(paths.module, paths.named);
            all.exported.extend(paths.exported);
        }
        all
    }

    /// Returns the module that defines what a path names.
    fn defines(&self, path: &[String]) -> Module {
        // A name may be that of a module and of a function in it; only a module leads further.
        let leads = |n: &usize| *n == path.len() || !self.named.contains_key(&path[..*n]);
        let mut prefixes = (1..=path.len()).filter(leads);
        let exported = prefixes.find_map(|n| Some((n, self.exported.get(&path[..n])?)));
        if let Some((n, to)) = exported {
            return self.defines(&[&to[..], &path[n..]].concat());
        }
        let module = (0..=path.len()).rev().find(|n| self.named.contains_key(&path[..*n]));
        path[..module.unwrap_or(0)].to_vec()
    }

    /// Returns the arrows from which others lead back to where they begin.
    fn circles(&self) -> Vec<String> {
        let arrows = |from: &Module| -> BTreeSet<Module> {
            let to = self.named[from].iter().map(|path| self.defines(path));
            to.filter(|to| to != from).collect()
        };
        let arrows: BTreeMap<&Module, BTreeSet<Module>> =
            self.named.keys().map(|from| (from, arrows(from))).collect();
        let leads_back = |from: &Module, to: &Module| {
            let (mut seen, mut next) = (BTreeSet::from([to]), vec![to]);
            while let Some(module) = next.pop() {
                next.extend(arrows[module].iter().filter(|to| seen.insert(*to)));
            }
            seen.contains(from)
        };
        let all = arrows.iter().flat_map(|(from, all)| all.iter().map(move |to| (*from, to)));
        let name = |module: &Module| match module.join("::") {
            root if root.is_empty() => "the root".to_owned(),
            name => name,
        };
        all.filter(|(from, to)| leads_back(from, to))
            .map(|(from, to)| format!("{} → {}", name(from), name(to)))
            .collect()
    }
}

/// The files of a crate, but for those of tests.
fn files(directory: &Path, module: &Module, found: &mut Vec<(Module, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let below = [&module[..], std::slice::from_ref(&name)].concat();
        if path.is_dir() {
            files(&path, &below, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests" {
            let is_root = ["mod", "lib", "main"].contains(&name.as_str());
            let module = if is_root { module.clone() } else { below };
            found.push((module, fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn no_file_leads_back_to_itself() {
    for name in [".", "bench", "cli", "peers", "tokio", "workload"] {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name).join("src");
        let mut found = Vec::new();
        files(&directory, &Module::new(), &mut found);
        assert!(found.len() > 5, "{name}");
        assert_eq!(Crate::of(&found).circles(), [] as [String; 0], "{name}");
    }
}

#[test]
fn a_file_that_leads_back_to_itself_is_found() {
    let circles = |files: &[(&str, &str)]| {
        let module = |name: &str| -> Module {
            name.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        let files: Vec<_> =
            files.iter().map(|(name, text)| (module(name), (*text).to_owned())).collect();
        Crate::of(&files).circles()
    };
    let straight = [("", "mod a; mod b;"), ("a", "use crate::b::B;"), ("b", "pub struct B;")];
    assert_eq!(circles(&straight), [] as [String; 0]);
    let back = [("", "mod a; mod b;"), ("a", "use super::b;"), ("b", "fn f() { crate::a::g() }")];
    assert_eq!(circles(&back), ["a → b", "b → a"]);
    let parent = [("p", "mod c; use c::{C, D}; struct P;"), ("p::c", "use super::P;"), ("", "")];
    assert_eq!(circles(&parent), ["p → p::c", "p::c → p"]);
    // What is imported through a re-export is a use of the file that defines it.
    let exports =
        [("", "pub(crate) use a::A as B; mod a;"), ("a", "pub struct A;"), ("b", "use crate::B;")];
    assert_eq!(circles(&exports), [] as [String; 0]);
    let test = [("a", "#[cfg(test)] mod tests { use crate::b::B; }"), ("b", "use crate::a::A;")];
    assert_eq!(circles(&test), [] as [String; 0]);
}
