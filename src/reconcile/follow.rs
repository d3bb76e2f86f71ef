//! The loop of one plan repository: starts it, feeds it, and ends it in good order.

use std::{
    collections::BTreeMap,
    future::Future,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use crate::{
    cluster::{Cluster, Member},
    git,
    rollout::{Lease, Settings},
};

use super::{
    Ask, Clock, Ending, Followed,
    committer::Committer,
    election::{Candidacy, Election},
    engine::{Engine, Incoming},
    fleet::{FileReport, Fleet},
    mirror::Mirror,
    notes::Notes,
    restores::Restores,
};

/// How many sights of clusters wait for the loop before their watches wait too: each may be a whole object.
pub(super) const SIGHTS_MAX: usize = 64;
/// How long a write that is under way may take after the end was asked for.
pub(super) const LAST_WRITE: Duration = Duration::from_secs(12);
/// How long the notes of what came of the last writes may take: the next process notes what settled again.
const LAST_NOTES: Duration = Duration::from_secs(5);
/// How long the CanaryPlan resources are waited for at the end: the next process brings them up to date.
const LAST_RESOURCES: Duration = Duration::from_secs(1);
const LAST_RESOURCES_ONCE: Duration = Duration::from_secs(10);
/// How long one round waits for a cluster or a repository that does not answer.
const ONCE_PATIENCE: Duration = Duration::from_secs(15);

/// The same where the repository is followed in another way from now on: until then no revert of it is heard, and whoever
/// comes next is as a process that comes after a crash.
const LAST_WRITE_FOR_ANOTHER: Duration = Duration::from_secs(1);

/// Why a loop is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The process does.
    WithTheProcess,
    /// The configuration has the repository no more, or in another way.
    ForAnother,
}

/// What all loops of a process are told alike.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) asked: watch::Receiver<u64>,
    pub(super) members: Vec<Member>,
    pub(super) clusters: Vec<Cluster>,
    pub(super) file: Option<String>,
    /// What the file says from now on; none before it first changes.
    pub(super) configured: watch::Receiver<Option<Result<Vec<Member>, String>>>,
    pub(super) settings: Settings,
    pub(super) max_git_age_s: u64,
    pub(super) instance: Option<String>,
    pub(super) once: bool,
    pub(super) canaryplans: bool,
    pub(super) candidacy: Option<Arc<Candidacy>>,
}

