//! The search for a key among the boundaries.

use super::keys::Keys;
use std::sync::Arc;

/// A static tree over the boundaries that compares eight bytes at a time.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Heads {
    nodes: Arc<[Node]>,
    heads: Arc<[u64]>,
    entries: Arc<[Entry]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Node {
    /// The ranks of its keys.
    first: u32,
    end: u32,
    heads_first: u32,
    heads_end: u32,
    prefix_len: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    first: u32,
    child: u32,
}

const LEAF: u32 = u32::MAX;

impl Heads {
    pub(super) fn new(keys: &Keys) -> Self {
        let mut nodes: Vec<Node> = Vec::new();
        let mut heads = Vec::new();
        let mut entries: Vec<Entry> = Vec::new();
        let mut work = std::collections::VecDeque::new();
        if keys.len() > 0 {
            work.push_back((0, keys.len(), 0));
        }
        let mut children = work.len();
        while let Some((first, end, depth)) = work.pop_front() {
            let tail = |index| keys.get(index).and_then(|key| key.get(depth..)).unwrap_or_default();
            let prefix_len =
                if end - first > 1 { common_prefix(tail(first), tail(end - 1)) } else { 0 };
            let heads_first = heads.len() as u32;
            let mut index = first;
            while index < end {
                let head = head_of(tail(index), prefix_len);
                let group = index;
                while index < end && head_of(tail(index), prefix_len) == head {
                    index += 1;
                }
                let below = depth + prefix_len + 8;
                let child =
                    if index - group > 1 && keys.get(group).is_some_and(|key| key.len() >= below) {
                        work.push_back((group, index, below));
                        children += 1;
                        children as u32 - 1
                    } else {
                        LEAF
                    };
                heads.push(head);
                entries.push(Entry { first: group as u32, child });
            }
            nodes.push(Node {
                first: first as u32,
                end: end as u32,
                heads_first,
                heads_end: heads.len() as u32,
                prefix_len,
            });
        }
        Self { nodes: nodes.into(), heads: heads.into(), entries: entries.into() }
    }

    #[inline]
    pub(super) fn rank(&self, keys: &Keys, key: &[u8]) -> usize {
        let mut index = 0;
        let mut depth = 0;
        while let Some(node) = self.nodes.get(index) {
            let Some(rest) = key.get(depth..) else {
                return node.first as usize;
            };
            if node.prefix_len > 0 {
                let prefix = keys
                    .get(node.first as usize)
                    .and_then(|key| key.get(depth..depth + node.prefix_len))
                    .unwrap_or_default();
                if !rest.starts_with(prefix) {
                    return if rest < prefix { node.first } else { node.end } as usize;
                }
            }
            let head = head_of(rest, node.prefix_len);
            let heads = self
                .heads
                .get(node.heads_first as usize..node.heads_end as usize)
                .unwrap_or_default();
            let below = heads.partition_point(|&other| other < head);
            let entry = |below| self.entries.get(node.heads_first as usize + below).copied();
            let end = if below + 1 < heads.len() {
                entry(below + 1).map_or(node.end, |entry| entry.first)
            } else {
                node.end
            };
            if heads.get(below) != Some(&head) {
                return if below < heads.len() {
                    entry(below).map_or(node.end, |entry| entry.first)
                } else {
                    node.end
                } as usize;
            }
            let Some(entry) = entry(below) else { break };
            if entry.child == LEAF {
                return keys.rank_among(entry.first as usize, end as usize, key);
            }
            index = entry.child as usize;
            depth += node.prefix_len + 8;
        }
        0
    }
}

/// The eight bytes after `skip` as a number that compares like them, filled up with zeros.
#[inline]
fn head_of(key: &[u8], skip: usize) -> u64 {
    let key = key.get(skip..).unwrap_or_default();
    match key.first_chunk::<8>() {
        Some(head) => u64::from_be_bytes(*head),
        None => short_head(key),
    }
}

#[inline]
fn short_head(key: &[u8]) -> u64 {
    let mut head = [0; 8];
    for (to, from) in head.iter_mut().zip(key) {
        *to = *from;
    }
    u64::from_be_bytes(head)
}

fn common_prefix(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}
