//! What waits until fewer writes are under way: a write that waits for its turn holds a whole object, and the first sync
//! of thousands of plans would hold all of them at once.

use std::collections::{HashMap, VecDeque};

use crate::{plan::ObjectKey, rollout::ClusterName};

use super::{Event, engine::Engine};

/// Something that is still to be told to a worker.
#[derive(Debug)]
pub(super) enum Later {
    /// What Git asks for.
    Want(ObjectKey),
    /// Its objects in the clusters whose caches are complete.
    Show(ObjectKey, Vec<ClusterName>),
}

/// What is to be told, the newest commit first: whoever reverts does not wait for a first sync. A route whose objects are
/// known in many clusters is told of all of them at once, as each decision looks at all.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    wants: VecDeque<ObjectKey>,
    shows: VecDeque<ObjectKey>,
    known: HashMap<ObjectKey, Vec<ClusterName>>,
}

impl Backlog {
    /// Takes in the routes that a commit touched, in their order.
    pub(super) fn want(&mut self, routes: impl DoubleEndedIterator<Item = ObjectKey>) {
        routes.rev().for_each(|route| self.wants.push_front(route));
    }

    /// Takes in routes whose objects are known now.
    pub(super) fn show(&mut self, routes: impl Iterator<Item = ObjectKey>, cluster: &ClusterName) {
        for route in routes {
            let known = self.known.entry(route.clone()).or_default();
            if known.is_empty() {
                self.shows.push_back(route);
            }
            known.push(cluster.clone());
        }
    }

    fn next(&mut self) -> Option<Later> {
        if let Some(route) = self.wants.pop_front() {
            return Some(Later::Want(route));
        }
        let route = self.shows.pop_front()?;
        let clusters = self.known.remove(&route)?;
        Some(Later::Show(route, clusters))
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.wants.is_empty() && self.shows.is_empty()
    }
}

impl Engine {
    /// Tells the workers what waits, as long as that leads to few writes. Each write's answer comes here again.
    pub(super) fn catch_up(&mut self) {
        while !self.writes.are_many(|| self.view.places.keys().filter(|name| !self.view.away.contains_key(*name))) {
            match self.backlog.next() {
                Some(Later::Want(route)) => self.want(&route),
                Some(Later::Show(route, clusters)) => {
                    clusters.iter().for_each(|cluster| self.show_first(&route, cluster));
                    self.settle_up();
                }
                None => return,
            }
        }
    }

    /// A cluster that was just read takes part for one worker after the other.
    fn show_first(&mut self, route: &ObjectKey, cluster: &ClusterName) {
        if !self.view.away.contains_key(cluster) && self.workers.contains_key(route) {
            self.hand(route, Event::Reach { cluster: cluster.clone(), away_since: None });
        }
        self.show(route, cluster);
        let is_beside = self.workers.get(route).is_some_and(|worker| !worker.holds(cluster));
        if is_beside && self.view.meshes.sharing(cluster).is_some() {
            self.hand(route, Event::Look);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_commit_comes_first_and_each_in_its_order() {
        let key = |name: &str| ObjectKey { namespace: "shop".into(), name: name.into() };
        let mut backlog = Backlog::default();
        backlog.show([key("s"), key("t")].into_iter(), &"east".to_owned());
        backlog.want([key("a"), key("b")].into_iter());
        backlog.show([key("t"), key("u")].into_iter(), &"west".to_owned());
        backlog.want([key("c"), key("d")].into_iter());
        let name = |later: Later| match later {
            Later::Want(key) => key.name,
            Later::Show(key, clusters) => format!("{} {}", key.name, clusters.join(" ")),
        };
        let order: Vec<String> = std::iter::from_fn(|| backlog.next().map(name)).collect();
        assert_eq!(order, ["c", "d", "a", "b", "s east", "t east west", "u west"]);
        assert!(backlog.is_empty() && backlog.known.is_empty());
    }
}
