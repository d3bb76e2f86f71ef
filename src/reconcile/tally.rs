//! Counts what the loop did. The loop owns it, so counting takes no lock; who asks gets a copy.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use crate::{
    cluster::Outcome,
    plan::ObjectKey,
    rollout::{Cause, ClusterName, Journal, Phase, Transition, What},
};

use super::News;

/// The upper bounds of the classes of [`Durations`], in seconds.
pub const BOUNDS_S: [f64; 15] =
    [0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// A part of the way from commit to traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// From the begin of a look at the repository until the loop has what it saw.
    Look,
    /// Parsing what changed, and finding what it touches.
    Read,
    /// One decision about one route.
    Decide,
    /// One write, from its decision to its answer.
    Write,
    /// From the question whether the proxies have a spec until all were seen to have it.
    Converge,
    /// From the begin of the look that saw a commit until the route has its weights.
    CommitToLive,
}

impl Stage {
    /// The stage as a metric label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Look => "look",
            Self::Read => "read",
            Self::Decide => "decide",
            Self::Write => "write",
            Self::Converge => "converge",
            Self::CommitToLive => "commit_to_live",
        }
    }
}

/// How long something took, counted in classes.
#[derive(Clone, Debug, Default)]
pub struct Durations {
    /// How many fell into each class of [`BOUNDS_S`] and no lower one.
    pub classes: [u64; BOUNDS_S.len()],
    /// How many were longer than every bound.
    pub longer: u64,
    /// All together, in seconds.
    pub sum_s: f64,
}

impl Durations {
    fn add(&mut self, took: Duration) {
        let took_s = took.as_secs_f64();
        self.sum_s += took_s;
        match BOUNDS_S.iter().zip(&mut self.classes).find(|(bound, _)| took_s <= **bound) {
            Some((_, count)) => *count += 1,
            None => self.longer += 1,
        }
    }
}

/// What was counted since the start.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// By cluster, event and cause.
    pub transitions: BTreeMap<(ClusterName, &'static str, &'static str), u64>,
    /// Changes of others that were put back, by cluster and kind.
    pub corrected: BTreeMap<(ClusterName, &'static str), u64>,
    /// What failed, by category.
    pub errors: BTreeMap<Cow<'static, str>, u64>,
    /// Restores of documents that were tried, by what came of it.
    pub restores: BTreeMap<&'static str, u64>,
    /// Writes and reads of the repository's notes, by how they ended.
    pub notes: BTreeMap<(&'static str, &'static str), u64>,
    /// Where the time went.
    pub stages: BTreeMap<Stage, Durations>,
}

impl Tally {
    /// Counts something that failed.
    pub(super) fn error(&mut self, category: impl Into<Cow<'static, str>>) {
        *self.errors.entry(category.into()).or_default() += 1;
    }

    /// Counts what came of a restore.
    pub(super) fn restore(&mut self, outcome: &'static str) {
        *self.restores.entry(outcome).or_default() += 1;
    }

    /// Counts a write or a read of the repository's notes.
    pub(super) fn note(&mut self, operation: &'static str, outcome: &'static str) {
        *self.notes.entry((operation, outcome)).or_default() += 1;
    }

    /// Counts how long a stage took.
    pub(super) fn took(&mut self, stage: Stage, took: Duration) {
        self.stages.entry(stage).or_default().add(took);
    }

    /// Counts the answer to a write.
    pub(super) fn written(&mut self, outcome: &Outcome, took: Duration) {
        self.took(Stage::Write, took);
        match outcome {
            Outcome::Applied(_) => {}
            Outcome::Withheld => self.error("write_withheld"),
            Outcome::Unsent { .. } => self.error("write_unsent"),
            Outcome::Stale => self.error("write_stale"),
            Outcome::Rejected { .. } => self.error("write_rejected"),
            Outcome::Unknown { .. } => self.error("write_unknown"),
        }
    }

    /// Counts what people are told.
    pub(super) fn news(&mut self, cluster: &str, news: &News, journal: Option<&Journal>) {
        match news {
            News::Transition(transition) => {
                let key = (cluster.to_owned(), transition.what.name(), cause(transition, journal));
                *self.transitions.entry(key).or_default() += 1;
            }
            News::DriftCorrected(kind) | News::DriftHeldOff(kind) => {
                *self.corrected.entry((cluster.to_owned(), kind.kind())).or_default() += 1;
            }
            News::DriftFight(_) => self.error("drift_fight"),
            News::WriteAltered(_) => self.error("write_altered"),
            News::Restore(state) => {
                if let Some(category) = state.category() {
                    self.error(category);
                }
            }
        }
    }
}

/// What led to a transition: a commit, gates that opened, a loss, or what failed.
pub(super) fn cause(transition: &Transition, journal: Option<&Journal>) -> &'static str {
    match transition.what {
        What::StepEntered | What::TargetEntered | What::WaveEntered | What::Settled => "Gates",
        What::Restored => "Loss",
        What::FailureHeld => journal.and_then(|journal| journal.failure.as_ref()).map_or("Gates", Cause::name),
        What::WentBack => match journal.map(|journal| &journal.phase) {
            Some(Phase::WentBack { cause }) => cause.name(),
            _ => "Commit",
        },
        What::Adopted
        | What::TakenBack
        | What::Created
        | What::Applied
        | What::Accepted
        | What::Released
        | What::RestoreLanded
        | What::RestoreDropped => "Commit",
    }
}

/// The commits that are on their way to the cluster: only what led to writes at once is timed.
#[derive(Debug, Default)]
pub(super) struct OnTheirWay {
    since: HashMap<ObjectKey, Instant>,
}

impl OnTheirWay {
    /// A look that began then saw a commit for this route.
    pub(super) fn seen(&mut self, route: &ObjectKey, at: Instant) {
        self.since.insert(route.clone(), at);
    }

    /// The route has the weights that the commit led to: when the look that saw it began.
    pub(super) fn arrived(&mut self, route: &ObjectKey) -> Option<Instant> {
        self.since.remove(route)
    }

    /// Whether no commit is on its way.
    pub(super) fn is_empty(&self) -> bool {
        self.since.is_empty()
    }

    /// The route is written no more: what its commit still waits for is no matter of speed.
    pub(super) fn rests(&mut self, route: &ObjectKey) {
        if !self.since.is_empty() {
            self.since.remove(route);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_lowest_class_that_holds_it() {
        let mut durations = Durations::default();
        for ms in [0, 1, 2, 60_000, 60_001] {
            durations.add(Duration::from_millis(ms));
        }
        assert_eq!((durations.classes[0], durations.classes[2], durations.classes[3]), (1, 1, 1));
        assert_eq!((durations.classes[14], durations.longer), (1, 1));
        assert!((durations.sum_s - 120.004).abs() < 1e-9);
    }

    #[test]
    fn a_commit_that_leads_to_no_write_at_once_is_not_timed() {
        let key = ObjectKey { namespace: "shop".into(), name: "web".into() };
        let mut way = OnTheirWay::default();
        way.seen(&key, Instant::now());
        way.rests(&key);
        assert_eq!(way.arrived(&key), None);
        way.seen(&key, Instant::now());
        assert!(!way.is_empty() && way.arrived(&key).is_some());
        assert_eq!((way.arrived(&key), way.is_empty()), (None, true));
    }
}
