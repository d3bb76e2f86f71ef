//! Puts what happened into words: a log line and a Kubernetes Event per transition.

use crate::{
    cluster::{Announcement, Outcome},
    istio::{Edit, ObjectKind},
    plan::ObjectKey,
    rollout::{Altered, Journal, Phase, Reason, What},
};

use super::{News, tally};

/// The Event for a piece of news that is to be told; which object it is about is the caller's to fill in.
pub(super) fn event(cluster: &str, news: &News) -> Option<Announcement> {
    let (warning, reason, action, note) = match news {
        News::Transition(transition) => {
            let detail = if transition.note.is_empty() { String::new() } else { format!(" ({})", transition.note) };
            let note = format!("{} at commit {} in cluster {cluster}{detail}", transition.traffic, transition.commit);
            (matches!(transition.what, What::WentBack | What::FailureHeld), transition.what.name(), "Write", note)
        }
        News::DriftCorrected(kind) => {
            let note =
                format!("a change of the {} that no commit asked for was put back in cluster {cluster}", kind.kind());
            (true, "DriftCorrected", "Correct", note)
        }
        News::DriftHeldOff(_) => return None,
        News::DriftFight(fight) => (true, "DriftFight", "Correct", format!("in cluster {cluster} {fight}")),
        News::Restore(state) => (true, state.event()?, "Restore", state.to_string()),
        News::WriteAltered(altered) => {
            let Altered { kind, at, until } = altered.clone();
            let reason = Reason::WriteAltered { cluster: cluster.to_owned(), kind, at, until };
            (true, "WriteAltered", "Write", reason.to_string())
        }
    };
    let key = ObjectKey { namespace: String::new(), name: String::new() };
    let folds = matches!(news, News::DriftCorrected(_));
    let kind = ObjectKind::VirtualService;
    Some(Announcement { kind, key, uid: String::new(), warning, reason, action, note, folds })
}

/// The log line for a piece of news.
pub(super) fn log(cluster: &str, route: &ObjectKey, journal: Option<&Journal>, news: &News) {
    let plan = journal.map(|journal| journal.owner.to_string()).unwrap_or_default();
    match news {
        News::Transition(transition) => {
            let step = journal.and_then(|journal| match journal.phase {
                Phase::Walking { weight } => Some(weight),
                _ => None,
            });
            let revision = journal.map_or_else(|| transition.commit.clone(), |journal| journal.revision.to_string());
            let cause = tally::cause(transition, journal);
            tracing::info!(
                plan, %route, cluster, revision, step, cause, traffic = transition.traffic, note = transition.note,
                "{}", transition.what.name()
            );
        }
        News::DriftCorrected(kind) => {
            tracing::warn!(plan, %route, cluster, kind = kind.kind(), "put back a change that no commit asked for");
        }
        News::DriftHeldOff(kind) => {
            tracing::debug!(plan, %route, cluster, kind = kind.kind(), "put back a change in a fight");
        }
        News::Restore(state) => {
            tracing::warn!(plan, %route, cluster, state = state.name(), "the restore of the plan's document: {state}");
        }
        News::DriftFight(fight) => tracing::warn!(plan, %route, cluster, "DriftFight: {fight}"),
        News::WriteAltered(Altered { kind, at, .. }) => {
            let kind = kind.kind();
            tracing::warn!(plan, %route, cluster, kind, at, "WriteAltered: the API server stores something else than is written");
        }
    }
}

/// The log line for an answer that was not plain success.
pub(super) fn log_outcome(cluster: &str, edit: &Edit, outcome: &Outcome) {
    let (kind, object) = (edit.kind.kind(), &edit.key);
    match outcome {
        Outcome::Applied(_) => tracing::debug!(cluster, kind, %object, "written"),
        Outcome::Withheld => {
            tracing::warn!(cluster, kind, %object, "not written: the lease ran out before it was sent")
        }
        Outcome::Stale => tracing::debug!(cluster, kind, %object, "the object was another one, looking again"),
        Outcome::Rejected { message, code } => {
            tracing::warn!(cluster, kind, %object, code, "the API server refused the write: {message}");
        }
        Outcome::Unsent { message } => tracing::debug!(cluster, kind, %object, "not sent: {message}"),
        Outcome::Unknown { message } => {
            tracing::warn!(cluster, kind, %object, "not known whether it was written, looking again: {message}");
        }
    }
}
