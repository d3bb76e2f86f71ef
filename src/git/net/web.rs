//! Carries Git's smart protocol over HTTP/1.1 for libgit2, with a client of its own.
//!
//! libgit2's client cannot show a certificate, follows redirects on the same host, and knows neither how long a server
//! asks to wait nor what it says. This one never follows, sends credentials with the first request, and keeps one
//! connection for the next.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream};
use rustls::ClientConfig;

use super::body::Body;
use super::dial::{Wire, authorization, dial, fault, head};
use super::fault::words;
use super::wire::{Basic, Client, Keys, Proxy};
use super::{Fault, tls};
use crate::git::{Location, Place, Scheme};

/// A connection that was silent for longer is not used again: something between may have forgotten it.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// The most bytes of one request: what libgit2 says about the commits that it has, or a push.
const REQUEST_BYTES_MAX: usize = 16 << 20;

/// The most bytes of a listing of references.
const LISTING_BYTES_MAX: u64 = 32 << 20;

/// How much larger than its pack the answer to a fetch may be: servers tell of their progress.
const PROGRESS_BYTES_MAX: u64 = 16 << 20;

/// How much of a refusal is read for its words.
const WORDS_BYTES_MAX: u64 = 1 << 10;

/// The client: where it speaks to, its one connection, and what went wrong last.
#[derive(Default)]
pub(super) struct Web {
    to: Option<To>,
    basic: Option<Basic>,
    tls: Option<Arc<ClientConfig>>,
    idle: Option<(Wire, Instant)>,
    fault: Option<Fault>,
    bytes_max: u64,
}

/// What a connection belongs to.
#[derive(PartialEq, Eq)]
struct To {
    place: Place,
    ca: Option<String>,
    client: Option<Client>,
    proxy: Option<Proxy>,
}

/// The client, shared between the child's loop and what libgit2 holds.
#[derive(Clone, Default)]
pub(super) struct Shared(Arc<Mutex<Web>>);

impl Shared {
    fn web(&self) -> MutexGuard<'_, Web> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says where the next requests go to, and how much a fetch may bring.
    pub(super) fn point(&self, place: &Place, keys: &Keys, bytes_max: u64) -> Result<(), Fault> {
        let Keys::Http { basic, ca, client, proxy } = keys else { return Ok(()) };
        let mut web = self.web();
        web.bytes_max = bytes_max;
        let to = To { place: place.clone(), ca: ca.clone(), client: client.clone(), proxy: proxy.clone() };
        web.fault = None;
        web.basic.clone_from(basic);
        if web.to.as_ref() != Some(&to) {
            (web.to, web.tls, web.idle) = (None, None, None);
            if to.place.scheme == Scheme::Https {
                web.tls = Some(tls::config(to.ca.as_deref(), to.client.as_ref())?);
            }
            web.to = Some(to);
        }
        Ok(())
    }

    /// What went wrong since [`point`](Self::point), if it went wrong here.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.web().fault.take()
    }

    fn failed(&self, fault: Fault) -> git2::Error {
        self.web().fault = Some(fault);
        git2::Error::from_str("the server gave nothing")
    }
}

/// One request.
struct Request<'a> {
    method: &'static str,
    path: &'static str,
    /// What the body is, if there is one.
    content: &'static str,
    /// What the answer is.
    kind: &'static str,
    body: &'a [u8],
}

/// Why an attempt gave nothing.
enum Miss {
    /// The connection had ended before the request: a fresh one may do.
    Stale(Fault),
    Fault(Fault),
}

impl Web {
    fn exchange(&mut self, request: &Request<'_>) -> Result<Body, Fault> {
        let Some(to) = &self.to else { return Err(Fault::Died { how: "was told no place".to_owned() }) };
        if let Some((wire, since)) = self.idle.take()
            && since.elapsed() < IDLE_MAX
        {
            match attempt(to, self.basic.as_ref(), wire, request) {
                Err(Miss::Stale(_)) => {}
                Err(Miss::Fault(fault)) => return Err(fault),
                Ok(body) => return Ok(body),
            }
        }
        let wire = dial(&to.place, to.proxy.as_ref(), self.tls.as_ref())?;
        attempt(to, self.basic.as_ref(), wire, request).map_err(|miss| match miss {
            Miss::Stale(fault) | Miss::Fault(fault) => fault,
        })
    }
}

