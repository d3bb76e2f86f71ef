//! Repositories over HTTP, HTTPS and SSH, served by the real programs.
// Helpers outside `#[test]` functions may panic as tests do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod http;
#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use support::repository::Repository;
use tidegate::git::{Access, Look, Mirror, Source, SourceError};

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
