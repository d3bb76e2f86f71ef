//! Each rule between objects, offline and with everything known.

mod beyond;
mod proxies;

use serde_json::{Value, json};

use super::*;
use crate::plan::codes::*;

const ALL: Known = Known { routes: true, rules: true, gateways: true, hosts: true, workloads: true };
const NOTHING: Known = Known { routes: false, rules: false, gateways: false, hosts: false, workloads: false };

fn object(kind: &str, namespace: &str, name: &str, spec: Value) -> Value {
    json!({"kind": kind, "metadata": {"namespace": namespace, "name": name}, "spec": spec})
}

/// A VirtualService that sends everything to subset v1 of `web`, 90 % to be exact.
fn route(more: Value) -> Value {
    let leg = |subset: &str, weight: u8| json!({"destination": {"host": "web", "subset": subset}, "weight": weight});
    let mut spec = json!({"hosts": ["web"], "http": [{"route": [leg("v1", 90), leg("v2", 10)]}]});
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    object("VirtualService", "shop", "web", spec)
}

fn rule(namespace: &str, name: &str, host: &str, subsets: &[&str]) -> Value {
    let subset = |name: &&str| json!({"name": name, "labels": {"version": name}});
    object(
        "DestinationRule",
        namespace,
        name,
        json!({"host": host, "subsets": subsets.iter().map(subset).collect::<Vec<_>>()}),
    )
}

fn service(ports: Value, selector: Value) -> Value {
    object("Service", "shop", "web", json!({"ports": ports, "selector": selector}))
}

fn good_service() -> Value {
    service(json!([{"port": 80, "name": "http"}]), json!({"app": "web"}))
}

fn pods() -> Vec<Value> {
    let pod = |version: &str| json!({"kind": "Pod", "metadata": {"namespace": "shop", "name": version, "labels": {"app": "web", "version": version}}});
    vec![pod("v1"), pod("v2")]
}

fn gateway(namespace: &str, name: &str, host: &str) -> Value {
    let server = json!({"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": [host]});
    object("Gateway", namespace, name, json!({"selector": {"istio": "in"}, "servers": [server]}))
}

/// What is found about the first, which is ours, beside the others, which are not.
fn found(own: Value, others: Vec<Value>, known: Known) -> Vec<(&'static str, String)> {
    let members: Vec<Member<'_>> = std::iter::once(Member { object: &own, whose: Whose::Written })
        .chain(others.iter().map(|object| Member { object, whose: Whose::Other }))
        .collect();
    let found = check_across(&members, known);
    assert!(found.iter().all(|(member, _)| *member == 0), "{found:?}");
    found.into_iter().map(|(_, found)| (found.code, found.pointer)).collect()
}

fn codes(own: Value, others: Vec<Value>, known: Known) -> Vec<&'static str> {
    found(own, others, known).into_iter().map(|(code, _)| code).collect()
}

fn with(more: Vec<Value>) -> Vec<Value> {
    [vec![good_service(), rule("shop", "web", "web", &["v1", "v2"])], pods(), more].concat()
}

#[test]
fn what_is_there_is_good_and_what_nobody_showed_is_not_missed() {
    assert_eq!(found(route(json!({})), with(vec![]), ALL), []);
    assert_eq!(found(route(json!({"gateways": ["mesh", "gw"]})), vec![], NOTHING), []);
}

#[test]
fn a_subset_that_no_rule_has_is_missed() {
    let legs = [("/spec/http/0/route/1/destination/subset", IST0101)];
    let only_v1 = vec![rule("shop", "web", "web.shop.svc.cluster.local", &["v1"])];
    for known in [NOTHING, Known { rules: true, ..NOTHING }] {
        let found = found(route(json!({})), only_v1.clone(), known);
        assert_eq!(found, legs.map(|(pointer, code)| (code, pointer.to_owned())));
    }
    assert_eq!(codes(route(json!({})), vec![], Known { rules: true, ..NOTHING }), [IST0101, IST0101]);
}

