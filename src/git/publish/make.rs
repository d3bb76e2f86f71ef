//! Makes commits without a work tree: trees from changed paths or from a revert, messages, signatures.

use std::fmt::Write;

use git2::build::TreeUpdateBuilder;
use git2::{ErrorCode, FileMode, IndexConflict, MergeFileOptions, Oid, Repository};
use jiff::Timestamp;

use super::{Author, Changes, PushError, SigningKey, UNDOES};
use crate::git::{GitError, commit};

/// The longest message, in bytes.
const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// Who makes commits, and what signs them.
pub(super) struct Maker {
    author: Author,
    key: Option<SigningKey>,
}

/// What reverting a commit comes to.
pub(super) struct Reverted {
    pub(super) tree: Oid,
    pub(super) message: String,
    /// Why a person has to look at it, if so: the tree then has conflict marks.
    pub(super) conflict: Option<String>,
}

impl Maker {
    pub(super) fn new(author: Author, key: Option<SigningKey>) -> Self {
        Self { author, key }
    }

    /// The tree of a commit with changed files. A file that was there keeps its mode.
    pub(super) fn tree(&self, repository: &Repository, onto: Oid, changes: &Changes) -> Result<Oid, PushError> {
        let base = repository.find_commit(onto).and_then(|commit| commit.tree()).map_err(GitError::Mirror)?;
        let mut update = TreeUpdateBuilder::new();
        for (path, bytes) in changes {
            if !is_path(path) {
                return Err(odd(format!("`{}` is no path in a repository", commit::shown(path))));
            }
            let mode = match base.get_path(path.as_ref()) {
                Ok(entry) => Some(entry.filemode()),
                Err(error) if error.code() == ErrorCode::NotFound => None,
                Err(error) => return Err(GitError::Mirror(error).into()),
            };
            match (bytes, mode) {
                (Some(bytes), mode) => {
                    let blob = repository.blob(bytes).map_err(|error| self.unwritten(repository, &error))?;
                    let executable = mode == Some(i32::from(FileMode::BlobExecutable));
                    update.upsert(
                        path.as_str(),
                        blob,
                        if executable { FileMode::BlobExecutable } else { FileMode::Blob },
                    );
                }
                (None, Some(_)) => {
                    update.remove(path.as_str());
                }
                (None, None) => {}
            }
        }
        update.create_updated(repository, &base).map_err(|error| odd(commit::shown(error.message())))
    }

    /// Writes a commit of a tree into the repository; no reference moves.
    pub(super) fn commit(
        &self,
        repository: &Repository,
        onto: Option<Oid>,
        tree: Oid,
        message: &str,
    ) -> Result<Oid, PushError> {
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(odd(format!("its message is longer than {MESSAGE_BYTES_MAX} bytes")));
        }
        let message = git2::message_prettify(message.replace('\0', ""), None);
        let message = message.map_err(|error| odd(commit::shown(error.message())))?;
        let unreadable = |cause| PushError::from(GitError::Mirror(cause));
        let by = self.author.at(Timestamp::now()).map_err(unreadable)?;
        let tree = repository.find_tree(tree).map_err(unreadable)?;
        let parent = onto.map(|onto| repository.find_commit(onto)).transpose().map_err(unreadable)?;
        let parents: Vec<_> = parent.iter().collect();
        let unwritten = |error| self.unwritten(repository, &error);
        let Some(key) = &self.key else {
            return repository.commit(None, &by, &by, &message, &tree, &parents).map_err(unwritten);
        };
        let buffer = repository.commit_create_buffer(&by, &by, &message, &tree, &parents).map_err(unwritten)?;
        let text = std::str::from_utf8(&buffer).map_err(|error| odd(error.to_string()))?;
        repository.commit_signed(text, key.sign(text)?.trim_end(), None).map_err(unwritten)
    }

    fn unwritten(&self, repository: &Repository, error: &git2::Error) -> PushError {
        GitError::State { dir: repository.path().to_owned(), cause: error.message().to_owned() }.into()
    }
}

