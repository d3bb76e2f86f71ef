//! Stands between a process under test and an API server: it notes the writes of Istio objects, can hold one back, before
//! it is forwarded or before its answer is returned, and can be away.
#![allow(dead_code, reason = "each test binary uses its part of the test bed")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test bed that fails is a failed test"
)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use http::request::Parts;
use http::{Method, StatusCode, header};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

const BODY_MAX: usize = 4 << 20;

/// The name of the one context in the proxy's kubeconfig.
pub const CONTEXT: &str = "proxy";

/// What a write is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A DestinationRule is created or its spec changed.
    Subsets,
    /// A VirtualService is created or its spec changed, with its journal.
    Weights,
    /// Only the annotations of a VirtualService.
    Journal,
    /// Only the annotations of a DestinationRule: the journal's copy.
    Copy,
    /// A deletion.
    Delete,
}

/// On which side of the write its process is to be left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The API server has not got it.
    Before,
    /// The API server has done it, and the answer is not returned.
    After,
}

/// A write that is held back.
pub struct Caught {
    pub kind: Kind,
    pub when: When,
    /// How many writes the API server had done by then.
    pub done: usize,
    release: oneshot::Sender<()>,
}

impl Caught {
    /// Lets it go on; dropped instead, a write that was caught before is never forwarded.
    pub fn release(self) {
        let _ = self.release.send(());
    }
}

type Choose = Box<dyn Fn(Kind) -> Option<When> + Send>;

#[derive(Default)]
struct Ledger {
    done: Vec<Kind>,
    /// Requests whose path has this in it are not forwarded.
    refuses: Option<&'static str>,
    /// How much later each answer begins.
    late: Duration,
    trap: Option<(Choose, oneshot::Sender<Caught>)>,
}

/// The proxy; dropped, it is gone.
pub struct Proxy {
    dir: TempDir,
    front: SocketAddr,
    back: SocketAddr,
    ledger: Arc<Mutex<Ledger>>,
    door: Mutex<Option<JoinHandle<()>>>,
    desk: JoinHandle<()>,
}

#[derive(Clone)]
struct Desk {
    client: Client,
    ledger: Arc<Mutex<Ledger>>,
}

impl Proxy {
    /// A proxy before the server of this kubeconfig's current context.
    pub async fn start(kubeconfig: &str) -> Self {
        let proxy = Self::away(kubeconfig).await;
        proxy.open().await;
        proxy
    }

    /// The same, which takes no connection until it is opened.
    pub async fn away(kubeconfig: &str) -> Self {
        let kubeconfig = Kubeconfig::from_yaml(kubeconfig).unwrap();
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        config.default_retry = false;
        let ledger = Arc::<Mutex<Ledger>>::default();
        let desk = Desk { client: Client::try_from(config).unwrap(), ledger: Arc::clone(&ledger) };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let back = listener.local_addr().unwrap();
        let app = axum::Router::new().fallback(handle).with_state(desk);
        let desk = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let front = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let proxy = Self { dir: tempfile::tempdir().unwrap(), front, back, ledger, door: Mutex::default(), desk };
        std::fs::write(proxy.kubeconfig(), proxy.kubeconfig_text()).unwrap();
        proxy
    }

