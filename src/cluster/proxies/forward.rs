//! Speaks HTTP with a port of a pod through the API server's port-forward: at the pod it arrives from localhost.

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, Request, Response, header};
use hyper::{
    body::Incoming,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use kube::{Client, client::Body};
use tokio::sync::{Mutex, oneshot};

use super::{
    pods::PodName,
    tunnel::{self, Tunnel},
};

/// How long the node's words about a connection that failed are waited for.
const WORDS: Duration = Duration::from_millis(200);

/// A port of a pod. It is connected to when it is asked something, and stays so until it rests. Cheap to clone.
#[derive(Clone)]
pub(super) struct Forward {
    client: Client,
    pod: PodName,
    port: u16,
    open: Arc<Mutex<Option<Connection>>>,
}

struct Connection {
    requests: SendRequest<Body>,
    failure: oneshot::Receiver<String>,
}

impl Forward {
    /// Connects to nothing yet.
    pub(super) fn new(client: &Client, pod: &PodName, port: u16) -> Self {
        Self { client: client.clone(), pod: pod.clone(), port, open: Arc::default() }
    }

    /// Asks, one request after another; has no deadline of its own, and a request that is given up takes the connection
    /// with it.
    pub(super) async fn send(&self, mut request: Request<Body>) -> Result<Response<Incoming>, String> {
        request.headers_mut().insert(header::HOST, HeaderValue::from_static("localhost"));
        let mut held = self.open.lock().await;
        let kept = match held.take() {
            Some(mut connection) => connection.requests.ready().await.is_ok().then_some(connection),
            None => None,
        };
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        match connection.requests.send_request(request).await {
            Ok(answer) => {
                *held = Some(connection);
                Ok(answer)
            }
            Err(error) => {
                let words = tokio::time::timeout(WORDS, connection.failure).await;
                let words = words.ok().and_then(Result::ok).unwrap_or_else(|| error.to_string());
                Err(format!("port {} of its pod does not answer: {words}", self.port))
            }
        }
    }

    /// Ends the connection.
    pub(super) async fn rest(&self) {
        self.open.lock().await.take();
    }

    async fn connect(&self) -> Result<Connection, String> {
        let unforwarded = |error| format!("port {} of its pod cannot be forwarded: {error}", self.port);
        let Tunnel { stream, failure, pump } =
            tunnel::open(&self.client, &self.pod, self.port).await.map_err(unforwarded)?;
        let (requests, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        tokio::spawn(async move {
            // Whoever waits for an answer is told.
            let _ = connection.await;
            drop(pump);
        });
        Ok(Connection { requests, failure })
    }
}
