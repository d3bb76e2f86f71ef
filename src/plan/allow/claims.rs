//! Finds everything that a document claims: in a plan what its objects would name, in a plain object what it names.

use core::net::IpAddr;

use serde_json::Value;

use super::super::{Document, Host, PlainObject, Plan, fields::KIND};
use super::{
    Allow,
    verdict::{Beyond, Judge},
};

/// What a document claims that the lists do not cover.
pub(super) fn beyond(allow: &Allow, document: &Document) -> Vec<Beyond> {
    let (kind, namespace) = match document {
        Document::Plan(plan) => (KIND, &plan.key.namespace),
        Document::Object(object) => (object.kind.as_str(), &object.key.namespace),
    };
    let mut judge = Judge::new(allow, namespace);
    judge.kind(kind);
    judge.namespace(namespace, || vec!["/metadata/namespace".to_owned(), "/metadata/name".to_owned()]);
    match document {
        Document::Plan(plan) => of_plan(plan, &mut judge),
        Document::Object(object) => of_object(object, &mut judge),
    }
    judge.beyond
}

/// Everything that the plan's VirtualService and DestinationRule name, at whatever step.
fn of_plan(plan: &Plan, judge: &mut Judge<'_>) {
    let routing = &plan.routing;
    judge.host(routing.service.as_str(), || vec!["/spec/service".to_owned()]);
    for (at, route) in routing.routes.iter().enumerate() {
        let of_list = |field: &str, item: usize| {
            // Where a default counts, the service is what is written.
            let own = format!("/spec/routes/{at}/{field}/{item}");
            vec![own, format!("/spec/{field}/{item}"), "/spec/service".to_owned()]
        };
        for (item, host) in route.hosts.iter().enumerate() {
            judge.host(Host::resolve(host, judge.namespace).as_str(), || of_list("hosts", item));
        }
        for (item, gateway) in route.gateways.iter().enumerate() {
            judge.gateway(gateway, || of_list("gateways", item));
        }
        let own = format!("/spec/routes/{at}");
        for (block, fields) in route.matches.iter().enumerate() {
            let block = block.to_string();
            let beside = [own.as_str(), "match", &block];
            fields.iter().for_each(|(key, value)| field(key, value, &At::Routes(&beside), judge));
        }
        let beside = [own.as_str(), "http"];
        route.http.iter().for_each(|(key, value)| field(key, value, &At::Routes(&beside), judge));
    }
    for (at, pin) in routing.pins.iter().enumerate() {
        for (block, fields) in pin.matches.iter().enumerate() {
            let block = format!("/spec/pins/{at}/match/{block}");
            fields.iter().for_each(|(key, value)| field(key, value, &At::Root(&block), judge));
        }
    }
    if let Some(policy) = &routing.traffic_policy {
        walk(policy, &At::Root("/spec/trafficPolicy"), judge);
    }
    for version in &routing.versions {
        if let Some(policy) = &version.traffic_policy {
            walk(policy, &At::Root(&format!("/spec/versions/{}/trafficPolicy", version.name)), judge);
        }
    }
    for (object, spec) in [("virtualService", &routing.virtual_service), ("destinationRule", &routing.destination_rule)]
    {
        for (item, namespace) in spec.export_to.iter().flatten().enumerate() {
            shown_in(namespace, judge, || vec![format!("/spec/objects/{object}/exportTo/{item}")]);
        }
    }
}

fn of_object(object: &PlainObject, judge: &mut Judge<'_>) {
    let Some(spec) = object.value.get("spec") else { return };
    let at = At::Root("/spec");
    for key in ["exportTo", "export_to"] {
        for (item, namespace) in texts(spec.get(key)) {
            shown_in(namespace, judge, || At::Item(&At::Field(&at, key), item).pointers());
        }
    }
    match object.kind.as_str() {
        "Gateway" => {
            judge.gateway(&object.key.to_string(), || vec!["/metadata/name".to_owned()]);
            for (server, value) in items(spec.get("servers")) {
                for (item, host) in texts(value.get("hosts")) {
                    // The namespace before it says whose routes are taken, not whose callers.
                    let host = host.split_once('/').map_or(host, |(_, host)| host);
                    let full = Host::resolve(host, judge.namespace);
                    judge.host(full.as_str(), || vec![format!("/spec/servers/{server}/hosts/{item}")]);
                }
            }
        }
        "ServiceEntry" => {
            // Istio completes no name here: without a dot it takes whoever calls a Service of that name.
            for (item, host) in texts(spec.get("hosts")) {
                judge.host(&host.to_ascii_lowercase(), || vec![format!("/spec/hosts/{item}")]);
            }
            for (item, endpoint) in items(spec.get("endpoints")) {
                address(endpoint, judge, || vec![format!("/spec/endpoints/{item}/address")]);
            }
        }
        "WorkloadEntry" => address(spec, judge, || vec!["/spec/address".to_owned()]),
        _ => {}
    }
}

