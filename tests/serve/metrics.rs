//! The page of metrics and the status, held to what is live.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tidegate::serve::metrics::{Kind, METRICS};

use crate::kubernetes::{api, eventually};
use crate::process;
use crate::proxy::CONTEXT;
use crate::running::{Running, commit, plan};
use crate::schema;
use crate::shop::SOON;

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_tells_what_is_so() {
    let running = Running::open("metrics", &[]).await;
    let (shop, name) = (&running.shop, running.shop.namespace.clone());
    commit(shop, "traffic: {v1: 100}");
    shop.until_settled("web", &[("v1", 100)]).await;
    commit(shop, "traffic: {v2: 100}\n  steps: [{name: first, weight: 10, hold: 1h}]");
    shop.until_live("web", &[("v1", 90), ("v2", 10)]).await;
    let plan = format!("repository=\"{name}\",namespace=\"{name}\",plan=\"web\"");
    running.until_metric(&format!("tidegate_plan_reason{{{plan},reason=\"Hold\"}}"), 1.0).await;
    let weight =
        |of: &str, version: &str| format!("tidegate_{of}_weight{{{plan},cluster=\"proxy\",version=\"{version}\"}}");
    for (series, value) in [
        (format!("tidegate_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1.0),
        ("tidegate_ready".to_owned(), 1.0),
        (format!("tidegate_plans{{repository=\"{name}\"}}"), 1.0),
        (format!("tidegate_findings{{repository=\"{name}\",severity=\"error\"}}"), 0.0),
        (weight("target", "v1"), 0.0),
        (weight("target", "v2"), 100.0),
        (weight("desired", "v1"), 90.0),
        (weight("desired", "v2"), 10.0),
        (weight("applied", "v1"), 90.0),
        (weight("applied", "v2"), 10.0),
        (weight("applied", "v3"), 0.0),
        (format!("tidegate_step_weight{{{plan}}}"), 10.0),
        (format!("tidegate_plan_phase{{{plan},phase=\"Walking\"}}"), 1.0),
        (format!("tidegate_plan_needs_a_person{{{plan}}}"), 0.0),
        (format!("tidegate_drift_fight{{namespace=\"{name}\",plan=\"web\",cluster=\"proxy\"}}"), 0.0),
        (format!("tidegate_git_reachable{{repository=\"{name}\"}}"), 1.0),
        ("tidegate_cluster_reachable{cluster=\"proxy\"}".to_owned(), 1.0),
        ("tidegate_transitions_total{cluster=\"proxy\",what=\"StepEntered\",cause=\"Gates\"}".to_owned(), 1.0),
        ("tidegate_transitions_total{cluster=\"proxy\",what=\"Settled\",cause=\"Gates\"}".to_owned(), 1.0),
        ("tidegate_api_requests_total{cluster=\"proxy\",verb=\"create\",code=\"201\"}".to_owned(), 0.0),
    ] {
        let found = running.metric(&series).await;
        let is = if series.contains("api_requests") { found > Some(1.0) } else { found == Some(value) };
        assert!(is, "{series} is {found:?}, not {value}");
    }
    let next = running.metric(&format!("tidegate_next_seconds{{{plan}}}")).await.unwrap();
    assert!((3_000.0..=3_600.0).contains(&next), "{next}");
    let looked =
        running.metric(&format!("tidegate_git_last_look_timestamp_seconds{{repository=\"{name}\"}}")).await.unwrap();
    let now = jiff::Timestamp::now().as_second() as f64;
    assert!((now - 60.0..=now + 1.0).contains(&looked), "{looked} at {now}");
    hold_the_page_to_its_form(&running.get("/metrics").await.body);

    // A commit that is refused is a finding; a stop needs a person.
    commit(shop, "traffic: {v2: 99}");
    let errors = format!("tidegate_findings{{repository=\"{name}\",severity=\"error\"}}");
    eventually("the finding is counted", SOON, || async { running.metric(&errors).await >= Some(1.0) }).await;
    let patch = Patch::Merge(json!({"metadata": {"annotations": {"tidegate.dev/stop": "Ann"}}}));
    let routes = api(&shop.client, &name, "networking.istio.io/v1", "VirtualService");
    routes.patch("web", &PatchParams::default(), &patch).await.unwrap();
    running.until_metric(&format!("tidegate_plan_needs_a_person{{{plan}}}"), 1.0).await;
    running.until_metric(&format!("tidegate_plan_reason{{{plan},reason=\"Stopped\"}}"), 1.0).await;
}

/// Every line is a sample of a metric of the table with its labels, or says what one is; nothing comes twice.
fn hold_the_page_to_its_form(page: &str) {
    assert!(page.ends_with("# EOF\n"), "{page}");
    let by_name: BTreeMap<&str, _> = METRICS.iter().map(|metric| (metric.name, metric)).collect();
    let (mut seen, mut described) = (BTreeSet::new(), BTreeSet::new());
    for line in page.lines().filter(|line| *line != "# EOF") {
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.split(' ');
            if words.next() == Some("TYPE") {
                let name = words.next().unwrap();
                let metric = by_name.get(name).or(by_name.get(format!("{name}_total").as_str())).unwrap();
                assert_eq!(words.next(), Some(metric.kind.name()), "{line}");
                assert!(described.insert(metric.name), "{line}");
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok_and(|value| value >= 0.0), "{line}");
        assert!(seen.insert(series), "{series} comes twice");
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
        let metric = by_name.get(name).or(by_name.get(base)).unwrap_or_else(|| panic!("{line} is in no table"));
        let keys: Vec<&str> = labels.split("\",").filter_map(|pair| Some(pair.split_once('=')?.0)).collect();
        let keys: Vec<&str> = keys.into_iter().filter(|key| *key != "le").collect();
        assert_eq!(keys, metric.labels, "{line}");
    }
    assert_eq!(described.len(), METRICS.len());
    let stages = |stage: &str| {
        let bucket = |bound: &str| {
            let prefix = format!("tidegate_stage_seconds_bucket{{le=\"{bound}\",stage=\"{stage}\"}} ");
            page.lines().find_map(|line| line.strip_prefix(&prefix)?.parse::<u64>().ok())
        };
        let count = format!("tidegate_stage_seconds_count{{stage=\"{stage}\"}} ");
        let count = page.lines().find_map(|line| line.strip_prefix(&count)?.parse::<u64>().ok());
        (bucket("60.0"), bucket("+Inf"), count)
    };
    for stage in ["look", "read", "decide", "write", "commit_to_live"] {
        let (longest, all, count) = stages(stage);
        assert!(count > Some(0) && all == count && longest == count, "{stage}: {longest:?} {all:?} {count:?}\n{page}");
    }
    assert!(METRICS.iter().any(|metric| metric.kind == Kind::Histogram));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_is_the_one_of_the_command_and_more() {
    let running = Running::open("status", &[]).await;
    let shop = &running.shop;
    commit(shop, "traffic: {v1: 100}");
    shop.until_settled("web", &[("v1", 100)]).await;
    commit(shop, "traffic: {v2: 100}\n  steps: [{name: first, weight: 10, hold: 1h}]");
    shop.until_live("web", &[("v1", 90), ("v2", 10)]).await;
    // A plan without an object: its namespace is not there.
    let absent = plan("nowhere-at-all", "lost", "traffic: {v1: 100}");
    shop.repository.commit("Lost", &[("plans/lost.yaml", absent.as_str())]);
    let printed = process::run(shop.repository.home(), &["schema", "--status"]).await.stdout;
    let schema: Value = serde_json::from_str(&printed).unwrap();
    let kubeconfig = shop.proxy.kubeconfig().display().to_string();
    let command = ["status", "-o", "json", "-n", &shop.namespace, "--context", CONTEXT, "--kubeconfig", &kubeconfig];
    let named = |status: &Value, name: &str| {
        let plans = status["plans"].as_array().unwrap().iter();
        plans.filter(|plan| plan["name"] == name).cloned().collect::<Vec<_>>()
    };
    // Who looks at the object knows of the convergence a moment later than who wrote it.
    let mut both = (json!(null), json!(null));
    let end = std::time::Instant::now() + SOON;
    while both.0 == json!(null) || both.0 != both.1 {
        assert!(std::time::Instant::now() < end, "{both:#?}");
        let answer = process::run(shop.repository.home(), &command).await;
        assert_eq!(answer.code, 0, "{answer:?}");
        let (told, served) = (serde_json::from_str(&answer.stdout).unwrap(), running.get("/status").await.json());
        for document in [&told, &served] {
            assert_eq!(schema::faults(&schema, document, ""), Vec::<String>::new(), "{document:#}");
        }
        both = (json!(named(&told, "web")), json!(named(&served, "web")));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(both.0[0]["reason"]["name"], "Hold");
    let lost = || async { named(&running.get("/status").await.json(), "lost").len() == 1 };
    eventually("the plan without an object is told", SOON, lost).await;
    let mut status = running.get("/status").await.json();
    assert!(status["clusters"][0]["answerMs"].take().is_u64());
    let lost = &named(&status, "lost")[0];
    assert_eq!(
        (&lost["phase"], &lost["target"], &lost["live"]),
        (&json!("Unknown"), &json!({"v1": 100}), &json!(null))
    );
    let tip = format!("main@sha1:{}", shop.repository.tip());
    let repository = &status["repositories"][0];
    assert_eq!((&repository["revision"], &repository["error"]), (&json!(tip), &json!(null)), "{repository:#}");
    let cluster = json!({"name": "proxy", "synced": true, "away": null, "awaySince": null, "answerMs": null, "istiods": [], "istiodsMissing": null, "labels": {},
        "mesh": null, "role": "primary", "gatewaysAsked": false});
    assert_eq!((&status["clusters"], &status["lease"]), (&json!([cluster]), &json!(null)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fight_is_told_once_it_is_one() {
    let running = Running::open("fight", &[]).await;
    let (shop, name) = (&running.shop, running.shop.namespace.clone());
    commit(shop, "traffic: {v2: 100}");
    shop.until_settled("web", &[("v2", 100)]).await;
    let fight = format!("tidegate_drift_fight{{namespace=\"{name}\",plan=\"web\",cluster=\"proxy\"}}");
    running.until_metric(&fight, 0.0).await;
    let routes = api(&shop.client, &name, "networking.istio.io/v1", "VirtualService");
    for _ in 0..tidegate::rollout::FIGHT_CORRECTIONS {
        let route = json!([{"destination": {"host": "web", "subset": "v1"}, "weight": 100}]);
        let passed = shop.recorder.events().len();
        let patch = Patch::Merge(json!({"spec": {"http": [{"route": route}]}}));
        routes.patch("web", &PatchParams::default(), &patch).await.unwrap();
        let back = |event: &crate::kubernetes::Recorded| event.weights == [("v2".to_owned(), 100)];
        shop.recorder.wait_for_after(passed + 1, SOON, back).await;
    }
    running.until_metric(&fight, 1.0).await;
}
