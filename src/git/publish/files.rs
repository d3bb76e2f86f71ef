//! What a draft may read: the files of the tip and of the commits below it.

use std::collections::{BTreeMap, BTreeSet};

use git2::{ErrorCode, ObjectType, Oid, Repository};

use crate::git::snapshot::FILE_BYTES_MAX;
use crate::git::{Commit, FileKind, GitError, commit, history, tree};

/// How many commits are walked back for the history of a file.
const COMMITS_MAX: usize = 10_000;

/// The fewest digits that name a commit.
const DIGITS_MIN: usize = 4;

/// The branch as its mirror has it.
pub struct Files<'a> {
    repository: &'a Repository,
    tip: Oid,
    id: String,
    folder: &'a str,
}

impl<'a> Files<'a> {
    pub(super) fn new(repository: &'a Repository, tip: Oid, folder: &'a str) -> Self {
        Self { repository, tip, id: tip.to_string(), folder }
    }

    /// The commit that the branch stands at, 40 hex digits.
    pub fn tip(&self) -> &str {
        &self.id
    }

    /// The plan files of a commit by their path from the root.
    pub fn paths(&self, commit: &str) -> Result<Vec<String>, GitError> {
        let folder = match tree::folder(self.repository, self.known(commit)?, self.folder) {
            Err(GitError::NotAFolder { .. }) => None,
            other => other?,
        };
        let files = tree::changes(self.repository, self.folder, None, folder)?;
        let is_file = |kind: FileKind| matches!(kind, FileKind::Regular | FileKind::Executable);
        let kept = files.into_iter().filter(|(_, file)| file.as_ref().is_some_and(|file| is_file(file.kind)));
        Ok(kept.map(|(path, _)| path).collect())
    }

    /// The bytes of a file of a commit; none where there is no such file. Errs where it is larger than a plan file.
    pub fn read(&self, commit: &str, path: &str) -> Result<Option<Vec<u8>>, GitError> {
        let root = self.repository.find_commit(self.known(commit)?)?.tree()?;
        let entry = match root.get_path(path.as_ref()) {
            Ok(entry) => entry,
            Err(error) if error.code() == ErrorCode::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if entry.kind() != Some(ObjectType::Blob) || entry.filemode() == 0o120_000 {
            return Ok(None);
        }
        let size = self.repository.odb()?.read_header(entry.id())?.0 as u64;
        if size > FILE_BYTES_MAX {
            return Err(GitError::TooLarge { blob: entry.id().to_string(), size, limit: FILE_BYTES_MAX });
        }
        Ok(Some(self.repository.find_blob(entry.id())?.content().to_vec()))
    }

    /// Newest first, the first-parent commits of the branch at which a plan file changed: at most 50, among the last
    /// 10,000.
    pub fn first_parent_commits(&self, path: &str) -> Result<Vec<String>, GitError> {
        let paths = BTreeSet::from([path.to_owned()]);
        let mut found: BTreeMap<_, _> =
            history::introduced(self.repository, self.folder, &paths, (self.tip, None), COMMITS_MAX)?;
        Ok(found.remove(path).unwrap_or_default().into_iter().map(|version| version.commit).collect())
    }

    /// The first parent of a commit, 40 hex digits; the first commit has none.
    pub fn parent(&self, commit: &str) -> Result<Option<String>, GitError> {
        let commit = self.repository.find_commit(self.known(commit)?)?;
        Ok(commit.parent_ids().next().map(|parent| parent.to_string()))
    }

    /// What a commit says about itself.
    pub fn commit(&self, id: &str) -> Result<Commit, GitError> {
        commit::read(self.repository, self.known(id)?)
    }

    /// The last value of a trailer of a commit's message, made safe to show.
    pub fn trailer(&self, id: &str, name: &str) -> Result<Option<String>, GitError> {
        let commit = self.repository.find_commit(self.known(id)?)?;
        Ok(commit::trailer(&String::from_utf8_lossy(commit.message_raw_bytes()), name))
    }

    /// The commit of the branch, 40 hex digits, that a person names by its first digits; errs where none or several
    /// begin with them, and on one that is not in the branch.
    pub fn find(&self, digits: &str) -> Result<String, GitError> {
        let unknown = || GitError::Unknown { id: commit::shown(digits) };
        let digits = digits.rsplit(':').next().unwrap_or_default();
        if digits.len() < DIGITS_MIN || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(unknown());
        }
        let found = self.repository.find_commit_by_prefix(digits).map_err(|_| unknown())?.id();
        if found != self.tip && !self.repository.graph_descendant_of(self.tip, found)? {
            return Err(unknown());
        }
        Ok(found.to_string())
    }

    fn known(&self, id: &str) -> Result<Oid, GitError> {
        let commit = Oid::from_str(id).and_then(|id| self.repository.find_commit(id));
        commit.map(|commit| commit.id()).map_err(|_| GitError::Unknown { id: commit::shown(id) })
    }
}
