//! The thread that owns the publisher: it does one task after the other, whatever the repository takes for it.

use std::{
    path::{Path, PathBuf},
    sync::mpsc,
};

use tokio::sync::mpsc::UnboundedSender;

use crate::{
    git::{Note, PublishOptions, Publisher, PushError, Source},
    plan::ObjectKey,
    rollout::{ClusterName, Owner},
};

use super::{RestoreOrder, engine::Incoming, restores};

/// Where a plan was is asked for a route in a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) worker: ObjectKey,
    pub(super) cluster: ClusterName,
    pub(super) owner: Owner,
}

/// Something to do with the repository.
pub(super) enum Task {
    /// One plan's document is to be restored.
    Restore { worker: ObjectKey, order: Box<RestoreOrder> },
    /// These notes are to be written in one commit.
    Note(Vec<Note>),
    /// These positions are to be read.
    Recall(Vec<Question>),
}

/// Why the repository did not do its part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// In words, with what to do.
    pub(super) words: String,
    /// Whether it said no: then trying again soon is useless.
    pub(super) refused: bool,
    /// For how many seconds it wants to be left alone.
    pub(super) least_s: i64,
}

impl From<PushError> for Trouble {
    fn from(error: PushError) -> Self {
        let least_s = error.retry_after().map_or(0, |least| i64::try_from(least.as_secs()).unwrap_or(i64::MAX));
        Self { words: format!("{error}; {}", error.hint()), refused: error.is_refusal(), least_s }
    }
}

/// The thread, as the loop sees it; once nobody holds one any more, it ends after what it has in hand.
#[derive(Clone)]
pub(super) struct Committer(mpsc::Sender<Task>);

impl Committer {
    /// Starts the thread; its mirror lies in `dir`, and what came of each task goes to `answers`.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub(super) fn start(
        source: Source,
        options: PublishOptions,
        dir: PathBuf,
        answers: UnboundedSender<Incoming>,
    ) -> std::io::Result<Self> {
        let (sender, tasks) = mpsc::channel::<Task>();
        std::thread::Builder::new().name("git-publish".into()).spawn(move || {
            let mut publisher = None;
            let mut next = tasks.recv().ok();
            while let Some(task) = next {
                let answer = perform(opened(&mut publisher, &source, &options, &dir), task);
                if answers.send(answer).is_err() {
                    return;
                }
                next = tasks.try_recv().ok();
                if next.is_none() {
                    // There is seldom anything to do: what it holds is given back until then.
                    publisher = None;
                    next = tasks.recv().ok();
                }
            }
        })?;
        Ok(Self(sender))
    }

    /// Hands a task over; returns whether the thread is there to take it.
    pub(super) fn give(&self, task: Task) -> bool {
        self.0.send(task).is_ok()
    }
}

fn opened<'p>(
    publisher: &'p mut Option<Publisher>,
    source: &Source,
    options: &PublishOptions,
    dir: &Path,
) -> Result<&'p mut Publisher, Trouble> {
    match publisher {
        Some(publisher) => Ok(publisher),
        none => match Publisher::open(source, options.clone(), dir) {
            Ok(opened) => Ok(none.insert(opened)),
            Err(error) => Err(PushError::from(error).into()),
        },
    }
}

fn perform(publisher: Result<&mut Publisher, Trouble>, task: Task) -> Incoming {
    match task {
        Task::Restore { worker, order } => {
            let ended = restores::commit(publisher, &order);
            Incoming::Published { worker, order, ended }
        }
        Task::Note(notes) => {
            crate::failpoint::pass("git.note.before");
            let ended = publisher.and_then(|publisher| Ok(publisher.note(&notes)?));
            crate::failpoint::pass("git.note.after");
            Incoming::Noted { notes, ended }
        }
        Task::Recall(questions) => {
            let of: Vec<(String, String)> =
                questions.iter().map(|question| (question.owner.to_string(), question.cluster.clone())).collect();
            let found = publisher.and_then(|publisher| Ok(publisher.positions(&of)?));
            Incoming::Found { questions, found }
        }
    }
}
