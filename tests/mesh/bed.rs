//! The one mesh of a run, the binary that follows a repository on it, and waits for what its proxies have.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use kube::Client;
use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate::rollout::{Journal, Phase};

use crate::process::Process;
use crate::support::certificates::Certificates;
use crate::support::controlplane::{Component, ControlPlane, free_port};
use crate::support::envoy::{Envoy, Role};
use crate::support::istiod::{self, Istiod};
use crate::support::kubernetes;
use crate::support::repository::Repository;

/// How long anything may take on a machine that has other things to do.
pub const SOON: Duration = Duration::from_secs(90);

/// The value of the label `istio` by which Gateways choose the gateway that the tests share.
pub const GATEWAY: &str = "ingressgateway";

/// A mesh with a gateway and the proxy of a caller; dropped, it is gone.
pub struct Mesh {
    /// The gateway that the tests share.
    pub gateway: Envoy,
    /// The proxy of a caller in the mesh.
    pub caller: Envoy,
    /// What signs for servers that speak mutual TLS.
    pub certificates: Certificates,
    /// Where proxies have their certificates from, and its port.
    _secrets: Component,
    secrets: u16,
    /// What configures the proxies.
    pub istiod: Istiod,
    /// The API server.
    pub plane: ControlPlane,
    _home: TempDir,
}

impl Mesh {
    /// Starts all of it; blocks.
    pub fn start() -> Self {
        let plane = ControlPlane::start();
        // Changes are gathered for at most so long: a test waits for that more than once.
        let istiod = Istiod::start_with(&plane, &[("PILOT_DEBOUNCE_MAX", "4s")]);
        let home = tempfile::tempdir().unwrap();
        let certificates = Certificates::make(home.path(), "certificates");
        // The only servers with certificates are those of this namespace, under its default account.
        certificates.sign("URI:spiffe://cluster.local/ns/helloworld/sa/default", 2);
        let port = free_port();
        let mut command = Command::new(istiod::binary().unwrap());
        command.arg("secrets").arg(format!("127.0.0.1:{port}")).arg(certificates.file(""));
        let secrets = Component::start("secrets", home.path(), &mut command).unwrap();
        let gateway = Envoy::start(Role::Gateway(GATEWAY), istiod.grpc_port(), port);
        let caller = Envoy::start(Role::Caller("caller", "default"), istiod.grpc_port(), port);
        Self { gateway, caller, certificates, _secrets: secrets, secrets: port, istiod, plane, _home: home }
    }

    /// One more proxy; blocks.
    pub fn envoy(&self, role: Role<'_>) -> Envoy {
        Envoy::start(role, self.istiod.grpc_port(), self.secrets)
    }

    /// The same, which asks istiod at another port.
    pub fn envoy_at(&self, role: Role<'_>, port: u16) -> Envoy {
        Envoy::start(role, port, self.secrets)
    }

    /// The same in another cluster, of another istiod.
    pub fn envoy_in(&self, cluster: &str, role: Role<'_>, port: u16) -> Envoy {
        Envoy::start_in(cluster, role, port, self.secrets)
    }

    /// A client of the API server.
    pub async fn client(&self) -> Client {
        self.plane.client().await
    }

    /// Starts the binary on a repository.
    pub fn follow(&self, repository: &Repository, name: &str, flags: &[&str]) -> Process {
        self.follow_as(&self.plane.kubeconfig(), repository, name, flags)
    }

    /// The same with another kubeconfig.
    pub fn follow_as(&self, kubeconfig: &Path, repository: &Repository, name: &str, flags: &[&str]) -> Process {
        let (location, kubeconfig) = (repository.location(), kubeconfig.display().to_string());
        let run = ["run", "--repo", &location, "--repo-name", name];
        let on = ["--kubeconfig", &kubeconfig, "--context", "testbed"];
        Process::start(repository.home(), &[&run[..], &on, flags].concat())
    }

