//! Compares live objects with what is meant, by meaning: a host by its full name, a missing weight as Istio reads it.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{
    desired::{self, OWN_FIELDS, Rule, Share, rules, shares},
    json::{items, same, same_map, texts},
    lens::{self, is_host, spec, weight},
};
use crate::plan::{Host, MESH, Routing, Traffic};

/// How a live VirtualService differs from what is meant, in the parts that tidegate owns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drift {
    /// Hosts, gateways, visibility, or anything of the `http` routes but the versions' weights.
    pub spec_differs: bool,
    /// The weight of some version in some route.
    pub weights_differ: bool,
}

/// What a live VirtualService has drifted in from the routing with this traffic. Cheap: it runs on every decision.
pub fn drift(live: &Value, routing: &Routing, traffic: &Traffic) -> Drift {
    let (rules, shares) = (rules(routing), shares(routing, traffic));
    let entries = items(spec(live, "http"));
    let in_step = entries.len() == rules.len();
    let mut drift = Drift { spec_differs: !in_step || !same_scope(live, routing), weights_differ: entries.is_empty() };
    for (position, entry) in entries.iter().enumerate() {
        let by_name = || rules.iter().find(|rule| entry.get("name").and_then(Value::as_str) == Some(&rule.name));
        let rule = if in_step { rules.get(position) } else { by_name().or(rules.last()) };
        let Some(rule) = rule else { continue };
        drift.spec_differs |= differing_fields(entry, rule).next().is_some();
        match route_difference(entry, rule, &shares, routing, lens::namespace(live)) {
            RouteDifference::None => {}
            RouteDifference::Weights => drift.weights_differ = true,
            RouteDifference::Other { form, weights } => {
                drift.spec_differs |= form;
                drift.weights_differ |= weights;
            }
        }
    }
    drift
}

/// Whether the API server answered with what was meant (law 6): the same spec, and every label and annotation that
/// was meant. What servers and their admission plug-ins set besides is passed over.
pub fn matches_meant(answer: &Value, meant: &Value) -> bool {
    let (answer_spec, meant_spec) = (answer.get("spec"), meant.get("spec"));
    let has_all = |answer: Option<&Map<String, Value>>, meant: Option<&Map<String, Value>>| {
        meant.into_iter().flatten().all(|(key, value)| answer.and_then(|answer| answer.get(key)) == Some(value))
    };
    same(answer_spec.unwrap_or(&Value::Null), meant_spec.unwrap_or(&Value::Null))
        && has_all(lens::labels(answer), lens::labels(meant))
        && has_all(lens::annotations(answer), lens::annotations(meant))
}

/// The first place in which an answer is other than what was meant, as a JSON pointer; none where it [`matches_meant`].
pub fn altered_at(answer: &Value, meant: &Value) -> Option<String> {
    if matches_meant(answer, meant) {
        return None;
    }
    let (one, other) = (answer.get("spec").unwrap_or(&Value::Null), meant.get("spec").unwrap_or(&Value::Null));
    Some(if same(one, other) { "/metadata".to_owned() } else { format!("/spec{}", first_difference(one, other)) })
}

fn first_difference(one: &Value, other: &Value) -> String {
    let step = |key: &str, one: Option<&Value>, other: Option<&Value>| {
        let (one, other) = (one.unwrap_or(&Value::Null), other.unwrap_or(&Value::Null));
        (!same(one, other))
            .then(|| format!("/{}{}", key.replace('~', "~0").replace('/', "~1"), first_difference(one, other)))
    };
    let found = match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            one.keys().chain(other.keys()).find_map(|key| step(key, one.get(key), other.get(key)))
        }
        (Value::Array(one), Value::Array(other)) => {
            (0..one.len().max(other.len())).find_map(|at| step(&at.to_string(), one.get(at), other.get(at)))
        }
        _ => None,
    };
    found.unwrap_or_default()
}

/// How the destinations of one route differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RouteDifference {
    /// Not at all.
    None,
    /// The same destinations at the same places have other weights.
    Weights,
    /// The list is another one.
    Other {
        /// A destination of it is none that the routing would write, or the same weights are written otherwise.
        form: bool,
        /// A version gets another weight by it.
        weights: bool,
    },
}

