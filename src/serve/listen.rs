//! Accepts connections, and bounds what each may cost: time, size and number.

use std::{
    convert::Infallible, future::Future, io, net::SocketAddr, panic::AssertUnwindSafe, sync::Arc, time::Duration,
};

use axum::{Router, body::Body, response::Response};
use futures::FutureExt as _;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::{JoinHandle, JoinSet},
};
use tower::Service as _;

use super::routes;

/// Connections at once; more wait to be accepted.
const CONNECTIONS_MAX: usize = 256;
/// How long a client may take to send the head of a request, or the next one.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// How long one connection lasts, whatever it does; a request that is being answered then is given [`LAST_ANSWER`].
const CONNECTION_MAX: Duration = Duration::from_secs(60);
/// How long requests that are being answered are given at the end.
const LAST_ANSWER: Duration = Duration::from_secs(2);
/// The longest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// The most header fields of a request.
const HEADERS_MAX: usize = 64;
/// The pause after accepting failed: no file is left to open, usually.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {cause}")]
pub struct ListenError {
    address: SocketAddr,
    cause: io::Error,
}

impl ListenError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self.cause.kind() {
            io::ErrorKind::AddrInUse => "another process has this port: give another one with --listen".into(),
            io::ErrorKind::AddrNotAvailable => "this machine has no such address: `0.0.0.0` stands for all".into(),
            io::ErrorKind::PermissionDenied => "ports below 1024 need a right of their own: give a higher one".into(),
            _ => "give another address with --listen, or `off`".into(),
        }
    }
}

/// Opens the port.
///
/// # Errors
/// Where somebody else has it, or it is none of this machine's.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|cause| ListenError { address, cause })
}

/// The task that accepts; dropped, it is ended without waiting.
pub(super) struct Listening {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Listening {
    pub(super) async fn stop(mut self) {
        self.stop.send_replace(true);
        // A task that panicked has stopped as well.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves the app on the listener.
pub(super) fn serve(listener: TcpListener, app: Router) -> Listening {
    let (stop, stopped) = watch::channel(false);
    Listening { stop, task: tokio::spawn(accept(listener, app, stopped)) }
}

async fn accept(listener: TcpListener, app: Router, mut stopped: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut open = JoinSet::new();
    loop {
        let accepted = async {
            let slot = slots.clone().acquire_owned().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>((listener.accept().await?.0, slot))
        };
        let accepted = tokio::select! {
            () = ended(&mut stopped) => break,
            accepted = accepted => accepted,
        };
        while open.try_join_next().is_some() {}
        match accepted {
            Ok((stream, slot)) => {
                open.spawn(converse(stream, app.clone(), stopped.clone(), slot));
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
    drop(listener);
    // Connections end by themselves once the stop was seen.
    while open.join_next().await.is_some() {}
}

async fn converse(stream: TcpStream, app: Router, mut stopped: watch::Receiver<bool>, _slot: OwnedSemaphorePermit) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut app = app.clone();
        guarded(async move { app.call(request.map(Body::new)).await })
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_DEADLINE);
    builder.max_buf_size(HEAD_BYTES_MAX).max_headers(HEADERS_MAX);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // How a client goes is no matter of ours.
        _ = connection.as_mut() => return,
        () = ended(&mut stopped) => {}
        () = tokio::time::sleep(CONNECTION_MAX) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(LAST_ANSWER, connection).await;
}

async fn ended(stopped: &mut watch::Receiver<bool>) {
    // Without its sender the server is gone, which is an end as well.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Answers with 500 where the handler panics; the process and the connection go on.
async fn guarded(handler: impl Future<Output = Result<Response, Infallible>>) -> Result<Response, Infallible> {
    match AssertUnwindSafe(handler).catch_unwind().await {
        Ok(answer) => answer,
        Err(_) => Ok(routes::refusal(http::StatusCode::INTERNAL_SERVER_ERROR, "this is a fault of tidegate")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_of_a_handler_is_one_bad_answer() {
        let answer = guarded(async { panic!("a handler's own fault") }).await.unwrap();
        assert_eq!(answer.status(), 500);
    }
}
