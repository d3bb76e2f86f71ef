//! Joins what was asked with what the journal remembers of it.

use std::fmt;

use jiff::Timestamp;

use crate::rollout::{Journal, Phase, Transition, What};

use super::{Asked, Said};

/// One commit, with what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Chapter {
    /// What it asked.
    pub asked: Asked,
    /// What came of it.
    pub outcome: Outcome,
    /// The commit that undid it.
    pub undone: Option<Undone>,
    /// The last weights that it brought, as `v1=90 v2=10`; none where the journal does not remember.
    pub reached: Option<String>,
    /// What the journal remembers, oldest first.
    pub events: Vec<Transition>,
}

/// Which commit undid another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undone {
    /// That commit, 40 hex digits.
    pub by: String,
    /// Its author.
    pub author: String,
    /// Why, where it says.
    pub reason: Option<String>,
}

/// What came of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its target passed its gates.
    Settled {
        /// When.
        at: Timestamp,
    },
    /// Its target was applied; the journal does not remember more.
    Reached {
        /// When.
        at: Timestamp,
    },
    /// It is under way.
    UnderWay {
        /// The phase.
        phase: &'static str,
        /// Since when.
        since: Timestamp,
    },
    /// Traffic went back.
    WentBack {
        /// When.
        at: Timestamp,
        /// Why.
        why: String,
    },
    /// The document was not accepted.
    Refused {
        /// Why.
        why: String,
    },
    /// The plan was let go.
    Removed,
    /// The next commit came before anything that is remembered.
    Superseded,
    /// It is not in force yet, or something keeps it out.
    Waiting,
    /// No cluster was asked, or none has a journal.
    Unknown,
}

impl Outcome {
    /// A stable name for machines.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Settled { .. } => "Settled",
            Self::Reached { .. } => "Reached",
            Self::UnderWay { .. } => "UnderWay",
            Self::WentBack { .. } => "WentBack",
            Self::Refused { .. } => "Refused",
            Self::Removed => "Removed",
            Self::Superseded => "Superseded",
            Self::Waiting => "Waiting",
            Self::Unknown => "Unknown",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settled { at } => write!(f, "settled {}", Minute(*at)),
            Self::Reached { at } => write!(f, "reached its target {}", Minute(*at)),
            Self::UnderWay { phase, since } => write!(f, "{phase} since {}", Minute(*since)),
            Self::WentBack { at, why } => write!(f, "went back {}: {why}", Minute(*at)),
            Self::Refused { why } => write!(f, "refused: {why}"),
            Self::Removed => write!(f, "let go"),
            Self::Superseded => write!(f, "superseded"),
            Self::Waiting => write!(f, "not in force"),
            Self::Unknown => write!(f, "not known"),
        }
    }
}

/// An instant for people.
struct Minute(Timestamp);

impl fmt::Display for Minute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.strftime("%Y-%m-%d %H:%MZ"))
    }
}

/// What came of each commit, in the order of `asked`; without a journal Git alone tells.
pub fn chapters(asked: Vec<Asked>, journal: Option<&Journal>) -> Vec<Chapter> {
    let undone: Vec<Option<Undone>> = (1..=asked.len()).map(|next| undone(&asked, next)).collect();
    let last = asked.len().saturating_sub(1);
    let join = |(place, (asked, undone)): (usize, (Asked, Option<Undone>))| {
        let of_commit = |transition: &&Transition| asked.commit.id.starts_with(&transition.commit);
        let events: Vec<Transition> =
            journal.iter().flat_map(|journal| journal.transitions.iter()).filter(of_commit).cloned().collect();
        let raised = events.iter().rev().find(|event| brings(event.what));
        let outcome = outcome(&asked, journal, &events, place == last);
        Chapter { reached: raised.map(|event| event.traffic.clone()), asked, outcome, undone, events }
    };
    asked.into_iter().zip(undone).enumerate().map(join).collect()
}

const fn brings(what: What) -> bool {
    matches!(
        what,
        What::Created | What::Adopted | What::Applied | What::StepEntered | What::TargetEntered | What::Settled
    )
}

/// Which of the commits from `next` on undid the one before.
fn undone(asked: &[Asked], next: usize) -> Option<Undone> {
    let id = &asked.get(next.checked_sub(1)?)?.commit.id;
    let by = asked.iter().skip(next).find(|later| later.undoes.contains(id))?;
    Some(Undone { by: by.commit.id.clone(), author: by.commit.author.clone(), reason: by.reason.clone() })
}

fn outcome(asked: &Asked, journal: Option<&Journal>, events: &[Transition], is_last: bool) -> Outcome {
    let plan = match &asked.said {
        Said::Gone => return Outcome::Removed,
        Said::Broken(why) => return Outcome::Refused { why: why.clone() },
        Said::Plan(plan) => plan,
    };
    if let Some(journal) = journal.filter(|journal| journal.revision.commit == asked.commit.id) {
        return match &journal.phase {
            Phase::Settled => Outcome::Settled { at: settled(journal, &asked.commit.id).unwrap_or(journal.entered) },
            Phase::WentBack { cause } => Outcome::WentBack { at: journal.entered, why: cause.to_string() },
            Phase::Released { .. } => Outcome::Removed,
            phase => Outcome::UnderWay { phase: phase.name(), since: journal.entered },
        };
    }
    // A commit that retreats from an open walk goes back first, and is accepted right after.
    let since_accepted = events.iter().rev().take_while(|event| event.what != What::Accepted);
    let decisive = since_accepted.into_iter().find(|event| matches!(event.what, What::Settled | What::WentBack));
    let settled = journal.and_then(|journal| settled(journal, &asked.commit.id));
    let target = plan.traffic.to_string();
    let reached = events.iter().rev().find(|event| brings(event.what) && event.traffic == target);
    match (decisive, settled) {
        (Some(event), _) if event.what == What::Settled => Outcome::Settled { at: event.at },
        (_, Some(at)) => Outcome::Settled { at },
        (Some(event), None) => Outcome::WentBack { at: event.at, why: event.note.clone() },
        (None, None) => match (reached, journal) {
            (Some(event), _) => Outcome::Reached { at: event.at },
            (None, None) => Outcome::Unknown,
            (None, Some(_)) if is_last => Outcome::Waiting,
            (None, Some(_)) => Outcome::Superseded,
        },
    }
}

/// When the state that a commit asked for settled, as far as the journal remembers.
fn settled(journal: &Journal, commit: &str) -> Option<Timestamp> {
    let of_commit = |settled: &&crate::rollout::Settled| {
        settled.revision.as_ref().is_some_and(|revision| revision.commit == commit)
    };
    journal.settled.iter().rev().find(of_commit).map(|settled| settled.at)
}
