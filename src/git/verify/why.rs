//! Why a commit's signature does not count, each with what to do about it.

use thiserror::Error;

/// What is wrong with the signature of a commit; reads as the end of a sentence that begins with the commit.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Why {
    /// There is none.
    #[error("is not signed")]
    Unsigned,
    /// It is by a key that no key file has.
    #[error("is signed by an unknown key, {key}")]
    UnknownKey {
        /// Kind and fingerprint.
        key: String,
    },
    /// It is not a signature of this commit by this key.
    #[error("has a signature that is not by {key} or not of this commit")]
    Mismatch {
        /// Kind and fingerprint.
        key: String,
    },
    /// The key is known and does not count, now or for this.
    #[error("is signed by {key}, {cause}")]
    KeyNotGood {
        /// Kind and fingerprint.
        key: String,
        /// As `which has expired`.
        cause: String,
    },
    /// It uses what can be forged.
    #[error("is signed with {what}, which is too weak")]
    Weak {
        /// As `SHA1`.
        what: String,
    },
    /// It is of a kind that is not verified.
    #[error("is signed with {what}, which is not supported")]
    Unsupported {
        /// As `an X.509 certificate`.
        what: &'static str,
    },
    /// It is no signature that can be read.
    #[error("has a signature that cannot be read")]
    Garbled,
    /// Commit or signature are larger than is ever verified.
    #[error("or its signature is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
}

impl Why {
    /// What to do about it, as a sentence for people.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unsigned => {
                "sign it with `git commit --amend -S`, or push a signed commit on top where the tip alone is verified"
            }
            Self::UnknownKey { .. } => {
                "add the key to a file of --verify-keys if its owner may change plans, else find out who pushed it"
            }
            Self::Mismatch { .. } => {
                "find out who pushed it: it was changed after it was signed, or signed by somebody else"
            }
            Self::KeyNotGood { .. } => {
                "sign it with a key that is good now, or renew the key and its entry in --verify-keys"
            }
            Self::Weak { .. } => "sign it with Ed25519, ECDSA, or RSA of 2048 bits or more, and SHA-256 or better",
            Self::Unsupported { .. } => "sign it with SSH (`gpg.format=ssh`) or OpenPGP",
            Self::Garbled => "sign it again with SSH or OpenPGP",
            Self::TooLarge { .. } => "make the commit's message shorter",
        }
    }
}
