//! The arguments that say which cluster and which plan repository are meant.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use crate::{
    cluster::{Access, Cluster, ConnectError, IN_CLUSTER, Member},
    git::{Source, Trust, Verify, VerifyMode, check_keys},
};

use super::{Failure, git_access::GitArgs};

/// The branch where none is named.
pub(super) const BRANCH: &str = "main";
/// The folder of the plans where none is named.
pub(super) const FOLDER: &str = "plans";

/// Which cluster.
#[derive(Clone, Debug, Args)]
pub(super) struct ClusterArgs {
    /// Kubeconfig file; without it, those of KUBECONFIG, then ~/.kube/config, then the pod's service account
    #[arg(long, value_name = "FILE")]
    pub(super) kubeconfig: Option<PathBuf>,
    /// Context in it; without it, the current one
    #[arg(long)]
    pub(super) context: Option<String>,
}

impl ClusterArgs {
    /// Builds the client; the API server is not asked anything yet.
    pub(super) async fn connect(&self) -> Result<Cluster, Failure> {
        Ok(self.reach().await?.1)
    }

    /// The same, with how it is reached.
    pub(super) async fn reach(&self) -> Result<(Access, Cluster), Failure> {
        reach(self.kubeconfig.as_ref(), self.context.as_ref(), None).await
    }
}

/// Which clusters: every plan goes to all of them.
#[derive(Clone, Debug, Args)]
pub(super) struct ClustersArgs {
    /// Kubeconfig file; without it, those of KUBECONFIG, then ~/.kube/config, then the pod's service account
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context in it; without it, the current one. With several, each a cluster, every plan goes to all of them in step
    #[arg(long, value_name = "CONTEXT", value_delimiter = ',')]
    context: Vec<String>,
    /// The cluster's name in status, metrics and notes; without it that of the context, in a pod `in-cluster`
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    cluster_name: Option<String>,
}

impl ClustersArgs {
    /// Builds the clients, all at once; no API server is asked anything yet. Each with how it is reached.
    pub(super) async fn connect(&self) -> Result<Vec<(Access, Cluster)>, Failure> {
        let twice =
            self.context.iter().enumerate().find(|(place, name)| self.context.iter().take(*place).any(|n| n == *name));
        if let Some((_, name)) = twice {
            return Err(Failure::usage(anyhow::anyhow!("context {name} is given twice"), "name each cluster once"));
        }
        if self.context.len() > 1 && self.cluster_name.is_some() {
            let error = anyhow::anyhow!("--cluster-name names one cluster, and there are {}", self.context.len());
            return Err(Failure::usage(error, "leave it out: each cluster is called as its context is"));
        }
        let name = self.cluster_name.as_deref();
        if self.context.is_empty() {
            return Ok(vec![reach(self.kubeconfig.as_ref(), None, name).await?]);
        }
        let each = self.context.iter().map(|context| reach(self.kubeconfig.as_ref(), Some(context), name));
        futures::future::try_join_all(each).await
    }

    /// Whether the cluster's name is the same in every pod.
    pub(super) fn is_nameless(&self, members: &[Member]) -> bool {
        self.cluster_name.is_none() && members.iter().any(|member| member.name == IN_CLUSTER)
    }
}

async fn reach(
    kubeconfig: Option<&PathBuf>,
    context: Option<&String>,
    name: Option<&str>,
) -> Result<(Access, Cluster), Failure> {
    let access = match (kubeconfig, context) {
        (None, None) => Access::usual(),
        _ => Access { kubeconfig: kubeconfig.cloned(), context: context.cloned(), ..Access::default() },
    };
    let refused = |error: ConnectError| {
        let hint = error.hint();
        Failure::usage(error, hint)
    };
    let named = name.map_or_else(|| access.context_name(), |name| Ok(name.to_owned())).map_err(refused)?;
    let cluster = Cluster::connect(&named, &access).await.map_err(refused)?;
    Ok((access, cluster))
}

/// Which plan repository.
#[derive(Clone, Debug, Args)]
pub(super) struct RepositoryArgs {
    /// Plan repository: a path, a file://, https:// or ssh:// URL, or user@host:path
    #[arg(long, value_name = "PATH|URL", required = true)]
    pub(super) repo: Option<String>,
    /// Branch to follow [default: main]
    #[arg(long)]
    branch: Option<String>,
    /// Folder of the plans in the repository [default: plans]
    #[arg(long)]
    path: Option<String>,
    /// The repository's name in the objects' tidegate.dev/plan; default: the last part of --repo
    #[arg(long, value_name = "NAME")]
    pub(super) repo_name: Option<String>,
    /// Follow signed commits alone: the tip must be signed, or every commit since the one accepted last
    #[arg(long, value_name = "WHICH", value_parser = ["tip", "every"], requires = "verify_keys")]
    verify: Option<String>,
    /// Public keys whose signatures count: lines of allowed_signers or armored OpenPGP keys; may be given repeatedly
    #[arg(long, value_name = "FILE", requires = "verify")]
    verify_keys: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) git: GitArgs,
}

impl RepositoryArgs {
    /// The checked source.
    pub(super) fn source(&self, interval: Duration) -> Result<Source, Failure> {
        let access = self.git.access();
        let Some(repo) = &self.repo else {
            let error = anyhow::anyhow!("no plan repository is named");
            return Err(Failure::usage(error, "say --repo, or `repositories: [{url: …}]` in the configuration"));
        };
        let (branch, path) = (self.branch.as_deref().unwrap_or(BRANCH), self.path.as_deref().unwrap_or(FOLDER));
        let source = Source::with_access(repo, branch, path, interval, access).map_err(|error| {
            let hint = error.hint();
            Failure::usage(error, hint)
        })?;
        let source = source.trusting(Trust { verify: self.verify()?, ..Trust::default() });
        Ok(match &self.repo_name {
            Some(name) => source.named(name.clone()),
            None => source,
        })
    }

    /// The same without a name.
    pub(super) fn unnamed(&self) -> Self {
        Self { repo_name: None, ..self.clone() }
    }

    /// The flag that says what a configuration file says of each of its repositories, where one is given.
    pub(super) fn given(&self) -> Option<&'static str> {
        let flags = [
            ("--repo", self.repo.is_some()),
            ("--branch", self.branch.is_some()),
            ("--path", self.path.is_some()),
            ("--repo-name", self.repo_name.is_some()),
            ("--verify", self.verify.is_some()),
        ];
        flags.into_iter().find_map(|(flag, given)| given.then_some(flag)).or_else(|| self.git.given())
    }

    /// Which signatures are asked for; keys that cannot be read now are refused now.
    fn verify(&self) -> Result<Option<Verify>, Failure> {
        let Some(which) = &self.verify else { return Ok(None) };
        check_keys(&self.verify_keys).map_err(|error| {
            let hint = error.hint();
            Failure::usage(error, hint)
        })?;
        let mode = if which == "every" { VerifyMode::Every } else { VerifyMode::Tip };
        Ok(Some(Verify { mode, keys: self.verify_keys.clone() }))
    }
}

/// A duration of the command line, as plans write them; milliseconds too.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    if let Some(ms) = text.strip_suffix("ms") {
        return ms.parse().map(Duration::from_millis).map_err(|_| format!("`{text}` is not a number of milliseconds"));
    }
    let span: crate::plan::Span = text.parse().map_err(|error: crate::plan::ParseSpanError| error.to_string())?;
    Ok(Duration::from_secs(span.seconds()))
}
