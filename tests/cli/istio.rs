//! What plans and the objects beside them mean for Istio: each mistake is told by `check` with a code and a fix before
//! anything is written, alone or beside what is live.

use std::path::Path;

use serde_json::{Value, json};
use tidegate::sandbox::{Effect, Fault, Options, Verb, Verbs};

use crate::bed::{Bed, eventually, plan};
use crate::process::{Answer, run};

const GATEWAY: &str = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: gw, namespace: edge}\nspec:\n  \
                       selector: {istio: ingressgateway}\n  servers:\n    - port: {number: 80, name: http, protocol: HTTP}\n      \
                       hosts: [www.example.com]\n";
const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec:\n  selector: {app: web}\n  \
                       ports:\n    - port: 8080\n";

/// A VirtualService of `web` in the namespace `shop` with this spec.
fn route(spec: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1beta1\nkind: VirtualService\nmetadata: {{name: web, namespace: shop}}\nspec:\n  {spec}\n"
    )
}

/// A DestinationRule of `web` in this namespace with these subsets.
fn rule(namespace: &str, subsets: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1alpha3\nkind: DestinationRule\nmetadata: {{name: web, namespace: {namespace}}}\nspec:\n  \
         host: web.shop.svc.cluster.local\n  subsets: [{subsets}]\n"
    )
}

/// `tidegate check -o json` of a folder with these files, and more arguments.
pub async fn check(home: &Path, files: &[String], more: &[String]) -> (Answer, Vec<Value>) {
    let folder = home.join("check");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir(&folder).unwrap();
    for (number, text) in files.iter().enumerate() {
        std::fs::write(folder.join(format!("{number}.yaml")), text).unwrap();
    }
    let mut arguments = vec!["check".to_owned(), folder.display().to_string(), "-o".to_owned(), "json".to_owned()];
    arguments.extend(more.iter().cloned());
    let answer = run(home, &arguments).await;
    let told: Value = serde_json::from_str(&answer.stdout).unwrap_or_default();
    let findings = told["findings"].as_array().cloned().unwrap_or_default();
    (answer, findings)
}

/// Holds that the files alone are told of this code, with a fix, at this file, line and column.
async fn told(files: &[String], code: &str, place: (usize, usize, usize)) {
    let home = tempfile::tempdir().unwrap();
    let (answer, findings) = check(home.path(), files, &[]).await;
    assert_eq!(answer.code, 1, "{answer:?}");
    is_told(&findings, code, place);
}

pub fn is_told(findings: &[Value], code: &str, (file, line, column): (usize, usize, usize)) {
    let at = |finding: &&Value| {
        let place = &finding["place"];
        let name = place["file"].as_str().unwrap_or_default();
        finding["code"] == code
            && name.ends_with(&format!("{file}.yaml"))
            && place["line"] == line
            && place["column"] == column
    };
    let Some(finding) = findings.iter().find(at) else {
        panic!("no {code} at {file}.yaml:{line}:{column}: {findings:#?}")
    };
    assert!(!finding["hints"][0].as_str().unwrap_or_default().is_empty(), "{finding}");
}

#[tokio::test]
async fn a_host_that_its_gateway_does_not_have() {
    let text = plan("web", "gateways: [edge/gw]\n  traffic: {v1: 100}");
    // The host is the plan's default, so its Service is shown; written out it is shown itself.
    told(&[GATEWAY.to_owned(), text], "IST0132", (1, 5, 12)).await;
    let text = plan("web", "gateways: [edge/gw]\n  hosts: [www.example.com, shop.example.com]\n  traffic: {v1: 100}");
    told(&[GATEWAY.to_owned(), text], "IST0132", (1, 8, 28)).await;
}

#[tokio::test]
async fn a_subset_that_no_rule_has() {
    let route = route("hosts: [web]\n  http:\n    - route:\n        - destination: {host: web, subset: v2}");
    let files = [route, rule("shop", "{name: v1, labels: {version: v1}}")];
    told(&files, "IST0101", (0, 8, 44)).await;
}

#[tokio::test]
async fn the_host_of_everything_in_the_mesh() {
    let files = [route("hosts: [\"*\"]\n  gateways: [gw, mesh]\n  http: [{route: [{destination: {host: web}}]}]")];
    told(&files, "VS06", (0, 5, 11)).await;
    told(&[plan("web", "hosts: [\"*\"]\n  traffic: {v1: 100}")], "VS06", (0, 7, 3)).await;
}

#[tokio::test]
async fn a_port_without_a_name() {
    told(&[SERVICE.to_owned(), plan("web", "traffic: {v1: 100}")], "IST0118", (1, 5, 12)).await;
}

