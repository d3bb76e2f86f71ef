//! Plans that choose their clusters: by name, by labels, and by commits that take some out or in.

use tidegate::rollout::Phase;

use crate::bed::{EAST, Fleet, WEST};
use crate::configured::{Configured, cluster};
use crate::{FAST, SLOW, V1};

const LET_GO: Phase = Phase::Released { prune: false, elsewhere: true };

fn only(clusters: &str, spec: &str) -> String {
    format!("  clusters: {clusters}\n{spec}")
}

async fn both(prefix: &str) -> Configured {
    both_breaking(&[], prefix).await
}

async fn both_breaking(broken: &[&str], prefix: &str) -> Configured {
    let bed = Configured::of(Fleet::breaking(broken, prefix, &[EAST, WEST]).await);
    bed.write(&[cluster(EAST, "eu"), cluster(WEST, "us")]);
    bed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_goes_where_names_or_labels_say_and_nothing_is_made_elsewhere() {
    let bed = both("chosen").await;
    let fleet = &bed.fleet;
    fleet.plan(&only("{matchLabels: {region: eu}}", V1));
    let diff = bed.diff().await;
    assert_eq!((diff.code, diff.stderr.as_str()), (1, ""), "{}", diff.stdout);
    assert_eq!(diff.stdout.matches("cluster east\n--- /dev/null\n+++ plan/").count(), 2, "{}", diff.stdout);
    assert!(!diff.stdout.contains("cluster west"), "{}", diff.stdout);
    let _process = bed.start();
    fleet.until_live(EAST, 0).await;
    fleet.plan(&only("[east]", FAST));
    fleet.until_live(EAST, 100).await;
    fleet.repository.revert("HEAD");
    fleet.until_live(EAST, 0).await;
    assert_eq!(fleet.walk(EAST), [0, 10, 50, 100, 0]);
    assert!(fleet.is_untouched(WEST));
    let status = fleet.status().await;
    assert_eq!(status["plans"].as_array().unwrap().len(), 1, "{status:#}");
    assert_eq!(status["plans"][0]["cluster"], EAST);
    assert_eq!(status["clusters"][1]["labels"]["region"], "us", "{status:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_cluster_is_an_error_of_the_plan_and_the_last_good_version_stays_in_force() {
    let bed = both("unknown").await;
    let (fleet, _process) = (&bed.fleet, bed.start());
    fleet.plan(&only("[east]", V1));
    fleet.until_live(EAST, 0).await;
    for (clusters, code) in [("[east, north]", "TG39"), ("{matchLabels: {region: asia}}", "TG40")] {
        fleet.plan(&only(clusters, FAST));
        bed.until_status(code, |status| status["repositories"][0]["findings"][0]["code"] == code).await;
        fleet.stays(EAST, 0).await;
    }
    assert!(fleet.is_untouched(WEST));
    fleet.plan(&only("[west, east]", FAST));
    fleet.until_settled(&[("v2", 100)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn law_12_a_cluster_that_is_taken_out_stays_in_step_is_let_go_and_joins_again_as_new() {
    let bed = both("taken").await;
    let (fleet, process) = (&bed.fleet, bed.start());
    fleet.plan(V1);
    fleet.until_settled(&[("v1", 100)]).await;
    fleet.plan(SLOW);
    fleet.until(&[EAST, WEST], 10).await;
    fleet.plan(&only("[east]", SLOW));
    fleet.stays(WEST, 10).await;
    fleet.plan(&only("[east]", FAST));
    fleet.until(&[EAST, WEST], 100).await;
    bed.until_status("west is let go", |status| status["plans"].as_array().is_some_and(|plans| plans.len() == 1)).await;
    assert_eq!(fleet.phase(WEST).await, Some(LET_GO));
    assert!(process.log().contains("taken out of the plan"), "{}", process.log());
    let walked = fleet.walk(WEST);
    assert_eq!(walked, [0, 10, 50, 100], "letting go moves no traffic");
    fleet.plan(&only("[east]", V1));
    fleet.until_live(EAST, 0).await;
    fleet.stays(WEST, 100).await;
    fleet.plan(V1);
    fleet.until_settled(&[("v1", 100)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_resource_of_a_plan_is_where_the_plan_is() {
    let bed = both_breaking(&[EAST, WEST], "resource").await;
    let fleet = &bed.fleet;
    fleet.define().await;
    let _process = bed.start();
    fleet.plan(&only("[east]", V1));
    fleet.until_live(EAST, 0).await;
    fleet.until_resources(EAST, 1).await;
    fleet.until_resources(WEST, 0).await;
    fleet.plan(&only("[east, west]", V1));
    fleet.until_resources(WEST, 1).await;
    fleet.plan(&only("[west]", V1));
    fleet.until_resources(EAST, 0).await;
    fleet.until_resources(WEST, 1).await;
    assert_eq!(fleet.phase(EAST).await, Some(LET_GO));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_away_when_it_is_taken_out_holds_nothing_up_and_is_let_go_when_it_is_back() {
    let bed = both_breaking(&[WEST], "left").await;
    let (fleet, _process) = (&bed.fleet, bed.start());
    fleet.plan(V1);
    fleet.until_settled(&[("v1", 100)]).await;
    fleet.plan(SLOW);
    fleet.until(&[EAST, WEST], 10).await;
    fleet.stop(WEST);
    fleet.plan(FAST);
    fleet.until_reason("ClusterAway", "cluster west does not answer since").await;
    fleet.plan(&only("[east]", FAST));
    fleet.until_live(EAST, 100).await;
    fleet.restart(WEST).await;
    fleet.until_live(WEST, 0).await;
    assert_eq!(fleet.phase(WEST).await, Some(LET_GO));
}
