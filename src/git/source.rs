//! Names a plan repository: where it is, which branch and which folder of it hold plans.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use super::Trust;

/// One plan repository to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
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
}

/// How a repository is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// An absolute path on this machine: a bare repository, a working tree or a linked one.
    Local(PathBuf),
}

/// Why a configured repository cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SourceError {
    /// A transport that is not built yet.
    #[error("`{location}`: {scheme} repositories are not supported by this version")]
    NotSupported {
        /// As written.
        location: String,
        /// The URL's scheme, or `ssh` for `host:path`.
        scheme: String,
    },
    /// Neither a path nor a URL that names one.
    #[error("`{location}` does not name a repository: {why}")]
    Location {
        /// As written.
        location: String,
        /// What is wrong with it.
        why: &'static str,
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
            Self::NotSupported { .. } => {
                "give a path or a file:// URL, for example of a mirror that `git fetch` updates"
            }
            Self::Location { .. } => "write /path/to/repository or file:///path/to/repository",
            Self::Branch { .. } => "write the branch as `git branch` prints it, for example `main`",
            Self::Path { .. } => "write it relative to the root, without `..`, for example `plans/production`",
            Self::Interval => "write at least 1s; a local repository is also watched",
        }
    }
}

impl Source {
    /// A checked source, named after the last component of `location`.
    ///
    /// Errs on a location that is neither a path nor a `file://` URL, on a name that Git does not allow for a branch,
    /// on a path that is absolute or leaves the repository, and on an interval of 0.
    pub fn new(location: &str, branch: &str, path: &str, interval: Duration) -> Result<Self, SourceError> {
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
        Ok(Self { name, location, branch: branch.into(), path: folder(path)?, interval, trust: Trust::default() })
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

impl Location {
    /// Reads a path or a `file://` URL; a relative path is completed with the working directory.
    pub fn parse(written: &str) -> Result<Self, SourceError> {
        let bad = |why| SourceError::Location { location: written.into(), why };
        let unsupported = |scheme: &str| SourceError::NotSupported { location: redact(written), scheme: scheme.into() };
        let path = if let Some(rest) = written.strip_prefix("file://") {
            let path = rest.strip_prefix("localhost").unwrap_or(rest);
            if !path.starts_with('/') {
                return Err(bad("a file:// URL names a path on this machine, with three slashes"));
            }
            percent_decoded(path).ok_or_else(|| bad("its %-escapes are not UTF-8 text"))?
        } else if let Some((scheme, _)) = written.split_once("://") {
            return Err(unsupported(scheme));
        } else if written.split('/').next().is_some_and(|first| first.contains(':')) {
            return Err(unsupported("ssh"));
        } else {
            written.to_owned()
        };
        if path.is_empty() || path.contains('\0') {
            return Err(bad("it is empty"));
        }
        std::path::absolute(Path::new(&path)).map(Self::Local).map_err(|_| bad("there is no working directory"))
    }

    /// The last component without `.git`; of a path to a `.git` folder, the component before it.
    fn name(&self) -> Option<String> {
        let Self::Local(path) = self;
        let path = if path.ends_with(".git") { path.parent()? } else { path };
        let last = path.file_name()?.to_string_lossy();
        let name = last.strip_suffix(".git").unwrap_or(&last);
        (!name.is_empty()).then(|| name.to_owned())
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Local(path) = self;
        path.display().fmt(f)
    }
}

/// A URL without its user part, where people put tokens.
fn redact(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        _ => url.to_owned(),
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, tail) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(location: &str, branch: &str, path: &str) -> Result<Source, SourceError> {
        Source::new(location, branch, path, Duration::from_secs(30))
    }

    #[test]
    fn a_source_is_named_after_its_last_component() {
        for (location, name) in
            [("/srv/plans.git", "plans"), ("file:///srv/my%20plans", "my plans"), ("/srv/web/.git/", "web")]
        {
            assert_eq!(source(location, "main", "").unwrap().name, name, "{location}");
        }
        assert_eq!(source("plans", "main", "").unwrap().named("shop").name, "shop");
        assert!(matches!(source("/", "main", ""), Err(SourceError::Location { .. })));
    }

    #[test]
    fn transports_that_are_not_built_are_refused_without_showing_tokens() {
        for location in ["https://user:token@example.com/plans.git", "ssh://git@example.com/plans", "git@host:plans"] {
            let refused = source(location, "main", "").unwrap_err();
            assert!(matches!(refused, SourceError::NotSupported { .. }), "{location}: {refused}");
            assert!(!refused.to_string().contains("token"), "{refused}");
        }
        assert!(source("./a:b", "main", "").is_ok());
        assert!(source("file://elsewhere/plans", "main", "").is_err());
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
