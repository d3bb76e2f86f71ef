//! Reads the plan repositories: where each is, what it alone is reached with, and what its plans may be about.

use std::{
    collections::BTreeSet,
    fmt::Display,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use crate::{
    git::{Access, Location, SourceError, Verify, VerifyMode},
    plan::{
        Allow, Span, codes,
        node::{Content, Entry, Node},
        read::place,
        report::Report,
    },
};

use super::read::{text, whole};

/// What a file says of one plan repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Where it is, as written; without a secret.
    pub url: String,
    /// Its name: the given one, or the last component of the URL.
    pub name: String,
    /// The branch.
    pub branch: Option<String>,
    /// The folder.
    pub path: Option<String>,
    /// How often it is looked at.
    pub interval: Option<Duration>,
    /// What it alone is reached with: files and names. Limits and all else are as for all.
    pub credentials: Access,
    /// What commits are pushed to it with, where that is something else.
    pub push: PushCredentials,
    /// Which of its commits must be signed.
    pub verify: Option<Verify>,
    /// What looking at it may take.
    pub limits: Looks,
    /// What its plans and objects may be about.
    pub allow: Allow,
}

/// What looking at one repository may take; what is left out is as for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looks {
    /// How long a look may take.
    pub look: Option<Duration>,
    /// How long a fetch may take.
    pub fetch: Option<Duration>,
    /// How many bytes one fetch may bring.
    pub bytes: Option<u64>,
    /// How many objects one fetch may bring.
    pub objects: Option<u64>,
}

/// What commits are pushed with; what is left out is that for reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushCredentials {
    /// A file that holds a token.
    pub token_file: Option<PathBuf>,
    /// The user that token, password or SSH key belong to.
    pub user: Option<String>,
    /// A file with a password.
    pub password_file: Option<PathBuf>,
    /// A private key for SSH.
    pub ssh_key: Option<PathBuf>,
}

/// Fields that exclude each other: a connection has one secret.
const APART: [(&str, &str); 2] = [("tokenFile", "passwordFile"), ("pushTokenFile", "pushPasswordFile")];
/// Fields that are nothing without the other.
const TOGETHER: [(&str, &str); 6] = [
    ("passwordFile", "username"),
    ("clientCert", "clientKey"),
    ("clientKey", "clientCert"),
    ("pushPasswordFile", "pushUser"),
    ("verify", "verifyKeys"),
    ("verifyKeys", "verify"),
];

/// The repositories of a configuration; none where it lists none.
pub(super) fn repositories(node: &Node, folder: &Path, report: &mut Report<'_>) -> Vec<Repository> {
    let Some(entry) = node.entry("repositories") else { return Vec::new() };
    if matches!(&entry.node.content, Content::List(items) if items.is_empty()) {
        let message = "`repositories` is empty: there is nothing to follow";
        report.hint(codes::PL04, &entry.key_span, message, "write e.g. `repositories: [{url: …}]`, or leave it out");
    }
    let mut names = BTreeSet::new();
    let mut found = Vec::new();
    for node in entry.node.items() {
        let Some(repository) = repository(node, folder, report) else { continue };
        if !names.insert(repository.name.clone()) {
            let message = format!("two repositories are called `{}`", repository.name.escape_debug());
            let at = node.get("name").or_else(|| node.get("url")).map_or(&node.span, place);
            report.hint(codes::CF01, at, message, "give each a `name` of its own");
        }
        found.push(repository);
    }
    found
}

fn repository(node: &Node, folder: &Path, report: &mut Report<'_>) -> Option<Repository> {
    credentials_fit(node, report);
    let url = node.get("url").filter(|url| url.text().is_some());
    let location = url.and_then(|url| location(url, report));
    let interval: Option<Span> = node.get("interval").and_then(Node::text).and_then(|text| text.parse().ok());
    if interval.is_some_and(|interval| interval.seconds() == 0) {
        let at = node.get("interval").map_or(&node.span, place);
        report.hint(codes::PL17, at, "an interval of 0 s would look without a pause", "write at least 1s");
    }
    let file = |field: &str| text(node, field).map(|file| folder.join(file));
    let (verify, limits) = (verify(node, folder, report), limits(node, report));
    let allow = allow(node, report);
    Some(Repository {
        name: name(node, url?, &location?, report)?,
        url: text(node, "url")?,
        branch: text(node, "branch"),
        path: text(node, "path"),
        interval: interval.map(|span| Duration::from_secs(span.seconds())),
        credentials: Access {
            token_file: file("tokenFile"),
            username: text(node, "username"),
            password_file: file("passwordFile"),
            ca_file: file("caFile"),
            client_cert: file("clientCert"),
            client_key: file("clientKey"),
            ssh_key: file("sshKey"),
            ssh_passphrase_file: file("sshPassphraseFile"),
            known_hosts: file("knownHosts"),
            proxy: text(node, "proxy"),
            proxy_auth_file: file("proxyAuthFile"),
            ..Access::default()
        },
        push: PushCredentials {
            token_file: file("pushTokenFile"),
            user: text(node, "pushUser"),
            password_file: file("pushPasswordFile"),
            ssh_key: file("pushSshKey"),
        },
        verify,
        limits,
        allow,
    })
}

