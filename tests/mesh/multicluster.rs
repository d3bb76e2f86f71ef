//! The pods of one version are in one cluster and those of the other in another, of one mesh: weights split between the
//! clusters, and whoever has endpoints anywhere in the mesh has them.

use std::sync::Arc;
use std::time::Duration;

use crate::bed::{Mesh, Place, SOON, listener_port, local};
use crate::history;
use crate::process;
use crate::shares;
use crate::support::controlplane::free_port;
use crate::support::envoy::Envoy;
use crate::support::kubernetes::{self, eventually};
use crate::support::load::{Target, burst};
use crate::support::repository::Repository;
use crate::support::workloads::{self, Workload};
use crate::two::{GATEWAYS, NAMES, Topology, Two};

const NAME: &str = "helloworld";
const REQUESTS: usize = 2_500;
const CONNECTIONS: usize = 16;

pub async fn scenario_helloworld_over_two_primaries(mesh: Arc<Mesh>) {
    replay(mesh, Topology::TwoPrimaries).await;
}

pub async fn scenario_helloworld_over_a_primary_and_its_remote(mesh: Arc<Mesh>) {
    replay(mesh, Topology::PrimaryAndRemote).await;
}

/// Plays the scenario's history: everything on v1, then a fifth on v2, and back.
async fn replay(mesh: Arc<Mesh>, topology: Topology) {
    let two = Two::start(&mesh, topology, NAME).await;
    let (gateways, port) = ([listener_port(), listener_port()], listener_port());
    for client in &two.clients {
        kubernetes::service(client, NAME, NAME, port).await;
    }
    serve(&mesh, &two, 0, "v1").await;
    let commits: Vec<String> = history::commits(NAME).iter().map(|commit| here(&commit.text, gateways, port)).collect();
    let repository = Repository::empty();
    let address = format!("127.0.0.1:{}", free_port());
    let _process = two.follow(&repository, NAME, &address);
    let commit = |text: &String| repository.commit("Traffic", &[("plans/helloworld.yaml", text)]);

    let first = commit(&commits[0]);
    settled(&mesh, &two, &first).await;
    judge(gateways, 0).await;

    // Nobody has a pod of v2 yet.
    let second = commit(&commits[1]);
    let server = format!("http://{address}");
    let why = || async {
        let plan = format!("{NAME}/{NAME}");
        process::run(repository.home(), &["why", &plan, "--server", &server]).await.stdout
    };
    eventually("it waits for v2", SOON, || async { why().await.contains("a ready endpoint of version v2") }).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    judge(gateways, 0).await;

    serve(&mesh, &two, 1, "v2").await;
    settled(&mesh, &two, &second).await;
    judge(gateways, 20).await;

    let back = repository.revert(&second);
    settled(&mesh, &two, &back).await;
    judge(gateways, 0).await;
    if topology == Topology::PrimaryAndRemote {
        for kind in ["VirtualService", "DestinationRule", "Gateway"] {
            let there = kubernetes::api(&two.clients[1], NAME, "networking.istio.io/v1", kind);
            assert!(there.list(&Default::default()).await.unwrap().items.is_empty(), "a {kind} is in the remote");
        }
    }
}

/// Starts a server of a version in one of the clusters, with mutual TLS.
async fn serve(mesh: &Mesh, two: &Two, cluster: usize, version: &str) {
    let workload = Workload::start(version, Some(&mesh.certificates));
    workloads::register(&two.clients[cluster], NAME, NAME, version, workload.address).await;
}

/// A document with ports that are free here, and a Gateway for each cluster.
fn here(text: &str, gateways: [u16; 2], port: u16) -> String {
    let (gateway, plan) = text.split_once("---\n").unwrap();
    let bind = "port: {number: 80, name: http, protocol: HTTP}";
    let of = |place: usize| {
        let bound = format!("port: {{number: {}, name: http, protocol: HTTP}}\n      bind: 127.0.0.1", gateways[place]);
        let name = if place == 0 { "helloworld-gateway" } else { "west-gateway" };
        let here = gateway.replace(bind, &bound).replace("helloworld-gateway", name);
        here.replace("istio: ingressgateway", &format!("istio: {}", GATEWAYS[place]))
    };
    let plan = plan.replace("\n  port: 5000", &format!("\n  port: {port}"));
    let plan = plan.replace("gateways: [helloworld-gateway]", "gateways: [helloworld-gateway, west-gateway]");
    format!("{}---\n{}---\n{plan}", of(0), of(1))
}

/// Waits until the plan has settled in every primary, and both gateways route as it says.
async fn settled(mesh: &Mesh, two: &Two, commit: &str) {
    let versions = vec!["v1".to_owned(), "v2".to_owned()];
    let at = Place { namespace: NAME, route: NAME, rule: NAME, versions };
    let gateways: Vec<&Envoy> = two.gateways.iter().collect();
    for client in two.primaries() {
        mesh.settled(client, &at, commit, &gateways).await;
    }
}

/// Asks through the gateway of each cluster, and panics where v2 has not its share; a miss is repeated once.
async fn judge(gateways: [u16; 2], v2: u32) {
    for (port, cluster) in gateways.into_iter().zip(NAMES) {
        let target = [Target::new(local(port), "hello.example.com", "/")];
        let mut tally = burst(&target, REQUESTS, CONNECTIONS).await;
        if !shares::fits(tally.of("v2"), REQUESTS, v2) {
            tally = burst(&target, REQUESTS * 4, CONNECTIONS).await;
        }
        let (requests, of_v2) = (tally.requests(), tally.of("v2"));
        println!("through the gateway of {cluster}: {} of {requests} by v1, {of_v2} by v2", tally.of("v1"));
        assert_eq!(tally.status(200), requests, "{tally:?}");
        assert!(shares::fits(of_v2, requests, v2), "v2 has not {v2} %: {tally:?}");
    }
}
