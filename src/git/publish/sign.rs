//! Signs commits with an SSH key as git does, in OpenSSH's signature format.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use ssh_key::{HashAlg, LineEnding, PrivateKey};
use thiserror::Error;

/// What git signs for.
const NAMESPACE: &str = "git";

/// The largest key file, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// A private key by its file, which is read anew for each commit and never kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    file: PathBuf,
}

/// Why nothing can be signed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("cannot sign with the key in {}: {cause}", file.display())]
pub struct KeyError {
    file: PathBuf,
    cause: String,
}

impl KeyError {
    /// What to do about it, as a sentence for people.
    pub fn hint(&self) -> &'static str {
        "name a private SSH key without a passphrase, Ed25519 or ECDSA (of P-521 keys one in two cannot be read): \
         `ssh-keygen -t ed25519 -N ''` makes one"
    }
}

impl SigningKey {
    /// The key in a file.
    pub fn in_file(file: &Path) -> Self {
        Self { file: file.to_owned() }
    }

    /// Errs where the file gives no key that can sign.
    pub fn check(&self) -> Result<(), KeyError> {
        self.sign("").map(drop)
    }

    /// The armored signature of a commit without its signature.
    pub(super) fn sign(&self, commit: &str) -> Result<String, KeyError> {
        let failed = |cause: String| KeyError { file: self.file.clone(), cause };
        let mut text = String::new();
        let open = File::open(&self.file).map_err(|error| failed(error.to_string()))?;
        let read = open.take(FILE_BYTES_MAX).read_to_string(&mut text);
        read.map_err(|_| failed("it is no text".to_owned()))?;
        let key = PrivateKey::from_openssh(&text).map_err(|_| failed("it is no private OpenSSH key".to_owned()))?;
        if key.is_encrypted() {
            return Err(failed("it has a passphrase".to_owned()));
        }
        // The library garbles the primes of an RSA key.
        if key.algorithm().is_rsa() {
            return Err(failed("RSA keys are not supported".to_owned()));
        }
        let signature = key.sign(NAMESPACE, HashAlg::Sha512, commit.as_bytes());
        let armored = signature.and_then(|signature| signature.to_pem(LineEnding::LF));
        armored.map_err(|error| failed(error.to_string()))
    }
}
