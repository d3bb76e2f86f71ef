//! Plans in one, two or three clusters: the real binary before as many real API servers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod bed;
#[path = "../support/certificates.rs"]
#[allow(dead_code, reason = "each test binary uses its part of the test bed")]
mod certificates;
mod choosing;
mod configured;
#[path = "../support/controlplane.rs"]
mod controlplane;
mod guarded;
#[path = "../support/kubernetes.rs"]
mod kubernetes;
mod meshes;
#[path = "../support/process.rs"]
mod process;
#[path = "../support/proxy.rs"]
mod proxy;
mod quorum;
mod reload;
mod repositories;
#[path = "../support/repository.rs"]
#[allow(dead_code, reason = "each test binary uses its part of the test bed")]
mod repository;
mod secrets;
mod three;
mod waves;

use bed::{EAST, Fleet, WEST};

/// All on v1.
const V1: &str = "  traffic: {v1: 100}";
/// The walk stands at 10 until somebody says otherwise.
const SLOW: &str = "  steps: [{weight: 10, hold: 1h}]\n  traffic: {v2: 100}";
const FAST: &str = "  steps: [{weight: 10, hold: 0s}, {weight: 50, hold: 0s}]\n  traffic: {v2: 100}";

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_walks_in_step_in_two_clusters_and_a_revert_is_at_once_in_both() {
    let fleet = Fleet::open("step", &[EAST, WEST]).await;
    let _process = fleet.start(&[EAST, WEST]);
    fleet.plan(V1);
    fleet.until_settled(&[("v1", 100)]).await;
    fleet.plan(FAST);
    fleet.until_settled(&[("v2", 100)]).await;
    fleet.repository.revert("HEAD");
    fleet.until_settled(&[("v1", 100)]).await;
    let walk = [0_u64, 10, 50, 100, 0];
    for cluster in [EAST, WEST] {
        assert_eq!(fleet.walk(cluster), walk, "the weights of v2 in {cluster}");
    }
    // Nobody was raised to a step before the other had the one before it.
    for weight in [10, 50] {
        let (first, last) = fleet.entered(weight);
        let (next, _) = fleet.entered(if weight == 10 { 50 } else { 100 });
        assert!(first <= last && last < next, "{weight}: {first:?} {last:?}, then {next:?}");
    }
    let status = fleet.status().await;
    for (plan, cluster) in status["plans"].as_array().unwrap().iter().zip([EAST, WEST]) {
        assert_eq!((&plan["cluster"], &plan["phase"]), (&cluster.into(), &"Settled".into()), "{status:#}");
    }
    assert_eq!(status["plans"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn law_10_a_cluster_that_is_gone_holds_raises_in_the_other_and_no_way_back() {
    let fleet = Fleet::breaking(&[WEST], "gone", &[EAST, WEST]).await;
    let _process = fleet.start(&[EAST, WEST]);
    fleet.plan(V1);
    fleet.until_settled(&[("v1", 100)]).await;
    fleet.plan(SLOW);
    fleet.until(&[EAST, WEST], 10).await;
    fleet.stop(WEST);
    fleet.plan(FAST);
    fleet.until_reason("ClusterAway", "cluster west does not answer since").await;
    fleet.stays(EAST, 10).await;
    let matrix = fleet.status_matrix().await;
    let lines: Vec<Vec<&str>> = matrix.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        (&lines[0][..5], &lines[2][..]),
        (&["cluster", "west", "is", "away", "since"][..], &["PLAN", EAST, WEST, "REASON"][..])
    );
    let plan = format!("{}/web", fleet.namespace);
    assert_eq!((&lines[3][..2], &lines[3][2][..1]), (&[plan.as_str(), "10%"][..], "?"), "{matrix}");
    assert_eq!(lines[3][3..], ["ClusterAway", "in", WEST], "{matrix}");
    fleet.plan(V1);
    fleet.until(&[EAST], 0).await;
    fleet.restart(WEST).await;
    fleet.until(&[EAST, WEST], 0).await;
    fleet.until_settled(&[("v1", 100)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn law_03_a_way_back_needs_no_lease_whatever_the_cluster_that_holds_it() {
    let fleet = Fleet::breaking(&[EAST], "lease", &[EAST, WEST]).await;
    let _process = fleet.start_with(&[EAST, WEST], &["--leader-elect"]);
    fleet.plan(V1);
    fleet.until_settled(&[("v1", 100)]).await;
    fleet.plan(SLOW);
    fleet.until(&[EAST, WEST], 10).await;
    // The Lease is in the first cluster.
    fleet.stop(EAST);
    fleet.plan(FAST);
    fleet.until_reason("ClusterAway", "cluster east does not answer since").await;
    fleet.until_leads(false).await;
    fleet.stays(WEST, 10).await;
    fleet.plan(V1);
    fleet.until(&[WEST], 0).await;
    fleet.until_leads(false).await;
    fleet.restart(EAST).await;
    fleet.until_settled(&[("v1", 100)]).await;
    fleet.until_leads(true).await;
    fleet.plan(FAST);
    fleet.until_settled(&[("v2", 100)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_new_gets_what_stands_once_it_can_serve_it() {
    let fleet = Fleet::open("new", &[EAST]).await;
    let process = fleet.start(&[EAST]);
    fleet.plan(V1);
    fleet.until_live(EAST, 0).await;
    fleet.plan(SLOW);
    fleet.until_live(EAST, 10).await;
    drop(process);
    let _process = fleet.start(&[EAST, WEST]);
    fleet.until_reason("ClusterNew", "cluster west is new to the plan: no ready endpoint of version v").await;
    fleet.plan(FAST);
    fleet.stays(EAST, 10).await;
    assert_eq!(fleet.walk(WEST), [0_u64; 0], "nothing there could serve it");
    fleet.serve(WEST).await;
    fleet.until_settled(&[("v2", 100)]).await;
    assert_eq!(fleet.walk(WEST), [10, 50, 100]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_name_clusters_is_refused_before_anything_is_asked() {
    let fleet = Fleet::open("args", &[]).await;
    for (arguments, says) in [
        (&["--context", "east,east"][..], "context east is given twice"),
        (&["--context", "east,north"], "context north is in no kubeconfig"),
        (&["--context", "east,west", "--cluster-name", "one"], "--cluster-name names one cluster, and there are 2"),
        (&["--context", "east,west", "--istiod", "http://127.0.0.1:1"], "--istiod has addresses of one cluster"),
    ] {
        let answer = fleet.refused(arguments).await;
        assert!(answer.contains(says), "{arguments:?}: {answer}");
    }
}
