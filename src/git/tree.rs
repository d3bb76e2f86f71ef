//! Compares two trees by their ids and names the plan files that differ; equal folders are never walked.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use git2::{ErrorCode, ObjectType, Oid, Repository, Tree, TreeEntry};

use super::GitError;

/// How many differing entries one comparison walks; a tree can name the same folder many times over.
const ENTRIES_MAX: usize = 200_000;

/// What an entry of a tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A file.
    Regular,
    /// A file that may be executed.
    Executable,
    /// A symbolic link, never followed.
    Symlink,
    /// A commit of another repository, never fetched.
    Submodule,
}

/// A plan file as a tree names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// The blob's id, 40 hex digits; of a submodule, the commit's.
    pub blob: String,
    /// What it is.
    pub kind: FileKind,
    /// Its size in bytes; 0 for a submodule.
    pub size: u64,
}

/// The plans folder at a commit, or none if the commit has no such folder.
pub(super) fn folder<'r>(repository: &'r Repository, commit: Oid, path: &str) -> Result<Option<Tree<'r>>, GitError> {
    let root = repository.find_commit(commit)?.tree()?;
    if path.is_empty() {
        return Ok(Some(root));
    }
    let entry = match root.get_path(path.as_ref()) {
        Ok(entry) => entry,
        Err(error) if error.code() == ErrorCode::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    match entry.kind() {
        Some(ObjectType::Tree) => Ok(Some(repository.find_tree(entry.id())?)),
        _ => Err(GitError::NotAFolder { path: path.to_owned(), commit: commit.to_string() }),
    }
}

/// The plan files under `path` that differ between two folders, by their path from the root; none: gone.
pub(super) fn changes(
    repository: &Repository,
    path: &str,
    old: Option<Tree<'_>>,
    new: Option<Tree<'_>>,
) -> Result<BTreeMap<String, Option<FileEntry>>, GitError> {
    let id = |tree: Option<Tree<'_>>| tree.map(|tree| tree.id());
    let mut open = vec![(path.to_owned(), id(old), id(new))];
    let mut comparison = Comparison { repository, found: BTreeMap::new(), walked: 0 };
    while let Some((path, old, new)) = open.pop() {
        if old != new {
            comparison.folders(&path, old, new, &mut open)?;
        }
    }
    Ok(comparison.found)
}

type Folders = (String, Option<Oid>, Option<Oid>);

struct Comparison<'r> {
    repository: &'r Repository,
    found: BTreeMap<String, Option<FileEntry>>,
    walked: usize,
}

impl Comparison<'_> {
    /// Walks two folders side by side; Git keeps entries sorted.
    fn folders(
        &mut self,
        path: &str,
        old: Option<Oid>,
        new: Option<Oid>,
        open: &mut Vec<Folders>,
    ) -> Result<(), GitError> {
        let tree = |id: Option<Oid>| id.map(|id| self.repository.find_tree(id)).transpose();
        let (old, new) = (tree(old)?, tree(new)?);
        let mut olds = old.iter().flat_map(Tree::iter).peekable();
        let mut news = new.iter().flat_map(Tree::iter).peekable();
        loop {
            let order = match (olds.peek(), news.peek()) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) => old.cmp(new),
            };
            let old = if order.is_le() { olds.next() } else { None };
            let new = if order.is_ge() { news.next() } else { None };
            self.entry(path, old.as_ref(), new.as_ref(), open)?;
        }
    }

    fn entry(
        &mut self,
        folder: &str,
        old: Option<&TreeEntry<'_>>,
        new: Option<&TreeEntry<'_>>,
        open: &mut Vec<Folders>,
    ) -> Result<(), GitError> {
        let state = |entry: &TreeEntry<'_>| (entry.id(), entry.filemode());
        if old.map(state) == new.map(state) {
            return Ok(());
        }
        self.walked += 1;
        if self.walked > ENTRIES_MAX {
            return Err(GitError::TooManyEntries { limit: ENTRIES_MAX });
        }
        let Some(name) = old.or(new).map(|entry| name(entry.name_bytes())) else { return Ok(()) };
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        let subtree = |entry: Option<&TreeEntry<'_>>| {
            entry.filter(|entry| entry.kind() == Some(ObjectType::Tree)).map(|entry| entry.id())
        };
        let folders = (subtree(old), subtree(new));
        if folders != (None, None) {
            if !name.starts_with('.') {
                open.push((path, folders.0, folders.1));
            }
        } else if is_plan_file(&name) {
            let entry = new.map(|entry| self.file(entry)).transpose()?;
            self.found.insert(path, entry);
        }
        Ok(())
    }

    fn file(&self, entry: &TreeEntry<'_>) -> Result<FileEntry, GitError> {
        let kind = match entry.filemode() {
            0o120000 => FileKind::Symlink,
            0o160000 => FileKind::Submodule,
            0o100755 => FileKind::Executable,
            _ => FileKind::Regular,
        };
        let size = match kind {
            FileKind::Submodule => 0,
            _ => self.repository.odb()?.read_header(entry.id())?.0 as u64,
        };
        Ok(FileEntry { blob: entry.id().to_string(), kind, size })
    }
}

/// The name as text; bytes that are not UTF-8 are escaped, so that two such names stay two.
fn name(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| bytes.escape_ascii().to_string(), str::to_owned)
}

fn is_plan_file(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, end)| end.eq_ignore_ascii_case("yaml") || end.eq_ignore_ascii_case("yml"))
}
