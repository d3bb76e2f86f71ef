//! Runs a loop for each plan repository: starts them, starts and ends some where the configuration changes, and ends all.
//!
//! ```text
//!                 ┌─► follow (loop, clients, watches) of one repository ─┐
//!  Options ─► run ┼─► follow                                            ─┼─► Ending of each
//!                 └─► sum: one report out of theirs                      ┘
//! ```
//!
//! They share the lease and nothing else: what holds one repository up holds no other up.

use std::{collections::BTreeMap, future::Future, io, path::PathBuf, sync::Arc};

use tokio::{
    sync::{mpsc, watch},
    task::{JoinError, JoinSet},
};
use tracing::Instrument as _;

use crate::{
    cluster::{self, Cluster, LeaseOptions, Member},
    git::{self, Content},
    plan::{Allow, Finding},
    rollout::{Reason, Settings},
};

use super::{
    Ask,
    election::Candidacy,
    follow::{End, Shared, asked, follow},
    sum,
};

/// How many questions wait for a loop.
const ASKS_MAX: usize = 4;

/// A plan repository that is followed.
pub struct Followed {
    /// Where it is.
    pub source: git::Source,
    /// The folder for its mirror, of no other repository.
    pub mirror: PathBuf,
    /// How commits are pushed; none: nothing is, not even a note. Whether notes are kept is in the settings.
    pub publish: Option<git::PublishOptions>,
    /// What its plans and objects may be about.
    pub allow: Allow,
}

/// What a configuration file says from now on.
pub struct Reload {
    /// The clusters that plans may go to.
    pub members: Vec<Member>,
    /// The names of the repositories that are followed no more, or in another way; their objects stay as they are.
    pub gone: Vec<String>,
    /// Those that are followed from now on.
    pub new: Vec<Followed>,
}

/// What to run.
pub struct Options {
    /// The plan repositories; their names are distinct.
    pub repositories: Vec<Followed>,
    /// Whether the log names the repository: there are several, or there may be.
    pub listed: bool,
    /// A rise of this counter asks for a look at all of them now.
    pub asked: watch::Receiver<u64>,
    /// The clusters that plans may go to.
    pub members: Vec<Member>,
    /// Clients of them that were made already; the others are made, again and again where that fails.
    pub clusters: Vec<Cluster>,
    /// The path of the file that says which they are.
    pub file: Option<String>,
    /// What the file says from now on, whenever it changes; `Err`: why that is not taken.
    pub configured: Option<mpsc::Receiver<Result<Reload, String>>>,
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
    /// The lease without which nothing rises, and the cluster that holds it; none: this process is the only one.
    pub lease: Option<(LeaseOptions, Cluster)>,
    /// Questions for the present report; none where nobody may ask.
    pub asks: Option<mpsc::Receiver<Ask>>,
}

