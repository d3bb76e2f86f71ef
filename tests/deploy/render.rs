//! The chart and the kustomization: the second is what the first renders, and the API server takes both.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::clusters::CLUSTERS;
use crate::controlplane::ControlPlane;
use crate::kubernetes::{api, eventually};
use crate::tools::{feed, helm, kubectl, operator_definition, printed};
use crate::{SOON, deploy};

/// What `deploy/base`, `deploy/guard` and `deploy/monitoring` are: the chart with its default values and these.
const RENDERED_WITH: &str = "namespace.create=true,guard.enabled=true,monitoring.podMonitor=true,monitoring.alerts=true,monitoring.dashboard=true";
const HEAD: &str = "# Rendered from deploy/chart. Change it there, then: TIDEGATE_BLESS=1 cargo test --test deploy\n";
const MONITORING: [&str; 3] = ["podmonitor.yaml", "alerts.yaml", "dashboard.yaml"];
/// Printed by `tidegate schema --crd`; the chart has it by a link.
const DEFINITION: &str = "crd.yaml";

/// What the chart renders with these values.
pub fn rendered(values: &str) -> String {
    printed(&mut template(values))
}

/// The command that renders it.
pub fn template(values: &str) -> Command {
    let mut command = helm();
    command.args(["template", "tidegate"]).arg(deploy().join("chart"));
    command.args(["--namespace", "tidegate", "--kube-version", "1.34.0", "--set", values]);
    command
}

/// The documents of a stream of YAML.
pub fn documents(text: &str) -> Vec<Value> {
    let parse = |document| Value::deserialize(document).unwrap();
    serde_yaml::Deserializer::from_str(text).map(parse).filter(|document| !document.is_null()).collect()
}

/// What a kustomization makes.
pub fn kustomized(folder: &Path) -> String {
    printed(kubectl().arg("kustomize").arg(folder))
}

/// A folder with a copy of `deploy` and a kustomization in `overlay` beside it.
pub fn overlay(kustomization: &str) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    printed(Command::new("cp").arg("-r").arg(deploy()).arg(home.path()));
    std::fs::create_dir(home.path().join("overlay")).unwrap();
    std::fs::write(home.path().join("overlay/kustomization.yaml"), kustomization).unwrap();
    home
}

/// The one document of this kind.
pub fn only(documents: &[Value], kind: &str) -> Value {
    let found: Vec<&Value> = documents.iter().filter(|document| document["kind"] == kind).collect();
    assert_eq!(found.len(), 1, "{kind}");
    found[0].clone()
}

/// The rendering by template, each as one stream of YAML.
fn by_template(rendering: &str) -> BTreeMap<PathBuf, String> {
    let mut files: BTreeMap<PathBuf, String> = BTreeMap::new();
    for part in rendering.split("---\n# Source: tidegate/templates/").skip(1) {
        let (name, text) = part.split_once('\n').unwrap();
        if name == DEFINITION {
            continue;
        }
        let folder = match name {
            "guard.yaml" => "guard",
            _ if MONITORING.contains(&name) => "monitoring",
            _ => "base",
        };
        let file = files.entry(Path::new(folder).join(name)).or_insert_with(|| HEAD.to_owned());
        if file.len() > HEAD.len() {
            file.push_str("---\n");
        }
        file.push_str(text.trim_end());
        file.push('\n');
    }
    files
}

#[test]
fn base_guard_and_monitoring_are_what_the_chart_renders() {
    let files = by_template(&rendered(RENDERED_WITH));
    assert_eq!(files.len(), 10, "{:?}", files.keys());
    for (name, text) in &files {
        let path = deploy().join(name);
        if std::env::var_os("TIDEGATE_BLESS").is_some() {
            std::fs::write(&path, text).unwrap();
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(there == *text, "{} is not what the chart renders: see its first line", path.display());
    }
    for folder in ["base", "guard", "monitoring"] {
        let listed = std::fs::read_to_string(deploy().join(folder).join("kustomization.yaml")).unwrap();
        let listed = &documents(&listed)[0]["resources"];
        for entry in std::fs::read_dir(deploy().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let is_listed = listed.as_array().unwrap().iter().any(|resource| resource == name.as_str());
            assert!(is_listed || name == "kustomization.yaml", "{folder}/{name} is not listed");
        }
    }
}

#[test]
fn kustomization_and_chart_make_the_same_objects() {
    let sorted = |text: &str| {
        let mut objects = documents(text);
        objects.sort_by_key(|object| (object["kind"].to_string(), object["metadata"]["name"].to_string()));
        objects
    };
    assert_eq!(sorted(&kustomized(&deploy())), sorted(&rendered("namespace.create=true")));
}

#[test]
fn the_definition_is_the_one_that_is_printed() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    let base = std::fs::read_to_string(deploy().join("base").join(DEFINITION)).unwrap();
    assert!(base == printed(command.args(["schema", "--crd"])), "tidegate schema --crd > deploy/base/crd.yaml");
    let definition = only(&documents(&rendered("canaryPlans.enabled=true")), "CustomResourceDefinition");
    assert_eq!(definition, documents(&base)[0]);
}

