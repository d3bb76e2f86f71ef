//! The ways to a bare repository beside the bed's: by path, over HTTP and over SSH.

use std::path::{Path, PathBuf};

use crate::bed::Bed;
use crate::git_http::GitHttp;
use crate::process::{Answer, command};
use crate::repository::Repository;
use crate::sshd::Sshd;

/// How the bare repository is reached.
pub enum Way {
    File,
    Http(GitHttp),
    Ssh(Sshd),
}

/// A bare repository that commits are pushed to.
pub struct Remote {
    pub bare: PathBuf,
    home: PathBuf,
    way: Way,
}

impl Remote {
    /// A clone of the repository, which has a commit, as its remote `origin`.
    pub fn of(repository: &Repository, way: impl FnOnce(&Path) -> Way) -> Self {
        let bare = repository.bare();
        let way = way(repository.home());
        Self { bare, home: repository.home().to_owned(), way }
    }

    pub fn file(repository: &Repository) -> Self {
        Self::of(repository, |_| Way::File)
    }

    /// The arguments that name it.
    pub fn arguments(&self) -> Vec<String> {
        let words = match &self.way {
            Way::File => vec!["--repo".to_owned(), self.bare.display().to_string()],
            Way::Http(server) => vec!["--repo".to_owned(), server.url("origin.git")],
            Way::Ssh(server) => {
                let known = server.known_hosts(&[format!("{} {}", server.name(), server.host_key("ed25519"))]);
                let key = server.client_key();
                let (known, key) = (known.display().to_string(), key.display().to_string());
                let words = ["--repo", &server.url(&self.bare), "--git-known-hosts", &known, "--git-ssh-key", &key];
                words.map(str::to_owned).to_vec()
            }
        };
        words.into_iter().chain(["--repo-name", "plans"].map(str::to_owned)).collect()
    }

    /// Lets the repository's own `git` go over HTTP, too: by path it would always be the faster one.
    pub fn lead(&self, repository: &Repository) {
        if let Way::Http(server) = &self.way {
            repository.git(&["remote", "set-url", "origin", &server.url("origin.git")]);
        }
    }

    /// Runs a command on it, without a cluster, as Grace.
    pub async fn ask(&self, arguments: &[&str]) -> Answer {
        self.answer(arguments.iter().map(|word| (*word).to_owned()).collect()).await
    }

    /// The same on the bed's cluster.
    pub async fn ask_on(&self, bed: &Bed, arguments: &[&str]) -> Answer {
        self.answer(bed.on_cluster(arguments)).await
    }

    async fn answer(&self, mut arguments: Vec<String>) -> Answer {
        arguments.extend(self.arguments());
        let mut command = command(&self.home, &arguments);
        command.env("GIT_AUTHOR_NAME", "Grace").env("GIT_AUTHOR_EMAIL", "grace@example.com");
        crate::process::answer(command).await
    }

    /// Runs `git` on the bare repository.
    pub fn git(&self, repository: &Repository, arguments: &[&str]) -> String {
        repository.git(&[&["--git-dir", self.bare.to_str().unwrap()], arguments].concat())
    }

    /// Every reference with its commit.
    pub fn references(&self, repository: &Repository) -> String {
        self.git(repository, &["for-each-ref"])
    }
}

/// The commit that a command says it made.
pub fn committed(answer: &Answer) -> String {
    assert_eq!((answer.code, answer.stderr.as_str()), (0, ""), "{answer:?}");
    let line = answer.stdout.lines().next().unwrap();
    line.strip_prefix("committed main@sha1:").unwrap_or_else(|| panic!("{line}")).to_owned()
}
