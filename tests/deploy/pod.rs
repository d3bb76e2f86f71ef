//! The Deployment: a command line that tidegate accepts, in a pod that may do nothing else.

use std::collections::BTreeSet;
use std::process::Command;

use kube::api::PostParams;
use serde_json::{Value, json};

use crate::clusters::CLUSTERS;
use crate::controlplane::ControlPlane;
use crate::kubernetes::{api, create};
use crate::render::{documents, kustomized, only, overlay, rendered};
use crate::tools::printed;

/// Values that make the chart give every flag that it knows.
const ALL: [&str; 7] = [
    "git.auth=token,git.secretName=git,git.username=bot,git.privateCA=true,verify.mode=tip,verify.configMapName=keys,\
     verify.files={a},webhook.secretName=hook",
    "git.auth=password,git.secretName=git,git.username=bot",
    "git.auth=ssh,git.secretName=git,push.auth=ssh,push.secretName=push,push.signingSecretName=signing,\
     push.author=Tide <tide@example.com>",
    "push.auth=token,push.secretName=push,push.username=bot,push.notes=true,clusterName=prod",
    "push.enabled=false,istiod.urls={http://istiod-replicas.istio-system:15014}",
    "istiod.find=true,istiod.gateways.find=true",
    CLUSTERS,
];

fn pod(text: &str) -> Value {
    only(&documents(text), "Deployment")["spec"]["template"]["spec"].clone()
}

