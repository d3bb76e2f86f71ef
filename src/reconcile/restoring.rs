//! What a worker wants Git to say again, and how far that has come. Traffic never waits for it.

use jiff::Timestamp;

use crate::rollout::{ClusterName, Decision, Owner, Restore};

use super::{Effect, News, Worker};

/// A restore of a plan's document, as it is handed to whoever writes commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreOrder {
    /// The plan, and its repository.
    pub owner: Owner,
    /// What is to be restored, and why.
    pub restore: Restore,
}

/// How far a restore has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestoreState {
    /// Nobody has taken it up yet.
    Pending,
    /// It is being committed and pushed.
    Trying {
        /// Since when.
        since: Timestamp,
    },
    /// The server does not take the push.
    Refused {
        /// The server's words.
        words: String,
        /// When it is tried again.
        until: Timestamp,
    },
    /// The repository does not answer.
    Unreachable {
        /// What went wrong.
        error: String,
        /// When it is tried again.
        until: Timestamp,
    },
    /// No commit could be made of it.
    Failed {
        /// What stands in the way.
        error: String,
        /// When it is tried again.
        until: Timestamp,
    },
    /// This tidegate pushes nothing.
    ReadOnly {
        /// What it would have committed.
        would: String,
    },
    /// It was pushed as a branch of its own, for a person to merge.
    Branch {
        /// The branch.
        name: String,
        /// Why not to the branch that is followed.
        why: String,
    },
    /// The commit is in the branch.
    Landed {
        /// Its id.
        commit: String,
    },
    /// Nothing was committed, and nothing will be.
    Dropped {
        /// Why.
        why: String,
    },
}

impl RestoreState {
    /// A stable name for machines.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Trying { .. } => "Trying",
            Self::Refused { .. } => "Refused",
            Self::Unreachable { .. } => "Unreachable",
            Self::Failed { .. } => "Failed",
            Self::ReadOnly { .. } => "ReadOnly",
            Self::Branch { .. } => "Branch",
            Self::Landed { .. } => "Landed",
            Self::Dropped { .. } => "Dropped",
        }
    }

    /// The Event that tells people of it; none where a transition tells it, or where there is nothing to tell.
    pub const fn event(&self) -> Option<&'static str> {
        match self {
            Self::Refused { .. } => Some("RestoreRefused"),
            Self::Unreachable { .. } => Some("RestoreUnreachable"),
            Self::Failed { .. } => Some("RestoreFailed"),
            Self::ReadOnly { .. } => Some("RestoreReadOnly"),
            Self::Branch { .. } => Some("RestoreBranch"),
            Self::Pending | Self::Trying { .. } | Self::Landed { .. } | Self::Dropped { .. } => None,
        }
    }

    /// The category under which it is counted as an error; none where it is none.
    pub(super) const fn category(&self) -> Option<&'static str> {
        match self {
            Self::Refused { .. } => Some("restore_refused"),
            Self::Unreachable { .. } => Some("restore_unreachable"),
            Self::Failed { .. } => Some("restore_failed"),
            Self::Branch { .. } => Some("restore_conflict"),
            Self::Pending
            | Self::Trying { .. }
            | Self::ReadOnly { .. }
            | Self::Landed { .. }
            | Self::Dropped { .. } => None,
        }
    }

    /// Whether it says the same as `other` but for when it is tried again.
    fn repeats(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Refused { words: one, .. }, Self::Refused { words: two, .. })
            | (Self::Unreachable { error: one, .. }, Self::Unreachable { error: two, .. })
            | (Self::Failed { error: one, .. }, Self::Failed { error: two, .. }) => one == two,
            (one, two) => one == two,
        }
    }
}

impl std::fmt::Display for RestoreState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pending => write!(f, "waits to be committed"),
            Self::Trying { since } => write!(f, "is being pushed since {since}"),
            Self::Refused { words, until } => {
                write!(f, "the push was refused: {words}; it is tried again at {until}")
            }
            Self::Unreachable { error, until } => {
                write!(f, "the repository cannot be reached: {error}; it is tried again at {until}")
            }
            Self::Failed { error, until } => {
                write!(f, "no commit could be made: {error}; it is tried again at {until}")
            }
            Self::ReadOnly { would } => {
                write!(f, "this tidegate pushes nothing; commit it by hand: {would}")
            }
            Self::Branch { name, why } => write!(f, "it waits in branch {name} to be merged by a person: {why}"),
            Self::Landed { commit } => write!(f, "commit {commit} is in the branch"),
            Self::Dropped { why } => write!(f, "nothing is committed: {why}"),
        }
    }
}

/// The restore that was handed out last, and what is known of it.
#[derive(Clone)]
pub(super) struct Restoring {
    restore: Restore,
    pub(super) state: RestoreState,
    /// The last state that people were told.
    told: Option<RestoreState>,
}

impl Worker {
    /// How far the restore of this plan's document has come.
    pub fn restoring(&self) -> Option<&RestoreState> {
        self.restoring.as_ref().map(|restoring| &restoring.state)
    }

    /// Takes in how far it has come, and tells people what is news to them.
    pub(super) fn restored(&mut self, state: RestoreState, effects: &mut Vec<Effect>) {
        let first: Option<ClusterName> = self.clusters.keys().next().cloned();
        let Some((restoring, cluster)) = self.restoring.as_mut().zip(first) else { return };
        let told = restoring.told.as_ref().is_some_and(|told| told.repeats(&state));
        if state.event().is_some() && !told {
            restoring.told = Some(state.clone());
            effects.push(Effect::Announce { cluster, news: News::Restore(state.clone()) });
        }
        restoring.state = state;
    }

    /// Hands out what Git should say again, once traffic is back wherever it can be, and takes it back when it is void.
    pub(super) fn order(&mut self, decision: &Decision, effects: &mut Vec<Effect>) {
        let Some(journal) = &decision.journal else { return };
        let sent = self.restoring.as_ref().map(|restoring| &restoring.restore);
        match &journal.restore {
            Some(restore) if sent != Some(restore) && self.has_gone_back(restore) => {
                let order = RestoreOrder { owner: journal.owner.clone(), restore: restore.clone() };
                effects.push(Effect::Restore(Some(order)));
                let state = RestoreState::Pending;
                self.restoring = Some(Box::new(Restoring { restore: restore.clone(), state, told: None }));
            }
            None if sent.is_some() => {
                effects.push(Effect::Restore(None));
                self.restoring = None;
            }
            Some(_) | None => {}
        }
    }

    /// Whether every cluster that answers and takes writes has what the restore came with.
    fn has_gone_back(&self, restore: &Restore) -> bool {
        #[cfg(test)]
        if crate::sabotage::is(crate::sabotage::Sabotage::GitBeforeTraffic) {
            return true;
        }
        let has = |held: &super::held::Held| matches!(&held.journal, Some(Ok(journal)) if journal.restore.as_ref() == Some(restore));
        let excused = |held: &super::held::Held| held.away_since.is_some() || held.is_refused();
        self.clusters.values().any(|held| has(held)) && self.clusters.values().all(|held| has(held) || excused(held))
    }
}
