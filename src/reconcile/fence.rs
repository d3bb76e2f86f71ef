//! What a worker writes without the lease, and which commits it follows while others may have seen newer ones.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::{
    istio::{Change, Edit},
    rollout::{ClusterName, Goal, Lease, Reason, Wanted},
};

use super::{Sight, Worker};

/// How long whoever has the lease is given to go back first, in milliseconds: two that go back at once only meet.
const COURTESY_MS: i64 = 500;

/// Whether a write may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum May {
    /// It needs no lease.
    Freely,
    /// As long as the lease is held when it is sent.
    WithLease,
    /// It needs no lease, and whoever has it gets the first chance until then.
    At(Timestamp),
    /// Not without the lease.
    Not(Reason),
}

/// What a worker keeps for that.
#[derive(Clone, Debug, Default)]
pub(super) struct Fenced {
    /// Commits that were wanted before.
    past: Vec<String>,
    behind: bool,
    /// Since when it would go back without the lease, somewhere.
    since: Option<Timestamp>,
}

impl Fenced {
    /// When it goes back without the lease: at one instant in all clusters, so that they get one position.
    pub(super) fn due(
        &mut self,
        goals: &BTreeMap<ClusterName, Goal>,
        withheld: Option<&Reason>,
        now: Timestamp,
    ) -> Timestamp {
        if withheld.is_none() || !goals.values().any(leads_back) {
            self.since = None;
            return now;
        }
        let since = *self.since.get_or_insert(now);
        since.checked_add(SignedDuration::from_millis(COURTESY_MS)).unwrap_or(now)
    }
}

fn leads_back(goal: &Goal) -> bool {
    matches!(goal, Goal::Apply(apply) if apply.back)
}

/// Whether the next write of a goal may be sent. A guard makes and removes nothing, even where that would lead back.
pub(super) fn may(goal: &Goal, edit: &Edit, withheld: Option<&Reason>, due: Timestamp, now: Timestamp) -> May {
    match withheld {
        Some(reason @ Reason::GuardOnly) if !matches!(edit.change, Change::Patch { .. }) => May::Not(reason.clone()),
        None if leads_back(goal) => May::Freely,
        None => May::WithLease,
        Some(reason) if !leads_back(goal) => May::Not(reason.clone()),
        Some(_) if due > now => May::At(due),
        Some(_) => May::Freely,
    }
}

/// The commit of a position that this process may not have seen in Git yet, and when it met it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Strange {
    commit: String,
    since: Timestamp,
}

/// How many commits of a plan are remembered beside the one that is wanted.
const PAST_MAX: usize = 4;

impl Worker {
    /// Whether the last decision had to leave Git aside: a position comes from a commit that the last look at Git, as far
    /// as is known, came too early for.
    pub fn is_behind(&self) -> bool {
        self.fenced.behind
    }

    /// What Git asks for, as far as it is known to be no older than what stands: another replica may have seen a newer
    /// commit, and the one before it is no revert of that.
    pub(super) fn wanted_since(&mut self, now: Timestamp, sight: &impl Sight) -> Wanted {
        self.fenced.behind = false;
        if sight.lease() == Lease::Alone {
            return self.wanted.clone();
        }
        let asked = match &self.wanted {
            Wanted::Plan { revision, .. } | Wanted::Removed { revision, .. } => Some(&revision.commit),
            Wanted::Unknown => None,
        };
        let last_look = sight.git().last_look;
        for held in self.clusters.values_mut() {
            // What another repository asks for is none of this one's commits.
            if held.is_anothers(self.repository.as_deref()) {
                held.strange = None;
                continue;
            }
            let Some(Ok(journal)) = &held.journal else { continue };
            let commit = &journal.revision.commit;
            if asked == Some(commit) || self.fenced.past.contains(commit) {
                held.strange = None;
                continue;
            }
            if held.strange.as_ref().is_none_or(|strange| strange.commit != *commit) {
                held.strange = Some(Box::new(Strange { commit: commit.clone(), since: now }));
            }
            let since = held.strange.as_ref().map_or(now, |strange| strange.since);
            self.fenced.behind |= asked.is_some() && last_look.is_none_or(|look| look <= since);
        }
        if self.fenced.behind { Wanted::Unknown } else { self.wanted.clone() }
    }

    /// Remembers what was asked for before: a position that comes from there is none that is not known yet.
    pub(super) fn remember(&mut self, before: &Wanted) {
        let (Wanted::Plan { revision, .. } | Wanted::Removed { revision, .. }) = before else { return };
        if self.fenced.past.contains(&revision.commit) {
            return;
        }
        self.fenced.past.push(revision.commit.clone());
        let surplus = self.fenced.past.len().saturating_sub(PAST_MAX);
        self.fenced.past.drain(..surplus);
    }
}
