//! The guard of deploy/: a pod that may do as little as can be, with rights that are enough and nothing more.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::controlplane::ControlPlane;
use crate::kubernetes::{api, create, delete, eventually, told};
use crate::proxy::{Kind, Proxy, When};
use crate::render::{documents, kustomized, only, overlay, rendered};
use crate::tools::printed;
use crate::verbs::rights;
use crate::world::{Running, World, token, without};
use crate::{SOON, deploy};

const NETWORKING: &str = "networking.istio.io/v1";
/// How long it is looked whether more comes about without a right.
const STILL: Duration = Duration::from_secs(3);
const BACK: &str = "traffic is back";
const TOLD: &str = "an Event tells of it";

fn guard() -> Vec<Value> {
    documents(&std::fs::read_to_string(deploy().join("guard/guard.yaml")).unwrap())
}

#[test]
fn the_guard_is_a_pod_of_its_own_without_secrets_whose_arguments_are_known() {
    let deployment = only(&guard(), "Deployment");
    let pod = &deployment["spec"]["template"];
    let arguments: Vec<&str> =
        pod["spec"]["containers"][0]["args"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    assert_eq!(arguments[..3], ["run", "--cluster-name=in-cluster", "--guard"]);
    let help = printed(Command::new(env!("CARGO_BIN_EXE_tidegate")).args(["run", "--help"]));
    for argument in &arguments[1..] {
        assert!(help.contains(argument.split('=').next().unwrap()), "{argument}");
    }
    let limits = &pod["spec"]["containers"][0]["securityContext"];
    assert_eq!((&limits["readOnlyRootFilesystem"], &limits["capabilities"]["drop"]), (&json!(true), &json!(["ALL"])));
    assert!(pod["spec"]["volumes"].is_null(), "it is given nothing");
    assert_eq!(pod["spec"]["serviceAccountName"], only(&guard(), "ServiceAccount")["metadata"]["name"]);
    // Webhooks are not led to it, and its pods are not counted as the other's.
    let labels = &pod["metadata"]["labels"];
    let hub = documents(&rendered("guard.enabled=true"));
    let service = only(&hub, "Service")["spec"]["selector"].clone();
    assert_ne!(labels["app.kubernetes.io/name"], service["app.kubernetes.io/name"]);
    for selector in [
        &deployment["spec"]["selector"]["matchLabels"],
        &only(&guard(), "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    ] {
        assert!(selector.as_object().unwrap().iter().all(|(name, value)| labels[name] == *value), "{selector}");
    }
    for (values, name) in [
        ("guard.enabled=true,clusterName=prod", "--cluster-name=prod"),
        ("guard.enabled=true,clusterName=prod,guard.clusterName=eu-1", "--cluster-name=eu-1"),
        ("guard.enabled=true,clusters[0].name=hub,clusters[0].inCluster=true", "--cluster-name=hub"),
        (
            "guard.enabled=true,guard.clusterName=eu-1,clusters[0].name=eu-1,clusters[0].kubeconfig=eu-1",
            "--cluster-name=eu-1",
        ),
    ] {
        let rendered = documents(&rendered(values));
        let mut deployments = rendered.iter().filter(|document| document["kind"] == "Deployment");
        let guard = deployments.find(|document| document["metadata"]["name"] == "tidegate-guard").unwrap();
        assert_eq!(guard["spec"]["template"]["spec"]["containers"][0]["args"][1], name);
    }
}

#[test]
fn the_overlay_of_the_docs_names_the_cluster() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md")).unwrap();
    let block = page.split("```").find(|block| block.contains("# kustomization.yaml, for a cluster")).unwrap();
    let text = block.split_once('\n').unwrap().1;
    let home = overlay(&text.replace("../tidegate/deploy", "../deploy"));
    let pod = only(&documents(&kustomized(&home.path().join("overlay"))), "Deployment");
    let container = &pod["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["args"][1], "--cluster-name=eu-1");
    assert_ne!(container["image"], "tidegate:0.1.0");
}

fn plan() -> (&'static str, String) {
    let text = "apiVersion: tidegate.dev/v1alpha1\nkind: CanaryPlan\nmetadata: {name: web, namespace: NAMESPACE}\nspec:\n  \
                service: web\n  versions: {v1: {labels: {version: v1}}, v2: {labels: {version: v2}}}\n  \
                from: {v1: 100}\n  steps: [{weight: 10, hold: 1h}]\n  traffic: {v2: 100}\n";
    ("plans/web.yaml", text.to_owned())
}

/// The kubeconfig of an account with the guard's role, after `lose` took something from its rules.
async fn account(plane: &ControlPlane, world: &World, lose: impl Fn(&mut Value)) -> PathBuf {
    let name = format!("{}-guard", world.namespace);
    for mut document in guard() {
        document["metadata"]["name"] = json!(name);
        match document["kind"].as_str().unwrap() {
            "ServiceAccount" => document["metadata"]["namespace"] = json!(world.namespace),
            "ClusterRole" => lose(&mut document),
            "ClusterRoleBinding" => {
                document["roleRef"]["name"] = json!(name);
                document["subjects"][0]["name"] = json!(name);
                document["subjects"][0]["namespace"] = json!(world.namespace);
            }
            _ => continue,
        }
        create(&world.client, document).await;
    }
    let token = token(&world.client, &world.namespace, &name).await;
    let kubeconfig = world.repository.home().join("guard");
    std::fs::write(&kubeconfig, plane.kubeconfig_text().replace(plane.token(), &token)).unwrap();
    kubeconfig
}

async fn patch(world: &World, kind: &str, patch: Value) {
    let objects = api(&world.client, &world.namespace, NETWORKING, kind);
    objects.patch("web", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
}

async fn facts(world: &World) -> BTreeSet<&'static str> {
    let mut facts = BTreeSet::new();
    if world.live().await == [("v1".to_owned(), 100)] {
        facts.insert(BACK);
    }
    if !told(&world.client, &world.namespace, "WentBack").await.is_empty() {
        facts.insert(TOLD);
    }
    facts
}

/// Whoever raises is killed in mid-walk, the way back needs a subset that is gone, and the first write gets no answer.
async fn stopped(plane: &ControlPlane, lose: impl Fn(&mut Value), expected: &BTreeSet<&'static str>, words: &str) {
    let world = World::new(plane, &[plan()], |_| {}).await;
    let hub = Running(world.run(&[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    eventually("at 10", SOON, || async { world.live().await.contains(&("v2".to_owned(), 10)) }).await;
    drop(hub);
    patch(&world, "DestinationRule", json!({"spec": {"subsets": [{"name": "v2", "labels": {"version": "v2"}}]}})).await;
    let kubeconfig = account(plane, &world, lose).await;
    let proxy = Proxy::start(&std::fs::read_to_string(kubeconfig).unwrap()).await;
    let log = world.repository.home().join("log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(["run", "--guard", "--cluster-name", "here", "--convergence-wait", "100ms", "--kubeconfig"]);
    command.env("TIDEGATE_LOG", "info,tidegate=debug");
    command.arg(proxy.kubeconfig()).stdout(Stdio::null()).stderr(File::create(&log).unwrap());
    let running = Running(command.spawn().unwrap());
    patch(&world, "VirtualService", json!({"metadata": {"annotations": {"tidegate.dev/stop": "Ann"}}})).await;
    let first = proxy.catch(SOON, |kind| (kind == Kind::Weights).then_some(When::Before));
    let read = || std::fs::read_to_string(&log).unwrap().replace('\\', "");
    let settles = async {
        let end = Instant::now() + SOON;
        while facts(&world).await != *expected || !read().contains(words) {
            assert!(Instant::now() < end, "`{words}`: {:?}, not {expected:?}:\n{}", facts(&world).await, read());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        tokio::time::sleep(STILL).await;
        assert_eq!(facts(&world).await, *expected, "`{words}`:\n{}", read());
    };
    let mut settles = std::pin::pin!(settles);
    tokio::select! {
        caught = first => {
            drop(caught);
            settles.await;
        }
        () = &mut settles => {}
    }
    assert!(!words.is_empty() || !read().contains("forbidden"), "{}", read());
    drop(running);
    // The next guard is not to meet it.
    delete(&world.client, &world.namespace, NETWORKING, "VirtualService", "web").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_right_of_a_guard_is_needed_and_they_are_enough() {
    // As of older servers, so that `list` is needed, too.
    let plane = &ControlPlane::start_with(&[], &["--feature-gates=WatchList=false"]);
    stopped(plane, |_| {}, &BTreeSet::from([BACK, TOLD]), "").await;
    let rights = rights(guard());
    for (verb, resource) in &rights {
        let lacks = if resource == "events" { BTreeSet::from([BACK]) } else { BTreeSet::new() };
        stopped(plane, without(verb, resource), &lacks, &format!("cannot {verb} resource \"{resource}\"")).await;
    }
    println!("{} verbs of a guard, each of them needed", rights.len());
    let writes = rights.iter().filter(|(verb, _)| !["get", "list", "watch"].contains(&verb.as_str()));
    let writes: Vec<_> = writes.map(|(verb, resource)| format!("{verb} {resource}")).collect();
    assert_eq!(writes, ["patch virtualservices", "patch destinationrules", "create events"]);
}
