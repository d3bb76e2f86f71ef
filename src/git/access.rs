//! What a repository over the network is reached with: credentials, trust, proxy and limits, as configured.
//!
//! Secrets are named by files and read anew for each connection, so that a rotated one is used at once.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::net::{Basic, Client, Fault, Keys, Proxy, SshKeys};
use super::{Location, Place, Scheme, SourceError};

/// The largest file of credentials that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What a token is accepted with, where the server wants no certain user.
const TOKEN_USER: &str = "x-access-token";

/// The environment variable that may hold a token.
pub const TOKEN_VARIABLE: &str = "TIDEGATE_GIT_TOKEN";

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text from being printed.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// What an environment variable holds, if anything.
    pub fn of_environment(name: &str) -> Option<Self> {
        std::env::var(name).ok().filter(|text| !text.is_empty()).map(Self)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// With what, and within which limits, a repository over the network is reached.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Access {
    /// A token, sent as password.
    pub token: Option<Secret>,
    /// A file that holds one.
    pub token_file: Option<PathBuf>,
    /// The user that token or password belong to; for SSH the user to log in as where the URL names none.
    pub username: Option<String>,
    /// A file with a password.
    pub password_file: Option<PathBuf>,
    /// Certificates (PEM) of authorities that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// A certificate chain (PEM) to show to the server.
    pub client_cert: Option<PathBuf>,
    /// The key of it (PEM).
    pub client_key: Option<PathBuf>,
    /// A private key for SSH.
    pub ssh_key: Option<PathBuf>,
    /// A file with its passphrase.
    pub ssh_passphrase_file: Option<PathBuf>,
    /// The host keys that are trusted, as OpenSSH keeps them.
    pub known_hosts: Option<PathBuf>,
    /// The proxy that https and http go through, `http://host:port`.
    pub proxy: Option<String>,
    /// A file with `user:password` for the proxy.
    pub proxy_auth_file: Option<PathBuf>,
    /// Whether plain http to other machines is followed.
    pub allow_http: bool,
    /// How long and how much.
    pub limits: Limits,
    /// The program that speaks to the network; without it, this one.
    pub program: Option<PathBuf>,
}

/// How long one operation may take, and how much one fetch may bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a look may take.
    pub look: Duration,
    /// How long a fetch may take.
    pub fetch: Duration,
    /// How many bytes one fetch may bring.
    pub bytes: u64,
    /// How many objects one fetch may bring.
    pub objects: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { look: Duration::from_secs(20), fetch: Duration::from_secs(120), bytes: 512 << 20, objects: 2_000_000 }
    }
}

impl Access {
    /// Errs where it does not fit the location.
    pub(super) fn check(&self, location: &Location) -> Result<(), SourceError> {
        let Location::Network(place) = location else { return Ok(()) };
        let missing = |what| SourceError::Missing { location: location.to_string(), what };
        let wrong = |what, hint| Err(SourceError::Access { what, hint });
        if place.scheme.is_ssh() {
            if self.known_hosts.is_none() {
                return Err(missing("--git-known-hosts, a file with the host keys that are trusted"));
            }
            if self.ssh_key.is_none() {
                return Err(missing("--git-ssh-key, a private key"));
            }
            if self.proxy.is_some() {
                return wrong("--git-proxy is for https and http", "leave it out, or follow the repository by https");
            }
            return Ok(());
        }
        if self.client_cert.is_some() != self.client_key.is_some() {
            return wrong("a client certificate needs its key", "give both --git-client-cert and --git-client-key");
        }
        if self.password_file.is_some() && self.token_file.is_some() {
            return wrong("both a token and a password are given", "give one of --git-token-file, --git-password-file");
        }
        if self.password_file.is_some() && self.username.is_none() {
            return wrong("a password needs its user", "give --git-username, too");
        }
        if self.proxy.as_deref().is_some_and(|written| proxy_place(written).is_none()) {
            return wrong(
                "--git-proxy is no proxy",
                "write http://host:port; a user and password go to --git-proxy-auth-file",
            );
        }
        if place.scheme == Scheme::Http && !place.is_loopback() {
            let location = location.to_string();
            if self.token.is_some() || self.token_file.is_some() || self.password_file.is_some() {
                return Err(SourceError::PlainCredentials { location });
            }
            if !self.allow_http {
                return Err(SourceError::PlainHttp { location });
            }
        }
        Ok(())
    }

    /// Reads the files that a connection to `place` needs.
    pub(super) fn keys(&self, place: &Place) -> Result<Keys, Fault> {
        let user = |name: &str| self.username.clone().unwrap_or_else(|| name.to_owned());
        if place.scheme.is_ssh() {
            let needed =
                |path: &Option<PathBuf>, what| path.as_deref().map_or(Ok(String::new()), |path| read(path, what));
            return Ok(Keys::Ssh(SshKeys {
                user: place.user.clone().unwrap_or_else(|| user("git")),
                key: needed(&self.ssh_key, "the SSH key")?,
                passphrase: optional_line(self.ssh_passphrase_file.as_deref(), "the passphrase of the SSH key")?,
                known_hosts: needed(&self.known_hosts, "the known hosts")?,
            }));
        }
        let password = optional_line(self.password_file.as_deref(), "the password")?;
        let token = optional_line(self.token_file.as_deref(), "the token")?;
        let token = token.or_else(|| self.token.as_ref().map(|secret| secret.0.clone()));
        let secret = password.or(token);
        Ok(Keys::Http {
            basic: secret.map(|password| Basic { user: user(TOKEN_USER), password }),
            ca: self.ca_file.as_deref().map(|path| read(path, "the certificate authorities")).transpose()?,
            client: self.client()?,
            proxy: self.proxy()?,
        })
    }

