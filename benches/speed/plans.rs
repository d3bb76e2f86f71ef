//! Makes plan repositories whose commits are ready before the reference moves, so that only the move is timed.

use std::path::Path;
use std::time::Instant;

use git2::build::TreeUpdateBuilder;
use git2::{FileMode, Oid, Repository, Signature};
use tempfile::TempDir;

const BRANCH: &str = "refs/heads/main";

/// A plan of two versions that gives v2 this weight, with these steps (YAML items) on the way.
pub fn plan(namespace: &str, name: &str, v2: u8, steps: &[&str]) -> String {
    let traffic = match v2 {
        0 => "{v1: 100}".to_owned(),
        100 => "{v2: 100}".to_owned(),
        v2 => format!("{{v1: {}, v2: {v2}}}", 100 - v2),
    };
    let walk = if steps.is_empty() {
        String::new()
    } else {
        format!("  from: {{v1: 100}}\n  settle: {{hold: 1s}}\n  steps:\n    - {}\n", steps.join("\n    - "))
    };
    format!(
        "apiVersion: tidegate.dev/v1alpha1\nkind: CanaryPlan\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         spec:\n  service: {name}\n  versions:\n    v1: {{labels: {{version: v1}}}}\n    v2: {{labels: {{version: v2}}}}\n  \
         traffic: {traffic}\n{walk}"
    )
}

/// The path of a plan's file, `p01234` for example: a hundred share a folder, as the plans of a team do.
pub fn path(name: &str) -> String {
    let team = name.get(..4).unwrap_or(name);
    format!("plans/{team}/{name}.yaml")
}

/// A repository with branch `main` and no working tree to keep up.
pub struct PlanRepository {
    dir: TempDir,
    repository: Repository,
}

impl PlanRepository {
    /// A repository whose first commit holds these files.
    pub fn with(files: &[(String, String)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(dir.path().join("plans.git")).unwrap();
        repository.set_head(BRANCH).unwrap();
        let plans = Self { dir, repository };
        let first = plans.prepare(files);
        plans.publish(first);
        plans
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.repository.path()
    }

    /// A folder beside it.
    pub fn beside(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a commit with these files changed; no reference names it yet.
    pub fn prepare(&self, files: &[(String, String)]) -> Oid {
        let repository = &self.repository;
        let parent = repository.find_reference(BRANCH).ok().map(|branch| branch.peel_to_commit().unwrap());
        let empty = repository.treebuilder(None).unwrap().write().unwrap();
        let before = parent.as_ref().map_or(empty, |parent| parent.tree_id());
        let mut update = TreeUpdateBuilder::new();
        for (path, text) in files {
            let blob = repository.blob(text.as_bytes()).unwrap();
            update.upsert(path.as_str(), blob, FileMode::Blob);
        }
        let tree = update.create_updated(repository, &repository.find_tree(before).unwrap()).unwrap();
        let who = Signature::now("Ada", "ada@example.com").unwrap();
        let tree = repository.find_tree(tree).unwrap();
        repository.commit(None, &who, &who, "Change weights", &tree, parent.as_ref().as_slice()).unwrap()
    }

    /// Moves the branch and returns the instant at which that had returned.
    pub fn publish(&self, commit: Oid) -> Instant {
        self.repository.reference(BRANCH, commit, true, "commit").unwrap();
        Instant::now()
    }
}
