//! A model of a disk that loses what was not synced.
//!
//! It replays recorded calls. Of each file it knows the bytes that were synced and the writes
//! since; of the namespace, the entries that are durable and the operations that are pending. At a
//! cut it makes an image: what a power failure at this moment may leave, by choices from a seed.

use crate::journal::Call;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::Path;

const PAGE: usize = 4096;
const SECTOR: usize = 512;

type Node = usize;

/// What a sync of a file does for names, and which pending names may survive without the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// Like ext4 and xfs: a sync that has something to do commits all changes of names until then,
    /// and a power cut leaves a prefix of those that are pending. What a file has grown by since a
    /// name that is lost is lost, too: its size is in the same journal. What was written within its
    /// size is not: a segment of the log that was recycled may have its new content under its old
    /// name.
    Journalled,
    /// The minimum: a sync of a file commits its own name, a sync of a directory the names in it,
    /// and a power cut leaves any of the pending names, without the others.
    Strict,
}

#[derive(Debug, Clone)]
enum Change {
    Write {
        at: usize,
        bytes: Range<usize>,
    },
    Resize {
        to: usize,
    },
    /// As `fallocate` does: a longer file ends with zeros, and blocks for them.
    Extend {
        to: usize,
    },
    /// Of what the file has; it becomes no longer.
    Zero {
        from: usize,
        to: usize,
    },
}

#[derive(Debug, Clone)]
enum Object {
    File {
        durable: Vec<u8>,
        /// With the number of changes of names made before.
        pending: Vec<(usize, Change)>,
    },
    /// Names as they are now, and as they are on the disk.
    Directory { present: BTreeMap<String, Node>, durable: BTreeMap<String, Node> },
}

/// A change of names that is atomic: a rename has two parts.
#[derive(Debug, Clone)]
struct Renaming(Vec<(Node, String, Option<Node>)>);

#[derive(Clone)]
pub(crate) struct Disk {
    names: Names,
    objects: Vec<Object>,
    handles: BTreeMap<u64, Node>,
    pending: Vec<Renaming>,
    /// Changes of names that were made and are no longer pending.
    done: usize,
}

/// The fate of the unsynced writes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Lost,
    Kept,
    Prefix,
    Torn,
    /// Up to the end of a write or of a sector, with zeros from there to the end of the file, or of
    /// the last write.
    Zeroed,
    /// Up to some point, with garbage from there to the end of the file, or of the last write.
    Garbled,
    /// Each page independently, there or not; of the new size.
    Pages,
}

/// How a cut treats the files: all the same, or each at random.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// As if the process alone had ended.
    NothingLost,
    AllLost,
    ByLot,
}

/// A file tree that a power cut may leave.
pub(crate) type Image = BTreeMap<String, Option<Vec<u8>>>;

const ROOT: Node = 0;

impl Disk {
    /// Creates a disk with the content of a directory, all of it synced.
    pub(crate) fn of(directory: &Path, names: Names) -> Self {
        let mut disk = Self {
            names,
            objects: Vec::new(),
            handles: BTreeMap::new(),
            pending: Vec::new(),
            done: 0,
        };
        disk.take(directory);
        disk
    }

    fn take(&mut self, directory: &Path) -> Node {
        let node =
            self.add(Object::Directory { present: BTreeMap::new(), durable: BTreeMap::new() });
        let mut there = BTreeMap::new();
        for entry in fs::read_dir(directory).into_iter().flatten() {
            let path = entry.unwrap().path();
            let child = if path.is_dir() {
                self.take(&path)
            } else {
                self.add(Object::File { durable: fs::read(&path).unwrap(), pending: Vec::new() })
            };
            there.insert(path.file_name().unwrap().to_str().unwrap().to_owned(), child);
        }
        self.objects[node] = Object::Directory { present: there.clone(), durable: there };
        node
    }

    fn add(&mut self, object: Object) -> Node {
        self.objects.push(object);
        self.objects.len() - 1
    }

    fn present(&self, directory: Node) -> &BTreeMap<String, Node> {
        match &self.objects[directory] {
            Object::Directory { present, .. } => present,
            Object::File { .. } => panic!("a file is no directory"),
        }
    }

    fn find(&self, path: &str) -> Option<Node> {
        let mut names = path.split('/').filter(|name| !name.is_empty());
        names.try_fold(ROOT, |node, name| self.present(node).get(name).copied())
    }

