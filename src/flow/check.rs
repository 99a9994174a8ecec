//! Whether a graph can be run: what is wrong with it is told before it is.

use std::collections::{HashMap, HashSet};

use super::defect::FlowDefect;
use super::definition::Definition;
use super::edge::Goal;

/// Where each node stands in the list, and which can be visited more than once.
type Checked = (HashMap<String, usize>, Vec<bool>);

/// Checks a graph, in a time that grows with nodes and edges.
pub(super) fn check(nodes: &[Definition]) -> Result<Checked, Vec<FlowDefect>> {
    let mut defects = Vec::new();
    let mut places = HashMap::with_capacity(nodes.len());
    for (place, node) in nodes.iter().enumerate() {
        if places.insert(node.node.as_str().to_owned(), place).is_some() {
            defects.push(FlowDefect::DuplicateNode { node: node.node.clone() });
        }
        check_node(node, &mut defects);
    }
    if nodes.is_empty() {
        defects.push(FlowDefect::Empty);
    }
    let mut graph = Graph::default();
    for (from, node) in nodes.iter().enumerate() {
        graph.onward.push(Vec::new());
        graph.back.resize(nodes.len(), Vec::new());
        for edge in &node.edges {
            let Some(to) = edge.node() else {
                graph.ends.push(from);
                continue;
            };
            match places.get(to) {
                Some(to) => graph.add(from, *to, edge.limit().is_some()),
                None => defects.push(FlowDefect::UnknownNode {
                    node: node.node.clone(),
                    on: edge.on.to_string(),
                    to: to.to_owned(),
                }),
            }
        }
    }
    if !defects.is_empty() {
        return Err(defects);
    }
    let name = |place: usize| nodes.get(place).map(|node| node.node.clone());
    let start = if nodes.is_empty() { Vec::new() } else { vec![0] };
    let lost = unseen(&Graph::seen(&graph.onward, start)).into_iter().filter_map(name);
    defects.extend(lost.map(|node| FlowDefect::Unreachable { node }));
    let stuck = unseen(&Graph::seen(&graph.back, graph.ends.clone())).into_iter().filter_map(name);
    defects.extend(stuck.map(|node| FlowDefect::NoWayToEnd { node }));
    let endless: Vec<_> = graph.endless().into_iter().filter_map(name).collect();
    if !endless.is_empty() {
        defects.push(FlowDefect::EndlessLoop { nodes: endless });
    }
    if defects.is_empty() { Ok((places, graph.looped())) } else { Err(defects) }
}

fn check_node(node: &Definition, defects: &mut Vec<FlowDefect>) {
    let zero = |what| FlowDefect::Zero { node: node.node.clone(), what };
    if node.retry().count() == 0 {
        defects.push(zero("the number of attempts"));
    }
    if node.edges.iter().any(|edge| edge.limit() == Some(0)) {
        defects.push(zero("the limit of an edge"));
    }
    if node.phase().is_final() {
        let (node, phase) = (node.node.clone(), node.phase());
        defects.push(FlowDefect::FinalPhase { node, phase });
    }
    if node.run.is_some() && node.config.is_some() {
        let reason =
            "a program is given arguments and an environment, and no configuration".to_owned();
        defects.push(FlowDefect::BadConfig { node: node.node.to_string(), reason });
    }
    let mut kinds = HashSet::new();
    for edge in &node.edges {
        if !kinds.insert((&edge.on, matches!(edge.goal, Goal::Again(..)))) {
            let (node, on) = (node.node.clone(), edge.on.to_string());
            defects.push(FlowDefect::DuplicateEdge { node, on });
        }
    }
}

fn unseen(seen: &[bool]) -> Vec<usize> {
    seen.iter().enumerate().filter(|(_, seen)| !**seen).map(|(place, _)| place).collect()
}

/// Nodes by their places.
#[derive(Default)]
struct Graph {
    onward: Vec<Vec<usize>>,
    back: Vec<Vec<usize>>,
    /// The edges without a limit.
    unlimited: Vec<(usize, usize)>,
    limited: Vec<(usize, usize)>,
    /// Nodes with an edge to an end.
    ends: Vec<usize>,
}

