//! A plan that walks, as kubectl sees it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::bed::{Bed, SOON, condition, kstatus};
use crate::kubernetes::virtual_service;

const STEPS: &str = "from: {v1: 100}\n  steps: [{name: first-light, weight: 10, hold: 2s}, {weight: 50, hold: 2s}]";

/// The rows that kubectl prints, in words.
fn rows(text: &str) -> Vec<Vec<String>> {
    text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_follows_a_plan_from_step_to_step() {
    let bed = Bed::open().await;
    bed.plan(&format!("{STEPS}\n  traffic: {{v1: 100}}"));
    let _process = bed.start(&[]);
    let settled = bed.until_reason("web", "Settled").await;
    assert_eq!(kstatus(&settled), "Current", "{settled:#}");
    let ready_since = condition(&settled, "Ready")["lastTransitionTime"].clone();
    let to_v2 = bed.plan(&format!("{STEPS}\n  traffic: {{v2: 100}}"));

    let held = bed.until("web", "holds at 10", |web| condition(web, "Ready")["reason"] == "Hold").await;
    assert_eq!(kstatus(&held), "InProgress", "{held:#}");
    let status = &held["status"];
    assert_eq!((&status["phase"], &status["step"]), (&json!("Walking"), &json!({"name": "first-light", "weight": 10})));
    assert_eq!((&status["target"], &status["wayBack"]), (&json!({"v2": 100}), &json!({"v1": 100})));
    assert_eq!((&status["desired"], &status["live"]["testbed"]), (&json!({"v1": 90, "v2": 10}), &status["desired"]));
    assert_eq!(status["revision"], format!("main@sha1:{to_v2}"));
    assert_eq!(status["repository"], json!({"name": bed.namespace, "branch": "main"}));
    assert!(status["nextTransition"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    assert_eq!(held["spec"]["traffic"], json!({"v2": 100}));
    assert_eq!(held["metadata"]["generation"], json!(2));
    assert_eq!(condition(&held, "Ready")["observedGeneration"], json!(2));
    assert_ne!(condition(&held, "Ready")["lastTransitionTime"], ready_since);

    let all = rows(&bed.plane.kubectl(&["get", "canaryplans", "-A"]));
    assert_eq!(all[0], ["NAMESPACE", "NAME", "PHASE", "STEP", "TARGET", "LIVE", "READY", "REASON"]);
    assert!(all.iter().any(|row| row[..3] == [bed.namespace.as_str(), "web", "Walking"]), "{all:?}");
    let wide = bed.kubectl(&["get", "cplan", "-o", "wide"]);
    assert_eq!(rows(&wide)[0][7..], ["REVISION", "NEXT", "MESSAGE", "AGE"]);
    assert!(wide.contains("10 first-light") && wide.contains("v1=90 v2=10") && wide.contains(&to_v2), "{wide}");

    let met = bed.kubectl(&["wait", "--for=condition=Ready", "canaryplan/web", "--timeout=60s"]);
    assert!(met.contains("condition met"), "{met}");
    let done = bed.resource("web");
    assert_eq!((&done["status"]["live"]["testbed"], kstatus(&done)), (&json!({"v2": 100}), "Current"), "{done:#}");
    // At 10 and at 50 nothing was ready or stalled, and this is when it changed last.
    let moments = ["Ready", "Reconciling"].map(|kind| condition(&done, kind)["lastTransitionTime"].clone());
    assert!(moments[0] == moments[1] && moments[0] != ready_since, "{done:#}");
    assert_eq!(condition(&done, "Stalled")["lastTransitionTime"], condition(&settled, "Stalled")["lastTransitionTime"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transition_costs_two_writes_at_most_and_standing_still_none() {
    let bed = Bed::open().await;
    bed.plan(&format!("{STEPS}\n  traffic: {{v1: 100}}"));
    let mut process = bed.start(&[]);
    bed.until_reason("web", "Settled").await;
    bed.plan(&format!("{STEPS}\n  traffic: {{v2: 100}}"));
    bed.until("web", "is at v2", |web| kstatus(web) == "Current" && web["status"]["target"] == json!({"v2": 100}))
        .await;
    let live = virtual_service(&bed.client, &bed.namespace, "web").await.unwrap();
    let journal: Value =
        serde_json::from_str(live["metadata"]["annotations"]["tidegate.dev/journal"].as_str().unwrap()).unwrap();
    let transitions = journal["transitions"].as_array().unwrap().len();
    let writes = bed.writes();
    println!("{} writes for {transitions} transitions", writes.len());
    assert!(writes.len() <= 2 * transitions && writes.iter().all(|write| write.code < 300), "{writes:#?}");
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(bed.writes(), writes);
    // Another process finds everything as it should be.
    process.terminate().await;
    assert_eq!(process.ended(SOON).await, 0);
    let _again = bed.start(&[]);
    bed.until_log(&_again, "read the plan repository").await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(bed.writes(), writes);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_or_deleted_by_hand_is_put_back_at_the_next_change() {
    let bed = Bed::open().await;
    bed.plan("traffic: {v1: 100}");
    let mut process = bed.start(&[]);
    let before = bed.until_reason("web", "Settled").await;
    bed.kubectl(&["patch", "canaryplan", "web", "--type=merge", "-p", r#"{"spec":{"traffic":{"v1":1},"mine":true}}"#]);
    let edited = bed.resource("web");
    assert_eq!(kstatus(&edited), "InProgress", "an edit is not what was observed");
    bed.plan("traffic: {v2: 100}");
    let back = bed.until("web", "is at v2", |web| kstatus(web) == "Current").await;
    assert_eq!((&back["spec"]["traffic"], &back["spec"]["mine"]), (&json!({"v2": 100}), &Value::Null));
    assert_eq!(back["metadata"]["uid"], before["metadata"]["uid"]);
    bed.kubectl(&["delete", "canaryplan", "web"]);
    bed.plan("traffic: {v1: 100}");
    bed.until("web", "is there again", |web| kstatus(web) == "Current" && !web.is_null()).await;
    // Or at the next start.
    bed.kubectl(&["patch", "canaryplan", "web", "--type=merge", "-p", r#"{"spec":{"traffic":{"v1":1}}}"#]);
    process.kill().await;
    let _again = bed.start(&[]);
    bed.until("web", "is as the plan", |web| web["spec"]["traffic"] == json!({"v1": 100}) && kstatus(web) == "Current")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_needs_a_person_is_stalled_and_a_paused_one_waits() {
    let bed = Bed::open().await;
    bed.plan(&format!("{STEPS}\n  traffic: {{v1: 100}}"));
    let _process = bed.start(&[]);
    bed.until_reason("web", "Settled").await;
    bed.plan(&format!("{STEPS}\n  pause: true\n  traffic: {{v2: 100}}"));
    let paused = bed.until_reason("web", "Paused").await;
    assert_eq!(kstatus(&paused), "InProgress", "{paused:#}");
    bed.plan(&format!("{STEPS}\n  suspend: true\n  traffic: {{v2: 100}}"));
    let suspended = bed.until_reason("web", "Suspended").await;
    assert_eq!(kstatus(&suspended), "Failed", "{suspended:#}");
    bed.plan(&format!("{STEPS}\n  traffic: {{v2: 100}}"));
    bed.until("web", "walks", |web| web["status"]["phase"] == "Walking").await;
    // Words of a person, with what would drive a terminal in them.
    let stop = "tidegate.dev/stop=Ann: \u{1b}[31m5xx since 14:02";
    bed.kubectl(&["annotate", "virtualservice", "web", stop]);
    let stopped = bed.until_reason("web", "Stopped").await;
    assert_eq!(kstatus(&stopped), "Failed", "{stopped:#}");
    let message = condition(&stopped, "Stalled")["message"].as_str().unwrap();
    assert!(message.contains("5xx since 14:02") && !message.contains('\u{1b}'), "{message}");
    assert!(bed.kubectl(&["wait", "--for=condition=Stalled", "cplan/web", "--timeout=10s"]).contains("condition met"));
}
