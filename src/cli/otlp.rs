//! Sends spans to an OpenTelemetry collector by OTLP over plain HTTP, where `OTEL_EXPORTER_OTLP_ENDPOINT` says.
//!
//! The queue is bounded, and what does not fit is dropped: a collector that is away or slow holds nothing up.

use std::{future::Future, pin::Pin, time::Duration};

use axum::body::{Body, Bytes, to_bytes};
use http::{Request, Response, header};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tokio::{net::TcpStream, runtime::Handle};

use super::Failure;

/// What says where the collector is.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// How long one export may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long the last spans are given at the end.
const LAST: Duration = Duration::from_secs(2);
/// The largest answer of a collector that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// What is left to do at the end.
pub(super) struct Exporting(SdkTracerProvider);

/// Starts to send spans; none where nobody asked for them.
pub(super) fn start() -> Result<Option<Exporting>, Failure> {
    let Ok(endpoint) = std::env::var(ENDPOINT) else { return Ok(None) };
    if !endpoint.starts_with("http://") {
        let error = anyhow::anyhow!("{ENDPOINT} is not an address that begins with http://");
        return Err(Failure::usage(error, "name a collector nearby; it can pass spans on over TLS"));
    }
    let exporter = SpanExporter::builder().with_http().with_http_client(Client(Handle::current())).build();
    let exporter =
        exporter.map_err(|error| Failure::usage(error, format!("write {ENDPOINT} as http://collector:4318")))?;
    let resource = Resource::builder().with_service_name("tidegate").build();
    let provider = SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build();
    opentelemetry::global::set_tracer_provider(provider.clone());
    Ok(Some(Exporting(provider)))
}

impl Exporting {
    /// Sends what is left.
    pub(super) async fn stop(self) {
        // It waits for a thread of its own; spans that cannot be sent any more are lost.
        let _ = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(LAST)).await;
    }
}

/// One connection an export; the exporter's own thread has no runtime, so that of the process does the work.
#[derive(Debug)]
struct Client(Handle);

type Sent<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for Client {
    fn send_bytes<'s, 'a>(&'s self, request: Request<Bytes>) -> Sent<'a>
    where
        's: 'a,
        Self: 'a,
    {
        let sent = self.0.spawn(async { tokio::time::timeout(DEADLINE, send(request)).await? });
        Box::pin(async { sent.await? })
    }
}

async fn send(request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let authority = request.uri().authority().ok_or("the endpoint names no host")?.clone();
    let port = authority.port_u16().unwrap_or(80);
    let stream = TcpStream::connect((authority.host().trim_matches(['[', ']']), port)).await?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let talking = tokio::spawn(connection);
    let (mut parts, body) = request.into_parts();
    parts.headers.insert(header::HOST, authority.as_str().parse()?);
    if let Some(path) = parts.uri.path_and_query() {
        parts.uri = path.as_str().parse()?;
    }
    let (parts, answer) = sender.send_request(Request::from_parts(parts, Body::from(body))).await?.into_parts();
    let answer = to_bytes(Body::new(answer), ANSWER_BYTES_MAX).await;
    talking.abort();
    Ok(Response::from_parts(parts, answer?))
}
