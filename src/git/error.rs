//! What can go wrong between a plan repository and its mirror, each with what to do about it.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use super::Fault;

/// The least that a server is left alone when it asks for patience, and the most, whatever it asks for.
const BUSY_MIN: Duration = Duration::from_secs(5);
const BUSY_MAX: Duration = Duration::from_secs(3600);

/// How soon to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// Soon, and less soon each time.
    Soon,
    /// At the interval, or when somebody asks.
    Interval,
    /// Not before so long, whoever asks.
    AtLeast(Duration),
}

/// Why a look at a repository gave nothing. Every one heals by itself once its cause is gone.
#[derive(Debug, Error)]
pub enum GitError {
    /// Nothing is there, or nothing that Git knows.
    #[error("{location} is not a Git repository")]
    NotARepository {
        /// The repository as configured.
        location: String,
    },
    /// Git refuses repositories that belong to another user.
    #[error("{location} belongs to another user")]
    Owner {
        /// The repository as configured.
        location: String,
    },
    /// The operating system refuses to read it.
    #[error("{location} may not be read by this user")]
    Permission {
        /// The repository as configured.
        location: String,
    },
    /// The branch was never seen by this mirror and is not there now.
    #[error("{location} has no branch `{branch}`")]
    BranchUnknown {
        /// The repository as configured.
        location: String,
        /// The branch as configured.
        branch: String,
        /// The existing branch with the most similar name.
        near: Option<String>,
    },
    /// A shallow clone lies about its ancestry.
    #[error("{location} is a shallow clone")]
    Shallow {
        /// The repository as configured.
        location: String,
    },
    /// The plans path names something that is not a folder.
    #[error("`{path}` at {commit} is not a folder")]
    NotAFolder {
        /// The plans path.
        path: String,
        /// Where it was looked up.
        commit: String,
    },
    /// More entries under the plans path than are ever walked.
    #[error("the plans folder has more than {limit} entries")]
    TooManyEntries {
        /// The limit.
        limit: usize,
    },
    /// A file is larger than the caller wants to load.
    #[error("blob {blob} is {size} bytes, the limit is {limit}")]
    TooLarge {
        /// The blob's id.
        blob: String,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// Not a commit that the mirror has.
    #[error("no commit `{id}` is known")]
    Unknown {
        /// As asked for.
        id: String,
    },
    /// The repository did not answer in time.
    #[error("reading {location} took longer than {limit_s} s")]
    Deadline {
        /// The repository as configured.
        location: String,
        /// The limit in seconds.
        limit_s: u64,
    },
    /// The repository answered with something that cannot be read.
    #[error("cannot read {location}: {cause}")]
    Source {
        /// The repository as configured.
        location: String,
        /// What Git says.
        cause: git2::Error,
    },
    /// A server gave nothing.
    #[error("{location} {fault}")]
    Network {
        /// The repository as configured.
        location: String,
        /// Why.
        fault: Box<Fault>,
    },
    /// The mirror lost or garbled objects; the next look sets it aside and clones anew.
    #[error("the local mirror cannot be read: {0}")]
    Mirror(#[from] git2::Error),
    /// The folder of the mirror cannot be written.
    #[error("cannot keep a mirror in {}: {cause}", dir.display())]
    State {
        /// The mirror's folder.
        dir: PathBuf,
        /// What the operating system or Git says.
        cause: String,
    },
    /// Another process keeps a mirror in the same folder.
    #[error("{} is in use by another process", dir.display())]
    InUse {
        /// The mirror's folder.
        dir: PathBuf,
    },
    /// The repository cannot be watched.
    #[error("cannot watch {location}: {cause}")]
    Watch {
        /// The repository as configured.
        location: String,
        /// What the operating system says.
        cause: String,
    },
}

impl GitError {
    /// What to do about it, as a sentence for people.
    pub fn hint(&self) -> String {
        match self {
            Self::NotARepository { .. } => "check the path; it is looked at again until a repository is there".into(),
            Self::Owner { .. } => {
                "run as its owner; Git's own configuration, `safe.directory` too, is never read".into()
            }
            Self::Permission { .. } => "grant this user read access to the repository and its folders".into(),
            Self::BranchUnknown { near: Some(near), .. } => format!("did you mean `{near}`?"),
            Self::BranchUnknown { near: None, .. } => "push the branch, or name another one".into(),
            Self::Shallow { .. } => "run `git fetch --unshallow` in it, or follow the repository it came from".into(),
            Self::NotAFolder { .. } => "name the folder that holds the plans; symbolic links are not followed".into(),
            Self::TooManyEntries { .. } => "narrow the plans path to the folder that holds the plans".into(),
            Self::TooLarge { .. } => "split the file".into(),
            Self::Unknown { .. } => "give the 40 hex digits of a commit on the branch that is followed".into(),
            Self::Deadline { .. } => "check the disk or network mount it is on; the look is repeated".into(),
            Self::Network { fault, .. } => fault.hint(),
            Self::Source { .. } => "run `git fsck` in the repository; the look is repeated".into(),
            Self::Mirror(_) => "nothing to do: it is set aside and cloned anew at the next look".into(),
            Self::State { .. } => "make room, or give a folder that this user may write".into(),
            Self::InUse { .. } => "stop the other process, or give each its own folder".into(),
            Self::Watch { .. } => {
                "raise fs.inotify.max_user_watches or max_user_instances; until then commits wait for the interval"
                    .into()
            }
        }
    }

    /// A stable short name for metrics.
    pub fn category(&self) -> &'static str {
        match self {
            Self::NotARepository { .. } | Self::BranchUnknown { .. } => "not_found",
            Self::Owner { .. } | Self::Permission { .. } => "refused",
            Self::Shallow { .. } | Self::NotAFolder { .. } | Self::Unknown { .. } | Self::Source { .. } => "source",
            Self::TooManyEntries { .. } | Self::TooLarge { .. } => "quota",
            Self::Deadline { .. } => "timeout",
            Self::Network { fault, .. } => fault.category(),
            Self::Mirror(_) => "mirror",
            Self::State { .. } | Self::InUse { .. } => "disk",
            Self::Watch { .. } => "watch",
        }
    }

    /// How soon a look after this error makes sense.
    pub(super) fn patience(&self, interval: Duration) -> Patience {
        let Self::Network { fault, .. } = self else { return Patience::Soon };
        match fault.as_ref() {
            // Asking on would only make it longer.
            Fault::Busy { status, retry_after_s } => {
                let asked = retry_after_s.map(Duration::from_secs);
                let least = if *status == 503 { BUSY_MIN } else { interval.max(BUSY_MIN) };
                Patience::AtLeast(asked.unwrap_or(least).clamp(BUSY_MIN, BUSY_MAX))
            }
            // Repeated at once, a wrong password locks accounts.
            Fault::Refused | Fault::Anonymous | Fault::Forbidden { .. } => Patience::Interval,
            _ => Patience::Soon,
        }
    }

    /// Whether another process in the midst of a write can be the cause, so that a second look may succeed at once.
    pub(super) fn is_momentary(&self) -> bool {
        matches!(self, Self::Source { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_asks_for_patience_or_refuses_is_left_alone() {
        let minute = Duration::from_secs(60);
        let patience = |fault| GitError::Network { location: "plans".into(), fault: Box::new(fault) }.patience(minute);
        let busy = |status, retry_after_s| patience(Fault::Busy { status, retry_after_s });
        assert_eq!(busy(429, Some(7)), Patience::AtLeast(Duration::from_secs(7)));
        assert_eq!(busy(429, None), Patience::AtLeast(minute));
        assert_eq!(busy(503, None), Patience::AtLeast(BUSY_MIN));
        assert_eq!(busy(503, Some(0)), Patience::AtLeast(BUSY_MIN));
        assert_eq!(busy(403, Some(u64::MAX)), Patience::AtLeast(BUSY_MAX));
        assert_eq!(patience(Fault::Refused), Patience::Interval);
        assert_eq!(patience(Fault::Full), Patience::Soon);
    }
}
