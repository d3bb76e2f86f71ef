//! The chart with a configuration file: what stands in it, which flags go with it, and which rights its clusters need.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tidegate::config::{Configuration, configuration};

use crate::SOON;
use crate::controlplane::ControlPlane;
use crate::kubernetes::{create, eventually};
use crate::render::{documents, only, rendered, template};
use crate::tools::printed;
use crate::verbs::rights_of;
use crate::world::{Running, World, without};

/// A cluster of each kind: its own, one by a Secret, and one by a kubeconfig.
pub const CLUSTERS: &str = "clusters[0].name=hub,clusters[0].inCluster=true,clusters[0].labels.region=eu,\
    clusters[0].mesh=shop,clusters[0].istiod=auto,clusters[0].gatewayAdmin=auto,\
    clusters[1].name=eu-1,clusters[1].secret.namespace=istio-system,clusters[1].secret.name=istio-remote-secret-eu-1,\
    clusters[1].mesh=shop,clusters[1].role=remote,\
    clusters[2].name=us-1,clusters[2].kubeconfig=/secrets/clusters/us.yaml,clusters[2].context=us-1,\
    kubeconfigSecret=kubeconfigs";
/// The plan repositories of a file.
const REPOSITORIES: &str = "repositories[0].name=shop,repositories[0].url=https://git.example.com/shop.git,\
    repositories[0].tokenFile=/secrets/git/token,repositories[0].allow.namespaces={shop,team-*},\
    repositories[1].url=ssh://git@git.example.com/pay.git,git.secretName=git";
/// How long it is looked whether more comes about without a right.
const STILL: Duration = Duration::from_secs(2);

fn file(objects: &[Value]) -> String {
    only(objects, "ConfigMap")["data"]["tidegate.yaml"].as_str().unwrap().to_owned()
}

fn arguments(objects: &[Value]) -> Vec<String> {
    let pod = only(objects, "Deployment")["spec"]["template"]["spec"].clone();
    serde_json::from_value(pod["containers"][0]["args"].clone()).unwrap()
}

#[test]
fn the_file_of_the_chart_is_accepted_and_stands_in_place_of_the_flags_that_say_the_same() {
    let objects = documents(&rendered(CLUSTERS));
    let text = file(&objects);
    let Configuration { clusters, .. } =
        configuration(Path::new("/etc/tidegate/tidegate.yaml"), text.as_bytes()).unwrap();
    let names: Vec<&str> = clusters.iter().map(|cluster| cluster.name.as_str()).collect();
    assert_eq!(names, ["hub", "eu-1", "us-1"]);
    assert_eq!(clusters[2].access.kubeconfig.as_deref(), Some(Path::new("/secrets/clusters/us.yaml")));
    let flags = arguments(&objects);
    let of = |flag: &str| flags.iter().filter(|argument| argument.starts_with(flag)).count();
    assert_eq!((of("--config="), of("--repo="), of("--cluster-name")), (1, 1, 0), "{flags:?}");
    let pod = only(&objects, "Deployment")["spec"]["template"]["spec"].clone();
    let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap().clone();
    for (name, path) in [("configuration", "/etc/tidegate"), ("clusters", "/secrets/clusters")] {
        // A whole folder: what is mounted by subPath never changes.
        assert!(mounts.contains(&json!({"name": name, "mountPath": path, "readOnly": true})), "{mounts:?}");
    }
    let volumes = pod["volumes"].as_array().unwrap();
    assert!(volumes.iter().any(|volume| volume["secret"] == json!({"secretName": "kubeconfigs", "defaultMode": 288})));
}

#[test]
fn the_repositories_of_the_file_are_rendered_as_they_stand_and_no_flag_names_another() {
    let objects = documents(&rendered(&format!("{CLUSTERS},{REPOSITORIES}")));
    let written: Value = serde_yaml::from_str(&file(&objects)).unwrap();
    let repositories = json!([
        {
            "name": "shop", "url": "https://git.example.com/shop.git", "tokenFile": "/secrets/git/token",
            "allow": {"namespaces": ["shop", "team-*"]},
        },
        {"url": "ssh://git@git.example.com/pay.git"},
    ]);
    assert_eq!(written["repositories"], repositories);
    let read = configuration(Path::new("/etc/tidegate/tidegate.yaml"), file(&objects).as_bytes()).unwrap();
    let names: Vec<&str> = read.repositories.iter().map(|repository| repository.name.as_str()).collect();
    assert_eq!(names, ["shop", "pay"]);
    let flags = arguments(&objects);
    for flag in ["--repo", "--branch", "--path", "--verify", "--git-token-file"] {
        assert!(!flags.iter().any(|argument| argument.starts_with(flag)), "{flag}: {flags:?}");
    }
    let pod = only(&objects, "Deployment")["spec"]["template"]["spec"].clone();
    let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap().clone();
    assert!(mounts.iter().any(|mount| mount["mountPath"] == "/secrets/git"), "{mounts:?}");
}

