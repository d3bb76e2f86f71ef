//! Speaks HTTP with a port of a pod through the API server's port-forward: at the pod it arrives from localhost.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response, header};
use hyper::{
    body::Incoming,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::{Client, api::Api, client::Body};
use tokio::sync::Mutex;

use super::pods::{PodName, lacks_right};

/// How long the kubelet's words about a connection that failed are waited for.
const WORDS: Duration = Duration::from_millis(200);

/// A port of a pod. It is connected to when it is asked something, and stays so until it rests. Cheap to clone.
#[derive(Clone)]
pub(super) struct Forward {
    pods: Api<Pod>,
    namespace: Arc<str>,
    pod: Arc<str>,
    port: u16,
    open: Arc<Mutex<Option<Connection>>>,
}

struct Connection {
    requests: SendRequest<Body>,
    /// What the node says where it cannot connect to the port, or no more.
    failure: BoxFuture<'static, Option<String>>,
}

impl Forward {
    /// Connects to nothing yet.
    pub(super) fn new(client: &Client, pod: &PodName, port: u16) -> Self {
        Self {
            pods: Api::namespaced(client.clone(), &pod.namespace),
            namespace: pod.namespace.as_str().into(),
            pod: pod.name.as_str().into(),
            port,
            open: Arc::default(),
        }
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
                let words = tokio::time::timeout(WORDS, connection.failure).await.ok().flatten();
                let words = words.unwrap_or_else(|| error.to_string());
                Err(format!("port {} of its pod does not answer: {words}", self.port))
            }
        }
    }

    /// Ends the connection.
    pub(super) async fn rest(&self) {
        self.open.lock().await.take();
    }

    async fn connect(&self) -> Result<Connection, String> {
        let (pod, port) = (&self.pod, self.port);
        let forwarded = self.pods.portforward(pod, &[port]).await;
        let mut forwarded = forwarded.map_err(|error| {
            let hint = match lacks_right(&error) {
                true => format!(
                    "; grant tidegate's account `get` and `create` on pods/portforward in namespace {}",
                    self.namespace
                ),
                false => String::new(),
            };
            format!("port {port} of its pod cannot be forwarded: {error}{hint}")
        })?;
        let (Some(stream), Some(failure)) = (forwarded.take_stream(port), forwarded.take_error(port)) else {
            return Err(format!("port {port} of its pod cannot be forwarded"));
        };
        let (requests, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        tokio::spawn(async move {
            // Whoever waits for an answer is told.
            let _ = connection.await;
            forwarded.abort();
        });
        Ok(Connection { requests, failure: Box::pin(failure) })
    }
}