    /// Returns the directory that a path is in, and the name there.
    fn place(&self, path: &str) -> Option<(Node, String)> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        Some((self.find(parent)?, name.to_owned()))
    }

    fn rename(&mut self, parts: Vec<(Node, String, Option<Node>)>) {
        for (directory, name, node) in &parts {
            if let Object::Directory { present, .. } = &mut self.objects[*directory] {
                match node {
                    Some(node) => present.insert(name.clone(), *node),
                    None => present.remove(name),
                };
            }
        }
        self.pending.push(Renaming(parts));
    }

    /// Plays a recorded call.
    pub(crate) fn play(&mut self, call: &Call, journal: &[u8]) {
        match call {
            Call::Note { .. } => {}
            Call::Open { handle, truncates, path } => self.open(*handle, *truncates, path),
            Call::Write { handle, at, bytes } => {
                self.change(*handle, Change::Write { at: *at as usize, bytes: bytes.clone() });
            }
            Call::Truncate { handle, to } => {
                self.change(*handle, Change::Resize { to: *to as usize })
            }
            Call::Extend { handle, to } => {
                self.change(*handle, Change::Extend { to: *to as usize })
            }
            Call::Zero { handle, from, to } => {
                self.change(*handle, Change::Zero { from: *from as usize, to: *to as usize })
            }
            Call::Sync { handle } => self.sync(*handle, journal),
            Call::MakeDirectory { path } => {
                if path.is_empty() {
                    return;
                }
                let (parent, name) = self.place(path).unwrap();
                let made = Object::Directory { present: BTreeMap::new(), durable: BTreeMap::new() };
                let made = self.add(made);
                self.rename(vec![(parent, name, Some(made))]);
            }
            Call::Link { from, to } => {
                let (Some(node), Some((parent, name))) = (self.find(from), self.place(to)) else {
                    return;
                };
                self.rename(vec![(parent, name, Some(node))]);
            }
            Call::Rename { from, to } => {
                // A file that was not opened by a recorded call (RocksDB's own messages) is not in
                // the model.
                let Some(node) = self.find(from) else { return };
                let ((away, old), (parent, name)) =
                    (self.place(from).unwrap(), self.place(to).unwrap());
                self.rename(vec![(away, old, None), (parent, name, Some(node))]);
            }
            Call::Unlink { path } => {
                if self.find(path).is_some() {
                    let (parent, name) = self.place(path).unwrap();
                    self.rename(vec![(parent, name, None)]);
                }
            }
        }
    }

    fn open(&mut self, handle: u64, truncates: bool, path: &str) {
        let node = match self.find(path) {
            Some(node) => node,
            None => {
                let node = self.add(Object::File { durable: Vec::new(), pending: Vec::new() });
                let (parent, name) = self.place(path).unwrap();
                self.rename(vec![(parent, name, Some(node))]);
                node
            }
        };
        self.handles.insert(handle, node);
        if truncates {
            self.change(handle, Change::Resize { to: 0 });
        }
    }

    fn change(&mut self, handle: u64, change: Change) {
        if let Some(Object::File { pending, .. }) =
            self.handles.get(&handle).map(|node| &mut self.objects[*node])
        {
            pending.push((self.done + self.pending.len(), change));
        }
    }

    fn sync(&mut self, handle: u64, journal: &[u8]) {
        let Some(&node) = self.handles.get(&handle) else { return };
        let (mut worked, is_file) = (false, matches!(self.objects[node], Object::File { .. }));
        if let Object::File { durable, pending } = &mut self.objects[node] {
            worked = !pending.is_empty();
            for (_, change) in pending.drain(..) {
                apply(durable, &change, journal, usize::MAX);
            }
        }
        let concerns = |(directory, _, named): &(Node, String, Option<Node>)| {
            *directory == node || (is_file && *named == Some(node))
        };
        worked |= self.pending.iter().any(|renaming| renaming.0.iter().any(concerns));
        let all = self.names == Names::Journalled && worked;
        // From the last to the first: what came before under a name that is committed is committed,
        // too.
        let mut committed: BTreeSet<(Node, String)> = BTreeSet::new();
        let (mut stays, mut goes) = (Vec::new(), Vec::new());
        for renaming in std::mem::take(&mut self.pending).into_iter().rev() {
            let named =
                |part: &(Node, String, Option<Node>)| committed.contains(&(part.0, part.1.clone()));
            if all || renaming.0.iter().any(|part| concerns(part) || named(part)) {
                committed.extend(renaming.0.iter().map(|part| (part.0, part.1.clone())));
                goes.push(renaming);
            } else {
                stays.push(renaming);
            }
        }
        self.done += goes.len();
        self.pending = stays.into_iter().rev().collect();
        goes.iter().rev().for_each(|renaming| self.commit(renaming));
    }

    fn commit(&mut self, renaming: &Renaming) {
        for (directory, name, node) in &renaming.0 {
            if let Object::Directory { durable, .. } = &mut self.objects[*directory] {
                set(durable, name, *node);
            }
        }
    }

    /// Returns what a power cut may leave now.
    pub(crate) fn image(&self, journal: &[u8], cut: Cut, random: &mut fastrand::Rng) -> Image {
        let mut names: BTreeMap<Node, BTreeMap<String, Node>> = BTreeMap::new();
        for (node, object) in self.objects.iter().enumerate() {
            if let Object::Directory { durable, .. } = object {
                names.insert(node, durable.clone());
            }
        }
        let kept = match (cut, random.u32(..4)) {
            (Cut::NothingLost, _) => self.pending.len(),
            (Cut::AllLost, _) | (_, 0) => 0,
            (_, 1) => self.pending.len(),
            _ => random.usize(..=self.pending.len()),
        };
        let any = self.names == Names::Strict && cut == Cut::ByLot;
        for (index, renaming) in self.pending.iter().enumerate() {
            if if any { random.bool() } else { index < kept } {
                for (directory, name, node) in &renaming.0 {
                    set(names.get_mut(directory).unwrap(), name, *node);
                }
            }
        }
        let mut image = Image::new();
        // One fate for all files, or one for each; or one ends in garbage, and of the others
        // nothing is left: garbage before something sound is what an opening calls damage.
        let mut garbage = random.u32(..8) == 0;
        let garbled = garbage;
        let common = (random.u32(..3) == 0).then(|| fate(random));
        let journalled = self.names == Names::Journalled && cut == Cut::ByLot;
        let written = if journalled { self.done + kept } else { usize::MAX };
        self.gather(ROOT, "", &names, &mut image, &mut |durable, pending| {
            let pending = surviving(durable.len(), pending, written);
            let fate = match cut {
                Cut::NothingLost => Fate::Kept,
                Cut::AllLost => Fate::Lost,
                Cut::ByLot if garbled => {
                    match garbage && !pending.is_empty() && random.u32(..3) == 0 {
                        true => {
                            garbage = false;
                            Fate::Garbled
                        }
                        false => Fate::Lost,
                    }
                }
                Cut::ByLot => common.unwrap_or_else(|| fate(random)),
            };
            content(durable, &pending, journal, fate, random)
        });
        image
    }

    fn gather(
        &self,
        node: Node,
        path: &str,
        names: &BTreeMap<Node, BTreeMap<String, Node>>,
        image: &mut Image,
        content: &mut impl FnMut(&[u8], &[(usize, Change)]) -> Vec<u8>,
    ) {
        for (name, child) in &names[&node] {
            let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            match &self.objects[*child] {
                Object::Directory { .. } => {
                    image.insert(path.clone(), None);
                    self.gather(*child, &path, names, image, content);
                }
                Object::File { durable, pending } => {
                    image.insert(path, Some(content(durable, pending)));
                }
            }
        }
    }
}

