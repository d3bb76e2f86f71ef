//! Follows the settings of a cluster's mesh, as far as they keep callers from endpoints of other clusters.

use futures::StreamExt as _;
use kube::api::Api;
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watch_object};
use serde_json::Value;
use tokio::sync::mpsc::{self, Receiver};

use super::feed::Eager;
use super::untyped::Untyped;
use super::write::words;
use super::{Cluster, Seen};
use crate::istio::rules::ClusterLocal;
use crate::plan;

/// Where Istio keeps the settings of the mesh.
pub(super) const ISTIO_SYSTEM: &str = "istio-system";
pub(super) const MESH_CONFIG: &str = "istio";

/// The API of ConfigMaps where the settings are.
pub(super) fn api(cluster: &Cluster) -> Api<Untyped> {
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", "ConfigMap"), "configmaps");
    Api::namespaced_with(cluster.client().clone(), ISTIO_SYSTEM, &resource)
}

/// They are no YAML.
pub(super) struct NoYaml;

/// The settings that a ConfigMap has; none where it has none.
///
/// # Errors
/// Where they are no YAML.
pub(super) fn settings(found: &Value) -> Result<Option<Value>, NoYaml> {
    let Some(text) = found.pointer("/data/mesh").and_then(Value::as_str) else { return Ok(None) };
    plan::value_of(text).map(Some).ok_or(NoYaml)
}

/// Tells which hosts are `clusterLocal`, and again whenever that changes, from within a tokio runtime. It ends when the
/// receiver is dropped.
pub fn watch_cluster_local(cluster: &Cluster) -> Receiver<Seen> {
    let (told, receiver) = mpsc::channel(1);
    let (api, name) = (api(cluster), cluster.name().to_owned());
    tokio::spawn(async move {
        let mut events = Box::pin(watch_object(api, MESH_CONFIG).backoff(Eager::default()));
        let mut last = None;
        while let Some(event) = events.next().await {
            let cannot =
                |why: &str| format!("cannot read ConfigMap {ISTIO_SYSTEM}/{MESH_CONFIG} of cluster {name}: {why}");
            let hosts = match event {
                Ok(found) => match found.map_or(Ok(None), |found| settings(&found.value)) {
                    Ok(mesh) => Ok(mesh.map(|mesh| ClusterLocal::of(&mesh)).unwrap_or_default()),
                    Err(NoYaml) => Err(cannot("it has no mesh config in YAML")),
                },
                Err(error) if is_refused(&error) => Err(cannot(&words(&error))),
                // It is asked again, and what was known stays so.
                Err(_) => continue,
            };
            if last.as_ref() == Some(&hosts) {
                continue;
            }
            last = Some(hosts.clone());
            if told.send(Seen::ClusterLocal(hosts)).await.is_err() {
                return;
            }
        }
    });
    receiver
}

/// Whether the server has answered that these credentials may not read it.
fn is_refused(error: &watcher::Error) -> bool {
    let status = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => status,
        _ => return false,
    };
    matches!(status.code, 401 | 403)
}
