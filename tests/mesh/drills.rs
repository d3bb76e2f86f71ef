//! Loads services while commits move their traffic: no request may fail, whatever the commit does.
//!
//! Each service of a batch has a plan, a load and a judgement of its own; one commit moves all of them.

use std::sync::Arc;

use kube::Client;
use serde_json::json;

use crate::bed::{GATEWAY, Mesh, Place, SOON, listener_port, local, namespace};
use crate::process::Process;
use crate::support::kubernetes::{self, eventually};
use crate::support::load::{Load, Target};
use crate::support::repository::Repository;
use crate::support::workloads;

/// How often each drill is repeated, and how many repetitions run beside each other.
const REPETITIONS: usize = 20;
const BATCH: usize = 10;
/// A repetition counts where it was asked at this rate; the load aims a little higher.
const RATE_MIN: f64 = 150.0;
const RATE: u32 = 165;
const CONNECTIONS: usize = 4;
/// Batches that were asked too slowly are repeated, up to so many in all.
const BATCHES_MAX: usize = 6;
/// A load goes on for so many requests after everything is where it should be.
const AFTER: usize = 100;

const ONE: &str = "v1: {labels: {version: v1}}";
const BOTH: &str = "v1: {labels: {version: v1}}\n    v2: {labels: {version: v2}}";

/// What a plan asks for: its versions, and everything from `traffic` on.
type Wish = (&'static str, &'static str);
const ON_V1: Wish = (ONE, "{v1: 100}");
const ON_V1_OF_TWO: Wish = (BOTH, "{v1: 100}");
const HALF: Wish = (BOTH, "{v1: 50, v2: 50}");
const ON_V2_BY_STEPS: Wish = (BOTH, "{v2: 100}\n  steps: [{weight: 10, hold: 1s}, {weight: 50, hold: 1s}]");
const ON_V2_SOME_DAY: Wish = (BOTH, "{v2: 100}\n  steps: [{weight: 10, hold: 1s}, {weight: 50, hold: 1h}]");

/// A version comes, and gets half of the requests.
pub async fn adding_a_version_fails_no_request(mesh: Arc<Mesh>) {
    let drill = async |bed: &Bed<'_>| {
        let id = bed.commit("Half to a new version", HALF);
        bed.settle(&id, &["v1", "v2"]).await;
    };
    repeat(&mesh, "adding", ON_V1, drill).await;
}

/// A version that has half of the requests goes.
pub async fn removing_a_version_fails_no_request(mesh: Arc<Mesh>) {
    let drill = async |bed: &Bed<'_>| {
        let id = bed.commit("Without the new version", ON_V1);
        bed.settle(&id, &["v1"]).await;
    };
    repeat(&mesh, "removing", HALF, drill).await;
}

/// All requests go from one version to the other, by two steps.
pub async fn a_whole_walk_fails_no_request(mesh: Arc<Mesh>) {
    let drill = async |bed: &Bed<'_>| {
        let id = bed.commit("Walk", ON_V2_BY_STEPS);
        bed.settle(&id, &["v1", "v2"]).await;
    };
    repeat(&mesh, "walking", ON_V1_OF_TWO, drill).await;
}

/// The new version comes, walks, and is reverted while it has half of the requests.
pub async fn a_revert_in_mid_walk_fails_no_request(mesh: Arc<Mesh>) {
    let drill = async |bed: &Bed<'_>| {
        let walk = bed.commit("Walk", ON_V2_SOME_DAY);
        for name in &bed.names {
            eventually("the second step", SOON, || async {
                let route = kubernetes::virtual_service(&bed.client, &bed.namespace, name).await.unwrap();
                kubernetes::weights(&route).contains(&("v2".to_owned(), 50))
            })
            .await;
        }
        let id = bed.repository.revert(&walk);
        bed.settle(&id, &["v1"]).await;
    };
    repeat(&mesh, "reverting", ON_V1, drill).await;
}

/// A batch of services with their plans, settled where the drill begins, and the binary.
struct Bed<'a> {
    mesh: &'a Mesh,
    client: Client,
    namespace: String,
    names: Vec<String>,
    gateway_port: u16,
    service_port: u16,
    repository: Repository,
    _process: Process,
}

