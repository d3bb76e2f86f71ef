//! Rules that Istio objects keep: what Istio refuses, and what it accepts and callers suffer from.
//!
//! ```text
//!                    ┌► form: the types of all fields ──────────────────────────────┐
//!   one object ──────┤                                                               ├─► Found
//!                    └► virtual_service, destination_rule, gateway, service_entry ───┘
//!   many objects ────► across: what one of them says of another ────────────────────► Found
//! ```

mod across;
mod at;
mod balancer;
mod cluster_local;
mod destination_rule;
mod form;
mod forms;
mod gateway;
mod http_route;
mod matching;
mod names;
mod order;
mod re2;
mod report;
mod service_entry;
mod stream_route;
mod syntax;
#[cfg(test)]
mod tests;
mod traffic_policy;
mod virtual_service;

use serde_json::Value;

pub use across::{Beyond, Known, Member, Whose, check_across, check_beyond};
pub use cluster_local::ClusterLocal;
pub use report::Found;

use self::{
    at::At,
    form::{Form, Shape},
    report::Report,
};
use crate::plan::codes;

/// The fields of an object that Istio's webhook accepts.
const FIELDS: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];
/// Annotations that Istio refuses, and what to do.
const ANNOTATIONS: [&str; 4] = [
    "istio.io/dry-run",
    "internal.istio.io/parents",
    "internal.istio.io/parent-namespace",
    "internal.istio.io/webhook-always-reject",
];
const GROUP: &str = "networking.istio.io/";

/// What is wrong with one VirtualService, DestinationRule, Gateway or ServiceEntry; nothing of any other kind.
pub fn check(object: &Value) -> Vec<Found> {
    let root = At::root(object);
    if !root.text_of("apiVersion").starts_with(GROUP) {
        return Vec::new();
    }
    let (shape, rules): (&'static Shape, fn(&Object<'_>, &mut Report)) = match root.text_of("kind") {
        "VirtualService" => (&forms::VIRTUAL_SERVICE, virtual_service::check),
        "DestinationRule" => (&forms::DESTINATION_RULE, destination_rule::check),
        "Gateway" => (&forms::GATEWAY, gateway::check),
        "ServiceEntry" => (&forms::SERVICE_ENTRY, service_entry::check),
        _ => return Vec::new(),
    };
    let mut report = Report::default();
    envelope(&root, &mut report);
    let nothing = Value::Object(serde_json::Map::new());
    let spec = root.get("spec").unwrap_or_else(|| At::root(&nothing));
    form::check(&spec, &Form::Object(shape), &mut report);
    let mut found = report.into_found();
    let errors: Vec<String> =
        found.iter().filter(|found| found.code == codes::IST0106).map(|found| found.pointer.clone()).collect();
    let mut report = Report::default();
    let metadata = root.get("metadata").unwrap_or_else(|| At::root(&nothing));
    let namespace = Some(metadata.text_of("namespace")).filter(|name| !name.is_empty()).unwrap_or("default");
    rules(&Object { metadata: metadata.clone(), namespace, spec }, &mut report);
    // Of a value of the wrong type there is nothing more to say.
    let told = |one: &Found| errors.iter().any(|error| within(&one.pointer, error) || within(error, &one.pointer));
    found.extend(report.into_found().into_iter().filter(|one| !told(one)));
    found
}

/// An object whose rules are looked at.
struct Object<'v> {
    metadata: At<'v>,
    namespace: &'v str,
    spec: At<'v>,
}

/// Checks what all kinds have around their `spec`.
fn envelope(root: &At<'_>, report: &mut Report) {
    for (key, at) in root.entries().iter().filter(|(key, _)| !FIELDS.contains(key)) {
        report.add(codes::IST0106, at, format!("Istio refuses an object with a field `{key}`"), "take it out");
    }
    let Some(metadata) = root.get("metadata") else { return };
    for name in ["name", "namespace"] {
        if let Some(at) = metadata.get(name) {
            form::check(&at, &Form::Text, report);
        }
    }
    for labels in ["labels", "annotations"] {
        if let Some(at) = metadata.get(labels) {
            form::check(&at, &Form::Map(&Form::Text), report);
        }
    }
    for (key, at) in metadata.map("annotations").iter().filter(|(key, _)| ANNOTATIONS.contains(key)) {
        report.add(codes::IST0106, at, format!("Istio refuses the annotation `{key}` here"), "take it out");
    }
}

/// Whether a pointer leads to a place within that of another.
fn within(pointer: &str, other: &str) -> bool {
    pointer.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
