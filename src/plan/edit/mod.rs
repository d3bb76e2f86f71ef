//! Changes plan files as a person with an editor would: one document or one value, and every other byte stays.
//!
//! ```text
//! Texts at the tip ─┐
//! Texts back then ──┼─► restore, set_traffic, set_pause, end_hold ─► Change (one file) or Conflict
//! what is meant ────┘
//! ```
//!
//! Invariant: what comes out was read again and says what was meant, and nothing else says anything new. What cannot be
//! done so is a [`Conflict`], never a guess.

mod message;
mod restore;
mod segment;
mod value;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use serde_json::Value;

use super::{Digest, Document, Plan, PlanKey, Severity, VersionName, parse_file};
use segment::{Segment, says, segments};

pub use message::{Message, PLAN_TRAILER, REASON_TRAILER, RESTORES_TRAILER, UNDOES_TRAILER};
pub use restore::restore;
pub use value::{Hold, end_hold, set_pause, set_traffic};

/// Plan files at one commit. Only those that [may hold](may_hold) the plan, and the path that is written, are needed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Texts {
    /// How people call that commit: `main@sha1:4f2c…`.
    pub commit: String,
    /// Bytes by path.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Where a plan's document stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Located {
    /// The file.
    pub path: String,
    /// The document's bytes in it, from its separator to the next one's.
    pub bytes: Range<usize>,
    /// What it says, by its canonical form.
    pub digest: Digest,
    /// The plan; none where the document is not valid.
    pub plan: Option<Arc<Plan>>,
}

/// The one file that changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Which.
    pub path: String,
    /// What it says from now on.
    pub text: String,
}

/// Why an edit is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// No file holds the plan.
    #[error("no file has the plan {key} at {commit}")]
    Missing {
        /// The plan.
        key: PlanKey,
        /// Where it was looked for.
        commit: String,
    },
    /// Two documents claim to be the plan.
    #[error("{key} stands twice at {commit}: in {} and in {}", paths.0, paths.1)]
    Twice {
        /// The plan.
        key: PlanKey,
        /// Where.
        commit: String,
        /// In which files.
        paths: (String, String),
    },
    /// A document that cannot be read may be the plan's.
    #[error("{path} cannot be read at {commit}, and it may hold the plan {key}")]
    Unreadable {
        /// The plan.
        key: PlanKey,
        /// Where.
        commit: String,
        /// Which file.
        path: String,
    },
    /// What came out would not be accepted.
    #[error("{path} would not be accepted: {finding}")]
    Invalid {
        /// The file.
        path: String,
        /// The first finding, with its code.
        finding: String,
    },
    /// The value is written in a form that cannot be edited in place.
    #[error("`{field}` of {key} is written in {path} in a form that cannot be edited in place")]
    Form {
        /// The plan.
        key: PlanKey,
        /// The file.
        path: String,
        /// The field.
        field: String,
    },
    /// A version that the document does not declare.
    #[error("{key} does not declare the version {version} at {commit}")]
    Undeclared {
        /// The plan.
        key: PlanKey,
        /// The version.
        version: VersionName,
        /// Where.
        commit: String,
    },
    /// A step that the document does not have.
    #[error("{key} has no step of weight {weight} at {commit}")]
    NoStep {
        /// The plan.
        key: PlanKey,
        /// Its weight.
        weight: u8,
        /// Where.
        commit: String,
    },
}

impl Conflict {
    /// What to do instead, as a sentence for people.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "`tidegate history PLAN` lists the commits that have it",
            Self::Twice { .. } => "remove one of the two",
            Self::Unreadable { .. } => {
                "correct the file, or revert the commit that broke it: `tidegate rollback --commit`"
            }
            Self::Invalid { .. } => "edit the file by hand; `tidegate check` shows what is wrong",
            Self::Form { .. } => "edit the file by hand",
            Self::Undeclared { .. } => "declare it under `versions`",
            Self::NoStep { .. } => {
                "the walk stands at a step that this document does not have any more: edit `steps` by hand"
            }
        }
    }
}

