//! Asks whether a namespace exists, with no other right than that of making VirtualServices.

use kube::Error;
use kube::api::PostParams;
use kube::core::Request;
use serde_json::json;

use super::{
    Cluster,
    untyped::Untyped,
    write::{DEADLINE, FIELD_MANAGER},
};
use crate::istio::ObjectKind;

/// Whether the cluster is known to have no such namespace, by a dry run that stores nothing; 15 s at most.
pub async fn lacks_namespace(cluster: &Cluster, namespace: &str) -> bool {
    let objects = cluster.objects(ObjectKind::VirtualService, namespace);
    let object = json!({
        "apiVersion": cluster.istio_version().api_version(),
        "kind": ObjectKind::VirtualService.kind(),
        "metadata": {"name": "tidegate-asks", "namespace": namespace},
        "spec": {"hosts": ["tidegate.invalid"], "http": [{"route": [{"destination": {"host": "tidegate.invalid"}}]}]},
    });
    let params = PostParams { dry_run: true, field_manager: Some(FIELD_MANAGER.to_owned()) };
    let request = serde_json::to_vec(&object).ok().and_then(|body| {
        // Never an error: the path is made of checked names.
        Request::new(objects.resource_url()).create(&params, body).ok()
    });
    let Some(request) = request else { return false };
    match tokio::time::timeout(DEADLINE, cluster.client().request::<Untyped>(request)).await {
        Ok(Err(Error::Api(status))) => {
            status.code == 404 && status.details.as_ref().is_some_and(|details| details.kind == "namespaces")
        }
        Ok(_) | Err(_) => false,
    }
}
