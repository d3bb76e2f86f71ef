//! Alerts and dashboard: Prometheus' own tool plays every alert, and every metric that they name exists.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tidegate::serve::metrics::METRICS;

use crate::render::{documents, only, rendered};
use crate::tools::printed;

fn promtool(folder: &Path, arguments: &[&str]) -> String {
    let found = Command::new("promtool").arg("--version").output();
    assert!(found.is_ok(), "promtool is needed: on Debian, apt-get install prometheus");
    printed(Command::new("promtool").current_dir(folder).args(arguments))
}

/// The rules as the operator would hand them to Prometheus.
fn rules() -> Value {
    only(&documents(&rendered("monitoring.alerts=true")), "PrometheusRule")["spec"].clone()
}

fn alerts() -> Vec<Value> {
    rules()["groups"][0]["rules"].as_array().unwrap().clone()
}

fn dashboard() -> Value {
    let map = only(&documents(&rendered("monitoring.dashboard=true")), "ConfigMap");
    assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
    serde_json::from_str(map["data"]["tidegate.json"].as_str().unwrap()).unwrap()
}

/// Every query of the dashboard, with Grafana's variables filled in.
fn queries() -> Vec<String> {
    fn collect(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("expr").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| collect(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| collect(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect(&dashboard(), &mut found);
    found.iter().map(|text| text.replace("$__rate_interval", "5m").replace("$__interval", "1m")).collect()
}

#[test]
fn every_alert_fires_when_it_should_and_only_then() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("alerts.yaml"), rules().to_string()).unwrap();
    let stories = include_str!("alerts.test.yaml");
    std::fs::write(folder.path().join("stories.yaml"), stories).unwrap();
    promtool(folder.path(), &["check", "rules", "alerts.yaml"]);
    let told = promtool(folder.path(), &["test", "rules", "stories.yaml"]);
    assert!(told.contains("SUCCESS"), "{told}");
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap();
        let played = documents(stories)[0]["tests"].as_array().unwrap().iter().any(|test| {
            let cases = test["alert_rule_test"].as_array().unwrap();
            cases.iter().any(|case| case["alertname"] == name && case["exp_alerts"] != json!([]))
        });
        assert!(played, "no story makes {name} fire");
    }
}

#[test]
fn every_alert_is_described_with_what_to_do() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md")).unwrap();
    let names: BTreeSet<String> = alerts().iter().map(|alert| alert["alert"].as_str().unwrap().to_owned()).collect();
    for name in &names {
        assert!(page.contains(&format!("| `{name}` |")), "docs/operations.md lacks {name}");
    }
    // With a hyphen it is a trailer of a commit.
    let named = |line: &&str| !line.starts_with('-');
    for line in page.lines().filter_map(|line| line.strip_prefix("| `Tidegate")).filter(named) {
        let name = format!("Tidegate{}", line.split('`').next().unwrap());
        assert!(names.contains(&name), "docs/operations.md describes {name}, which is no alert");
    }
}

#[test]
fn prometheus_understands_every_query_of_the_dashboard() {
    let queries = queries();
    assert!(queries.len() > 15, "{queries:?}");
    let rule = |(at, query): (usize, &String)| json!({"record": format!("query:{at}"), "expr": query});
    let rules: Vec<Value> = queries.iter().enumerate().map(rule).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = json!({"groups": [{"name": "dashboard", "rules": rules}]}).to_string();
    std::fs::write(folder.path().join("rules.yaml"), file).unwrap();
    promtool(folder.path(), &["check", "rules", "rules.yaml"]);
}

/// The labels of a metric; none where there is no such metric.
fn labels_of(name: &str) -> Option<&'static [&'static str]> {
    let name = name.strip_suffix("_bucket").unwrap_or(name);
    METRICS.iter().find(|metric| metric.name == name).map(|metric| metric.labels)
}

/// The metrics that a text names, each with what follows in braces.
fn named(text: &str) -> Vec<(&str, &str)> {
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
    text.match_indices("tidegate_")
        .map(|(at, _)| {
            let rest = &text[at..];
            let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            let labels = rest[end..].strip_prefix('{').and_then(|rest| rest.split('}').next());
            (&rest[..end], labels.unwrap_or_default())
        })
        .collect()
}

/// The words before `=`, `=~`, `!=` and `!~`.
fn label_names(matchers: &str) -> impl Iterator<Item = &str> {
    matchers.split(',').filter(|part| part.contains('"')).filter_map(|part| part.split(['=', '!']).next())
}

#[test]
fn every_metric_and_label_that_is_asked_for_is_served() {
    let mut texts = queries();
    texts.extend(alerts().iter().map(|alert| alert["expr"].as_str().unwrap().to_owned()));
    let variables = dashboard()["templating"]["list"].as_array().unwrap().clone();
    texts.extend(variables.iter().filter_map(|one| one["query"]["query"].as_str()).map(str::to_owned));
    let mut count = 0;
    for text in &texts {
        for (name, matchers) in named(text) {
            let labels = labels_of(name).unwrap_or_else(|| panic!("{name} is no metric: {text}"));
            for label in label_names(matchers) {
                assert!(labels.contains(&label), "{name} has no {label}: {text}");
            }
            count += 1;
        }
        for list in text.split("by (").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            for label in list.split(", ").filter(|label| *label != "le") {
                let has = |(name, _): &(&str, &str)| labels_of(name).unwrap().contains(&label);
                assert!(named(text).iter().all(has), "no {label} in {text}");
            }
        }
    }
    // The stories of the alerts have exactly the labels that are served.
    for (name, matchers) in named(include_str!("alerts.test.yaml")) {
        let given: BTreeSet<&str> = label_names(matchers).collect();
        let labels: BTreeSet<&str> = labels_of(name).unwrap_or_else(|| panic!("{name}")).iter().copied().collect();
        assert!(name == "tidegate_ready" || given == labels, "{name} has {labels:?}, the story says {given:?}");
    }
    assert!(count > 30, "only {count} were found");
}

#[test]
fn no_panel_lies_over_another() {
    let mut taken = BTreeSet::new();
    for panel in dashboard()["panels"].as_array().unwrap() {
        let place = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(place("x") + place("w") <= 24, "{}", panel["title"]);
        for cell in (place("x")..place("x") + place("w"))
            .flat_map(|x| (place("y")..place("y") + place("h")).map(move |y| (x, y)))
        {
            assert!(taken.insert(cell), "{} lies over another panel", panel["title"]);
        }
    }
}
