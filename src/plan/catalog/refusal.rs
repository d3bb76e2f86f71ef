//! Why a good document is not put in force, and the finding that says so.

use super::super::codes;
use crate::plan::{Finding, ObjectKey, Place, PlanKey, Severity, Unchosen};

use super::{claim::Claim, tip::Good};

/// The trailer of a commit message that lets a commit remove many plans.
const ALLOW_REMOVAL: &str = "Tidegate-Allow-Removal";

/// Why a plan document is refused.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Refusal {
    /// Another document names the same plan.
    Twice { others: Vec<String> },
    /// Service or object differ from those of the version in force.
    Identity { what: &'static str, is: String, wanted: String },
    /// A plan in force has it.
    Held { claim: Claim, by: PlanKey, path: String },
    /// Another new plan wants it too.
    Contested { claim: Claim, by: PlanKey, path: String },
    /// It would come from a plan that still exists.
    MovedHere { claim: Claim, from: PlanKey },
    /// It would go to another plan in the same commit.
    MovedAway { claim: Claim, to: PlanKey },
    /// It asks for clusters that are not configured.
    NoCluster(Unchosen),
}

impl Refusal {
    /// The finding for a document of plan `key`.
    pub(super) fn finding(&self, key: &PlanKey, good: &Good) -> Finding {
        let mut place = &good.place;
        let (code, message, hint) = match self {
            Self::Twice { others } => (
                codes::TG30,
                format!("plan {key} is written more than once"),
                format!("keep one document of this name; the others are in {}", others.join(", ")),
            ),
            Self::Identity { what, is, wanted } => (
                codes::TG35,
                format!("the {what} of plan {key} cannot change from {is} to {wanted}"),
                "make a new plan under another name, and remove this one in a later commit".to_owned(),
            ),
            Self::Held { claim, by, path } => (
                claim.code(),
                format!("plan {key} wants {claim}, which plan {by} already has"),
                format!("take it out of one of the two; plan {by} is in {path} and stays in force"),
            ),
            Self::Contested { claim, by, path } => (
                claim.code(),
                format!("plans {key} and {by} both want {claim}"),
                format!("take it out of one of the two; plan {by} is in {path}; neither is in force"),
            ),
            Self::MovedHere { claim, from } => (
                codes::TG22,
                format!("{claim} cannot move from plan {from} to plan {key} in one commit"),
                format!("push two commits: one that takes it out of plan {from}, then one that adds it here"),
            ),
            Self::MovedAway { claim, to } => (
                codes::TG22,
                format!("{claim} cannot move from plan {key} to plan {to} in one commit"),
                format!("push two commits: this one without the change of plan {to}, then that one"),
            ),
            Self::NoCluster(unchosen) => {
                let at = if let Unchosen::Unknown { place, .. } = unchosen { *place } else { Some(0) };
                place = at.and_then(|at| good.chosen.get(at)).unwrap_or(place);
                no_cluster(key, unchosen)
            }
        };
        error(code, message, Some(place.clone()), hint)
    }
}

/// Code, message and hint for a plan that asks for clusters that are not configured.
fn no_cluster(key: &PlanKey, unchosen: &Unchosen) -> (&'static str, String, String) {
    let listed = |known: &[String]| if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    match unchosen {
        Unchosen::Unknown { name, known, .. } => (
            codes::TG39,
            format!("plan {key} is for cluster `{}`, which is none of tidegate's", name.escape_debug()),
            format!("name one that it is configured with: {}", listed(known)),
        ),
        Unchosen::Nobody { labels, known } => (
            codes::TG40,
            format!("plan {key} is for clusters with the labels {labels}, and none has them"),
            format!("the labels of the clusters that tidegate is configured with: {}", listed(known)),
        ),
    }
}

/// The finding for a commit that removes too many plans.
pub(super) fn mass_removal(count: usize, living: usize) -> Finding {
    error(
        codes::TG36,
        format!("{count} of {living} plans are gone from the files; none is removed"),
        None,
        format!("put them back, or push a commit with the trailer `{ALLOW_REMOVAL}: {count}`"),
    )
}

/// The finding for a plan whose removal waits for other files.
pub(super) fn removal_waits(key: &PlanKey, path: &str) -> Finding {
    Finding {
        severity: Severity::Warning,
        ..error(
            codes::TG38,
            format!("plan {key} is gone from the files but stays in force until every file parses"),
            None,
            format!("correct the errors of {path}"),
        )
    }
}

/// The finding for one of several documents of a plain object.
pub(super) fn object_twice(kind: &str, key: &ObjectKey, place: &Place, others: &[&str]) -> Finding {
    error(
        codes::TG37,
        format!("{kind} {key} is written more than once"),
        Some(place.clone()),
        format!("keep one document of this name; the others are in {}", others.join(", ")),
    )
}

fn error(code: &'static str, message: String, place: Option<Place>, hint: String) -> Finding {
    Finding { code, severity: Severity::Error, message, place, hints: vec![hint] }
}
