//! Cycles in a graph of transactions, and what kind each is.

use super::infer::{Anomaly, Found};
use std::collections::{BTreeMap, VecDeque};

/// Why one transaction comes before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edge {
    /// It has appended to a list what the other one's element follows.
    WriteWrite,
    /// The other one has read what it has appended.
    WriteRead,
    /// It has read a list before the other one has appended to it.
    ReadWrite,
    /// The same, by a scan.
    ScanWrite,
    /// It had ended before the other one began.
    Time,
}

impl Edge {
    fn is_overwritten_read(self) -> bool {
        matches!(self, Self::ReadWrite | Self::ScanWrite)
    }
}

const ALL: [Edge; 5] =
    [Edge::WriteWrite, Edge::WriteRead, Edge::ReadWrite, Edge::ScanWrite, Edge::Time];

/// A kind of cycle.
#[derive(Clone, Copy)]
struct Kind<'a> {
    anomaly: Anomaly,
    /// One of its edges is one of these,
    first: &'a [Edge],
    /// and the others are of these.
    rest: &'a [Edge],
    /// Whether no overwritten read may follow another one.
    apart: bool,
}

impl<'a> Kind<'a> {
    const fn new(anomaly: Anomaly, first: &'a [Edge], rest: &'a [Edge]) -> Self {
        Self { anomaly, first, rest, apart: false }
    }

    fn may_follow(self, edge: Edge, last: Edge) -> bool {
        !(self.apart && edge.is_overwritten_read() && last.is_overwritten_read())
    }
}

pub(super) struct Graph {
    edges: Vec<Vec<(usize, Edge)>>,
}

/// A path from node to node.
type Path = Vec<(usize, Edge)>;

impl Graph {
    pub(super) fn new(nodes: usize) -> Self {
        Self { edges: vec![Vec::new(); nodes] }
    }

    pub(super) fn add(&mut self, from: usize, to: usize, edge: Edge) {
        if from != to && !self.edges[from].contains(&(to, edge)) {
            self.edges[from].push((to, edge));
        }
    }

    /// Returns for each group of nodes that are on common cycles the gravest of each kind.
    pub(super) fn anomalies(&self) -> Vec<Found> {
        let components = self.components();
        let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (node, component) in components.iter().enumerate() {
            members.entry(*component).or_default().push(node);
        }
        let mut found = Vec::new();
        for nodes in members.values().filter(|nodes| nodes.len() > 1) {
            let within = |node: usize| components[node] == components[nodes[0]];
            found.extend(self.classify(nodes, &within));
        }
        found
    }

    fn classify(&self, nodes: &[usize], within: &dyn Fn(usize) -> bool) -> Vec<Found> {
        use Edge::{ReadWrite, ScanWrite, Time, WriteRead, WriteWrite};
        let kinds = [
            Kind::new(Anomaly::G0, &[WriteWrite], &[WriteWrite, Time]),
            Kind::new(Anomaly::G1c, &[WriteRead], &[WriteWrite, WriteRead, Time]),
            Kind::new(Anomaly::GSingle, &[ReadWrite, ScanWrite], &[WriteWrite, WriteRead, Time]),
            Kind { apart: true, ..Kind::new(Anomaly::GNonadjacent, &[ReadWrite, ScanWrite], &ALL) },
            Kind::new(Anomaly::G2Item, &[ReadWrite], &[WriteWrite, WriteRead, ReadWrite, Time]),
            Kind::new(Anomaly::G2, &[ScanWrite], &ALL),
        ];
        let mut found: Vec<Found> = Vec::new();
        for kind in kinds {
            let has = |anomaly| found.iter().any(|it: &Found| it.anomaly == anomaly);
            // A cycle with one overwritten read is one in which none follows another, and so on.
            let implied = match kind.anomaly {
                Anomaly::GNonadjacent => has(Anomaly::GSingle),
                Anomaly::G2Item => !found.is_empty(),
                Anomaly::G2 => found.iter().any(|it| it.anomaly != Anomaly::G2Item),
                _ => false,
            };
            if implied {
                continue;
            }
            let cycle = nodes.iter().find_map(|node| self.cycle(*node, kind, within));
            found.extend(cycle.map(|text| Found::new(kind.anomaly, text)));
        }
        found
    }