#[test]
fn the_values_of_the_docs_make_the_file_that_they_are_shown_for() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md")).unwrap();
    let block = page.split("```").find(|block| block.contains("# values.yaml: helm install")).unwrap();
    let home = tempfile::tempdir().unwrap();
    let values = home.path().join("values.yaml");
    std::fs::write(&values, block.split_once('\n').unwrap().1).unwrap();
    let objects = documents(&printed(template("replicas=2").arg("--values").arg(&values)));
    let read = configuration(Path::new("/etc/tidegate/tidegate.yaml"), file(&objects).as_bytes()).unwrap();
    assert_eq!(read.clusters.len(), 3);
    assert_eq!((roles(&objects, "-clusters").len(), roles(&objects, "-forwards").len()), (1, 1));
}

/// The running process follows the file: a restart would only cost.
#[test]
fn another_file_is_no_other_pod() {
    let before = documents(&rendered(CLUSTERS));
    let more = "clusters[3].name=us-2,clusters[3].secret.namespace=fleet,clusters[3].secret.name=us-2";
    let after = documents(&rendered(&format!("{CLUSTERS},{more}")));
    assert_eq!(only(&before, "Deployment"), only(&after, "Deployment"));
    assert_ne!(file(&before), file(&after));
}

/// The rules of the Roles whose names end so, by namespace.
fn roles(objects: &[Value], kind: &str) -> Vec<(String, Value)> {
    let ours = objects.iter().filter(|object| {
        object["kind"] == "Role" && object["metadata"]["name"].as_str().is_some_and(|name| name.ends_with(kind))
    });
    ours.map(|role| (role["metadata"]["namespace"].as_str().unwrap().to_owned(), role["rules"].clone())).collect()
}

#[test]
fn the_rights_of_clusters_are_those_that_the_file_asks_for() {
    let get = |names: &[&str]| json!([{"apiGroups": [""], "resources": ["secrets"], "resourceNames": names, "verbs": ["get"]}]);
    let more = "clusters[3].name=us-2,clusters[3].secret.namespace=fleet,clusters[3].secret.name=us-2,\
                clusters[4].name=us-3,clusters[4].secret.namespace=istio-system,clusters[4].secret.name=us-3";
    let objects = documents(&rendered(&format!("{CLUSTERS},{more}")));
    let expected =
        [("fleet".to_owned(), get(&["us-2"])), ("istio-system".to_owned(), get(&["istio-remote-secret-eu-1", "us-3"]))];
    assert_eq!(roles(&objects, "-clusters"), expected);
    assert_eq!((roles(&objects, "-mesh").len(), roles(&objects, "-forwards").len()), (1, 1));
    let gateways = |objects: &[Value]| {
        let role = only(objects, "ClusterRole");
        role["rules"].as_array().unwrap().iter().any(|rule| rule["resources"] == json!(["gateways"]))
    };
    assert!(gateways(&objects));
    let plain = documents(&rendered("clusters[0].name=hub,clusters[0].inCluster=true"));
    for kind in ["-clusters", "-mesh", "-forwards"] {
        assert_eq!(roles(&plain, kind), [], "{kind}");
    }
    assert!(!gateways(&plain));
}

#[test]
fn values_that_say_what_the_file_says_are_refused() {
    for (values, words) in [
        ("clusterName=prod", "clusterName stands beside it"),
        ("istiod.find=true", "istiod.find, istiod.urls and istiod.gateways.find stand beside it"),
        ("istiod.urls={http://istiod:15014}", "istiod.find, istiod.urls and istiod.gateways.find stand beside it"),
        ("kubeconfigSecret=", "kubeconfigSecret is needed for the kubeconfig of cluster us-1"),
        ("clusters[3].labels.a=b", "missing property 'name'"),
        (
            "repositories[0].url=a,verify.mode=tip,verify.configMapName=keys,verify.files={a}",
            "verify.mode stand beside it",
        ),
        ("repositories[0].url=a,git.auth=token,git.secretName=git", "git.auth, git.username"),
        ("repositories[0].url=a,push.auth=ssh,push.secretName=push", "push.auth, push.username"),
        (
            "repositories[0].url=a,repository.url=https://git.example.com/b.git",
            "repositories and repository.url exclude",
        ),
    ] {
        refused(&format!("{CLUSTERS},{values}"), words);
    }
    refused("repositories[0].url=a", "repositories needs clusters");
    refused("kubeconfigSecret=a", "clusters is needed for kubeconfigSecret");
}

fn refused(values: &str, words: &str) {
    let output = template(values).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{values} is accepted");
    assert!(error.contains(words), "{values}: {error}");
}

