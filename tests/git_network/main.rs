//! Repositories over HTTP, HTTPS and SSH, served by the real programs.
// Helpers outside `#[test]` functions may panic as tests do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../cli/bed.rs"]
#[allow(dead_code, reason = "each test binary uses its part of the test bed")]
mod bed;
mod child;
mod http;
#[path = "../support/process.rs"]
mod process;
mod run;
mod ssh;
#[path = "../support/mod.rs"]
mod support;
mod tls;

use std::path::{Path, PathBuf};
use std::time::Duration;

use support::repository::{self, Repository};
use tidegate::git::{Access, Fault, GitError, Look, Mirror, Source, SourceError};

/// Access that starts the real program as child.
fn access() -> Access {
    Access { program: Some(env!("CARGO_BIN_EXE_tidegate").into()), ..Access::default() }
}

fn source(url: &str, access: Access) -> Result<Source, SourceError> {
    Source::with_access(url, "main", "plans", Duration::from_secs(60), access)
}

fn mirror(repository: &Repository, url: &str, access: Access) -> Mirror {
    let state = tempfile::Builder::new().prefix("state-").tempdir_in(repository.home()).unwrap().keep();
    Mirror::open(source(url, access).unwrap(), &state).unwrap()
}

/// Looks, accepts what moved and returns its tip.
fn moved(mirror: &mut Mirror) -> String {
    match mirror.look() {
        Ok(Look::Moved(moved)) => {
            mirror.accept(&moved);
            moved.tip
        }
        other => panic!("the branch did not move: {other:?}"),
    }
}

/// What a look fails by.
fn fault(mirror: &mut Mirror) -> Fault {
    match mirror.look() {
        Err(GitError::Network { fault, .. }) => *fault,
        other => panic!("no fault: {other:?}"),
    }
}

/// A repository with one plan, and a bare one beside it that is pushed to.
fn plans() -> (Repository, PathBuf) {
    let repository = Repository::with(&[("plans/web.yaml", "1")]);
    let bare = repository.bare();
    (repository, bare)
}

/// Commits a change and pushes it.
fn push(repository: &Repository, text: &str) -> String {
    let tip = repository.commit("Change", &[("plans/web.yaml", text)]);
    repository.push(false);
    tip
}

fn root(bare: &Path) -> &Path {
    bare.parent().unwrap()
}

/// The files below `folder` whose names hold `part`.
fn files(folder: &Path, part: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path(), part));
        } else if entry.file_name().to_string_lossy().contains(part) {
            found.push(entry.path());
        }
    }
    found
}
