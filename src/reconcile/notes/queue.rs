//! Which notes are written and which positions read when: many in one go, and ever more slowly where that fails. It does no
//! I/O.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::{git::Note, plan::ObjectKey, rollout::ClusterName};

use super::super::{
    committer::{Question, Task, Trouble},
    restores::{AWAY_S, AWAY_S_MAX, REFUSED_S, REFUSED_S_MAX, later},
};

/// How long others are waited for, so that many go together.
const GATHER_NOTES_MS: i64 = 1_000;
const GATHER_QUESTIONS_MS: i64 = 50;
/// How many go together: each has a journal.
const NOTES_MAX: usize = 1_000;
/// How many commits of one plan are kept while nothing can be written; of older ones nothing is noted.
const COMMITS_MAX: usize = 20;

/// All that is to be noted or asked.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// By plan and cluster; of a commit the newest.
    notes: BTreeMap<(String, ClusterName), Vec<Note>>,
    questions: BTreeMap<(ObjectKey, ClusterName), Question>,
    writing: Lane,
    reading: Lane,
    busy: bool,
}

/// When one of both is due.
#[derive(Debug, Default)]
struct Lane {
    due: Option<Timestamp>,
    /// Not before, whatever a look finds.
    least: Option<Timestamp>,
    failures: u32,
}

impl Lane {
    fn came(&mut self, now: Timestamp, gather_ms: i64) {
        if self.due.is_none() {
            self.due = Some(after_ms(now, gather_ms));
        }
    }

    fn ended(&mut self, trouble: Option<&Trouble>, left: bool, now: Timestamp) {
        let Some(trouble) = trouble else {
            *self = Self { due: left.then_some(now), ..Self::default() };
            return;
        };
        let (least_s, most_s) = if trouble.refused { (REFUSED_S, REFUSED_S_MAX) } else { (AWAY_S, AWAY_S_MAX) };
        let until = later(now, least_s, most_s, self.failures);
        let least = after_ms(now, trouble.least_s.saturating_mul(1_000));
        // What said no says so again: only time helps.
        self.least = Some(if trouble.refused { until } else { least });
        self.due = left.then_some(until.max(least));
        self.failures = self.failures.saturating_add(1);
    }

    fn hurry(&mut self, now: Timestamp) {
        self.due = self.due.map(|due| due.min(self.least.map_or(now, |least| least.max(now))));
    }
}

impl Queue {
    /// Takes in a note; it takes the place of an older one of the same commit.
    pub(super) fn add(&mut self, note: Note, now: Timestamp) {
        self.put(note);
        self.writing.came(now, GATHER_NOTES_MS);
    }

    fn put(&mut self, note: Note) {
        let of = self.notes.entry((note.plan.clone(), note.cluster.clone())).or_default();
        of.retain(|there| there.commit != note.commit);
        if note.position.is_some() {
            // Where a plan was is said by its last note alone.
            of.iter_mut().for_each(|there| there.position = None);
        }
        of.push(note);
        let surplus = of.len().saturating_sub(COMMITS_MAX);
        of.drain(..surplus);
    }

    /// Takes in a question.
    pub(super) fn ask(&mut self, question: Question, now: Timestamp) {
        self.questions.insert((question.worker.clone(), question.cluster.clone()), question);
        self.reading.came(now, GATHER_QUESTIONS_MS);
    }

    /// Forgets what a route asked.
    pub(super) fn forget(&mut self, key: &ObjectKey) {
        self.questions.retain(|(worker, _), _| worker != key);
    }

    /// The next task, if it is due; it is under way until its answer. Who waits goes first.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<Task> {
        let is_due = |lane: &Lane| lane.due.is_some_and(|due| due <= now);
        if self.busy {
            return None;
        }
        if is_due(&self.reading) {
            self.reading.due = None;
            let questions: Vec<Question> = self.questions.values().cloned().collect();
            self.busy = !questions.is_empty();
            return self.busy.then_some(Task::Recall(questions));
        }
        if !is_due(&self.writing) {
            return None;
        }
        let mut batch = Vec::new();
        while batch.len() < NOTES_MAX
            && let Some((_, notes)) = self.notes.pop_first()
        {
            batch.extend(notes);
        }
        self.writing.due = None;
        self.busy = !batch.is_empty();
        self.busy.then_some(Task::Note(batch))
    }

    /// When the next one is due.
    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        if self.busy { None } else { self.reading.due.into_iter().chain(self.writing.due).min() }
    }

    /// Whether nothing is left but what was tried in vain.
    pub(super) fn is_tried(&self) -> bool {
        let tried = |lane: &Lane| lane.due.is_none() || lane.failures > 0;
        !self.busy && tried(&self.reading) && tried(&self.writing)
    }

    /// Takes in what came of notes.
    pub(super) fn noted(&mut self, notes: Vec<Note>, trouble: Option<&Trouble>, now: Timestamp) {
        self.busy = false;
        if trouble.is_some() {
            // What came since is newer.
            let newer = std::mem::take(&mut self.notes);
            notes.into_iter().chain(newer.into_values().flatten()).for_each(|note| self.put(note));
        }
        self.writing.ended(trouble, !self.notes.is_empty(), now);
    }

    /// Takes in what came of questions.
    pub(super) fn found(&mut self, questions: &[Question], trouble: Option<&Trouble>, now: Timestamp) {
        self.busy = false;
        if trouble.is_none() {
            for question in questions {
                let key = (question.worker.clone(), question.cluster.clone());
                if self.questions.get(&key) == Some(question) {
                    self.questions.remove(&key);
                }
            }
        }
        self.reading.ended(trouble, !self.questions.is_empty(), now);
    }

    /// Nothing is asked any more, and what is to be noted is due now.
    pub(super) fn end(&mut self, now: Timestamp) {
        self.questions.clear();
        self.reading = Lane::default();
        self.writing.hurry(now);
    }

    /// What waits for nothing but the repository is due now.
    pub(super) fn hurry(&mut self, now: Timestamp) {
        self.reading.hurry(now);
        self.writing.hurry(now);
    }
}

