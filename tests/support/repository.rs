//! Makes Git repositories with the `git` command line, cut off from the machine's configuration.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A repository with a working tree on branch `main`, in a folder that goes with it.
pub struct Repository {
    home: TempDir,
    path: PathBuf,
}

impl Repository {
    /// A repository without a commit.
    pub fn empty() -> Self {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("plans");
        let repository = Self { home, path };
        repository.init();
        repository
    }

    /// A repository whose first commit holds these files.
    pub fn with<P: AsRef<str>, T: AsRef<str>>(files: &[(P, T)]) -> Self {
        let repository = Self::empty();
        repository.commit("Add plans", files);
        repository
    }

    /// Where the working tree is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder around it, for what a test wants to put beside it.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The working tree's path as text.
    pub fn location(&self) -> String {
        self.path.to_str().unwrap().to_owned()
    }

    /// Makes the repository anew after [`delete`](Self::delete).
    pub fn init(&self) {
        std::fs::create_dir_all(&self.path).unwrap();
        self.git(&["init", "--quiet", "--initial-branch=main"]);
    }

    /// Deletes the repository with its working tree.
    pub fn delete(&self) {
        std::fs::remove_dir_all(&self.path).unwrap();
    }

    /// Runs `git` in the working tree and returns what it prints, trimmed; panics where it fails.
    pub fn git(&self, arguments: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        assert!(status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap().trim().to_owned()
    }

    /// The `git` command, cut off from the machine's configuration.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .current_dir(&self.path)
            .args(["-c", "gc.auto=0", "-c", "protocol.file.allow=always"])
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", "Ada")
            .env("GIT_AUTHOR_EMAIL", "ada@example.com")
            .env("GIT_COMMITTER_NAME", "Ada")
            .env("GIT_COMMITTER_EMAIL", "ada@example.com")
            .stdin(Stdio::null());
        command
    }

    /// Writes a file of the working tree, with its folders.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Writes files, commits the whole working tree and returns the commit's id.
    pub fn commit<P: AsRef<str>, T: AsRef<str>>(&self, message: &str, files: &[(P, T)]) -> String {
        for (path, text) in files {
            self.write(path.as_ref(), text.as_ref());
        }
        self.commit_all(message)
    }

    /// Removes files, commits and returns the commit's id.
    pub fn remove(&self, message: &str, paths: &[&str]) -> String {
        for path in paths {
            std::fs::remove_file(self.path.join(path)).unwrap();
        }
        self.commit_all(message)
    }

    /// Commits the working tree as it is and returns the commit's id.
    pub fn commit_all(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", message]);
        self.tip()
    }

    /// The id of the commit that is checked out.
    pub fn tip(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    /// Reverts a commit, a merge against its first parent, and returns the id of the commit that does.
    pub fn revert(&self, commit: &str) -> String {
        let merge = self.git(&["rev-list", "--parents", "-n1", commit]).split(' ').count() > 2;
        let mut arguments = vec!["revert", "--no-edit"];
        arguments.extend(merge.then_some(["-m", "1"]).into_iter().flatten());
        arguments.push(commit);
        self.git(&arguments);
        self.tip()
    }

    /// Checks out a branch, which starts here if it is new.
    pub fn branch(&self, name: &str) {
        let new = !self.command(&["rev-parse", "--verify", "--quiet", name]).output().unwrap().status.success();
        let mut arguments = vec!["checkout", "--quiet"];
        arguments.extend(new.then_some("-b"));
        arguments.push(name);
        self.git(&arguments);
    }

    /// Merges a branch with a merge commit and returns its id.
    pub fn merge(&self, branch: &str) -> String {
        self.git(&["merge", "--quiet", "--no-ff", "-m", &format!("Merge {branch}"), branch]);
        self.tip()
    }

    /// Rewrites the branch: back to `commit`, as a forced push would leave it.
    pub fn force(&self, commit: &str) {
        self.git(&["reset", "--quiet", "--hard", commit]);
    }

    /// A bare clone beside the repository, added as its remote `origin`.
    pub fn bare(&self) -> PathBuf {
        let bare = self.home.path().join("origin.git");
        let text = bare.to_str().unwrap().to_owned();
        self.git(&["clone", "--quiet", "--bare", ".", &text]);
        self.git(&["remote", "add", "origin", &text]);
        bare
    }

    /// Pushes `main` to the bare clone, by force if asked to.
    pub fn push(&self, force: bool) {
        let mut arguments = vec!["push", "--quiet", "origin", "main"];
        arguments.extend(force.then_some("--force"));
        self.git(&arguments);
    }
}
