//! Routings, live objects and generators of both, for tests.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*, sample::Index};
use serde_json::{Map, Value, json};

use super::{destination_rule, virtual_service};
use crate::plan::{Host, MESH, ObjectSpec, Pin, Route, Routing, Traffic, Version, VersionName};

/// A routing of one mesh route to the versions, each selected by `version: <name>`.
pub(crate) fn routing(namespace: &str, service: &str, versions: &[&str]) -> Routing {
    let object = ObjectSpec { name: service.to_owned(), export_to: None };
    Routing {
        namespace: namespace.to_owned(),
        service: Host::resolve(service, namespace),
        port: None,
        versions: versions.iter().map(|name| version(name)).collect(),
        traffic_policy: None,
        routes: vec![route(service, &[service], &[MESH])],
        pins: Vec::new(),
        virtual_service: object.clone(),
        destination_rule: object,
    }
}

/// A version selected by `version: <name>`.
pub(crate) fn version(name: &str) -> Version {
    Version {
        name: VersionName::new(name),
        labels: BTreeMap::from([("version".to_owned(), name.to_owned())]),
        traffic_policy: None,
        build: None,
    }
}

/// A route of all requests.
pub(crate) fn route(name: &str, hosts: &[&str], gateways: &[&str]) -> Route {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Route {
        name: name.to_owned(),
        hosts: owned(hosts),
        gateways: owned(gateways),
        matches: Vec::new(),
        http: Map::new(),
    }
}

/// A pin with these match blocks.
pub(crate) fn pin(name: &str, matches: Value, to: &str) -> Pin {
    Pin { name: name.to_owned(), matches: blocks(matches), to: VersionName::new(to) }
}

/// Match blocks from JSON.
pub(crate) fn blocks(matches: Value) -> Vec<Map<String, Value>> {
    serde_json::from_value(matches).unwrap()
}

/// Traffic from weights that add up.
pub(crate) fn traffic(weights: &[(&str, u8)]) -> Traffic {
    Traffic::new(weights.iter().map(|(version, weight)| (VersionName::new(*version), *weight))).unwrap()
}

/// The object as an API server would hold it.
pub(crate) fn live(mut object: Value) -> Value {
    object["metadata"]["uid"] = json!("7f3c");
    object["metadata"]["resourceVersion"] = json!("41");
    object["metadata"]["generation"] = json!(3);
    object
}

/// JSON as indented lines, close enough to YAML for a reader.
pub(crate) fn outline(value: &Value) -> String {
    let mut lines = String::new();
    write_outline(value, "", &mut lines);
    lines
}

fn write_outline(value: &Value, indent: &str, lines: &mut String) {
    let deeper = format!("{indent}  ");
    let is_flat = |value: &Value| match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => true,
    };
    let flat = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            if is_flat(value) {
                lines.push_str(&format!("{indent}{key}: {}\n", flat(value)));
            } else {
                lines.push_str(&format!("{indent}{key}:\n"));
                let nested = if value.is_array() { indent } else { &deeper };
                write_outline(value, nested, lines);
            }
        }),
        Value::Array(list) => list.iter().for_each(|item| {
            let mut block = String::new();
            write_outline(item, &deeper, &mut block);
            lines.push_str(&format!("{indent}- {}", block.get(deeper.len()..).unwrap_or_default()));
        }),
        _ => lines.push_str(&format!("{indent}{}\n", flat(value))),
    }
}

