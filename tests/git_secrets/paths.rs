//! The ways in which a look can fail, each with the secret in every place that has one.

use std::path::PathBuf;

use base64::Engine;

use super::bed::Bed;
use super::support::certificates::Certificates;
use super::support::git_http::GitHttp;
use super::support::sshd::{Sshd, key};

const SECRET: &str = "sesame4f2c8a6b1d3e";

/// How a command ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// It is refused.
    AtStart,
    /// `diff` ends with code 3, `run` goes on.
    Never,
    /// It works.
    Well,
}

/// One way.
pub struct Way {
    pub name: String,
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
    /// What is said, so that it is known that this way was gone.
    pub says: &'static str,
    pub ends: Ends,
}

/// The ways, with the servers that they lead to.
pub struct Paths {
    ways: Vec<Way>,
    vault: PathBuf,
    _servers: Vec<GitHttp>,
    _sshd: Sshd,
}

impl Paths {
    pub async fn open(bed: &Bed) -> Self {
        let home = bed.repository.home();
        let vault = home.join("vault");
        std::fs::create_dir(&vault).unwrap();
        bed.repository.bare();
        let mut paths = Self { ways: Vec::new(), vault, _servers: Vec::new(), _sshd: Sshd::start(home) };
        paths.keep("token", SECRET);
        paths.keep("pair", &format!("ada:{SECRET}"));
        paths.http(bed);
        paths.tls(bed);
        paths.ssh(bed);
        paths.usage();
        paths
    }

    pub fn ways(&self) -> &[Way] {
        &self.ways
    }

    /// The secret as it is, as it is sent, and the middle of each private key.
    pub fn needles(&self) -> Vec<String> {
        let base64 =
            |text: &str| base64::engine::general_purpose::STANDARD.encode(text).trim_end_matches('=').to_owned();
        let mut needles = vec![SECRET.to_owned(), base64(SECRET)];
        needles.extend(["x-access-token", "ada", "git"].map(|user| base64(&format!("{user}:{SECRET}"))));
        for name in ["closed", "client.key"] {
            let text = std::fs::read_to_string(self.vault.join(name)).unwrap();
            needles.push(text.lines().nth(1).unwrap()[20..].to_owned());
        }
        needles
    }

