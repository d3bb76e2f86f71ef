//! Rules about proxies, Sidecars, policies, certificates and the control plane.

use super::*;

fn namespace(labels: Value) -> Value {
    json!({"kind": "Namespace", "metadata": {"name": "shop", "labels": labels}})
}

/// A pod of `web` with these containers.
fn pod(name: &str, containers: &[&str]) -> Value {
    let containers: Vec<Value> = containers.iter().map(|name| json!({"name": name})).collect();
    json!({"kind": "Pod", "metadata": {"namespace": "shop", "name": name, "labels": {"app": "web", "version": name}},
        "spec": {"containers": containers}})
}

fn sidecar(name: &str, selector: Option<Value>) -> Value {
    let spec = selector.map_or_else(|| json!({}), |labels| json!({"workloadSelector": {"labels": labels}}));
    object("Sidecar", "shop", name, spec)
}

fn beside(more: Vec<Value>) -> Vec<Value> {
    [vec![good_service(), rule("shop", "web", "web", &["v1", "v2"])], more].concat()
}

#[test]
fn what_pods_without_a_proxy_call_is_split_by_nobody() {
    let bare = || vec![pod("v1", &["main", "istio-proxy"]), pod("v2", &["main"])];
    let of = |labels: Value, pods: Vec<Value>| {
        found(route(json!({})), beside([vec![namespace(labels)], pods].concat()), NOTHING)
    };
    let at = "/spec/http/0/route/0/destination".to_owned();
    assert_eq!(of(json!({}), bare()), [(IST0102, at.clone())]);
    for enabled in [json!({"istio-injection": "enabled"}), json!({"istio.io/rev": "stable"})] {
        assert_eq!(of(enabled, bare()), [(IST0103, at.clone())]);
    }
    for on_purpose in [json!({"istio-injection": "disabled"}), json!({"istio.io/dataplane-mode": "ambient"})] {
        assert_eq!(of(on_purpose, bare()), []);
    }
    let mut excused = pod("v2", &["main"]);
    excused["metadata"]["annotations"] = json!({"sidecar.istio.io/inject": "false"});
    let mut native = pod("v1", &["main"]);
    native["spec"]["initContainers"] = json!([{"name": "istio-proxy"}]);
    assert_eq!(of(json!({}), vec![native, excused]), []);
    assert_eq!(found(route(json!({})), beside(bare()), NOTHING), [], "nobody showed the namespace");
    let at_a_gateway = route(json!({"gateways": ["edge/gw"]}));
    assert_eq!(found(at_a_gateway, beside([vec![namespace(json!({}))], bare()].concat()), NOTHING), []);
}

#[test]
fn a_pod_has_one_sidecar_resource() {
    let whole = || sidecar("all", None);
    let other = sidecar("other", None);
    assert_eq!(codes(whole(), vec![other.clone()], NOTHING), [IST0111]);
    assert_eq!(codes(whole(), vec![object("Sidecar", "elsewhere", "other", json!({}))], NOTHING), [""; 0]);
    assert_eq!(codes(whole(), vec![sidecar("some", Some(json!({"app": "web"})))], NOTHING), [""; 0]);
    let some = || sidecar("some", Some(json!({"app": "web"})));
    let v1 = sidecar("v1", Some(json!({"version": "v1"})));
    let at = "/spec/workloadSelector".to_owned();
    assert_eq!(found(some(), vec![v1.clone(), pod("v1", &[])], NOTHING), [(IST0110, at)]);
    assert_eq!(codes(some(), vec![v1.clone(), pod("v2", &[])], NOTHING), [""; 0], "no pod is of both");
    assert_eq!(codes(some(), vec![v1], NOTHING), [""; 0], "nobody showed a pod");
}

#[test]
fn a_sidecar_resource_does_nothing_without_sidecars() {
    let ambient = namespace(json!({"istio.io/dataplane-mode": "ambient"}));
    assert_eq!(codes(sidecar("all", None), vec![ambient, sidecar("other", None)], NOTHING), [IST0167]);
    let mut moved = pod("v1", &["main"]);
    moved["metadata"]["annotations"] = json!({"ambient.istio.io/redirection": "enabled"});
    let some = sidecar("some", Some(json!({"app": "web"})));
    assert_eq!(codes(some, vec![moved, pod("v2", &["main"])], NOTHING), [IST0167]);
}