/// How the destinations of a live `http` entry, whose object stands in `namespace`, differ from the rule's.
pub(super) fn route_difference(
    entry: &Value,
    rule: &Rule<'_>,
    traffic: &[Share<'_>],
    routing: &Routing,
    namespace: &str,
) -> RouteDifference {
    let list = items(entry.get("route"));
    let meant = rule.shares(traffic);
    let subset = |destination| subset_of(destination, routing, namespace);
    let pairs = || list.iter().zip(meant);
    if list.len() == meant.len()
        && pairs().all(|(destination, share)| subset(destination) == Some(share.version.as_str()))
    {
        let equal = pairs().all(|(live, share)| weight(live, list.len()) == u64::from(share.weight));
        return if equal { RouteDifference::None } else { RouteDifference::Weights };
    }
    let total = |version: &str| {
        let own = list.iter().filter(|destination| subset(destination) == Some(version));
        own.fold(0_u64, |sum, destination| sum.saturating_add(weight(destination, list.len())))
    };
    let is_meant = |version: &str| meant.iter().any(|share| share.version.as_str() == version);
    let weights = meant.iter().any(|share| total(share.version.as_str()) != u64::from(share.weight))
        || list.iter().filter_map(subset).any(|version| !is_meant(version) && total(version) > 0);
    let foreign = list.iter().any(|destination| subset(destination).is_none());
    RouteDifference::Other { form: foreign || !weights, weights }
}

/// The subset of a destination that the routing could have written: the service's host and port, and nothing else.
pub(super) fn subset_of<'a>(destination: &'a Value, routing: &Routing, namespace: &str) -> Option<&'a str> {
    let inner = destination.get("destination")?.as_object()?;
    let port = inner.get("port").filter(|port| !port.is_null());
    let same_port = match (port, routing.port) {
        (None, None) => true,
        (Some(port), Some(number)) => only(port.as_object()?, &["number"]) && port.get("number")? == number,
        _ => false,
    };
    let plain = only(destination.as_object()?, &["destination", "weight"]) && only(inner, &["host", "subset", "port"]);
    let host = inner.get("host")?.as_str()?;
    (plain && same_port && is_host(host, namespace, &routing.service)).then(|| inner.get("subset")?.as_str()).flatten()
}

/// The fields other than `route` in which a live `http` entry differs from the rule; one that is no object differs
/// in all.
pub(super) fn differing_fields<'a>(entry: &'a Value, rule: &'a Rule<'_>) -> impl Iterator<Item = &'a str> {
    let live = entry.as_object();
    let get = move |field: &str| live.and_then(|live| live.get(field)).filter(|value| !value.is_null());
    let name = (get("name").and_then(Value::as_str) != Some(&rule.name)).then_some("name");
    let matches = (!same_blocks(get("match"), &rule.matches)).then_some("match");
    let carried = rule.fields.iter().filter(|(field, _)| !OWN_FIELDS.contains(&field.as_str()));
    let carried = carried.filter(move |(field, meant)| !same(get(field).unwrap_or(&Value::Null), meant));
    let added = live.into_iter().flatten().filter(|(field, value)| {
        !value.is_null() && !OWN_FIELDS.contains(&field.as_str()) && !rule.fields.contains_key(*field)
    });
    let fields = carried.map(|(field, _)| field.as_str()).chain(added.map(|(field, _)| field.as_str()));
    name.into_iter().chain(matches).chain(fields)
}

/// Whether hosts, gateways and, where given, visibility are those of the routing.
fn same_scope(live: &Value, routing: &Routing) -> bool {
    same_hosts(live, routing) && same_gateways(live, routing) && same_export(live, &routing.virtual_service.export_to)
}

/// Whether the live hosts are the routing's, in whatever order and form.
pub(super) fn same_hosts(live: &Value, routing: &Routing) -> bool {
    let mut written = routing.routes.iter().flat_map(|route| &route.hosts);
    if let (Some(written), None, [Value::String(live)]) = (written.next(), written.next(), items(spec(live, "hosts")))
        && Host::is_written(written, &routing.namespace, live)
    {
        return true;
    }
    let live: BTreeSet<_> = lens::hosts(live).into_iter().collect();
    live == desired::hosts(routing).into_iter().collect()
}

/// Whether the live gateways are the routing's, in whatever order and form.
pub(super) fn same_gateways(live: &Value, routing: &Routing) -> bool {
    let mut written = routing.routes.iter().flat_map(|route| &route.gateways);
    if written.all(|written| written == MESH) && items(spec(live, "gateways")).is_empty() {
        return true;
    }
    let live: BTreeSet<_> = lens::gateways(live).into_iter().collect();
    let meant = desired::gateways(routing).into_iter().map(|written| lens::gateway(written, &routing.namespace));
    live == meant.collect()
}

/// Whether the live visibility is the one given; where none is given, any is.
pub(super) fn same_export(live: &Value, meant: &Option<Vec<String>>) -> bool {
    meant.as_ref().is_none_or(|meant| {
        let live: BTreeSet<&str> = texts(spec(live, "exportTo")).collect();
        live == meant.iter().map(String::as_str).collect()
    })
}

fn same_blocks(live: Option<&Value>, meant: &[Map<String, Value>]) -> bool {
    let live_blocks = items(live);
    live.is_none_or(Value::is_array)
        && live_blocks.len() == meant.len()
        && live_blocks.iter().zip(meant).all(|(live, meant)| live.as_object().is_some_and(|live| same_map(live, meant)))
}

