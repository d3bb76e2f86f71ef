//! Says which tips of a branch are accepted: what the operator asks for, and why a tip does not count.

use std::fmt;
use std::path::PathBuf;

use super::verify::Why;

/// What a tip must be like before its plans count; by default anything that the branch holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// Whether history may be rewritten.
    pub history: HistoryPolicy,
    /// Which signatures are asked for; none: unsigned commits count.
    pub verify: Option<Verify>,
}

/// What happens when the branch does not descend from what was accepted last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HistoryPolicy {
    /// The new tip counts.
    #[default]
    Accept,
    /// It counts once one of its new commits says so by a trailer, or once the branch descends again.
    Hold,
    /// It counts only once the branch descends again.
    Reject,
}

/// Which commits must be signed, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verify {
    /// Which commits.
    pub mode: VerifyMode,
    /// Files of public keys, read anew at each look.
    pub keys: Vec<PathBuf>,
}

/// Which commits must be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyMode {
    /// The tip alone.
    Tip,
    /// Every commit, of all parents, since the one that was accepted last; at first sight the tip.
    Every,
}

/// A tip that does not count: what was accepted before it stays in force, and nothing rises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Where the branch stands, 40 hex digits.
    pub tip: String,
    /// What is wrong.
    pub objection: Objection,
}

/// What is wrong with a tip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Objection {
    /// A commit is not signed as it must be.
    Commit {
        /// The commit, 40 hex digits; the tip or one below it.
        id: String,
        /// Why it does not count.
        why: Why,
    },
    /// The keys cannot be read, so that nothing can be verified.
    Keys(super::verify::KeysError),
    /// There are more commits than are ever verified at once.
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// It does not descend from what was accepted last, 40 hex digits.
    Rewritten {
        /// What was accepted.
        from: String,
        /// What happens then.
        policy: HistoryPolicy,
    },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the tip {} is not accepted: ", short(&self.tip))?;
        match &self.objection {
            Objection::Commit { id, why } if *id == self.tip => write!(f, "it {why}"),
            Objection::Commit { id, why } => write!(f, "commit {} {why}", short(id)),
            Objection::Keys(error) => error.fmt(f),
            Objection::TooMany { limit } => write!(f, "more than {limit} commits came since the one accepted last"),
            Objection::Rewritten { from, .. } => {
                write!(f, "history was rewritten, it does not descend from {}", short(from))
            }
        }
    }
}

impl Refused {
    /// What to do about it, as a sentence for people.
    pub fn hint(&self) -> String {
        match &self.objection {
            Objection::Commit { why, .. } => why.hint().to_owned(),
            Objection::Keys(error) => error.hint().to_owned(),
            Objection::TooMany { .. } => "push them in smaller parts, or verify the tip alone".to_owned(),
            Objection::Rewritten { from, policy: HistoryPolicy::Reject } => {
                format!("push a branch that contains {from} again")
            }
            Objection::Rewritten { from, .. } => format!(
                "push a commit with the trailer `Tidegate-Accept-Rewrite: {from}`, or a branch that contains that commit"
            ),
        }
    }
}

/// The first digits of a commit's id, for sentences.
fn short(id: &str) -> &str {
    id.get(..10).unwrap_or(id)
}
