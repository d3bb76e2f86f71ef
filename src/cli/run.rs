//! `tidegate run`: the reconciler.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use tokio::sync::watch;

use crate::{
    cluster::{Access, Cluster, Member, Role},
    git::{Content, HistoryPolicy},
    reconcile::{self, Ending, Options},
    rollout::Settings,
    serve::Ends,
};

use super::{
    DONE, FINDINGS, Failure, UNREACHED,
    access::{ClustersArgs, RepositoryArgs, duration},
    configuration,
    following::Following,
    guard,
    lease::LeaseArgs,
    log,
    proxies::ProxyArgs,
    push_args::PushArgs,
    serving::ServeArgs,
    terminal,
    terminal::say,
};

/// `--interval` where it is left out.
const INTERVAL: Duration = Duration::from_secs(30);

/// What a configuration file says of each cluster.
const NAMED_IN_FILE: [&str; 8] = [
    "kubeconfig",
    "context",
    "cluster_name",
    "istiod",
    "istiod_token",
    "istiod_namespace",
    "istiod_labels",
    "gateway_admin",
];

/// Follow a plan repository and keep a cluster as its plans say
#[derive(Debug, Args)]
#[command(
    mut_arg("repo", |arg| arg.required(false).required_unless_present_any(["config", "guard"])),
    mut_args(guard::without_guard)
)]
pub(super) struct Run {
    /// Guard one cluster, with neither a repository nor a lease: go back where somebody stops a plan, or where what it
    /// raises fails, by the journals that are there, and raise nothing. For when whoever raises is dead or cut off
    #[arg(long)]
    guard: bool,
    /// File with the clusters that plans may go to, and the plan repositories; it is followed
    #[arg(long, value_name = "FILE", conflicts_with_all = NAMED_IN_FILE)]
    config: Option<PathBuf>,
    #[command(flatten)]
    repository: RepositoryArgs,
    #[command(flatten)]
    pub(super) clusters: ClustersArgs,
    #[command(flatten)]
    pub(super) serve: ServeArgs,
    #[command(flatten)]
    lease: LeaseArgs,
    #[command(flatten)]
    push: PushArgs,
    /// What happens when the branch does not descend from what was accepted: follow it, hold until a commit accepts
    /// it, or reject it until the branch descends again
    #[arg(long, value_name = "POLICY", value_parser = ["accept", "hold", "reject"], default_value = "accept")]
    history_policy: String,
    /// How often to look at the repository when nothing hints at a change
    /// [default: 30s]
    #[arg(long, value_parser = duration)]
    interval: Option<Duration>,
    /// Folder for the repository's mirror, or with a folder for each of several; without it, a temporary one
    #[arg(long, value_name = "DIR")]
    mirror: Option<PathBuf>,
    #[command(flatten)]
    proxies: ProxyArgs,
    /// How long the proxies are given to take a change where no istiod is asked whether they have it, and requests under
    /// way to end before a subset goes
    #[arg(long, default_value = "2s", value_parser = duration)]
    convergence_wait: Duration,
    /// Nothing rises once the last good look at the repository is older
    #[arg(long, default_value = "5m", value_parser = duration)]
    max_git_age: Duration,
    /// Whether CanaryPlan resources show the plans to kubectl: `auto` writes them where the cluster has their definition
    #[arg(long, value_name = "WHEN", value_parser = ["auto", "off"], default_value = "auto")]
    canaryplan_resources: String,
    /// Look once, do what is due now, wait for the writes, print what is left waiting
    #[arg(long)]
    once: bool,
    /// Push nothing: what would be committed after a failure or a stop is said in status and Events
    #[arg(long)]
    read_only: bool,
    /// Note what came of each commit in the repository's refs/notes/tidegate, and go on from there where a cluster has
    /// lost where a plan was; with --read-only nothing is noted
    #[arg(long)]
    git_notes: bool,
    /// Log format
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"], default_value = "text")]
    log_format: String,
}

