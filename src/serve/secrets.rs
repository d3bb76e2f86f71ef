//! The webhook secrets: one a line in a file, read anew when the file changes, and shown to nobody.

use std::{
    fmt,
    io::Read as _,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use base64::Engine as _;
use ring::hmac;

/// The largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 16 << 10;
/// The most secrets at once: the present one and those that are being replaced.
const SECRETS_MAX: usize = 8;
/// The shortest secret, in bytes: shorter ones can be guessed.
const SECRET_BYTES_MIN: usize = 16;
/// What GitLab's signing tokens begin with; the rest is the key in base64.
const STANDARD_PREFIX: &str = "whsec_";

/// Why there are no secrets.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file can't be read.
    #[error("cannot read the webhook secrets in {}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        cause: std::io::Error,
    },
    /// The file holds none.
    #[error("{} holds no webhook secret", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// One can be guessed.
    #[error("a webhook secret in {} is shorter than {SECRET_BYTES_MIN} bytes", path.display())]
    Short {
        /// The file.
        path: PathBuf,
    },
    /// More than are ever of use.
    #[error("{} holds more than {SECRETS_MAX} webhook secrets", path.display())]
    Many {
        /// The file.
        path: PathBuf,
    },
}

impl SecretError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "give a text file that this user may read, at most 16 KiB",
            Self::Empty { .. } | Self::Short { .. } => "`openssl rand -hex 32` makes one; put one on a line",
            Self::Many { .. } => "keep those that forges still use",
        }
    }
}

/// One secret. It has no way to be shown.
pub struct Secret {
    key: hmac::Key,
    standard: Option<hmac::Key>,
    token: hmac::Tag,
}

impl Secret {
    fn new(text: &str) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes());
        let decoded = text.strip_prefix(STANDARD_PREFIX);
        let decoded = decoded.and_then(|rest| base64::engine::general_purpose::STANDARD.decode(rest).ok());
        let standard = decoded.map(|bytes| hmac::Key::new(hmac::HMAC_SHA256, &bytes));
        let token = hmac::sign(&key, text.as_bytes());
        Self { key, standard, token }
    }

    /// Whether the tag is the HMAC-SHA256 of the bytes; takes the same time whatever the tag is.
    pub fn signs(&self, bytes: &[u8], tag: &[u8]) -> bool {
        hmac::verify(&self.key, bytes, tag).is_ok()
    }

    /// The same with the key that a Standard Webhooks secret (`whsec_…`) stands for.
    pub fn signs_standard(&self, bytes: &[u8], tag: &[u8]) -> bool {
        hmac::verify(self.standard.as_ref().unwrap_or(&self.key), bytes, tag).is_ok()
    }

    /// Whether the text is the secret itself; tags are compared, so that neither length nor content shows in the time.
    pub fn is(&self, text: &[u8]) -> bool {
        hmac::verify(&self.key, text, self.token.as_ref()).is_ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Every secret that is accepted.
#[derive(Debug)]
pub struct Secrets(Vec<Secret>);

impl Secrets {
    /// One secret a line; blank lines are nothing.
    pub fn read(text: &str) -> Self {
        Self(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(Secret::new).collect())
    }

    /// Whether some secret holds; all are tried, so that the time does not tell which.
    pub fn any(&self, holds: impl Fn(&Secret) -> bool) -> bool {
        self.0.iter().fold(false, |found, secret| holds(secret) | found)
    }
}

/// The file.
#[derive(Debug)]
pub struct SecretFile {
    path: PathBuf,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    stamp: Option<Stamp>,
    secrets: Arc<Secrets>,
}

/// What tells one state of the file from another.
type Stamp = (u64, Option<SystemTime>);

impl SecretFile {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// Where it can't be read, or holds no good secret.
    pub fn open(path: PathBuf) -> Result<Self, SecretError> {
        let stamp = stamp(&path);
        let secrets = Arc::new(read(&path)?);
        Ok(Self { path, held: Mutex::new(Held { stamp, secrets }) })
    }

    /// The secrets as the file has them now; where it can't be read any more, the last good ones stay.
    pub fn now(&self) -> Arc<Secrets> {
        let stamp = stamp(&self.path);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if stamp != held.stamp {
            held.stamp = stamp;
            match read(&self.path) {
                Ok(secrets) => {
                    tracing::info!(file = %self.path.display(), "read the webhook secrets anew");
                    held.secrets = Arc::new(secrets);
                }
                Err(error) => tracing::warn!("{error}; {}; the former ones stay in force", error.hint()),
            }
        }
        held.secrets.clone()
    }
}

fn stamp(path: &PathBuf) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.len(), metadata.modified().ok()))
}

fn read(path: &PathBuf) -> Result<Secrets, SecretError> {
    let unreadable = |cause| SecretError::Unreadable { path: path.clone(), cause };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = String::new();
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(unreadable(std::io::Error::other("it has more than 16 KiB")));
    }
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    match lines.as_slice() {
        [] => Err(SecretError::Empty { path: path.clone() }),
        lines if lines.len() > SECRETS_MAX => Err(SecretError::Many { path: path.clone() }),
        lines if lines.iter().any(|line| line.len() < SECRET_BYTES_MIN) => {
            Err(SecretError::Short { path: path.clone() })
        }
        _ => Ok(Secrets::read(&text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "one-secret-of-some-length";
    const TWO: &str = "two-secret-of-some-length";

    #[test]
    fn secrets_are_read_anew_and_the_last_good_ones_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        assert!(matches!(SecretFile::open(path.clone()), Err(SecretError::Unreadable { .. })));
        for (text, is) in
            [("\n \n", "holds no"), ("short", "is shorter than 16"), (&format!("{ONE}\n").repeat(9), "more than 8")]
        {
            std::fs::write(&path, text).unwrap();
            assert!(SecretFile::open(path.clone()).unwrap_err().to_string().contains(is), "{text}");
        }
        std::fs::write(&path, format!("{ONE}\n")).unwrap();
        let file = SecretFile::open(path.clone()).unwrap();
        let accepts = |text: &str| file.now().any(|secret| secret.is(text.as_bytes()));
        assert!(accepts(ONE) && !accepts(TWO) && !accepts(""));
        std::fs::write(&path, format!("{TWO}\n\n{ONE}")).unwrap();
        assert!(accepts(ONE) && accepts(TWO));
        std::fs::write(&path, "").unwrap();
        assert!(accepts(ONE) && accepts(TWO));
        std::fs::remove_file(&path).unwrap();
        assert!(accepts(TWO));
        std::fs::write(&path, TWO).unwrap();
        assert!(!accepts(ONE) && accepts(TWO));
    }

    #[test]
    fn no_secret_is_shown() {
        let shown = format!("{:?}", Secrets::read(ONE));
        assert!(!shown.contains("one"), "{shown}");
    }
}
