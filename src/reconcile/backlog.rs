//! What waits until fewer writes are under way: a write that waits for its turn holds a whole object, and the first sync
//! of thousands of plans would hold all of them at once.

use std::collections::VecDeque;

use crate::{plan::ObjectKey, rollout::ClusterName};

use super::{Event, engine::Engine};

/// Something that is still to be told to a worker.
#[derive(Debug)]
pub(super) enum Later {
    /// What Git asks for.
    Want(ObjectKey),
    /// Its objects in a cluster whose caches are complete.
    Show(ObjectKey, ClusterName),
}

/// What is to be told, the newest commit first: whoever reverts does not wait for a first sync.
#[derive(Debug, Default)]
pub(super) struct Backlog(VecDeque<Later>);

impl Backlog {
    /// Takes in the routes that a commit touched, in their order.
    pub(super) fn want(&mut self, routes: impl DoubleEndedIterator<Item = ObjectKey>) {
        for route in routes.rev() {
            self.0.push_front(Later::Want(route));
        }
    }

    /// Takes in routes whose objects are known now.
    pub(super) fn show(&mut self, routes: impl Iterator<Item = ObjectKey>, cluster: &ClusterName) {
        self.0.extend(routes.map(|route| Later::Show(route, cluster.clone())));
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Engine {
    /// Tells the workers what waits, as long as that leads to few writes. Each write's answer comes here again.
    pub(super) fn catch_up(&mut self) {
        while !self.writes.are_many(|| self.view.places.keys().filter(|name| !self.view.away.contains_key(*name))) {
            match self.backlog.0.pop_front() {
                Some(Later::Want(route)) => self.want(&route),
                Some(Later::Show(route, cluster)) => {
                    // A cluster that was just read takes part for one worker after the other.
                    if !self.view.away.contains_key(&cluster) && self.workers.contains_key(&route) {
                        self.hand(&route, Event::Reach { cluster: cluster.clone(), away_since: None });
                    }
                    self.show(&route, &cluster);
                    let is_beside = self.workers.get(&route).is_some_and(|worker| !worker.holds(&cluster));
                    if is_beside && self.view.meshes.sharing(&cluster).is_some() {
                        self.hand(&route, Event::Look);
                    }
                    self.settle_up();
                }
                None => return,
            }
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
        backlog.show([key("s")].into_iter(), &"east".to_owned());
        backlog.want([key("a"), key("b")].into_iter());
        backlog.want([key("c"), key("d")].into_iter());
        let name = |later: &Later| match later {
            Later::Want(key) | Later::Show(key, _) => key.name.clone(),
        };
        assert_eq!(backlog.0.iter().map(name).collect::<Vec<_>>(), ["c", "d", "a", "b", "s"]);
    }
}
