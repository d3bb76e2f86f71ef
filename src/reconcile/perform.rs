//! Performs what workers ask for: writes, looks, timers, news.

use std::{sync::Arc, time::Instant};

use crate::{
    cluster::{self, Announcement},
    failpoint,
    istio::ObjectKind,
    plan::ObjectKey,
    rollout::{Reason, What},
};

use super::{
    Effect, News, Worker, announce,
    engine::{Engine, Incoming},
    tally::Stage,
    trace,
};

impl Engine {
    pub(super) fn perform(&mut self, key: &ObjectKey, effect: Effect) {
        match effect {
            Effect::Write { cluster, edit, leased } => {
                failpoint::pass("journal.decided");
                let Some(place) = self.view.places.get(&cluster) else { return };
                let (client, server, sender) = (place.cluster.clone(), place.server(), self.sender.clone());
                let fence = self.fence().filter(|_| leased);
                let queued = self.writes.begin(client.turns(), &cluster, key, &edit);
                let (worker, began) = (key.clone(), Instant::now());
                self.in_flight += 1;
                tokio::spawn(async move {
                    let _turn = queued.turn().await;
                    let outcome = match fence {
                        Some(fence) if !fence.holds() => cluster::Outcome::Withheld,
                        _ => cluster::write(&client, &edit, false).await,
                    };
                    // The loop has ended where nobody receives.
                    let _ = sender.send(Incoming::Written { worker, server, edit, outcome, began });
                });
            }
            Effect::Hurry => self.writes.hurry(key),
            Effect::Look { cluster, virtual_service, destination_rule } => {
                let Some(place) = self.view.places.get(&cluster) else { return };
                let (client, server) = (place.cluster.clone(), place.server());
                let (sender, worker) = (self.sender.clone(), key.clone());
                self.in_flight += 1;
                tokio::spawn(async move {
                    let (route, rule) = tokio::join!(
                        cluster::look(&client, ObjectKind::VirtualService, &virtual_service),
                        cluster::look(&client, ObjectKind::DestinationRule, &destination_rule),
                    );
                    let found = match (route, rule) {
                        (Ok(route), Ok(rule)) => Ok((route.map(Arc::new), rule.map(Arc::new))),
                        (Err(error), _) | (_, Err(error)) => Err(error.to_string()),
                    };
                    // The loop has ended where nobody receives.
                    let _ = sender.send(Incoming::Looked { worker, server, found });
                });
            }
            Effect::AskWriter { cluster, kind, object } => {
                let Some(place) = self.view.places.get(&cluster) else { return };
                let (client, server) = (place.cluster.clone(), place.server());
                let (sender, worker) = (self.sender.clone(), key.clone());
                self.in_flight += 1;
                tokio::spawn(async move {
                    let by = cluster::other_writer(&client, kind, &object).await.unwrap_or_else(|error| {
                        tracing::warn!(cluster, "not known who writes: {error}");
                        None
                    });
                    // The loop has ended where nobody receives.
                    let _ = sender.send(Incoming::Writer { worker, server, kind, by });
                });
            }
            Effect::AskProxies { cluster, kind, object, live } => self.ask_proxies(&cluster, kind, object, live),
            Effect::WakeAt(at) => self.timers.set(key, at),
            Effect::Announce { cluster, news } => self.announce(key, &cluster, &news),
            Effect::Restore(order) => self.restore(key, order),
            Effect::Note(note) => self.note(*note),
            Effect::Recall(cluster, owner) => self.recall(key, cluster, owner),
            Effect::Reason(reason) => {
                self.ask_namespace(key, &reason);
                self.heed_lease(&reason);
                // Their news says so once; the reason changes with each write of the other side.
                let told = matches!(reason, Reason::DriftFight { .. } | Reason::WriteAltered { .. });
                if reason.needs_a_person() && !told {
                    tracing::warn!(route = %key, reason = reason.name(), "{reason}");
                } else {
                    tracing::debug!(route = %key, reason = reason.name(), "{reason}");
                }
            }
        }
    }

    fn announce(&mut self, key: &ObjectKey, cluster: &str, news: &News) {
        let journal = self.workers.get(key).and_then(Worker::journal).map(|journal| &**journal);
        announce::log(cluster, key, journal, news);
        self.tally.news(cluster, news, journal);
        if matches!(news, News::Transition(transition) if transition.what != What::Accepted)
            && let Some(seen) = self.on_their_way.arrived(key)
        {
            self.tally.took(Stage::CommitToLive, seen.elapsed());
            if let Some(journal) = journal {
                let about: [(_, &dyn std::fmt::Display); 3] =
                    [("plan", &journal.owner), ("cluster", &cluster), ("revision", &journal.revision)];
                trace::span(Stage::CommitToLive, seen, &about);
            }
        }
        let uid = self.objects.uid(cluster, ObjectKind::VirtualService, key);
        if let (Some(announcer), Some(uid), Some(event)) =
            (self.announcers.get(cluster), uid, announce::event(cluster, news))
        {
            announcer.announce(Announcement { key: key.clone(), uid, ..event });
        }
    }
}
