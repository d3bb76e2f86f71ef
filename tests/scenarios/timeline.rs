//! What the independent watch saw, in the order in which the server wrote it, and what must hold at each write.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::kubernetes::{Recorded, Recorder};
use crate::support::world::CONVERGENCE_WAIT;

/// One change of a spec.
pub struct Change {
    /// `VirtualService` or `DestinationRule`.
    pub kind: &'static str,
    /// The object's name.
    pub name: String,
    /// Weights of a VirtualService, subsets of a DestinationRule, for people.
    pub what: String,
    /// When the watch told.
    pub at: Instant,
}

/// All events so far, in the order of the server's writes: two watches may tell of them in another one.
pub fn events(recorder: &Recorder) -> Vec<Recorded> {
    let mut events = recorder.events();
    events.sort_by_key(|event| version(&event.object));
    events
}

fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

/// The changes of specs after the first `passed` events; other events touch journals alone.
pub fn changes(events: &[Recorded], passed: usize) -> Vec<Change> {
    let mut specs: BTreeMap<(&str, &str), &Value> = BTreeMap::new();
    let mut changes = Vec::new();
    for (place, event) in events.iter().enumerate() {
        assert!(!event.deleted, "{} {} was deleted", event.kind, event.name);
        let spec = &event.object["spec"];
        let changed = specs.insert((event.kind, &event.name), spec) != Some(spec);
        if changed && place >= passed {
            let what = if event.kind == "VirtualService" { weights(spec) } else { subsets(spec).join(" ") };
            changes.push(Change { kind: event.kind, name: event.name.clone(), what, at: event.at });
        }
    }
    changes
}

/// The weights that all but pinned requests have, such as `v1=95 v2=5`.
pub fn weights(spec: &Value) -> String {
    // Pins come first, and every route after them carries the same weights.
    let legs = spec["http"].as_array().unwrap().last().unwrap()["route"].as_array().unwrap();
    let text = |leg: &Value| format!("{}={}", leg["destination"]["subset"].as_str().unwrap(), weight(leg, legs.len()));
    let texts: Vec<String> = legs.iter().map(text).collect();
    texts.join(" ")
}

/// The names of a DestinationRule's subsets.
pub fn subsets(spec: &Value) -> Vec<String> {
    let subsets = spec["subsets"].as_array().unwrap();
    subsets.iter().map(|subset| subset["name"].as_str().unwrap().to_owned()).collect()
}

fn weight(leg: &Value, legs: usize) -> u64 {
    leg["weight"].as_u64().unwrap_or(if legs == 1 { 100 } else { 0 })
}

/// Laws 1 and make-before-break, at every single write: weights sum to 100, no route ever names a subset that its
/// DestinationRule lacks, and a subset goes only when no route has named it for a while.
pub fn check_every_write(events: &[Recorded]) {
    let mut there: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut named: BTreeMap<String, (Vec<(String, String)>, Instant)> = BTreeMap::new();
    for event in events {
        let spec = &event.object["spec"];
        if event.kind == "DestinationRule" {
            let (host, subsets) = (spec["host"].as_str().unwrap(), subsets(spec));
            let before = there.insert(host.to_owned(), subsets.clone()).unwrap_or_default();
            let routes = named.values().find(|(routes, _)| routes.iter().any(|(to, _)| to == host));
            for gone in before.iter().filter(|before| !subsets.contains(before)) {
                let (_, since) = routes.unwrap();
                // Once for the proxies and once for requests in flight; half a wait is left to the watch, which may tell
                // of one write later than of the other.
                let after = event.at - *since;
                assert!(after >= CONVERGENCE_WAIT * 3 / 2, "{host}: subset {gone} went after {after:?}");
            }
        } else {
            for route in spec["http"].as_array().unwrap() {
                let legs = route["route"].as_array().unwrap();
                let sum: u64 = legs.iter().map(|leg| weight(leg, legs.len())).sum();
                assert_eq!(sum, 100, "{}: {route}", event.name);
            }
            let routes = destinations(spec);
            match named.get_mut(&event.name) {
                Some((before, _)) if *before == routes => {}
                _ => drop(named.insert(event.name.clone(), (routes, event.at))),
            }
        }
        for (host, subset) in named.values().flat_map(|(routes, _)| routes) {
            let held = there.get(host).is_some_and(|subsets| subsets.contains(subset));
            assert!(held, "{} {} leaves a route to {host} {subset}, which is not there", event.kind, event.name);
        }
    }
}

/// Each host with the subset that a route names.
fn destinations(spec: &Value) -> Vec<(String, String)> {
    let legs = spec["http"].as_array().unwrap().iter().flat_map(|route| route["route"].as_array().unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    legs.map(|leg| (text(&leg["destination"]["host"]), text(&leg["destination"]["subset"]))).collect()
}

/// Law 7: between two weights of a walk lies the whole hold.
pub fn check_holds(walk: &[&Change], hold: Duration) {
    for pair in walk.windows(2) {
        let held = pair[1].at - pair[0].at;
        assert!(held >= hold, "{} was held {held:?} of {hold:?}", pair[0].what);
    }
}
