//! Read-only views over live objects; a malformed one shows less, it never fails.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::json::{items, texts};
use crate::plan::{Host, MESH};

pub use super::shares::{LiveShares, live_shares};
pub(super) use crate::plan::gateway;

/// The object's uid.
pub fn uid(live: &Value) -> Option<&str> {
    metadata_text(live, "uid")
}

/// The token of compare-and-swap.
pub fn resource_version(live: &Value) -> Option<&str> {
    metadata_text(live, "resourceVersion")
}

/// The generation of the last spec change.
pub fn generation(live: &Value) -> Option<i64> {
    live.get("metadata")?.get("generation")?.as_i64()
}

/// The object's name.
pub fn name(live: &Value) -> Option<&str> {
    metadata_text(live, "name")
}

/// The object's namespace, in which its short hosts are read; empty where it has none.
pub fn namespace(live: &Value) -> &str {
    metadata_text(live, "namespace").unwrap_or_default()
}

/// The labels.
pub fn labels(live: &Value) -> Option<&Map<String, Value>> {
    live.get("metadata")?.get("labels")?.as_object()
}

/// The annotations.
pub fn annotations(live: &Value) -> Option<&Map<String, Value>> {
    live.get("metadata")?.get("annotations")?.as_object()
}

/// The value of one label.
pub fn label<'a>(live: &'a Value, key: &str) -> Option<&'a str> {
    labels(live)?.get(key)?.as_str()
}

/// The value of one annotation.
pub fn annotation<'a>(live: &'a Value, key: &str) -> Option<&'a str> {
    annotations(live)?.get(key)?.as_str()
}

/// The VirtualService's hosts as full names.
pub fn hosts(live: &Value) -> Vec<Host> {
    texts(spec(live, "hosts")).map(|host| Host::resolve(host, namespace(live))).collect()
}

/// The VirtualService's gateways as `namespace/name` or `mesh`, which is also what it means to name none.
pub fn gateways(live: &Value) -> Vec<String> {
    let named: Vec<String> = texts(spec(live, "gateways")).map(|written| gateway(written, namespace(live))).collect();
    if named.is_empty() { vec![MESH.to_owned()] } else { named }
}

/// The DestinationRule's subsets by name, in order.
pub fn subsets(live: &Value) -> impl Iterator<Item = &str> {
    items(spec(live, "subsets")).iter().filter_map(|subset| subset.get("name")?.as_str())
}

/// The subsets of the service that the VirtualService refers to anywhere (routes, mirrors, tcp, tls). With
/// `weighted`, a destination of weight 0 beside others does not count, since no proxy is told of it.
pub fn referenced<'a>(live: &'a Value, service: &Host, weighted: bool) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    if let Some(spec) = live.get("spec") {
        let search = Search { namespace: namespace(live), service, weighted };
        search.visit(spec, &mut found);
    }
    found
}

/// [`referenced`] for fields that a route carries over.
pub(super) fn referenced_in<'a>(
    fields: &'a Map<String, Value>,
    namespace: &str,
    service: &Host,
    found: &mut BTreeSet<&'a str>,
) {
    let search = Search { namespace, service, weighted: true };
    fields.values().for_each(|value| search.visit(value, found));
}

struct Search<'s> {
    namespace: &'s str,
    service: &'s Host,
    weighted: bool,
}

impl Search<'_> {
    fn visit<'a>(&self, value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Array(list) => list.iter().for_each(|item| self.visit(item, found)),
            Value::Object(map) => {
                if let (Some(Value::String(host)), Some(Value::String(subset))) = (map.get("host"), map.get("subset"))
                    && is_host(host, self.namespace, self.service)
                {
                    found.insert(subset);
                }
                for (key, value) in map {
                    let several = items(Some(value));
                    if self.weighted && key == "route" && several.len() > 1 {
                        let served = several.iter().filter(|destination| weight(destination, 2) > 0);
                        served.for_each(|destination| self.visit(destination, found));
                    } else {
                        self.visit(value, found);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Whether a host as written in `namespace` is this one (law 14).
pub(super) fn is_host(written: &str, namespace: &str, host: &Host) -> bool {
    written == host.as_str() || Host::resolve(written, namespace) == *host
}

/// The weight of one of `count` destinations: a single one gets everything, a missing one is 0.
pub(super) fn weight(destination: &Value, count: usize) -> u64 {
    let number = destination.get("weight");
    match count {
        1 => 100,
        _ => number.and_then(|number| number.as_u64().or_else(|| whole(number.as_f64()?))).unwrap_or(0),
    }
}

/// A field of the spec.
pub(super) fn spec<'a>(live: &'a Value, field: &str) -> Option<&'a Value> {
    live.get("spec")?.get(field)
}

fn whole(number: f64) -> Option<u64> {
    // A weight is far below 2^32; anything beyond is no weight.
    (number.fract() == 0.0 && (0.0..4_294_967_296.0).contains(&number)).then_some(number as u64)
}

fn metadata_text<'a>(live: &'a Value, field: &str) -> Option<&'a str> {
    live.get("metadata")?.get(field)?.as_str()
}
