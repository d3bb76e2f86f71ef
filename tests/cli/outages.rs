//! A cluster without Istio, and one that is away: at start, and in mid-walk.

use std::time::Duration;

use tidegate::sandbox::Options;

use crate::bed::{Bed, eventually};
use crate::process::{Process, run};
use crate::proxy::{CONTEXT, Proxy};

const STEPS: &str = "from: {v1: 100}\n  steps: [{weight: 10, hold: 1s}, {weight: 50, hold: 3s}]";

/// The binary on this bed's cluster through a proxy.
fn start_through(bed: &Bed, proxy: &Proxy) -> Process {
    let (repository, kubeconfig) = (bed.repository.location(), proxy.kubeconfig().display().to_string());
    let arguments = [
        "run",
        "--convergence-wait",
        "100ms",
        "--repo",
        &repository,
        "--kubeconfig",
        &kubeconfig,
        "--context",
        CONTEXT,
    ];
    Process::start(bed.repository.home(), &arguments)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_istio_is_one_clear_message() {
    let bed = Bed::with(Options { istio: false, ..Options::default() }).await;
    bed.plan("web", "traffic: {v1: 100}");
    let says =
        "cluster sandbox serves no VirtualService of networking.istio.io; install Istio or its CRDs in this cluster";
    for arguments in [bed.on_cluster(&["status"]), bed.run_arguments(&["--once"])] {
        let answer = run(bed.repository.home(), &arguments).await;
        assert_eq!(answer.code, 3, "{answer:?}");
        let errors: Vec<_> = answer.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert!(errors.len() == 1 && errors[0].contains(says), "{arguments:?}: {}", answer.stderr);
    }
    let process = bed.start();
    eventually("it is said", || process.log().contains(says)).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(process.log().matches(says).count(), 1, "{}", process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_away_at_start_is_served_once_it_is_there() {
    let bed = Bed::open().await;
    bed.plan("web", "traffic: {v1: 100}");
    let proxy = Proxy::away(&bed.server.kubeconfig()).await;
    let mut process = start_through(&bed, &proxy);
    eventually("it is said", || process.log().contains("the cluster is away")).await;
    proxy.open().await;
    bed.until_settled("web", "v1=100").await;
    assert!(process.runs());
    assert_eq!(process.log().matches("the cluster is away").count(), 1, "{}", process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_goes_away_in_mid_walk_is_walked_on_when_it_is_back() {
    let bed = Bed::open().await;
    let proxy = Proxy::start(&bed.server.kubeconfig()).await;
    let mut process = start_through(&bed, &proxy);
    bed.plan("web", &format!("{STEPS}\n  traffic: {{v1: 100}}"));
    bed.until_settled("web", "v1=100").await;
    bed.plan("web", &format!("{STEPS}\n  traffic: {{v2: 100}}"));
    bed.until_weights("web", "v1=50 v2=50").await;
    proxy.close().await;
    eventually("it is said", || process.log().contains("the cluster is away")).await;
    // What is asked for meanwhile is done when it is back.
    bed.plan("web", &format!("{STEPS}\n  traffic: {{v1: 40, v2: 60}}"));
    let tip = bed.repository.tip();
    eventually("the commit is read", || process.log().contains(&tip)).await;
    assert_eq!(bed.weights("web"), "v1=50 v2=50");
    proxy.open().await;
    bed.until_settled("web", "v1=40 v2=60").await;
    assert!(process.runs());
    // A way back across an outage as well.
    proxy.close().await;
    bed.plan("web", &format!("{STEPS}\n  traffic: {{v1: 100}}"));
    proxy.open().await;
    bed.until_settled("web", "v1=100").await;
}
