//! Finds the commits that changed a file, along first parents, in one walk for any number of files.

use std::collections::{BTreeMap, BTreeSet};

use git2::{Oid, Repository};

use super::{FileEntry, GitError, commit, tree};

/// The most versions kept of one path.
pub(super) const VERSIONS_MAX: usize = 50;

/// A file as one commit left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileVersion {
    /// The commit on the branch's first-parent line that changed it; a merge counts as one commit.
    pub commit: String,
    /// What it changed it to; none: it removed it.
    pub file: Option<FileEntry>,
}

/// The first-parent line from `tip` down, without what is reachable from `until`, at most `limit` commits.
fn line(repository: &Repository, tip: Oid, until: Option<Oid>, limit: usize) -> Result<Vec<Oid>, GitError> {
    let mut walk = repository.revwalk()?;
    walk.simplify_first_parent()?;
    walk.push(tip)?;
    if let Some(until) = until {
        walk.hide(until)?;
    }
    Ok(walk.take(limit).collect::<Result<_, _>>()?)
}

/// Calls `each` with every commit of the line down from `tip`, oldest first, and the plan files that it changed; the oldest
/// is compared with nothing. Returns whether the line begins there: it does not where `limit` cut it.
pub(super) fn along(
    repository: &Repository,
    folder: &str,
    tip: Oid,
    limit: usize,
    mut each: impl FnMut(&str, BTreeMap<String, Option<FileEntry>>) -> Result<(), GitError>,
) -> Result<bool, GitError> {
    let subtree = |commit: Oid| match tree::folder(repository, commit, folder) {
        Err(GitError::NotAFolder { .. }) => Ok(None),
        other => other,
    };
    let line = line(repository, tip, None, limit)?;
    let begins =
        line.last().map_or(Ok(true), |oldest| repository.find_commit(*oldest).map(|c| c.parent_count() == 0))?;
    let mut before = None;
    for id in line.into_iter().rev() {
        let folder_now = subtree(id)?;
        let now = folder_now.as_ref().map(git2::Tree::id);
        if now != before {
            let old = before.map(|id| repository.find_tree(id)).transpose()?;
            each(&id.to_string(), tree::changes(repository, folder, old, folder_now)?)?;
        }
        before = now;
    }
    Ok(begins)
}

/// For each of `paths`, newest first, the commits from `tip` down to `until` at which it changed.
pub(super) fn introduced(
    repository: &Repository,
    folder: &str,
    paths: &BTreeSet<String>,
    (tip, until): (Oid, Option<Oid>),
    limit: usize,
) -> Result<BTreeMap<String, Vec<FileVersion>>, GitError> {
    let mut found: BTreeMap<String, Vec<FileVersion>> = paths.iter().map(|path| (path.clone(), Vec::new())).collect();
    let subtree = |commit: Oid| match tree::folder(repository, commit, folder) {
        Err(GitError::NotAFolder { .. }) => Ok(None),
        other => other,
    };
    for id in line(repository, tip, until, limit)? {
        let parent = repository.find_commit(id)?.parent_id(0).ok();
        let before = parent.map(subtree).transpose()?.flatten();
        for (path, file) in tree::changes(repository, folder, before, subtree(id)?)? {
            if let Some(versions) = found.get_mut(&path).filter(|versions| versions.len() < VERSIONS_MAX) {
                versions.push(FileVersion { commit: id.to_string(), file });
            }
        }
    }
    Ok(found)
}

/// The sum of what the commits from `tip` down to `from`, merged ones included, allow to be removed.
///
/// Without `from`, only `tip` itself is asked: an allowance of the past is spent.
pub(super) fn allowed_removal(
    repository: &Repository,
    tip: Oid,
    from: Option<Oid>,
    limit: usize,
) -> Result<Option<usize>, GitError> {
    let mut walk = repository.revwalk()?;
    walk.push(tip)?;
    if let Some(from) = from {
        walk.hide(from)?;
    }
    let mut sum: Option<usize> = None;
    for id in walk.take(if from.is_some() { limit } else { 1 }) {
        if let Some(allowed) = commit::allowed_removal(repository.find_commit(id?)?.message_raw_bytes()) {
            sum = Some(sum.unwrap_or(0).saturating_add(allowed));
        }
    }
    Ok(sum)
}