impl Graph {
    fn add(&mut self, from: usize, to: usize, is_limited: bool) {
        if let Some(onward) = self.onward.get_mut(from) {
            onward.push(to);
        }
        if let Some(back) = self.back.get_mut(to) {
            back.push(from);
        }
        let edges = if is_limited { &mut self.limited } else { &mut self.unlimited };
        edges.push((from, to));
    }

    /// The nodes that can be reached.
    fn seen(edges: &[Vec<usize>], mut from: Vec<usize>) -> Vec<bool> {
        let mut seen = vec![false; edges.len()];
        while let Some(place) = from.pop() {
            let Some(seen) = seen.get_mut(place) else { continue };
            if !std::mem::replace(seen, true) {
                from.extend(edges.get(place).into_iter().flatten());
            }
        }
        seen
    }

    /// A loop that has no edge with a limit, if there is one: its nodes in their order.
    fn endless(&self) -> Vec<usize> {
        let mut incoming = vec![0_usize; self.onward.len()];
        let mut onward = vec![Vec::new(); self.onward.len()];
        for &(from, to) in &self.unlimited {
            if let (Some(incoming), Some(onward)) = (incoming.get_mut(to), onward.get_mut(from)) {
                *incoming += 1;
                onward.push(to);
            }
        }
        // Nodes that nothing leads to are taken away, one after the other. Something leads to each that
        // stays, so who goes back along these edges comes by one node twice.
        let mut free = unseen(&incoming.iter().map(|count| *count > 0).collect::<Vec<_>>());
        let mut stays = vec![true; self.onward.len()];
        while let Some(place) = free.pop() {
            if let Some(stays) = stays.get_mut(place) {
                *stays = false;
            }
            for &to in onward.get(place).into_iter().flatten() {
                let Some(count) = incoming.get_mut(to) else { continue };
                *count -= 1;
                if *count == 0 {
                    free.push(to);
                }
            }
        }
        let stays_at = |place: &usize| stays.get(*place).copied().unwrap_or_default();
        let before: HashMap<usize, usize> = self
            .unlimited
            .iter()
            .filter(|(from, _)| stays_at(from))
            .map(|(from, to)| (*to, *from))
            .collect();
        let mut at = (0..stays.len()).find(stays_at);
        let (mut path, mut seen) = (Vec::new(), HashSet::new());
        while let Some(place) = at.filter(|place| seen.insert(*place)) {
            path.push(place);
            at = before.get(&place).copied();
        }
        let mut endless =
            path.split_off(path.iter().position(|place| Some(*place) == at).unwrap_or(path.len()));
        endless.reverse();
        endless
    }

    /// The nodes of loops: those that lead to one another, or to themselves (Kosaraju's way, in a time that grows
    /// with nodes and edges).
    fn looped(&self) -> Vec<bool> {
        let mut component = vec![None; self.onward.len()];
        let mut sizes = Vec::new();
        for root in self.ended_last_first() {
            let (mut size, mut open) = (0_usize, vec![root]);
            while let Some(place) = open.pop() {
                let Some(seen @ None) = component.get_mut(place) else { continue };
                *seen = Some(sizes.len());
                size += 1;
                open.extend(self.back.get(place).into_iter().flatten());
            }
            sizes.push(size);
        }
        let of_many = component.iter().map(|component| {
            component.and_then(|component| sizes.get(component)).is_some_and(|size| *size > 1)
        });
        let mut looped: Vec<_> = of_many.collect();
        for (_, to) in self.limited.iter().filter(|(from, to)| from == to) {
            if let Some(looped) = looped.get_mut(*to) {
                *looped = true;
            }
        }
        looped
    }

    /// The nodes by when a walk in depth has done with them, the last one first.
    fn ended_last_first(&self) -> Vec<usize> {
        let mut seen = vec![false; self.onward.len()];
        let mut ended = Vec::with_capacity(seen.len());
        for root in 0..seen.len() {
            let mut open = vec![(root, 0)];
            while let Some((place, next)) = open.pop() {
                if next == 0 && seen.get_mut(place).is_none_or(|seen| std::mem::replace(seen, true))
                {
                    continue;
                }
                match self.onward.get(place).and_then(|onward| onward.get(next)) {
                    Some(to) => open.extend([(place, next + 1), (*to, 0)]),
                    None => ended.push(place),
                }
            }
        }
        ended.reverse();
        ended
    }
}
