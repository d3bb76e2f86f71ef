//! Starts the loop, feeds it, and ends it in good order.

use std::{
    collections::BTreeMap,
    future::Future,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use crate::{
    cluster::{self, Cluster, LeaseOptions, Member, Tenure},
    git::{self, Content},
    plan::{Allow, Finding},
    rollout::{Lease, Reason, Settings},
};

use super::{
    Ask, Clock,
    committer::Committer,
    election::Election,
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

/// What to run.
pub struct Options {
    /// The plan repository.
    pub source: git::Source,
    /// What its plans and objects may be about.
    pub allow: Allow,
    /// The folder for its mirror.
    pub mirror: PathBuf,
    /// A rise of this counter asks for a look at the repository now.
    pub asked: watch::Receiver<u64>,
    /// The clusters that plans may go to.
    pub members: Vec<Member>,
    /// Clients of them that were made already; the others are made, again and again where that fails.
    pub clusters: Vec<Cluster>,
    /// The path of the file that says which they are.
    pub file: Option<String>,
    /// Which they are from now on, whenever the file changes; `Err`: why what it says is not taken.
    pub configured: Option<mpsc::Receiver<Result<Vec<Member>, String>>>,
    /// Waits and limits.
    pub settings: Settings,
    /// How old the last good look at Git may be for a raise, in seconds.
    pub max_git_age_s: u64,
    /// What tells several tidegates apart in Events.
    pub instance: Option<String>,
    /// Ends after one round: what is due now.
    pub once: bool,
    /// Whether CanaryPlan resources are written where the clusters have them.
    pub canaryplans: bool,
    /// How commits are pushed; none: nothing is, not even a note. Whether notes are kept is in the settings.
    pub publish: Option<git::PublishOptions>,
    /// The lease without which nothing rises, and the cluster that holds it; none: this process is the only one.
    pub lease: Option<(LeaseOptions, Cluster)>,
    /// Questions for the present report; none where nobody may ask.
    pub asks: Option<mpsc::Receiver<Ask>>,
}

/// How a run ended.
pub struct Ending {
    /// The plans that are not settled, with why.
    pub waiting: Vec<(String, Reason)>,
    /// What is wrong with the plans of the repository.
    pub findings: Vec<Finding>,
    /// The files that Git showed, where one round was run: what the findings point into.
    pub files: BTreeMap<String, Content>,
    /// Why the commit that the branch is at does not count, if so.
    pub refused: Option<String>,
    /// What could not be reached.
    pub unreached: Vec<String>,
}

/// Runs until `shutdown`, or for one round; then finishes the writes that are under way.
///
/// # Errors
/// Where the thread that follows the repository can't be started.
pub async fn run(mut options: Options, shutdown: impl Future<Output = ()>) -> std::io::Result<Ending> {
    let (sender, mut incoming) = mpsc::unbounded_channel();
    let (sights, mut seen) = mpsc::channel(SIGHTS_MAX);
    let candidate = options.lease.as_ref().map(|(lease, cluster)| cluster::elect(cluster, lease));
    let mut tenure = candidate.as_ref().map(cluster::Candidate::tenure);
    let (news, mut proxy_news) = mpsc::channel(SIGHTS_MAX);
    let fleet = Fleet::new(sights, news, options.instance);
    let (settings, max_git_age_s) = (options.settings, options.max_git_age_s);
    let mut engine =
        Engine::new(Some(&options.source), options.mirror.clone(), settings, max_git_age_s, fleet, sender.clone());
    engine.allow = options.allow;
    // One counter for who asks from outside and for what was committed here.
    let (look, looks) = watch::channel(0);
    tokio::spawn(pass_on(options.asked, look.clone()));
    if let Some(candidate) = candidate {
        engine.view.lease = Lease::Elsewhere { holder: None };
        engine.election = Some(Election::new(candidate, look.clone()));
    }
    let (writes, notes) = (options.publish.is_some(), options.settings.notes);
    if writes || notes {
        let (publish, dir) = (options.publish.unwrap_or_default(), beside(&options.mirror));
        let committer = Committer::start(options.source.clone(), publish, dir, sender)?;
        engine.notes = notes.then(|| Notes::new(committer.clone(), writes));
        engine.restores = writes.then(|| Restores::new(committer, look));
    }
    if options.canaryplans {
        engine.resources = Some(Mirror::new(engine.clock.now()));
    }
    engine.fleet.file = options.file.map(|path| FileReport { path, taken: engine.clock.now(), error: None });
    engine.configure(options.members, options.clusters);
    engine.files = options.once.then(BTreeMap::new);
    let patience = ONCE_PATIENCE.max(options.source.patience().unwrap_or_default());
    let (mut git, _thread) = git::follow(options.source, options.mirror, looks)?;
    let mut shutdown = std::pin::pin!(shutdown);
    let patience = tokio::time::sleep(patience);
    let mut patience = std::pin::pin!(patience);
    loop {
        let timer = until(&engine.clock, engine.timers.next());
        let resources = until(&engine.clock, engine.mirror_wake());
        let restores = until(&engine.clock, engine.restores_wake());
        let notes = until(&engine.clock, engine.notes_wake());
        tokio::select! {
            () = &mut shutdown => break,
            Some(seen) = git.recv() => engine.git(seen),
            Some(event) = incoming.recv() => engine.incoming(event),
            Some((link, seen)) = seen.recv() => engine.seen(&link, seen),
            Some(tenure) = changed(&mut tenure) => engine.tenure(tenure),
            Some((link, news)) = proxy_news.recv() => engine.proxies(&link, news),
            Some(seen) = asked(&mut options.configured) => engine.configured(seen),
            () = timer => engine.wake(),
            () = resources => engine.mirror_turn(),
            () = restores => engine.restores_turn(),
            () = notes => engine.notes_turn(),
            Some(ask) = asked(&mut options.asks) => if !ask.answer.is_closed() {
                // Whoever asked may have gone meanwhile.
                let _ = ask.answer.send(engine.report(ask.whole));
            },
            () = &mut patience, if options.once && !engine.is_informed() => break,
        }
        engine.take_more(&mut incoming, &mut seen);
        engine.settle_up();
        if options.once && engine.is_idle() {
            break;
        }
    }
    drop(git);
    last_answers(&mut engine, &mut incoming, LAST_WRITE, 0).await;
    // A write whose answer did not come may still be done: then the lease is left to run out.
    if engine.in_flight == 0 {
        engine.resign().await;
    }
    // What came of the last writes is noted, too, where that is quickly done.
    let given_up = engine.in_flight;
    engine.notes_end();
    last_answers(&mut engine, &mut incoming, LAST_NOTES, given_up).await;
    engine.mirror_hurry();
    let deadline = tokio::time::sleep(if options.once { LAST_RESOURCES_ONCE } else { LAST_RESOURCES });
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
    while from.changed().await.is_ok() {
        to.send_modify(|count| *count += 1);
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

async fn changed(tenure: &mut Option<watch::Receiver<Tenure>>) -> Option<Tenure> {
    match tenure {
        Some(tenure) => tenure.changed().await.ok().map(|()| tenure.borrow_and_update().clone()),
        None => std::future::pending().await,
    }
}

pub(super) async fn asked<T>(asks: &mut Option<mpsc::Receiver<T>>) -> Option<T> {
    match asks {
        Some(asks) => asks.recv().await,
        None => std::future::pending().await,
    }
}
