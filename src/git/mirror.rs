//! Keeps a full bare copy of one branch and compares where it stands with what was last handed over.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use git2::{ErrorCode, Oid, Repository};

use crate::failpoint;

use super::judge::{self, Judge};
use super::upkeep::Keep;
use super::{
    Commit, FileEntry, FileVersion, GitError, Operation, Refused, Source, Tip, Transport, commit, history, transport,
    tree,
};

/// How long to wait before the second try when another process may be in the midst of a write.
const MOMENT: Duration = Duration::from_millis(2);

/// How many commits are searched for an allowance to remove plans.
const ALLOWANCE_COMMITS_MAX: usize = 10_000;

/// A bare mirror of one branch, full and never shallow, in a folder that it alone uses.
pub struct Mirror {
    source: Source,
    keep: Keep,
    repository: Repository,
    transport: Box<dyn Transport>,
    judge: Judge,
    /// What was handed over last.
    accepted: Option<Oid>,
    /// What counted last, also for a process before this one.
    baseline: Option<Oid>,
    held: BTreeSet<String>,
    broken: Cell<bool>,
}

/// What a look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// The branch is where it was when last accepted, at this commit.
    Unchanged(String),
    /// The branch is elsewhere.
    Moved(Moved),
    /// The branch is at a commit that does not count.
    Refused(Refused),
    /// The branch was there and is not any more; picked up again as soon as it is back.
    BranchGone,
    /// The repository has no branch at all.
    Empty,
}

/// The difference between what was last accepted and where the branch stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Where the branch stands, 40 hex digits; after a restart with a tip that is refused, what was accepted before.
    pub tip: String,
    /// What was last accepted; none at first.
    pub from: Option<String>,
    /// Whether history was rewritten, by a forced push for example: `tip` does not descend from `from`, or at first
    /// from what an earlier process accepted.
    pub rewritten: bool,
    /// The plan files that differ, by their path from the root; none: gone.
    pub files: BTreeMap<String, Option<FileEntry>>,
    /// How many plans the commits in between say may be removed, by the trailer `Tidegate-Allow-Removal: <n>`.
    pub allow_removal: Option<usize>,
    /// Why `tip` is not where the branch stands: that commit does not count.
    pub refused: Option<Refused>,
}

/// The reference of a mirror that says where a branch was when it was fetched last.
pub(super) fn reference(branch: &str) -> String {
    format!("refs/tidegate/heads/{branch}")
}

/// Whether the mirror in `dir` holds a commit, that is, whether it was ever part of the branch that is followed there.
pub fn holds_commit(dir: &Path, commit: &str) -> bool {
    let held = |repository: Repository| repository.find_commit(Oid::from_str(commit)?).map(|_| ());
    Repository::open_bare(Keep::mirror_in(dir)).and_then(held).is_ok()
}

impl Mirror {
    /// The mirror of `source` in `dir`, without a look at the repository yet.
    ///
    /// Errs if the folder cannot be written or another process uses it; a broken mirror starts anew.
    pub fn open(source: Source, dir: &Path) -> Result<Self, GitError> {
        let transport = transport::transport(&source);
        Self::open_with(source, dir, transport)
    }

    /// The same, reaching the repository through `transport`.
    pub fn open_with(source: Source, dir: &Path, transport: Box<dyn Transport>) -> Result<Self, GitError> {
        let mut keep = Keep::take(dir)?;
        let repository = keep.open()?;
        let (broken, held) = (Cell::new(false), BTreeSet::new());
        let judge = Judge::new(&source.trust);
        let baseline = keep.accepted(&source.branch);
        Ok(Self { source, keep, repository, transport, judge, accepted: None, baseline, held, broken })
    }

    /// The repository that holds it.
    pub(super) fn repository(&self) -> &Repository {
        &self.repository
    }

    /// What is mirrored.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Looks where the branch stands; where it moved, fetches and compares with what was last accepted.
    ///
    /// A tip that did not move costs one reference listing. A mirror that cannot be read is set aside and cloned
    /// anew, once. The difference stays until it is [accepted](Self::accept).
    pub fn look(&mut self) -> Result<Look, GitError> {
        failpoint::pass("git.look.before");
        let look = self.again(Self::try_look);
        failpoint::pass("git.look.after");
        look
    }

    /// Brings the mirror to where the branch stands, whatever counts.
    pub(super) fn arrive(&mut self) -> Result<Tip, GitError> {
        self.again(Self::try_arrive)
    }

    /// Tries it twice where the first error may be gone by then.
    fn again<T>(&mut self, attempt: fn(&mut Self) -> Result<T, GitError>) -> Result<T, GitError> {
        if self.broken.take() {
            self.repository = self.keep.replace()?;
        }
        match attempt(self) {
            Err(error) if error.is_momentary() => {
                std::thread::sleep(MOMENT);
                attempt(self)
            }
            Err(GitError::Mirror(_)) => {
                self.repository = self.keep.replace()?;
                attempt(self)
            }
            other => other,
        }
    }

