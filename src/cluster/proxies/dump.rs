//! Reads which weights and subsets a configuration dump has, of Envoy's own or as istiod would send it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    istio::{ObjectKind, lens},
    plan::{Host, ObjectKey},
};

/// What a dump says of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It carries the object as it is meant.
    Same,
    /// It carries it otherwise.
    Other,
    /// It knows nothing of it.
    Absent,
}

/// A destination with its weight: the name of an Envoy cluster without its port.
type Shares = BTreeMap<(String, String), u64>;

/// Compares a dump with an object as it is meant; none: it is meant to be gone.
pub(super) fn compare(kind: ObjectKind, key: &ObjectKey, meant: Option<&Value>, dump: &Value) -> Found {
    match kind {
        ObjectKind::VirtualService => routes(key, meant, dump),
        ObjectKind::DestinationRule => subsets(meant, dump),
    }
}

fn routes(key: &ObjectKey, meant: Option<&Value>, dump: &Value) -> Found {
    let found = of(key, dump);
    let Some(meant) = meant.filter(|_| !found.is_empty()) else {
        return if found.is_empty() { Found::Absent } else { Found::Other };
    };
    let expected = expected(meant);
    if found.iter().all(|route| carries(route, &expected)) { Found::Same } else { Found::Other }
}

/// The first route in a dump that is not as it is meant, with its shares, for people.
pub(super) fn differing(key: &ObjectKey, meant: &Value, dump: &Value) -> Option<String> {
    let expected = expected(meant);
    let route = of(key, dump).into_iter().find(|route| !carries(route, &expected))?;
    let shares = live(route).into_iter().map(|((subset, host), weight)| match subset.as_str() {
        "" => format!("{host} {weight}"),
        _ => format!("{subset} {weight}"),
    });
    let shares = shares.collect::<Vec<_>>().join(", ");
    let name = route.get("name").and_then(Value::as_str).unwrap_or_default();
    Some(format!("{shares} in route {name}"))
}

/// What a dump has of a VirtualService.
fn of<'d>(key: &ObjectKey, dump: &'d Value) -> Vec<&'d Value> {
    let origin = format!("/apis/networking.istio.io/v1/namespaces/{}/virtual-service/{}", key.namespace, key.name);
    let mut found = Vec::new();
    visit(dump, &mut |value| {
        let config = value.get("metadata").and_then(|metadata| {
            either(metadata, "filter_metadata", "filterMetadata")?.get("istio")?.get("config")?.as_str()
        });
        if config == Some(&origin) && value.get("match").is_some() {
            found.push(value);
        }
    });
    found
}

/// Whether a route of Envoy's has the shares of a route of that name.
fn carries(route: &Value, expected: &[(String, Shares)]) -> bool {
    let name = route.get("name").and_then(Value::as_str).unwrap_or_default();
    let of_name = |(own, _): &&(String, Shares)| {
        name == own || name.strip_prefix(own.as_str()).is_some_and(|rest| rest.starts_with('.'))
    };
    expected.iter().filter(of_name).any(|(_, shares)| *shares == live(route))
}

/// The shares of each route of a VirtualService that has destinations.
fn expected(meant: &Value) -> Vec<(String, Shares)> {
    let http = meant.get("spec").and_then(|spec| spec.get("http")).and_then(Value::as_array);
    let routes = http.into_iter().flatten();
    let named = routes.map(|route| {
        let destinations = route.get("route").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut shares = Shares::new();
        for destination in destinations {
            let weight = match destinations.len() {
                1 => 100,
                _ => destination.get("weight").and_then(Value::as_u64).unwrap_or(0),
            };
            let to = destination.get("destination");
            let text = |field| to.and_then(|to| to.get(field)).and_then(Value::as_str).unwrap_or_default();
            if weight > 0 {
                let host = Host::resolve(text("host"), lens::namespace(meant));
                *shares.entry((text("subset").to_owned(), host.as_str().to_owned())).or_default() += weight;
            }
        }
        let name = route.get("name").and_then(Value::as_str).unwrap_or_default();
        (name.to_owned(), shares)
    });
    named.collect()
}

/// The shares of a route of Envoy's.
fn live(route: &Value) -> Shares {
    let Some(action) = route.get("route") else { return Shares::new() };
    let mut shares = Shares::new();
    let mut add = |cluster: Option<&Value>, weight: u64| {
        let mut parts = cluster.and_then(Value::as_str).unwrap_or_default().split('|').skip(2);
        let (subset, host) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        *shares.entry((subset.to_owned(), host.to_owned())).or_default() += weight;
    };
    match either(action, "weighted_clusters", "weightedClusters").and_then(|weighted| weighted.get("clusters")) {
        Some(clusters) => {
            for cluster in clusters.as_array().into_iter().flatten() {
                add(cluster.get("name"), cluster.get("weight").and_then(Value::as_u64).unwrap_or(0));
            }
        }
        None => add(action.get("cluster"), 100),
    }
    shares
}

fn subsets(meant: Option<&Value>, dump: &Value) -> Found {
    let host = meant.and_then(|rule| {
        let written = rule.get("spec")?.get("host")?.as_str()?;
        Some(Host::resolve(written, lens::namespace(rule)))
    });
    let Some((meant, host)) = meant.zip(host) else { return Found::Absent };
    let mut found: BTreeSet<&str> = BTreeSet::new();
    let mut known = false;
    visit(dump, &mut |value| {
        let name = value.get("name").and_then(Value::as_str).unwrap_or_default();
        let mut parts = name.split('|');
        if let (Some("outbound"), Some(_), Some(subset), Some(of)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
            && of == host.as_str()
        {
            known = true;
            if !subset.is_empty() {
                found.insert(subset);
            }
        }
    });
    match (known, lens::subsets(meant).collect::<BTreeSet<_>>() == found) {
        (false, _) => Found::Absent,
        (true, true) => Found::Same,
        (true, false) => Found::Other,
    }
}

/// Shows every object within a value.
fn visit<'v>(value: &'v Value, see: &mut impl FnMut(&'v Value)) {
    match value {
        Value::Array(list) => list.iter().for_each(|item| visit(item, see)),
        Value::Object(map) => {
            see(value);
            map.values().for_each(|item| visit(item, see));
        }
        _ => {}
    }
}

/// A field by either of the names that JSON of protocol buffers may have.
fn either<'v>(value: &'v Value, snake: &str, camel: &str) -> Option<&'v Value> {
    value.get(snake).or_else(|| value.get(camel))
}
