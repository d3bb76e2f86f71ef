//! What goes wrong between here and a Git server, in the words of both processes: the child says it, the parent shows it.

use std::collections::VecDeque;
use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a server gave nothing; reads as what follows the repository's name.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum Fault {
    /// 401, or a key that the server does not take.
    #[error("refuses the credentials")]
    Refused,
    /// 401 where no credentials are given.
    #[error("asks for credentials")]
    Anonymous,
    /// 403.
    #[error("denies access{}", colon(words))]
    Forbidden {
        /// What the server says.
        words: String,
    },
    /// 404, or what SSH servers say.
    #[error("is not there{}", colon(words))]
    NotFound {
        /// What the server says.
        words: String,
    },
    /// Redirects are never followed: they would lead credentials elsewhere.
    #[error("redirects to {to}")]
    Redirected {
        /// The host, or the whole URL on the same host.
        to: String,
    },
    /// 429, 503, or 403 for too many requests.
    #[error("asks for patience (HTTP {status})")]
    Busy {
        /// The HTTP status.
        status: u16,
        /// How long to wait, in seconds, if the server says so.
        retry_after_s: Option<u64>,
    },
    /// Another answer than a Git server's.
    #[error("answers {what}{}", colon(words))]
    Server {
        /// The HTTP status or what is odd about the answer.
        what: String,
        /// What the server says.
        words: String,
    },
    /// The proxy refuses.
    #[error("cannot be reached through the proxy: {why}")]
    Proxy {
        /// What it says.
        why: String,
    },
    /// The certificate is not trusted.
    #[error("shows a certificate that is not trusted: {why}")]
    Untrusted {
        /// What is wrong with it.
        why: String,
    },
    /// The server does not take the client certificate, or TLS failed otherwise.
    #[error("ends the TLS handshake: {why}")]
    Tls {
        /// What is wrong.
        why: String,
    },
    /// Nothing is known about the host's key.
    #[error("shows a host key that is not known: {shown}")]
    HostKeyUnknown {
        /// Kind and fingerprint.
        shown: String,
    },
    /// Another key is known.
    #[error("shows another host key than the known one: {shown}, known: {known}")]
    HostKeyChanged {
        /// Kind and fingerprint.
        shown: String,
        /// Kinds and fingerprints of the known ones.
        known: String,
    },
    /// The key was taken out of use.
    #[error("shows a host key that is marked @revoked: {shown}")]
    HostKeyRevoked {
        /// Kind and fingerprint.
        shown: String,
    },
    /// No name, no route, nobody listening, or the connection broke.
    #[error("cannot be reached: {why}")]
    Unreachable {
        /// What the operating system says.
        why: String,
    },
    /// No answer in time.
    #[error("did not answer within {limit_s} s")]
    Timeout {
        /// The limit in seconds.
        limit_s: u64,
    },
    /// More than a fetch may bring.
    #[error("sends more than is allowed: {what}")]
    Quota {
        /// Which limit.
        what: String,
    },
    /// Objects that are not what they should be.
    #[error("sends what cannot be used: {words}")]
    Garbled {
        /// What libgit2 says.
        words: String,
    },
    /// No room for what was sent.
    #[error("cannot be mirrored: the disk is full")]
    Full,
    /// The mirror cannot be written for another reason.
    #[error("cannot be mirrored: {words}")]
    Disk {
        /// What libgit2 says.
        words: String,
    },
    /// A file of credentials that cannot be used.
    #[error("cannot be asked: {what} in {path} cannot be read: {why}")]
    Credentials {
        /// Which.
        what: String,
        /// The file.
        path: String,
        /// Why not.
        why: String,
    },
    /// Credentials that no connection can be made with.
    #[error("cannot be asked: {what}: {why}")]
    Unusable {
        /// Which.
        what: String,
        /// Why.
        why: String,
    },
    /// The process that speaks to the network ended.
    #[error("cannot be asked: the process that does so {how}")]
    Died {
        /// How it ended.
        how: String,
    },
}

fn colon(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(": {words}") }
}

