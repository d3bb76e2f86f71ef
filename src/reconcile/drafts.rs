//! Writes the commits that change one plan: reads its files from the branch, edits them, and says why.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::{
    git::{Changes, Draft, Files, GitError},
    plan::{
        PlanKey, Traffic,
        edit::{self, Change, Conflict, Message, Texts},
    },
};

/// How often a plan is followed from file to file.
const MOVES_MAX: usize = 20;

/// Why no commit was written.
#[derive(Debug, Error)]
pub enum DraftError {
    /// The branch could not be read.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The document cannot be edited so.
    #[error(transparent)]
    Conflict(#[from] Conflict),
}

impl DraftError {
    /// What to do about it, as a sentence for people.
    pub fn hint(&self) -> String {
        match self {
            Self::Git(error) => error.hint(),
            Self::Conflict(conflict) => conflict.hint().to_owned(),
        }
    }
}

/// The plan files of a commit that may hold a plan of this name.
///
/// # Errors
/// [`GitError`] where they cannot be read; one that is too large holds no plan.
pub fn texts(files: &Files<'_>, commit: &str, name: &str) -> Result<Texts, GitError> {
    let mut texts = Texts { commit: commit.get(..10).unwrap_or(commit).to_owned(), files: BTreeMap::new() };
    for path in files.paths(commit)? {
        match files.read(commit, &path) {
            Ok(Some(bytes)) if edit::may_hold(&bytes, name) => drop(texts.files.insert(path, bytes)),
            Ok(_) | Err(GitError::TooLarge { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(texts)
}

/// A commit that puts the plan's document back to its text at the commit `to`, and the trailers that say so; `tip` are
/// the [`texts`] of the tip.
///
/// # Errors
/// [`DraftError`] where that is not possible.
pub fn restore(files: &Files<'_>, mut tip: Texts, plan: &PlanKey, to: &str, reason: &str) -> Result<Draft, DraftError> {
    let then = texts(files, to, &plan.name)?;
    let old = edit::locate(&then, plan)?.map(|old| old.path);
    // The plan may have to go back to a file that does not have it any more.
    if let Some(old) = old.as_ref().filter(|old| !tip.files.contains_key(*old))
        && let Some(bytes) = files.read(files.tip(), old)?
    {
        tip.files.insert(old.clone(), bytes);
    }
    let Some(change) = edit::restore(&tip, &then, plan)? else {
        return Ok(Draft::Nothing { why: format!("the document of {plan} says what it said at {}", then.commit) });
    };
    let path = edit::locate(&tip, plan)?.map(|now| now.path).or(old).unwrap_or_default();
    let message = Message {
        subject: format!("Restore {plan} to {}", then.commit),
        plan: plan.clone(),
        reason: reason.to_owned(),
        restores: Some(to.to_owned()),
        undoes: introduced(files, &tip, plan, &path)?,
    };
    Ok(commit(change, &message))
}

/// A commit that makes the plan ask for this traffic and nothing else; `tip` are the [`texts`] of the tip.
///
/// # Errors
/// [`DraftError`] where that is not possible.
pub fn set_traffic(
    files: &Files<'_>,
    tip: &Texts,
    plan: &PlanKey,
    traffic: &Traffic,
    reason: &str,
) -> Result<Draft, DraftError> {
    let Some(change) = edit::set_traffic(tip, plan, traffic)? else {
        return Ok(Draft::Nothing { why: format!("the document of {plan} asks for {traffic} already") });
    };
    let message = Message {
        subject: format!("Set the traffic of {plan} to {traffic}"),
        plan: plan.clone(),
        reason: reason.to_owned(),
        restores: None,
        undoes: introduced(files, tip, plan, &change.path)?,
    };
    Ok(commit(change, &message))
}

/// A commit of one edited file.
pub fn commit(change: Change, message: &Message) -> Draft {
    let changes = Changes::from([(change.path, Some(change.text.into_bytes()))]);
    Draft::Commit { changes, message: message.to_string() }
}

/// The commit of the branch that made the plan say what it says; `path` is where its document stands, or stood.
fn introduced(files: &Files<'_>, tip: &Texts, plan: &PlanKey, path: &str) -> Result<Option<String>, DraftError> {
    let Some(now) = edit::locate(tip, plan)? else { return removed(files, plan, path) };
    for commit in files.first_parent_commits(path)? {
        let Some(parent) = files.parent(&commit)? else { return Ok(Some(commit)) };
        let mut before = one(files, &parent, path)?;
        // It came from another file, or from none.
        if matches!(edit::locate(&before, plan), Ok(None)) {
            before = texts(files, &parent, &plan.name)?;
        }
        // A document that cannot be read was another one.
        let before = edit::locate(&before, plan).unwrap_or_default();
        if before.is_none_or(|before| before.digest != now.digest) {
            return Ok(Some(commit));
        }
    }
    Ok(None)
}

/// The commit that removed a plan, which stood in the file at `path` once, and in others since.
fn removed(files: &Files<'_>, plan: &PlanKey, path: &str) -> Result<Option<String>, DraftError> {
    let holds =
        |commit: &str, path: &str| Ok::<_, GitError>(edit::locate(&one(files, commit, path)?, plan) != Ok(None));
    let mut path = path.to_owned();
    for _ in 0..MOVES_MAX {
        let mut left = None;
        for commit in files.first_parent_commits(&path)? {
            let Some(parent) = files.parent(&commit)? else { break };
            if !holds(&commit, &path)? && holds(&parent, &path)? {
                left = Some(commit);
                break;
            }
        }
        let Some(commit) = left else { return Ok(None) };
        match edit::locate(&texts(files, &commit, &plan.name)?, plan).unwrap_or_default() {
            Some(moved) => path = moved.path,
            None => return Ok(Some(commit)),
        }
    }
    Ok(None)
}

/// One file of a commit.
fn one(files: &Files<'_>, commit: &str, path: &str) -> Result<Texts, GitError> {
    let bytes = files.read(commit, path)?;
    Ok(Texts { commit: String::new(), files: bytes.into_iter().map(|bytes| (path.to_owned(), bytes)).collect() })
}
