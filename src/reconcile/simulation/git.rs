//! A model Git: one branch, one document.

use std::sync::Arc;

use tidegate::{
    plan::{Plan, Revision},
    rollout::{Owner, Wanted},
};

use super::document::Document;

/// The branch, and whether the process can see it.
pub struct Git {
    /// What the document is after each commit; none: it is not there.
    pub commits: Vec<Option<Document>>,
    pub up: bool,
    /// Whether the tip counts.
    pub accepted: bool,
}

impl Git {
    pub const fn new() -> Self {
        Self { commits: Vec::new(), up: true, accepted: true }
    }

    pub fn tip(&self) -> Option<Document> {
        self.commits.last().copied().flatten()
    }

    /// The document as it was so many commits ago.
    pub fn ago(&self, commits: usize) -> Option<Document> {
        self.commits.len().checked_sub(1 + commits).and_then(|place| self.commits[place])
    }

    /// Whether some commit has asked for this plan.
    pub fn asked_for(&self, plan: &Plan) -> bool {
        self.commits.iter().flatten().any(|document| document.plan().digest == plan.digest)
    }

    /// What a commit, by its first digits, asks for.
    pub fn plan_of(&self, commit: &str) -> Option<Arc<Plan>> {
        let place: usize = commit.parse().ok()?;
        self.commits.get(place).copied().flatten().map(Document::plan)
    }

    /// What the tip asks for.
    pub fn wanted(&self) -> Wanted {
        let Some(last) = self.commits.last() else { return Wanted::Unknown };
        let since = self.commits.iter().rposition(|there| there != last).map_or(0, |place| place + 1);
        let revision = Revision { branch: "main".into(), commit: format!("{since:010}{}", "0".repeat(30)) };
        match last {
            Some(document) => {
                let plan = document.plan();
                let owner = owner(&plan);
                Wanted::Plan { plan, revision, owner, newer_invalid: false }
            }
            None => Wanted::Removed { revision },
        }
    }
}

/// The plan's owner, as this repository names it.
pub fn owner(plan: &Arc<Plan>) -> Owner {
    Owner { repository: "plans".into(), plan: plan.key.clone() }
}