fn odd(cause: String) -> PushError {
    PushError::Commit { cause }
}

/// Whether it leads to a file inside the repository.
fn is_path(path: &str) -> bool {
    let is_name = |name: &str| !["", ".", ".."].contains(&name) && !name.eq_ignore_ascii_case(".git");
    !path.contains(['\0', '\\']) && path.split('/').all(is_name)
}

/// Reverts a commit on top of `tip` as `git revert` does; of a merge, what it brought to its first parent.
pub(super) fn revert(
    repository: &Repository,
    tip: Oid,
    id: &str,
    trailers: &[(String, String)],
) -> Result<Reverted, PushError> {
    let unknown = |_| GitError::Unknown { id: commit::shown(id) };
    let undone = Oid::from_str(id).and_then(|id| repository.find_commit(id)).map_err(unknown)?;
    let unreadable = |cause| PushError::from(GitError::Mirror(cause));
    let ours = repository.find_commit(tip).map_err(unreadable)?;
    let mainline = u32::from(undone.parent_count() > 1);
    let mut index = repository.revert_commit(&undone, &ours, mainline, None).map_err(unreadable)?;
    let mut conflicts = Vec::new();
    if index.has_conflicts() {
        let found: Vec<IndexConflict> = index.conflicts().and_then(Iterator::collect).map_err(unreadable)?;
        for conflict in found {
            let path = marked(repository, &mut index, &conflict).map_err(unreadable)?;
            conflicts.push(commit::shown(&path));
        }
    }
    let tree = index.write_tree_to(repository).map_err(unreadable)?;
    let subject = String::from_utf8_lossy(undone.summary_bytes().unwrap_or_default()).into_owned();
    let mut message = format!("Revert \"{subject}\"\n\nThis reverts commit {}", undone.id());
    if let Some(parent) = undone.parent_ids().next().filter(|_| mainline > 0) {
        // Writing to a string cannot fail.
        let _ = write!(message, ", reversing\nchanges made to {parent}");
    }
    message += ".\n\n";
    for (name, value) in trailers.iter().chain([&(UNDOES.to_owned(), undone.id().to_string())]) {
        let _ = writeln!(message, "{name}: {}", value.replace(['\n', '\r'], " "));
    }
    let conflict = (!conflicts.is_empty())
        .then(|| format!("reverting {} conflicts with later commits in {}", undone.id(), conflicts.join(", ")));
    Ok(Reverted { tree, message, conflict })
}

/// Puts both sides of a conflict into its file, between marks, and returns the path; where one side has no file, ours
/// stays as it is.
fn marked(repository: &Repository, index: &mut git2::Index, conflict: &IndexConflict) -> Result<String, git2::Error> {
    let IndexConflict { ancestor, our, their } = conflict;
    let Some(side) = our.as_ref().or(their.as_ref()).or(ancestor.as_ref()) else { return Ok(String::new()) };
    let path = String::from_utf8_lossy(&side.path).into_owned();
    let mut kept = our.as_ref().map(copied);
    if let (Some(ancestor), Some(our), Some(their)) = (ancestor, our, their) {
        let merged = repository.merge_file_from_index(ancestor, our, their, Some(&mut MergeFileOptions::new()));
        // Two sides of what is no text have no middle: ours stays.
        if let Ok(merged) = merged {
            let mut entry = copied(our);
            entry.id = repository.blob(merged.content())?;
            kept = Some(entry);
        }
    }
    index.conflict_remove(std::path::Path::new(&path))?;
    if let Some(mut entry) = kept {
        // The stage, which is what makes it a conflict.
        entry.flags &= !0x3000;
        index.add(&entry)?;
    }
    Ok(path)
}

fn copied(entry: &git2::IndexEntry) -> git2::IndexEntry {
    git2::IndexEntry { path: entry.path.clone(), ..*entry }
}
