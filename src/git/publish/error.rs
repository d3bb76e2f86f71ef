//! What can go wrong between a commit and its branch, each with what to do about it.

use std::time::Duration;

use thiserror::Error;

use super::KeyError;
use crate::git::error::Patience;
use crate::git::net::Rejection;
use crate::git::{Fault, GitError, Objection, Refused};

/// How long a server is left alone that asks for patience without saying how much.
const BUSY_DEFAULT: Duration = Duration::from_secs(15);

/// Why nothing was published.
#[derive(Debug, Error)]
pub enum PublishError<E> {
    /// The draft could not be written.
    #[error("{0}")]
    Draft(E),
    /// It could not be pushed.
    #[error(transparent)]
    Push(#[from] PushError),
}

/// Why a commit did not land. What was asked for can be asked for again.
#[derive(Debug, Error)]
pub enum PushError {
    /// Somebody else was faster each time.
    #[error("{location} moved at each of {tries} tries to push")]
    Moved {
        /// The repository as configured.
        location: String,
        /// How often it was tried.
        tries: u32,
    },
    /// A protected branch, a hook, or a setting of the server.
    #[error("{location} refuses the push: {words}")]
    Refused {
        /// The repository as configured.
        location: String,
        /// What the server says, made safe to show.
        words: String,
    },
    /// They may read and not write.
    #[error("{location} does not take a push with these credentials{}", if words.is_empty() { String::new() } else { format!(": {words}") })]
    ReadOnlyCredentials {
        /// The repository as configured.
        location: String,
        /// What the server says, made safe to show.
        words: String,
    },
    /// A repository on this machine that a push would break.
    #[error("{location} cannot take a push: {what}")]
    Unfit {
        /// The repository as configured.
        location: String,
        /// What stands in the way.
        what: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// The tip does not count, and a commit on top of it would hide that.
    #[error("nothing is pushed onto a tip that does not count: {0}")]
    Tip(Refused),
    /// The commit would not count itself.
    #[error("the commit would not count: {why}")]
    Own {
        /// What is wrong with it.
        why: String,
    },
    /// It cannot be signed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// What is to be said cannot be a commit.
    #[error("no commit can be made: {cause}")]
    Commit {
        /// Why not.
        cause: String,
    },
    /// A merge that is to be reverted has fewer parents.
    #[error("{commit} has no parent number {mainline}")]
    Mainline {
        /// The merge, 40 hex digits.
        commit: String,
        /// The number, from 1.
        mainline: u32,
    },
    /// The repository could not be read or reached.
    #[error(transparent)]
    Unreachable(#[from] GitError),
}

impl PushError {
    /// What to do about it, as a sentence for people.
    pub fn hint(&self) -> String {
        match self {
            Self::Moved { .. } => "nothing to do: it is tried again later".to_owned(),
            Self::Refused { words, .. } if is_locked(words) => {
                "if no git process works there, remove that lock file: one that was killed has left it".to_owned()
            }
            Self::Refused { .. } => {
                "let tidegate's account push to the branch: see its protection, rules and hooks on the server"
                    .to_owned()
            }
            Self::ReadOnlyCredentials { .. } => {
                "give credentials that may push, by --git-push-token-file or --git-push-ssh-key; or say --read-only"
                    .to_owned()
            }
            Self::Unfit { hint, .. } => (*hint).to_owned(),
            Self::Tip(refused) => refused.hint(),
            Self::Own { .. } => {
                "give --git-signing-key, and list its public key where --verify-keys points to".to_owned()
            }
            Self::Key(error) => error.hint().to_owned(),
            Self::Commit { .. } => "this is a fault of tidegate; make the commit by hand and report it".to_owned(),
            Self::Mainline { .. } => "parent 1 is the branch that was merged into".to_owned(),
            Self::Unreachable(error) => error.hint(),
        }
    }

    /// A stable short name for metrics.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Moved { .. } => "moved",
            Self::Refused { .. } | Self::ReadOnlyCredentials { .. } | Self::Unfit { .. } => "refused",
            Self::Tip(_) | Self::Own { .. } | Self::Key(_) => "signature",
            Self::Commit { .. } | Self::Mainline { .. } => "source",
            Self::Unreachable(error) => error.category(),
        }
    }

    /// How long the server asks to be left alone; none: it does not.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unreachable(error) => match error.patience(BUSY_DEFAULT) {
                Patience::AtLeast(least) => Some(least),
                Patience::Soon | Patience::Interval => None,
            },
            _ => None,
        }
    }

    /// Whether the server said no, so that trying again soon is useless.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Moved { .. } | Self::Unreachable(_) => false,
            Self::Refused { words, .. } => !is_locked(words),
            _ => true,
        }
    }

    pub(super) fn refused(location: &str, rejection: &Rejection) -> Self {
        let Rejection { status, said } = rejection;
        let words = if said.is_empty() { status.clone() } else { format!("{status} ({said})") };
        Self::Refused { location: location.to_owned(), words }
    }

    pub(super) fn own(refused: Refused) -> Self {
        let why = match refused.objection {
            Objection::Commit { why, .. } => format!("it {why}"),
            _ => refused.to_string(),
        };
        Self::Own { why }
    }

    /// What an error of a push means where a look with the same credentials has just succeeded.
    pub(super) fn of_push(error: GitError) -> Self {
        let GitError::Network { location, fault } = error else { return Self::Unreachable(error) };
        match *fault {
            Fault::Refused | Fault::Anonymous => Self::ReadOnlyCredentials { location, words: String::new() },
            // What SSH servers say before they hang up on who may only read.
            Fault::Forbidden { words } | Fault::NotFound { words } => Self::ReadOnlyCredentials { location, words },
            Fault::Server { what, words } if what == "by SSH" && !words.is_empty() => {
                Self::ReadOnlyCredentials { location, words }
            }
            fault => Self::Unreachable(GitError::Network { location, fault: Box::new(fault) }),
        }
    }
}

/// Whether a repository on this machine says that another process holds a reference, as git does with a file beside it.
fn is_locked(words: &str) -> bool {
    words.contains("lock file") && words.contains(".lock'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_that_somebody_holds_is_no_refusal_and_the_file_can_be_removed() {
        let words = "failed to lock (failed to lock file '/plans/.git/refs/notes/tidegate.lock' for writing: )".into();
        let locked = PushError::Refused { location: "/plans".into(), words };
        assert!(!locked.is_refusal() && locked.hint().contains("remove that lock file"));
        let refused = PushError::Refused { location: "/plans".into(), words: "pre-receive hook declined".into() };
        assert!(refused.is_refusal() && !refused.hint().contains("lock"));
    }

    #[test]
    fn a_server_that_says_how_long_it_wants_to_be_left_alone_is_heard() {
        let network =
            |fault| PushError::of_push(GitError::Network { location: "plans".into(), fault: Box::new(fault) });
        let away = network(Fault::Unreachable { why: "refused".into() });
        let no = network(Fault::Forbidden { words: String::new() });
        let busy = network(Fault::Busy { status: 429, retry_after_s: Some(90) });
        assert_eq!([&away, &no, &busy].map(PushError::retry_after), [None, None, Some(Duration::from_secs(90))]);
        assert!(no.is_refusal() && !away.is_refusal() && !busy.is_refusal());
    }
}