#[test]
fn a_policy_of_a_kubernetes_gateway_names_it() {
    let label = "gateway.networking.k8s.io/gateway-name";
    let policy = |spec: Value| object("AuthorizationPolicy", "shop", "in", spec);
    let by_label = json!({"selector": {"matchLabels": {label: "in"}}});
    assert_eq!(found(policy(by_label), vec![], NOTHING), [(IST0166, "/spec/selector".to_owned())]);
    let by_app = || json!({"selector": {"matchLabels": {"app": "in"}}});
    let pods =
        |labels: Value| vec![json!({"kind": "Pod", "metadata": {"namespace": "shop", "name": "in", "labels": labels}})];
    assert_eq!(codes(policy(by_app()), pods(json!({"app": "in", label: "in"})), NOTHING), [IST0166]);
    assert_eq!(codes(policy(by_app()), pods(json!({"app": "in"})), NOTHING), [""; 0]);
    let mut named = by_app();
    named["targetRefs"] = json!([{"kind": "Gateway", "name": "in"}]);
    assert_eq!(codes(policy(named), pods(json!({"app": "in", label: "in"})), NOTHING), [""; 0]);
}

#[test]
fn gateways_of_the_same_pods_have_certificates_of_their_own() {
    let secure = |name: &str, host: &str, selector: Value, tls: Value| {
        let server =
            json!({"port": {"number": 443, "name": "https", "protocol": "HTTPS"}, "hosts": [host], "tls": tls});
        object("Gateway", "shop", name, json!({"selector": selector, "servers": [server]}))
    };
    let credential = |name: &str| json!({"mode": "SIMPLE", "credentialName": name});
    let own = || secure("a", "a.example.com", json!({"istio": "in"}), credential("wild"));
    let at = "/spec/servers/0/tls".to_owned();
    let of = |selector: Value, tls: Value| found(own(), vec![secure("b", "b.example.com", selector, tls)], NOTHING);
    assert_eq!(of(json!({"istio": "in"}), credential("wild")), [(IST0138, at.clone())]);
    assert_eq!(of(json!({"istio": "in", "app": "in"}), credential("wild")), [(IST0138, at)]);
    assert_eq!(of(json!({"istio": "out"}), credential("wild")), []);
    assert_eq!(of(json!({"istio": "in"}), credential("other")), []);
    let files = json!({"mode": "SIMPLE", "serverCertificate": "/a", "privateKey": "/b"});
    assert_eq!(of(json!({"istio": "in"}), files), []);
}

#[test]
fn an_object_is_for_a_revision_that_runs() {
    let istiod = |revision: &str| json!({"kind": "Pod", "metadata": {"namespace": "istio-system", "name": revision, "labels": {"app": "istiod", "istio.io/rev": revision}}});
    let mut own = gateway("shop", "gw", "a.b");
    own["metadata"]["labels"] = json!({"istio.io/rev": "canary"});
    let at = "/metadata/labels/istio.io~1rev".to_owned();
    assert_eq!(found(own.clone(), vec![istiod("default")], NOTHING), [(TG21, at)]);
    assert_eq!(codes(own.clone(), vec![istiod("default"), istiod("canary")], NOTHING), [""; 0]);
    assert_eq!(codes(own, vec![], NOTHING), [""; 0], "no istiod is known");
    assert_eq!(codes(gateway("shop", "gw", "a.b"), vec![istiod("default")], NOTHING), [""; 0]);
}

#[test]
fn versions_in_other_clusters_are_not_of_a_host_that_stays_in_its_own() {
    let mesh = |host: &str, local: bool| {
        let settings = json!([{"settings": {"clusterLocal": local}, "hosts": [host]}]);
        object("MeshConfig", "istio-system", "istio", json!({"serviceSettings": settings}))
    };
    let mut split = rule("shop", "web", "web", &["v1", "v2"]);
    split["spec"]["subsets"][1]["labels"]["topology.istio.io/cluster"] = json!("west");
    let of = |mesh: Value, rule: &Value| found(route(json!({})), vec![good_service(), rule.clone(), mesh], NOTHING);
    let at = "/spec/http/0/route/1/destination/subset".to_owned();
    for host in ["*.shop.svc.cluster.local", "web.shop.svc.cluster.local", "*"] {
        assert_eq!(of(mesh(host, true), &split), [(TG19, at.clone())], "{host}");
    }
    assert_eq!(of(mesh("*.other.svc.cluster.local", true), &split), []);
    assert_eq!(of(mesh("*", false), &split), []);
    assert_eq!(of(mesh("*", true), &rule("shop", "web", "web", &["v1", "v2"])), []);
}
