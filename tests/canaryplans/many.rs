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

/// How long after a commit the last weights were live: the best of a few, as others use the machine, too.
async fn commit_to_live(bed: &Bed<'_>, flags: &[&str]) -> Duration {
    for number in 0..PLANS {
        let name = format!("p{number}");
        let endpoints = [Endpoint::of("web-v1", "10.1.0.1"), Endpoint::of("web-v2", "10.1.0.2")];
        endpoint_slice(&bed.client, &bed.namespace, &name, &name, &endpoints).await;
    }
    let recorder = Recorder::start(&bed.client, &bed.namespace).await;
    bed.repository.commit("All on v1", &files(&bed.namespace, "traffic: {v1: 100}"));
    let _process = bed.start(flags);
    let live = |after: Instant, version: &str| {
        let events = recorder.events().into_iter().filter(|event| event.at >= after);
        let mut first = HashMap::new();
        for event in events.filter(|event| event.weights == [(version.to_owned(), 100)]) {
            first.entry(event.name).or_insert(event.at);
        }
        first
    };
    let begun = Instant::now();
    eventually("all are on v1", SOON, || async { live(begun, "v1").len() == PLANS }).await;
    let mut best = Duration::MAX;
    for version in ["v2", "v1", "v2"] {
        // Some of the resources of the commit before are still on their way.
        tokio::time::sleep(Duration::from_secs(5)).await;
        bed.repository.commit(version, &files(&bed.namespace, &format!("traffic: {{{version}: 100}}")));
        let committed = Instant::now();
        eventually(version, SOON, || async { live(committed, version).len() == PLANS }).await;
        let mut took: Vec<Duration> =
            live(committed, version).into_values().map(|at| at.duration_since(committed)).collect();
        took.sort();
        println!("{flags:?}: {PLANS} plans live after {:?} (median), {:?} (last)", took[PLANS / 2], took[PLANS - 1]);
        best = best.min(took[PLANS - 1]);
    }
    if flags.is_empty() {
        let committed = Instant::now();
        let settled = async || {
            let list: Value = serde_json::from_str(&bed.kubectl(&["get", "canaryplans", "-o", "json"])).unwrap();
            let items = list["items"].as_array().unwrap();
            let at_v2 = |one: &&Value| {
                one["status"]["live"]["testbed"] == json!({"v2": 100}) && crate::bed::kstatus(one) == "Current"
            };
            items.iter().filter(at_v2).count() == PLANS
        };
        eventually("all resources say so", SOON, settled).await;
        println!("{PLANS} resources say so {:?} after the weights", committed.elapsed());
    }
    best
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
    let without = commit_to_live(&Bed::on(&plane).await, &["--canaryplan-resources", "off"]).await;
    let with = commit_to_live(&Bed::on(&plane).await, &[]).await;
    println!("the last of {PLANS} weights live after {without:?} without resources, {with:?} with them");
    assert!(with < without * 2 + Duration::from_secs(1), "{with:?} with resources, {without:?} without");
}