fn limits(node: &Node, report: &mut Report<'_>) -> Looks {
    let Some(node) = node.get("limits") else { return Looks::default() };
    let mut duration = |field: &str| {
        let written = node.get(field)?;
        let span: Span = written.text()?.parse().ok()?;
        if span.seconds() == 0 {
            report.hint(codes::PL17, place(written), format!("`{field}` of 0 s leaves no time"), "write at least 1s");
        }
        Some(Duration::from_secs(span.seconds()))
    };
    Looks {
        look: duration("look"),
        fetch: duration("fetch"),
        bytes: whole::<u64>(node, "fetchMiB").map(|mebibytes| mebibytes << 20),
        objects: whole(node, "fetchObjects"),
    }
}

/// Where it is; a URL with a secret in it is refused without repeating it.
fn location(url: &Node, report: &mut Report<'_>) -> Option<Location> {
    let error = match Location::parse(url.text()?) {
        Ok(location) => return Some(location),
        Err(error) => error,
    };
    let hint = match &error {
        SourceError::Userinfo { .. } => "write it without, take the secret back, and give it by `tokenFile`",
        _ => error.hint(),
    };
    report.hint(codes::CF05, place(url), error.to_string(), hint);
    None
}

/// The name that stands in objects, status and metrics.
fn name(node: &Node, url: &Node, location: &Location, report: &mut Report<'_>) -> Option<String> {
    let given = node.get("name").and_then(|node| Some((node, node.text()?.to_owned())));
    let Some((at, name)) = given.or_else(|| Some((url, location.name()?))) else {
        report.hint(codes::CF05, place(url), "the URL has no last component", "give the repository a `name`");
        return None;
    };
    // A folder is called so, too.
    if matches!(&*name, "" | "." | "..") || name.contains(|letter: char| letter == '/' || letter.is_control()) {
        let message = format!("`{}` is no name of a repository", name.escape_debug());
        report.hint(codes::PL06, place(at), message, "write one without `/`");
    }
    Some(name)
}

fn credentials_fit(node: &Node, report: &mut Report<'_>) {
    for (one, other) in APART {
        if let (Some(_), Some(entry)) = (node.get(one), node.entry(other).filter(|entry| !entry.node.is_null())) {
            let message = format!("`{one}` and `{other}` are both given");
            report.hint(codes::CF06, &entry.key_span, message, "keep one of them");
        }
    }
    for (given, needed) in TOGETHER {
        if let Some(entry) = node.entry(given).filter(|entry| !entry.node.is_null() && node.get(needed).is_none()) {
            let message = format!("`{given}` stands without `{needed}`");
            report.hint(codes::CF06, &entry.key_span, message, format!("write `{needed}`, too"));
        }
    }
}

/// Which commits must be signed.
fn verify(node: &Node, folder: &Path, report: &mut Report<'_>) -> Option<Verify> {
    let keys = node.get("verifyKeys")?;
    if matches!(&keys.content, Content::List(items) if items.is_empty()) {
        let message = "`verifyKeys` is empty: no signature would count";
        report.hint(codes::PL04, place(keys), message, "name the files of the keys that sign");
    }
    let mode = if node.get("verify")?.text()? == "every" { VerifyMode::Every } else { VerifyMode::Tip };
    let keys = keys.items().iter().filter_map(Node::text).map(|file| folder.join(file)).collect();
    Some(Verify { mode, keys })
}

/// What the plans and objects may be about.
fn allow(node: &Node, report: &mut Report<'_>) -> Allow {
    let Some(entry) = node.entry("allow") else { return Allow::default() };
    said("allow", entry, report);
    let node = &entry.node;
    Allow {
        namespaces: patterns(node, "namespaces", report),
        hosts: patterns(node, "hosts", report),
        gateways: patterns(node, "gateways", report),
        kinds: patterns(node, "kinds", report),
    }
}

/// Reports a field without a value: whether it allows everything or nothing must not be guessed.
fn said(field: &str, entry: &Entry, report: &mut Report<'_>) {
    if entry.node.is_null() {
        let hint = "leave it out to allow everything, or write `[]` for nothing";
        report.hint(codes::PL04, &entry.key_span, format!("`{field}` has no value"), hint);
    }
}

/// The patterns of a list; none where it is left out.
fn patterns<P>(node: &Node, field: &str, report: &mut Report<'_>) -> Option<Vec<P>>
where
    P: FromStr,
    P::Err: Display,
{
    let entry = node.entry(field)?;
    said(field, entry, report);
    let read = entry.node.items().iter().filter_map(|item| {
        let written = item.text()?;
        let pattern = written.parse::<P>();
        if let Err(hint) = &pattern {
            let message = format!("`{}` is no pattern of `{field}`", written.escape_debug());
            report.hint(codes::CF07, place(item), message, hint.to_string());
        }
        pattern.ok()
    });
    Some(read.collect())
}
