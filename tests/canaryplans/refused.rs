//! Plans that are refused, held, removed, or whose name somebody else has taken.

use std::time::Duration;

use serde_json::{Value, json};

use crate::bed::{Bed, SOON, condition, kstatus, plan};
use crate::kubernetes::{create, eventually, virtual_service, weights};

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_plan_is_shown_with_its_findings_until_it_is_corrected() {
    let bed = Bed::open().await;
    bed.plan("traffic: {v1: 90}");
    let _process = bed.start(&[]);
    let refused = bed.until_reason("web", "PlanRefused").await;
    assert_eq!(kstatus(&refused), "Failed", "{refused:#}");
    assert_eq!((&refused["spec"], &refused["status"]["phase"]), (&json!({}), &json!("Unknown")));
    let finding = &refused["status"]["findings"][0];
    assert_eq!(
        (&finding["code"], &finding["severity"], &finding["file"]),
        (&json!("TG05"), &json!("error"), &json!("plans/web.yaml"))
    );
    assert!(condition(&refused, "Stalled")["message"].as_str().unwrap().contains("TG05"), "{refused:#}");

    let status = bed.ask(&["status", "-n", &bed.namespace]).await;
    assert_eq!(status.code, 0, "{status:?}");
    let lines: Vec<&str> = status.stdout.lines().collect();
    let top = format!("repository {} (main): error[TG05] in plans/web.yaml: ", bed.namespace);
    assert!(lines.iter().any(|line| line.starts_with(&top)), "{}", status.stdout);
    let row: Vec<&str> = lines.last().unwrap().split_whitespace().collect();
    assert_eq!(row, [bed.namespace.as_str(), "web", "Unknown", "-", "-", "-", "-", "PlanRefused"]);
    let why = bed.ask(&["why", &format!("{}/web", bed.namespace)]).await;
    assert_eq!(why.code, 1, "{why:?}");
    assert!(why.stdout.contains("the plan is refused and not in force: TG05, "), "{}", why.stdout);
    let stop = bed.ask(&["stop", &format!("{}/web", bed.namespace), "--reason", "x"]).await;
    assert_eq!(stop.code, 3, "{stop:?}");
    assert!(stop.stderr.contains("nothing of the plan is live"), "{}", stop.stderr);

    bed.plan("traffic: {v1: 100}");
    let settled = bed.until_reason("web", "Settled").await;
    assert_eq!((kstatus(&settled), &settled["status"]["findings"]), ("Current", &Value::Null));
    // Its next version is refused again: what is in force stays, and is not what the branch asks for.
    bed.plan("traffic: {v1: 90}");
    let kept = bed.until_reason("web", "NewerPlanInvalid").await;
    assert_eq!((kstatus(&kept), &kept["status"]["live"]["testbed"]), ("Failed", &json!({"v1": 100})));
    assert_eq!(
        (&kept["spec"]["traffic"], &kept["status"]["findings"][0]["code"]),
        (&json!({"v1": 100}), &json!("TG05"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_plans_for_one_service_are_told_apart() {
    let bed = Bed::open().await;
    bed.plan("traffic: {v1: 100}");
    let _process = bed.start(&[]);
    bed.until_reason("web", "Settled").await;
    let rival = plan("rival", &bed.namespace, "traffic: {v1: 100}").replace("service: rival", "service: web");
    bed.repository.commit("Rival", &[("plans/rival.yaml", rival)]);
    let refused = bed.until_reason("rival", "PlanRefused").await;
    assert_eq!(refused["status"]["findings"][0]["code"], "TG31", "{refused:#}");
    assert_eq!(kstatus(&bed.resource("web")), "Current");
    bed.repository.remove("No rival", &["plans/rival.yaml"]);
    bed.until("rival", "is gone", |rival| rival.is_null()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_plan_takes_its_resource_with_it_even_while_nobody_looked() {
    let bed = Bed::open().await;
    let other = plan("other", &bed.namespace, "traffic: {v1: 90}");
    bed.repository.commit("Other", &[("plans/other.yaml", other)]);
    bed.plan("traffic: {v1: 100}");
    let mut process = bed.start(&[]);
    bed.until_reason("web", "Settled").await;
    bed.until_reason("other", "PlanRefused").await;
    process.kill().await;
    bed.repository.remove("No other", &["plans/other.yaml"]);
    let _again = bed.start(&[]);
    bed.until("other", "is gone", |other| other.is_null()).await;
    assert!(!bed.resource("web").is_null());
    bed.repository.remove("No plan", &["plans/web.yaml"]);
    bed.until("web", "is gone", |web| web.is_null()).await;
    // The objects of a plan that is let go stay; its resource does not come back with the next process.
    assert!(bed.kubectl(&["get", "virtualservice", "web"]).contains("web"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_of_somebody_else_is_never_touched() {
    let bed = Bed::open().await;
    let theirs = json!({"apiVersion": "tidegate.dev/v1alpha1", "kind": "CanaryPlan",
        "metadata": {"name": "web", "namespace": bed.namespace}, "spec": {"service": "theirs"}});
    create(&bed.client, theirs).await;
    let before = bed.resource("web");
    bed.plan("traffic: {v1: 100}");
    let process = bed.start(&[]);
    bed.until_log(&process, "was made by somebody else").await;
    bed.plan("traffic: {v2: 100}");
    let live = async || {
        let live = virtual_service(&bed.client, &bed.namespace, "web").await;
        live.as_ref().map(weights).unwrap_or_default() == [("v2".to_owned(), 100)]
    };
    eventually("v2 is live", SOON, live).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(bed.resource("web"), before);
    assert_eq!(process.log().matches("was made by somebody else").count(), 1, "{}", process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_held_before_its_first_write_is_in_status_and_why() {
    let bed = Bed::open().await;
    bed.repository.commit("Nobody", &[("plans/nobody.yaml", plan("nobody", &bed.namespace, "traffic: {v1: 100}"))]);
    let once = bed.once().await;
    assert_eq!(once.code, 0, "{once:?}");
    let resource = bed.resource("nobody");
    assert_eq!(
        (condition(&resource, "Ready")["reason"].as_str(), kstatus(&resource)),
        (Some("EndpointsNotReady"), "InProgress")
    );
    let status = bed.ask(&["status", "-o", "json", "-n", &bed.namespace]).await;
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    let item = &status["plans"][0];
    assert_eq!(
        (&item["name"], &item["phase"], &item["target"]),
        (&json!("nobody"), &json!("Unknown"), &json!({"v1": 100}))
    );
    assert_eq!(item["reason"]["name"], "EndpointsNotReady");
    let repository =
        status["repositories"].as_array().unwrap().iter().find(|one| one["name"] == bed.namespace.as_str());
    assert_eq!(repository.unwrap()["branch"], "main");
    let why = bed.ask(&["why", &format!("{}/nobody", bed.namespace)]).await;
    assert_eq!(why.code, 0, "{why:?}");
    assert!(why.stdout.contains("waits for a ready endpoint of version v1"), "{}", why.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_in_a_namespace_that_does_not_exist_says_so() {
    let bed = Bed::open().await;
    let nowhere = format!("{}-nowhere", bed.namespace);
    bed.repository.commit("Nowhere", &[("plans/web.yaml", plan("web", &nowhere, "traffic: {v1: 100}"))]);
    let once = bed.once().await;
    assert_eq!(once.code, 1, "{once:?}");
    let says = format!("{nowhere}/web: cluster testbed has no namespace {nowhere}; create it");
    assert!(once.stdout.starts_with(&says), "{}", once.stdout);
}