fn plan() -> (&'static str, String) {
    let text = "apiVersion: tidegate.dev/v1alpha1\nkind: CanaryPlan\nmetadata: {name: web, namespace: NAMESPACE}\nspec:\n  \
                service: web\n  versions: {v1: {labels: {version: v1}}, v2: {labels: {version: v2}}}\n  \
                traffic: {v1: 100}\n";
    ("plans/web.yaml", text.to_owned())
}

/// What both the chart's Roles read: a Secret that leads to the other cluster of the mesh, and the mesh config of this one.
async fn istio_system(plane: &ControlPlane) {
    let client = plane.client().await;
    create(&client, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}})).await;
    let named =
        |name: &str| json!({"name": name, "namespace": "istio-system", "labels": {"istio/multiCluster": "true"}});
    let data = json!({"eu-1": STANDARD.encode(plane.kubeconfig_text())});
    let secret = named("istio-remote-secret-eu-1");
    create(&client, json!({"apiVersion": "v1", "kind": "Secret", "metadata": secret, "data": data})).await;
    let mesh = json!({"mesh": "rootNamespace: istio-system"});
    create(&client, json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": named("istio"), "data": mesh})).await;
}

/// tidegate by the file and the Roles of the chart, after `lose` took something from these. Returns whether the plan was
/// made once the log says `words`.
async fn is_made(plane: &ControlPlane, lose: impl Fn(&mut Value), words: &str) -> bool {
    let world = World::new(plane, &[plan()], |_| {}).await;
    let objects = documents(&rendered(CLUSTERS));
    let ours = |object: &&Value| {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        ["-clusters", "-mesh"].iter().any(|end| name.ends_with(end))
    };
    for mut object in objects.iter().filter(ours).cloned() {
        let name = format!("{}-{}", object["metadata"]["name"].as_str().unwrap(), world.namespace);
        object["metadata"]["name"] = json!(name);
        if object["kind"] == "Role" {
            lose(&mut object);
        } else {
            object["roleRef"]["name"] = json!(name);
            object["subjects"][0]["name"] = json!(world.namespace);
            object["subjects"][0]["namespace"] = json!(world.namespace);
        }
        create(&world.client, object).await;
    }
    let home = world.repository.home();
    let own = format!("kubeconfig: {}", world.kubeconfig.display());
    let alone =
        file(&objects).replace("inCluster: true", &own).replace("gatewayAdmin: auto", "").replace("istiod: auto", "");
    let alone = alone.split("- context: us-1").next().unwrap();
    std::fs::write(home.join("tidegate.yaml"), alone).unwrap();
    let log = home.join("log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(["run", "--repo", &world.repository.location(), "--repo-name", &world.namespace]);
    command.args(["--convergence-wait", "100ms", "--config"]).arg(home.join("tidegate.yaml"));
    // The cluster that tidegate runs in, as far as it is told.
    command.env("KUBECONFIG", &world.kubeconfig).env_remove("TIDEGATE_LOG");
    let output = File::create(&log).unwrap();
    let running = Running(command.stdout(output.try_clone().unwrap()).stderr(output).spawn().unwrap());
    let read = || std::fs::read_to_string(&log).unwrap().replace('\\', "");
    let is_live = || async { world.live().await == [("v1".to_owned(), 100)] };
    if words.is_empty() {
        eventually("the plan is made", SOON, is_live).await;
        assert!(!read().contains("forbidden"), "{}", read());
    } else {
        eventually(&format!("the log says `{words}`"), SOON, || async { read().contains(words) }).await;
        tokio::time::sleep(STILL).await;
    }
    drop(running);
    is_live().await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_right_to_secrets_and_mesh_config_is_needed_and_they_are_enough() {
    // As of older servers, so that `list` is needed, too.
    let plane = &ControlPlane::start_with(&[], &["--feature-gates=WatchList=false"]);
    istio_system(plane).await;
    assert!(is_made(plane, |_| {}, "").await);
    let objects = documents(&rendered(CLUSTERS));
    let roles = objects.iter().filter(|object| object["kind"] == "Role");
    let ours = roles
        .filter(|role| role["metadata"]["name"] != "tidegate-lease" && role["metadata"]["name"] != "tidegate-forwards");
    let rights: Vec<(String, String)> = ours.flat_map(rights_of).collect();
    assert_eq!(rights.len(), 3);
    let each = rights.iter().map(|(verb, resource)| async move {
        let lose = |role: &mut Value| {
            if rights_of(role).contains(&(verb.clone(), resource.clone())) {
                without(verb, resource)(role);
            }
        };
        // What is `clusterLocal` is not known then; a cluster that is not reached keeps everything where it is.
        let made = is_made(plane, lose, &format!("cannot {verb} resource \"{resource}\"")).await;
        assert_eq!(made, resource == "configmaps", "without {verb} of {resource}");
    });
    futures::future::join_all(each).await;
}
