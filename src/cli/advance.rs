//! `tidegate advance`: a commit that ends the hold of the present step.

use anyhow::anyhow;
use clap::Args;

use crate::{
    git::{Draft, Files},
    plan::{
        PlanKey,
        edit::{self, Hold, Message},
    },
    reconcile::drafts,
    rollout::{Journal, Phase},
};

use super::{DONE, FINDINGS, Failure, access::ClusterArgs, commit::CommitArgs, journal::journal, terminal::say};

/// End the hold of the present step, by a commit: the walk goes on to the next one
#[derive(Debug, Args)]
pub(super) struct Advance {
    /// The plan: `namespace/name`, or a name that only one plan of the branch has
    plan: String,
    #[command(flatten)]
    commit: CommitArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

impl Advance {
    pub(super) async fn run(self) -> Result<u8, Failure> {
        let branch = self.commit.open()?;
        let cluster = self.cluster.connect().await?;
        let (branch, plan) = branch.plan(&self.plan).await?;
        let Some(journal) = journal(&cluster, &branch.source.name, &plan).await? else {
            let error = anyhow!("nothing of the plan {plan} is live in cluster {}", cluster.name());
            return Err(Failure::usage(error, "`tidegate status` lists the plans that are"));
        };
        let (hold, subject) = match &journal.phase {
            Phase::Settled => {
                say!("nothing to do: {plan} is settled");
                return Ok(DONE);
            }
            Phase::Target => (Hold::Settle, format!("Settle {plan} at once")),
            Phase::Walking { weight } => {
                let step = journal.plan.steps.iter().rev().find(|step| step.weight <= *weight);
                let step = step.ok_or_else(|| stands(&plan, "at no step of its plan"))?;
                (Hold::Step(step.weight), format!("Advance {plan} past {} %", step.weight))
            }
            Phase::Starting => return Err(stands(&plan, "before its first step: no hold is what it waits for")),
            Phase::WentBack { .. } => return Err(stands(&plan, "at its way-back state: it does not go on by itself")),
            Phase::Released { .. } => return Err(stands(&plan, "removed")),
        };
        let message =
            Message { subject, plan: plan.clone(), reason: self.commit.reason(), restores: None, undoes: None };
        let (key, digest) = (plan.clone(), in_force(&journal));
        let draft = move |files: &Files<'_>| {
            let tip = drafts::texts(files, files.tip(), &key.name)?;
            if edit::locate(&tip, &key)?.is_some_and(|there| there.digest.to_string() != digest) {
                let why = "the branch has another version of the plan than the one in force; `tidegate why` says why";
                return Ok(Draft::Nothing { why: why.to_owned() });
            }
            Ok(match edit::end_hold(&tip, &key, hold)? {
                Some(change) => drafts::commit(change, &message),
                None => Draft::Nothing { why: format!("{key} does not hold there") },
            })
        };
        branch.commit(Some(&plan), draft).await
    }
}

fn in_force(journal: &Journal) -> String {
    journal.plan.digest.to_string()
}

/// The failure of a plan that holds nowhere.
fn stands(plan: &PlanKey, at: &str) -> Failure {
    let hint = Some(format!("`tidegate why {plan}` says what it waits for"));
    Failure { code: FINDINGS, error: anyhow!("{plan} stands {at}"), hint }
}
