//! `check --config`: each plan beside all clusters that it goes to, and what the others of their meshes have.

use serde_json::{Value, json};

use crate::bed::{Bed, plan, serve};
use crate::istio::{check, is_told};
use crate::process::Answer;

/// Two sandboxes, and a configuration of both beside the first one's files.
struct Two {
    east: Bed,
    west: Bed,
}

impl Two {
    /// The service `web` in both: v1 and v3 run in the east alone, and v2 in the west alone.
    async fn open() -> Self {
        let two = Self { east: Bed::open().await, west: Bed::with(Default::default()).await };
        serve(two.west.store(), "web", 0);
        for pod in ["web-v1", "web-v3"] {
            two.west.store().delete("pods", "shop", pod);
        }
        two.east.store().delete("pods", "shop", "web-v2");
        two
    }

    /// `check --config -o json` of plans, where the clusters have these fields beside their names.
    async fn check(&self, plans: &[String], east: &str, west: &str) -> (Answer, Vec<Value>) {
        let home = self.east.repository.home();
        let of = |name: &str, bed: &Bed, more: &str| {
            format!("- {{name: {name}, kubeconfig: '{}'{more}}}\n", bed.kubeconfig().display())
        };
        let text = format!(
            "apiVersion: tidegate.dev/v1alpha1\nkind: Configuration\nclusters:\n{}{}",
            of("east", &self.east, east),
            of("west", &self.west, west)
        );
        let file = home.join("tidegate.yaml");
        std::fs::write(&file, text).unwrap();
        check(home, plans, &["--config".to_owned(), file.display().to_string()]).await
    }
}

const MESH: &str = ", mesh: shop";
const REMOTE: &str = ", mesh: shop, role: remote";

fn split() -> [String; 1] {
    [plan("web", "traffic: {v1: 60, v2: 40}")]
}

fn messages(findings: &[Value]) -> Vec<(&str, &str)> {
    findings.iter().map(|found| (found["code"].as_str().unwrap(), found["message"].as_str().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_of_all_clusters_of_a_mesh_are_there_and_those_of_another_mesh_are_not() {
    let two = Two::open().await;
    for west in [MESH, REMOTE] {
        let (answer, findings) = two.check(&split(), MESH, west).await;
        assert_eq!((answer.code, findings.as_slice()), (0, &[][..]), "{west}");
    }
    let (answer, findings) = two.check(&split(), "", "").await;
    let told = messages(&findings);
    assert_eq!((answer.code, told.len()), (1, 2), "{told:?}");
    for (cluster, (code, message)) in ["east", "west"].into_iter().zip(told) {
        assert!(code == "IST0173" && message.starts_with(&format!("in cluster {cluster}: ")), "{code} {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_missing_and_an_object_that_nobody_reads() {
    let two = Two::open().await;
    let api = [plan("api", "traffic: {v1: 100}")];
    let (answer, findings) = two.check(&api, MESH, REMOTE).await;
    assert_eq!((answer.code, findings.len()), (0, 1), "{findings:#?}");
    is_told(&findings, "TG41", (0, 5, 12));
    let route = json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": "old", "namespace": "shop"},
        "spec": {"hosts": ["web"], "http": [{"route": [{"destination": {"host": "web"}}]}]}});
    two.west.store().put(route).unwrap();
    let (answer, findings) = two.check(&split(), MESH, REMOTE).await;
    assert_eq!((answer.code, findings.len()), (0, 1), "{findings:#?}");
    is_told(&findings, "TG42", (0, 5, 12));
    assert!(messages(&findings)[0].1.contains("VirtualService shop/old in cluster west"), "{findings:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_of_another_cluster_where_callers_stay_in_their_own() {
    let two = Two::open().await;
    let mesh = "serviceSettings:\n- settings: {clusterLocal: true}\n  hosts: ['*.shop.svc.cluster.local']\n";
    let settings = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio", "namespace": "istio-system"},
        "data": {"mesh": mesh}});
    two.east.store().put(settings).unwrap();
    let (answer, findings) = two.check(&split(), MESH, REMOTE).await;
    assert_eq!((answer.code, findings.len()), (1, 1), "{findings:#?}");
    is_told(&findings, "TG19", (0, 7, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_looked_at_beside_its_own_clusters_alone() {
    let two = Two::open().await;
    let of = |clusters: &str| [plan("api", &format!("clusters: [{clusters}]\n  traffic: {{v1: 100}}"))];
    let (answer, findings) = two.check(&of("east"), "", "").await;
    assert_eq!((answer.code, findings.as_slice()), (0, &[][..]), "the west has no such Service");
    let (_, findings) = two.check(&of("north"), "", "").await;
    assert_eq!(messages(&findings)[0].0, "TG39", "{findings:#?}");
    let (_, findings) = two.check(&of("west"), MESH, REMOTE).await;
    assert_eq!(messages(&findings)[0].0, "TG39", "no plan goes to a remote: {findings:#?}");
}
