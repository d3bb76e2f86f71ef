//! Reads how a cluster is reached from a Secret: a remote secret of Istio's, or a cluster secret of Argo CD's, as they are.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use kube::config::Kubeconfig;
use kube::{Client, Error};
use serde::Deserialize;
use serde_json::json;

/// The label of Istio's form, and its value. The key of the data is the cluster's name, its value a kubeconfig.
const ISTIO: (&str, &str) = ("istio/multiCluster", "true");
/// The label of Argo CD's form, and its value. The data are `name`, `server` and `config`, the last one JSON.
const ARGO: (&str, &str) = ("argocd.argoproj.io/secret-type", "cluster");
const DEADLINE: Duration = Duration::from_secs(10);

/// A Secret of the cluster that tidegate runs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for SecretName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The kubeconfig that a Secret holds for a cluster, with the context to use.
///
/// # Errors
/// Why there is none, without a word of what the Secret holds.
pub(super) async fn read(home: &Client, secret: &SecretName, cluster: &str) -> Result<(Kubeconfig, String), String> {
    let api: Api<Secret> = Api::namespaced(home.clone(), &secret.namespace);
    let found = match tokio::time::timeout(DEADLINE, api.get(&secret.name)).await {
        Err(_) => return Err(format!("no answer in {DEADLINE:?}")),
        Ok(Err(Error::Api(status))) => return Err(status.message.clone()),
        Ok(Err(error)) => return Err(error.to_string()),
        Ok(Ok(found)) => found,
    };
    kubeconfig(&found, cluster)
}

fn kubeconfig(secret: &Secret, cluster: &str) -> Result<(Kubeconfig, String), String> {
    let labels = secret.metadata.labels.clone().unwrap_or_default();
    let data: BTreeMap<&str, &[u8]> =
        secret.data.iter().flatten().map(|(key, value)| (key.as_str(), value.0.as_slice())).collect();
    let has = |(key, value): (&str, &str)| labels.get(key).is_some_and(|there| there == value);
    let kubeconfig = match (has(ISTIO), has(ARGO)) {
        (true, _) => remote(&data, cluster)?,
        (_, true) => argo(&data)?,
        (false, false) => {
            return Err(format!("it has neither the label {}={} nor {}={}", ISTIO.0, ISTIO.1, ARGO.0, ARGO.1));
        }
    };
    harmless(&kubeconfig)?;
    let context = kubeconfig.current_context.clone().filter(|name| !name.is_empty());
    let context = context.or_else(|| Some(kubeconfig.contexts.first()?.name.clone()));
    Ok((kubeconfig, context.ok_or("its kubeconfig has no context")?))
}

/// The kubeconfig under the cluster's name, else the only one.
fn remote(data: &BTreeMap<&str, &[u8]>, cluster: &str) -> Result<Kubeconfig, String> {
    let only = || if data.len() == 1 { data.values().next() } else { None };
    let Some(found) = data.get(cluster).or_else(only) else {
        return Err(format!("it holds {} kubeconfigs, and none of them under the key {cluster}", data.len()));
    };
    let text = std::str::from_utf8(found).map_err(|_| "its kubeconfig is no text")?;
    Kubeconfig::from_yaml(text).map_err(|_| "what it holds is no kubeconfig".to_owned())
}

/// What Argo CD keeps beside name and server.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ArgoConfig {
    bearer_token: Option<String>,
    username: Option<String>,
    password: Option<String>,
    tls_client_config: ArgoTls,
    proxy_url: Option<String>,
    aws_auth_config: Option<serde_json::Value>,
    exec_provider_config: Option<serde_json::Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ArgoTls {
    insecure: bool,
    server_name: Option<String>,
    ca_data: Option<String>,
    cert_data: Option<String>,
    key_data: Option<String>,
}

fn argo(data: &BTreeMap<&str, &[u8]>) -> Result<Kubeconfig, String> {
    let text = |key: &str| {
        let value = data.get(key).ok_or_else(|| format!("it has no key `{key}`"))?;
        std::str::from_utf8(value).map_err(|_| format!("its `{key}` is no text"))
    };
    let config: ArgoConfig = match data.get("config") {
        None => ArgoConfig::default(),
        Some(_) => serde_json::from_str(text("config")?).map_err(|_| "its `config` is not the JSON of Argo CD")?,
    };
    if config.aws_auth_config.is_some() || config.exec_provider_config.is_some() {
        return Err("its credentials come from a program, which is not run for a Secret".to_owned());
    }
    let ArgoTls { insecure, server_name, ca_data, cert_data, key_data } = config.tls_client_config;
    let mut cluster = json!({"server": text("server")?.trim(), "insecure-skip-tls-verify": insecure});
    let mut user = json!({});
    let put = |fields: &mut serde_json::Value, key: &str, value: Option<String>| {
        if let (Some(fields), Some(value)) = (fields.as_object_mut(), value.filter(|text| !text.is_empty())) {
            fields.insert(key.to_owned(), value.into());
        }
    };
    put(&mut cluster, "certificate-authority-data", ca_data);
    put(&mut cluster, "tls-server-name", server_name);
    put(&mut cluster, "proxy-url", config.proxy_url);
    put(&mut user, "token", config.bearer_token);
    put(&mut user, "username", config.username);
    put(&mut user, "password", config.password);
    put(&mut user, "client-certificate-data", cert_data);
    put(&mut user, "client-key-data", key_data);
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "argo",
        "clusters": [{"name": "argo", "cluster": cluster}],
        "users": [{"name": "argo", "user": user}],
        "contexts": [{"name": "argo", "context": {"cluster": "argo", "user": "argo"}}],
    });
    serde_json::from_value(kubeconfig).map_err(|_| "its `config` is not the JSON of Argo CD".to_owned())
}

