//! Writes one plan's document for the tip and pushes that: what a restore's commit changes, or that a person has to merge.

use crate::{
    git::{Changes, Draft, Files, PublishError, Published, Publisher},
    plan::edit::{self, Conflict, Message, PLAN_TRAILER, UNDOES_TRAILER},
};

use super::{
    super::{
        RestoreOrder,
        committer::Trouble,
        drafts::{self, DraftError},
    },
    Ended,
};

/// Carries an order out.
pub(in super::super) fn commit(publisher: Result<&mut Publisher, Trouble>, order: &RestoreOrder) -> Ended {
    let published = match publisher {
        Ok(publisher) => publisher.publish(&mut |files: &Files<'_>| draft(files, order)),
        Err(trouble) => return trouble.into(),
    };
    match published {
        Ok(Published::Landed { commit, .. }) => Ended::Landed { commit },
        Ok(Published::Nothing { why }) => Ended::Nothing { why },
        Ok(Published::Branch { name, why }) => Ended::Branch { name, why },
        Err(PublishError::Draft(error)) => Ended::Failed { error: format!("{error}; {}", error.hint()) },
        Err(PublishError::Push(error)) => Trouble::from(error).into(),
    }
}

impl From<Trouble> for Ended {
    fn from(trouble: Trouble) -> Self {
        let Trouble { words, refused, least_s } = trouble;
        if refused { Self::Refused { words } } else { Self::Unreachable { error: words, least_s } }
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
        Some(stands) => match (landed(files, order, &stands.path)?, &restore.to) {
            (Some(commit), _) => nothing(format!(
                "commit {} did it, and the branch holds that document again since: that is a person's word",
                commit.get(..10).unwrap_or(&commit)
            )),
            (None, Some(to)) => drafts::restore(files, tip, plan, &to.commit, &restore.reason),
            (None, None) => drafts::set_traffic(files, &tip, plan, &restore.traffic, &restore.reason),
        },
    }
}

/// The commit that has undone the same for this plan before, perhaps of a process that died before it was noted.
fn landed(files: &Files<'_>, order: &RestoreOrder, path: &str) -> Result<Option<String>, DraftError> {
    let (plan, undoes) = (order.owner.plan.to_string(), &order.restore.undoes.commit);
    let says = |commit: &str, name: &str, value: &str| {
        Ok::<_, DraftError>(files.trailer(commit, name)?.as_deref() == Some(value))
    };
    for commit in files.first_parent_commits(path)?.into_iter().take_while(|commit| commit != undoes) {
        if says(&commit, UNDOES_TRAILER, undoes)? && says(&commit, PLAN_TRAILER, &plan)? {
            return Ok(Some(commit));
        }
    }
    Ok(None)
}
