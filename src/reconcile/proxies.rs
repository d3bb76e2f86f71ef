//! Which specs the proxies are asked about: those that a hold, a route to new subsets or the end of a subset waits for.

use std::collections::HashMap;

use crate::{
    cluster::{Progress, ProxyNews, ProxyWatch},
    istio::{Edit, Next, ObjectKind, lens},
    plan::ObjectKey,
    rollout::{ClusterName, Goal, Journal, Proxies, Taken},
};

use super::{Effect, Event, Live, engine::Engine, fleet::Link, held::Held, tally::Stage, worker::object};

/// Whether the next step of a cluster depends on what its proxies have.
pub(super) fn matter(journal: Option<&Journal>, goal: &Goal, next: &Next) -> bool {
    let open =
        journal.is_some_and(|journal| journal.converged.is_none() && (!journal.is_settled() || journal.is_doubted()));
    let leaves = matches!(goal, Goal::Apply(apply) if apply.awaits);
    open || leaves || matches!(next, Next::Wait { .. })
}

/// Asks for what was not asked yet.
pub(super) fn ask<'a>(
    cluster: &'a ClusterName,
    held: &'a Held,
    proxies: &'a Proxies,
    route: &'a ObjectKey,
    rule: &'a ObjectKey,
) -> impl Iterator<Item = Effect> + 'a {
    let both = [
        (ObjectKind::VirtualService, &proxies.route, &held.virtual_service),
        (ObjectKind::DestinationRule, &proxies.rule, &held.destination_rule),
    ];
    let unasked = both.into_iter().filter(|(_, taken, _)| **taken == Taken::Unasked);
    unasked.map(move |(kind, _, live)| Effect::AskProxies {
        cluster: cluster.clone(),
        kind,
        object: object(kind, route, rule),
        live: live.clone().flatten(),
    })
}

/// What is known of the proxies of a cluster.
#[derive(Default)]
pub(super) struct Asked {
    /// Whom to ask; none: nobody.
    pub(super) watch: Option<ProxyWatch>,
    /// Whether there was nobody to ask when that was looked for last.
    nobody: bool,
    /// What was learnt of the spec that was asked about last.
    taken: HashMap<(ObjectKind, ObjectKey), (Option<i64>, Taken)>,
}

impl Asked {
    /// How far the proxies are with a spec; none: nobody can be asked.
    pub(super) fn taken(&self, kind: ObjectKind, key: &ObjectKey, generation: Option<i64>) -> Option<Taken> {
        self.watch.as_ref().filter(|_| !self.nobody)?;
        let known = self.taken.get(&(kind, key.clone())).filter(|known| known.0 == generation);
        Some(known.map_or(Taken::Unasked, |known| known.1.clone()))
    }
}

impl Engine {
    pub(super) fn ask_proxies(&mut self, cluster: &str, kind: ObjectKind, object: ObjectKey, live: Live) {
        let Some(asked) = self.view.places.get_mut(cluster).map(|place| &mut place.proxies) else { return };
        let Some(watch) = &asked.watch else { return };
        let generation = live.as_deref().and_then(lens::generation);
        let awaited = Taken::Awaited { why: "istiod is asked".into() };
        asked.taken.insert((kind, object.clone()), (generation, awaited));
        watch.ask(kind, object, live);
    }

    /// Asks about each move of traffic, also where nothing waits for it: how long it took is counted.
    /// Where nobody could be asked before, it is so looked for again.
    pub(super) fn wrote(&mut self, cluster: &str, edit: &Edit, answer: &Live) {
        if edit.moves_traffic() {
            self.ask_proxies(cluster, edit.kind, edit.key.clone(), answer.clone());
        }
    }

    /// Takes in what istiod says of the proxies.
    pub(super) fn proxies(&mut self, link: &Link, news: ProxyNews) {
        let Some(cluster) = self.fleet.current(link) else { return };
        let cluster = cluster.as_str();
        let ProxyNews { target, generation, progress, asked, at } = news;
        let instant = self.clock.at(at);
        let Some(place) = self.view.places.get_mut(cluster) else { return };
        if let Progress::Nobody(why) = &progress
            && !place.proxies.nobody
        {
            tracing::warn!(cluster, "nobody can be asked about the proxies, the convergence wait stands in: {why}");
        }
        place.proxies.nobody = matches!(progress, Progress::Nobody(_));
        // Another spec was asked about meanwhile.
        let Some(known) = place.proxies.taken.get_mut(&target).filter(|known| known.0 == generation) else { return };
        known.1 = match progress {
            Progress::Awaited(why) => Taken::Awaited { why },
            Progress::Taken => Taken::Since(instant),
            Progress::Refused(why) => Taken::Refused { why },
            // To be asked anew as soon as there is somebody.
            Progress::Nobody(_) => Taken::Unasked,
        };
        let (kind, key) = target;
        match &known.1 {
            Taken::Since(_) => self.tally.took(Stage::Converge, at.duration_since(asked)),
            Taken::Refused { why } => {
                tracing::warn!(cluster, kind = kind.kind(), object = %key, "a proxy refused the configuration: {why}")
            }
            Taken::Unasked | Taken::Awaited { .. } => {}
        }
        let concerned = match kind {
            ObjectKind::VirtualService => vec![key],
            ObjectKind::DestinationRule => self.links.of_rule(&key),
        };
        for worker in concerned.into_iter().filter(|worker| self.workers.contains_key(worker)).collect::<Vec<_>>() {
            self.hand(&worker, Event::Look);
        }
    }
}
