//! Finds the pods of istiods and gateways by their labels.

use std::{collections::BTreeSet, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Client, Error,
    api::{Api, ListParams},
    core::Request,
};
use serde::Deserialize;

use crate::cluster::NO_RIGHT;

/// How long one answer of the API server may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// How many pods are listed at a time, and how many pages of them.
const PAGE: u32 = 500;
const PAGES_MAX: usize = 40;

/// The label with which Istio tells its revisions apart.
const REVISION: &str = "istio.io/rev";

/// Pods by namespace and labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSelector {
    /// The namespace that they are in.
    pub namespace: String,
    /// A label selector as kubectl takes it.
    pub labels: String,
}

impl std::fmt::Display for PodSelector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "pods labelled {} in namespace {}", self.labels, self.namespace)
    }
}

/// A pod that is ready.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PodName {
    pub(super) namespace: String,
    pub(super) name: String,
    /// The revision of Istio that it says it is of.
    pub(super) revision: Option<String>,
}

impl PodName {
    /// The name that istiod has for the proxy in it.
    pub(super) fn proxy(&self) -> String {
        format!("{}.{}", self.name, self.namespace)
    }
}

/// What a look for pods found.
#[derive(Debug, Default)]
pub(super) struct Pods {
    pub(super) ready: BTreeSet<PodName>,
    /// How many more there are that are not ready, or about to end.
    pub(super) others: usize,
}

/// The pods with these labels, in one namespace or in all.
pub(super) async fn labelled(client: &Client, namespace: Option<&str>, labels: &str) -> Result<Pods, String> {
    let place = namespace.map_or_else(|| "in any namespace".to_owned(), |name| format!("in namespace {name}"));
    let path = namespace.map_or_else(|| "/api/v1/pods".to_owned(), |name| format!("/api/v1/namespaces/{name}/pods"));
    let request = Request::new(path).list(&ListParams::default().labels(labels).limit(PAGE));
    let request = request.map_err(|error| format!("pods labelled {labels} cannot be asked for: {error}"))?;
    let answer = tokio::time::timeout(DEADLINE, client.request::<List>(request)).await;
    let list = match answer {
        Ok(Ok(list)) => list,
        Ok(Err(error)) => {
            let hint = if lacks_right(&error) { "; grant tidegate's account `list` on pods there" } else { "" };
            return Err(format!("pods labelled {labels} {place} cannot be listed: {error}{hint}"));
        }
        Err(_) => return Err(format!("pods labelled {labels} {place} cannot be listed: no answer in {DEADLINE:?}")),
    };
    if !list.metadata.next.is_empty() {
        return Err(format!("more than {PAGE} pods {place} are labelled {labels}: name others"));
    }
    let mut found = Pods::default();
    for item in list.items {
        match item.read() {
            Some(pod) => {
                found.ready.insert(pod);
            }
            None => found.others += 1,
        }
    }
    Ok(found)
}

/// The names of the pods that run in a namespace.
pub(super) async fn running(client: &Client, namespace: &str) -> Result<BTreeSet<String>, String> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let mut names = BTreeSet::new();
    let mut params = ListParams::default().fields("status.phase=Running").limit(PAGE);
    for _ in 0..PAGES_MAX {
        let page = tokio::time::timeout(DEADLINE, pods.list_metadata(&params)).await;
        let page = page.map_err(|_| format!("no answer in {DEADLINE:?}"))?.map_err(|error| error.to_string())?;
        names.extend(page.items.into_iter().filter_map(|pod| pod.metadata.name));
        match page.metadata.continue_.filter(|next| !next.is_empty()) {
            Some(next) => params.continue_token = Some(next),
            None => return Ok(names),
        }
    }
    Err(format!("namespace {namespace} has too many pods to look through"))
}

/// Whether the API server says that the account lacks the right.
pub(super) fn lacks_right(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 403 && status.message.contains(NO_RIGHT))
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    metadata: ListMetadata,
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Deserialize, Default)]
struct ListMetadata {
    #[serde(default, rename = "continue")]
    next: String,
}

/// Of a whole pod only this: the rest is skipped unread.
#[derive(Deserialize)]
struct Item {
    metadata: Metadata,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    namespace: String,
    name: String,
    #[serde(default)]
    labels: std::collections::BTreeMap<String, String>,
    deletion_timestamp: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl Item {
    /// None where it is not ready.
    fn read(self) -> Option<PodName> {
        let ready = |condition: &Condition| condition.kind == "Ready" && condition.status == "True";
        if self.metadata.deletion_timestamp.is_some() || !self.status.conditions.iter().any(ready) {
            return None;
        }
        let Metadata { namespace, name, mut labels, .. } = self.metadata;
        Some(PodName { namespace, name, revision: labels.remove(REVISION) })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_pods_that_are_ready_and_stay_count() {
        let pod = |metadata: serde_json::Value, ready: &str| {
            let conditions = json!([{"type": "Ready", "status": ready}]);
            let item: Item =
                serde_json::from_value(json!({"metadata": metadata, "status": {"conditions": conditions}})).unwrap();
            item.read()
        };
        let named = |more: &str| {
            serde_json::from_str(&format!(r#"{{"namespace": "istio-system", "name": "istiod-1"{more}}}"#)).unwrap()
        };
        let read = pod(named(r#", "labels": {"app": "istiod", "istio.io/rev": "canary"}"#), "True").unwrap();
        assert_eq!((read.revision.as_deref(), read.proxy().as_str()), (Some("canary"), "istiod-1.istio-system"));
        assert_eq!(pod(named(""), "False"), None);
        assert_eq!(pod(named(r#", "deletionTimestamp": "2026-11-29T23:56:26Z""#), "True"), None);
        let bare: Item = serde_json::from_value(json!({"metadata": named("")})).unwrap();
        assert_eq!(bare.read(), None, "nobody has said that it is ready");
    }
}
