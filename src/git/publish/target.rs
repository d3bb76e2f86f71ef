//! Moves a reference of a repository on this machine as a push would, and refuses where only `git` itself could.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use git2::{ErrorClass, ErrorCode, Repository};

use super::{Order, PushError, Pushed};
use crate::git::copy::{self, CopyFailed};
use crate::git::net::Rejection;
use crate::git::{GitError, Location, commit, transport};

/// How long one push may take.
const PUSH_MAX: Duration = Duration::from_secs(60);

/// What git runs for a push; what they would do or refuse must not be left out.
const HOOKS: [&str; 6] =
    ["pre-receive", "update", "proc-receive", "reference-transaction", "post-receive", "post-update"];

/// The repository.
pub(super) struct Target {
    path: PathBuf,
    location: String,
}

impl Target {
    pub(super) fn new(path: &Path, location: &Location) -> Self {
        Self { path: path.to_owned(), location: location.to_string() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Moves the reference under its lock: whatever is refused or fails leaves nothing behind.
    pub(super) fn push(&self, mirror: &Repository, order: &Order) -> Result<Pushed, PushError> {
        let repository = transport::open(&self.path, &self.location)?;
        if repository.is_shallow() {
            return Err(GitError::Shallow { location: self.location.clone() }.into());
        }
        let name = match repository.find_reference(&order.reference).and_then(|found| found.resolve()) {
            Ok(found) => found.name().unwrap_or(&order.reference).to_owned(),
            Err(_) => order.reference.clone(),
        };
        self.fits(&repository, &name)?;
        let mut lock = repository.transaction().map_err(|cause| self.unreadable(cause))?;
        match lock.lock_ref(&name) {
            Ok(()) => {}
            Err(error) if error.code() == ErrorCode::Locked => return Ok(rejected("failed to lock", &error)),
            Err(error) if error.class() == ErrorClass::Os => return Err(self.read_only(error.message())),
            Err(error) => return Ok(rejected("it cannot be written", &error)),
        }
        let stands = match repository.refname_to_id(&name) {
            Ok(stands) => Some(stands),
            Err(error) if error.code() == ErrorCode::NotFound => None,
            Err(cause) => return Err(self.unreadable(cause)),
        };
        if stands != order.onto {
            return Ok(Pushed::Elsewhere);
        }
        copy::objects(mirror, &repository, order.commit, Instant::now() + PUSH_MAX).map_err(|failed| match failed {
            CopyFailed::Reading(cause) => GitError::Mirror(cause).into(),
            CopyFailed::Target(cause) => self.unreadable(cause),
            CopyFailed::Writing(cause) => self.read_only(&cause),
            CopyFailed::Late => {
                GitError::Deadline { location: self.location.clone(), limit_s: PUSH_MAX.as_secs() }.into()
            }
        })?;
        let made = mirror.find_commit(order.commit).map_err(GitError::Mirror)?;
        lock.set_target(&name, order.commit, Some(&made.committer()), "push")
            .map_err(|cause| self.unreadable(cause))?;
        lock.commit().map_err(|cause| self.read_only(cause.message()))?;
        Ok(Pushed::Landed)
    }

    fn unreadable(&self, cause: git2::Error) -> PushError {
        GitError::Source { location: self.location.clone(), cause }.into()
    }

    fn read_only(&self, words: &str) -> PushError {
        PushError::ReadOnlyCredentials { location: self.location.clone(), words: commit::shown(words) }
    }

    /// Errs where git would refuse, or would do what only it can.
    fn fits(&self, repository: &Repository, reference: &str) -> Result<(), PushError> {
        let config = repository.config().and_then(|mut config| config.snapshot());
        let config = config.map_err(|cause| self.unreadable(cause))?;
        let unfit = |what: String, hint| Err(PushError::Unfit { location: self.location.clone(), what, hint });
        let allowed = config.get_string("receive.denycurrentbranch").unwrap_or_default();
        let allowed = ["ignore", "warn", "false"].iter().any(|word| allowed.eq_ignore_ascii_case(word));
        if !allowed && checked_out(repository, reference) {
            return unfit(
                format!("`{reference}` is checked out in a work tree, which would not follow"),
                "push to a bare repository (`git clone --bare`), or check out another branch there",
            );
        }
        let folder = match config.get_path("core.hookspath") {
            Ok(said) => repository.workdir().unwrap_or_else(|| repository.path()).join(said),
            Err(_) => repository.commondir().join("hooks"),
        };
        let runs = |hook: &&&str| {
            fs::metadata(folder.join(hook)).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
        };
        match HOOKS.iter().find(runs) {
            Some(hook) => unfit(
                format!("it has a hook `{hook}`, which only git can run"),
                "reach the repository over SSH or HTTP, where git runs its hooks",
            ),
            None => Ok(()),
        }
    }
}

fn rejected(status: &str, error: &git2::Error) -> Pushed {
    Pushed::Rejected(Rejection { status: status.to_owned(), said: commit::shown(error.message()) })
}

/// Whether the work tree, or one beside it, has the branch checked out.
fn checked_out(repository: &Repository, reference: &str) -> bool {
    let main = (!repository.is_bare()).then(|| repository.commondir().join("HEAD"));
    let others = fs::read_dir(repository.commondir().join("worktrees")).into_iter().flatten().flatten();
    let mut heads = main.into_iter().chain(others.map(|folder| folder.path().join("HEAD")));
    heads.any(|head| {
        fs::read_to_string(head).is_ok_and(|text| text.strip_prefix("ref:").is_some_and(|on| on.trim() == reference))
    })
}
