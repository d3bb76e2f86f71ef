//! A model Git: one branch, one document.

use std::{collections::VecDeque, sync::Arc};

use tidegate::{
    plan::{Plan, Revision, VersionName},
    rollout::{Owner, Restore, Wanted},
};

use super::{document::Document, story::Push};

/// The branch, and whether the process can see it.
pub struct Git {
    /// What the document is after each commit; none: it is not there.
    pub commits: Vec<Option<Document>>,
    pub up: bool,
    /// Whether the tip counts.
    pub accepted: bool,
    /// How the next pushes are treated.
    pub pushes: VecDeque<Push>,
    /// The commits that restores have undone.
    undone: Vec<Revision>,
}

/// What came of a push.
pub enum Pushed {
    Landed {
        commit: String,
    },
    /// Somebody's fix is never undone, and what was undone once is not undone again.
    Dropped,
}

impl Git {
    pub const fn new() -> Self {
        Self { commits: Vec::new(), up: true, accepted: true, pushes: VecDeque::new(), undone: Vec::new() }
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
        self.document_of(commit).map(Document::plan)
    }

    /// Restores the document, if the tip still holds the one that failed.
    pub fn push(&mut self, restore: &Restore) -> Pushed {
        let Some(tip) = self.tip().filter(|tip| tip.plan().digest == restore.failed) else { return Pushed::Dropped };
        if self.undone.contains(&restore.undoes) {
            return Pushed::Dropped;
        }
        let weight = |name| restore.traffic.weight(&VersionName::new(name));
        let edited = tip.with_target(["v1", "v2", "v3"].map(weight));
        let to = restore.to.as_ref().and_then(|to| self.document_of(&to.commit));
        self.commits.push(Some(to.unwrap_or(edited)));
        self.undone.push(restore.undoes.clone());
        Pushed::Landed { commit: id(self.commits.len() - 1) }
    }

    /// Whether a person has brought again what the restore was to undo.
    pub fn brings_again(&self, restore: &Restore) -> bool {
        matches!(self.wanted(), Wanted::Plan { plan, revision, .. }
            if plan.digest == restore.failed && revision != restore.undoes)
    }

    fn document_of(&self, commit: &str) -> Option<Document> {
        let place: usize = commit.get(..10)?.parse().ok()?;
        self.commits.get(place).copied().flatten()
    }

    /// What the tip asks for.
    pub fn wanted(&self) -> Wanted {
        let Some(last) = self.commits.last() else { return Wanted::Unknown };
        let since = self.commits.iter().rposition(|there| there != last).map_or(0, |place| place + 1);
        let revision = Revision { branch: "main".into(), commit: id(since) };
        match last {
            Some(document) => {
                let plan = document.plan();
                let owner = owner(&plan);
                Wanted::Plan { plan, revision, owner, newer_invalid: false }
            }
            None => Wanted::Removed { revision, elsewhere: false },
        }
    }
}

/// The id of a commit: its first digits tell its place.
fn id(place: usize) -> String {
    format!("{place:010}{}", "0".repeat(30))
}

/// The plan's owner, as this repository names it.
pub fn owner(plan: &Arc<Plan>) -> Owner {
    Owner { repository: "plans".into(), plan: plan.key.clone() }
}
