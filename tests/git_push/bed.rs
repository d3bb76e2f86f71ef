//! A repository with a bare one beside it, and the three ways to it.

use std::convert::Infallible;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tidegate::git::{
    Access, Changes, Draft, Files, PublishError, PublishOptions, Published, Publisher, PushError, Source,
};

use super::support::git_http::GitHttp;
use super::support::repository::Repository;
use super::support::sshd::Sshd;

/// The plan file of every repository here.
pub const WEB: &str = "plans/web.yaml";

/// How the bare repository is reached.
pub enum Way {
    File,
    Http(GitHttp),
    Ssh(Sshd),
}

pub struct Bed {
    pub repository: Repository,
    pub bare: PathBuf,
    pub way: Way,
}

impl Bed {
    fn new(way: impl FnOnce(&Repository, &Path) -> Way) -> Self {
        let repository = Repository::with(&[(WEB, "traffic: {v1: 100}\n"), ("README.md", "plans\n")]);
        let bare = repository.bare();
        let way = way(&repository, &bare);
        Self { repository, bare, way }
    }

    pub fn file() -> Self {
        Self::new(|_, _| Way::File)
    }

    pub fn http() -> Self {
        Self::new(|_, bare| Way::Http(GitHttp::start(bare.parent().unwrap())))
    }

    pub fn ssh() -> Self {
        Self::new(|repository, _| Way::Ssh(Sshd::start(repository.home())))
    }

    pub fn all() -> [Self; 3] {
        [Self::file(), Self::http(), Self::ssh()]
    }

    pub fn name(&self) -> &'static str {
        match self.way {
            Way::File => "file",
            Way::Http(_) => "http",
            Way::Ssh(_) => "ssh",
        }
    }

    pub fn http_server(&self) -> &GitHttp {
        match &self.way {
            Way::Http(server) => server,
            _ => panic!("not over HTTP"),
        }
    }

    pub fn url(&self) -> String {
        match &self.way {
            Way::File => self.bare.to_str().unwrap().to_owned(),
            Way::Http(server) => server.url("origin.git"),
            Way::Ssh(server) => server.url(&self.bare),
        }
    }

    pub fn access(&self) -> Access {
        let access = Access { program: Some(env!("CARGO_BIN_EXE_tidegate").into()), ..Access::default() };
        match &self.way {
            Way::Ssh(server) => {
                let known = server.known_hosts(&[format!("{} {}", server.name(), server.host_key("ed25519"))]);
                Access { ssh_key: Some(server.client_key()), known_hosts: Some(known), ..access }
            }
            _ => access,
        }
    }

    pub fn source(&self) -> Source {
        self.source_with(&self.url(), self.access())
    }

    pub fn source_with(&self, url: &str, access: Access) -> Source {
        Source::with_access(url, "main", "plans", Duration::from_secs(60), access).unwrap()
    }

    pub fn publisher(&self) -> Publisher {
        self.publisher_of(&self.source(), options())
    }

    pub fn publisher_of(&self, source: &Source, options: PublishOptions) -> Publisher {
        let state = tempfile::Builder::new().prefix("push-").tempdir_in(self.repository.home()).unwrap().keep();
        Publisher::open(source, options, &state).unwrap()
    }

    /// Runs `git` in the bare repository.
    pub fn git(&self, arguments: &[&str]) -> String {
        let mut all = vec!["--git-dir", self.bare.to_str().unwrap()];
        all.extend(arguments);
        self.repository.git(&all)
    }

    /// Where a branch of the bare repository stands.
    pub fn tip(&self) -> String {
        self.git(&["rev-parse", "main"])
    }

    pub fn text(&self, path: &str) -> String {
        self.git(&["show", &format!("main:{path}")])
    }

    pub fn hook(&self, name: &str, script: &str) {
        let path = self.bare.join("hooks").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// Another writer's commit, pushed.
    pub fn push(&self, message: &str, files: &[(&str, &str)]) -> String {
        self.repository.git(&["pull", "--quiet", "--rebase", "origin", "main"]);
        let tip = self.repository.commit(message, files);
        self.repository.push(false);
        tip
    }

    /// Every commit of the branch stands on the one before, and git finds no fault with any object.
    pub fn is_linear_and_whole(&self) {
        assert_eq!(self.git(&["rev-list", "--merges", "main"]), "");
        let fsck = self.git(&["fsck", "--full", "--strict", "--no-dangling"]);
        assert_eq!(fsck, "");
    }

    /// Files that a push should have left nowhere.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        leftovers(self.repository.home())
    }
}

pub fn options() -> PublishOptions {
    PublishOptions { author: "Tide <tide@example.com>".parse().unwrap(), ..PublishOptions::default() }
}

/// A draft that puts a text into a file, unless it is there.
pub fn says(path: &str, text: &str) -> impl FnMut(&Files<'_>) -> Result<Draft, Infallible> {
    let (path, text) = (path.to_owned(), text.to_owned());
    move |files| {
        if files.read(files.tip(), &path).unwrap().is_some_and(|there| there == text.as_bytes()) {
            return Ok(Draft::Nothing { why: "it is there".to_owned() });
        }
        let changes = Changes::from([(path.clone(), Some(text.clone().into_bytes()))]);
        Ok(Draft::Commit { changes, message: format!("Put {path}\n\nTidegate-Plan: shop/web\n") })
    }
}

/// The commit that landed.
pub fn landed<E: std::fmt::Debug>(published: Result<Published, PublishError<E>>) -> String {
    match published {
        Ok(Published::Landed { commit, .. }) => commit,
        other => panic!("it did not land: {other:?}"),
    }
}

pub fn refused<E: std::fmt::Debug>(published: Result<Published, PublishError<E>>) -> PushError {
    match published {
        Err(PublishError::Push(error)) => {
            assert!(!error.hint().is_empty());
            error
        }
        other => panic!("it was not refused: {other:?}"),
    }
}

/// Locks and unfinished packs below a folder.
pub fn leftovers(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().unwrap().is_dir() {
            found.extend(leftovers(&entry.path()));
        } else if name.ends_with(".lock") || name.starts_with("tmp_") || name.contains("_git2_") {
            found.push(entry.path());
        }
    }
    found
}

/// The processes that this one started and that are tidegate's children for the network.
pub fn children() -> usize {
    let listed = Command::new("ps").args(["-o", "args=", "--ppid", &std::process::id().to_string()]).output().unwrap();
    String::from_utf8_lossy(&listed.stdout).lines().filter(|line| line.contains("git-child")).count()
}
