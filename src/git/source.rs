//! Names a plan repository: where it is, which branch and which folder of it hold plans.

use std::time::Duration;

use thiserror::Error;

use super::{Access, GitMeter, Location, Trust};

/// One plan repository to follow.
#[derive(Clone, Debug)]
pub struct Source {
    /// The repository's name in plan ids; never empty, without `/`.
    pub name: String,
    /// Where it is.
    pub location: Location,
    /// The branch, without `refs/heads/`.
    pub branch: String,
    /// The plans folder, relative to the root, `/` between names; empty: the root.
    pub path: String,
    /// How often to look when nothing hints at a change.
    pub interval: Duration,
    /// Which of its tips count.
    pub trust: Trust,
    /// What it is reached with.
    pub access: Access,
    /// Counts what is asked of it.
    pub meter: GitMeter,
}

/// Why a configured repository cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SourceError {
    /// Neither a path nor a URL that names one.
    #[error("`{location}` does not name a repository: {why}")]
    Location {
        /// As written, without what may be a secret.
        location: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A URL that carries a user or a password. Not repeated, as it was written to hold a secret.
    #[error("the URL of the repository on {host} carries a user or a password")]
    Userinfo {
        /// Its host.
        host: String,
    },
    /// Everybody between here and there could read and change what is sent.
    #[error("{location} is plain http on another machine")]
    PlainHttp {
        /// The repository.
        location: String,
    },
    /// The same, and a secret would be sent.
    #[error("credentials would be sent to {location} unencrypted")]
    PlainCredentials {
        /// The repository.
        location: String,
    },
    /// Something that the repository cannot be reached without.
    #[error("{location} needs {what}")]
    Missing {
        /// The repository.
        location: String,
        /// The flag that gives it.
        what: &'static str,
    },
    /// Flags that contradict each other or the kind of repository.
    #[error("{what}")]
    Access {
        /// The contradiction.
        what: &'static str,
        /// What to write instead.
        hint: &'static str,
    },
    /// Not a branch name.
    #[error("`{branch}` is not a branch name")]
    Branch {
        /// As written.
        branch: String,
    },
    /// Not a folder inside the repository.
    #[error("`{path}` does not name a folder inside the repository")]
    Path {
        /// As written.
        path: String,
    },
    /// Looking without a pause.
    #[error("an interval of 0 s would look without a pause")]
    Interval,
}

impl SourceError {
    /// What to write instead, as a sentence for people.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Location { .. } => {
                "write https://host/path, ssh://git@host/path, git@host:path, /path or file:///path"
            }
            Self::Userinfo { .. } => {
                "write it without, take the secret back, and give it by --git-token-file or --git-password-file"
            }
            Self::PlainHttp { .. } => "write https://, or say --git-allow-http if the network between is trusted",
            Self::PlainCredentials { .. } => "write https://; --git-allow-http is for repositories without credentials",
            Self::Missing { .. } => "`ssh-keyscan -p PORT HOST` prints host keys; compare them with the server's own",
            Self::Access { hint, .. } => hint,
            Self::Branch { .. } => "write the branch as `git branch` prints it, for example `main`",
            Self::Path { .. } => "write it relative to the root, without `..`, for example `plans/production`",
            Self::Interval => "write at least 1s; a local repository is also watched",
        }
    }
}

impl Source {
    /// A checked source, named after the last component of `location`.
    ///
    /// Errs on a location that is neither a path nor a URL that is understood, on a name that Git does not allow for a
    /// branch, on a path that is absolute or leaves the repository, and on an interval of 0.
    pub fn new(location: &str, branch: &str, path: &str, interval: Duration) -> Result<Self, SourceError> {
        Self::with_access(location, branch, path, interval, Access::default())
    }

    /// The same, reached with `access`; errs also where that does not fit the location.
    pub fn with_access(
        location: &str,
        branch: &str,
        path: &str,
        interval: Duration,
        access: Access,
    ) -> Result<Self, SourceError> {
        let (written, location) = (location, Location::parse(location)?);
        let Some(name) = location.name() else {
            return Err(SourceError::Location { location: written.into(), why: "it has no last component" });
        };
        let full = format!("refs/heads/{branch}");
        if branch.starts_with('-') || branch.starts_with("refs/") || !git2::Reference::is_valid_name(&full) {
            return Err(SourceError::Branch { branch: branch.into() });
        }
        if interval.is_zero() {
            return Err(SourceError::Interval);
        }
        access.check(&location)?;
        let (branch, path, meter) = (branch.into(), folder(path)?, GitMeter::default());
        Ok(Self { name, location, branch, path, interval, trust: Trust::default(), access, meter })
    }

    /// How long a look with its fetch may take at most, if it goes over the network.
    pub fn patience(&self) -> Option<Duration> {
        let limits = &self.access.limits;
        matches!(self.location, Location::Network(_)).then_some(limits.look + limits.fetch)
    }

    /// The same source under another name in plan ids.
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// The same source, of which only such tips count.
    pub fn trusting(self, trust: Trust) -> Self {
        Self { trust, ..self }
    }
}

/// The folder in one spelling: no leading `./`, no trailing `/`.
fn folder(written: &str) -> Result<String, SourceError> {
    let bad = || SourceError::Path { path: written.into() };
    if written.starts_with('/') || written.contains(['\\', '\0']) {
        return Err(bad());
    }
    let names: Vec<&str> = written.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
    if names.iter().any(|name| *name == ".." || name.eq_ignore_ascii_case(".git")) {
        return Err(bad());
    }
    Ok(names.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(location: &str, branch: &str, path: &str) -> Result<Source, SourceError> {
        Source::new(location, branch, path, Duration::from_secs(30))
    }

    #[test]
    fn a_source_is_named_after_its_last_component() {
        for (location, name) in [
            ("/srv/plans.git", "plans"),
            ("file:///srv/my%20plans", "my plans"),
            ("/srv/web/.git/", "web"),
            ("https://git.example.com/shop/plans.git", "plans"),
            ("https://git.example.com/shop/plans/", "plans"),
        ] {
            assert_eq!(source(location, "main", "").unwrap().name, name, "{location}");
        }
        assert_eq!(source("plans", "main", "").unwrap().named("shop").name, "shop");
        assert!(matches!(source("/", "main", ""), Err(SourceError::Location { .. })));
    }

    #[test]
    fn the_plans_folder_stays_inside_the_repository() {
        for (written, path) in [("", ""), (".", ""), ("./plans/", "plans"), ("a//b", "a/b"), ("..a", "..a")] {
            assert_eq!(source("/r", "main", written).unwrap().path, path);
        }
        for written in ["..", "a/../b", "/a", "a\\b", ".git/hooks"] {
            assert!(source("/r", "main", written).is_err(), "{written}");
        }
    }

    #[test]
    fn branch_names_are_those_that_git_allows() {
        for branch in ["main", "team/web", "v1.2"] {
            assert!(source("/r", branch, "").is_ok(), "{branch}");
        }
        for branch in ["", "a..b", "-f", "refs/heads/main", "a b", "x.lock", "a\n"] {
            assert!(source("/r", branch, "").is_err(), "{branch:?}");
        }
        assert_eq!(Source::new("/r", "main", "", Duration::ZERO).unwrap_err(), SourceError::Interval);
    }
}
