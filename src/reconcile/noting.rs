//! What a worker wants noted in the repository, and what it asks of the notes where a position is lost. No traffic waits
//! for the first; what nothing else is known of waits for the second.
//!
//! Only what has passed its gates is noted, or what traffic went back to: whoever goes on from there starts no higher.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::{
    git::{Note, Position},
    plan::Revision,
    rollout::{ClusterName, Journal, Noted, Owner, Phase, Reason, Wanted},
};

use super::{Effect, Worker, held::Held};

/// How long after a position that cannot be read the notes are asked again, in seconds.
const AGAIN_S: i64 = 60;

/// What the notes say, and when they were asked.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) noted: Noted,
    at: Timestamp,
}

impl Asked {
    fn again(&self) -> Option<Timestamp> {
        let damaged = matches!(self.noted, Noted::Unreadable(_));
        damaged.then(|| self.at.checked_add(SignedDuration::from_secs(AGAIN_S)).unwrap_or(Timestamp::MAX))
    }
}

/// What came of a commit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Came {
    /// A step, or what a walk starts from, has passed its gates.
    Passed,
    /// The target has.
    Settled,
    /// Traffic went back.
    WentBack,
    /// It failed, and everything stays as it is.
    FailureHeld,
    /// The plan was removed and let go.
    Released,
}

impl Came {
    const fn name(self) -> &'static str {
        match self {
            Self::Passed => "Passed",
            Self::Settled => "Settled",
            Self::WentBack => "WentBack",
            Self::FailureHeld => "FailureHeld",
            Self::Released => "Released",
        }
    }
}

/// What the journal that is live now says beside the one that was looked at before: what came of which position.
fn came(before: Option<&Arc<Journal>>, now: &Arc<Journal>) -> Option<(Came, Arc<Journal>)> {
    // Subsets that are about to be added are nothing that came of a commit.
    if before.is_some_and(|before| Journal { subsets: before.subsets.clone(), ..Journal::clone(now) } == **before) {
        return None;
    }
    match now.phase {
        _ if now.failure.is_some() && before.is_none_or(|before| before.failure.is_none()) => {
            Some((Came::FailureHeld, now.clone()))
        }
        Phase::Settled => Some((Came::Settled, now.clone())),
        Phase::WentBack { .. } => Some((Came::WentBack, now.clone())),
        // One that was let go before is nobody's news.
        Phase::Released { .. } => before.map(|_| (Came::Released, now.clone())),
        Phase::Starting => None,
        Phase::Walking { .. } | Phase::Target => {
            let before = before.filter(|before| !before.is_settled())?;
            let total =
                |journal: &Journal| now.rising.iter().map(|name| journal.state.traffic.weight(name)).sum::<u8>();
            // Who was raised has left what it had: its gates had passed.
            (total(now) > total(before)).then(|| (Came::Passed, before.clone()))
        }
    }
}

fn note(came: Came, cluster: &str, journal: &Journal, commit: &Revision) -> Option<Note> {
    let own = |transition: &&crate::rollout::Transition| commit.commit.starts_with(&transition.commit);
    let happened = journal.transitions.iter().filter(own).map(|transition| {
        let text = format!("{} {} {}", transition.at, transition.what.name(), transition.traffic);
        if transition.note.is_empty() { text } else { format!("{text}: {}", transition.note) }
    });
    let at = journal.transitions.last().map_or(journal.entered, |last| last.at.max(journal.entered));
    let mut said = Map::from_iter([
        ("what".to_owned(), json!(came.name())),
        ("phase".to_owned(), json!(journal.phase.name())),
        ("traffic".to_owned(), json!(journal.state.traffic.to_string())),
        ("at".to_owned(), json!(at.to_string())),
        ("happened".to_owned(), happened.collect::<Vec<_>>().into()),
    ]);
    match &journal.phase {
        Phase::Walking { weight } => drop(said.insert("step".to_owned(), json!(weight))),
        Phase::WentBack { cause } => drop(said.insert("why".to_owned(), Value::String(cause.to_string()))),
        _ => {}
    }
    if let Some(cause) = &journal.failure {
        said.insert("why".to_owned(), Value::String(cause.to_string()));
    }
    let position = match came {
        Came::Released => Some(Position::Over),
        // What failed has not passed: whoever goes on does so from what was noted before.
        Came::FailureHeld => None,
        Came::Passed | Came::Settled | Came::WentBack => Some(Position::At(journal.encode().ok()?)),
    };
    let (commit, plan) = (commit.commit.clone(), journal.owner.to_string());
    Some(Note { commit, plan, cluster: cluster.to_owned(), said, position })
}