/// Any JSON value, with the field names that matter among its keys.
pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        Just("spec"),
        Just("http"),
        Just("route"),
        Just("destination"),
        Just("host"),
        Just("subset"),
        Just("weight"),
        Just("match"),
        Just("name"),
        Just("metadata"),
        Just("namespace"),
        Just("hosts"),
        Just("gateways"),
        Just("subsets"),
        Just("labels"),
        Just("annotations"),
        Just("tcp"),
        Just("port"),
        Just("number"),
        Just("x"),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z./*]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(8, 64, 4, move |inner| {
        let member = (key.clone().prop_map(str::to_owned), inner.clone());
        prop_oneof![
            vec(inner, 0..4).prop_map(Value::from),
            vec(member, 0..5).prop_map(|m| Value::Object(m.into_iter().collect()))
        ]
    })
}

/// A routing of 1 to 4 versions with routes and pins of all sorts.
pub(crate) fn any_routing() -> impl Strategy<Value = Routing> {
    let policy = || {
        prop::option::of(prop_oneof![
            Just(json!({"tls": {"mode": "ISTIO_MUTUAL"}})),
            Just(json!({"connectionPool": {"tcp": {"maxConnections": 10.0, "gone": null}}})),
        ])
    };
    let export = || prop::option::of(prop_oneof![Just(vec![".".to_owned()]), Just(vec!["*".to_owned()])]);
    let matches = || {
        prop_oneof![
            Just(json!([])),
            Just(json!([{"uri": {"prefix": "/a/"}}])),
            Just(json!([{"headers": {"x": {"exact": "1"}, "gone": null}}, {"authority": {"exact": "a.example.com"}}])),
        ]
    };
    let http = prop_oneof![
        Just(json!({})),
        Just(json!({"timeout": "10s", "retries": null})),
        Just(json!({"fault": {"delay": {"percentage": {"value": 10.0}, "fixedDelay": "5s"}}})),
    ];
    let hosts = prop::sample::subsequence(
        vec!["reviews", "reviews.shop.svc.cluster.local", "a.example.com", "*.example.org"],
        1..4,
    );
    let gateways = prop::sample::subsequence(vec!["mesh", "edge/public", "local", "shop/local"], 1..4);
    let routes = vec((hosts, gateways, matches(), http), 1..4);
    let pins = vec((matches().prop_filter("a pin has a match", |m| *m != json!([])), any::<Index>()), 0..3);
    let versions = vec(policy(), 1..5);
    (versions, routes, pins, policy(), export(), export(), prop::option::of(1_u16..)).prop_map(
        |(versions, routes, pins, policy, vs_export, dr_export, port)| {
            let mut built = routing("shop", "reviews", &[]);
            built.versions = (1..)
                .zip(versions)
                .map(|(n, policy)| Version { traffic_policy: policy, ..version(&format!("v{n}")) })
                .collect();
            built.routes = (1..)
                .zip(routes)
                .map(|(n, (hosts, gateways, matches, http))| Route {
                    matches: blocks(matches),
                    http: serde_json::from_value(http).unwrap(),
                    ..route(&format!("r{n}"), &hosts, &gateways)
                })
                .collect();
            built.pins = (1..)
                .zip(pins)
                .map(|(n, (matches, to))| pin(&format!("p{n}"), matches, to.get(&built.versions).name.as_str()))
                .collect();
            built.traffic_policy = policy;
            built.port = port;
            built.virtual_service.export_to = vs_export;
            built.destination_rule.export_to = dr_export;
            built
        },
    )
}

/// Traffic over some of a routing's versions.
pub(crate) fn any_traffic(routing: &Routing) -> impl Strategy<Value = Traffic> + use<> {
    let names: Vec<VersionName> = routing.versions.iter().map(|version| version.name.clone()).collect();
    vec(0_u8..=100, names.len() - 1).prop_map(move |mut cuts| {
        cuts.extend([0, 100]);
        cuts.sort_unstable();
        let weights = cuts.windows(2).map(|pair| pair[1] - pair[0]);
        Traffic::new(names.iter().cloned().zip(weights)).unwrap()
    })
}

/// A routing with traffic.
pub(crate) fn any_goal() -> impl Strategy<Value = (Routing, Traffic)> {
    any_routing().prop_flat_map(|routing| any_traffic(&routing).prop_map(move |traffic| (routing.clone(), traffic)))
}

/// The two objects of some goal as a cluster may hold them: edited by others, with unknown fields at every level.
pub(crate) fn any_live() -> impl Strategy<Value = (Value, Value)> {
    (any_goal(), vec((any::<Index>(), any_change()), 0..6), vec((any::<Index>(), any_change()), 0..6)).prop_map(
        |((routing, traffic), in_service, in_rule)| {
            let mut service = live(virtual_service(&routing, &traffic));
            let mut rule = live(destination_rule(&routing, &routing.versions));
            for (object, changes) in [(&mut service, in_service), (&mut rule, in_rule)] {
                changes.into_iter().for_each(|(place, change)| apply(object, place, change));
            }
            (service, rule)
        },
    )
}

#[derive(Clone, Debug)]
enum LiveChange {
    Unknown,
    Remove,
    Put(Value),
    ExtraItem(Value),
}

fn any_change() -> impl Strategy<Value = LiveChange> {
    prop_oneof![
        3 => Just(LiveChange::Unknown),
        1 => Just(LiveChange::Remove),
        1 => (0_u64..120).prop_map(|weight| LiveChange::Put(json!(weight))),
        1 => prop_oneof![Just("v2"), Just("v9"), Just("reviews")].prop_map(|text| LiveChange::Put(json!(text))),
        1 => Just(LiveChange::ExtraItem(json!({"name": "theirs", "labels": {"a": "b"}}))),
        1 => Just(LiveChange::ExtraItem(json!({"destination": {"host": "reviews", "subset": "v1"}}))),
    ]
}

fn apply(object: &mut Value, place: Index, change: LiveChange) {
    let mut places = Vec::new();
    paths(object, "", &mut places);
    // Identity stays: without it no API server would answer with the object.
    let identity = ["/metadata/uid", "/metadata/resourceVersion", "/metadata/namespace", "/metadata/name"];
    places.retain(|path| !identity.contains(&path.as_str()));
    places.retain(|path| path != "/metadata" || matches!(change, LiveChange::Unknown));
    let path = place.get(&places);
    match change {
        LiveChange::Unknown => {
            if let Some(map) = object.pointer_mut(path).and_then(Value::as_object_mut) {
                map.insert("unknownField".to_owned(), json!({"kept": [1, null, {"deep": true}]}));
            }
        }
        LiveChange::Remove => {
            let (parent, key) = path.rsplit_once('/').unwrap();
            match object.pointer_mut(parent) {
                Some(Value::Object(map)) => drop(map.remove(key)),
                Some(Value::Array(list)) => drop(list.remove(key.parse().unwrap())),
                _ => {}
            }
        }
        LiveChange::Put(value) => *object.pointer_mut(path).unwrap() = value,
        LiveChange::ExtraItem(item) => {
            if let Some(list) = object.pointer_mut(path).and_then(Value::as_array_mut) {
                list.push(item);
            }
        }
    }
}

fn paths(value: &Value, at: &str, places: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            places.push(format!("{at}/{key}"));
            paths(value, &format!("{at}/{key}"), places);
        }),
        Value::Array(list) => list.iter().enumerate().for_each(|(index, value)| {
            places.push(format!("{at}/{index}"));
            paths(value, &format!("{at}/{index}"), places);
        }),
        _ => {}
    }
}