/// Everything that an installation can consist of, in the namespaces and with the definitions that it needs.
#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_takes_all_that_kustomize_and_helm_make() {
    let plane = ControlPlane::shared();
    let client = plane.client().await;
    let apply = |text: &str, dry_run: bool| {
        let mut command = kubectl();
        command.arg("--kubeconfig").arg(plane.kubeconfig()).args(["apply", "--server-side", "--validate=strict"]);
        command.arg(if dry_run { "--dry-run=server" } else { "--dry-run=none" }).args(["-f", "-"]);
        let output = feed(&mut command, text);
        assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    for plural in ["podmonitors", "prometheusrules"] {
        apply(&operator_definition(plural), false);
    }
    for name in ["tidegate", "istio-system"] {
        apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}).to_string(), false);
    }
    let rules = api(&client, "tidegate", "monitoring.coreos.com/v1", "PrometheusRule");
    eventually("the definitions are served", SOON, || async { rules.list(&Default::default()).await.is_ok() }).await;

    let taken = apply(&kustomized(&deploy()), true);
    assert_eq!(taken.lines().count(), documents(&kustomized(&deploy())).len());
    let all = overlay("{resources: [../deploy], components: [../deploy/monitoring]}");
    let taken = apply(&kustomized(&all.path().join("overlay")), true);
    for kind in ["podmonitor", "prometheusrule", "configmap"] {
        assert!(taken.contains(kind), "{taken}");
    }
    for resources in ["[../deploy]", "[]"] {
        let guarded = overlay(&format!("{{resources: {resources}, components: [../deploy/guard]}}"));
        let taken = apply(&kustomized(&guarded.path().join("overlay")), true);
        assert!(taken.contains("deployment.apps/tidegate-guard"), "{taken}");
    }
    let several = overlay("{resources: [../deploy], components: [../deploy/clusters]}");
    let taken = apply(&kustomized(&several.path().join("overlay")), true);
    for object in ["role.rbac.authorization.k8s.io/tidegate-clusters", "configmap/tidegate-clusters"] {
        assert!(taken.contains(object), "{taken}");
    }
    for values in [
        RENDERED_WITH,
        "guard.enabled=true,guard.clusterName=eu-1,networkPolicy.to[0].ipBlock.cidr=10.0.0.0/8,pod.priorityClassName=high",
        "canaryPlans.enabled=false,networkPolicy.enabled=false,mirror.claimName=mirror,log.filter=debug",
        "git.auth=ssh,git.secretName=git,webhook.secretName=hook,image.digest=sha256:0000000000000000000000000000000000000000000000000000000000000000",
        "git.auth=token,git.secretName=git,git.privateCA=true,networkPolicy.to[0].ipBlock.cidr=10.0.0.0/8",
        "push.auth=password,push.secretName=push,push.username=bot,push.signingSecretName=signing",
        "istiod.urls={http://istiod-replicas.istio-system:15014},networkPolicy.ports={443,6443,15014}",
        "istiod.find=true,istiod.gateways.find=true,istiod.gateways.namespaces={default,istio-system}",
        CLUSTERS,
        "verify.mode=every,verify.configMapName=keys,verify.files={ann.pub,ben.asc},pod.labels.a=b,pod.priorityClassName=high",
    ] {
        assert!(apply(&rendered(values), true).contains("deployment.apps/tidegate"), "{values}");
    }
}

#[test]
fn values_that_cannot_be_meant_are_refused() {
    for (values, words) in [
        ("image.tagg=1", "tagg"),
        ("git.auth=kerberos", "must be one of"),
        ("git.auth=token", "git.secretName is needed"),
        ("git.auth=password,git.secretName=git", "git.username is needed"),
        ("git.privateCA=true", "git.secretName is needed"),
        ("push.auth=token", "push.secretName is needed"),
        ("push.auth=password,push.secretName=push", "push.username is needed"),
        ("push.enabled=false,push.auth=ssh,push.secretName=push", "need push.enabled"),
        ("push.author=tide", "push.author"),
        ("replicas=0", "replicas"),
        ("push.notes=true", "clusterName is needed"),
        ("guard.enabled=true,clusters[0].name=eu-1,clusters[0].kubeconfig=eu-1", "guard.clusterName is needed"),
        ("istiod.urls={istiod:15014}", "istiod.urls"),
        ("istiod.find=true,istiod.urls={http://istiod:15014}", "exclude each other"),
        ("istiod.gateways.find=true", "istiod.find or istiod.urls is needed"),
        ("verify.mode=tip", "verify.configMapName and verify.files are needed"),
        ("repository.interval=soon", "repository.interval"),
        ("repository.name=a/b", "repository.name"),
        ("networkPolicy.ports={0}", "networkPolicy.ports"),
    ] {
        let output = template(values).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap().replace('/', ".");
        assert!(!output.status.success(), "{values} is accepted");
        assert!(error.contains(words), "{values}: {error}");
    }
    let lint = printed(helm().arg("lint").arg("--strict").arg(deploy().join("chart")));
    assert!(lint.contains("0 chart(s) failed"), "{lint}");
}