/// Returns the changes of a file that can be on the disk although changes of names after the first
/// `written` are lost: all that preceded these, and of the others what does not let the file grow.
fn surviving(mut length: usize, pending: &[(usize, Change)], written: usize) -> Vec<Change> {
    let mut all = Vec::new();
    for (names, change) in pending {
        match change {
            _ if *names <= written => {}
            Change::Write { at, bytes } if *at < length => {
                let end = bytes.end.min(bytes.start + length - at);
                all.push(Change::Write { at: *at, bytes: bytes.start..end });
                continue;
            }
            Change::Zero { .. } => {}
            _ => continue,
        }
        length = match change {
            Change::Write { at, bytes } => length.max(at + bytes.len()),
            Change::Resize { to } => *to,
            Change::Extend { to } => length.max(*to),
            Change::Zero { .. } => length,
        };
        all.push(change.clone());
    }
    all
}

fn set(names: &mut BTreeMap<String, Node>, name: &str, node: Option<Node>) {
    match node {
        Some(node) => names.insert(name.to_owned(), node),
        None => names.remove(name),
    };
}

fn fate(random: &mut fastrand::Rng) -> Fate {
    const FATES: [Fate; 9] = [
        Fate::Lost,
        Fate::Lost,
        Fate::Lost,
        Fate::Kept,
        Fate::Kept,
        Fate::Prefix,
        Fate::Torn,
        Fate::Zeroed,
        Fate::Pages,
    ];
    random.choice(FATES).unwrap()
}

