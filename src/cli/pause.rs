//! `tidegate pause` and `tidegate resume`: a commit that sets or takes off `pause: true`.

use clap::Args;

use crate::{
    plan::edit::{self, Message},
    reconcile::drafts,
};

use super::{Failure, commit::CommitArgs};
use crate::git::Draft;

/// Let nothing of a plan rise, by a commit; going back still works
#[derive(Debug, Args)]
pub(super) struct Pause {
    #[command(flatten)]
    switch: Switch,
}

/// Let a paused plan go on, by a commit
#[derive(Debug, Args)]
pub(super) struct Resume {
    #[command(flatten)]
    switch: Switch,
}

#[derive(Debug, Args)]
struct Switch {
    /// The plan: `namespace/name`, or a name that only one plan of the branch has
    plan: String,
    #[command(flatten)]
    commit: CommitArgs,
}

impl Pause {
    pub(super) async fn run(self) -> Result<u8, Failure> {
        self.switch.run(true).await
    }
}

impl Resume {
    pub(super) async fn run(self) -> Result<u8, Failure> {
        self.switch.run(false).await
    }
}

impl Switch {
    async fn run(self, pause: bool) -> Result<u8, Failure> {
        let (branch, plan) = self.commit.open()?.plan(&self.plan).await?;
        let message = Message {
            subject: format!("{} {plan}", if pause { "Pause" } else { "Resume" }),
            plan: plan.clone(),
            reason: self.commit.reason(),
            restores: None,
            undoes: None,
        };
        let key = plan.clone();
        let draft = move |files: &crate::git::Files<'_>| {
            let tip = drafts::texts(files, files.tip(), &key.name)?;
            Ok(match edit::set_pause(&tip, &key, pause)? {
                Some(change) => drafts::commit(change, &message),
                None => Draft::Nothing { why: format!("{key} is {}", if pause { "paused" } else { "not paused" }) },
            })
        };
        branch.commit(Some(&plan), draft).await
    }
}
