//! `tidegate rollback`: a commit that restores one plan's document, or that reverts a whole commit.

use anyhow::anyhow;
use clap::Args;

use crate::{
    git::{Draft, Files},
    plan::{
        PlanKey, Traffic,
        edit::{Message, REASON_TRAILER},
    },
    reconcile::drafts,
    rollout::{Journal, Phase, Settled},
};

use super::{FINDINGS, Failure, access::ClusterArgs, commit::CommitArgs, journal::journal};

/// Restore a plan to what it was, by a commit: traffic goes back as soon as it is read
#[derive(Debug, Args)]
pub(super) struct Rollback {
    /// The plan: `namespace/name`, or a name that only one plan of the branch has
    #[arg(required_unless_present = "whole", conflicts_with = "whole")]
    plan: Option<String>,
    /// Restore its document to its text at this commit; without it, to where a failure would go, or to the settled state
    /// before the present one, as the cluster knows it
    #[arg(long, value_name = "COMMIT", conflicts_with_all = ["kubeconfig", "context"])]
    to: Option<String>,
    /// Revert this whole commit instead, all its files, as `git revert` does
    #[arg(long = "commit", id = "whole", value_name = "COMMIT", conflicts_with_all = ["to", "kubeconfig", "context"])]
    whole: Option<String>,
    /// With --commit of a merge: the parent to go back to
    #[arg(long, value_name = "NUMBER", default_value_t = 1, requires = "whole", value_parser = clap::value_parser!(u32).range(1..))]
    mainline: u32,
    #[command(flatten)]
    commit: CommitArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// What a document is restored to.
#[derive(Clone)]
enum Aim {
    /// Its text at this commit.
    Commit(String),
    /// No commit asked for that state: its weights alone.
    Traffic(Traffic),
}

impl Rollback {
    pub(super) async fn run(self) -> Result<u8, Failure> {
        let branch = self.commit.open()?;
        let reason = self.commit.reason();
        let Some(wanted) = &self.plan else {
            let (commit, mainline) = (self.whole.unwrap_or_default(), self.mainline);
            let draft = move |files: &Files<'_>| {
                let trailers = Message::trailer(REASON_TRAILER, &reason).into_iter().collect();
                Ok(Draft::Revert { commit: files.find(&commit)?, mainline, trailers })
            };
            return branch.commit(None, draft).await;
        };
        let aim = self.to.clone().map(Aim::Commit);
        let cluster = if aim.is_none() { Some(self.cluster.connect().await?) } else { None };
        let (branch, plan) = branch.plan(wanted).await?;
        let aim = match (aim, cluster) {
            (Some(aim), _) => aim,
            (None, None) => return Err(nowhere(&plan)),
            (None, Some(cluster)) => {
                let journal = journal(&cluster, &branch.source.name, &plan).await?;
                journal.as_ref().and_then(way_back).ok_or_else(|| nowhere(&plan))?
            }
        };
        let key = plan.clone();
        let draft = move |files: &Files<'_>| {
            let tip = drafts::texts(files, files.tip(), &key.name)?;
            match &aim {
                Aim::Commit(commit) => drafts::restore(files, tip, &key, &files.find(commit)?, &reason),
                Aim::Traffic(traffic) => drafts::set_traffic(files, &tip, &key, traffic, &reason),
            }
        };
        branch.commit(Some(&plan), draft).await
    }
}

/// Where the journal says that the plan goes back to: where a failure would, or did; else to the settled state before the
/// present one.
fn way_back(journal: &Journal) -> Option<Aim> {
    let settled = || journal.settled.iter().rev();
    let aim = |settled: &Settled| match &settled.revision {
        Some(revision) => Aim::Commit(revision.commit.clone()),
        None => Aim::Traffic(settled.state.traffic.clone()),
    };
    match journal.phase {
        Phase::Released { .. } => None,
        Phase::WentBack { .. } => settled().find(|settled| settled.state == journal.state).map(aim),
        Phase::Settled => settled().find(|settled| settled.state != journal.state).map(aim),
        Phase::Starting | Phase::Walking { .. } | Phase::Target => journal.way_back.as_ref().map(aim),
    }
}

/// The failure of a plan of which no earlier state is known.
fn nowhere(plan: &PlanKey) -> Failure {
    let error = anyhow!("the cluster knows no state that {plan} could go back to");
    let hint = Some(format!("`tidegate history {plan}` lists the commits; choose one with --to"));
    Failure { code: FINDINGS, error, hint }
}
