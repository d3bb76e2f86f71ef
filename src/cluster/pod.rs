//! Pods as far as they are of interest: whatever else the server tells of one is dropped while it is read.

use std::borrow::Cow;
use std::collections::BTreeMap;

use kube::Resource;
use kube::api::ObjectMeta;
use kube::core::NamespaceResourceScope;
use serde::Deserialize;

use crate::rollout::Image;

/// Istio's proxy where nothing tells what was injected.
const PROXY: &str = "istio-proxy";

/// The labels of a pod and what it runs.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Wire")]
pub(super) struct Pod {
    pub(super) labels: BTreeMap<String, String>,
    containers: Vec<Container>,
    /// Only what a watch needs.
    metadata: ObjectMeta,
}

/// One container that is no sidecar: its image as the spec names it, and the digest that it was resolved to.
#[derive(Clone, Debug)]
struct Container {
    image: String,
    digest: Option<String>,
}

impl Pod {
    /// What it runs; none where that is not known.
    pub(super) fn image(&self) -> Option<Image> {
        Image::of(self.containers.iter().map(|one| (one.image.as_str(), one.digest.as_deref())))
    }
}

#[derive(Deserialize)]
struct Wire {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    resource_version: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: Annotations,
}

#[derive(Default, Deserialize)]
struct Annotations {
    /// Istio tells here, as JSON, which containers it has injected.
    #[serde(rename = "sidecar.istio.io/status")]
    injected: Option<String>,
}

#[derive(Default, Deserialize)]
struct Spec {
    #[serde(default)]
    containers: Vec<Declared>,
}

#[derive(Deserialize)]
struct Declared {
    #[serde(default)]
    name: String,
    #[serde(default)]
    image: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    #[serde(default)]
    container_statuses: Vec<Running>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Running {
    #[serde(default)]
    name: String,
    #[serde(default, rename = "imageID")]
    image_id: String,
}

/// What [`Annotations::injected`] says.
#[derive(Default, Deserialize)]
struct Injected {
    #[serde(default)]
    containers: Option<Vec<String>>,
}

impl From<Wire> for Pod {
    fn from(wire: Wire) -> Self {
        let Wire { metadata, spec, status } = wire;
        let injected: Injected =
            metadata.annotations.injected.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let injected = injected.containers.unwrap_or_default();
        let is_sidecar = |name: &String| name == PROXY || injected.contains(name);
        let digest = |name: &String| {
            let running = status.container_statuses.iter().find(|running| running.name == *name)?;
            let (_, digest) = running.image_id.rsplit_once("sha256:")?;
            Some(digest.to_owned())
        };
        let own =
            spec.containers.into_iter().filter(|declared| !is_sidecar(&declared.name) && !declared.image.is_empty());
        let containers =
            own.map(|declared| Container { digest: digest(&declared.name), image: declared.image }).collect();
        let Metadata { name, namespace, resource_version, labels, .. } = metadata;
        let metadata = ObjectMeta { name, namespace, resource_version, ..ObjectMeta::default() };
        Self { labels, containers, metadata }
    }
}

impl Resource for Pod {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Pod".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "pods".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(annotations: Value, containers: &[(&str, &str)], running: &[(&str, &str)]) -> Pod {
        let containers: Vec<Value> =
            containers.iter().map(|(name, image)| json!({"name": name, "image": image, "env": []})).collect();
        let running: Vec<Value> =
            running.iter().map(|(name, id)| json!({"name": name, "imageID": id, "ready": true})).collect();
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "p", "namespace": "shop", "resourceVersion": "7", "labels": {"version": "v1"},
                "annotations": annotations, "managedFields": [{"manager": "kubelet"}]},
            "spec": {"containers": containers, "initContainers": [{"name": "init", "image": "init:1"}]},
            "status": {"containerStatuses": running, "phase": "Running"},
        }))
        .unwrap()
    }

    #[test]
    fn sidecars_and_init_containers_are_no_part_of_what_is_proven() {
        let alone = pod(json!({}), &[("web", "web:1")], &[]).image();
        assert!(alone.is_some());
        let proxied = pod(json!({}), &[("web", "web:1"), ("istio-proxy", "proxyv2:1.30")], &[]);
        assert_eq!(proxied.image(), alone);
        let injected = json!({"sidecar.istio.io/status": r#"{"containers": ["proxy"], "initContainers": null}"#});
        assert_eq!(pod(injected, &[("web", "web:1"), ("proxy", "proxyv2:1.31")], &[]).image(), alone);
        let odd = json!({"sidecar.istio.io/status": "no JSON", "other": "x"});
        assert_eq!(pod(odd, &[("web", "web:1")], &[]).image(), alone);
        assert_ne!(pod(json!({}), &[("web", "web:1"), ("log", "log:1")], &[]).image(), alone);
    }

    #[test]
    fn the_digest_is_that_of_the_container_whoever_runs_it() {
        let of = |id: &str| pod(json!({}), &[("web", "web:1")], &[("istio-proxy", "x@sha256:ff"), ("web", id)]).image();
        let resolved = Image::of([("web:1", Some("0123"))]);
        for id in ["docker-pullable://mirror/web@sha256:0123", "mirror/web@sha256:0123", "sha256:0123"] {
            assert_eq!(of(id), resolved, "{id}");
        }
        assert_eq!(of(""), Image::of([("web:1", None)]));
    }

    #[test]
    fn what_a_watch_needs_is_kept_and_a_pod_without_anything_is_read() {
        let pod = pod(json!({}), &[("web", "web:1")], &[]);
        let meta = pod.meta();
        let (name, version) = (meta.name.as_deref(), meta.resource_version.as_deref());
        assert_eq!((name, meta.namespace.as_deref(), version), (Some("p"), Some("shop"), Some("7")));
        assert_eq!((pod.labels["version"].as_str(), &meta.managed_fields), ("v1", &None));
        let bare: Pod = serde_json::from_value(json!({"metadata": {"name": "p"}})).unwrap();
        assert_eq!(bare.image(), None);
    }
}
