//! Holds deploy/ to what it promises: tidegate works with exactly those rights, and says what it lacks with less.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that fails")]

#[path = "support/controlplane.rs"]
mod controlplane;
#[path = "support/kubernetes.rs"]
mod kubernetes;
#[allow(dead_code, reason = "each test binary uses its part of the test bed")]
#[path = "support/repository.rs"]
mod repository;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use controlplane::ControlPlane;
use kube::Client;
use kube::api::{ListParams, Patch, PatchParams};
use kubernetes::{
    Endpoint, Recorder, api, create, endpoint_slice, eventually, namespace, ready_pod, service, virtual_service,
    weights,
};
use repository::Repository;
use serde::Deserialize as _;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(60);

fn documents(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/base").join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    serde_yaml::Deserializer::from_str(&text).map(|document| Value::deserialize(document).unwrap()).collect()
}

/// A namespace with a service in two ready versions, a plan for it, and an account with the role of deploy/.
struct World {
    client: Client,
    namespace: String,
    repository: Repository,
    kubeconfig: PathBuf,
}

impl World {
    /// The role is the one of deploy/ after `lose` took something from its rules; every name is the test's own.
    async fn new(lose: impl Fn(&mut Value)) -> Self {
        let plane = ControlPlane::shared();
        let client = plane.client().await;
        let namespace = namespace(&client, "deploy").await;
        for mut document in documents("rbac.yaml") {
            document["metadata"]["name"] = json!(namespace);
            match document["kind"].as_str().unwrap() {
                "Namespace" => continue,
                "ServiceAccount" => document["metadata"]["namespace"] = json!(namespace),
                "ClusterRole" => lose(&mut document),
                "ClusterRoleBinding" => {
                    document["roleRef"]["name"] = json!(namespace);
                    document["subjects"][0]["name"] = json!(namespace);
                    document["subjects"][0]["namespace"] = json!(namespace);
                }
                other => panic!("rbac.yaml has a {other}"),
            }
            create(&client, document).await;
        }
        service(&client, &namespace, "web", 8080).await;
        ready_pod(&client, &namespace, "web-v1", json!({"app": "web", "version": "v1"}), "10.1.0.1").await;
        ready_pod(&client, &namespace, "web-v2", json!({"app": "web", "version": "v2"}), "10.1.0.2").await;
        let endpoints = [Endpoint::of("web-v1", "10.1.0.1"), Endpoint::of("web-v2", "10.1.0.2")];
        endpoint_slice(&client, &namespace, "web", "web-1", &endpoints).await;
        let repository = Repository::with(&[("plans/web.yaml", plan(&namespace, "{v1: 100}"))]);
        let kubeconfig = repository.home().join("kubeconfig");
        let text = plane.kubeconfig_text().replace(plane.token(), &token(&client, &namespace).await);
        std::fs::write(&kubeconfig, text).unwrap();
        Self { client, namespace, repository, kubeconfig }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.args(arguments).arg("--kubeconfig").arg(&self.kubeconfig).env_remove("TIDEGATE_LOG");
        command
    }

    /// `tidegate run`; the repository's name is the test's own, as the tests share a cluster.
    fn run(&self, more: &[&str]) -> Command {
        let location = self.repository.location();
        let mut command = self.command(&["run", "--repo", &location, "--repo-name", &self.namespace]);
        command.args(["--convergence-wait", "100ms"]).args(more);
        command
    }

    fn run_once(&self) -> Output {
        self.run(&["--once"]).output().unwrap()
    }

    async fn live(&self) -> Vec<(String, u64)> {
        virtual_service(&self.client, &self.namespace, "web").await.as_ref().map(weights).unwrap_or_default()
    }
}

fn plan(namespace: &str, traffic: &str) -> String {
    format!(
        "apiVersion: tidegate.dev/v1alpha1\nkind: CanaryPlan\nmetadata: {{name: web, namespace: {namespace}}}\nspec:\n  \
         service: web\n  versions:\n    v1: {{labels: {{version: v1}}}}\n    v2: {{labels: {{version: v2}}}}\n  \
         from: {{v1: 100}}\n  steps:\n    - {{weight: 10, hold: 1s}}\n    - {{weight: 50, hold: 1s}}\n  \
         traffic: {traffic}\n---\napiVersion: networking.istio.io/v1\nkind: Sidecar\n\
         metadata: {{name: default, namespace: {namespace}}}\nspec: {{egress: [{{hosts: [\"./*\"]}}]}}\n"
    )
}

/// A token of the account, as a pod of the Deployment would have one.
async fn token(client: &Client, namespace: &str) -> String {
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{namespace}/token");
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}});
    let request = http::Request::post(path).header("content-type", "application/json");
    let answer: Value = client.request(request.body(serde_json::to_vec(&body).unwrap()).unwrap()).await.unwrap();
    answer["status"]["token"].as_str().unwrap().to_owned()
}

/// Takes a verb from the rules about a resource, and nothing else.
fn without(verb: &'static str, resource: &'static str) -> impl Fn(&mut Value) {
    move |role| {
        let mut rules = Vec::new();
        for rule in role["rules"].as_array().unwrap() {
            for one in rule["resources"].as_array().unwrap() {
                let mut alone = rule.clone();
                alone["resources"] = json!([one]);
                if one == resource {
                    alone["verbs"].as_array_mut().unwrap().retain(|other| other != verb);
                    assert_ne!(alone["verbs"], rule["verbs"], "the role has no {verb} of {resource}");
                }
                rules.push(alone);
            }
        }
        role["rules"] = json!(rules);
    }
}

