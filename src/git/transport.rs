//! Reaches a repository: where its branch stands, and the objects that the mirror lacks.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use git2::{ErrorCode, Oid, Repository};

use super::copy::{self, CopyFailed};
use super::net::Remote;
use super::{GitError, Location, Source, mirror};

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

/// What is followed of a repository.
#[derive(Clone)]
pub(super) struct Reference {
    /// Its full name there.
    pub(super) theirs: String,
    /// Its full name in the mirror.
    pub(super) kept: String,
}

impl Reference {
    /// A branch.
    pub(super) fn branch(name: &str) -> Self {
        Self { theirs: format!("refs/heads/{name}"), kept: mirror::reference(name) }
    }
}

/// The transport that a source's location asks for.
pub(super) fn transport(source: &Source) -> Box<dyn Transport> {
    match &source.location {
        Location::Local(path) => Box::new(Local::new(source, path)),
        Location::Network(place) => Box::new(Remote::new(place, &source.access, Reference::branch(&source.branch))),
    }
}

/// A repository on this machine.
///
/// It copies objects itself: libgit2's local transport packs every branch of the repository at every fetch.
pub struct Local {
    path: PathBuf,
    reference: String,
    location: String,
}

impl Local {
    /// The repository of a source whose location is `path`.
    pub fn new(source: &Source, path: &Path) -> Self {
        Self::at(source, path, Reference::branch(&source.branch))
    }

    /// The same by another of its references.
    pub(super) fn at(source: &Source, path: &Path, reference: Reference) -> Self {
        Self { path: path.to_owned(), reference: reference.theirs, location: source.location.to_string() }
    }

    /// Opened at every look, so that a repository that was replaced is the one that is read.
    fn open(&self) -> Result<Repository, GitError> {
        open(&self.path, &self.location)
    }

    fn unreadable(&self, cause: git2::Error) -> GitError {
        GitError::Source { location: self.location.clone(), cause }
    }

    fn late(&self) -> GitError {
        GitError::Deadline { location: self.location.clone(), limit_s: FETCH_MAX.as_secs() }
    }
}

impl Transport for Local {
    fn tip(&mut self, _mirror: &Repository, _stands: Option<Oid>) -> Result<Tip, GitError> {
        let repository = self.open()?;
        match repository.find_reference(&self.reference) {
            Ok(reference) => {
                let reference = reference.resolve().map_err(|cause| self.unreadable(cause))?;
                let none = || self.unreadable(git2::Error::from_str("the reference names no commit"));
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
        let source = self.open()?;
        if source.is_shallow() {
            return Err(GitError::Shallow { location: self.location.clone() });
        }
        copy::objects(&source, mirror, tip, Instant::now() + FETCH_MAX).map_err(|failed| match failed {
            CopyFailed::Reading(cause) => self.unreadable(cause),
            CopyFailed::Target(cause) => GitError::Mirror(cause),
            CopyFailed::Writing(cause) => GitError::State { dir: mirror.path().to_path_buf(), cause },
            CopyFailed::Late => self.late(),
        })?;
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
