//! Starts a real istiod on loopback against a control plane of the test bed.
//!
//! The binary is built once from `tests/istiod` with Go. It validates objects, answers its debug endpoints over plain
//! HTTP, and serves configuration to proxies over plain gRPC. Webhooks are not installed in the API server: what Istio
//! would refuse gets through, so that tests can see what proxies make of it.
#![allow(dead_code, reason = "each test binary uses its part of the test bed")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test bed that fails is a failed test")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::json;

use super::controlplane::{self, Component, ControlPlane};

const READY_DEADLINE: Duration = Duration::from_secs(120);

/// Proxies trust what plain Envoy has: no filter of Istio's own, and mutual TLS only where a rule asks for it.
const MESH: &str = "accessLogFile: ''\ningressControllerMode: \"OFF\"\nenableAutoMtls: false\n";

/// What istiod is told in its environment: parts that need a webhook, an authority or an Envoy of Istio's are off.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("PILOT_ENABLE_ALPN_FILTER", "false"),
    ("PILOT_ENABLE_METADATA_EXCHANGE", "false"),
    ("ENABLE_CA_SERVER", "false"),
    ("PILOT_CERT_PROVIDER", "none"),
    ("INJECT_ENABLED", "false"),
    ("VALIDATION_WEBHOOK_CONFIG_NAME", ""),
    ("INJECTION_WEBHOOK_CONFIG_NAME", ""),
    ("PILOT_ENABLE_GATEWAY_API", "false"),
    ("POD_NAMESPACE", NAMESPACE),
];

/// The name that the control plane has for istiod and its proxies.
pub const CLUSTER: &str = "cluster1";

/// Where istiod keeps its own state, and where gateways are.
pub const NAMESPACE: &str = "istio-system";

/// The binary, or why Istio's modules can't be had here. A module that is there and does not build is a failed test.
pub fn binary() -> Result<PathBuf, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let built = controlplane::build("istiod", "-s -w");
        if let Err(error) = &built {
            controlplane::go("istiod", &["list", "-deps", "-f", "", "."])?;
            panic!("{error}");
        }
        built
    });
    built.clone()
}

/// One istiod; dropped, it is gone.
pub struct Istiod {
    component: Component,
    dir: PathBuf,
    http: u16,
    grpc: u16,
    monitoring: u16,
}

impl Istiod {
    /// Starts one and waits until it is ready; panics with the log's tail when that fails. Blocks: in a runtime call it
    /// by `spawn_blocking`.
    pub fn start(plane: &ControlPlane) -> Self {
        Self::start_with(plane, &[])
    }

    /// The same with more variables in its environment.
    pub fn start_with(plane: &ControlPlane, environment: &[(&str, &str)]) -> Self {
        Self::start_in(plane, CLUSTER, environment)
    }

    /// The same with a cluster's name of its own.
    pub fn start_in(plane: &ControlPlane, cluster: &str, environment: &[(&str, &str)]) -> Self {
        own_namespace(plane);
        let binary = binary().unwrap_or_else(|error| panic!("istiod can't be had: {error}"));
        let mut last = String::new();
        // A free port can be taken by somebody else between the look and the bind.
        for _ in 0..3 {
            match Self::try_start(&binary, plane, cluster, environment) {
                Ok(istiod) => return istiod,
                Err(error) => last = error,
            }
        }
        panic!("istiod did not start: {last}");
    }

    /// Its address for `/validate`, `/ready` and `/debug/…`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http)
    }

    /// The port of loopback at which proxies ask for configuration.
    pub fn grpc_port(&self) -> u16 {
        self.grpc
    }

    /// The port of loopback that is 15014 in its pod.
    pub fn monitoring_port(&self) -> u16 {
        self.monitoring
    }

    fn try_start(
        binary: &Path,
        plane: &ControlPlane,
        cluster: &str,
        environment: &[(&str, &str)],
    ) -> Result<Self, String> {
        let dir = controlplane::run_dir();
        std::fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let (mesh, networks) = (dir.join("mesh.yaml"), dir.join("networks.yaml"));
        std::fs::write(&mesh, MESH).and_then(|()| std::fs::write(&networks, "networks: {}\n")).unwrap();
        let [http, grpc, monitoring, introspection] = std::array::from_fn(|_| controlplane::free_port());
        let mut command = Command::new(binary);
        command
            .arg("discovery")
            .args(["--kubeconfig", &plane.kubeconfig().display().to_string()])
            .args(["--clusterID", cluster])
            .args(["--meshConfig", &mesh.display().to_string()])
            .args(["--networksConfig", &networks.display().to_string()])
            .args(["--httpAddr", &format!("127.0.0.1:{http}"), "--httpsAddr", ""])
            .args(["--grpcAddr", &format!("127.0.0.1:{grpc}"), "--secureGRPCAddr", ""])
            .args(["--monitoringAddr", &format!("127.0.0.1:{monitoring}")])
            .args(["--ctrlz_address", "127.0.0.1", "--ctrlz_port", &introspection.to_string()])
            .env_clear()
            .envs(ENVIRONMENT.iter().chain(environment).copied())
            .env("CLUSTER_ID", cluster)
            .env("POD_NAME", format!("istiod-{http}"))
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &dir)
            .current_dir(&dir);
        let component = Component::start("istiod", &dir, &mut command)?;
        let mut istiod = Self { component, dir, http, grpc, monitoring };
        istiod.wait_ready()?;
        Ok(istiod)
    }

    fn wait_ready(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + READY_DEADLINE;
        while Instant::now() < deadline {
            if let Some(failure) = self.component.failed() {
                return Err(failure);
            }
            if get(self.http, "/ready").is_ok_and(|(status, _)| status == 200) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(format!("not ready after {READY_DEADLINE:?}: {}", self.component.log_tail()))
    }
}

impl Drop for Istiod {
    fn drop(&mut self) {
        self.component.end();
        // What went wrong may stand in the log; the next run sweeps it away.
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

/// Creates the namespace in which istiod keeps its own state.
fn own_namespace(plane: &ControlPlane) {
    let text = plane.kubeconfig_text();
    let made = controlplane::block_on(async move {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Namespace"));
        let api: Api<DynamicObject> = Api::all_with(controlplane::client(&text).await?, &kind);
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
        let (name, params) = (NAMESPACE, PatchParams::apply("testbed").force());
        api.patch(name, &params, &Patch::Apply(namespace)).await.map(drop).map_err(|e| format!("namespace {name}: {e}"))
    });
    made.unwrap_or_else(|error| panic!("{error}"));
}

/// Asks a server on a port of loopback, over a connection of its own; blocks for at most 10 s.
pub fn get(port: u16, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    // Envoy refuses HTTP/1.0, which knows no chunks.
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        return Ok((status, unchunked(body)));
    }
    Ok((status, body.to_owned()))
}

/// A body that came in chunks, each after its length.
fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let Some(part) = usize::from_str_radix(length, 16).ok().and_then(|length| rest.get(..length)) else { break };
        whole.push_str(part);
        body = rest.get(part.len() + 2..).unwrap_or_default();
    }
    whole
}