fn after_ms(now: Timestamp, ms: i64) -> Timestamp {
    now.checked_add(SignedDuration::from_millis(ms)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{git::Position, plan::PlanKey, rollout::Owner};

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    fn note(plan: &str, commit: &str, what: &str) -> Note {
        let said = serde_json::Map::from_iter([("what".to_owned(), what.into())]);
        let position = Some(Position::At(what.to_owned()));
        Note { commit: commit.to_owned(), plan: plan.to_owned(), cluster: "east".into(), said, position }
    }

    fn question(name: &str) -> Question {
        let worker = ObjectKey { namespace: "shop".into(), name: name.into() };
        let plan = PlanKey { namespace: "shop".into(), name: name.into() };
        Question { worker, cluster: "east".into(), owner: Owner { repository: "plans".into(), plan } }
    }

    fn trouble(refused: bool) -> Option<Trouble> {
        Some(Trouble { words: "no".into(), refused, least_s: 0 })
    }

    /// What is handed out, as `plan commit what`, with `-` where another note has the position.
    fn taken(queue: &mut Queue, ms: i64) -> (Vec<Note>, Vec<String>) {
        let Some(Task::Note(notes)) = queue.next(at(ms)) else { return Default::default() };
        let text = |note: &Note| {
            let stands = if note.position.is_some() { "" } else { "-" };
            format!("{} {} {}{stands}", note.plan, note.commit, note.said["what"].as_str().unwrap())
        };
        let texts = notes.iter().map(text).collect();
        (notes, texts)
    }

    #[test]
    fn notes_wait_for_others_a_second_and_go_together_the_newest_of_each_commit() {
        let mut queue = Queue::default();
        for (ms, (plan, commit, what)) in
            [("a", "1", "Passed"), ("b", "1", "Settled"), ("a", "1", "Settled"), ("a", "2", "Passed")]
                .into_iter()
                .enumerate()
        {
            queue.add(note(plan, commit, what), at(i64::try_from(ms).unwrap()));
        }
        assert_eq!((taken(&mut queue, 999).1, queue.wake_at()), (vec![], Some(at(1_000))));
        let (notes, texts) = taken(&mut queue, 1_000);
        assert_eq!(texts, ["a 1 Settled-", "a 2 Passed", "b 1 Settled"]);
        assert_eq!((queue.wake_at(), queue.is_tried()), (None, false), "one is under way");
        queue.noted(notes, None, at(1_200));
        assert_eq!((queue.wake_at(), queue.is_tried()), (None, true));
    }

    #[test]
    fn what_was_not_written_is_written_later_and_never_over_what_came_since() {
        let mut queue = Queue::default();
        queue.add(note("a", "1", "Passed"), at(0));
        queue.add(note("b", "1", "Passed"), at(0));
        let (notes, _) = taken(&mut queue, 1_000);
        queue.add(note("a", "1", "Settled"), at(1_100));
        queue.add(note("b", "2", "Passed"), at(1_100));
        queue.noted(notes, trouble(false).as_ref(), at(2_000));
        assert!(queue.is_tried());
        let due = queue.wake_at().unwrap();
        assert!((at(2_800)..=at(3_000)).contains(&due), "{due}");
        assert_eq!(taken(&mut queue, 3_000).1, ["a 1 Settled", "b 1 Passed-", "b 2 Passed"]);
    }

    #[test]
    fn a_refusal_is_tried_ever_more_slowly_and_no_look_changes_that() {
        let mut queue = Queue::default();
        queue.add(note("a", "1", "Passed"), at(0));
        let (mut now, mut tries) = (at(0), 0);
        while now < at(86_400_000) {
            queue.hurry(now);
            now = queue.wake_at().unwrap().max(now);
            let (notes, _) = taken(&mut queue, now.as_millisecond());
            queue.noted(notes, trouble(true).as_ref(), now);
            tries += 1;
        }
        assert!((140..=170).contains(&tries), "{tries} in a day");
        let mut away = Queue::default();
        away.add(note("a", "1", "Passed"), at(0));
        let (notes, _) = taken(&mut away, 1_000);
        away.noted(notes, trouble(false).as_ref(), at(1_000));
        away.hurry(at(1_001));
        assert_eq!(away.wake_at(), Some(at(1_001)), "a repository that was away is tried once it answers");
    }

    #[test]
    fn a_thousand_questions_are_one_task_and_go_first() {
        let mut queue = Queue::default();
        queue.add(note("a", "1", "Passed"), at(0));
        (0..1_000).for_each(|n| queue.ask(question(&n.to_string()), at(980)));
        queue.forget(&question("7").worker);
        let Some(Task::Recall(questions)) = queue.next(at(1_030)) else { panic!("no questions") };
        assert_eq!(questions.len(), 999);
        queue.found(&questions, trouble(false).as_ref(), at(1_100));
        let (notes, _) = taken(&mut queue, 1_100);
        assert_eq!(notes.len(), 1, "what cannot be read does not keep anything from being written");
        queue.noted(notes, None, at(1_200));
        let Some(Task::Recall(again)) = queue.next(at(2_200)) else { panic!("they are asked again") };
        assert_eq!(again.len(), 999);
        queue.found(&again, None, at(2_300));
        assert_eq!(queue.wake_at(), None);
    }
}
