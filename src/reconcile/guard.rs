//! A guard: what goes back in a cluster when whoever raises there is dead, or cannot reach it. It needs no Git: it takes
//! up every route that carries a journal, whatever repository its plan is from, and lets the worker decide that decides
//! everywhere, in a world in which nothing may rise.

use std::{future::Future, path::PathBuf};

use tokio::sync::mpsc;

use crate::{
    cluster::{Cluster, Member},
    istio::{ObjectKind, lens},
    plan::ObjectKey,
    rollout::{Lease, OWNER, Settings, Wanted, is_ours},
};

use super::{
    Ask, Event, Live,
    engine::Engine,
    fleet::Fleet,
    follow::{LAST_WRITE, SIGHTS_MAX, asked, last_answers, until},
};

/// What to guard.
pub struct GuardOptions {
    /// The one cluster, called as whoever raises there calls it: where the clusters of a plan stand apart, its journals
    /// name them.
    pub member: Member,
    /// Its client.
    pub cluster: Cluster,
    /// Waits and limits.
    pub settings: Settings,
    /// What tells several tidegates apart in Events.
    pub instance: Option<String>,
    /// Questions for the present report; none where nobody may ask.
    pub asks: Option<mpsc::Receiver<Ask>>,
}

/// Guards until `shutdown`; then finishes the writes that are under way.
pub async fn guard(mut options: GuardOptions, shutdown: impl Future<Output = ()>) {
    let (sender, mut incoming) = mpsc::unbounded_channel();
    let (sights, mut seen) = mpsc::channel(SIGHTS_MAX);
    // Nobody asks about proxies.
    let (news, _) = mpsc::channel(1);
    let fleet = Fleet::new(sights, news, options.instance);
    let mut engine = Engine::new(None, PathBuf::new(), options.settings, 0, fleet, sender);
    engine.view.lease = Lease::Guard;
    tracing::info!(cluster = options.member.name, "guards the cluster: goes back, and raises nothing");
    engine.configure(vec![options.member], vec![options.cluster]);
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let timer = until(&engine.clock, engine.timers.next());
        tokio::select! {
            () = &mut shutdown => break,
            Some(event) = incoming.recv() => engine.incoming(event),
            Some((link, seen)) = seen.recv() => engine.seen(&link, seen),
            () = timer => engine.wake(),
            Some(ask) = asked(&mut options.asks) => if !ask.answer.is_closed() {
                // Whoever asked may have gone meanwhile.
                let _ = ask.answer.send(engine.report(ask.whole));
            },
        }
        engine.take_more(&mut incoming, &mut seen);
        engine.settle_up();
    }
    last_answers(&mut engine, &mut incoming, LAST_WRITE, 0).await;
}

impl Engine {
    /// Whether this process raises nothing, ever, and follows no repository.
    pub(super) fn is_guard(&self) -> bool {
        self.view.lease == Lease::Guard
    }

    /// How the owner of a route that is this process's begins.
    pub(super) fn owners(&self) -> String {
        if self.is_guard() { String::new() } else { format!("{}/", self.repository) }
    }

    /// A guard takes up whatever route comes to carry an owner, and lets go of what is gone: it makes nothing anew.
    pub(super) fn guards(&mut self, kind: ObjectKind, key: &ObjectKey, live: &Live) {
        if kind != ObjectKind::VirtualService || !self.is_guard() {
            return;
        }
        match live {
            None => self.dismiss(key),
            Some(live) if !self.workers.contains_key(key) => {
                if is_ours(live) && lens::annotation(live, OWNER).is_some() {
                    self.hand(key, Event::Wanted(Wanted::Unknown));
                }
            }
            Some(_) => {}
        }
    }
}