    fn try_arrive(&mut self) -> Result<Tip, GitError> {
        let stands = self.stands()?;
        let tip = self.transport.tip(&self.repository, stands);
        self.source.meter.count(Operation::Look, &tip);
        match tip? {
            Tip::At(tip) if stands != Some(tip) => self.fetch(tip).map(Tip::At),
            other => Ok(other),
        }
    }

    fn try_look(&mut self) -> Result<Look, GitError> {
        let tip = match self.try_arrive()? {
            Tip::At(tip) => tip,
            Tip::Empty => return Ok(Look::Empty),
            Tip::Gone { branches } => return self.gone(branches),
        };
        let Some(refused) = self.judge.refuses(&self.repository, tip, self.baseline)? else {
            if self.accepted == Some(tip) {
                return Ok(Look::Unchanged(tip.to_string()));
            }
            return self.moved(tip, None).map(Look::Moved);
        };
        match self.baseline.filter(|before| self.accepted.is_none() && *before != tip) {
            Some(before) if self.still_counts(before)? => self.moved(before, Some(refused)).map(Look::Moved),
            _ => Ok(Look::Refused(refused)),
        }
    }

    /// Whether what an earlier process accepted is here and would be accepted again.
    fn still_counts(&mut self, before: Oid) -> Result<bool, GitError> {
        let is_here = self.repository.find_commit(before).is_ok();
        Ok(is_here && self.judge.refuses(&self.repository, before, Some(before))?.is_none())
    }

    fn gone(&self, branches: Vec<String>) -> Result<Look, GitError> {
        if self.accepted.is_some() || self.stands()?.is_some() {
            return Ok(Look::BranchGone);
        }
        let (location, branch) = (self.source.location.to_string(), self.source.branch.clone());
        let alike = |name: &String| strsim::jaro_winkler(name, &branch);
        let near = branches.into_iter().max_by(|a, b| alike(a).total_cmp(&alike(b)));
        Err(GitError::BranchUnknown { location, branch, near })
    }

    fn reference(&self) -> String {
        reference(&self.source.branch)
    }

