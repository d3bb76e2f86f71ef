//! Services whose versions are real HTTP servers in the test process, each at a loopback address of its own.
//!
//! Kubernetes refuses loopback addresses of endpoints, so every version is there twice: as a WorkloadEntry, which istiod
//! sends to the proxies, and as a ready pod in an EndpointSlice, which tidegate counts. The slice names another port
//! than the Service, so that istiod makes no endpoints of it.
#![allow(dead_code, reason = "each test binary uses its part of the test bed")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test bed that fails is a failed test")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use kube::Client;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use super::certificates::Certificates;
use super::kubernetes;

/// No request of a test is longer.
const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// A server that answers every request with its version; it listens until the test process ends.
pub struct Workload {
    /// Where it listens.
    pub address: SocketAddr,
    answered: Arc<AtomicU64>,
}

impl Workload {
    /// A server at an address of its own; with certificates it speaks TLS only, and only with whom the authority
    /// signed.
    pub fn start(version: &str, certificates: Option<&Certificates>) -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(1);
        let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let listener = TcpListener::bind((Ipv4Addr::new(127, 100, high, low), 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let answered = Arc::new(AtomicU64::new(0));
        let tls = certificates.map(|certificates| Arc::new(tls(certificates)));
        let (version, count) = (version.to_owned(), Arc::clone(&answered));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (version, count, tls) = (version.clone(), Arc::clone(&count), tls.clone());
                std::thread::spawn(move || {
                    let _ = stream.set_nodelay(true);
                    // A caller that goes away is no matter of a server's.
                    let _ = match tls {
                        None => serve(stream, &version, &count),
                        Some(tls) => serve(secured(stream, tls), &version, &count),
                    };
                });
            }
        });
        Self { address, answered }
    }

    /// How many requests it has answered.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }
}

/// A Service of one port `http` with a server for each value of the label `version`, under the account `default`.
pub async fn service(
    client: &Client,
    namespace: &str,
    name: &str,
    port: u16,
    versions: &[&str],
    certificates: Option<&Certificates>,
) -> Vec<Workload> {
    kubernetes::service(client, namespace, name, port).await;
    let mut workloads = Vec::new();
    for version in versions {
        let workload = Workload::start(version, certificates);
        register(client, namespace, name, version, workload.address).await;
        workloads.push(workload);
    }
    workloads
}

/// Makes a server an endpoint of a Service.
pub async fn register(client: &Client, namespace: &str, service: &str, version: &str, address: SocketAddr) {
    let (labels, entry) = (json!({"app": service, "version": version}), format!("{service}-{version}"));
    let spec = json!({"address": address.ip(), "ports": {"http": address.port()}, "labels": labels,
        "serviceAccount": "default"});
    let metadata = json!({"name": entry, "namespace": namespace, "labels": labels});
    let workload =
        json!({"apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry", "metadata": metadata, "spec": spec});
    kubernetes::create(client, workload).await;
    let container = json!({"name": "main", "image": "none.invalid/none"});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}});
    kubernetes::create(client, pod).await;
    let target = json!({"kind": "Pod", "name": entry, "namespace": namespace});
    let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": entry, "namespace": namespace, "labels": {"kubernetes.io/service-name": service}},
        "endpoints": [{"addresses": ["10.1.0.1"], "conditions": {"ready": true}, "targetRef": target}],
        "ports": [{"name": "elsewhere", "port": 1, "protocol": "TCP"}]});
    kubernetes::create(client, slice).await;
}

/// Answers requests without bodies until the caller is gone.
fn serve(mut stream: impl Read + Write, version: &str, count: &AtomicU64) -> std::io::Result<()> {
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{version}", version.len());
    let (mut request, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut part)?;
        if read == 0 || request.len() > REQUEST_BYTES_MAX {
            return Ok(());
        }
        request.extend_from_slice(part.get(..read).unwrap_or_default());
        while let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") {
            request.drain(..end + 4);
            count.fetch_add(1, Ordering::Relaxed);
            stream.write_all(answer.as_bytes())?;
            stream.flush()?;
        }
    }
}

fn secured(stream: TcpStream, config: Arc<ServerConfig>) -> StreamOwned<ServerConnection, TcpStream> {
    StreamOwned::new(ServerConnection::new(config).unwrap(), stream)
}

/// The authority signs for both sides; the server shows its certificate, and wants to see the caller's.
fn tls(certificates: &Certificates) -> ServerConfig {
    let read = |path: &Path| -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_file_iter(path).unwrap().map(|certificate| certificate.unwrap()).collect()
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(read(&certificates.file("ca.pem")));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let callers = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let key = PrivateKeyDer::from_pem_file(certificates.file("server.key")).unwrap();
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(callers)
        .with_single_cert(read(&certificates.file("server.pem")), key)
        .unwrap()
}
