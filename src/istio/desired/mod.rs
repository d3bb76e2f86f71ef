//! Renders a routing and its traffic as the Istio objects that a careful person would have written by hand.

mod conjunction;
mod rule;
mod scope;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{
    edit::ObjectKind,
    json::{same, without_nulls},
    lens,
};
use crate::plan::{Host, MESH, ObjectSpec, Routing, Traffic, Version, VersionName};

pub(super) use rule::{OWN_FIELDS, Rule, Share, rules, shares};

/// The API version that is written; servers read every older one as the same.
pub const API_VERSION: &str = "networking.istio.io/v1";

/// The whole VirtualService of the routing with this traffic: pins first, then the routes.
pub fn virtual_service(routing: &Routing, traffic: &Traffic) -> Value {
    object(ObjectKind::VirtualService, routing, &routing.virtual_service, virtual_service_spec(routing, traffic))
}

/// The subsets of the service that [`virtual_service`] refers to, without rendering it.
pub(super) fn referenced<'a>(routing: &'a Routing, traffic: &'a Traffic) -> BTreeSet<&'a str> {
    let pinned = routing.pins.iter().map(|pin| &pin.to);
    let mut found: BTreeSet<&str> =
        traffic.iter().map(|(name, _)| name).chain(pinned).map(VersionName::as_str).collect();
    for route in &routing.routes {
        lens::referenced_in(&route.http, &routing.namespace, &routing.service, &mut found);
    }
    found
}

/// The whole DestinationRule of the routing with these subsets.
pub fn destination_rule(routing: &Routing, subsets: &[Version]) -> Value {
    object(ObjectKind::DestinationRule, routing, &routing.destination_rule, destination_rule_spec(routing, subsets))
}

pub(super) fn virtual_service_spec(routing: &Routing, traffic: &Traffic) -> Value {
    let shares = shares(routing, traffic);
    let http: Vec<Value> = rules(routing).iter().map(|rule| rule.render(routing, &shares)).collect();
    let mut spec = Map::from_iter([("hosts".to_owned(), json!(hosts(routing))), ("http".to_owned(), json!(http))]);
    let gateways = gateways(routing);
    if gateways != [MESH] {
        spec.insert("gateways".to_owned(), json!(gateways));
    }
    insert_export(&mut spec, &routing.virtual_service);
    Value::Object(spec)
}

pub(super) fn destination_rule_spec(routing: &Routing, subsets: &[Version]) -> Value {
    let subsets: Vec<Value> = subsets.iter().map(subset).collect();
    let mut spec =
        Map::from_iter([("host".to_owned(), json!(routing.service.as_str())), ("subsets".to_owned(), json!(subsets))]);
    if let Some(policy) = &routing.traffic_policy {
        spec.insert("trafficPolicy".to_owned(), without_nulls(policy));
    }
    insert_export(&mut spec, &routing.destination_rule);
    Value::Object(spec)
}

/// The subset of a version.
pub(super) fn subset(version: &Version) -> Value {
    let mut subset = json!({"name": version.name.as_str(), "labels": version.labels});
    if let (Some(policy), Some(map)) = (&version.traffic_policy, subset.as_object_mut()) {
        map.insert("trafficPolicy".to_owned(), without_nulls(policy));
    }
    subset
}

/// Whether a live subset is the version's: [`same`] as [`subset`], without rendering it.
pub(super) fn is_subset(live: &Value, version: &Version) -> bool {
    let Some(live) = live.as_object() else { return false };
    let own = |field: &str| live.get(field).filter(|value| !value.is_null());
    let labels = own("labels").and_then(Value::as_object).is_some_and(|labels| {
        labels.values().filter(|value| !value.is_null()).count() == version.labels.len()
            && version.labels.iter().all(|(key, value)| labels.get(key).and_then(Value::as_str) == Some(value))
    });
    let policy = match (&version.traffic_policy, own("trafficPolicy")) {
        (Some(meant), Some(live)) => same(live, meant),
        (meant, None) => meant.as_ref().is_none_or(Value::is_null),
        (None, Some(_)) => false,
    };
    let others = |(field, value): (&String, &Value)| {
        !value.is_null() && !matches!(field.as_str(), "name" | "labels" | "trafficPolicy")
    };
    labels && policy && own("name").and_then(Value::as_str) == Some(version.name.as_str()) && !live.iter().any(others)
}

/// The hosts of all routes as full names, in order.
pub(super) fn hosts(routing: &Routing) -> Vec<Host> {
    let mut hosts = Vec::new();
    for written in routing.routes.iter().flat_map(|route| &route.hosts) {
        let host = Host::resolve(written, &routing.namespace);
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}

/// The gateways of all routes as written, in order.
pub(super) fn gateways(routing: &Routing) -> Vec<&str> {
    let mut gateways: Vec<&str> = Vec::new();
    for written in routing.routes.iter().flat_map(|route| &route.gateways) {
        let full = lens::gateway(written, &routing.namespace);
        if !gateways.iter().any(|known| lens::gateway(known, &routing.namespace) == full) {
            gateways.push(written);
        }
    }
    gateways
}

fn insert_export(spec: &mut Map<String, Value>, object: &ObjectSpec) {
    if let Some(namespaces) = object.export_to.as_ref().filter(|namespaces| !namespaces.is_empty()) {
        spec.insert("exportTo".to_owned(), json!(namespaces));
    }
}

fn object(kind: ObjectKind, routing: &Routing, object: &ObjectSpec, spec: Value) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": kind.kind(),
        "metadata": {"name": object.name, "namespace": routing.namespace},
        "spec": spec,
    })
}