#[tokio::test]
async fn a_header_route_behind_one_that_takes_everything() {
    let leg = "route: [{destination: {host: web}}]";
    let spec = format!(
        "hosts: [web]\n  http:\n    - match: [{{uri: {{prefix: /}}}}]\n      {leg}\n    - match: [{{headers: {{qa: {{exact: a}}}}}}]\n      {leg}"
    );
    told(&[route(&spec)], "TG01", (0, 9, 7)).await;
    let routes = "routes:\n    - {name: all, match: [{uri: {prefix: /}}]}\n    - {name: qa, match: [{headers: {qa: {exact: a}}}]}";
    told(&[plan("web", &format!("{routes}\n  traffic: {{v1: 100}}"))], "TG01", (0, 9, 7)).await;
}

#[tokio::test]
async fn a_subset_without_labels() {
    told(&[rule("shop", "{name: v1}")], "TG02", (0, 6, 13)).await;
    let text = plan("web", "traffic: {v1: 100}").replace("v3: {labels: {version: v3}}", "v3: {labels: {}}");
    told(&[text], "TG02", (0, 6, 72)).await;
}

#[tokio::test]
async fn a_single_destination_of_weight_0() {
    let files = [route("hosts: [web]\n  http:\n    - route:\n        - destination: {host: web}\n          weight: 0")];
    told(&files, "TG04", (0, 9, 19)).await;
}

#[tokio::test]
async fn a_rule_in_the_callers_namespace() {
    let files = [plan("web", "traffic: {v1: 60, v2: 40}"), rule("client", "{name: v1, labels: {version: v1}}")];
    told(&files, "TG10", (1, 5, 9)).await;
}

#[tokio::test]
async fn what_a_plan_renders_is_told_where_the_plan_says_it() {
    let home = tempfile::tempdir().unwrap();
    let text = plan(
        "web",
        "http:\n    retries: {attempts: 0, retryOn: 5xx}\n    timeout: 10s\n  trafficPolicy:\n    outlierDetection: {maxEjectionPercent: 200}\n  traffic: {v1: 100}",
    );
    let (answer, findings) = check(home.path(), &[text], &[]).await;
    assert_eq!((answer.code, findings.len()), (1, 2), "{answer:?}");
    is_told(&findings, "VS12", (0, 8, 5));
    is_told(&findings, "DR03", (0, 11, 44));
}

/// What Istio would refuse is no valid document: what was in force stays, and everything else goes on.
#[tokio::test(flavor = "multi_thread")]
async fn run_refuses_what_istio_would_before_it_writes_anything() {
    let bed = Bed::open().await;
    let gateway = GATEWAY.replace("namespace: edge", "namespace: shop");
    bed.repository.write("plans/gw.yaml", &gateway);
    bed.plan("web", "traffic: {v1: 100}");
    bed.plan("api", "traffic: {v1: 100}");
    let process = bed.start();
    bed.until_settled("web", "v1=100").await;
    bed.until_settled("api", "v1=100").await;
    let live = || bed.store().get("gateways", "shop", "gw").unwrap()["spec"].clone();
    let (gateway_before, web_before) = (live(), bed.live("web").unwrap()["spec"].clone());

    bed.repository.write("plans/gw.yaml", gateway.replace("www.example.com", "\"*bad\""));
    bed.plan("web", "http:\n    retries: {attempts: 0, retryOn: 5xx}\n  traffic: {v2: 100}");
    // A warning refuses nothing.
    bed.plan("api", "trafficPolicy:\n    outlierDetection: {consecutiveErrors: 5}\n  traffic: {v2: 100}");
    bed.until_settled("api", "v2=100").await;
    assert_eq!((live(), &bed.live("web").unwrap()["spec"]), (gateway_before, &web_before), "nothing of it was written");
    drop(process);
    let once = bed.once().await;
    assert_eq!(once.code, 1, "{once:?}");
    for told in ["error[VS12]", "--> plans/web.yaml:8:5", "error[GW01]", "--> plans/gw.yaml:8:", "warning[DR07]"] {
        assert!(once.stdout.contains(told), "{told} is missing in {}", once.stdout);
    }

    bed.repository.write("plans/gw.yaml", gateway.replace("www.example.com", "shop.example.com"));
    bed.plan("web", "http:\n    retries: {attempts: 2, retryOn: 5xx}\n  traffic: {v2: 100}");
    let _process = bed.start();
    bed.until_settled("web", "v2=100").await;
    assert_eq!(live()["servers"][0]["hosts"][0], "shop.example.com");
}

