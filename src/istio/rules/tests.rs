//! Each rule of one object, by an object that breaks it alone and one that does not.

use serde_json::{Value, json};

use super::*;
use crate::plan::codes::*;

/// The codes and pointers of what is wrong with a VirtualService of this `spec`.
fn found(kind: &str, spec: Value) -> Vec<(&'static str, String)> {
    let object = json!({"apiVersion": "networking.istio.io/v1", "kind": kind,
        "metadata": {"name": "web", "namespace": "shop"}, "spec": spec});
    check(&object).into_iter().map(|found| (found.code, found.pointer)).collect()
}

/// What is wrong with a VirtualService of one route with these fields.
fn of_route(fields: Value) -> Vec<(&'static str, String)> {
    let mut route = json!({"route": [{"destination": {"host": "web"}}]});
    for (key, value) in fields.as_object().unwrap() {
        route[key] = value.clone();
    }
    found("VirtualService", json!({"hosts": ["web"], "http": [route]}))
}

fn at(code: &'static str, pointer: &str) -> Vec<(&'static str, String)> {
    vec![(code, pointer.to_owned())]
}

#[test]
fn a_good_object_of_each_kind_is_good() {
    assert_eq!(of_route(json!({"timeout": "10s", "match": [{"uri": {"prefix": "/a/"}}], "name": "a"})), []);
    let subset = |name: &str| json!({"name": name, "labels": {"version": name}});
    assert_eq!(found("DestinationRule", json!({"host": "web", "subsets": [subset("v1"), subset("v2")]})), []);
    let server = json!({"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]});
    assert_eq!(found("Gateway", json!({"servers": [server], "selector": {"istio": "ingressgateway"}})), []);
    let port = json!({"number": 443, "name": "https", "protocol": "TLS"});
    assert_eq!(found("ServiceEntry", json!({"hosts": ["a.example.com"], "ports": [port], "resolution": "DNS"})), []);
    assert_eq!(check(&json!({"apiVersion": "v1", "kind": "Service"})), []);
}

#[test]
fn types_are_checked_first_and_stand_for_what_follows() {
    assert_eq!(of_route(json!({"route": "web"})), at(IST0106, "/spec/http/0/route"));
    assert_eq!(of_route(json!({"timeout": 10})), at(IST0106, "/spec/http/0/timeout"));
    assert_eq!(of_route(json!({"rotue": []})), at(IST0133, "/spec/http/0/rotue"));
    assert_eq!(
        of_route(json!({"match": [{"uri": {"exact": "/", "prefix": "/"}}]})),
        at(IST0106, "/spec/http/0/match/0/uri")
    );
    assert_eq!(found("DestinationRule", json!({})), at(IST0106, "/spec"));
    assert_eq!(found("DestinationRule", json!({"host": "web", "exportTo": [null]})), at(IST0106, "/spec/exportTo/0"));
    let object = json!({"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": {"name": "a", "annotations": {"istio.io/dry-run": "true"}},
        "spec": {"servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}]}, "data": {}});
    let codes: Vec<_> = check(&object).into_iter().map(|found| found.pointer).collect();
    assert_eq!(codes, ["/data", "/metadata/annotations/istio.io~1dry-run"]);
}

#[test]
fn a_whole_number_may_have_a_fraction_of_0() {
    let leg = |weight: f64| json!({"destination": {"host": "web"}, "weight": weight});
    assert_eq!(of_route(json!({"route": [leg(90.0), leg(10.0)]})), []);
    assert_eq!(of_route(json!({"route": [leg(90.5), leg(9.5)]}))[0].0, IST0106);
    let pool = |pending: f64| json!({"host": "web", "trafficPolicy": {"connectionPool": {"http": {"http1MaxPendingRequests": pending}}}});
    assert_eq!(found("DestinationRule", pool(10.0)), []);
}

#[test]
fn weights_of_several_destinations_sum_to_100_and_a_single_one_has_none() {
    let legs = |weights: &[i64]| {
        let leg = |weight: &i64| json!({"destination": {"host": "web"}, "weight": weight});
        of_route(json!({"route": weights.iter().map(leg).collect::<Vec<_>>()}))
    };
    let route = "/spec/http/0/route";
    assert_eq!(legs(&[90, 10]), []);
    assert_eq!(legs(&[0, 0]), at(VS01, route));
    assert_eq!(legs(&[-1, 101]), at(VS02, "/spec/http/0/route/0/weight"));
    assert_eq!(legs(&[90, 30]), at(TG05, route));
    assert_eq!(legs(&[0]), at(TG04, "/spec/http/0/route/0/weight"));
    assert_eq!(legs(&[100]), []);
}

#[test]
fn the_host_of_everything_is_none_of_the_mesh() {
    let of = |gateways: Value| {
        let route = json!([{"route": [{"destination": {"host": "web"}}]}]);
        found("VirtualService", json!({"hosts": ["*"], "gateways": gateways, "http": route}))
    };
    assert_eq!(of(json!(["gw"])), []);
    assert_eq!(of(json!(["gw", "mesh"])), at(VS06, "/spec/hosts/0"));
    assert_eq!(of(json!([])), at(VS06, "/spec/hosts/0"));
    assert_eq!(of(json!(["a/b/c"])), at(VS08, "/spec/gateways/0"));
    assert_eq!(of(json!(["gw.istio-system"])), at(VS20, "/spec/gateways/0"));
}

#[test]
fn a_route_behind_one_that_takes_everything_is_never_reached() {
    let of = |first: Value| {
        let leg = json!([{"destination": {"host": "web"}}]);
        let header = json!([{"headers": {"qa": {"exact": "1"}}}]);
        let http = json!([{"match": first, "route": leg}, {"match": header, "route": leg}]);
        found("VirtualService", json!({"hosts": ["web"], "http": http}))
    };
    for everything in [json!([]), json!([{"uri": {"prefix": "/"}}]), json!([{"uri": {"regex": ".*"}}])] {
        assert_eq!(of(everything), at(TG01, "/spec/http/1"));
    }
    assert_eq!(of(json!([{"uri": {"prefix": "/a/"}}])), []);
    assert_eq!(of(json!([{"headers": {"qa": {"exact": "1"}}, "name": "x"}])), at(VS19, "/spec/http/1/match/0"));
}

#[test]
fn what_a_route_answers_by_is_one_thing() {
    assert_eq!(found("VirtualService", json!({"hosts": ["web"]})), at(VS03, "/spec"));
    assert_eq!(found("VirtualService", json!({"hosts": ["web"], "http": [{}]})), at(VS04, "/spec/http/0"));
    assert_eq!(of_route(json!({"redirect": {"uri": "/"}})), at(VS05, "/spec/http/0/route"));
    assert_eq!(of_route(json!({"delegate": {"name": "a"}})), at(VS09, "/spec/http/0/route"));
    assert_eq!(of_route(json!({"retries": {"attempts": 0, "perTryTimeout": "1s"}})), at(VS12, "/spec/http/0/retries"));
    assert_eq!(
        of_route(json!({"retries": {"attempts": 2, "retryOn": "5xx, 503"}})),
        at(VS12, "/spec/http/0/retries/retryOn")
    );
    assert_eq!(of_route(json!({"timeout": "0s"})), at(VS13, "/spec/http/0/timeout"));
    assert_eq!(of_route(json!({"rewrite": {}})), at(VS21, "/spec/http/0/rewrite"));
}

#[test]
fn faults_and_mirrors_have_percentages() {
    let abort = "/spec/http/0/fault/abort";
    let of = |abort: Value| of_route(json!({"fault": {"abort": abort}}));
    assert_eq!(of(json!({"httpStatus": 503, "percentage": {"value": 5}})), []);
    assert_eq!(of(json!({"httpStatus": 503})), at(TG06, abort));
    assert_eq!(of(json!({"httpStatus": 99, "percentage": {"value": 5}})), at(VS11, &format!("{abort}/httpStatus")));
    assert_eq!(
        of(json!({"httpStatus": 503, "percentage": {"value": 0.00001}})),
        at(VS11, &format!("{abort}/percentage"))
    );
    assert_eq!(of(json!({"percentage": {"value": 5}})), at(VS22, abort));
    assert_eq!(of_route(json!({"fault": {}})), at(VS11, "/spec/http/0/fault"));
    let mirror = json!({"mirror": {"host": "web"}, "mirrorPercentage": {"value": 101}});
    assert_eq!(of_route(mirror), at(VS10, "/spec/http/0/mirrorPercentage"));
    assert_eq!(of_route(json!({"mirror": {"host": "web"}})), at(TG16, "/spec/http/0/mirror"));
}

#[test]
fn matches_are_of_good_form() {
    let of = |block: Value| of_route(json!({"match": [block]}));
    let block = "/spec/http/0/match/0";
    assert_eq!(of(json!({"headers": {"x": {}}})), []);
    assert_eq!(of(json!({"headers": {"x": {"regex": "(?=a)"}}})), at(VS15, &format!("{block}/headers/x/regex")));
    assert_eq!(of(json!({"headers": {"x y": {"exact": "a"}}})), at(VS14, &format!("{block}/headers/x y")));
    assert_eq!(of(json!({"method": {"prefix": ""}})), at(VS15, &format!("{block}/method/prefix")));
    assert_eq!(of(json!({"port": 70_000})), at(VS08, &format!("{block}/port")));
    assert_eq!(
        of(json!({"sourceLabels": {"a": "b"}, "gateways": ["mesh"]})),
        at(TG07, &format!("{block}/sourceLabels"))
    );
    assert_eq!(of(json!({"uri": {"prefix": "/a"}})), at(TG20, &format!("{block}/uri/prefix")));
    let claim = "@request.auth.claims.sub";
    assert_eq!(of(json!({"headers": {claim: {"exact": "a"}}})), at(VS16, &format!("{block}/headers/{claim}")));
}

#[test]
fn tls_routes_are_told_apart_by_hosts_of_theirs() {
    let of = |hosts: Value| {
        let tls = json!([{"match": [{"sniHosts": hosts}], "route": [{"destination": {"host": "web"}}]}]);
        found("VirtualService", json!({"hosts": ["*.example.com", "10.0.0.1"], "tls": tls}))
    };
    assert_eq!(of(json!(["a.example.com", "*.b.example.com"])), []);
    assert_eq!(of(json!(["a.example.org"])), at(VS18, "/spec/tls/0/match/0/sniHosts/0"));
    assert_eq!(of(json!([])), at(VS18, "/spec/tls/0/match/0"));
    assert_eq!(of(json!(["10.0.0.1"])), at(VS22, "/spec/tls/0/match/0/sniHosts/0"));
}

#[test]
fn names_and_visibility_are_of_good_form() {
    let destination = |destination: Value| of_route(json!({"route": [{"destination": destination}]}));
    let place = "/spec/http/0/route/0/destination";
    assert_eq!(destination(json!({"host": "*"})), at(VS08, &format!("{place}/host")));
    assert_eq!(destination(json!({"host": "web", "subset": "v_1"})), at(VS08, &format!("{place}/subset")));
    assert_eq!(destination(json!({"host": "web", "port": {"number": 0}})), at(VS08, &format!("{place}/port")));
    assert_eq!(destination(json!({"host": "web.shop"})), at(TG08, &format!("{place}/host")));
    let rule = |export: Value| found("DestinationRule", json!({"host": "web", "exportTo": export}));
    assert_eq!(rule(json!([".", "shop"])), at(VS17, "/spec/exportTo/1"));
    assert_eq!(rule(json!(["~"])), at(VS17, "/spec/exportTo/0"));
    assert_eq!(rule(json!([".", "other"])), []);
}

#[test]
fn subsets_select_pods_of_their_own() {
    let of = |subsets: Value| found("DestinationRule", json!({"host": "web", "subsets": subsets}));
    let one = json!({"name": "v1", "labels": {"version": "v1"}});
    assert_eq!(of(json!([{"name": "v1"}])), at(TG02, "/spec/subsets/0"));
    assert_eq!(of(json!([one, one])), [(DR01, "/spec/subsets/1/name".into()), (TG03, "/spec/subsets/1".into())]);
    let wider = json!({"name": "v2", "labels": {"version": "v1", "track": "a"}});
    assert_eq!(of(json!([one, wider])), at(TG03, "/spec/subsets/1"));
}

#[test]
fn traffic_policies_are_whole() {
    let of = |policy: Value| found("DestinationRule", json!({"host": "web", "trafficPolicy": policy}));
    let place = "/spec/trafficPolicy";
    assert_eq!(of(json!({})), at(DR02, place));
    assert_eq!(
        of(json!({"portLevelSettings": [{"tls": {"mode": "DISABLE"}}]})),
        at(DR02, &format!("{place}/portLevelSettings/0"))
    );
    let outliers = |outliers: Value| of(json!({"outlierDetection": outliers}));
    assert_eq!(
        outliers(json!({"maxEjectionPercent": 101})),
        at(DR03, &format!("{place}/outlierDetection/maxEjectionPercent"))
    );
    assert_eq!(
        outliers(json!({"consecutiveErrors": 1})),
        at(DR07, &format!("{place}/outlierDetection/consecutiveErrors"))
    );
    let maglev = json!({"loadBalancer": {"consistentHash": {"httpHeaderName": "x", "maglev": {"tableSize": 4}}}});
    assert_eq!(of(maglev), at(DR04, &format!("{place}/loadBalancer/consistentHash/maglev")));
    let locality =
        json!({"loadBalancer": {"localityLbSetting": {"distribute": [{"from": "a", "to": {"b": 60, "c": 30}}]}}});
    assert_eq!(of(locality), at(DR05, &format!("{place}/loadBalancer/localityLbSetting/distribute/0")));
    assert_eq!(
        of(json!({"tls": {"mode": "MUTUAL", "privateKey": "k", "caCertificates": "c"}})),
        at(DR06, &format!("{place}/tls"))
    );
    assert_eq!(of(json!({"tls": {"mode": "ISTIO_MUTUAL"}})), []);
}

#[test]
fn gateways_and_service_entries_are_whole() {
    let server = |port: Value, more: Value| {
        let mut server = json!({"port": port, "hosts": ["a.example.com"]});
        for (key, value) in more.as_object().unwrap() {
            server[key] = value.clone();
        }
        found("Gateway", json!({"servers": [server]}))
    };
    let http = json!({"number": 80, "name": "http", "protocol": "HTTP"});
    let https = json!({"number": 443, "name": "https", "protocol": "HTTPS"});
    assert_eq!(server(http.clone(), json!({"hosts": ["web"]})), at(GW01, "/spec/servers/0/hosts/0"));
    assert_eq!(
        server(http, json!({"tls": {"mode": "SIMPLE", "credentialName": "c"}})),
        at(GW01, "/spec/servers/0/tls")
    );
    assert_eq!(server(https.clone(), json!({})), at(GW01, "/spec/servers/0"));
    assert_eq!(
        server(https, json!({"tls": {"mode": "PASSTHROUGH", "credentialName": "c"}})),
        at(GW02, "/spec/servers/0/tls")
    );
    let entry = |resolution: &str, more: Value| {
        let mut spec = json!({"hosts": ["a.example.com"], "resolution": resolution,
            "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}]});
        for (key, value) in more.as_object().unwrap() {
            spec[key] = value.clone();
        }
        found("ServiceEntry", spec)
    };
    assert_eq!(entry("NONE", json!({"endpoints": [{"address": "1.1.1.1"}]})), at(SE01, "/spec/endpoints"));
    assert_eq!(entry("STATIC", json!({"endpoints": [{"address": "a.b"}]})), at(SE01, "/spec/endpoints/0"));
    assert_eq!(entry("DNS", json!({"hosts": ["*.example.com"]})), at(SE01, "/spec/hosts/0"));
    assert_eq!(entry("STATIC", json!({"hosts": ["*a.example.com"]})), at(SE02, "/spec/hosts/0"));
}
