//! tidegate as the account of deploy/: what it does with all its rights, and what it says where one is missing.

use std::io::Read as _;
use std::process::Stdio;

use kube::api::ListParams;
use serde_json::{Value, json};

use crate::controlplane::ControlPlane;
use crate::kubernetes::{Recorder, api, create, eventually};
use crate::render::documents;
use crate::world::{Running, World, without, words};
use crate::{SOON, deploy};

fn plan(traffic: &str) -> (&'static str, String) {
    let text = format!(
        "apiVersion: tidegate.dev/v1alpha1\nkind: CanaryPlan\nmetadata: {{name: web, namespace: NAMESPACE}}\nspec:\n  \
         service: web\n  versions:\n    v1: {{labels: {{version: v1}}}}\n    v2: {{labels: {{version: v2}}}}\n  \
         from: {{v1: 100}}\n  steps:\n    - {{weight: 10, hold: 1s}}\n    - {{weight: 50, hold: 1s}}\n  \
         traffic: {traffic}\n---\napiVersion: networking.istio.io/v1\nkind: Sidecar\n\
         metadata: {{name: default, namespace: NAMESPACE}}\nspec: {{egress: [{{hosts: [\"./*\"]}}]}}\n"
    );
    ("plans/web.yaml", text)
}

async fn world(lose: impl Fn(&mut Value)) -> World {
    World::new(ControlPlane::shared(), &[plan("{v1: 100}")], lose).await
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_rights_of_deploy_a_plan_walks_and_its_revert_is_at_once() {
    let world = world(|_| {}).await;
    let recorder = Recorder::start(&world.client, &world.namespace).await;
    let log = std::fs::File::create(world.repository.home().join("log")).unwrap();
    let _running = Running(world.run(&[]).stdout(Stdio::null()).stderr(log).spawn().unwrap());
    recorder.wait_for(SOON, |event| event.weights == [("v1".to_owned(), 100)]).await;
    world.commit("To v2", &[plan("{v2: 100}")]);
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
    let world = world(without("patch", "virtualservices")).await;
    let _ = world.run_once();
    world.commit("To v2", &[plan("{v2: 100}")]);
    let output = world.run_once();
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    assert!(words(&output).contains("cannot patch resource \"virtualservices\""), "{}", words(&output));
    assert_eq!(world.live().await, [("v1".to_owned(), 100)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_watch_of_pods_the_missing_right_is_named_and_nothing_moves() {
    let world = world(without("watch", "pods")).await;
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
    let world = world(without("list", "pods")).await;
    let output = world.run_once();
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    assert_eq!(world.live().await, [("v1".to_owned(), 100)]);
}

/// The Role of the Lease in the world's namespace, after `lose` took something from its rules.
async fn lease_role(world: &World, lose: impl Fn(&mut Value)) {
    for mut document in documents(&std::fs::read_to_string(deploy().join("base/lease.yaml")).unwrap()) {
        document["metadata"]["namespace"] = json!(world.namespace);
        match document["kind"].as_str().unwrap() {
            "Role" => lose(&mut document),
            "RoleBinding" => {
                document["subjects"][0]["name"] = json!(world.namespace);
                document["subjects"][0]["namespace"] = json!(world.namespace);
            }
            other => panic!("lease.yaml has a {other}"),
        }
        create(&world.client, document).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_right_to_the_lease_is_needed_and_they_are_enough() {
    for (verb, says) in [("", ""), ("create", "cannot create"), ("get", "cannot get"), ("patch", "cannot patch")] {
        let world = world(|_| {}).await;
        lease_role(&world, |role| {
            for rule in role["rules"].as_array_mut().unwrap() {
                rule["verbs"].as_array_mut().unwrap().retain(|other| other != verb);
            }
            role["rules"].as_array_mut().unwrap().retain(|rule| rule["verbs"] != json!([]));
        })
        .await;
        let log = world.repository.home().join("log");
        let file = std::fs::File::create(&log).unwrap();
        let flags = ["--leader-elect", "--lease-namespace", &world.namespace];
        let _running = Running(world.run(&flags).stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap());
        let said = || async { std::fs::read_to_string(&log).unwrap().contains(&format!("{says} resource \"leases\"")) };
        if verb.is_empty() {
            let made = || async { world.live().await == [("v1".to_owned(), 100)] };
            eventually("it is made", SOON, made).await;
            continue;
        }
        eventually(&format!("the log says {says}"), SOON, said).await;
        if verb != "patch" {
            tokio::time::sleep(std::time::Duration::from_secs(2)).await;
            assert_eq!(world.live().await, [], "without {verb} nothing is made");
        }
    }
}