#[test]
fn a_host_or_port_that_is_not_there_is_missed() {
    let rules = vec![rule("shop", "web", "web", &["v1", "v2"])];
    assert_eq!(codes(route(json!({})), rules.clone(), ALL), [IST0101, IST0101]);
    let of = |ports: Value| codes(route(json!({})), [rules.clone(), vec![service(ports, json!({}))]].concat(), NOTHING);
    assert_eq!(of(json!([{"port": 80, "name": "http-web"}])), [""; 0]);
    assert_eq!(of(json!([{"port": 80}])), [IST0118, IST0118]);
    assert_eq!(of(json!([{"port": 80, "appProtocol": "http"}])), [""; 0]);
    assert_eq!(of(json!([{"port": 80, "name": "http"}, {"port": 81, "name": "tcp"}])), [IST0112, IST0112]);
    let leg = json!([{"route": [{"destination": {"host": "web", "port": {"number": 81}}}]}]);
    assert_eq!(codes(route(json!({"http": leg})), vec![good_service()], NOTHING), [IST0101]);
    assert_eq!(codes(rule("shop", "web", "web", &["v1"]), vec![], ALL), [IST0174]);
}

#[test]
fn a_gateway_is_there_is_named_in_full_and_has_the_host() {
    let of =
        |gateways: Value, others: Vec<Value>, known: Known| codes(route(json!({"gateways": gateways})), others, known);
    let known = Known { gateways: true, ..NOTHING };
    assert_eq!(of(json!(["edge/gw"]), vec![], known), [IST0101]);
    assert_eq!(of(json!(["gw"]), vec![gateway("edge", "gw", "*")], NOTHING), [TG18]);
    assert_eq!(of(json!(["edge/gw"]), vec![gateway("edge", "gw", "*")], NOTHING), [""; 0]);
    let other = vec![gateway("edge", "gw", "www.example.com")];
    assert_eq!(
        found(route(json!({"gateways": ["edge/gw"]})), other.clone(), NOTHING),
        [(IST0132, "/spec/hosts/0".to_owned())]
    );
    assert_eq!(
        found(route(json!({"gateways": ["mesh", "edge/gw"]})), other.clone(), NOTHING),
        [(IST0132, "/spec/gateways/1".to_owned())]
    );
    let both = json!({"gateways": ["mesh", "edge/gw"], "hosts": ["web", "www.example.com"]});
    assert_eq!(codes(route(both), other, NOTHING), [""; 0]);
    assert_eq!(of(json!(["edge/gw"]), vec![gateway("edge", "gw", "other/*")], NOTHING), [IST0132]);
    assert_eq!(of(json!(["edge/gw"]), vec![gateway("edge", "gw", "shop/*")], NOTHING), [""; 0]);
}

#[test]
fn a_route_is_seen_where_its_gateway_runs() {
    let of = |export: Value, others: Vec<Value>, known: Known| {
        codes(route(json!({"gateways": ["edge/gw"], "exportTo": export})), others, known)
    };
    assert_eq!(of(json!(["."]), vec![], NOTHING), [TG17]);
    assert_eq!(of(json!([".", "edge"]), vec![], NOTHING), [""; 0]);
    let pod =
        json!({"kind": "Pod", "metadata": {"namespace": "istio-system", "name": "in", "labels": {"istio": "in"}}});
    let known = Known { workloads: true, ..NOTHING };
    assert_eq!(of(json!([".", "edge"]), vec![gateway("edge", "gw", "*"), pod.clone()], known), [TG17]);
    assert_eq!(of(json!([".", "istio-system"]), vec![gateway("edge", "gw", "*"), pod.clone()], known), [""; 0]);
    assert_eq!(codes(gateway("shop", "gw", "*"), vec![pod], known), [""; 0]);
    assert_eq!(codes(gateway("shop", "gw", "*"), vec![], known), [IST0101]);
    assert_eq!(codes(gateway("shop", "gw", "a.b"), vec![gateway("edge", "gw", "a.b")], NOTHING), [IST0145]);
    assert_eq!(codes(gateway("shop", "gw", "a.b"), vec![gateway("edge", "gw", "c.b")], NOTHING), [""; 0]);
}

