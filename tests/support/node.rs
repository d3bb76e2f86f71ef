//! Plays a node of the cluster for port-forwards: the API server comes to it as to a kubelet, and the kubelet's own code
//! speaks with it. What a container runtime would find in a pod's network is named here.
#![allow(dead_code, reason = "each test binary uses its part of the test bed")]
#![allow(clippy::unwrap_used, reason = "a test bed that fails is a failed test")]

use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use kube::Client;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::controlplane::{self, Component};
use super::kubernetes;

const READY_DEADLINE: Duration = Duration::from_secs(30);

/// The node that all pods of tests are bound to; dropped, it is gone.
pub struct Node {
    port: u16,
    dir: PathBuf,
    component: Component,
}

impl Node {
    /// Starts it. Blocks.
    pub fn start() -> Self {
        let dir = controlplane::run_dir();
        std::fs::create_dir_all(&dir).unwrap();
        let port = controlplane::free_port();
        let mut command = controlplane::program("node").unwrap();
        command.arg(format!("127.0.0.1:{port}")).arg(dir.join("forwards"));
        let mut component = Component::start("node", &dir, &mut command).unwrap();
        let deadline = Instant::now() + READY_DEADLINE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(component.failed().is_none() && Instant::now() < deadline, "{}", component.log_tail());
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { port, dir, component }
    }

    /// Tells the API server where it is.
    pub async fn join(&self, client: &Client) {
        kubernetes::node(client).await;
        let status = json!({"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self.port}}});
        let nodes = kubernetes::api(client, "", "v1", "Node");
        let patch = Patch::Merge(json!({"status": status}));
        nodes.patch_status(kubernetes::NODE, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Makes a pod that is ready and in which these ports are those of loopback.
    pub async fn pod(&self, client: &Client, namespace: &str, name: &str, labels: Value, ports: &[(u16, u16)]) {
        let path = self.dir.join("forwards");
        let mut forwards = std::fs::read_to_string(&path).unwrap_or_default();
        for (port, local) in ports {
            forwards.push_str(&format!("{namespace}/{name}:{port} 127.0.0.1:{local}\n"));
        }
        // It may be read at any time.
        std::fs::write(path.with_extension("new"), forwards)
            .and_then(|()| std::fs::rename(path.with_extension("new"), &path))
            .unwrap();
        static NEXT: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(1);
        let ip = format!("10.9.0.{}", NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        kubernetes::ready_pod(client, namespace, name, labels, &ip).await;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.component.end();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
