//! Reads where a repository is: a path, or a URL by a grammar of its own, stricter than what Git takes.
//!
//! Git and libgit2 have run commands, written headers and followed other protocols because of what a URL held. So only
//! what needs no quoting anywhere gets through.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::SourceError;

/// How a repository is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// An absolute path on this machine: a bare repository, a working tree or a linked one.
    Local(PathBuf),
    /// Over the network.
    Network(Place),
}

/// A repository that another machine serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// The user, for SSH.
    pub user: Option<String>,
    /// A name or an address, in lower case, an IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// As written: of a URL with the leading slash, of `host:path` what follows the colon.
    pub path: String,
}

/// How a [`Place`] is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scheme {
    /// HTTP over TLS.
    Https,
    /// HTTP in the clear.
    Http,
    /// SSH, written `ssh://`.
    Ssh,
    /// SSH, written `host:path`: the path starts at the user's home.
    Scp,
}

impl Scheme {
    /// Whether it is SSH.
    pub fn is_ssh(self) -> bool {
        matches!(self, Self::Ssh | Self::Scp)
    }

    fn port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
            Self::Ssh | Self::Scp => 22,
        }
    }
}

impl Location {
    /// Reads a path, a `file://`, `https://`, `http://` or `ssh://` URL, or `user@host:path`; a relative path is completed
    /// with the working directory.
    pub fn parse(written: &str) -> Result<Self, SourceError> {
        let bad = |why| SourceError::Location { location: shown(written), why };
        if written.contains(|letter: char| letter.is_control()) {
            return Err(bad("it holds a control character"));
        }
        if written.starts_with('-') {
            return Err(bad("it looks like a flag"));
        }
        if let Some(rest) = written.strip_prefix("file://") {
            let path = rest.strip_prefix("localhost").unwrap_or(rest);
            if !path.starts_with('/') {
                return Err(bad("a file:// URL names a path on this machine, with three slashes"));
            }
            return local(&percent_decoded(path).ok_or_else(|| bad("its %-escapes are not UTF-8 text"))?, written);
        }
        if let Some((scheme, rest)) = written.split_once("://") {
            let scheme = match scheme {
                "https" => Scheme::Https,
                "http" => Scheme::Http,
                "ssh" => Scheme::Ssh,
                _ => return Err(bad("only https, ssh, http and file are followed")),
            };
            return url(scheme, rest, written).map(Self::Network);
        }
        if written.contains("::") && !written.starts_with(['/', '.']) {
            return Err(bad("remote helpers are never run"));
        }
        let first = written.split('/').next().unwrap_or_default();
        match first.split_once(':') {
            Some((host, _)) => {
                let path = written.get(host.len() + 1..).unwrap_or_default();
                place(Scheme::Scp, host, path, written).map(Self::Network)
            }
            None => local(written, written),
        }
    }

    /// The last component without `.git`; of a path to a `.git` folder, the component before it.
    pub fn name(&self) -> Option<String> {
        let path = match self {
            Self::Local(path) => path.as_path(),
            Self::Network(place) => Path::new(&place.path),
        };
        let path = if path.ends_with(".git") { path.parent()? } else { path };
        let last = path.file_name()?.to_string_lossy();
        let name = last.strip_suffix(".git").unwrap_or(&last);
        (!name.is_empty()).then(|| name.to_owned())
    }
}

impl Place {
    /// Whether it is this machine, so that nobody else hears what is said.
    pub fn is_loopback(&self) -> bool {
        let address: Option<std::net::IpAddr> = self.host.parse().ok();
        self.host == "localhost" || address.is_some_and(|address| address.is_loopback())
    }

    /// The host as it stands in a URL, with the port unless it is the scheme's own.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == self.scheme.port() { host } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => path.display().fmt(f),
            Self::Network(place) => place.fmt(f),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        let (authority, path) = (self.authority(), &self.path);
        match self.scheme {
            Scheme::Https => write!(f, "https://{authority}{path}"),
            Scheme::Http => write!(f, "http://{authority}{path}"),
            Scheme::Ssh => write!(f, "ssh://{user}{authority}{path}"),
            Scheme::Scp => write!(f, "{user}{authority}:{path}"),
        }
    }
}

fn local(path: &str, written: &str) -> Result<Location, SourceError> {
    let bad = |why| SourceError::Location { location: shown(written), why };
    if path.is_empty() || path.contains('\0') {
        return Err(bad("it is empty"));
    }
    std::path::absolute(Path::new(path)).map(Location::Local).map_err(|_| bad("there is no working directory"))
}

fn url(scheme: Scheme, rest: &str, written: &str) -> Result<Place, SourceError> {
    let bad = |why| SourceError::Location { location: shown(written), why };
    let (authority, path) = rest.split_at(rest.find('/').ok_or_else(|| bad("it has no path"))?);
    place(scheme, authority, path, written)
}

