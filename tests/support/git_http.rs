//! A Git server over HTTP or HTTPS: threads that hand each request to `git http-backend`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::certificates::Certificates;

/// How a server behaves; may be changed while it runs.
#[derive(Clone, Default)]
pub struct Rules {
    /// The user and password that it asks for.
    pub basic: Option<(String, String)>,
    /// What it answers instead of Git: status line's rest, headers with their line ends, body.
    pub instead: Option<(String, String, String)>,
    /// Whether it closes the connection after each answer.
    pub close: bool,
    /// Whether it does so without having said so.
    pub hang_up: bool,
    /// How many bytes of a fetched pack it sends before it falls silent for a minute.
    pub stall: Option<usize>,
    /// The user and password that it asks for where somebody wants to push.
    pub push_basic: Option<(String, String)>,
    /// What it answers there instead of Git.
    pub push_instead: Option<(String, String, String)>,
    /// Whether it takes pushes and never says so.
    pub swallow: bool,
}

/// One request that came in.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// With the query.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Counts connections.
    pub connection: usize,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The server; dropped, it takes no more connections.
pub struct GitHttp {
    address: SocketAddr,
    scheme: &'static str,
    rules: Arc<Mutex<Rules>>,
    requests: Arc<Mutex<Vec<Request>>>,
    ended: Arc<AtomicBool>,
}

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

impl GitHttp {
    /// Serves the repositories in `root` over HTTP.
    pub fn start(root: &Path) -> Self {
        Self::serve(root, None)
    }

    /// Serves them over HTTPS; `clients` says whether a client has to show a certificate of the same authority.
    pub fn start_tls(root: &Path, certificates: &Certificates, clients: bool) -> Self {
        Self::serve(root, Some(Arc::new(tls(certificates, clients))))
    }

    fn serve(root: &Path, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            scheme: if tls.is_some() { "https" } else { "http" },
            rules: Arc::default(),
            requests: Arc::default(),
            ended: Arc::default(),
        };
        let (rules, requests) = (server.rules.clone(), server.requests.clone());
        let (ended, root) = (server.ended.clone(), root.to_owned());
        std::thread::spawn(move || {
            for (number, socket) in listener.incoming().enumerate() {
                if ended.load(Ordering::Acquire) {
                    return;
                }
                let Ok(socket) = socket else { continue };
                let (rules, requests, root, tls) = (rules.clone(), requests.clone(), root.clone(), tls.clone());
                std::thread::spawn(move || {
                    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
                    socket.set_nodelay(true).unwrap();
                    let stream: Box<dyn Stream> = match tls {
                        None => Box::new(socket),
                        Some(config) => Box::new(StreamOwned::new(ServerConnection::new(config).unwrap(), socket)),
                    };
                    converse(BufReader::new(stream), &root, &rules, &requests, number);
                });
            }
        });
        server
    }

    /// The URL of a repository in the root.
    pub fn url(&self, repository: &str) -> String {
        format!("{}://{}/{repository}", self.scheme, self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes how it behaves from the next request on.
    pub fn rule(&self, change: impl FnOnce(&mut Rules)) {
        change(&mut self.rules.lock().unwrap());
    }

    /// Everything that was asked so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for GitHttp {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

fn tls(certificates: &Certificates, clients: bool) -> ServerConfig {
    let read = |name| -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_file_iter(certificates.file(name)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let builder = if clients {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(read("ca.pem"));
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::from_pem_file(certificates.file("server.key")).unwrap();
    builder.with_single_cert(read("server.pem"), key).unwrap()
}

fn converse(
    mut stream: BufReader<Box<dyn Stream>>,
    root: &PathBuf,
    rules: &Mutex<Rules>,
    requests: &Mutex<Vec<Request>>,
    connection: usize,
) {
    while let Some(request) = read(&mut stream, connection) {
        requests.lock().unwrap().push(request.clone());
        let rules = rules.lock().unwrap().clone();
        let (status, headers, body) = answer(root, &rules, &request);
        if rules.swallow && request.method == "POST" && request.target.contains("git-receive-pack") {
            // Until the client gives up.
            let _ = stream.read(&mut [0]);
            return;
        }
        let end = if rules.close { "Connection: close\r\n" } else { "" };
        let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n{end}\r\n", body.len());
        let out = stream.get_mut();
        if let Some(sent) = rules.stall.filter(|_| request.method == "POST") {
            let _ =
                out.write_all(head.as_bytes()).and_then(|()| out.write_all(&body[..sent])).and_then(|()| out.flush());
            std::thread::sleep(Duration::from_secs(60));
            return;
        }
        if out.write_all(head.as_bytes()).and_then(|()| out.write_all(&body)).and_then(|()| out.flush()).is_err() {
            return;
        }
        if rules.close || rules.hang_up {
            return;
        }
    }
}

fn read(stream: &mut BufReader<Box<dyn Stream>>, connection: usize) -> Option<Request> {
    let mut line = || {
        let mut line = String::new();
        let read = stream.read_line(&mut line).ok()?;
        (read > 0).then(|| line.trim_end().to_owned())
    };
    let first = line()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let mut headers = Vec::new();
    loop {
        let line = line()?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request { method, target, headers, body: Vec::new(), connection };
    let size = request.header("content-length").map_or(0, |size| size.parse().unwrap());
    request.body = vec![0; size];
    stream.read_exact(&mut request.body).ok()?;
    Some(request)
}

/// Status, headers and body.
fn answer(root: &PathBuf, rules: &Rules, request: &Request) -> (String, String, Vec<u8>) {
    let pushes = request.target.contains("git-receive-pack");
    if let Some((status, headers, body)) = rules.push_instead.as_ref().filter(|_| pushes).or(rules.instead.as_ref()) {
        return (status.clone(), headers.clone(), body.clone().into_bytes());
    }
    if let Some((user, password)) = rules.push_basic.as_ref().filter(|_| pushes).or(rules.basic.as_ref()) {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        if request.header("authorization") != Some(&format!("Basic {pair}")) {
            let headers = "WWW-Authenticate: Basic realm=\"plans\"\r\n".to_owned();
            return ("401 Unauthorized".into(), headers, b"no".to_vec());
        }
    }
    backend(root, request)
}

/// Runs `git http-backend`.
fn backend(root: &PathBuf, request: &Request) -> (String, String, Vec<u8>) {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let mut child = Command::new("git")
        .arg("http-backend")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", root)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("REQUEST_METHOD", &request.method)
        .env("CONTENT_TYPE", request.header("content-type").unwrap_or_default())
        .env("REMOTE_ADDR", "127.0.0.1")
        .env("REMOTE_USER", "tester")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let body = request.body.clone();
    let writer = std::thread::spawn(move || {
        // It may answer before it has read everything.
        let _ = input.write_all(&body);
    });
    let mut out = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut out).unwrap();
    writer.join().unwrap();
    child.wait().unwrap();
    let end = out.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("http-backend answers with headers");
    let head = String::from_utf8_lossy(&out[..end]).into_owned();
    let (mut status, mut headers) = ("200 OK".to_owned(), String::new());
    for line in head.lines() {
        match line.strip_prefix("Status: ") {
            Some(said) => status = said.to_owned(),
            None => headers += &format!("{line}\r\n"),
        }
    }
    (status, headers, out[end + 4..].to_vec())
}
