//! Reads a scenario's history and makes its commits.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidegate::plan::{Document, Plan, parse_file};

use crate::support::repository::Repository;

/// One commit of a history.
pub struct Commit {
    /// The file's name without its ending, such as `03-walk-to-v2`.
    pub label: String,
    /// What `plans/<scenario>.yaml` holds after it.
    pub text: String,
}

impl Commit {
    /// The text with holds that a test can wait for.
    pub fn hasty(&self) -> String {
        self.text.replace("hold: 10m", "hold: 1s")
    }

    /// The plans as they are committed.
    pub fn plans(&self) -> Vec<Arc<Plan>> {
        let documents = parse_file(&self.label, self.hasty().as_bytes()).documents;
        let plan = |(document, _)| match document {
            Document::Plan(plan) => Some(plan),
            Document::Object(_) => None,
        };
        documents.into_iter().filter_map(plan).collect()
    }
}

/// The folder of the project.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The commits of a scenario in order.
pub fn commits(scenario: &str) -> Vec<Commit> {
    let folder = root().join("tests/histories").join(scenario);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let commit = |path: PathBuf| Commit {
        label: path.file_stem().unwrap().to_str().unwrap().to_owned(),
        text: std::fs::read_to_string(path).unwrap(),
    };
    paths.into_iter().map(commit).collect()
}

/// Commits the file, with `git revert` where its text is that of an earlier commit; returns the commit's id.
pub fn make(repository: &Repository, scenario: &str, commits: &[Commit], ids: &[String]) -> String {
    let (commit, path) = (&commits[ids.len()], format!("plans/{scenario}.yaml"));
    let Some(former) = commits[..ids.len()].iter().position(|former| former.text == commit.text) else {
        return repository.commit(&commit.label, &[(path, commit.hasty())]);
    };
    repository.git(&["revert", "--no-commit", &format!("{}..HEAD", ids[former])]);
    repository.git(&["commit", "--quiet", "-m", &commit.label]);
    let reverted = std::fs::read_to_string(repository.path().join(path)).unwrap();
    assert_eq!(reverted, commit.hasty(), "{}: git revert does not lead there", commit.label);
    repository.tip()
}