fn attempt(to: &To, basic: Option<&Basic>, mut wire: Wire, request: &Request<'_>) -> Result<Body, Miss> {
    let text = text(to, basic, request);
    let stream = wire.get_mut();
    let sent = stream.write_all(text.as_bytes()).and_then(|()| stream.write_all(request.body));
    // A server may refuse before it has read everything: its answer says more than the broken pipe.
    let sent = sent.and_then(|()| stream.flush());
    let head = match (head(&mut wire), sent) {
        (Ok(head), _) => head,
        (Err(_), Err(error)) => return Err(Miss::Stale(fault(&error))),
        (Err(error), Ok(())) => {
            let stale = matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset);
            return Err(if stale { Miss::Stale(fault(&error)) } else { Miss::Fault(fault(&error)) });
        }
    };
    let (status, kind) = (head.status, head.get("content-type").unwrap_or_default().to_owned());
    let wait = head.get("retry-after").and_then(|wait| wait.parse().ok());
    let spent = head.get("x-ratelimit-remaining") == Some("0") || wait.is_some();
    let location = head.get("location").unwrap_or_default().to_owned();
    let mut body = Body::of(&head, wire).map_err(|error| Miss::Fault(fault(&error)))?;
    if status == 200 && kind == request.kind {
        return Ok(body);
    }
    let mut said = || {
        let mut bytes = Vec::new();
        // Whatever came before an error is still said.
        let _ = kind.starts_with("text/plain") && body.by_ref().take(WORDS_BYTES_MAX).read_to_end(&mut bytes).is_ok();
        words(&String::from_utf8_lossy(&bytes))
    };
    Err(Miss::Fault(match status {
        401 if basic.is_some() => Fault::Refused,
        401 => Fault::Anonymous,
        429 | 503 => Fault::Busy { status, retry_after_s: wait },
        403 if spent => Fault::Busy { status, retry_after_s: wait },
        403 => Fault::Forbidden { words: said() },
        404 | 410 => Fault::NotFound { words: said() },
        407 => Fault::Proxy { why: "it asks for other credentials".to_owned() },
        300..=399 => Fault::Redirected { to: target(&to.place, &location) },
        200 => Fault::Server { what: format!("`{}` instead of Git's protocol", words(&kind)), words: String::new() },
        _ => Fault::Server { what: format!("HTTP {status}"), words: said() },
    }))
}

fn text(to: &To, basic: Option<&Basic>, request: &Request<'_>) -> String {
    let (authority, path) = (to.place.authority(), format!("{}{}", to.place.path, request.path));
    let through = to.proxy.as_ref().filter(|_| to.place.scheme == Scheme::Http);
    let target = if through.is_some() { format!("http://{authority}{path}") } else { path };
    let mut text = format!(
        "{} {target} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: git/2.0 (tidegate {})\r\nAccept: {}\r\n",
        request.method,
        env!("CARGO_PKG_VERSION"),
        request.kind
    );
    if let Some(basic) = basic {
        text += &format!("Authorization: {}\r\n", authorization(basic));
    }
    if let Some(basic) = through.and_then(|proxy| proxy.basic.as_ref()) {
        text += &format!("Proxy-Authorization: {}\r\n", authorization(basic));
    }
    if request.method == "POST" {
        let size = request.body.len();
        text += &format!("Content-Type: {}\r\nContent-Length: {size}\r\n", request.content);
    }
    text + "\r\n"
}

/// Where a redirect leads: on the same host the whole URL, else the host, and nothing that the grammar of URLs refuses.
fn target(from: &Place, location: &str) -> String {
    let location = location.split(['?', '#']).next().unwrap_or_default();
    let location = location.strip_suffix("/info/refs").unwrap_or(location);
    if let Some(path) = location.strip_prefix('/').filter(|path| !path.starts_with('/')) {
        let place = Place { path: String::new(), ..from.clone() };
        return match Location::parse(&format!("{place}/{path}")) {
            Ok(to) => to.to_string(),
            Err(_) => "another path".to_owned(),
        };
    }
    match Location::parse(location) {
        Ok(Location::Network(to)) if to.host == from.host => to.to_string(),
        Ok(Location::Network(to)) => to.authority(),
        _ => "another place".to_owned(),
    }
}

/// What libgit2 asks.
pub(super) struct Subtransport(pub(super) Shared);