/// Applies a change; of a write, at most this many bytes.
fn apply(file: &mut Vec<u8>, change: &Change, journal: &[u8], most: usize) {
    match change {
        Change::Write { at, bytes } => {
            let bytes = &journal[bytes.clone()];
            let bytes = &bytes[..bytes.len().min(most)];
            if file.len() < at + bytes.len() {
                file.resize(at + bytes.len(), 0);
            }
            file[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        Change::Resize { to } => file.resize(*to, 0),
        Change::Extend { to } => file.resize(file.len().max(*to), 0),
        Change::Zero { from, to } => {
            let end = file.len().min(*to);
            file[(*from).min(end)..end].fill(0);
        }
    }
}

fn content(
    durable: &[u8],
    pending: &[Change],
    journal: &[u8],
    fate: Fate,
    random: &mut fastrand::Rng,
) -> Vec<u8> {
    let mut file = durable.to_vec();
    let all = |file: &mut Vec<u8>| {
        pending.iter().for_each(|change| apply(file, change, journal, usize::MAX))
    };
    if pending.is_empty() || fate == Fate::Lost {
        return file;
    }
    if fate == Fate::Kept {
        all(&mut file);
        return file;
    }
    if fate == Fate::Pages {
        let mut new = file.clone();
        all(&mut new);
        let old = file;
        for from in (0..new.len()).step_by(PAGE) {
            let to = new.len().min(from + PAGE);
            if random.bool() {
                for (at, byte) in new.iter_mut().enumerate().take(to).skip(from) {
                    *byte = old.get(at).copied().unwrap_or(0);
                }
            }
        }
        return new;
    }
    let whole = random.usize(..pending.len());
    pending[..whole].iter().for_each(|change| apply(&mut file, change, journal, usize::MAX));
    if fate == Fate::Prefix {
        return file;
    }
    let mut torn_at = 0;
    if let Change::Write { at, bytes } = &pending[whole] {
        torn_at = random.usize(..=bytes.len());
        if fate == Fate::Zeroed {
            // A disk writes whole sectors: zeros follow the end of one, or of a write.
            torn_at = torn_at.saturating_sub((at + torn_at) % SECTOR);
        }
        apply(&mut file, &pending[whole], journal, torn_at);
    }
    if fate == Fate::Torn {
        return file;
    }
    let lost = lost_ranges(&file, &pending[whole..], torn_at, journal);
    let end = lost.iter().map(|lost| lost.end).max().unwrap_or(0);
    let end = if random.bool() { end } else { random.usize(..=end) };
    let zeroed = fate == Fate::Zeroed;
    for Range { start, end } in lost.into_iter().map(|lost| lost.start..lost.end.min(end)) {
        file.resize(file.len().max(end), 0);
        file[start.min(end)..end].iter_mut().for_each(|byte| {
            *byte = if zeroed { 0 } else { random.u8(..) };
        });
    }
    file
}

/// Returns where a file is not what it was to become, by changes of which the first was cut after
/// some bytes: where it grows, and, within its size, where it was written to.
fn lost_ranges(
    file: &[u8],
    pending: &[Change],
    torn_at: usize,
    journal: &[u8],
) -> Vec<Range<usize>> {
    let mut end = file.to_vec();
    pending.iter().for_each(|change| apply(&mut end, change, journal, usize::MAX));
    let written = pending.iter().enumerate().filter_map(|(n, change)| match change {
        Change::Write { at, bytes } => {
            let from = if n == 0 { at + torn_at } else { *at };
            Some(from..(at + bytes.len()).min(file.len()))
        }
        _ => None,
    });
    written
        .chain(std::iter::once(file.len()..end.len()))
        .filter(|lost| lost.start < lost.end)
        .collect()
}

/// Writes an image to a directory, which is emptied first.
pub(crate) fn lay_out(image: &Image, directory: &Path) {
    let _ = fs::remove_dir_all(directory);
    fs::create_dir_all(directory).unwrap();
    for (path, content) in image {
        let path = directory.join(path);
        match content {
            None => fs::create_dir(path).unwrap(),
            Some(bytes) => fs::write(path, bytes).unwrap(),
        }
    }
}