/// Whoever may write a Secret must not get tidegate to run a program or to read one of its files.
fn harmless(kubeconfig: &Kubeconfig) -> Result<(), String> {
    let users = kubeconfig.auth_infos.iter().filter_map(|user| user.auth_info.as_ref());
    for user in users {
        if user.exec.is_some() || user.auth_provider.is_some() {
            return Err("its credentials come from a program, which is not run for a Secret".to_owned());
        }
        if user.token_file.is_some() || user.client_certificate.is_some() || user.client_key.is_some() {
            return Err("its credentials are in files, which are not read for a Secret".to_owned());
        }
    }
    let clusters = kubeconfig.clusters.iter().filter_map(|cluster| cluster.cluster.as_ref());
    if clusters.into_iter().any(|cluster| cluster.certificate_authority.is_some()) {
        return Err("its certificate authority is in a file, which is not read for a Secret".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(label: (&str, &str), data: &[(&str, &str)]) -> Secret {
        let data: BTreeMap<_, _> = data
            .iter()
            .map(|(key, value)| ((*key).to_owned(), k8s_openapi::ByteString(value.as_bytes().to_vec())))
            .collect();
        let labels = BTreeMap::from([(label.0.to_owned(), label.1.to_owned())]);
        let metadata = kube::core::ObjectMeta { labels: Some(labels), ..Default::default() };
        Secret { metadata, data: Some(data), ..Secret::default() }
    }

    fn config(user: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: eu\nclusters: [{{name: eu, cluster: {{server: \"https://eu\"}}}}]\n\
             users: [{{name: eu, user: {user}}}]\ncontexts: [{{name: eu, context: {{cluster: eu, user: eu}}}}]\n"
        )
    }

    fn server(found: &(Kubeconfig, String)) -> (&str, &str) {
        (found.0.clusters[0].cluster.as_ref().unwrap().server.as_deref().unwrap(), &found.1)
    }

    #[test]
    fn a_remote_secret_of_istio_is_read_by_the_name_of_the_cluster() {
        let (one, two) = (config("{token: one}"), config("{token: two}").replace("https://eu", "https://us"));
        let found = kubeconfig(&secret(ISTIO, &[("eu", &one)]), "other").unwrap();
        assert_eq!(server(&found), ("https://eu", "eu"));
        let both = secret(ISTIO, &[("eu", &one), ("us", &two)]);
        assert_eq!(server(&kubeconfig(&both, "us").unwrap()).0, "https://us");
        let error = kubeconfig(&both, "asia").unwrap_err();
        assert_eq!(error, "it holds 2 kubeconfigs, and none of them under the key asia");
    }

    #[test]
    fn a_cluster_secret_of_argo_cd_makes_the_same_client() {
        let json =
            r#"{"bearerToken":"t","tlsClientConfig":{"insecure":false,"caData":"Y2E=","serverName":"eu.local"}}"#;
        let found = kubeconfig(&secret(ARGO, &[("name", "eu"), ("server", "https://eu:6443"), ("config", json)]), "eu")
            .unwrap();
        assert_eq!(server(&found), ("https://eu:6443", "argo"));
        let cluster = found.0.clusters[0].cluster.as_ref().unwrap();
        assert_eq!(cluster.certificate_authority_data.as_deref(), Some("Y2E="));
        assert_eq!(cluster.tls_server_name.as_deref(), Some("eu.local"));
        assert!(found.0.auth_infos[0].auth_info.as_ref().unwrap().token.is_some());
    }

    #[test]
    fn what_a_secret_may_not_lead_to_is_refused_without_a_word_of_it() {
        let program = "its credentials come from a program, which is not run for a Secret";
        let file = "its credentials are in files, which are not read for a Secret";
        let exec = r#"{"execProviderConfig":{"command":"kept-secret"}}"#;
        let argo = |json: &str| secret(ARGO, &[("server", "https://eu"), ("config", json)]);
        for (secret, says) in [
            (secret(ISTIO, &[("eu", &config("{exec: {command: kept-secret}}"))]), program),
            (secret(ISTIO, &[("eu", &config("{tokenFile: /kept-secret}"))]), file),
            (secret(ISTIO, &[("eu", &config("{client-key: /kept-secret}"))]), file),
            (argo(exec), program),
            (argo("{kept-secret"), "its `config` is not the JSON of Argo CD"),
            (secret(ARGO, &[("config", "{}")]), "it has no key `server`"),
            (secret(ISTIO, &[("eu", "users: kept-secret")]), "what it holds is no kubeconfig"),
            (
                secret(("a", "b"), &[]),
                "it has neither the label istio/multiCluster=true nor argocd.argoproj.io/secret-type=cluster",
            ),
        ] {
            assert_eq!(kubeconfig(&secret, "eu").unwrap_err(), says);
        }
    }
}