/// The version before stays in force in a process that has read it, and says where the newer one is wrong.
#[tokio::test(flavor = "multi_thread")]
async fn a_newer_version_that_istio_would_refuse_lets_nothing_rise_and_is_said() {
    let bed = Bed::open().await;
    let steps = "from: {v1: 100}\n  steps: [{weight: 10, hold: 1s}, {weight: 50, hold: 1h}]\n  traffic: {v2: 100}";
    bed.plan("web", &steps.replace("1s", "1h"));
    let process = bed.start();
    bed.until_held("web", "v1=90 v2=10").await;
    bed.plan("web", &format!("{steps}\n  match: [{{uri: {{regex: \"(?=a)\"}}}}]"));
    eventually("it is refused", || process.log().contains("VS15")).await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(bed.weights("web"), "v1=90 v2=10", "{}", process.log());
    bed.plan("web", steps);
    bed.until_held("web", "v1=50 v2=50").await;
}

#[tokio::test]
async fn nothing_is_missed_that_nobody_showed() {
    let home = tempfile::tempdir().unwrap();
    let text = plan("web", "gateways: [mesh, edge/gw]\n  traffic: {v1: 60, v2: 40}");
    let (answer, findings) = check(home.path(), &[text], &[]).await;
    assert_eq!((answer.code, findings.as_slice()), (0, &[][..]), "{answer:?}");
}

/// The same beside the sandbox, whose Services are named well.
pub async fn beside(bed: &Bed, files: &[String]) -> (Answer, Vec<Value>) {
    check(bed.repository.home(), files, &bed.on_cluster(&[])).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_live_is_looked_at_too() {
    let bed = Bed::open().await;
    let good = plan("web", "traffic: {v1: 60, v2: 40}");
    let (answer, findings) = beside(&bed, std::slice::from_ref(&good)).await;
    assert_eq!((answer.code, findings.as_slice()), (0, &[][..]), "{answer:?}");

    let object = |kind: &str, namespace: &str, name: &str, spec: Value| json!({"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec});
    let put = |object: Value| bed.store().put(object).unwrap();
    put(object(
        "DestinationRule",
        "client",
        "theirs",
        json!({"host": "web.shop.svc.cluster.local", "subsets": [{"name": "v1", "labels": {"version": "v1"}}]}),
    ));
    let leg = json!([{"route": [{"destination": {"host": "web"}}]}]);
    put(object("VirtualService", "shop", "old", json!({"hosts": ["web"], "http": leg})));
    put(object(
        "Gateway",
        "edge",
        "gw",
        json!({"servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["www.example.com"]}]}),
    ));
    put(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"selector": {"app": "web", "version": "v1"}, "ports": [{"port": 8080}]}}));
    let text = plan("web", "gateways: [mesh, edge/gw, nowhere]\n  traffic: {v1: 60, v2: 40}");
    let (answer, findings) = beside(&bed, &[text]).await;
    assert_eq!(answer.code, 1, "{answer:?}");
    is_told(&findings, "TG10", (0, 8, 3));
    is_told(&findings, "IST0109", (0, 5, 12));
    is_told(&findings, "IST0118", (0, 5, 12));
    is_told(&findings, "TG14", (0, 8, 3));
    is_told(&findings, "IST0132", (0, 7, 20));
    is_told(&findings, "IST0101", (0, 7, 29));
    assert_eq!(bed.live("web"), None, "a check writes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_read_is_a_gap_and_no_failure() {
    let bed = Bed::open().await;
    bed.store().inject(Fault {
        verbs: Verbs::One(Verb::List),
        resource: Some("gateways"),
        times: 1,
        effect: Effect::Refuse(403),
    });
    let text = plan("web", "gateways: [mesh, nowhere/gw]\n  traffic: {v1: 60, v2: 40}");
    let (answer, findings) = beside(&bed, &[text]).await;
    assert_eq!((answer.code, findings.as_slice()), (0, &[][..]), "{answer:?}");
    assert!(answer.stderr.contains("cannot list gateways of cluster sandbox"), "{}", answer.stderr);
    assert!(answer.stdout.contains("\"gaps\""), "{}", answer.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_away_is_told_apart_from_findings() {
    let bed = Bed::with(Options::default()).await;
    let text = bed.server.kubeconfig().replace(bed.server.url(), "http://127.0.0.1:1");
    std::fs::write(bed.kubeconfig(), text).unwrap();
    let (answer, _) = beside(&bed, &[plan("web", "traffic: {v1: 100}")]).await;
    assert_eq!(answer.code, 3, "{answer:?}");
}
