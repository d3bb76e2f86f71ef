//! Reaches a repository: where its branch stands, and the objects that the mirror lacks.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use git2::{ErrorCode, ObjectType, Odb, OdbLookupFlags, Oid, Repository};

use super::net::Remote;
use super::{GitError, Location, Source};

/// How long one fetch may take.
const FETCH_MAX: Duration = Duration::from_secs(120);

/// Where a branch stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tip {
    /// At this commit.
    At(Oid),
    /// Not there, though others are.
    Gone {
        /// The branches that are there.
        branches: Vec<String>,
    },
    /// The repository has no branch at all.
    Empty,
}

/// The only part that knows how a repository is reached.
pub trait Transport: Send {
    /// Where the branch stands now, at the cost of one reference listing and no object.
    /// `stands` is where `mirror` has it: one that stands there, too, needs no fetch.
    fn tip(&mut self, mirror: &Repository, stands: Option<Oid>) -> Result<Tip, GitError>;

    /// Brings all that is reachable from `tip`, or from where the branch has moved meanwhile, into `mirror`, and
    /// returns that commit. All or nothing: an object that is in the mirror has all that it refers to.
    fn fetch(&mut self, mirror: &Repository, tip: Oid) -> Result<Oid, GitError>;
}

/// The transport that a source's location asks for.
pub(super) fn transport(source: &Source) -> Box<dyn Transport> {
    match &source.location {
        Location::Local(path) => Box::new(Local::new(source, path)),
        Location::Network(place) => Box::new(Remote::new(source, place)),
    }
}

/// A repository on this machine.
///
/// It copies objects itself: libgit2's local transport packs every branch of the repository at every fetch.
pub struct Local {
    path: PathBuf,
    branch: String,
    location: String,
}

impl Local {
    /// The repository of a source whose location is `path`.
    pub fn new(source: &Source, path: &Path) -> Self {
        Self { path: path.to_owned(), branch: source.branch.clone(), location: source.location.to_string() }
    }

    /// Opened at every look, so that a repository that was replaced is the one that is read.
    fn open(&self) -> Result<Repository, GitError> {
        open(&self.path, &self.location)
    }

    fn unreadable(&self, cause: git2::Error) -> GitError {
        GitError::Source { location: self.location.clone(), cause }
    }

    fn missing(&self, source: &Repository, mirror: &Odb<'_>, tip: Oid, end: Instant) -> Result<Vec<Oid>, GitError> {
        let mut missing = Vec::new();
        let mut seen = HashSet::new();
        let mut open = vec![(tip, ObjectType::Commit)];
        while let Some((id, kind)) = open.pop() {
            if !seen.insert(id) || mirror.exists_ext(id, OdbLookupFlags::NO_REFRESH) {
                continue;
            }
            if Instant::now() > end {
                return Err(self.late());
            }
            missing.push(id);
            self.expand(source, id, kind, &mut open).map_err(|cause| self.unreadable(cause))?;
        }
        Ok(missing)
    }

    fn expand(
        &self,
        source: &Repository,
        id: Oid,
        kind: ObjectType,
        open: &mut Vec<(Oid, ObjectType)>,
    ) -> Result<(), git2::Error> {
        match kind {
            ObjectType::Commit => {
                let commit = source.find_commit(id)?;
                open.push((commit.tree_id(), ObjectType::Tree));
                open.extend(commit.parent_ids().map(|parent| (parent, ObjectType::Commit)));
            }
            ObjectType::Tree => {
                let tree = source.find_tree(id)?;
                let kept = tree.iter().filter_map(|entry| match entry.kind() {
                    Some(kind @ (ObjectType::Tree | ObjectType::Blob)) => Some((entry.id(), kind)),
                    _ => None,
                });
                open.extend(kept);
            }
            _ => {}
        }
        Ok(())
    }

    fn late(&self) -> GitError {
        GitError::Deadline { location: self.location.clone(), limit_s: FETCH_MAX.as_secs() }
    }
}

impl Transport for Local {
    fn tip(&mut self, _mirror: &Repository, _stands: Option<Oid>) -> Result<Tip, GitError> {
        let repository = self.open()?;
        match repository.find_reference(&format!("refs/heads/{}", self.branch)) {
            Ok(reference) => {
                let reference = reference.resolve().map_err(|cause| self.unreadable(cause))?;
                let none = || self.unreadable(git2::Error::from_str("the branch names no commit"));
                return reference.target().map(Tip::At).ok_or_else(none);
            }
            Err(error) if error.code() == ErrorCode::NotFound => {}
            Err(cause) => return Err(self.unreadable(cause)),
        }
        let references = repository.references_glob("refs/heads/*").map_err(|cause| self.unreadable(cause))?;
        let branches: Vec<String> = references
            .filter_map(|reference| Some(reference.ok()?.name().ok()?.strip_prefix("refs/heads/")?.to_owned()))
            .collect();
        Ok(if branches.is_empty() { Tip::Empty } else { Tip::Gone { branches } })
    }

    fn fetch(&mut self, mirror: &Repository, tip: Oid) -> Result<Oid, GitError> {
        let end = Instant::now() + FETCH_MAX;
        let source = self.open()?;
        if source.is_shallow() {
            return Err(GitError::Shallow { location: self.location.clone() });
        }
        let odb = mirror.odb()?;
        let missing = self.missing(&source, &odb, tip, end)?;
        if missing.is_empty() {
            return Ok(tip);
        }
        let mut pack = source.packbuilder().map_err(|cause| self.unreadable(cause))?;
        pack.set_threads(1);
        for id in missing {
            pack.insert_object(id, None).map_err(|cause| self.unreadable(cause))?;
        }
        let full = |cause: String| GitError::State { dir: mirror.path().to_path_buf(), cause };
        let mut writer = odb.packwriter()?;
        let mut failed = None;
        let copied = pack.foreach(|bytes| {
            failed = std::io::Write::write_all(&mut writer, bytes).err();
            failed.is_none() && Instant::now() < end
        });
        match (copied, failed) {
            (_, Some(cause)) => return Err(full(cause.to_string())),
            (Err(_), None) if Instant::now() >= end => return Err(self.late()),
            (Err(cause), None) => return Err(self.unreadable(cause)),
            (Ok(()), None) => {}
        }
        writer.commit().map_err(|cause| full(cause.message().to_owned()))?;
        Ok(tip)
    }
}

/// Opens a repository on this machine, with typed reasons why not.
pub(super) fn open(path: &Path, location: &str) -> Result<Repository, GitError> {
    Repository::open(path).map_err(|cause| {
        let location = location.to_owned();
        // libgit2 answers "not found" for a folder that it may not enter.
        let denied = std::fs::read_dir(path)
            .and_then(|_| std::fs::metadata(path.join("refs")).map(drop))
            .is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied);
        match cause.code() {
            ErrorCode::Owner => GitError::Owner { location },
            _ if denied => GitError::Permission { location },
            ErrorCode::NotFound => GitError::NotARepository { location },
            _ => GitError::Source { location, cause },
        }
    })
}
