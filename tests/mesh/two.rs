//! Two API servers whose endpoints are one mesh's, on one network: both with an istiod, or one with an istiod that reads the
//! other's by Istio's remote secret; a gateway in each, and the binary that keeps both.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use kube::Client;
use serde_json::{Value, json};

use crate::bed::{GATEWAY, Mesh, SOON, namespace};
use crate::process::Process;
use crate::support::controlplane::ControlPlane;
use crate::support::envoy::{Envoy, Role};
use crate::support::istiod::{self, Istiod};
use crate::support::kubernetes;
use crate::support::repository::Repository;

/// The names of the clusters: for istiod, for the proxies and for tidegate.
pub const NAMES: [&str; 2] = ["east", "west"];

/// The values of the label `istio` by which Gateways choose their gateways: they share one address.
pub const GATEWAYS: [&str; 2] = [GATEWAY, "westgateway"];

/// Who hands the proxies of the second cluster what they have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topology {
    /// An istiod of its own, which reads the first cluster as that of the first reads it.
    TwoPrimaries,
    /// The istiod of the first.
    PrimaryAndRemote,
}

/// Two clusters; dropped, they are gone.
pub struct Two {
    /// A gateway in each.
    pub gateways: [Envoy; 2],
    /// A client of each.
    pub clients: [Client; 2],
    istiods: Vec<Istiod>,
    planes: [ControlPlane; 2],
    topology: Topology,
}

impl Two {
    /// Starts them, with a namespace of this name in both; the certificates are the mesh's.
    pub async fn start(mesh: &Mesh, topology: Topology, name: &str) -> Self {
        let planes = tokio::task::block_in_place(|| [ControlPlane::start(), ControlPlane::start()]);
        let clients = [planes[0].client().await, planes[1].client().await];
        for client in &clients {
            namespace(client, name).await;
        }
        let primaries = if topology == Topology::TwoPrimaries { 2 } else { 1 };
        let mut istiods = Vec::new();
        for own in 0..primaries {
            let other = 1 - own;
            istiods.push(tokio::task::block_in_place(|| Istiod::start_in(&planes[own], NAMES[own], &[])));
            kubernetes::create(&clients[own], remote_secret(NAMES[other], &planes[other].kubeconfig_text())).await;
        }
        for istiod in &istiods {
            synced(istiod).await;
        }
        let gateway = |place: usize| {
            let istiod = istiods.get(place).unwrap_or(&istiods[0]);
            mesh.envoy_in(NAMES[place], Role::Gateway(GATEWAYS[place]), istiod.grpc_port())
        };
        let gateways = tokio::task::block_in_place(|| [gateway(0), gateway(1)]);
        Self { gateways, clients, istiods, planes, topology }
    }

    /// Starts the binary on a repository, with a configuration of both clusters.
    pub fn follow(&self, repository: &Repository, name: &str, listen: &str) -> Process {
        let file = self.configuration(repository, name).display().to_string();
        let run = ["run", "--config", &file, "--convergence-wait", "500ms", "--listen", listen, "--read-only"];
        Process::start(repository.home(), &run)
    }

    fn configuration(&self, repository: &Repository, name: &str) -> PathBuf {
        let kubeconfigs = self.planes.each_ref().map(|plane| plane.kubeconfig().display().to_string());
        let istiods: Vec<String> = self.istiods.iter().map(Istiod::url).collect();
        let second = match self.topology {
            Topology::TwoPrimaries => format!("istiod: '{}'", istiods[1]),
            Topology::PrimaryAndRemote => "role: remote".to_owned(),
        };
        let [east, west] = NAMES;
        let text = format!(
            "apiVersion: tidegate.dev/v1alpha1\nkind: Configuration\n\
             repositories: [{{url: '{}', name: {name}}}]\nclusters:\n\
             - {{name: {east}, mesh: shop, kubeconfig: '{}', istiod: '{}'}}\n\
             - {{name: {west}, mesh: shop, kubeconfig: '{}', {second}}}\n",
            repository.location(),
            kubeconfigs[0],
            istiods[0],
            kubeconfigs[1],
        );
        let file = repository.home().join("tidegate.yaml");
        std::fs::write(&file, text).unwrap();
        file
    }

    /// The clusters that Istio reads VirtualServices from.
    pub fn primaries(&self) -> &[Client] {
        &self.clients[..self.istiods.len()]
    }
}

/// The Secret by which an istiod reads another cluster, as `istioctl create-remote-secret` makes it.
fn remote_secret(cluster: &str, kubeconfig: &str) -> Value {
    let metadata = json!({"name": format!("istio-remote-secret-{cluster}"), "namespace": istiod::NAMESPACE,
        "labels": {"istio/multiCluster": "true"}, "annotations": {"networking.istio.io/cluster": cluster}});
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {cluster: kubeconfig}})
}

/// Waits until an istiod has read both clusters.
async fn synced(istiod: &Istiod) {
    let port = istiod.monitoring_port();
    let deadline = Instant::now() + SOON;
    loop {
        let answer = tokio::task::block_in_place(|| istiod::get(port, "/debug/clusterz")).unwrap();
        let clusters: Value = serde_json::from_str(&answer.1).unwrap_or_default();
        let clusters = clusters.as_array().cloned().unwrap_or_default();
        if clusters.len() == 2 && clusters.iter().all(|cluster| cluster["syncStatus"] == "synced") {
            return;
        }
        assert!(Instant::now() < deadline, "istiod has not read both clusters: {answer:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
