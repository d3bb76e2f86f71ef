//! Whether a live object sends callers past the versions of its routing, or nowhere: what no fight may leave standing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    desired::{self, Rule, rules},
    diff::{RouteDifference, differing_fields, route_difference, subset_of},
    json::items,
    lens::{self, is_host, spec},
};
use crate::plan::{Routing, VersionName};

/// Whether a live VirtualService loses callers or sends them elsewhere than to versions of the routing by weight: a
/// host, a gateway or a route is missing, a pin leads elsewhere, or a destination is none of the Service's subsets.
pub fn route_strays(live: &Value, routing: &Routing) -> bool {
    let hosts: BTreeSet<_> = lens::hosts(live).into_iter().collect();
    let gateways: BTreeSet<_> = lens::gateways(live).into_iter().collect();
    let gateway = |written: &&str| lens::gateway(written, &routing.namespace);
    if !desired::hosts(routing).iter().all(|host| hosts.contains(host))
        || !desired::gateways(routing).iter().map(|written| gateway(&&**written)).all(|name| gateways.contains(&name))
    {
        return true;
    }
    let rules = rules(routing);
    let pins: BTreeMap<&str, &Rule<'_>> =
        rules.iter().filter(|rule| rule.is_pin()).map(|rule| (rule.name.as_ref(), rule)).collect();
    let namespace = lens::namespace(live);
    let mut routes = 0;
    for entry in items(spec(live, "http")) {
        if let Some(pin) = entry.get("name").and_then(Value::as_str).and_then(|name| pins.get(name)) {
            let same = matches!(route_difference(entry, pin, &[], routing, namespace), RouteDifference::None);
            if !same || differing_fields(entry, pin).any(|field| field == "match") {
                return true;
            }
            continue;
        }
        let destinations = items(entry.get("route"));
        if destinations.is_empty() || destinations.iter().any(|one| subset_of(one, routing, namespace).is_none()) {
            return true;
        }
        routes += 1;
    }
    routes < rules.len() - pins.len()
}

/// Whether a live DestinationRule is for another host, or lacks one of these versions as the routing selects it: then
/// requests to it fail, or reach other pods.
pub fn subsets_stray(live: &Value, routing: &Routing, reached: &BTreeSet<&VersionName>) -> bool {
    let host = spec(live, "host").and_then(Value::as_str);
    if !host.is_some_and(|host| is_host(host, lens::namespace(live), &routing.service)) {
        return true;
    }
    let subsets = items(spec(live, "subsets"));
    routing.versions.iter().filter(|version| reached.contains(&version.name)).any(|version| {
        // Istio takes the first of two of a name.
        let live = subsets.iter().find(|live| live.get("name").and_then(Value::as_str) == Some(version.name.as_str()));
        let labels = live.and_then(|live| live.get("labels")?.as_object());
        labels.is_none_or(|labels| {
            labels.len() != version.labels.len()
                || version.labels.iter().any(|(key, value)| labels.get(key).and_then(Value::as_str) != Some(value))
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::istio::{destination_rule, fixtures, virtual_service};

    fn route(change: impl FnOnce(&mut Value)) -> bool {
        let mut routing = fixtures::routing("default", "reviews", &["v1", "v2"]);
        routing.pins.push(fixtures::pin("qa", json!([{"headers": {"qa": {"exact": "yes"}}}]), "v2"));
        let mut live = virtual_service(&routing, &fixtures::traffic(&[("v1", 90), ("v2", 10)]));
        change(&mut live["spec"]);
        route_strays(&live, &routing)
    }

    #[test]
    fn what_leaves_callers_with_the_versions_by_weight_does_not_stray() {
        assert!(!route(|_| ()));
        assert!(!route(|spec| spec["http"][1]["timeout"] = json!("1s")));
        assert!(!route(|spec| spec["http"][1]["route"][0]["weight"] = json!(1)), "weights are compared elsewhere");
        assert!(!route(|spec| spec["hosts"].as_array_mut().unwrap().push(json!("more.example.com"))));
        assert!(!route(|spec| drop(spec["http"].as_array_mut().unwrap().remove(0))), "a pin alone is gone");
    }

    #[test]
    fn what_loses_callers_or_leads_them_elsewhere_strays() {
        assert!(route(|spec| spec["hosts"] = json!(["other"])));
        assert!(route(|spec| spec["gateways"] = json!(["edge"])));
        assert!(route(|spec| spec["http"] = json!([])));
        assert!(route(|spec| drop(spec["http"].as_array_mut().unwrap().remove(1))));
        assert!(route(|spec| spec["http"][0]["match"] = json!([])), "the pin takes everybody");
        assert!(route(|spec| spec["http"][0]["route"][0]["destination"]["subset"] = json!("v1")));
        assert!(route(|spec| spec["http"][1]["route"] = json!([{"destination": {"host": "reviews"}}])));
        assert!(route(|spec| spec["http"][1]["route"][0]["destination"]["host"] = json!("ratings")));
        assert!(route(|spec| spec["http"][1] = json!({"redirect": {"authority": "elsewhere"}})));
        assert!(route(|spec| *spec = json!(7)));
    }

    #[test]
    fn a_reached_subset_that_is_missing_or_selects_others_strays() {
        let routing = fixtures::routing("default", "reviews", &["v1", "v2"]);
        let (v1, v2) = (VersionName::new("v1"), VersionName::new("v2"));
        let strays = |change: &dyn Fn(&mut Value), reached: &[&VersionName]| {
            let mut live = destination_rule(&routing, &routing.versions);
            change(&mut live["spec"]);
            subsets_stray(&live, &routing, &reached.iter().copied().collect())
        };
        let both = [&v1, &v2];
        assert!(!strays(&|_| (), &both));
        assert!(!strays(&|spec| spec["trafficPolicy"] = json!({"tls": {"mode": "DISABLE"}}), &both));
        let cut = |spec: &mut Value| drop(spec["subsets"].as_array_mut().unwrap().pop());
        assert!(strays(&cut, &both) && !strays(&cut, &[&v1]));
        assert!(strays(&|spec| spec["subsets"][0]["labels"]["more"] = json!("1"), &both));
        assert!(strays(&|spec| spec["subsets"][0]["labels"] = json!({"version": "v9"}), &both));
        assert!(strays(&|spec| spec["host"] = json!("ratings"), &both));
    }
}