fn arguments(pod: &Value) -> Vec<String> {
    pod["containers"][0]["args"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_argument_that_the_chart_gives_is_one_of_run() {
    let help = printed(Command::new(env!("CARGO_BIN_EXE_tidegate")).args(["run", "--help"]));
    let known: BTreeSet<&str> = help.split([' ', ',', '\n']).filter(|word| word.starts_with("--")).collect();
    let mut given = BTreeSet::new();
    for values in ALL {
        let arguments = arguments(&pod(&rendered(values)));
        assert_eq!(arguments[0], "run");
        given.extend(arguments[1..].iter().map(|argument| argument.split('=').next().unwrap().to_owned()));
    }
    for flag in &given {
        assert!(known.contains(flag.as_str()), "{flag} is none of `tidegate run`");
    }
    assert!(given.len() > 25, "{given:?}");
}

/// What the pod's arguments point to is mounted there, and a secret is never an argument or a variable.
#[test]
fn every_file_that_an_argument_names_is_mounted() {
    for values in ALL {
        let pod = pod(&rendered(values));
        let container = &pod["containers"][0];
        let mounts: Vec<&Value> = container["volumeMounts"].as_array().unwrap().iter().collect();
        let volumes: BTreeSet<&str> =
            pod["volumes"].as_array().unwrap().iter().map(|volume| volume["name"].as_str().unwrap()).collect();
        for argument in arguments(&pod) {
            let Some((_, path)) = argument.split_once("=/") else { continue };
            let mounted = mounts.iter().any(|mount| {
                let folder = mount["mountPath"].as_str().unwrap().trim_start_matches('/');
                path.starts_with(folder) && volumes.contains(mount["name"].as_str().unwrap())
            });
            assert!(mounted, "{argument} is not mounted with {values}");
        }
        for variable in container["env"].as_array().unwrap() {
            assert!(variable["valueFrom"]["secretKeyRef"].is_null(), "{variable}");
        }
    }
}

#[test]
fn the_configuration_of_several_clusters_is_mounted_where_the_argument_says_and_is_accepted() {
    let several = overlay("{resources: [../deploy], components: [../deploy/clusters]}");
    let objects = documents(&kustomized(&several.path().join("overlay")));
    let pod = only(&objects, "Deployment")["spec"]["template"]["spec"].clone();
    assert!(arguments(&pod).contains(&"--config=/etc/tidegate/tidegate.yaml".to_owned()), "{pod}");
    let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
    assert!(
        mounts.contains(&json!({"name": "configuration", "mountPath": "/etc/tidegate", "readOnly": true})),
        "{mounts:?}"
    );
    let text = only(&objects, "ConfigMap")["data"]["tidegate.yaml"].as_str().unwrap().to_owned();
    let read = tidegate::config::configuration(std::path::Path::new("/etc/tidegate/tidegate.yaml"), text.as_bytes());
    assert_eq!(read.unwrap().clusters.len(), 3);
}

#[test]
fn the_pod_is_restricted_and_its_probes_reach_what_it_serves() {
    let objects = documents(&rendered("namespace.create=true"));
    let pod = pod(&rendered("namespace.create=true"));
    let container = &pod["containers"][0];
    let user = &pod["securityContext"];
    assert_eq!((&user["runAsNonRoot"], &user["runAsUser"]), (&json!(true), &json!(65532)));
    assert_eq!(user["seccompProfile"]["type"], "RuntimeDefault");
    let limits = &container["securityContext"];
    assert_eq!(limits["readOnlyRootFilesystem"], true);
    assert_eq!(limits["allowPrivilegeEscalation"], false);
    assert_eq!(limits["capabilities"], json!({"drop": ["ALL"]}));
    assert!(container["resources"]["limits"]["memory"].is_string() && container["resources"]["requests"].is_object());
    // What is written lies on volumes: the mirror, and temporary files.
    for path in ["/mirror", "/tmp"] {
        let mounts = container["volumeMounts"].as_array().unwrap();
        assert!(mounts.iter().any(|mount| mount["mountPath"] == path && mount["readOnly"].is_null()), "{path}");
    }
    let ports = json!([{"name": "http", "containerPort": 8080}]);
    assert_eq!(container["ports"], ports);
    assert!(arguments(&pod).contains(&"--listen=0.0.0.0:8080".to_owned()));
    assert_eq!(container["livenessProbe"]["httpGet"], json!({"path": "/healthz", "port": "http"}));
    assert_eq!(container["readinessProbe"]["httpGet"], json!({"path": "/readyz", "port": "http"}));
    let namespace = only(&objects, "Namespace");
    assert_eq!(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted");
    // All that selects the pod selects it.
    let labels = only(&objects, "Deployment")["spec"]["template"]["metadata"]["labels"].clone();
    let selectors = [
        only(&objects, "Deployment")["spec"]["selector"]["matchLabels"].clone(),
        only(&objects, "Service")["spec"]["selector"].clone(),
        only(&objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"].clone(),
        only(&documents(&rendered("monitoring.podMonitor=true")), "PodMonitor")["spec"]["selector"]["matchLabels"]
            .clone(),
    ];
    for selector in selectors {
        let selector = selector.as_object().unwrap();
        assert!(!selector.is_empty() && selector.iter().all(|(name, value)| labels[name] == *value), "{selector:?}");
    }
    assert_eq!(pod["serviceAccountName"], only(&objects, "ServiceAccount")["metadata"]["name"]);
}

/// Kubernetes' own judge of pods, in a namespace as the base makes it.
#[tokio::test(flavor = "multi_thread")]
async fn pod_security_takes_the_pod_as_restricted() {
    let client = ControlPlane::shared().client().await;
    let namespace = "deploy-restricted";
    let mut made = only(&documents(&rendered("namespace.create=true")), "Namespace");
    made["metadata"]["name"] = json!(namespace);
    create(&client, made).await;
    let pods = api(&client, namespace, "v1", "Pod");
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    for values in ALL {
        let mut spec = pod(&rendered(values));
        let mut body = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "tidegate"}, "spec": spec});
        pods.create(&dry_run, &serde_json::from_value(body.clone()).unwrap()).await.unwrap();
        spec["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = json!(true);
        body["spec"] = spec;
        let refused = pods.create(&dry_run, &serde_json::from_value(body).unwrap()).await.unwrap_err();
        assert!(refused.to_string().contains("violates PodSecurity"), "{refused}");
    }
}

/// The kustomization that docs/operations.md shows does what it is shown for.
#[test]
fn the_overlay_of_the_docs_names_image_repository_and_secret() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md")).unwrap();
    let block = page.split("```").find(|block| block.contains("# kustomization.yaml")).unwrap();
    let text = block.split_once('\n').unwrap().1;
    let home = overlay(&text.replace("../tidegate/deploy", "../deploy"));
    let pod = pod(&kustomized(&home.path().join("overlay")));
    let arguments = arguments(&pod);
    let repositories: Vec<&String> = arguments.iter().filter(|argument| argument.starts_with("--repo=")).collect();
    assert_eq!(repositories, ["--repo=ssh://git@git.example.com/shop/plans.git"]);
    assert!(arguments.contains(&"--git-known-hosts=/secrets/git/known_hosts".to_owned()), "{arguments:?}");
    assert_ne!(pod["containers"][0]["image"], "tidegate:0.1.0");
    assert!(pod["volumes"].as_array().unwrap().iter().any(|volume| volume["secret"]["secretName"] == "plans-git"));
}
