//! The search for a key among the boundaries.

use super::keys::{Keys, common_prefix};
use std::collections::VecDeque;
use std::hint::select_unpredictable;
use std::sync::Arc;

/// A static tree over the boundaries that compares eight bytes with one instruction.
///
/// A node has keys that begin alike. Their common prefix is compared once and left out (prefix
/// truncation; Graefe 2011, Modern B-Tree Techniques, section 3.5); of what follows, the first
/// eight bytes are a key's *head*, a number that compares like them (poor man's normalized
/// keys, section 3.6). Heads of one node lie side by side, sorted, each once. A head that several
/// keys share leads to a child node that looks at what follows it, so long common prefixes cost one
/// step and not one comparison of whole keys for each halving. A head of one key has the
/// following eight bytes next to it, which mostly decide without a look at the key itself.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Heads {
    /// The first one is the root. None if there are no keys.
    nodes: Arc<[Node]>,
    heads: Arc<[u64]>,
    /// As many as heads.
    entries: Arc<[Entry]>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Node {
    /// The ranks of its first key and of the key after its last one.
    first: u32,
    end: u32,
    heads_first: u32,
    heads_end: u32,
    /// The length of what all of its keys have after what its parents have compared: whole heads.
    prefix_len: usize,
}

/// What belongs to a head.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Entry {
    /// The rank of the first key with this head.
    first: u32,
    /// The length of the only key with this head, or [`SIMILAR`], or [`CHILD`] and the index of a
    /// node.
    next: u32,
    /// The head of what the only key with this head has after it.
    tail: u64,
}

const CHILD: u32 = 1 << 31;
/// Several keys share this head, and some of them end with it: they differ in zeros at the end,
/// which a head does not show.
const SIMILAR: u32 = CHILD - 1;
const HEAD: usize = 8;

impl Heads {
    /// O(bytes of all keys).
    pub(super) fn new(keys: &Keys) -> Self {
        let mut builder = Builder {
            keys,
            nodes: Vec::new(),
            heads: Vec::new(),
            entries: Vec::new(),
            groups: VecDeque::new(),
            node_count: 0,
        };
        if keys.len() > 0 {
            builder.plan(0, keys.len(), 0);
        }
        while let Some(group) = builder.groups.pop_front() {
            builder.add_node(&group);
        }
        Self {
            nodes: builder.nodes.into(),
            heads: builder.heads.into(),
            entries: builder.entries.into(),
        }
    }

    /// Returns how many keys are not greater than `key`.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "a node has a range of heads, and as many entries")]
    pub(super) fn rank(&self, keys: &Keys, key: &[u8]) -> usize {
        let mut index = 0;
        let mut depth = 0;
        while let Some(node) = self.nodes.get(index) {
            if node.prefix_len > 0 {
                if let Some(rank) = node.leave_out_prefix(keys, key, depth) {
                    return rank as usize;
                }
                depth += node.prefix_len;
            }
            let head = head_at(key, depth);
            depth += HEAD;
            let range = node.heads_first as usize..node.heads_end as usize;
            let heads = &self.heads[range.clone()];
            let below = lower_bound(heads, head);
            let entries = &self.entries[range];
            let (Some(&found), Some(entry)) = (heads.get(below), entries.get(below)) else {
                return node.end as usize;
            };
            if found != head {
                return entry.first as usize;
            }
            let tail = head_at(key, depth);
            if entry.decides(tail, depth) {
                return entry.first as usize + usize::from(entry.is_not_greater(tail, key.len()));
            }
            if entry.next < CHILD {
                return entry.rank_by_key(keys, key);
            }
            if key.len() < depth {
                // The key ends within the head, and was filled up with the zeros that the others
                // have there.
                return entry.first as usize;
            }
            index = (entry.next ^ CHILD) as usize;
        }
        0
    }
}

impl Node {
    /// Returns the rank of `key` if it does not have the prefix.
    #[inline(never)]
    #[expect(clippy::indexing_slicing, reason = "the first key of a node has its prefix")]
    fn leave_out_prefix(&self, keys: &Keys, key: &[u8], depth: usize) -> Option<u32> {
        let prefix = &keys.at(self.first as usize)[depth..depth + self.prefix_len];
        // A key may end before the prefix begins.
        let rest = key.get(depth..).unwrap_or_default();
        if rest.starts_with(prefix) {
            return None;
        }
        Some(if rest < prefix { self.first } else { self.end })
    }
}

impl Entry {
    /// Returns true if a key with this head and this tail, which begins at `depth`, can be compared
    /// without a look at the key that belongs to this entry.
    #[inline]
    fn decides(&self, tail: u64, depth: usize) -> bool {
        (self.next < SIMILAR) & ((self.tail != tail) | (self.next as usize <= depth + HEAD))
    }

