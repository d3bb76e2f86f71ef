//! Many plans in one commit: weights do not wait for resources.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bed::{Bed, Plane, SOON, plan};
use crate::kubernetes::{Endpoint, Recorder, endpoint_slice, eventually};

const PLANS: usize = 200;

fn files(namespace: &str, traffic: &str) -> Vec<(String, String)> {
    (0..PLANS)
        .map(|number| (format!("plans/p{number}.yaml"), plan(&format!("p{number}"), namespace, traffic)))
        .collect()
}

/// How long after the commit each plan's weights were live, in order.
async fn commit_to_live(bed: &Bed<'_>, flags: &[&str]) -> Vec<Duration> {
    for number in 0..PLANS {
        let name = format!("p{number}");
        let endpoints = [Endpoint::of("web-v1", "10.1.0.1"), Endpoint::of("web-v2", "10.1.0.2")];
        endpoint_slice(&bed.client, &bed.namespace, &name, &name, &endpoints).await;
    }
    let recorder = Recorder::start(&bed.client, &bed.namespace).await;
    bed.repository.commit("All on v1", &files(&bed.namespace, "traffic: {v1: 100}"));
    let _process = bed.start(flags);
    let live = |version: &str| {
        let mut first = HashMap::new();
        for event in recorder.events() {
            if event.weights == [(version.to_owned(), 100)] {
                first.entry(event.name).or_insert(event.at);
            }
        }
        first
    };
    eventually("all are on v1", SOON, || async { live("v1").len() == PLANS }).await;
    // The resources of the first commit, and the settling of its targets, are not what is measured.
    tokio::time::sleep(Duration::from_secs(6)).await;
    bed.repository.commit("All to v2", &files(&bed.namespace, "traffic: {v2: 100}"));
    let committed = Instant::now();
    eventually("all are on v2", SOON, || async { live("v2").len() == PLANS }).await;
    let mut took: Vec<Duration> = live("v2").into_values().map(|at| at.duration_since(committed)).collect();
    took.sort();
    if flags.is_empty() {
        let settled = async || {
            let list: Value = serde_json::from_str(&bed.kubectl(&["get", "canaryplans", "-o", "json"])).unwrap();
            let items = list["items"].as_array().unwrap();
            let at_v2 = |one: &&Value| {
                one["status"]["live"]["testbed"] == json!({"v2": 100}) && crate::bed::kstatus(one) == "Current"
            };
            items.iter().filter(at_v2).count() == PLANS
        };
        eventually("all resources say so", SOON, settled).await;
        println!("{PLANS} resources say so {:?} after the commit", committed.elapsed());
    }
    took
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_plans_in_one_commit_do_not_wait_for_their_resources() {
    // A server of its own: what others do on a shared one would be measured, too.
    let plane = tokio::task::spawn_blocking(|| {
        let plane = Plane::bare("many");
        plane.define();
        plane
    });
    let plane = plane.await.unwrap();
    let mut figures = Vec::new();
    for (name, flags) in [("off", &["--canaryplan-resources", "off"][..]), ("on", &[])] {
        let bed = Bed::on(&plane).await;
        let took = commit_to_live(&bed, flags).await;
        let (median, last) = (took[PLANS / 2], took[PLANS - 1]);
        println!("resources {name}: {PLANS} plans live after {median:?} (median), {last:?} (last)");
        figures.push(last);
    }
    assert!(figures[1] < figures[0] * 2 + Duration::from_secs(1), "{figures:?}");
}
