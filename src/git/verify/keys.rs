//! Reads the files that say whose signatures count, anew at each look.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::openpgp::{self, Certificate};
use super::ssh::{self, Signer};

/// The largest key file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

const PGP_BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
const PGP_END: &str = "-----END PGP PUBLIC KEY BLOCK-----";

/// Why a key file gives no keys; then nothing can be verified.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeysError {
    /// It is not there, is no file, or may not be read.
    #[error("cannot read the keys in {}: {cause}", file.display())]
    Read {
        /// The file as configured.
        file: PathBuf,
        /// What the operating system says.
        cause: String,
    },
    /// It is larger than any list of keys.
    #[error("cannot read the keys in {}: it is larger than {FILE_BYTES_MAX} bytes", file.display())]
    TooLarge {
        /// The file as configured.
        file: PathBuf,
    },
    /// A line or block of it is no key that counts.
    #[error("cannot read the keys in {}: line {line}: {cause}", file.display())]
    Line {
        /// The file as configured.
        file: PathBuf,
        /// Counted from 1; of a block the first.
        line: usize,
        /// What is wrong with it.
        cause: String,
    },
    /// It holds no key at all.
    #[error("cannot read the keys in {}: it holds none", file.display())]
    Empty {
        /// The file as configured.
        file: PathBuf,
    },
}

impl KeysError {
    /// What to do about it, as a sentence for people.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Read { .. } | Self::TooLarge { .. } => {
                "name a file of public keys that this user may read; it is read anew at each look"
            }
            Self::Line { .. } | Self::Empty { .. } => {
                "write lines as ssh-keygen's allowed_signers has them, or what `gpg --armor --export` prints"
            }
        }
    }
}

/// Everybody whose signature counts.
#[derive(Default)]
pub(crate) struct KeyRing {
    pub(super) ssh: Vec<Signer>,
    pub(super) openpgp: Vec<Certificate>,
}

/// The key files, with what was last read in them.
pub(crate) struct Keys {
    files: Vec<PathBuf>,
    texts: Vec<Vec<u8>>,
    ring: KeyRing,
}

impl Keys {
    pub(crate) fn new(files: Vec<PathBuf>) -> Self {
        Self { files, texts: Vec::new(), ring: KeyRing::default() }
    }

    /// The keys as the files have them now.
    pub(crate) fn ring(&mut self) -> Result<&KeyRing, KeysError> {
        let texts = self.files.iter().map(|file| read(file)).collect::<Result<Vec<_>, _>>()?;
        if texts != self.texts {
            let mut ring = KeyRing::default();
            for (file, text) in self.files.iter().zip(&texts) {
                add(&mut ring, file, text)?;
            }
            (self.ring, self.texts) = (ring, texts);
        }
        Ok(&self.ring)
    }
}

/// Whether the files give keys, for whoever names them on the command line.
///
/// # Errors
/// As the first file that gives none.
pub fn check_keys(files: &[PathBuf]) -> Result<(), KeysError> {
    Keys::new(files.to_vec()).ring().map(drop)
}

fn read(file: &Path) -> Result<Vec<u8>, KeysError> {
    let failed = |cause: io::Error| KeysError::Read { file: file.to_owned(), cause: cause.to_string() };
    // A pipe would be waited for.
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(KeysError::Read { file: file.to_owned(), cause: "it is not a file".to_owned() });
    }
    let mut text = Vec::new();
    File::open(file).and_then(|open| open.take(FILE_BYTES_MAX + 1).read_to_end(&mut text)).map_err(failed)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(KeysError::TooLarge { file: file.to_owned() });
    }
    Ok(text)
}

/// Adds the keys of a file: OpenPGP blocks, or a line per SSH key.
fn add(ring: &mut KeyRing, file: &Path, text: &[u8]) -> Result<(), KeysError> {
    let line = |line: usize, cause: String| KeysError::Line { file: file.to_owned(), line, cause };
    let text = std::str::from_utf8(text).map_err(|_| line(1, "it is not text; export keys with --armor".to_owned()))?;
    let before = ring.ssh.len() + ring.openpgp.len();
    let mut block: Option<(usize, String)> = None;
    for (number, written) in text.lines().enumerate().map(|(at, written)| (at + 1, written.trim())) {
        if let Some((start, mut armored)) = block.take() {
            armored.push_str(written);
            armored.push('\n');
            if written == PGP_END {
                ring.openpgp.extend(openpgp::certificates(&armored).map_err(|cause| line(start, cause))?);
            } else {
                block = Some((start, armored));
            }
        } else if written == PGP_BEGIN {
            block = Some((number, format!("{written}\n")));
        } else if written.contains("PRIVATE KEY") {
            return Err(line(
                number,
                "it is a private key; keep it where it belongs and list the public one".to_owned(),
            ));
        } else if !written.is_empty() && !written.starts_with('#') {
            ring.ssh.push(ssh::signer(written).map_err(|cause| line(number, cause))?);
        }
    }
    if let Some((start, _)) = block {
        return Err(line(start, "the block has no end".to_owned()));
    }
    if ring.ssh.len() + ring.openpgp.len() == before {
        return Err(KeysError::Empty { file: file.to_owned() });
    }
    Ok(())
}
