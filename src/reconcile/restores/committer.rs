//! The thread that owns the publisher: it writes one plan's document for the tip and pushes that, as often as it is asked.

use std::{path::PathBuf, sync::mpsc};

use tokio::sync::mpsc::UnboundedSender;

use crate::{
    git::{Changes, Draft, Files, PublishError, PublishOptions, Published, Publisher, PushError, Source},
    plan::{
        ObjectKey,
        edit::{self, Conflict, Message},
    },
};

use super::{
    super::{
        RestoreOrder,
        drafts::{self, DraftError},
        engine::Incoming,
    },
    Ended,
};

/// The thread, as the loop sees it; dropped, it ends after what it has in hand.
pub(in super::super) struct Committer(mpsc::Sender<(ObjectKey, RestoreOrder)>);

impl Committer {
    /// Starts the thread; its mirror lies in `dir`, and what came of each order goes to `answers`.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub(in super::super) fn start(
        source: Source,
        options: PublishOptions,
        dir: PathBuf,
        answers: UnboundedSender<Incoming>,
    ) -> std::io::Result<Self> {
        let (sender, orders) = mpsc::channel::<(ObjectKey, RestoreOrder)>();
        std::thread::Builder::new().name("git-restore".into()).spawn(move || {
            let mut publisher = None;
            let mut next = orders.recv().ok();
            while let Some((worker, order)) = next {
                let ended = commit(&mut publisher, &source, &options, &dir, &order);
                if answers.send(Incoming::Published { worker, order: Box::new(order), ended }).is_err() {
                    return;
                }
                next = orders.try_recv().ok();
                if next.is_none() {
                    // Failures are rare: what it holds is given back until the next one.
                    publisher = None;
                    next = orders.recv().ok();
                }
            }
        })?;
        Ok(Self(sender))
    }

    /// Hands an order over; returns whether the thread is there to take it.
    pub(super) fn commit(&self, worker: ObjectKey, order: RestoreOrder) -> bool {
        self.0.send((worker, order)).is_ok()
    }
}

fn commit(
    publisher: &mut Option<Publisher>,
    source: &Source,
    options: &PublishOptions,
    dir: &std::path::Path,
    order: &RestoreOrder,
) -> Ended {
    let opened = match publisher {
        Some(publisher) => Ok(publisher),
        none => Publisher::open(source, options.clone(), dir).map(|opened| none.insert(opened)),
    };
    let published = match opened {
        Ok(publisher) => publisher.publish(&mut |files: &Files<'_>| draft(files, order)),
        Err(error) => Err(PushError::from(error).into()),
    };
    match published {
        Ok(Published::Landed { commit, .. }) => Ended::Landed { commit },
        Ok(Published::Nothing { why }) => Ended::Nothing { why },
        Ok(Published::Branch { name, why }) => Ended::Branch { name, why },
        Err(PublishError::Draft(error)) => Ended::Failed { error: format!("{error}; {}", error.hint()) },
        Err(PublishError::Push(error)) => {
            let text = format!("{error}; {}", error.hint());
            if error.is_refusal() {
                return Ended::Refused { words: text };
            }
            let least_s = error.retry_after().map_or(0, |least| i64::try_from(least.as_secs()).unwrap_or(i64::MAX));
            Ended::Unreachable { error: text, least_s }
        }
    }
}

/// What the commit changes at this tip. What cannot be edited there goes to a branch of its own, for a person to merge.
fn draft(files: &Files<'_>, order: &RestoreOrder) -> Result<Draft, DraftError> {
    match written(files, order) {
        Err(DraftError::Conflict(conflict)) => match aside(files, order, &conflict)? {
            Some(draft) => Ok(draft),
            None => Err(conflict.into()),
        },
        other => other,
    }
}

/// The whole file as it was; none where no commit has the plan.
fn aside(files: &Files<'_>, order: &RestoreOrder, conflict: &Conflict) -> Result<Option<Draft>, DraftError> {
    let (plan, restore) = (&order.owner.plan, &order.restore);
    let Some(to) = restore.to.as_ref().map(|to| to.commit.clone()) else { return Ok(None) };
    let then = drafts::texts(files, &to, &plan.name)?;
    let Ok(Some(old)) = edit::locate(&then, plan) else { return Ok(None) };
    let message = Message {
        subject: format!("Restore {plan} to {}", then.commit),
        plan: plan.clone(),
        reason: restore.reason.clone(),
        restores: Some(to),
        undoes: Some(restore.undoes.commit.clone()),
    };
    let changes = Changes::from([(old.path.clone(), then.files.get(&old.path).cloned())]);
    Ok(Some(Draft::Conflict { why: format!("{conflict}; {}", conflict.hint()), changes, message: message.to_string() }))
}

/// The edit of the document: nothing where the branch does not hold the one that failed any more.
fn written(files: &Files<'_>, order: &RestoreOrder) -> Result<Draft, DraftError> {
    let (plan, restore) = (&order.owner.plan, &order.restore);
    let nothing = |why: String| Ok(Draft::Nothing { why });
    let tip = drafts::texts(files, files.tip(), &plan.name)?;
    match edit::locate(&tip, plan)? {
        None => nothing(format!("the branch has no plan {plan} any more")),
        Some(stands) if stands.digest != restore.failed => {
            nothing(format!("the document of {plan} was changed meanwhile, and a person's change stands"))
        }
        Some(_) => match &restore.to {
            Some(to) => drafts::restore(files, tip, plan, &to.commit, &restore.reason),
            None => drafts::set_traffic(files, &tip, plan, &restore.traffic, &restore.reason),
        },
    }
}