/// A tidegate that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_rights_of_deploy_a_plan_walks_and_its_revert_is_at_once() {
    let world = World::new(|_| {}).await;
    let recorder = Recorder::start(&world.client, &world.namespace).await;
    let log = std::fs::File::create(world.repository.home().join("log")).unwrap();
    let _running = Running(world.run(&[]).stdout(Stdio::null()).stderr(log).spawn().unwrap());
    recorder.wait_for(SOON, |event| event.weights == [("v1".to_owned(), 100)]).await;
    world.repository.commit("To v2", &[("plans/web.yaml", plan(&world.namespace, "{v2: 100}"))]);
    recorder.wait_for(SOON, |event| event.weights.contains(&("v2".to_owned(), 50))).await;
    world.repository.revert("HEAD");
    eventually("traffic is back", SOON, || async { world.live().await == [("v1".to_owned(), 100)] }).await;
    let sidecars = api(&world.client, &world.namespace, "networking.istio.io/v1", "Sidecar");
    assert!(sidecars.get_opt("default").await.unwrap().is_some());
    let events = api(&world.client, &world.namespace, "events.k8s.io/v1", "Event");
    eventually("an Event tells of the first step", SOON, || async {
        let list = events.list(&ListParams::default()).await.unwrap();
        list.items.iter().any(|event| event.data["reason"] == "StepEntered")
    })
    .await;
    let mut log = String::new();
    std::fs::File::open(world.repository.home().join("log")).unwrap().read_to_string(&mut log).unwrap();
    assert!(!log.contains("forbidden"), "{log}");
    let status = world.command(&["status", "-o", "json", "--namespace", &world.namespace]).output().unwrap();
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["plans"][0]["live"], json!({"v1": 100}));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_patch_of_virtual_services_the_refusal_is_shown_and_nothing_moves() {
    let world = World::new(without("patch", "virtualservices")).await;
    let _ = world.run_once();
    world.repository.commit("To v2", &[("plans/web.yaml", plan(&world.namespace, "{v2: 100}"))]);
    let output = world.run_once();
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    assert!(words(&output).contains("cannot patch resource \"virtualservices\""), "{}", words(&output));
    assert_eq!(world.live().await, [("v1".to_owned(), 100)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_watch_of_pods_the_missing_right_is_named_and_nothing_moves() {
    let world = World::new(without("watch", "pods")).await;
    let output = world.run_once();
    assert_eq!(output.status.code(), Some(3), "{}", words(&output));
    assert!(words(&output).contains("cannot watch resource \"pods\""), "{}", words(&output));
    assert_eq!(world.live().await, []);
    let status = world.command(&["status"]).output().unwrap();
    assert_eq!(status.status.code(), Some(3));
    assert!(words(&status).contains("cannot watch resource \"pods\""), "{}", words(&status));
}

#[tokio::test(flavor = "multi_thread")]
async fn list_of_pods_is_for_servers_that_do_not_stream_lists() {
    let world = World::new(without("list", "pods")).await;
    let output = world.run_once();
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    assert_eq!(world.live().await, [("v1".to_owned(), 100)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_knows_every_field_of_deploy() {
    let client = ControlPlane::shared().client().await;
    for mut document in ["rbac.yaml", "deployment.yaml"].into_iter().flat_map(documents) {
        let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (api_version, kind, name) = (text("/apiVersion"), text("/kind"), text("/metadata/name"));
        let inside = if text("/metadata/namespace").is_empty() { "" } else { "default" };
        if !inside.is_empty() {
            document["metadata"]["namespace"] = json!(inside);
        }
        let strict = PatchParams::apply("deploy").dry_run().validation_strict();
        api(&client, inside, &api_version, &kind).patch(&name, &strict, &Patch::Apply(&document)).await.unwrap();
    }
}

#[test]
fn the_deployment_runs_a_command_line_that_tidegate_accepts() {
    let deployment = &documents("deployment.yaml")[0];
    let pod = &deployment["spec"]["template"]["spec"];
    let arguments: Vec<&str> =
        pod["containers"][0]["args"].as_array().unwrap().iter().map(|argument| argument.as_str().unwrap()).collect();
    let help = Command::new(env!("CARGO_BIN_EXE_tidegate")).args(["run", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert_eq!(arguments[0], "run");
    for argument in &arguments[1..] {
        let flag = argument.split('=').next().unwrap();
        assert!(help.contains(&format!("{flag} ")), "{flag} is none of `tidegate run`");
    }
    let account = documents("rbac.yaml").into_iter().find(|document| document["kind"] == "ServiceAccount").unwrap();
    assert_eq!(pod["serviceAccountName"], account["metadata"]["name"]);
    assert_eq!(deployment["metadata"]["namespace"], account["metadata"]["namespace"]);
    for document in documents("kustomization.yaml")[0]["resources"].as_array().unwrap() {
        assert!(!documents(document.as_str().unwrap()).is_empty());
    }
}
