//! What a whole run tells: one Event and one log line per transition, and every line of the log as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::kubernetes::{api, eventually};
use crate::running::{Running, commit, lines};
use crate::shop::SOON;

const WALK: &str =
    "traffic: {v2: 100}\n  steps: [{weight: 10, hold: 1s}, {weight: 50, hold: 1s}]\n  settle: {hold: 1s}";

/// The Events about the VirtualService, oldest first, as reason, type and note.
async fn events(running: &Running) -> Vec<(String, String, String)> {
    let api = api(&running.shop.client, &running.shop.namespace, "events.k8s.io/v1", "Event");
    let mut events: Vec<DynamicObject> = api.list(&ListParams::default()).await.unwrap().items;
    // The API server tells of itself as well.
    events.retain(|event| event.data["reportingController"] == "tidegate");
    events.sort_by_key(|event| event.data["eventTime"].as_str().unwrap().to_owned());
    let text = |event: &DynamicObject, field: &str| event.data[field].as_str().unwrap_or_default().to_owned();
    for event in &events {
        let about = &event.data["regarding"];
        assert_eq!((&about["kind"], &about["name"]), (&json!("VirtualService"), &json!("web")), "{event:?}");
        assert!(about["uid"].is_string(), "{event:?}");
    }
    events.iter().map(|event| (text(event, "reason"), text(event, "type"), text(event, "note"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_transition_is_one_event_and_one_line_and_nothing_is_said_twice() {
    let mut running = Running::open("events", &[]).await;
    let shop = &running.shop;
    commit(shop, "traffic: {v1: 100}");
    shop.until_settled("web", &[("v1", 100)]).await;
    commit(shop, WALK);
    shop.until_settled("web", &[("v2", 100)]).await;
    // Somebody changes the weights, twice; then stops a walk with words that are made to look like another line.
    for _ in 0..2 {
        let route = json!([{"destination": {"host": "web", "subset": "v1"}, "weight": 100}]);
        let patch = Patch::Merge(json!({"spec": {"http": [{"route": route}]}}));
        let routes = api(&shop.client, &shop.namespace, "networking.istio.io/v1", "VirtualService");
        let passed = shop.recorder.events().len();
        routes.patch("web", &PatchParams::default(), &patch).await.unwrap();
        let back = |event: &crate::kubernetes::Recorded| event.weights == [("v2".to_owned(), 100)];
        shop.recorder.wait_for_after(passed + 1, SOON, back).await;
    }
    commit(shop, "traffic: {v3: 100}\n  steps: [{weight: 10, hold: 1h}]");
    shop.until_live("web", &[("v2", 90), ("v3", 10)]).await;
    // A finding that stands is told once, not at each commit.
    commit(shop, "traffic: {v3: 100}\n  steps: [{weight: 10, hold: 1h}]  # as before");
    let tip = shop.repository.tip();
    let read = || async { running.get("/status").await.body.contains(&tip) };
    eventually("the commit is read", SOON, read).await;
    let stop = "Ann\n{\"level\": \"ERROR\"}\u{1b}[31m\u{7}";
    let patch = Patch::Merge(json!({"metadata": {"annotations": {"tidegate.dev/stop": stop}}}));
    let routes = api(&shop.client, &shop.namespace, "networking.istio.io/v1", "VirtualService");
    routes.patch("web", &PatchParams::default(), &patch).await.unwrap();
    shop.until_live("web", &[("v2", 100)]).await;
    let transitions = shop.journal("web").unwrap().transitions;
    let told: Vec<String> = transitions.iter().map(|transition| transition.what.name().to_owned()).collect();
    assert!(told.iter().filter(|what| *what == "StepEntered").count() >= 3, "{told:?}");

    // Every transition but those that came with a weightier one in the same write.
    let mut wanted = Vec::new();
    for transition in transitions.iter() {
        let same = transitions.iter().filter(|other| other.at == transition.at).count();
        if !(transition.what.name() == "Accepted" && same > 1) {
            wanted.push(transition.clone());
        }
    }
    let about = |events: &[(String, String, String)], what: &str| {
        events.iter().filter(|(reason, ..)| reason == what).map(|(.., note)| note.clone()).collect::<Vec<_>>()
    };
    let there = || async { events(&running).await.len() > wanted.len() + 1 };
    eventually("every event is published", SOON, there).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let found = events(&running).await;
    let besides = ["DriftCorrected", "RestoreRefused"];
    let reasons: Vec<&str> =
        found.iter().map(|(reason, ..)| reason.as_str()).filter(|reason| !besides.contains(reason)).collect();
    let names: Vec<&str> = wanted.iter().map(|transition| transition.what.name()).collect();
    assert_eq!(reasons, names, "{found:#?}");
    assert_eq!(about(&found, "DriftCorrected").len(), 1, "repeats are one event with a count: {found:#?}");
    let restores = about(&found, "RestoreRefused");
    assert!(restores.len() == 1 && restores[0].contains("checked out"), "a work tree takes no push: {restores:?}");
    let transitions = found.iter().filter(|(reason, ..)| !besides.contains(&reason.as_str()));
    for ((reason, kind, note), transition) in transitions.zip(&wanted) {
        let (commit, traffic) = (&transition.commit, &transition.traffic);
        assert!(note.starts_with(&format!("{traffic} at commit {commit} in cluster proxy")), "{note}");
        assert_eq!(kind, if reason == "WentBack" { "Warning" } else { "Normal" });
    }

    assert_eq!(
        running.metric("tidegate_drift_corrected_total{cluster=\"proxy\",kind=\"VirtualService\"}").await,
        Some(2.0)
    );
    let series = "tidegate_transitions_total{cluster=\"proxy\",what=\"WentBack\",cause=\"Stop\"}";
    assert_eq!(running.metric(series).await, Some(1.0));
    assert_eq!(running.end().await, 0);
    hold_the_log_to_its_form(&running, &names, &wanted);
}

fn hold_the_log_to_its_form(running: &Running, names: &[&str], wanted: &[tidegate::rollout::Transition]) {
    let log = lines(&running.process);
    let plan = format!("{0}/{0}/web", running.shop.namespace);
    let told: Vec<&Value> = log.iter().filter(|line| line["traffic"].is_string()).collect();
    assert_eq!(told.iter().map(|line| line["message"].as_str().unwrap()).collect::<Vec<_>>(), names, "{told:#?}");
    for (line, transition) in told.iter().zip(wanted) {
        assert_eq!((line["plan"].as_str(), line["cluster"].as_str()), (Some(plan.as_str()), Some("proxy")));
        assert_eq!(
            (line["level"].as_str(), line["traffic"].as_str()),
            (Some("INFO"), Some(transition.traffic.as_str()))
        );
        assert!(line["revision"].as_str().unwrap().starts_with(&format!("main@sha1:{}", transition.commit)), "{line}");
        assert!(line["cause"].is_string() && line["route"].is_string(), "{line}");
        assert_eq!(line["step"].is_u64(), transition.what.name() == "StepEntered", "{line}");
    }
    let mut seen = BTreeMap::new();
    for line in &log {
        line["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        let mut same = line.clone();
        same.as_object_mut().unwrap().remove("timestamp");
        *seen.entry(same.to_string()).or_insert(0) += 1;
    }
    // Each put-back is told; all else once.
    let repeated: Vec<_> =
        seen.iter().filter(|(line, count)| **count > 1 && !line.contains("put back a change")).collect();
    assert!(repeated.is_empty(), "{repeated:#?}");
    let raw = running.process.log();
    assert!(!raw.contains('\u{1b}') && !raw.contains('\u{7}'), "{raw}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_words_of_others_cannot_make_lines_of_the_text_log() {
    let shop = crate::shop::Shop::open("words", &["web"]).await;
    let arguments = crate::running::arguments(&shop, &[]);
    let process = crate::process::Process::start(shop.repository.home(), &arguments);
    commit(&shop, "traffic: {v1: 100}");
    shop.until_settled("web", &[("v1", 100)]).await;
    commit(&shop, "traffic: {v2: 100}\n  steps: [{weight: 10, hold: 1h}]");
    shop.until_live("web", &[("v1", 90), ("v2", 10)]).await;
    let stop = "Ann\n2026-01-01T00:00:00Z ERROR forged\u{1b}[2J\u{7}";
    let patch = Patch::Merge(json!({"metadata": {"annotations": {"tidegate.dev/stop": stop}}}));
    let routes = api(&shop.client, &shop.namespace, "networking.istio.io/v1", "VirtualService");
    routes.patch("web", &PatchParams::default(), &patch).await.unwrap();
    shop.until_live("web", &[("v1", 100)]).await;
    eventually("it is told", SOON, || async { process.log().contains("WentBack") && process.log().contains("forged") })
        .await;
    let log = process.log();
    assert!(!log.contains("\u{1b}[2J") && !log.contains('\u{7}'), "{log}");
    assert!(!log.lines().any(|line| line.starts_with("2026-01-01")), "{log}");
}