impl<'a> Bed<'a> {
    async fn open(mesh: &'a Mesh, name: &str, start: Wish) -> Self {
        let client = mesh.client().await;
        namespace(&client, name).await;
        let (gateway_port, service_port) = (listener_port(), listener_port());
        let names: Vec<String> = (0..BATCH).map(|number| format!("shop-{number}")).collect();
        for service in &names {
            workloads::service(&client, name, service, service_port, &["v1", "v2"], None).await;
        }
        let server = json!({"port": {"number": gateway_port, "name": "http", "protocol": "HTTP"}, "bind": "127.0.0.1",
            "hosts": ["*"]});
        let gateway = json!({"apiVersion": "networking.istio.io/v1", "kind": "Gateway",
            "metadata": {"name": "gateway", "namespace": name},
            "spec": {"selector": {"istio": GATEWAY}, "servers": [server]}});
        kubernetes::create(&client, gateway).await;
        let repository = Repository::empty();
        let process = mesh.follow(&repository, name, &["--istiod", &mesh.istiod.url()]);
        let namespace = name.to_owned();
        let bed = Self { mesh, client, namespace, names, gateway_port, service_port, repository, _process: process };
        let id = bed.commit("Begin", start);
        bed.settle(&id, if start.0 == ONE { &["v1"] } else { &["v1", "v2"] }).await;
        bed
    }

    /// Commits the same wish for all services.
    fn commit(&self, message: &str, (versions, traffic): Wish) -> String {
        let plan = |name: &String| {
            let text = format!(
                "apiVersion: tidegate.dev/v1alpha1\nkind: CanaryPlan\n\
                 metadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  service: {name}\n  port: {port}\n  \
                 hosts: [{name}, {name}.{namespace}.example.com]\n  gateways: [gateway, mesh]\n  \
                 versions:\n    {versions}\n  traffic: {traffic}\n",
                namespace = self.namespace,
                port = self.service_port,
            );
            (format!("plans/{name}.yaml"), text)
        };
        self.repository.commit(message, &self.names.iter().map(plan).collect::<Vec<_>>())
    }

    /// Waits until all services have settled at a commit.
    async fn settle(&self, commit: &str, versions: &[&str]) {
        let proxies = [&self.mesh.gateway, &self.mesh.caller];
        for name in &self.names {
            let versions = versions.iter().map(|version| (*version).to_owned()).collect();
            let at = Place { namespace: &self.namespace, route: name, rule: name, versions };
            self.mesh.settled(&self.client, &at, commit, &proxies).await;
        }
    }

    /// Loads a service through the gateway and from inside the mesh.
    fn load(&self, name: &str) -> Load {
        let inside = format!("{name}.{}.svc.cluster.local:{}", self.namespace, self.service_port);
        let targets = [
            Target::new(local(self.gateway_port), &format!("{name}.{}.example.com", self.namespace), "/"),
            Target::new(local(self.service_port), &inside, "/"),
        ];
        Load::start(&targets, RATE, CONNECTIONS)
    }
}

/// Repeats a drill until enough repetitions were asked fast enough.
async fn repeat(mesh: &Mesh, name: &str, start: Wish, drill: impl AsyncFn(&Bed<'_>)) {
    let (mut counted, mut requests) = (0, 0);
    for batch in 0..BATCHES_MAX {
        let bed = Bed::open(mesh, &format!("{name}-{batch}"), start).await;
        let loads: Vec<Load> = bed.names.iter().map(|name| bed.load(name)).collect();
        drill(&bed).await;
        for load in &loads {
            let enough = load.tally().requests() + AFTER;
            eventually("a while after", SOON, || async { load.tally().requests() >= enough }).await;
        }
        for (load, name) in loads.into_iter().zip(&bed.names) {
            let tally = load.stop().await;
            assert_eq!(tally.failures(), 0, "{name} in {}: {tally:?}", bed.namespace);
            counted += usize::from(tally.rate() >= RATE_MIN);
            requests += tally.requests();
        }
        if counted >= REPETITIONS {
            println!("{name}: {counted} repetitions, {requests} requests, none failed");
            return;
        }
    }
    panic!("only {counted} repetitions were asked {RATE_MIN} times a second: the machine is too slow");
}