#[test]
fn a_host_in_the_mesh_is_of_one_route() {
    let mut other = route(json!({}));
    other["metadata"]["name"] = json!("old");
    assert_eq!(found(route(json!({})), with(vec![other.clone()]), ALL), [(IST0109, "/spec/hosts/0".to_owned())]);
    other["spec"]["exportTo"] = json!(["elsewhere"]);
    assert_eq!(codes(route(json!({"exportTo": ["."]})), with(vec![other.clone()]), ALL), [""; 0]);
    other["spec"]["gateways"] = json!(["edge/gw"]);
    assert_eq!(codes(route(json!({})), with(vec![other.clone()]), Known { gateways: false, ..ALL }), [""; 0]);
    other["spec"]["http"] = json!([{"route": [{"destination": {"host": "web"}}]}]);
    assert_eq!(codes(route(json!({})), with(vec![other]), Known { gateways: false, ..ALL }), [IST0140]);
    let known = Known { gateways: false, ..ALL };
    assert_eq!(codes(route(json!({"gateways": ["edge/gw"]})), with(vec![]), known), [TG12]);
}

#[test]
fn a_rule_in_the_callers_namespace_must_have_the_subsets() {
    let host = "web.shop.svc.cluster.local";
    let there = rule("client", "web", host, &["v1"]);
    let subset = "/spec/http/0/route/1/destination/subset".to_owned();
    assert_eq!(found(route(json!({})), with(vec![there.clone()]), ALL), [(TG10, subset)]);
    assert_eq!(codes(route(json!({})), with(vec![rule("client", "web", host, &["v1", "v2"])]), ALL), [""; 0]);
    // Seen from the other side: the foreign rule is the one that is written here.
    let others = with(vec![route(json!({}))]);
    assert_eq!(found(there, others, ALL), [(TG10, "/spec/host".to_owned())]);
}

#[test]
fn versions_have_pods_that_the_service_selects() {
    let rules = rule("shop", "web", "web", &["v1", "v2"]);
    let pinned = service(json!([{"port": 80, "name": "http"}]), json!({"app": "web", "version": "v1"}));
    let subset = |leg: u8| format!("/spec/http/0/route/{leg}/destination/subset");
    assert_eq!(found(route(json!({})), vec![rules.clone(), pinned], NOTHING), [(TG14, subset(1))]);
    let only_v1 = vec![rules, good_service(), pods().remove(0)];
    assert_eq!(found(route(json!({})), only_v1.clone(), ALL), [(IST0173, subset(1))]);
    let mut by_place = only_v1;
    by_place[0]["spec"]["subsets"][1]["labels"] = json!({"topology.istio.io/cluster": "west"});
    assert_eq!(found(route(json!({})), by_place, ALL), [], "no pod has the labels that Istio gives to endpoints");
}

#[test]
fn outlier_detection_leaves_a_version_with_pods() {
    let mut rules = rule("shop", "web", "web", &["v1", "v2"]);
    rules["spec"]["subsets"][1]["trafficPolicy"] = json!({"outlierDetection": {"interval": "1s"}});
    let others = [vec![rules, good_service()], pods()].concat();
    let subset = "/spec/http/0/route/1/destination/subset".to_owned();
    assert_eq!(found(route(json!({})), others, ALL), [(TG15, subset)]);
}

#[test]
fn a_port_of_a_gateway_is_one_of_its_service() {
    let pod =
        json!({"kind": "Pod", "metadata": {"namespace": "edge", "name": "in", "labels": {"istio": "in", "app": "in"}}});
    let of = |ports: Value| {
        let service = object("Service", "edge", "in", json!({"selector": {"app": "in"}, "ports": ports}));
        found(gateway("edge", "gw", "*"), vec![pod.clone(), service], ALL)
    };
    assert_eq!(of(json!([{"port": 80, "targetPort": 8080}])), []);
    assert_eq!(of(json!([{"port": 8000, "targetPort": 80}])), []);
    assert_eq!(of(json!([{"port": 443}])), [(IST0162, "/spec/servers/0/port/number".to_owned())]);
}