fn only(map: &Map<String, Value>, fields: &[&str]) -> bool {
    map.iter().all(|(field, value)| fields.contains(&field.as_str()) || value.is_null())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::istio::{
        fixtures::{live, pin, routing, traffic},
        virtual_service,
    };

    const NONE: Drift = Drift { spec_differs: false, weights_differ: false };
    const SPEC: Drift = Drift { spec_differs: true, weights_differ: false };
    const WEIGHTS: Drift = Drift { spec_differs: false, weights_differ: true };
    const BOTH: Drift = Drift { spec_differs: true, weights_differ: true };

    /// The drift after somebody changed the object of v1=90 v2=10, where v3 has a pin.
    fn after(change: impl FnOnce(&mut Value)) -> Drift {
        let mut routing = routing("default", "reviews", &["v1", "v2", "v3"]);
        routing.pins = vec![pin("qa", json!([{"headers": {"qa": {}}}]), "v3")];
        let traffic = traffic(&[("v1", 90), ("v2", 10)]);
        let mut object = live(virtual_service(&routing, &traffic));
        change(&mut object["spec"]);
        drift(&object, &routing, &traffic)
    }

    #[test]
    fn weights_that_somebody_changed_are_drift_in_weights() {
        assert_eq!(after(|_| {}), NONE);
        assert_eq!(after(|spec| spec["http"][1]["route"][1]["weight"] = json!(50)), WEIGHTS);
        assert_eq!(after(|spec| drop(spec["http"][1]["route"].as_array_mut().unwrap().remove(0))), WEIGHTS);
        assert_eq!(after(|spec| spec["http"][1]["route"][1]["destination"]["subset"] = json!("v3")), WEIGHTS);
    }

    #[test]
    fn the_same_weights_in_another_form_are_drift_in_the_spec() {
        assert_eq!(after(|spec| spec["http"][1]["route"].as_array_mut().unwrap().reverse()), SPEC);
        let idle = json!({"destination": {"host": "reviews", "subset": "v3"}, "weight": 0});
        assert_eq!(after(|spec| spec["http"][1]["route"].as_array_mut().unwrap().push(idle)), SPEC);
    }

    #[test]
    fn all_else_that_tidegate_owns_is_drift_in_the_spec() {
        assert_eq!(after(|spec| spec["http"][1]["mirror"] = json!({"host": "reviews"})), SPEC);
        assert_eq!(after(|spec| spec["http"][0]["match"] = json!([])), SPEC);
        assert_eq!(after(|spec| spec["hosts"] = json!(["ratings"])), SPEC);
        assert_eq!(after(|spec| spec["gateways"] = json!(["edge"])), SPEC);
        assert_eq!(after(|spec| drop(spec["http"].as_array_mut().unwrap().remove(0))), SPEC);
        assert_eq!(after(|spec| spec["http"] = json!([])), BOTH);
        assert_eq!(after(|spec| spec["http"][1]["route"][1]["destination"]["host"] = json!("ratings")), BOTH);
        assert_eq!(after(|spec| *spec = json!(7)), BOTH);
    }

    #[test]
    fn what_others_added_and_other_words_for_the_same_are_no_drift() {
        assert_eq!(after(|spec| spec["tcp"] = json!([{"unknown": true}])), NONE);
        assert_eq!(after(|spec| spec["exportTo"] = json!(["*"])), NONE);
        assert_eq!(after(|spec| spec["hosts"] = json!(["reviews"])), NONE);
        assert_eq!(after(|spec| spec["gateways"] = json!(["mesh"])), NONE);
        assert_eq!(after(|spec| spec["http"][1]["route"][0]["destination"]["host"] = json!("reviews")), NONE);
    }

    #[test]
    fn law_06_an_answer_is_compared_with_what_was_meant_and_not_with_what_servers_set() {
        let routing = routing("default", "reviews", &["v1"]);
        let mut meant = live(virtual_service(&routing, &traffic(&[("v1", 100)])));
        meant["metadata"]["annotations"] = json!({"tidegate.dev/journal": "j"});
        let mut answer = meant.clone();
        answer["metadata"]["resourceVersion"] = json!("42");
        answer["metadata"]["labels"] = json!({"by": "an admission plug-in"});
        answer["status"] = json!({});
        assert!(matches_meant(&answer, &meant));
        for (path, value) in
            [("/spec/http/0/route/0/destination/subset", "v2"), ("/metadata/annotations/tidegate.dev~1journal", "")]
        {
            let mut other = answer.clone();
            *other.pointer_mut(path).unwrap() = json!(value);
            assert!(!matches_meant(&other, &meant), "{path}");
            let place = if path.starts_with("/spec") { path } else { "/metadata" };
            assert_eq!(altered_at(&other, &meant).as_deref(), Some(place));
        }
        let mut shorter = answer.clone();
        shorter["spec"]["http"] = json!([]);
        assert_eq!(altered_at(&shorter, &meant).as_deref(), Some("/spec/http/0"));
        assert_eq!(altered_at(&answer, &meant), None);
        assert!(!matches_meant(&Value::Null, &meant));
    }
}