/// How the loop of a repository ended.
pub struct Ending {
    /// The repository's name.
    pub repository: String,
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

/// Runs until `shutdown`, or for one round; then finishes the writes that are under way. Returns how the loop of each
/// repository ended, by name.
///
/// # Errors
/// Where the thread that follows a repository can't be started: then all others end in good order.
pub async fn run(options: Options, shutdown: impl Future<Output = ()>) -> io::Result<Vec<Ending>> {
    let candidacy = options.lease.map(|(lease, cluster)| Arc::new(Candidacy::new(cluster::elect(&cluster, &lease))));
    let (news, configured) = watch::channel(None);
    let (askers, asking) = watch::channel(Vec::new());
    let shared = Shared {
        asked: options.asked,
        members: options.members,
        clusters: options.clusters,
        file: options.file,
        configured,
        settings: options.settings,
        max_git_age_s: options.max_git_age_s,
        instance: options.instance,
        once: options.once,
        canaryplans: options.canaryplans,
        candidacy: candidacy.clone(),
    };
    let mut loops = Loops {
        shared,
        listed: options.listed,
        running: BTreeMap::new(),
        awaited: BTreeMap::new(),
        tasks: JoinSet::new(),
        askers,
    };
    options.repositories.into_iter().for_each(|followed| loops.begin(followed));
    let mut configured = options.configured;
    // Ends with this.
    let mut answering = JoinSet::new();
    if let Some(asks) = options.asks {
        answering.spawn(sum::answer(asks, asking));
    }
    let mut shutdown = std::pin::pin!(shutdown);
    let (mut endings, mut failed) = (BTreeMap::new(), None);
    loop {
        let (name, ended) = tokio::select! {
            () = &mut shutdown => break,
            Some(seen) = asked(&mut configured) => {
                news.send_replace(Some(seen.map(|reload| loops.reload(reload))));
                continue;
            }
            ended = loops.tasks.join_next() => match ended {
                Some(ended) => unwound(ended)?,
                None => break,
            },
        };
        loops.ended(&name);
        match ended {
            Ok(ending) => drop(endings.insert(name, ending)),
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    if let Some(candidacy) = candidacy {
        candidacy.leave(false).await;
    }
    loops.end();
    while let Some(ended) = loops.tasks.join_next().await {
        let (name, ended) = unwound(ended)?;
        match ended {
            Ok(ending) => drop(endings.insert(name, ending)),
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) => Err(error),
        None => Ok(endings.into_values().collect()),
    }
}

type Ended = (String, io::Result<Ending>);

/// The loops that run.
struct Loops {
    shared: Shared,
    listed: bool,
    running: BTreeMap<String, Running>,
    /// Those that are to begin once the former one of their name has ended.
    awaited: BTreeMap<String, Followed>,
    tasks: JoinSet<Ended>,
    askers: watch::Sender<Vec<mpsc::Sender<Ask>>>,
}

struct Running {
    /// Ends the loop; dropped, with the process.
    end: Option<mpsc::Sender<End>>,
    asker: mpsc::Sender<Ask>,
}

impl Loops {
    fn begin(&mut self, followed: Followed) {
        let name = followed.source.name.clone();
        if self.running.contains_key(&name) {
            self.awaited.insert(name, followed);
            return;
        }
        let (asker, asks) = mpsc::channel(ASKS_MAX);
        let (end, mut ends) = mpsc::channel(1);
        let shutdown = async move { ends.recv().await.unwrap_or(End::WithTheProcess) };
        let span = if self.listed { tracing::info_span!("repository", name) } else { tracing::Span::none() };
        let (looped, of) = (follow(followed, self.shared.clone(), asks, shutdown), name.clone());
        self.tasks.spawn(async move { (of, looped.await) }.instrument(span));
        self.running.insert(name, Running { end: Some(end), asker });
        self.tell();
    }

    /// Who is asked from now on: loops that are about to end tell of what is no more.
    fn tell(&self) {
        let running = self.running.values().filter(|running| running.end.is_some());
        self.askers.send_replace(running.map(|running| running.asker.clone()).collect());
    }

    /// Takes over which repositories there are, and returns which clusters.
    fn reload(&mut self, reload: Reload) -> Vec<Member> {
        for name in &reload.gone {
            tracing::info!(repository = %name, "the configuration has it no more as it was; its objects stay as they are");
            self.awaited.remove(name);
            if let Some(end) = self.running.get_mut(name).and_then(|running| running.end.take()) {
                // It has ended by itself where nobody receives.
                let _ = end.try_send(End::ForAnother);
            }
        }
        self.tell();
        self.shared.members.clone_from(&reload.members);
        reload.new.into_iter().for_each(|followed| self.begin(followed));
        reload.members
    }

    /// A loop has ended; whoever waits for that begins.
    fn ended(&mut self, name: &str) {
        self.running.remove(name);
        if let Some(followed) = self.awaited.remove(name) {
            self.begin(followed);
        }
    }

    /// All are to end.
    fn end(&mut self) {
        self.awaited.clear();
        self.running.values_mut().for_each(|running| running.end = None);
    }
}

fn unwound(ended: Result<Ended, JoinError>) -> io::Result<Ended> {
    ended.map_err(|error| match error.try_into_panic() {
        // As it would have been without a task: whoever called is unwound.
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => io::Error::other(error),
    })
}
