//! What parent and child say to each other: JSON behind its length, with a limit on both sides.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::Fault;
use crate::git::Place;

/// The most bytes of one message.
const BYTES_MAX: usize = 8 << 20;

/// What the parent asks. It holds secrets: it goes through a pipe and is never printed.
#[derive(Serialize, Deserialize)]
pub(super) enum Request {
    /// Where the branch stands.
    Look(Box<Look>),
    /// What the mirror lacks of where the last look found it.
    Fetch,
    /// That a reference should stand at a commit of the mirror.
    Push(Box<Push>),
}

/// All that a look needs to know.
#[derive(Serialize, Deserialize)]
pub(super) struct Look {
    pub(super) place: Place,
    /// The reference that is looked at, by its full name.
    pub(super) from: String,
    pub(super) mirror: PathBuf,
    /// The reference of the mirror that says what it has.
    pub(super) reference: String,
    /// Where that stands: a branch that is there, too, needs no fetch.
    pub(super) stands: Option<String>,
    pub(super) keys: Keys,
    pub(super) bytes_max: u64,
    pub(super) objects_max: u64,
}

/// All that a push needs to know.
#[derive(Serialize, Deserialize)]
pub(super) struct Push {
    /// How the repository is reached; `from` is the reference that moves.
    pub(super) look: Look,
    /// Where it stands, or it is left alone; none: it must not be there.
    pub(super) onto: Option<String>,
    /// Where it shall stand.
    pub(super) commit: String,
}

/// The credentials and the trust of one connection.
#[derive(Serialize, Deserialize)]
pub(in crate::git) enum Keys {
    /// For https and http.
    Http {
        /// User and password.
        basic: Option<Basic>,
        /// Authorities beside the system's, PEM.
        ca: Option<String>,
        /// A certificate to show.
        client: Option<Client>,
        /// The way out.
        proxy: Option<Proxy>,
    },
    /// For SSH.
    Ssh(SshKeys),
}

/// A user and a password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::git) struct Basic {
    pub(in crate::git) user: String,
    pub(in crate::git) password: String,
}

/// A certificate chain and its key, PEM.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::git) struct Client {
    pub(in crate::git) chain: String,
    pub(in crate::git) key: String,
}

/// An HTTP proxy.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::git) struct Proxy {
    pub(in crate::git) host: String,
    pub(in crate::git) port: u16,
    pub(in crate::git) basic: Option<Basic>,
}

/// What SSH needs.
#[derive(Serialize, Deserialize)]
pub(in crate::git) struct SshKeys {
    pub(in crate::git) user: String,
    pub(in crate::git) key: String,
    pub(in crate::git) passphrase: Option<String>,
    pub(in crate::git) known_hosts: String,
}

/// What the child answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// The branch stands at this commit.
    At(String),
    /// The branch is not there, these are.
    Gone(Vec<String>),
    /// There is no branch at all.
    Empty,
    /// This commit and all that it refers to is in the mirror; after much was brought, a new child is smaller.
    Fetched { tip: String, much: bool },
    /// The reference was moved.
    Pushed,
    /// The reference stands elsewhere than was said; nothing was sent.
    Elsewhere,
    /// The server did not move it.
    Rejected(Rejection),
    /// The mirror cannot be read.
    Broken(String),
    /// Nothing came of it.
    Failed(Fault),
}

/// A server's no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::git) struct Rejection {
    /// What it says about the reference.
    pub(in crate::git) status: String,
    /// What its hooks say, made safe to show.
    pub(in crate::git) said: String,
}

/// Writes one message.
pub(super) fn write(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    let size = u32::try_from(bytes.len()).ok().filter(|_| bytes.len() <= BYTES_MAX);
    let size = size.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the message is too large"))?;
    to.write_all(&size.to_be_bytes())?;
    to.write_all(&bytes)?;
    to.flush()
}

/// Reads one message; none where the other side has ended.
pub(super) fn read<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<T>> {
    let mut size = [0; 4];
    match from.read_exact(&mut size) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let size = u32::from_be_bytes(size) as usize;
    if size > BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the message is too large"));
    }
    let mut bytes = vec![0; size];
    from.read_exact(&mut bytes)?;
    Ok(Some(serde_json::from_slice(&bytes)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_through_and_one_that_is_too_large_does_not() {
        let mut pipe = Vec::new();
        write(&mut pipe, &Answer::At("4f".into())).unwrap();
        let mut from = pipe.as_slice();
        assert!(matches!(read(&mut from), Ok(Some(Answer::At(id))) if id == "4f"));
        assert!(matches!(read::<Answer>(&mut from), Ok(None)));
        assert!(write(&mut Vec::new(), &"a".repeat(BYTES_MAX)).is_err());
        let endless = [0xff; 64];
        assert!(read::<Answer>(&mut endless.as_slice()).is_err());
        let cut = &pipe[..pipe.len() - 1];
        assert!(read::<Answer>(&mut &*cut).is_err());
    }
}
