//! Notes what came of commits in the repository, and asks its notes where a plan was. Traffic waits for neither; what nothing
//! else is known of waits for the second.
//!
//! ```text
//!  Effect::Note   ─► Queue (many at once) ─► Committer (one commit, one push)
//!  Effect::Recall ─► Queue (many at once) ─► Committer (one fetch) ─► Event::Recalled
//! ```

mod queue;

use jiff::Timestamp;

use crate::{
    git::Note,
    plan::ObjectKey,
    rollout::{ClusterName, Owner},
};

use super::{
    committer::{Committer, Question, Trouble},
    engine::{Engine, Incoming},
};
use queue::Queue;

/// What is to be noted and asked, and who does it.
pub(super) struct Notes {
    queue: Queue,
    committer: Committer,
    /// Whether notes are written: else they are only read.
    writes: bool,
    /// What was wrong last: it is said once.
    trouble: Option<String>,
}

impl Notes {
    pub(super) fn new(committer: Committer, writes: bool) -> Self {
        Self { queue: Queue::default(), committer, writes, trouble: None }
    }
}

impl Engine {
    /// Takes in what came of a commit.
    pub(super) fn note(&mut self, note: Note) {
        let now = self.clock.now();
        let ours = note.plan.strip_prefix(&self.repository).is_some_and(|rest| rest.starts_with('/'));
        if let Some(notes) = self.notes.as_mut().filter(|notes| notes.writes && ours) {
            notes.queue.add(note, now);
        }
    }

    /// Takes in that a worker asks where its plan was.
    pub(super) fn recall(&mut self, key: &ObjectKey, cluster: ClusterName, owner: Owner) {
        let now = self.clock.now();
        if let Some(notes) = &mut self.notes {
            notes.queue.ask(Question { worker: key.clone(), cluster, owner }, now);
        }
    }

    /// When something is due; none while something is on its way.
    pub(super) fn notes_wake(&self) -> Option<Timestamp> {
        self.notes.as_ref()?.queue.wake_at()
    }

    /// Whether nothing is left that was not tried once.
    pub(super) fn notes_rest(&self) -> bool {
        self.notes.as_ref().is_none_or(|notes| notes.queue.is_tried())
    }

    /// Hands the next task out, if it is due; a restore goes first.
    pub(super) fn notes_turn(&mut self) {
        self.restores_turn();
        self.hand_notes();
    }

    /// The end is near: what is to be noted is handed out now, and nothing is asked any more.
    pub(super) fn notes_end(&mut self) {
        let now = self.clock.now();
        if let Some(notes) = &mut self.notes {
            notes.queue.end(now);
        }
        self.hand_notes();
    }

    fn hand_notes(&mut self) {
        let now = self.clock.now();
        let Some(notes) = &mut self.notes else { return };
        let Some(task) = notes.queue.next(now) else { return };
        if notes.committer.give(task) {
            self.in_flight += 1;
        }
    }

    /// Takes in what came of notes that were to be written.
    pub(super) fn noted(&mut self, notes: Vec<Note>, ended: Result<bool, Trouble>) {
        self.in_flight -= 1;
        let (now, count) = (self.clock.now(), notes.len());
        let trouble = ended.as_ref().err().cloned();
        self.tell_notes("write", trouble.as_ref());
        if let Ok(true) = ended {
            tracing::debug!(count, "noted what came of commits");
        }
        if let Some(own) = &mut self.notes {
            own.queue.noted(notes, trouble.as_ref(), now);
        }
    }

    /// Takes in where plans were.
    pub(super) fn found(&mut self, questions: Vec<Question>, found: Result<Vec<Option<String>>, Trouble>) {
        self.in_flight -= 1;
        let now = self.clock.now();
        let trouble = found.as_ref().err().cloned();
        self.tell_notes("read", trouble.as_ref());
        let Some(own) = &mut self.notes else { return };
        own.queue.found(&questions, trouble.as_ref(), now);
        let answers: Vec<Result<Option<String>, String>> = match found {
            Ok(found) => found.into_iter().map(Ok).collect(),
            Err(trouble) => vec![Err(trouble.words); questions.len()],
        };
        // One event each: what else the loop has to do comes between.
        for (Question { worker, cluster, owner }, found) in questions.into_iter().zip(answers) {
            // The loop has ended where nobody receives.
            let _ = self.sender.send(Incoming::Recalled { worker, cluster, owner, found });
        }
    }

    /// Counts how it went, and says what is wrong once.
    fn tell_notes(&mut self, operation: &'static str, trouble: Option<&Trouble>) {
        let outcome = match trouble {
            None => "ok",
            Some(trouble) if trouble.refused => "refused",
            Some(_) => "unreachable",
        };
        self.tally.note(operation, outcome);
        let Some(notes) = &mut self.notes else { return };
        match trouble {
            Some(trouble) if notes.trouble.as_ref() != Some(&trouble.words) => {
                tracing::warn!(operation, "the repository's notes: {}; it is tried again", trouble.words);
                notes.trouble = Some(trouble.words.clone());
            }
            Some(_) => {}
            None if notes.trouble.take().is_some() => tracing::info!(operation, "the repository's notes are back"),
            None => {}
        }
    }

    /// The repository answers again: what waits for it waits no longer.
    pub(super) fn notes_hurry(&mut self) {
        let now = self.clock.now();
        if let Some(notes) = &mut self.notes {
            notes.queue.hurry(now);
        }
    }

    /// A worker ends: it asks nothing any more.
    pub(super) fn notes_forget(&mut self, key: &ObjectKey) {
        if let Some(notes) = &mut self.notes {
            notes.queue.forget(key);
        }
    }
}