    /// Where the mirror stands.
    fn stands(&self) -> Result<Option<Oid>, GitError> {
        match self.repository.refname_to_id(&self.reference()) {
            Ok(id) => Ok(Some(id)),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn fetch(&mut self, tip: Oid) -> Result<Oid, GitError> {
        failpoint::pass("git.fetch.before");
        let fetched = self.transport.fetch(&self.repository, tip);
        failpoint::pass("git.fetch.after");
        self.source.meter.count(Operation::Fetch, &fetched);
        let tip = match fetched {
            Ok(tip) => tip,
            Err(error) => {
                // What cannot be removed now is at the next start; why the fetch failed says more.
                let _ = self.keep.sweep();
                return Err(error);
            }
        };
        self.stand(tip)?;
        failpoint::pass("git.reference.after");
        Ok(tip)
    }

    /// Notes that the branch is at a commit that the mirror has with all that it refers to.
    pub(super) fn stand(&self, tip: Oid) -> Result<(), GitError> {
        let noted = self.repository.reference(&self.reference(), tip, true, "fetched");
        noted.map(drop).map_err(|error| GitError::State { dir: self.keep.mirror(), cause: error.message().to_owned() })
    }

    fn moved(&self, tip: Oid, refused: Option<Refused>) -> Result<Moved, GitError> {
        let repository = &self.repository;
        // After a new clone of a rewritten branch, what was accepted may exist nowhere any more.
        let from = self.accepted.filter(|from| repository.find_commit(*from).is_ok());
        let baseline = self.accepted.or(self.baseline);
        let rewritten = baseline.map(|from| judge::rewritten(repository, tip, from)).transpose()?.unwrap_or(false);
        let folder = |commit| tree::folder(repository, commit, &self.source.path);
        let before = from.map(folder).transpose()?.flatten();
        let mut files = tree::changes(repository, &self.source.path, before, folder(tip)?)?;
        if from.is_none() {
            for path in &self.held {
                files.entry(path.clone()).or_insert(None);
            }
        }
        let allow_removal = history::allowed_removal(repository, tip, from, ALLOWANCE_COMMITS_MAX)?;
        let from = self.accepted.map(|from| from.to_string());
        Ok(Moved { tip: tip.to_string(), from, rewritten, files, allow_removal, refused })
    }

    /// Remembers that `moved` was handed over: the next look compares with it.
    pub fn accept(&mut self, moved: &Moved) {
        failpoint::pass("git.accept.before");
        self.accepted = Oid::from_str(&moved.tip).ok();
        if self.baseline != self.accepted {
            self.baseline = self.accepted;
            self.keep.remember(&self.source.branch, &moved.tip);
        }
        for (path, file) in &moved.files {
            if file.is_some() {
                self.held.insert(path.clone());
            } else {
                self.held.remove(path);
            }
        }
    }

    /// Forgets what was handed over: the next look gives every file.
    pub fn reset(&mut self) {
        self.accepted = None;
        self.held.clear();
    }

    /// The bytes of a file, or [`GitError::TooLarge`] without loading it.
    pub fn read(&self, blob: &str, limit: u64) -> Result<Vec<u8>, GitError> {
        self.watched(|| {
            let id = Oid::from_str(blob)?;
            let size = self.repository.odb()?.read_header(id)?.0 as u64;
            if size > limit {
                return Err(GitError::TooLarge { blob: blob.to_owned(), size, limit });
            }
            Ok(self.repository.find_blob(id)?.content().to_vec())
        })
    }

    /// Newest first, the first-parent commits at which `path` changed, from `tip` down to `until` (exclusive), in at
    /// most `limit` commits; at most 50 of them.
    pub fn versions_of(
        &self,
        path: &str,
        tip: &str,
        until: Option<&str>,
        limit: usize,
    ) -> Result<Vec<FileVersion>, GitError> {
        let paths = BTreeSet::from([path.to_owned()]);
        Ok(self.introduced(&paths, tip, until, limit)?.remove(path).unwrap_or_default())
    }

    /// [`versions_of`](Self::versions_of) for any number of paths in one walk.
    pub fn introduced(
        &self,
        paths: &BTreeSet<String>,
        tip: &str,
        until: Option<&str>,
        limit: usize,
    ) -> Result<BTreeMap<String, Vec<FileVersion>>, GitError> {
        let ends = (self.known(tip)?, until.map(|until| self.known(until)).transpose()?);
        self.watched(|| history::introduced(&self.repository, &self.source.path, paths, ends, limit))
    }

    /// Calls `each` with the first-parent commits down from `tip` that changed plan files, and these, oldest first; the oldest
    /// of `limit` commits with all files that it has. Returns whether that one is the first of the branch.
    pub fn along(
        &self,
        tip: &str,
        limit: usize,
        each: impl FnMut(&str, BTreeMap<String, Option<FileEntry>>) -> Result<(), GitError>,
    ) -> Result<bool, GitError> {
        let tip = self.known(tip)?;
        self.watched(|| history::along(&self.repository, &self.source.path, tip, limit, each))
    }

    /// A commit's message as it stands, not safe to show, or [`GitError::Unknown`].
    pub fn message(&self, id: &str) -> Result<String, GitError> {
        let id = self.known(id)?;
        self.watched(|| Ok(String::from_utf8_lossy(self.repository.find_commit(id)?.message_raw_bytes()).into_owned()))
    }

    /// [`introduced`](Self::introduced) for what a look found, down to what was accepted before.
    pub(super) fn history_of(
        &self,
        moved: &Moved,
        limit: usize,
    ) -> Result<BTreeMap<String, Vec<FileVersion>>, GitError> {
        let until = moved.from.as_deref().filter(|_| !moved.rewritten);
        let parent = || self.repository.find_commit(Oid::from_str(&moved.tip).ok()?).ok()?.parent_id(0).ok();
        if until.is_none() || until != parent().map(|parent| parent.to_string()).as_deref() {
            let paths = moved.files.keys().cloned().collect();
            return self.introduced(&paths, &moved.tip, until, limit);
        }
        // One commit: what it changed was compared already.
        let version = |file: &Option<FileEntry>| vec![FileVersion { commit: moved.tip.clone(), file: file.clone() }];
        Ok(moved.files.iter().map(|(path, file)| (path.clone(), version(file))).collect())
    }

    /// What a commit says about itself, or [`GitError::Unknown`].
    pub fn commit(&self, id: &str) -> Result<Commit, GitError> {
        let id = self.known(id)?;
        self.watched(|| commit::read(&self.repository, id))
    }

    /// The id of a commit of the mirror; any other text is the caller's, and no sign of a broken mirror.
    fn known(&self, id: &str) -> Result<Oid, GitError> {
        let commit = Oid::from_str(id).and_then(|id| self.repository.find_commit(id));
        commit.map(|commit| commit.id()).map_err(|_| GitError::Unknown { id: id.to_owned() })
    }

    /// Makes one pack of many, now and then; for moments when nobody waits.
    pub fn tidy(&mut self) -> Result<(), GitError> {
        self.tidy_with(self.baseline)
    }

    /// The same, keeping what is reachable from another commit, too.
    pub(super) fn tidy_with(&mut self, also: Option<Oid>) -> Result<(), GitError> {
        let is_there = |root: &Oid| self.repository.find_commit(*root).is_ok();
        let Some(tip) = self.stands()?.filter(is_there) else { return Ok(()) };
        let also = also.filter(is_there);
        if let Some(repository) = self.keep.pack(&self.repository, tip, also)? {
            self.repository = repository;
        }
        Ok(())
    }

    /// An object that cannot be read makes the next look clone anew.
    fn watched<T>(&self, read: impl FnOnce() -> Result<T, GitError>) -> Result<T, GitError> {
        read().inspect_err(|error| {
            if matches!(error, GitError::Mirror(_)) {
                self.broken.set(true);
            }
        })
    }
}