/// Whether a file may hold a plan of this name: cheap, and never wrongly no.
pub fn may_hold(bytes: &[u8], name: &str) -> bool {
    let name = name.as_bytes();
    // An escape sequence can hide a name.
    bytes.contains(&b'\\') || bytes.windows(name.len().max(1)).any(|part| part == name)
}

/// The plan's document; none where no file has it.
///
/// # Errors
/// [`Conflict::Twice`], and [`Conflict::Unreadable`] where it is not found and a document that is no YAML may be it.
pub fn locate(texts: &Texts, key: &PlanKey) -> Result<Option<Located>, Conflict> {
    Ok(find(texts, key)?.map(|found| {
        let plan = plan_in(found.path, found.text, key);
        Located {
            path: found.path.to_owned(),
            bytes: found.segment.bytes.clone(),
            digest: found.segment.digest(),
            plan,
        }
    }))
}

/// The plans of that name, of whatever namespace.
pub fn named(texts: &Texts, name: &str) -> BTreeSet<PlanKey> {
    let texts = texts.files.values().filter_map(|bytes| std::str::from_utf8(bytes).ok());
    let keys = texts.flat_map(segments).filter_map(|segment| segment.key());
    keys.filter(|key| key.name == name).collect()
}

/// A document where it was found.
struct Found<'t> {
    path: &'t str,
    text: &'t str,
    segment: Segment,
}

fn find<'t>(texts: &'t Texts, key: &PlanKey) -> Result<Option<Found<'t>>, Conflict> {
    let mut found: Option<Found<'t>> = None;
    let mut unreadable = None;
    for (path, bytes) in texts.files.iter().filter(|(_, bytes)| may_hold(bytes, &key.name)) {
        let Ok(text) = std::str::from_utf8(bytes) else {
            unreadable.get_or_insert(path);
            continue;
        };
        for segment in segments(text) {
            if segment.key().as_ref() == Some(key) {
                if let Some(other) = &found {
                    let paths = (other.path.to_owned(), path.clone());
                    return Err(Conflict::Twice { key: key.clone(), commit: texts.commit.clone(), paths });
                }
                found = Some(Found { path, text, segment });
            } else if segment.may_be(text, key) {
                unreadable.get_or_insert(path);
            }
        }
    }
    match (found, unreadable) {
        (None, Some(path)) => {
            Err(Conflict::Unreadable { key: key.clone(), commit: texts.commit.clone(), path: path.clone() })
        }
        (found, _) => Ok(found),
    }
}

/// The plan as a file has it, where it is valid.
fn plan_in(path: &str, text: &str, key: &PlanKey) -> Option<Arc<Plan>> {
    parse_file(path, text.as_bytes()).documents.into_iter().find_map(|(document, _)| match document {
        Document::Plan(plan) if plan.key == *key => Some(plan),
        _ => None,
    })
}

/// Lets the new text of a file through only where it says what was meant, and the plan is valid.
fn checked(path: &str, text: String, meant: &[Value], key: &PlanKey) -> Result<Change, Conflict> {
    let invalid = |finding: String| Conflict::Invalid { path: path.to_owned(), finding };
    if says(&text) != meant {
        return Err(invalid("it would say something else than is meant".to_owned()));
    }
    if plan_in(path, &text, key).is_none() {
        let file = parse_file(path, text.as_bytes());
        let errors = || file.findings.iter().filter(|finding| finding.severity == Severity::Error);
        let of_plan = file.findings_of(key).find(|finding| finding.severity == Severity::Error);
        let finding = of_plan.or_else(|| errors().next());
        return Err(invalid(finding.map_or_else(
            || "the plan would not be in it".to_owned(),
            |finding| format!("{}, {}", finding.code, finding.message),
        )));
    }
    Ok(Change { path: path.to_owned(), text })
}