    /// Returns a cycle of a kind that begins at a node.
    fn cycle(&self, node: usize, kind: Kind<'_>, within: &dyn Fn(usize) -> bool) -> Option<String> {
        let firsts = self.edges[node].iter().copied();
        let mut firsts = firsts.filter(|(to, edge)| kind.first.contains(edge) && within(*to));
        firsts.find_map(|(to, edge)| {
            let rest = self.path((to, edge), node, kind, within)?;
            let shown = std::iter::once((to, edge)).chain(rest);
            let shown = shown.map(|(to, edge)| format!(" -{edge:?}-> {to}"));
            Some(format!("{node}{}", shown.collect::<String>()))
        })
    }

    /// Returns the shortest path from the end of the first edge of a cycle to where that began.
    fn path(
        &self,
        from: (usize, Edge),
        to: usize,
        kind: Kind<'_>,
        within: &dyn Fn(usize) -> bool,
    ) -> Option<Path> {
        // Where the search has been: the node, and whether it came there by an overwritten read.
        let state = |node: usize, edge: Edge| (node, edge.is_overwritten_read());
        let mut came_from = BTreeMap::from([(state(from.0, from.1), None)]);
        let mut queue = VecDeque::from([from]);
        while let Some((node, last)) = queue.pop_front() {
            for (next, edge) in self.edges[node].iter().copied() {
                let may = kind.rest.contains(&edge) && kind.may_follow(edge, last);
                if !may || !within(next) || came_from.contains_key(&state(next, edge)) {
                    continue;
                }
                came_from.insert(state(next, edge), Some((node, last, edge)));
                // What ends the cycle is followed by what begins it.
                if next == to && kind.may_follow(from.1, edge) {
                    return Some(unwind(&came_from, next, edge));
                }
                queue.push_back((next, edge));
            }
        }
        None
    }

    /// Returns for each node the number of its strongly connected component (Kosaraju's algorithm,
    /// as in Sharir 1981).
    fn components(&self) -> Vec<usize> {
        let mut reversed = vec![Vec::new(); self.edges.len()];
        let mut forward = vec![Vec::new(); self.edges.len()];
        for (from, edges) in self.edges.iter().enumerate() {
            for (to, _) in edges {
                reversed[*to].push(from);
                forward[from].push(*to);
            }
        }
        let mut seen = vec![false; self.edges.len()];
        let mut order = Vec::new();
        for node in 0..self.edges.len() {
            visit(&forward, node, &mut seen, &mut order);
        }
        let mut components = vec![0; self.edges.len()];
        seen.fill(false);
        for node in order.into_iter().rev() {
            let mut component = Vec::new();
            visit(&reversed, node, &mut seen, &mut component);
            component.into_iter().for_each(|member| components[member] = node);
        }
        components
    }
}

type CameFrom = BTreeMap<(usize, bool), Option<(usize, Edge, Edge)>>;

fn unwind(came_from: &CameFrom, node: usize, edge: Edge) -> Path {
    let (mut at, mut path) = ((node, edge), Vec::new());
    while let Some(Some((before, its_edge, by))) =
        came_from.get(&(at.0, at.1.is_overwritten_read()))
    {
        path.push((at.0, *by));
        at = (*before, *its_edge);
    }
    path.reverse();
    path
}

/// Adds what can be reached from a node and was not seen, each after what is reached from it.
fn visit(edges: &[Vec<usize>], from: usize, seen: &mut [bool], order: &mut Vec<usize>) {
    let mut stack = vec![(from, 0)];
    if std::mem::replace(&mut seen[from], true) {
        return;
    }
    while let Some((node, next)) = stack.last_mut() {
        match edges[*node].get(*next) {
            None => {
                order.push(*node);
                stack.pop();
            }
            Some(to) => {
                *next += 1;
                if !std::mem::replace(&mut seen[*to], true) {
                    stack.push((*to, 0));
                }
            }
        }
    }
}
