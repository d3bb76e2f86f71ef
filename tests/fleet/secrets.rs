//! Clusters whose access lies in Secrets of the cluster that tidegate runs in.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::bed::{EAST, WEST};
use crate::configured::{Configured, away, cluster};
use crate::{V1, kubernetes};

fn secret(namespace: &str, label: (&str, &str), data: &[(&str, String)]) -> Value {
    let data: serde_json::Map<String, Value> =
        data.iter().map(|(key, text)| ((*key).to_owned(), STANDARD.encode(text).into())).collect();
    json!({
        "apiVersion": "v1", "kind": "Secret", "data": data,
        "metadata": {"name": "west", "namespace": namespace, "labels": {label.0: label.1}},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secrets_of_istio_and_of_argo_cd_are_read_as_they_are() {
    let bed = Configured::open("secrets", &[EAST, WEST]).await;
    let fleet = &bed.fleet;
    let (namespace, home) = (fleet.namespace.clone(), fleet.repository.home());
    // The cluster that tidegate runs in, as far as it is told.
    std::fs::create_dir(home.join(".kube")).unwrap();
    std::fs::write(home.join(".kube/config"), fleet.kubeconfig_of(EAST)).unwrap();
    let by_secret = format!("{{name: west, secret: {{namespace: {namespace}, name: west}}}}");
    bed.write(&[cluster(EAST, "eu"), by_secret]);
    let _process = bed.start();
    fleet.plan(V1);
    let says = |status: &Value, words: &str| away(status, WEST).is_some_and(|why| why.contains(words));
    bed.until_status("there is no Secret", |status| says(status, "not found")).await;
    let west = fleet.kubeconfig_of(WEST);
    kubernetes::create(
        &fleet.clients[EAST],
        secret(&namespace, ("istio/multiCluster", "true"), &[(WEST, west.clone())]),
    )
    .await;
    fleet.until_settled(&[("v1", 100)]).await;
    // Another form of the same: it is read again when the cluster is away.
    let parsed: Value = serde_yaml::from_str(&west).unwrap();
    let (server, user) = (&parsed["clusters"][0]["cluster"], &parsed["users"][0]["user"]);
    let config = json!({
        "bearerToken": user["token"],
        "tlsClientConfig": {"insecure": false, "caData": server["certificate-authority-data"]},
    });
    kubernetes::delete(&fleet.clients[EAST], &namespace, "v1", "Secret", WEST).await;
    let data = [
        ("name", "west".to_owned()),
        ("server", server["server"].as_str().unwrap().to_owned()),
        ("config", config.to_string()),
    ];
    kubernetes::create(&fleet.clients[EAST], secret(&namespace, ("argocd.argoproj.io/secret-type", "cluster"), &data))
        .await;
    bed.write(&[cluster(EAST, "eu")]);
    bed.until_status("west is gone", |status| status["clusters"].as_array().is_some_and(|all| all.len() == 1)).await;
    bed.write(&[cluster(EAST, "eu"), format!("{{name: west, secret: {{namespace: {namespace}, name: west}}}}")]);
    bed.until_status("west is back", |status| {
        status["clusters"].as_array().is_some_and(|all| all.len() == 2) && away(status, WEST).is_none()
    })
    .await;
    fleet.until_settled(&[("v1", 100)]).await;
}