    fn client(&self) -> Result<Option<Client>, Fault> {
        let (Some(chain), Some(key)) = (&self.client_cert, &self.client_key) else { return Ok(None) };
        let chain = read(chain, "the client certificate")?;
        Ok(Some(Client { chain, key: read(key, "the key of the client certificate")? }))
    }

    fn proxy(&self) -> Result<Option<Proxy>, Fault> {
        let Some(place) = self.proxy.as_deref().and_then(proxy_place) else { return Ok(None) };
        let auth = optional_line(self.proxy_auth_file.as_deref(), "the proxy's user and password")?;
        let basic = auth.map(|auth| match auth.split_once(':') {
            Some((user, password)) => Basic { user: user.to_owned(), password: password.to_owned() },
            None => Basic { user: auth, password: String::new() },
        });
        Ok(Some(Proxy { host: place.host, port: place.port, basic }))
    }
}

fn proxy_place(written: &str) -> Option<Place> {
    // Any path makes it a location; a proxy has none.
    let rest = written.strip_prefix("http://")?.trim_end_matches('/');
    match Location::parse(&format!("http://{rest}/proxy")) {
        Ok(Location::Network(place)) if place.path == "/proxy" => Some(place),
        _ => None,
    }
}

/// The first line of a file, for secrets that editors end with one.
fn optional_line(path: Option<&Path>, what: &'static str) -> Result<Option<String>, Fault> {
    let Some(path) = path else { return Ok(None) };
    let text = read(path, what)?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() || line.contains(|letter: char| letter.is_control()) {
        let why = "its first line is empty or no text".to_owned();
        return Err(Fault::Credentials { what: what.to_owned(), path: path.display().to_string(), why });
    }
    Ok(Some(line.to_owned()))
}

fn read(path: &Path, what: &'static str) -> Result<String, Fault> {
    let failed = |why: String| Fault::Credentials { what: what.to_owned(), path: path.display().to_string(), why };
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text));
    match read {
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Err(failed("it is no text".to_owned())),
        Err(error) => Err(failed(error.to_string())),
        Ok(size) if size as u64 > FILE_BYTES_MAX => Err(failed("it is larger than 1 MiB".to_owned())),
        Ok(_) => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(location: &str, access: &Access) -> Result<(), SourceError> {
        access.check(&Location::parse(location).unwrap())
    }

    #[test]
    fn a_secret_is_never_printed() {
        let access = Access { token: Some(Secret::new("sesame")), ..Access::default() };
        assert!(!format!("{access:?}").contains("sesame"));
    }

    #[test]
    fn ssh_needs_known_hosts_and_a_key() {
        let mut access = Access::default();
        assert!(matches!(check("git@host:plans", &access), Err(SourceError::Missing { .. })));
        access.known_hosts = Some("/known".into());
        assert!(matches!(check("git@host:plans", &access), Err(SourceError::Missing { .. })));
        access.ssh_key = Some("/key".into());
        assert_eq!(check("git@host:plans", &access), Ok(()));
        access.proxy = Some("http://proxy:3128".into());
        assert!(matches!(check("git@host:plans", &access), Err(SourceError::Access { .. })));
    }

    #[test]
    fn nothing_secret_is_sent_in_the_clear_to_another_machine() {
        let mut access = Access::default();
        assert_eq!(check("http://127.0.0.1/p", &access), Ok(()));
        assert!(matches!(check("http://host/p", &access), Err(SourceError::PlainHttp { .. })));
        access.allow_http = true;
        assert_eq!(check("http://host/p", &access), Ok(()));
        access.token = Some(Secret::new("sesame"));
        assert!(matches!(check("http://host/p", &access), Err(SourceError::PlainCredentials { .. })));
        assert_eq!(check("http://localhost/p", &access), Ok(()));
    }

    #[test]
    fn a_proxy_is_a_host_and_a_port() {
        for (written, is) in [
            ("http://proxy:3128", true),
            ("http://proxy:3128/", true),
            ("https://proxy:3128", false),
            ("http://user:word@proxy:3128", false),
            ("http://proxy/path", false),
            ("proxy:3128", false),
        ] {
            assert_eq!(proxy_place(written).is_some(), is, "{written}");
        }
    }

    #[test]
    fn of_a_secret_s_file_the_first_line_counts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "sesame\n").unwrap();
        assert_eq!(optional_line(Some(&file), "the token"), Ok(Some("sesame".to_owned())));
        for bad in ["", "\n", "a\u{1}b\n"] {
            std::fs::write(&file, bad).unwrap();
            assert!(optional_line(Some(&file), "the token").is_err(), "{bad:?}");
        }
        std::fs::write(&file, vec![b'a'; (FILE_BYTES_MAX + 1) as usize]).unwrap();
        assert!(optional_line(Some(&file), "the token").is_err());
        assert!(optional_line(Some(&folder.path().join("none")), "the token").is_err());
    }
}
