//! Without the definition of the resource, and once it comes.

use std::time::Duration;

use crate::bed::{Bed, Plane, SOON, kstatus};
use crate::kubernetes::{eventually, virtual_service, weights};

const OFF: &str = "no CanaryPlan resources are written, and nothing else depends on them: the cluster has no \
                   canaryplans.tidegate.dev: deploy/base/crd.yaml is not installed";

#[tokio::test(flavor = "multi_thread")]
async fn without_the_definition_everything_else_works_and_with_it_the_next_commit_shows() {
    let plane = tokio::task::spawn_blocking(|| Plane::bare("absent")).await.unwrap();
    let bed = Bed::on(&plane).await;
    bed.plan("traffic: {v1: 100}");
    let process = bed.start(&[]);
    let live = async |wanted: &str| {
        let live = virtual_service(&bed.client, &bed.namespace, "web").await;
        live.as_ref().map(weights).unwrap_or_default() == [(wanted.to_owned(), 100)]
    };
    eventually("v1 is live", SOON, || live("v1")).await;
    bed.until_log(&process, OFF).await;
    bed.plan("traffic: {v2: 100}");
    eventually("v2 is live", SOON, || live("v2")).await;
    let status = bed.ask(&["status", "-n", &bed.namespace]).await;
    assert_eq!(status.code, 0, "{status:?}");
    assert!(status.stdout.contains("v2=100"), "{}", status.stdout);
    let asked = || plane.requests().into_iter().filter(|request| request.verb == "list").count();
    // The commit asked once more, a while after the first question.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let before = asked();
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(asked(), before, "nobody asks again while nothing happens");

    plane.define();
    bed.plan("traffic: {v1: 100}");
    bed.until("web", "is shown", |web| kstatus(web) == "Current" && !web.is_null()).await;
    assert_eq!(process.log().matches(OFF).count(), 1, "{}", process.log());
    assert!(process.log().contains("CanaryPlan resources are written from now on"));
    let requests = plane.requests();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let writes = |requests: &[crate::bed::Request]| {
        requests.iter().filter(|request| !["get", "watch"].contains(&request.verb.as_str())).count()
    };
    assert_eq!(writes(&plane.requests()), writes(&requests), "standing still costs no request");
}

#[tokio::test(flavor = "multi_thread")]
async fn switched_off_nothing_is_asked_or_written() {
    let bed = Bed::open().await;
    bed.plan("traffic: {v1: 100}");
    let _process = bed.start(&["--canaryplan-resources", "off"]);
    let live = async || virtual_service(&bed.client, &bed.namespace, "web").await.is_some();
    eventually("v1 is live", SOON, live).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(bed.writes(), []);
}
