//! What `check` says of proxies, Sidecars, policies, certificates and the control plane, alone and beside a cluster.

use serde_json::{Value, json};

use crate::bed::{Bed, plan};
use crate::istio::{beside, check, is_told};

/// An Istio object in a file.
fn file(kind: &str, name: &str, spec: &str) -> String {
    let group = if kind.ends_with("Policy") { "security" } else { "networking" };
    format!(
        "apiVersion: {group}.istio.io/v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  {spec}\n"
    )
}

/// A Gateway that serves a host with the certificate `wild`.
fn secure(name: &str, host: &str) -> String {
    let tls = "tls: {mode: SIMPLE, credentialName: wild}";
    let server = format!("- port: {{number: 443, name: https, protocol: HTTPS}}\n      hosts: [{host}]\n      {tls}");
    file("Gateway", name, &format!("selector: {{istio: in}}\n  servers:\n    {server}"))
}

fn put(bed: &Bed, object: Value) {
    bed.store().put(object).unwrap();
}

/// Holds that these files are told of just this code, beside what is live, and that it is a warning or not.
async fn only(bed: &Bed, files: &[String], code: &str, place: (usize, usize, usize), warning: bool) {
    let (answer, findings) = beside(bed, files).await;
    assert_eq!((findings.len(), answer.code), (1, i32::from(!warning)), "{findings:#?}");
    is_told(&findings, code, place);
}

#[tokio::test]
async fn what_the_files_alone_tell() {
    let home = tempfile::tempdir().unwrap();
    let sidecar = |name: &str| file("Sidecar", name, "egress: [{hosts: [\"./*\"]}]");
    let selector = "selector: {matchLabels: {gateway.networking.k8s.io/gateway-name: in}}\n  rules: [{}]";
    for (files, code, places) in [
        (vec![sidecar("a"), sidecar("b")], "IST0111", vec![(0, 4, 1), (1, 4, 1)]),
        (vec![secure("a", "a.example.com"), secure("b", "b.example.com")], "IST0138", vec![(0, 9, 7), (1, 9, 7)]),
        (vec![file("AuthorizationPolicy", "in", selector)], "IST0166", vec![(0, 5, 3)]),
    ] {
        let (answer, findings) = check(home.path(), &files, &[]).await;
        assert_eq!((answer.code, findings.len()), (0, places.len()), "{findings:#?}");
        places.into_iter().for_each(|place| is_told(&findings, code, place));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_without_proxies() {
    let bed = Bed::open().await;
    let files = [plan("web", "traffic: {v1: 60, v2: 40}")];
    let namespace = |labels: Value| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": labels}});
    let labels = json!({"app": "web", "version": "v1"});
    let spec = json!({"containers": [{"name": "main", "image": "none"}]});
    put(
        &bed,
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-v1", "namespace": "shop", "labels": labels}, "spec": spec}),
    );
    put(&bed, namespace(json!({})));
    only(&bed, &files, "IST0102", (0, 5, 12), true).await;
    put(&bed, namespace(json!({"istio-injection": "enabled"})));
    only(&bed, &files, "IST0103", (0, 5, 12), true).await;
    put(&bed, namespace(json!({"istio-injection": "disabled"})));
    let (answer, findings) = beside(&bed, &files).await;
    assert_eq!((answer.code, findings.as_slice()), (0, &[][..]), "it is on purpose");
}

#[tokio::test(flavor = "multi_thread")]
async fn sidecars_of_one_pod_and_of_none() {
    let bed = Bed::open().await;
    let sidecar = |selector: &str| file("Sidecar", "web", &format!("workloadSelector: {{labels: {{{selector}}}}}"));
    put(
        &bed,
        json!({"apiVersion": "networking.istio.io/v1", "kind": "Sidecar", "metadata": {"name": "old", "namespace": "shop"},
            "spec": {"workloadSelector": {"labels": {"version": "v1"}}}}),
    );
    only(&bed, &[sidecar("app: web")], "IST0110", (0, 5, 3), true).await;
    let (answer, findings) = beside(&bed, &[sidecar("version: v2")]).await;
    assert_eq!((answer.code, findings.as_slice()), (0, &[][..]), "no pod is of both");
    let ambient = json!({"istio.io/dataplane-mode": "ambient"});
    put(&bed, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": ambient}}));
    only(&bed, &[file("Sidecar", "all", "egress: [{hosts: [\"./*\"]}]")], "IST0167", (0, 4, 1), true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_selects_the_pods_of_a_kubernetes_gateway() {
    let bed = Bed::open().await;
    let labels = json!({"app": "in", "gateway.networking.k8s.io/gateway-name": "in"});
    let spec = json!({"containers": [{"name": "istio-proxy", "image": "none"}]});
    put(
        &bed,
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "in", "namespace": "shop", "labels": labels}, "spec": spec}),
    );
    let policy = file("AuthorizationPolicy", "in", "selector: {matchLabels: {app: in}}\n  rules: [{}]");
    only(&bed, &[policy], "IST0166", (0, 5, 3), true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn revisions_that_run_and_hosts_that_stay_in_their_cluster() {
    let bed = Bed::open().await;
    let labels = json!({"app": "istiod", "istio.io/rev": "default"});
    let spec = json!({"containers": [{"name": "discovery", "image": "none"}]});
    put(
        &bed,
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "istiod", "namespace": "istio-system", "labels": labels}, "spec": spec}),
    );
    let entry = file(
        "ServiceEntry",
        "far",
        "hosts: [far.example.com]\n  ports: [{number: 80, name: http, protocol: HTTP}]\n  resolution: DNS",
    );
    let revised = |revision: &str| {
        entry.replace("namespace: shop", &format!("namespace: shop, labels: {{istio.io/rev: {revision}}}"))
    };
    let column = 1 + "metadata: {name: far, namespace: shop, labels: {istio.io/rev: ".len();
    only(&bed, &[revised("canary")], "TG21", (0, 3, column), false).await;
    let (answer, findings) = beside(&bed, &[revised("default")]).await;
    assert_eq!((answer.code, findings.as_slice()), (0, &[][..]));

    let mesh = "serviceSettings:\n- settings: {clusterLocal: true}\n  hosts: ['*.shop.svc.cluster.local']\n";
    put(
        &bed,
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio", "namespace": "istio-system"}, "data": {"mesh": mesh}}),
    );
    let split = plan("web", "traffic: {v1: 60, v2: 40}")
        .replace("v2: {labels: {version: v2}}", "v2: {labels: {version: v2, topology.istio.io/cluster: west}}");
    only(&bed, std::slice::from_ref(&split), "TG19", (0, 7, 3), false).await;
    put(
        &bed,
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio", "namespace": "istio-system"}, "data": {"mesh": "a: ["}}),
    );
    let (answer, findings) = beside(&bed, &[split]).await;
    assert_eq!((answer.code, findings.as_slice()), (0, &[][..]));
    assert!(answer.stderr.contains("has no mesh config in YAML"), "{}", answer.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_with_weight_and_without_pods_is_an_error() {
    let bed = Bed::open().await;
    let text = plan("web", "traffic: {v1: 60, v2: 40}").replace("{version: v2}", "{version: v9}");
    only(&bed, std::slice::from_ref(&text), "IST0173", (0, 7, 3), false).await;
    let (answer, findings) = beside(&bed, &[text.replace("{v1: 60, v2: 40}", "{v1: 100}")]).await;
    assert_eq!((answer.code, findings.as_slice()), (0, &[][..]), "without weight it may come later");
}