    /// Takes connections again, on the same port.
    pub async fn open(&self) {
        let (front, back) = (self.front, self.back);
        let listener = TcpListener::bind(front).await.unwrap();
        let door = tokio::spawn(async move {
            let mut lines = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                lines.spawn(async move {
                    let Ok(mut far) = TcpStream::connect(back).await else { return };
                    // A line that breaks is what the test wants to see.
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        *self.door.lock().unwrap() = Some(door);
    }

    /// Tears every connection and takes no new one.
    pub async fn close(&self) {
        let door = self.door.lock().unwrap().take();
        if let Some(door) = door {
            door.abort();
            // Waited for, so that the port is free.
            let _ = door.await;
        }
    }

    /// A kubeconfig file with the one context [`CONTEXT`].
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.path().join("kubeconfig")
    }

    /// The text of [`Self::kubeconfig`].
    pub fn kubeconfig_text(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: {CONTEXT}\n\
             clusters: [{{name: c, cluster: {{server: \"http://{}\"}}}}]\nusers: [{{name: u, user: {{}}}}]\n\
             contexts: [{{name: {CONTEXT}, context: {{cluster: c, user: u}}}}]\n",
            self.front
        )
    }

    /// Every write that the API server has done, in order.
    pub fn done(&self) -> Vec<Kind> {
        self.ledger.lock().unwrap().done.clone()
    }

    /// Answers requests whose path has this in it with an error of its own; none: forwards all again.
    pub fn refuse(&self, part: Option<&'static str>) {
        self.ledger.lock().unwrap().refuses = part;
    }

    /// Lets each answer begin so much later.
    pub fn delay(&self, late: Duration) {
        self.ledger.lock().unwrap().late = late;
    }

    /// Holds back the first write that is chosen from now on.
    pub async fn catch(&self, deadline: Duration, choose: impl Fn(Kind) -> Option<When> + Send + 'static) -> Caught {
        let (caught, catch) = oneshot::channel();
        self.ledger.lock().unwrap().trap = Some((Box::new(choose), caught));
        let Ok(caught) = tokio::time::timeout(deadline, catch).await else {
            panic!("no such write in {deadline:?}; done were {:?}", self.done());
        };
        caught.unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.desk.abort();
        if let Some(door) = self.door.lock().unwrap().take() {
            door.abort();
        }
    }
}

async fn handle(State(desk): State<Desk>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if desk.ledger.lock().unwrap().refuses.is_some_and(|part| parts.uri.path().contains(part)) {
        return refusal();
    }
    let Ok(body) = to_bytes(body, BODY_MAX).await else { return refusal() };
    let Some(kind) = kind(&parts, &body) else { return desk.forward(parts, body).await };
    let trapped = desk.trapped(kind);
    if let Some((When::Before, caught)) = trapped {
        if desk.hold(kind, When::Before, caught).await.is_err() {
            return refusal();
        }
        return desk.write(kind, parts, body).await;
    }
    let answer = desk.write(kind, parts, body).await;
    if let Some((when, caught)) = trapped {
        // Nobody reads the answer of a process that is dead.
        let _ = desk.hold(kind, when, caught).await;
    }
    answer
}

impl Desk {
    fn trapped(&self, kind: Kind) -> Option<(When, oneshot::Sender<Caught>)> {
        let mut ledger = self.ledger.lock().unwrap();
        let when = ledger.trap.as_ref().and_then(|(choose, _)| choose(kind))?;
        ledger.trap.take().map(|(_, caught)| (when, caught))
    }

    async fn hold(
        &self,
        kind: Kind,
        when: When,
        caught: oneshot::Sender<Caught>,
    ) -> Result<(), oneshot::error::RecvError> {
        let (release, released) = oneshot::channel();
        let done = self.ledger.lock().unwrap().done.len();
        let _ = caught.send(Caught { kind, when, done, release });
        released.await
    }

    /// Forwards a write to its end, whatever becomes of who asked for it.
    async fn write(&self, kind: Kind, parts: Parts, body: Bytes) -> Response {
        let desk = self.clone();
        let done = tokio::spawn(async move {
            let answer = desk.forward(parts, body).await;
            if answer.status().is_success() {
                desk.ledger.lock().unwrap().done.push(kind);
            }
            answer
        });
        done.await.unwrap()
    }

    async fn forward(&self, parts: Parts, body: Bytes) -> Response {
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = http::Request::builder().method(&parts.method).uri(path);
        for name in [header::ACCEPT, header::CONTENT_TYPE] {
            if let Some(value) = parts.headers.get(&name) {
                request = request.header(name, value);
            }
        }
        let Ok(answer) = self.client.send(request.body(body.into()).unwrap()).await else { return refusal() };
        let late = self.ledger.lock().unwrap().late;
        tokio::time::sleep(late).await;
        let (parts, body) = answer.into_parts();
        let mut response = Response::builder().status(parts.status);
        for name in [header::DATE, header::CONTENT_TYPE] {
            if let Some(value) = parts.headers.get(&name) {
                response = response.header(name, value);
            }
        }
        response.body(Body::new(body)).unwrap()
    }
}

fn refusal() -> Response {
    Response::builder().status(StatusCode::BAD_GATEWAY).body(Body::empty()).unwrap()
}

/// What a request writes; none where it is no write of a route's objects, or a rehearsal.
fn kind(parts: &Parts, body: &[u8]) -> Option<Kind> {
    let path = parts.uri.path();
    let route = path.contains("/virtualservices");
    let rehearsal = parts.uri.query().is_some_and(|query| query.contains("dryRun"));
    if rehearsal || !(route || path.contains("/destinationrules")) {
        return None;
    }
    let spec = match parts.method {
        Method::POST => true,
        Method::PATCH => {
            let operations: Vec<Value> = serde_json::from_slice(body).unwrap_or_default();
            let writes = |operation: &&Value| operation["op"] != "test";
            operations
                .iter()
                .filter(writes)
                .any(|operation| operation["path"].as_str().is_some_and(|path| path.starts_with("/spec")))
        }
        Method::DELETE => return Some(Kind::Delete),
        _ => return None,
    };
    Some(match (route, spec) {
        (true, true) => Kind::Weights,
        (true, false) => Kind::Journal,
        (false, true) => Kind::Subsets,
        (false, false) => Kind::Copy,
    })
}