/// Follows a repository until `shutdown`, or for one round; then finishes the writes that are under way.
///
/// # Errors
/// Where the thread that follows it can't be started.
pub(super) async fn follow(
    followed: Followed,
    shared: Shared,
    mut asks: mpsc::Receiver<Ask>,
    shutdown: impl Future<Output = End>,
) -> std::io::Result<Ending> {
    let Followed { source, mirror, publish, allow } = followed;
    let (sender, mut incoming) = mpsc::unbounded_channel();
    let (sights, mut seen) = mpsc::channel(SIGHTS_MAX);
    let mut tenure = shared.candidacy.as_ref().map(|candidacy| candidacy.tenure());
    let (news, mut proxy_news) = mpsc::channel(SIGHTS_MAX);
    let fleet = Fleet::new(sights, news, shared.instance);
    let mut engine =
        Engine::new(Some(&source), mirror.clone(), shared.settings, shared.max_git_age_s, fleet, sender.clone());
    engine.allow = allow;
    // One counter for who asks from outside and for what was committed here.
    let (look, looks) = watch::channel(0);
    tokio::spawn(pass_on(shared.asked, look.clone()));
    if let Some(candidacy) = shared.candidacy {
        engine.view.lease = Lease::Elsewhere { holder: None };
        engine.election = Some(Election::new(candidacy, look.clone()));
    }
    let (writes, notes) = (publish.is_some(), shared.settings.notes);
    if writes || notes {
        let committer = Committer::start(source.clone(), publish.unwrap_or_default(), beside(&mirror), sender)?;
        engine.notes = notes.then(|| Notes::new(committer.clone(), writes));
        engine.restores = writes.then(|| Restores::new(committer, look));
    }
    if shared.canaryplans {
        engine.resources = Some(Mirror::new(engine.clock.now()));
    }
    engine.fleet.file = shared.file.map(|path| FileReport { path, taken: engine.clock.now(), error: None });
    engine.configure(shared.members, shared.clusters);
    engine.files = shared.once.then(BTreeMap::new);
    let patience = ONCE_PATIENCE.max(source.patience().unwrap_or_default());
    let (mut git, _thread) = git::follow(source, mirror, looks)?;
    let mut configured = Some(shared.configured);
    let mut shutdown = std::pin::pin!(shutdown);
    let patience = tokio::time::sleep(patience);
    let mut patience = std::pin::pin!(patience);
    let end = loop {
        let timer = until(&engine.clock, engine.timers.next());
        let resources = until(&engine.clock, engine.mirror_wake());
        let restores = until(&engine.clock, engine.restores_wake());
        let notes = until(&engine.clock, engine.notes_wake());
        tokio::select! {
            end = &mut shutdown => break end,
            Some(seen) = git.recv() => engine.git(seen),
            Some(event) = incoming.recv() => engine.incoming(event),
            Some((link, seen)) = seen.recv() => engine.seen(&link, seen),
            Some(tenure) = changed(&mut tenure) => engine.tenure(tenure),
            Some((link, news)) = proxy_news.recv() => engine.proxies(&link, news),
            Some(Some(seen)) = changed(&mut configured) => engine.configured(seen),
            () = timer => engine.wake(),
            () = resources => engine.mirror_turn(),
            () = restores => engine.restores_turn(),
            () = notes => engine.notes_turn(),
            Some(ask) = asks.recv() => if !ask.answer.is_closed() {
                // Whoever asked may have gone meanwhile.
                let _ = ask.answer.send(engine.report(ask.whole));
            },
            () = &mut patience, if shared.once && !engine.is_informed() => break End::WithTheProcess,
        }
        engine.take_more(&mut incoming, &mut seen);
        engine.settle_up();
        if shared.once && engine.is_idle() {
            break End::WithTheProcess;
        }
    };
    drop(git);
    let patience = if end == End::ForAnother { LAST_WRITE_FOR_ANOTHER } else { LAST_WRITE };
    last_answers(&mut engine, &mut incoming, patience, 0).await;
    // A write whose answer did not come may still be done: then the lease is left to run out.
    engine.resign().await;
    // What came of the last writes is noted, too, where that is quickly done.
    if end == End::ForAnother {
        return Ok(engine.ending());
    }
    let given_up = engine.in_flight;
    engine.notes_end();
    last_answers(&mut engine, &mut incoming, LAST_NOTES, given_up).await;
    engine.mirror_hurry();
    let deadline = tokio::time::sleep(if shared.once { LAST_RESOURCES_ONCE } else { LAST_RESOURCES });
    let mut deadline = std::pin::pin!(deadline);
    while engine.is_informed() && !engine.mirror_rests() {
        let resources = until(&engine.clock, engine.mirror_wake());
        tokio::select! {
            () = &mut deadline => break,
            () = resources => engine.mirror_turn(),
            Some(event) = incoming.recv() => engine.last(event),
        }
    }
    Ok(engine.ending())
}

/// Takes in the answers to what is under way, but for so many that are not waited for any more.
pub(super) async fn last_answers(
    engine: &mut Engine,
    incoming: &mut mpsc::UnboundedReceiver<Incoming>,
    patience: Duration,
    given_up: usize,
) {
    let deadline = tokio::time::sleep(patience);
    let mut deadline = std::pin::pin!(deadline);
    while engine.in_flight > given_up {
        tokio::select! {
            () = &mut deadline => return,
            Some(event) = incoming.recv() => engine.last(event),
        }
    }
}

/// Raises one counter whenever the other rises.
async fn pass_on(mut from: watch::Receiver<u64>, to: watch::Sender<u64>) {
    loop {
        tokio::select! {
            changed = from.changed() => match changed {
                Ok(()) => to.send_modify(|count| *count += 1),
                Err(_) => return,
            },
            () = to.closed() => return,
        }
    }
}

/// The folder for the mirror of what is pushed: the follower's may have what was never pushed, and lacks nothing.
fn beside(mirror: &Path) -> PathBuf {
    let mut name = mirror.file_name().unwrap_or_default().to_owned();
    name.push(".push");
    mirror.with_file_name(name)
}

/// Sleeps until an instant of the clock; for ever without one.
pub(super) fn until(clock: &Clock, at: Option<Timestamp>) -> impl Future<Output = ()> + use<> {
    let at = at.map(|at| tokio::time::Instant::from_std(clock.instant(at)));
    async move {
        match at {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    }
}

async fn changed<T: Clone>(told: &mut Option<watch::Receiver<T>>) -> Option<T> {
    match told {
        Some(told) => told.changed().await.ok().map(|()| told.borrow_and_update().clone()),
        None => std::future::pending().await,
    }
}

pub(super) async fn asked<T>(from: &mut Option<mpsc::Receiver<T>>) -> Option<T> {
    match from {
        Some(from) => from.recv().await,
        None => std::future::pending().await,
    }
}