/// A namespace of `exportTo`: `.`, `*` and `~` name none.
fn shown_in(namespace: &str, judge: &mut Judge<'_>, places: impl FnOnce() -> Vec<String>) {
    if !matches!(namespace, "." | "*" | "~") {
        judge.namespace(namespace, places);
    }
}

/// Where an endpoint is: a name counts as a host, an IP address or a socket as none.
fn address(endpoint: &Value, judge: &mut Judge<'_>, places: impl FnOnce() -> Vec<String>) {
    let Some(address) = endpoint.get("address").and_then(Value::as_str) else { return };
    if !address.is_empty() && !address.starts_with("unix://") && address.parse::<IpAddr>().is_err() {
        judge.host(&address.to_ascii_lowercase(), places);
    }
}

/// A place in a document, built on the way down and written out only where something is wrong.
enum At<'a> {
    /// A pointer.
    Root(&'a str),
    /// The steps from `/spec/routes/<n>` on, which for the only route stand in `/spec` itself.
    Routes(&'a [&'a str]),
    Field(&'a At<'a>, &'a str),
    Item(&'a At<'a>, usize),
}

impl At<'_> {
    fn pointers(&self) -> Vec<String> {
        let below = |at: &Self, step: &str| at.pointers().iter().map(|above| format!("{above}/{step}")).collect();
        match self {
            Self::Root(pointer) => vec![(*pointer).to_owned()],
            Self::Routes(steps) => {
                let rest = steps.get(1..).unwrap_or_default().join("/");
                let own = steps.first().copied().unwrap_or_default();
                vec![format!("{own}/{rest}"), format!("/spec/{rest}")]
            }
            Self::Field(at, key) => below(at, &key.replace('~', "~0").replace('/', "~1")),
            Self::Item(at, item) => below(at, &item.to_string()),
        }
    }
}

/// What Istio's fields below a value name, also those that are not known: whatever is called so names it.
fn walk(value: &Value, at: &At<'_>, judge: &mut Judge<'_>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| field(key, value, at, judge)),
        Value::Array(_) => items(Some(value)).for_each(|(item, value)| walk(value, &At::Item(at, item), judge)),
        _ => {}
    }
}

fn field(key: &str, value: &Value, at: &At<'_>, judge: &mut Judge<'_>) {
    let at = At::Field(at, key);
    match (key, value) {
        // Its keys are names of headers, and `host` is one.
        ("headers" | "withoutHeaders" | "queryParams" | "sourceLabels", _) => {}
        ("host" | "targetHost" | "target_host", Value::String(host)) => {
            judge.host(Host::resolve(host, judge.namespace).as_str(), || at.pointers());
        }
        ("hosts", Value::Array(_)) => {
            for (item, host) in texts(Some(value)) {
                judge.host(Host::resolve(host, judge.namespace).as_str(), || At::Item(&at, item).pointers());
            }
        }
        ("gateways", Value::Array(_)) => {
            for (item, gateway) in texts(Some(value)) {
                judge.gateway(gateway, || At::Item(&at, item).pointers());
            }
        }
        _ => walk(value, &at, judge),
    }
}

fn items(list: Option<&Value>) -> impl Iterator<Item = (usize, &Value)> {
    list.and_then(Value::as_array).into_iter().flatten().enumerate()
}

fn texts(list: Option<&Value>) -> impl Iterator<Item = (usize, &str)> {
    items(list).filter_map(|(item, value)| Some((item, value.as_str()?)))
}