impl Fault {
    /// A stable short name for metrics.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Refused | Self::Anonymous | Self::Forbidden { .. } => "refused",
            Self::NotFound { .. } => "not_found",
            Self::Redirected { .. } => "redirect",
            Self::Busy { .. } => "busy",
            Self::Server { .. } | Self::Garbled { .. } => "server",
            Self::Proxy { .. } => "proxy",
            Self::Untrusted { .. } | Self::Tls { .. } => "tls",
            Self::HostKeyUnknown { .. } | Self::HostKeyChanged { .. } | Self::HostKeyRevoked { .. } => "host_key",
            Self::Unreachable { .. } => "unreachable",
            Self::Timeout { .. } => "timeout",
            Self::Quota { .. } => "quota",
            Self::Full | Self::Disk { .. } => "disk",
            Self::Credentials { .. } | Self::Unusable { .. } => "credentials",
            Self::Died { .. } => "child",
        }
    }

    /// What to do about it, as a sentence for people.
    pub fn hint(&self) -> String {
        match self {
            Self::Refused => "check the token, password or key and what it may read; files are read anew at each look",
            Self::Anonymous => "give --git-token-file, --git-password-file or TIDEGATE_GIT_TOKEN",
            Self::Forbidden { .. } => "give the token or account read access to the repository",
            Self::NotFound { .. } => "check --repo; many servers say so, too, where the credentials may not read it",
            Self::Redirected { .. } => {
                "write where it points to in --repo, if you trust it; redirects are not followed"
            }
            Self::Busy { .. } => "nothing to do: it is asked again later; a webhook allows a longer --interval",
            Self::Server { .. } => "check that --repo is the URL that `git clone` takes; the look is repeated",
            Self::Proxy { .. } => "check --git-proxy and --git-proxy-auth-file",
            Self::Untrusted { .. } => "give the certificate of its authority by --git-ca-file",
            Self::Tls { .. } => {
                "check --git-client-cert and --git-client-key, and which TLS versions the server speaks"
            }
            Self::HostKeyUnknown { .. } => {
                "compare the fingerprint with the server's, then add the key to the known hosts"
            }
            Self::HostKeyChanged { .. } => {
                "find out why before you trust it: either the server got a new key or somebody is in between"
            }
            Self::HostKeyRevoked { .. } => "the key counts as stolen; ask who runs the server",
            Self::Unreachable { .. } => "check the name, the port and the network; the look is repeated",
            Self::Timeout { .. } => "check the network; --git-look-timeout and --git-fetch-timeout allow more",
            Self::Quota { .. } => "follow a smaller repository, or raise --git-max-bytes or --git-max-objects",
            Self::Garbled { .. } => "run `git fsck` on the server; the look is repeated",
            Self::Full | Self::Disk { .. } => "make room; the look is repeated",
            Self::Credentials { .. } | Self::Unusable { .. } => "put a good file there; it is read anew at each look",
            Self::Died { .. } => "nothing to do: another one is started at the next look",
        }
        .to_owned()
    }
}

/// What a server tells beside its answer: the lines of its hooks, of which the last are kept.
#[derive(Default)]
pub(super) struct Said {
    line: Vec<u8>,
    lines: VecDeque<String>,
}

/// The most bytes of one line, and the most lines, that are kept.
const SAID_BYTES_MAX: usize = 1 << 10;
const SAID_LINES_MAX: usize = 5;

impl Said {
    /// Takes the next bytes; they may end anywhere.
    pub(super) fn hear(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                // What is overwritten on a terminal is progress.
                b'\r' => self.line.clear(),
                b'\n' => self.end(),
                byte if self.line.len() < SAID_BYTES_MAX => self.line.push(*byte),
                _ => {}
            }
        }
    }

    fn end(&mut self) {
        let line = words(&String::from_utf8_lossy(&std::mem::take(&mut self.line)));
        if !line.is_empty() {
            self.lines.push_back(line);
        }
        if self.lines.len() > SAID_LINES_MAX {
            self.lines.pop_front();
        }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = words(&String::from_utf8_lossy(&self.line));
        let lines = self.lines.iter().chain(Some(&last)).filter(|line| !line.is_empty());
        f.write_str(&lines.map(String::as_str).collect::<Vec<_>>().join("; "))
    }
}

/// Words of a server, made safe to show: one line, no control characters, at most 200 characters.
pub(super) fn words(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    crate::git::commit::shown(line)
}

#[cfg(test)]
mod tests {
    use super::Said;

    #[test]
    fn of_what_a_server_tells_the_last_lines_are_kept_and_no_progress() {
        let mut said = Said::default();
        for piece in ["Resolving deltas:  50%\rResolving", " deltas: 100%\rno \u{1b}[2J", "one\n\n", "ask ada"] {
            said.hear(piece.as_bytes());
        }
        assert_eq!(said.to_string(), "no \\u{1b}[2Jone; ask ada");
        for number in 0..10_000 {
            said.hear(format!("{number}{}\n", "a".repeat(5000)).as_bytes());
        }
        assert!(said.to_string().starts_with("9995a") && said.to_string().len() < 1200, "{said}");
    }
}