    /// Waits until a plan's VirtualService says that it has settled at this commit, its rule has these subsets, and the
    /// proxies route as it says.
    pub async fn settled(&self, client: &Client, at: &Place<'_>, commit: &str, proxies: &[&Envoy]) {
        let deadline = Instant::now() + SOON;
        loop {
            let missing = self.unsettled(client, at, commit, proxies).await;
            let Some(missing) = missing else { return };
            assert!(Instant::now() < deadline, "{}/{} at {commit}: {missing}", at.namespace, at.route);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What is missing until then.
    async fn unsettled(&self, client: &Client, at: &Place<'_>, commit: &str, proxies: &[&Envoy]) -> Option<String> {
        let Some(route) = kubernetes::virtual_service(client, at.namespace, at.route).await else {
            return Some("there is no VirtualService".into());
        };
        let Some(Ok(journal)) = Journal::on(&route) else { return Some("there is no journal".into()) };
        if journal.revision.commit != commit || journal.phase != Phase::Settled {
            return Some(format!("it is {:?} at {}", journal.phase, journal.revision.commit));
        }
        let rules = kubernetes::api(client, at.namespace, "networking.istio.io/v1", "DestinationRule");
        let rule = rules.get_opt(at.rule).await.unwrap().map(|rule| rule.data["spec"]["subsets"].clone());
        let subsets = rule.as_ref().and_then(Value::as_array).into_iter().flatten();
        if !subsets.filter_map(|subset| subset["name"].as_str()).eq(&at.versions) {
            return Some(format!("the rule has {rule:?} instead of {:?}", at.versions));
        }
        let other = proxies.iter().find(|proxy| !routes_as(proxy, &route))?;
        Some(format!("{} does not route as {}", other.id(), route["spec"]))
    }
}

/// Where a plan's objects are, and the versions that its rule ends up with.
pub struct Place<'a> {
    pub namespace: &'a str,
    pub route: &'a str,
    pub rule: &'a str,
    pub versions: Vec<String>,
}

/// A port of 127.0.0.1 for a proxy to listen at, below those that the system gives to connections: the proxy takes it
/// only seconds later.
pub fn listener_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let place = std::process::id().wrapping_mul(97) + u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 20_000 + u16::try_from(place % 12_000).unwrap();
        if TcpListener::bind(local(port)).is_ok() {
            return port;
        }
    }
}

/// An address of loopback.
pub fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// A namespace of exactly this name.
pub async fn namespace(client: &Client, name: &str) {
    kubernetes::create(client, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})).await;
}

/// Whether a proxy's routes are those of a VirtualService: names, weights and faults, in order, for each of its hosts.
pub fn routes_as(proxy: &Envoy, route: &Value) -> bool {
    let [namespace, name] = ["namespace", "name"].map(|field| route["metadata"][field].as_str().unwrap());
    let origin = origin(namespace, name);
    let wanted: Vec<Leg> = route["spec"]["http"].as_array().unwrap().iter().map(wanted).collect();
    let configs = tokio::task::block_in_place(|| proxy.routes());
    let hosts = configs.iter().flat_map(|config| config["virtual_hosts"].as_array().into_iter().flatten());
    let mut there = hosts
        .map(|host| {
            let routes = host["routes"].as_array().into_iter().flatten();
            let ours =
                routes.filter(|route| route["metadata"]["filter_metadata"]["istio"]["config"] == origin.as_str());
            let mut legs: Vec<Leg> = ours.map(present).collect();
            // One for each of its matches.
            legs.dedup();
            legs
        })
        .filter(|legs| !legs.is_empty())
        .peekable();
    there.peek().is_some() && there.all(|legs| legs == wanted)
}

/// The weight that a proxy gives a subset in the first route of a VirtualService; none where it has no such route.
pub fn subset_weight(proxy: &Envoy, namespace: &str, name: &str, subset: &str) -> Option<u64> {
    let origin = origin(namespace, name);
    let hosts = proxy.routes();
    let hosts = hosts.iter().flat_map(|config| config["virtual_hosts"].as_array().into_iter().flatten());
    let mut routes = hosts.flat_map(|host| host["routes"].as_array().into_iter().flatten());
    let route = routes.find(|route| route["metadata"]["filter_metadata"]["istio"]["config"] == origin.as_str())?;
    Some(present(route).1.get(subset).copied().unwrap_or(0))
}

/// How istiod names a VirtualService in the routes that it makes of it.
fn origin(namespace: &str, name: &str) -> String {
    format!("/apis/networking.istio.io/v1/namespaces/{namespace}/virtual-service/{name}")
}

/// Name, weights by subset, and whether a fault is injected.
type Leg = (String, BTreeMap<String, u64>, bool);

fn wanted(route: &Value) -> Leg {
    let legs = route["route"].as_array().unwrap();
    let weight = |leg: &Value| leg["weight"].as_u64().unwrap_or(if legs.len() == 1 { 100 } else { 0 });
    let subset = |leg: &Value| leg["destination"]["subset"].as_str().unwrap().to_owned();
    let weights = legs.iter().map(|leg| (subset(leg), weight(leg))).filter(|(_, weight)| *weight > 0).collect();
    (route["name"].as_str().unwrap().to_owned(), weights, !route["fault"].is_null())
}

fn present(route: &Value) -> Leg {
    let subset = |cluster: &Value| cluster.as_str().unwrap_or("").split('|').nth(2).unwrap_or("").to_owned();
    let action = &route["route"];
    let weights = match action["weighted_clusters"]["clusters"].as_array() {
        Some(legs) => legs.iter().map(|leg| (subset(&leg["name"]), leg["weight"].as_u64().unwrap_or(0))).collect(),
        None => [(subset(&action["cluster"]), 100)].into(),
    };
    let name = route["name"].as_str().unwrap_or("").to_owned();
    (name, weights, !route["typed_per_filter_config"]["envoy.filters.http.fault"].is_null())
}