fn place(scheme: Scheme, authority: &str, path: &str, written: &str) -> Result<Place, SourceError> {
    let bad = |why| SourceError::Location { location: shown(written), why };
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let (host, port) = split_port(host).ok_or_else(|| bad("its port is not a number"))?;
    if !is_host(host) {
        return Err(bad("its host is neither a name nor an address"));
    }
    let host = host.to_ascii_lowercase();
    let user = match user {
        None => None,
        Some(user) if scheme.is_ssh() && is_plain(user, "") => Some(user.to_owned()),
        Some(_) => return Err(SourceError::Userinfo { host }),
    };
    if !is_plain(path, "/~+,=:@%") || !escapes_are_harmless(path) {
        return Err(bad("its path holds a character that has to be written as %XX, or one that is never followed"));
    }
    let trimmed = path.trim_matches('/');
    if trimmed.is_empty() || trimmed.starts_with('-') || trimmed.split('/').any(|name| name == "..") {
        return Err(bad("its path names no repository"));
    }
    Ok(Place { scheme, user, host, port: port.unwrap_or(scheme.port()), path: path.trim_end_matches('/').to_owned() })
}

/// The host without brackets, and the port.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0 && !text.starts_with('+'));
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(number(port)?))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    match authority.split_once(':') {
        Some((host, port)) => Some((host, Some(number(port)?))),
        None => Some((authority, None)),
    }
}

fn is_host(host: &str) -> bool {
    let name = !host.starts_with(['-', '.']) && is_plain(host, "");
    host.len() <= 253 && (name || host.parse::<std::net::Ipv6Addr>().is_ok())
}

fn is_plain(text: &str, also: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter) || also.contains(letter);
    !text.is_empty() && text.chars().all(plain)
}

/// Whether each `%` begins the escape of a character that is text and that no shell or header gives a meaning.
fn escapes_are_harmless(path: &str) -> bool {
    path.split('%').skip(1).all(|after| {
        let code = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        code.is_some_and(|code| code >= 0x20 && code != 0x7f && !b"'\"\\!$`/;|&".contains(&code))
    })
}

/// What was written, without a user part, where people put tokens, and without what would turn the line around.
fn shown(written: &str) -> String {
    let (scheme, rest) = written.split_once("://").unwrap_or(("", written));
    let rest = rest.rsplit_once('@').map_or_else(|| rest.to_owned(), |(_, host)| format!("…@{host}"));
    let text = if scheme.is_empty() { rest } else { format!("{scheme}://{rest}") };
    text.escape_debug().take(200).collect()
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

    fn network(written: &str) -> Place {
        match Location::parse(written) {
            Ok(Location::Network(place)) => place,
            other => panic!("{written}: {other:?}"),
        }
    }

    #[test]
    fn urls_are_read_and_written_alike() {
        for written in [
            "https://git.example.com/shop/plans.git",
            "https://[::1]:8443/plans.git",
            "http://127.0.0.1:8080/plans",
            "ssh://git@git.example.com:2222/shop/plans.git",
            "ssh://git.example.com/~ann/plans.git",
            "git@git.example.com:shop/plans.git",
            "git@ssh.dev.example.com:v3/shop/My%20Project/plans",
        ] {
            assert_eq!(network(written).to_string(), written);
        }
        assert_eq!(network("https://Git.Example.com:443/plans/").to_string(), "https://git.example.com/plans");
        assert_eq!(network("git@host:/srv/plans.git").path, "/srv/plans.git");
        assert_eq!(network("ssh://git@host/plans").port, 22);
    }

    #[test]
    fn what_has_run_commands_elsewhere_is_refused() {
        for written in [
            "ext::sh -c id",
            "git://example.com/plans",
            "ftp://example.com/plans",
            "-uorigin",
            "--upload-pack=id",
            "ssh://-oProxyCommand=id/plans",
            "ssh://git@host/-plans",
            "git@host:-plans",
            "git@host:plans'$(id)'",
            "git@host:\"plans\"",
            "ssh://git@host/plans%27",
            "ssh://git@host/plans%00",
            "https://host/plans%0d%0aHost:x",
            "https://host/a\nb",
            "https://host/a b",
            "https://host/a?b",
            "https://host/a#b",
            "https://host/a%2",
            "https://host/../a",
            "https://host",
            "https://host/",
            "https:///plans",
            "https://host:0/plans",
            "https://host:99999/plans",
            "https://ho%73t/plans",
            "https://[::1/plans",
            "ssh://a:b@host/plans",
            "git@host:",
            "file://elsewhere/plans",
            "",
        ] {
            assert!(Location::parse(written).is_err(), "{written:?}");
        }
        assert!(Location::parse("./a:b").is_ok());
    }

    #[test]
    fn a_secret_in_a_url_is_refused_and_not_repeated() {
        for written in [
            "https://user:sesame@host/plans",
            "https://sesame@host/plans",
            "ssh://git:sesame@host/plans",
            "https://user:sesame@host/a b",
            "https://user:ses/ame@host/plans",
            "ftp://user:sesame@host/plans",
        ] {
            let error = Location::parse(written).unwrap_err();
            let text = format!("{error} {error:?} {}", error.hint());
            assert!(!text.contains("sesame") && !text.contains("ame@"), "{text}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (written, is) in [
            ("http://127.0.0.1/p", true),
            ("http://[::1]/p", true),
            ("http://localhost/p", true),
            ("http://127.0.0.1.example.com/p", false),
            ("http://10.0.0.1/p", false),
        ] {
            assert_eq!(network(written).is_loopback(), is, "{written}");
        }
    }
}
