//! The git room against real repositories made by the `git` command line.
// Helpers outside `#[test]` functions may panic as tests do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod faults;
mod follow;
mod history;
mod looks;
mod rewritten;
mod signed;
#[path = "../support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::time::Duration;

use support::repository::Repository;
use tidegate::git::{Content, Look, Mirror, Moved, Source};

const NONE: &[(&str, &str)] = &[];

fn source(location: &str, path: &str) -> Source {
    Source::new(location, "main", path, Duration::from_secs(60)).unwrap()
}

fn state(repository: &Repository) -> PathBuf {
    repository.home().join("state")
}

fn mirror(repository: &Repository, path: &str) -> Mirror {
    Mirror::open(source(&repository.location(), path), &state(repository)).unwrap()
}

fn moved(mirror: &mut Mirror) -> Moved {
    match mirror.look().unwrap() {
        Look::Moved(moved) => moved,
        other => panic!("the branch did not move: {other:?}"),
    }
}

/// Looks, accepts what moved and returns it.
fn accepted(mirror: &mut Mirror) -> Moved {
    let moved = moved(mirror);
    mirror.accept(&moved);
    moved
}

fn paths(moved: &Moved) -> Vec<(&str, bool)> {
    moved.files.iter().map(|(path, file)| (path.as_str(), file.is_some())).collect()
}

fn bytes(content: Option<&Content>) -> &[u8] {
    match content {
        Some(Content::Bytes(bytes)) => bytes,
        other => panic!("not read: {other:?}"),
    }
}