impl SmartSubtransport for Subtransport {
    fn action(&self, _url: &str, action: Service) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        let post = match action {
            Service::UploadPack | Service::UploadPackLs => &UPLOAD,
            Service::ReceivePack | Service::ReceivePackLs => &RECEIVE,
        };
        let (request, left) = (Vec::new(), LISTING_BYTES_MAX);
        let mut stream = Exchange { shared: self.0.clone(), post, request, body: None, left };
        let listing = match action {
            Service::UploadPack => {
                stream.left = self.0.web().bytes_max.saturating_add(PROGRESS_BYTES_MAX);
                None
            }
            Service::ReceivePack => None,
            Service::UploadPackLs => {
                Some(("/info/refs?service=git-upload-pack", "application/x-git-upload-pack-advertisement"))
            }
            Service::ReceivePackLs => {
                Some(("/info/refs?service=git-receive-pack", "application/x-git-receive-pack-advertisement"))
            }
        };
        if let Some((path, kind)) = listing {
            let body = self.0.web().exchange(&Request { method: "GET", path, content: "", kind, body: &[] });
            stream.body = Some(body.map_err(|fault| self.0.failed(fault))?);
        }
        Ok(Box::new(stream))
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

/// Where a request goes, and what it and its answer are.
struct Post {
    path: &'static str,
    content: &'static str,
    kind: &'static str,
}

const UPLOAD: Post = Post {
    path: "/git-upload-pack",
    content: "application/x-git-upload-pack-request",
    kind: "application/x-git-upload-pack-result",
};

const RECEIVE: Post = Post {
    path: "/git-receive-pack",
    content: "application/x-git-receive-pack-request",
    kind: "application/x-git-receive-pack-result",
};

/// One request that libgit2 writes, and the answer that it reads.
struct Exchange {
    shared: Shared,
    post: &'static Post,
    request: Vec<u8>,
    body: Option<Body>,
    /// How many bytes of the answer may still come.
    left: u64,
}

impl Exchange {
    fn failed(&self, fault: Fault) -> io::Error {
        io::Error::other(self.shared.failed(fault))
    }
}

impl Write for Exchange {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.request.len() + bytes.len() > REQUEST_BYTES_MAX {
            return Err(self.failed(Fault::Quota { what: "a request above 16 MiB is needed".to_owned() }));
        }
        self.request.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Exchange {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.body.is_none() {
            let Post { path, content, kind } = *self.post;
            let request = Request { method: "POST", path, content, kind, body: &self.request };
            let body = self.shared.web().exchange(&request);
            self.body = Some(body.map_err(|fault| self.failed(fault))?);
        }
        let read = self.body.as_mut().map_or(Ok(0), |body| body.read(buffer));
        let read = read.map_err(|error| self.failed(fault(&error)))?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => return Err(self.failed(Fault::Quota { what: "its answer does not end".to_owned() })),
        }
        Ok(read)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(wire) = self.body.take().and_then(Body::finish) {
            self.shared.web().idle = Some((wire, Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(written: &str) -> Place {
        match Location::parse(written) {
            Ok(Location::Network(place)) => place,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_proxy_is_told_the_whole_url_and_its_own_credentials_where_it_can_read_them() {
        let basic = |user: &str| Basic { user: user.into(), password: "p".into() };
        let proxy = Proxy { host: "proxy".into(), port: 3128, basic: Some(basic("ann")) };
        let request = Request { method: "GET", path: "/info/refs", content: "", kind: "a/b", body: &[] };
        let text = |written: &str, basic: Option<&Basic>| {
            let to = To { place: place(written), ca: None, client: None, proxy: Some(proxy.clone()) };
            super::text(&to, basic, &request)
        };
        let open = text("http://127.0.0.1:8080/p", None);
        assert!(
            open.starts_with("GET http://127.0.0.1:8080/p/info/refs HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n"),
            "{open}"
        );
        assert!(open.contains("\r\nProxy-Authorization: Basic YW5uOnA=\r\n") && !open.contains("\nAuthorization"));
        let closed = text("https://host/p", Some(&basic("bob")));
        assert!(closed.starts_with("GET /p/info/refs HTTP/1.1\r\nHost: host\r\n"), "{closed}");
        assert!(!closed.contains("Proxy-") && closed.contains("\r\nAuthorization: Basic Ym9iOnA=\r\n"), "{closed}");
    }

    #[test]
    fn a_redirect_is_named_without_what_could_be_a_secret() {
        let from = place("https://git.example.com/old");
        for (location, to) in [
            ("https://git.example.com/new/info/refs?service=git-upload-pack", "https://git.example.com/new"),
            ("/new/info/refs?service=git-upload-pack", "https://git.example.com/new"),
            ("https://login.example.com/sso?token=sesame", "login.example.com"),
            ("//login.example.com/sso", "another place"),
            ("https://user:sesame@evil.example.com/x", "another place"),
            ("file:///etc/passwd", "another place"),
            ("", "another place"),
        ] {
            assert_eq!(target(&from, location), to, "{location}");
        }
    }
}