impl Worker {
    /// Hands out what is to be noted of the journals that stand live now; who does not lead leaves that for later.
    pub(super) fn note(&mut self, leads: bool, effects: &mut Vec<Effect>) {
        if !self.settings.notes || !leads || matches!(self.wanted, Wanted::Unknown) {
            return;
        }
        for (cluster, held) in &mut self.clusters {
            if held.is_anothers(self.repository.as_deref()) {
                continue;
            }
            let Some(Ok(journal)) = &held.journal else { continue };
            let journal = journal.clone();
            if held.told.as_ref().is_some_and(|told| Arc::ptr_eq(told, &journal) || told == &journal) {
                continue;
            }
            let before = held.told.replace(journal.clone());
            if let Some(before) = before.as_ref().filter(|before| before.owner != journal.owner) {
                // It goes on under another name.
                effects
                    .extend(note(Came::Released, cluster, before, &journal.revision).map(Box::new).map(Effect::Note));
            }
            let Some((came, journal)) = came(before.as_ref(), &journal) else { continue };
            let asked = match &self.wanted {
                Wanted::Removed { revision, .. } if came == Came::Released => revision,
                _ => &journal.revision,
            };
            effects.extend(note(came, cluster, &journal, asked).map(Box::new).map(Effect::Note));
        }
    }

    /// Hands out that a route was deleted with its plan.
    pub(super) fn note_pruned(&mut self, cluster: &str, effects: &mut Vec<Effect>) {
        let Wanted::Removed { revision, .. } = &self.wanted else { return };
        let told = self.clusters.get_mut(cluster).and_then(|held| held.told.take());
        let Some(told) = told.filter(|_| self.settings.notes) else { return };
        let journal = Journal { phase: Phase::Released { prune: true, elsewhere: false }, ..Journal::clone(&told) };
        effects.extend(note(Came::Released, cluster, &journal, revision).map(Box::new).map(Effect::Note));
    }

    /// Asks the notes where the plan was: once, and again and again where they have what cannot be read, as a person may
    /// repair it. Returns whether anything is asked for the first time.
    pub(super) fn recall(&mut self, reason: &Reason, now: Timestamp, effects: &mut Vec<Effect>) -> bool {
        let Wanted::Plan { owner, .. } = &self.wanted else { return false };
        let mut first = false;
        for (cluster, held) in &mut self.clusters {
            match &mut held.noted {
                None if matches!(reason.plainly(), Reason::NotesUnknown { .. }) => {
                    let noted = Noted::Unknown { since: Some(now), why: None };
                    held.noted = Some(Box::new(Asked { noted, at: now }));
                    first = true;
                }
                Some(asked) if asked.again().is_some_and(|again| again <= now) => asked.at = now,
                _ => continue,
            }
            effects.push(Effect::Recall(cluster.clone(), owner.clone()));
        }
        first
    }

    /// When the notes are asked again.
    pub(super) fn recalls_at(&self) -> Option<Timestamp> {
        self.clusters.values().filter_map(|held| held.noted.as_ref()?.again()).min()
    }

    /// Takes in what they say.
    pub(super) fn recalled(&mut self, cluster: &ClusterName, of: &Owner, found: Result<Option<String>, String>) {
        let Wanted::Plan { owner, plan, .. } = &self.wanted else { return };
        let still = |held: &&mut Box<Held>| owner == of && !held.has_journal();
        let Some(held) = self.clusters.get_mut(cluster).filter(still) else { return };
        let Some(asked) = &mut held.noted else { return };
        asked.noted = match (found, &asked.noted) {
            (Ok(Some(text)), _) => Noted::of(&text).of_plan(owner, plan),
            (Ok(None), _) => Noted::Nothing,
            (Err(why), Noted::Unknown { since, .. }) => Noted::Unknown { since: *since, why: Some(why.into()) },
            (Err(_), known) => known.clone(),
        };
    }

    /// Forgets what was said of a plan that is not the one that is wanted now.
    pub(super) fn forget_notes(&mut self, wanted: &Wanted) {
        let owner = |wanted: &'_ Wanted| match wanted {
            Wanted::Plan { owner, .. } => Some(owner.clone()),
            Wanted::Unknown | Wanted::Removed { .. } => None,
        };
        if self.settings.notes && owner(&self.wanted) != owner(wanted) {
            self.clusters.values_mut().for_each(|held| held.noted = None);
        }
    }
}

impl Held {
    fn has_journal(&self) -> bool {
        matches!(self.journal, Some(Ok(_)))
    }

    /// The position that the notes have.
    pub(super) fn noted_position(&self) -> Option<&Arc<Journal>> {
        match &self.noted.as_ref()?.noted {
            Noted::Position(journal) => Some(journal),
            _ => None,
        }
    }
}