impl Run {
    pub(super) async fn run(self) -> Result<u8, Failure> {
        log::start(&self.log_format);
        #[cfg(feature = "otlp")]
        let exporting = super::otlp::start()?;
        if self.guard {
            let ended = self.guard().await;
            #[cfg(feature = "otlp")]
            if let Some(exporting) = exporting {
                exporting.stop().await;
            }
            return ended;
        }
        let file = self.config.clone().map(configuration::File::open).transpose()?;
        // Held until the end: dropping it removes the folder.
        let temporary = tempfile::Builder::new().prefix("tidegate-").tempdir()?;
        let following = self.following(temporary.path());
        let repositories = following.all(file.as_ref().map_or(&[], |file| &file.repositories))?;
        let (branches, followed) =
            watch::channel(repositories.iter().map(|followed| followed.source.branch.clone()).collect());
        let served = if self.once { None } else { self.serve.start(followed).await? };
        let (server, ends) = served.unzip();
        let (asks, asked) = match ends {
            Some(Ends { asks, asked }) => (Some(asks), asked),
            None => (None, watch::channel(0).1),
        };
        let (members, clusters) = match &file {
            Some(file) => (file.members.clone(), Vec::new()),
            None => self.named().await?,
        };
        if file.is_none() && self.git_notes && self.clusters.is_nameless(&members) {
            let error = anyhow::anyhow!("--git-notes needs a name for the cluster: in every pod it is `in-cluster`");
            return Err(Failure::usage(error, "say --cluster-name, another one for each cluster that plans go to"));
        }
        let settings =
            Settings { convergence_wait_ms: self.convergence_wait_ms(), notes: self.git_notes, ..Settings::default() };
        let lease = match self.lease.options() {
            Some(lease) => Some((lease, self.first(&members, &clusters).await?)),
            None => None,
        };
        let options = Options {
            repositories,
            asked,
            members,
            clusters,
            file: file.as_ref().map(configuration::File::path),
            listed: file.as_ref().is_some_and(|file| !file.repositories.is_empty()),
            configured: file.filter(|_| !self.once).map(|file| file.follow(following, branches)),
            settings,
            max_git_age_s: self.max_git_age.as_secs(),
            instance: std::env::var("POD_NAME").ok(),
            once: self.once,
            canaryplans: self.canaryplan_resources != "off",
            lease,
            asks,
        };
        let endings = reconcile::run(options, asked_to_end()).await?;
        if let Some(server) = server {
            server.stop().await;
        }
        #[cfg(feature = "otlp")]
        if let Some(exporting) = exporting {
            exporting.stop().await;
        }
        Ok(if self.once { tell(&endings) } else { DONE })
    }
}

/// Says what one round has left, and returns the exit code.
fn tell(endings: &[Ending]) -> u8 {
    let (mut reached, mut fine) = (true, true);
    for ending in endings {
        // Of one repository the name says nothing.
        let of = if endings.len() > 1 { format!("repository {}: ", ending.repository) } else { String::new() };
        for finding in &ending.findings {
            let text = finding.place.as_ref().and_then(|place| ending.files.get(&place.file)).and_then(Content::text);
            say!("{of}{}\n", crate::plan::render(finding, text, terminal::colored()));
        }
        for (plan, reason) in &ending.waiting {
            say!("{of}{plan}: {}", terminal::plain(&reason.to_string()));
        }
        for what in &ending.unreached {
            eprintln!("error: {of}{what}");
        }
        if let Some(why) = &ending.refused {
            eprintln!("error: {of}plan repository: {why}");
        }
        let stuck = ending.refused.is_some() || ending.waiting.iter().any(|(_, reason)| reason.needs_a_person());
        reached &= ending.unreached.is_empty();
        fine &= ending.findings.is_empty() && !stuck;
    }
    match (reached, fine) {
        (false, _) => UNREACHED,
        (true, false) => FINDINGS,
        (true, true) => DONE,
    }
}

impl Run {
    /// What the flags say of every repository.
    fn following(&self, temporary: &Path) -> Following {
        let history = match self.history_policy.as_str() {
            "hold" => HistoryPolicy::Hold,
            "reject" => HistoryPolicy::Reject,
            _ => HistoryPolicy::Accept,
        };
        Following {
            repository: self.repository.clone(),
            push: (!self.read_only).then(|| self.push.clone()),
            history,
            interval: self.interval.unwrap_or(INTERVAL),
            mirror: self.mirror.clone(),
            temporary: temporary.to_owned(),
        }
    }

    pub(super) fn convergence_wait_ms(&self) -> i64 {
        i64::try_from(self.convergence_wait.as_millis()).unwrap_or(i64::MAX)
    }

    /// A client of the first cluster, which holds the lease: without it nothing rises, so it has to be named rightly.
    async fn first(&self, members: &[Member], clusters: &[Cluster]) -> Result<Cluster, Failure> {
        if let Some(cluster) = clusters.first() {
            return Ok(cluster.clone());
        }
        let Some(member) = members.iter().find(|member| member.role == Role::Primary) else {
            return Err(Failure::usage(anyhow::anyhow!("no cluster is named to hold the lease"), "name one"));
        };
        Cluster::connect(&member.name, &member.access).await.map_err(|error| {
            let hint = error.hint();
            Failure::usage(anyhow::Error::new(error).context("the first cluster holds the lease"), hint)
        })
    }

    /// The clusters that flags name, with the clients of all of them.
    async fn named(&self) -> Result<(Vec<Member>, Vec<Cluster>), Failure> {
        let proxies = self.proxies.access()?;
        let reached = self.clusters.connect().await?;
        if let Some(flag) = self.proxies.named().filter(|_| reached.len() > 1) {
            let error =
                anyhow::anyhow!("{flag} has addresses of one cluster, and there are {} clusters", reached.len());
            return Err(Failure::usage(
                error,
                format!("say `{flag} auto`: each cluster's own are found by their labels"),
            ));
        }
        let member = |(access, cluster): (Access, Cluster)| {
            let (name, labels) = (cluster.name().to_owned(), Default::default());
            let (role, proxies) = (Role::Primary, proxies.clone());
            (Member { name, labels, access, mesh: None, role, writes_max: None, proxies }, cluster)
        };
        Ok(reached.into_iter().map(member).unzip())
    }
}

/// Ends at SIGTERM or SIGINT.
pub(super) async fn asked_to_end() {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = terminated => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    tracing::info!("asked to end: finishing the writes that are under way");
}