    fn keep(&self, name: &str, text: &str) -> String {
        let path = self.vault.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn file(&self, name: &str) -> String {
        self.vault.join(name).display().to_string()
    }

    fn way(&mut self, name: &str, url: &str, more: &[&str], says: &'static str, ends: Ends) {
        let mut arguments = vec!["--repo".to_owned(), url.to_owned()];
        arguments.extend(more.iter().map(|word| (*word).to_owned()));
        self.ways.push(Way { name: name.to_owned(), arguments, environment: Vec::new(), says, ends });
    }

    fn http(&mut self, bed: &Bed) {
        let (token, pair) = (self.file("token"), self.file("pair"));
        let sent = base64::engine::general_purpose::STANDARD.encode(format!("x-access-token:{SECRET}"));
        let echo = format!("the token {SECRET} is bad, and so is Basic {sent}");
        let back = format!("Location: /{SECRET}/origin.git/info/refs\r\n");
        let away = format!("Location: http://{SECRET}.example.com/{SECRET}\r\n");
        let odd = format!("Content-Type: text/{SECRET}\r\n");
        let advertised = "Content-Type: application/x-git-upload-pack-advertisement\r\n";
        let refusal = format!("001e# service=git-upload-pack\n0000{:04x}ERR {echo}", echo.len() + 8);
        let plain = "Content-Type: text/plain\r\n";
        let answers: [(&str, &str, &str, &'static str); 11] = [
            ("401 Unauthorized", plain, &echo, "refuses the credentials"),
            ("403 Forbidden", plain, &echo, "denies access: the token … is bad, and so is Basic …"),
            ("404 Not Found", plain, &echo, "is not there: the token …"),
            ("407 Proxy Authentication Required", plain, &echo, "it asks for other credentials"),
            ("429 Too Many Requests", plain, &echo, "asks for patience"),
            ("500 Internal Server Error", plain, &echo, "answers HTTP 500: the token …"),
            ("302 Found", &back, "", "redirects to"),
            ("301 Moved Permanently", &away, "", "redirects to"),
            ("200 OK", &odd, &echo, "answers `text/…` instead"),
            ("200 OK", advertised, &refusal, "the token …"),
            ("200 OK", advertised, &echo, "127.0.0.1"),
        ];
        for (status, headers, body, says) in answers {
            let server = GitHttp::start(bed.repository.home());
            server.rule(|rules| rules.instead = Some((status.to_owned(), headers.to_owned(), body.to_owned())));
            let url = server.url("origin.git");
            self.way(&format!("{status} {headers}"), &url, &["--git-token-file", &token], says, Ends::Never);
            self._servers.push(server);
        }
        let server = GitHttp::start(bed.repository.home());
        let url = server.url("origin.git");
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let nobody = format!("http://{closed}/origin.git");
        self.way("nobody listens", &nobody, &["--git-token-file", &token], "cannot be reached", Ends::Never);
        self.way(
            "a password",
            &nobody,
            &["--git-username", "ada", "--git-password-file", &token],
            "cannot be",
            Ends::Never,
        );
        let proxy = format!("http://{closed}");
        let through = ["--git-proxy", &proxy, "--git-proxy-auth-file", &pair, "--git-token-file", &token];
        self.way("a proxy that is away", &url, &through, "through the proxy", Ends::Never);
        bed.repository.git(&["push", "--quiet", "origin", &format!("main:main-{SECRET}")]);
        let branch = ["--branch", "main-sesame", "--git-token-file", &token];
        self.way("a branch named like the secret", &url, &branch, "has no branch `main-sesame`", Ends::Never);
        let two = self.keep("two", &format!("\n{SECRET}"));
        self.way("an empty first line", &url, &["--git-token-file", &two], "is empty or no text", Ends::Never);
        let control = self.keep("control", &format!("{SECRET}\u{7}"));
        self.way("no text", &url, &["--git-token-file", &control], "is empty or no text", Ends::Never);
        self.way("a good token", &url, &["--git-token-file", &token], "the caches are complete", Ends::Well);
        self.way("the environment", &nobody, &[], "cannot be reached", Ends::Never);
        let variable = ("TIDEGATE_GIT_TOKEN".to_owned(), SECRET.to_owned());
        self.ways.last_mut().unwrap().environment.push(variable);
        self._servers.push(server);
    }

    fn tls(&mut self, bed: &Bed) {
        let certificates = Certificates::make(bed.repository.home(), "vault/tls");
        let server = GitHttp::start_tls(bed.repository.home(), &certificates, true);
        let (url, token) = (server.url("origin.git"), self.file("token"));
        let file = |name: &str| certificates.file(name).display().to_string();
        let (ca, chain) = (file("ca.pem"), file("client.pem"));
        // The second line of a key of this kind.
        self.keep("client.key", &std::fs::read_to_string(file("client.key")).unwrap());
        let key = file("client.key");
        self.way("not trusted", &url, &["--git-token-file", &token], "not trusted", Ends::Never);
        self.way("no certificate", &url, &["--git-ca-file", &ca, "--git-token-file", &token], "TLS", Ends::Never);
        let garbled = self.keep("garbled.key", &format!("-----BEGIN PRIVATE KEY-----\n{SECRET}\n"));
        let shows = ["--git-ca-file", &ca, "--git-client-cert", &chain, "--git-client-key"];
        let with = |key: &'_ str| shows.into_iter().map(str::to_owned).chain([key.to_owned()]).collect::<Vec<_>>();
        for (name, key, says) in
            [("a garbled key", &garbled, "it holds no key"), ("another's key", &token, "it holds no key")]
        {
            let with = with(key);
            let with: Vec<&str> = with.iter().map(String::as_str).collect();
            self.way(name, &url, &with, says, Ends::Never);
        }
        let with = with(&key);
        let with: Vec<&str> =
            with.iter().map(String::as_str).chain(["--branch", "none", "--git-token-file", &token]).collect();
        self.way("a good key", &url, &with, "has no branch", Ends::Never);
        self._servers.push(server);
    }

    fn ssh(&mut self, bed: &Bed) {
        key(&self.vault.join("closed"), "ed25519", SECRET);
        let sshd = &self._sshd;
        let url = sshd.url(&bed.repository.home().join("origin.git"));
        let known = self.keep("known", &format!("{} {}\n", sshd.name(), sshd.host_key("ed25519")));
        let unknown = self.keep("unknown", &format!("elsewhere {}\n", sshd.host_key("ed25519")));
        let garbage = self.keep("garbage", &format!("{} ssh-ed25519 {SECRET}\n{SECRET}\n", sshd.name()));
        let (closed, token) = (self.file("closed"), self.file("token"));
        let wrong = self.keep("wrong", &format!("{SECRET}-not"));
        let base = |key: &str, known: &str, phrase: &str| -> Vec<String> {
            ["--git-ssh-key", key, "--git-known-hosts", known, "--git-ssh-passphrase-file", phrase]
                .map(str::to_owned)
                .to_vec()
        };
        let (client, says) = (sshd.client_key().display().to_string(), "127.0.0.1");
        let ways = [
            ("a key that is not let in", base(&closed, &known, &token), "refuses the credentials"),
            ("a wrong passphrase", base(&closed, &known, &wrong), says),
            ("no key at all", base(&token, &known, &token), says),
            ("an unknown host", base(&closed, &unknown, &token), "host key"),
            ("garbage for known hosts", base(&closed, &garbage, &token), says),
            ("no such repository", base(&client, &known, &token), says),
        ];
        for (name, arguments, says) in ways {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let url = if name == "no such repository" { format!("{url}-none") } else { url.clone() };
            self.way(name, &url, &arguments, says, Ends::Never);
        }
    }

    fn usage(&mut self) {
        let user = format!("https://ada:{SECRET}@git.example.com/plans");
        let bare = format!("https://{SECRET}@git.example.com/plans");
        let proxy = format!("http://ada:{SECRET}@proxy.example.com:3128");
        self.way("a URL with a password", &user, &[], "carries a user or a password", Ends::AtStart);
        self.way("a URL with a token", &bare, &[], "carries a user or a password", Ends::AtStart);
        let url = "https://git.example.com/plans";
        self.way("a proxy with a password", url, &["--git-proxy", &proxy], "is no proxy", Ends::AtStart);
        let token = self.file("token");
        let plain = "http://git.example.com/plans";
        self.way("plain http", plain, &["--git-token-file", &token], "unencrypted", Ends::AtStart);
    }
}