    /// Compares a key with this head and tail and this length, if the entry decides.
    #[inline]
    fn is_not_greater(&self, tail: u64, len: usize) -> bool {
        // When all bytes are equal, one of the two may still have zeros that the other has not.
        (self.tail < tail) | ((self.tail == tail) & (self.next as usize <= len))
    }

    fn rank_by_key(&self, keys: &Keys, key: &[u8]) -> usize {
        let first = self.first as usize;
        let end = if self.next == SIMILAR { keys.len() } else { first + 1 };
        keys.rank_among(first, end, key)
    }
}

/// Keys that become a node.
struct Group {
    first: usize,
    end: usize,
    depth: usize,
}

struct Builder<'k> {
    keys: &'k Keys,
    nodes: Vec<Node>,
    heads: Vec<u64>,
    entries: Vec<Entry>,
    groups: VecDeque<Group>,
    /// Nodes there are and will be.
    node_count: u32,
}

impl Builder<'_> {
    /// Plans a node for some keys; returns its index.
    fn plan(&mut self, first: usize, end: usize, depth: usize) -> u32 {
        self.groups.push_back(Group { first, end, depth });
        self.node_count += 1;
        self.node_count - 1
    }

    fn add_node(&mut self, group: &Group) {
        let Group { first, end, depth } = *group;
        let tail = |index| self.keys.at(index).get(depth..).unwrap_or_default();
        let prefix_len =
            if end - first > 1 { common_prefix(tail(first), tail(end - 1)) } else { 0 };
        let prefix_len = prefix_len - prefix_len % HEAD;
        let heads_first = self.heads.len() as u32;
        let mut index = first;
        while index < end {
            index = self.add_head(index, end, depth + prefix_len);
        }
        self.nodes.push(Node {
            first: first as u32,
            end: end as u32,
            heads_first,
            heads_end: self.heads.len() as u32,
            prefix_len,
        });
    }

    /// Adds the head at `depth` of the key `first` and returns the first key with another one.
    fn add_head(&mut self, first: usize, end: usize, depth: usize) -> usize {
        let head = head_at(self.keys.at(first), depth);
        let same =
            (first..end).take_while(|&index| head_at(self.keys.at(index), depth) == head).count();
        let after = depth + HEAD;
        let len = self.keys.at(first).len();
        let next = if same == 1 {
            len as u32
        } else if len < after {
            SIMILAR
        } else {
            CHILD | self.plan(first, first + same, after)
        };
        let tail = head_at(self.keys.at(first), after);
        self.heads.push(head);
        self.entries.push(Entry { first: first as u32, next, tail });
        first + same
    }
}

/// Returns how many of `heads`, which ascend, are less than `head`. Each step keeps a quarter,
/// after three loads that do not wait for each other, and has no branch that depends on them.
#[inline]
#[expect(
    clippy::indexing_slicing,
    reason = "base + len never exceeds the number of heads, and `get` compiles to branches on them"
)]
fn lower_bound(heads: &[u64], head: u64) -> usize {
    let (mut base, mut len) = (0, heads.len());
    while len >= 4 {
        let quarter = len / 4;
        let [one, two, three] = [base + quarter, base + 2 * quarter, base + 3 * quarter];
        let less = [heads[one - 1] < head, heads[two - 1] < head, heads[three - 1] < head];
        let low = select_unpredictable(less[0], one, base);
        let high = select_unpredictable(less[2], three, two);
        base = select_unpredictable(less[1], high, low);
        // More than a quarter if `len` is not divided evenly.
        len -= 3 * quarter;
    }
    let last = &heads[base..base + len];
    base + last.iter().map(|&other| usize::from(other < head)).sum::<usize>()
}

/// Returns the eight bytes of `key` from `at` on as a number that compares like them, with zeros
/// after the end of the key.
#[inline]
fn head_at(key: &[u8], at: usize) -> u64 {
    // The last eight bytes, shifted, do for a head that the key does not fill: no branch depends
    // on where the key ends.
    let start = at.min(key.len().wrapping_sub(HEAD));
    match key.get(start..).and_then(<[u8]>::first_chunk) {
        Some(chunk) => {
            let missing = at - start;
            let shifted = u64::from_be_bytes(*chunk) << (8 * (missing % HEAD));
            if missing < HEAD { shifted } else { 0 }
        }
        None => short_head(key, at),
    }
}

/// Returns the head of a key of less than eight bytes.
fn short_head(key: &[u8], at: usize) -> u64 {
    let mut head = [0; HEAD];
    for (to, from) in head.iter_mut().zip(key.iter().skip(at)) {
        *to = *from;
    }
    u64::from_be_bytes(head)
}
