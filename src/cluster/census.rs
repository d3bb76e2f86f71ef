//! Lists what a cluster's Istio knows: routes, rules, gateways, hosts and workloads.

use kube::Error;
use kube::api::{Api, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use super::mesh_config::{self, ISTIO_SYSTEM, MESH_CONFIG};
use super::untyped::Untyped;
use super::write::{DEADLINE, words};
use super::{CapabilityError, Cluster, Role, istio_version};
use crate::istio::rules::Known;

/// A page is held in memory as a whole.
const PAGE_MAX: u32 = 500;

/// Everything of a cluster that could be listed.
pub struct Census {
    /// The objects, each with its kind; of Pods metadata and the names of their containers alone.
    pub objects: Vec<Value>,
    /// What is complete.
    pub known: Known,
    /// What is not, and why: one sentence each.
    pub gaps: Vec<String>,
}

/// Why a cluster could not be listed at all.
#[derive(Debug, thiserror::Error)]
pub enum CensusError {
    /// Its API could not be asked.
    #[error(transparent)]
    Capability(#[from] CapabilityError),
    /// It stopped answering.
    #[error("cannot list {plural} of cluster {cluster}: {why}")]
    Away {
        /// What was asked for.
        plural: &'static str,
        /// The cluster's name.
        cluster: String,
        /// What happened instead.
        why: String,
    },
}

/// What is listed, and what it makes complete.
struct Kind {
    kind: &'static str,
    plural: &'static str,
    is_istio: bool,
    /// None: of this kind nothing is missed.
    part: Option<fn(&mut Known) -> &mut bool>,
}

const KINDS: [Kind; 9] = [
    Kind { kind: "VirtualService", plural: "virtualservices", is_istio: true, part: Some(|known| &mut known.routes) },
    Kind { kind: "DestinationRule", plural: "destinationrules", is_istio: true, part: Some(|known| &mut known.rules) },
    Kind { kind: "Gateway", plural: "gateways", is_istio: true, part: Some(|known| &mut known.gateways) },
    Kind { kind: "ServiceEntry", plural: "serviceentries", is_istio: true, part: Some(|known| &mut known.hosts) },
    Kind { kind: "Service", plural: "services", is_istio: false, part: Some(|known| &mut known.hosts) },
    Kind { kind: "WorkloadEntry", plural: "workloadentries", is_istio: true, part: Some(|known| &mut known.workloads) },
    Kind { kind: "Pod", plural: "pods", is_istio: false, part: Some(|known| &mut known.workloads) },
    Kind { kind: "Sidecar", plural: "sidecars", is_istio: true, part: None },
    Kind { kind: "Namespace", plural: "namespaces", is_istio: false, part: None },
];

/// Lists a cluster. What these credentials may not list is a gap; errs as [`CensusError`] where nothing answers, after
/// 15 s a page.
pub async fn census(cluster: &Cluster, role: Role) -> Result<Census, CensusError> {
    let version = match istio_version(cluster).await {
        // There is no need of Istio's kinds there.
        Err(CapabilityError::Missing { .. }) if role == Role::Remote => None,
        version => Some(version?),
    };
    let known = Known { routes: true, rules: true, gateways: true, hosts: true, workloads: true };
    let mut census = Census { objects: Vec::new(), known, gaps: Vec::new() };
    for kind in &KINDS {
        let (group, version) = match version {
            Some(version) if kind.is_istio => ("networking.istio.io", version.as_str()),
            None if kind.is_istio => continue,
            _ => ("", "v1"),
        };
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind.kind), kind.plural);
        let api: Api<Untyped> = Api::all_with(cluster.client().clone(), &resource);
        match list(&api, kind, &mut census.objects).await {
            Ok(()) => {}
            // A kind that is not served has no objects.
            Err(Failed::Refused { code: 404, .. }) => {}
            Err(Failed::Refused { code: 401 | 403, message }) => {
                if let Some(part) = kind.part {
                    *part(&mut census.known) = false;
                }
                let plural = kind.plural;
                census.gaps.push(format!("cannot list {plural} of cluster {}: {message}", cluster.name()));
            }
            Err(Failed::Refused { message: why, .. } | Failed::Away(why)) => {
                return Err(CensusError::Away { plural: kind.plural, cluster: cluster.name().to_owned(), why });
            }
        }
    }
    if role == Role::Primary {
        settings(cluster, &mut census).await?;
    }
    Ok(census)
}

/// Reads the settings of the mesh, where Istio keeps them.
async fn settings(cluster: &Cluster, census: &mut Census) -> Result<(), CensusError> {
    let api = mesh_config::api(cluster);
    let found = match tokio::time::timeout(DEADLINE, api.get_opt(MESH_CONFIG)).await {
        Ok(Ok(found)) => found,
        Ok(Err(Error::Api(status))) if matches!(status.code, 401 | 403) => {
            let (cluster, why) = (cluster.name(), status.message);
            census.gaps.push(format!("cannot read ConfigMap {ISTIO_SYSTEM}/{MESH_CONFIG} of cluster {cluster}: {why}"));
            return Ok(());
        }
        answer => {
            let why = match answer {
                Ok(Err(error)) => words(&error),
                _ => format!("no answer in {DEADLINE:?}"),
            };
            return Err(CensusError::Away { plural: "configmaps", cluster: cluster.name().to_owned(), why });
        }
    };
    let Some(found) = found else { return Ok(()) };
    let Ok(mesh) = mesh_config::settings(&found.value) else {
        let name = cluster.name();
        census
            .gaps
            .push(format!("ConfigMap {ISTIO_SYSTEM}/{MESH_CONFIG} of cluster {name} has no mesh config in YAML"));
        return Ok(());
    };
    let metadata = json!({"namespace": ISTIO_SYSTEM, "name": MESH_CONFIG});
    census.objects.extend(mesh.map(|mesh| json!({"kind": "MeshConfig", "metadata": metadata, "spec": mesh})));
    Ok(())
}

enum Failed {
    Refused { code: u16, message: String },
    Away(String),
}

async fn list(api: &Api<Untyped>, kind: &Kind, into: &mut Vec<Value>) -> Result<(), Failed> {
    let mut params = ListParams::default().limit(PAGE_MAX);
    loop {
        let page = match tokio::time::timeout(DEADLINE, api.list(&params)).await {
            Ok(Ok(page)) => page,
            Ok(Err(Error::Api(status))) => {
                return Err(Failed::Refused { code: status.code, message: status.message });
            }
            Ok(Err(error)) => return Err(Failed::Away(words(&error))),
            Err(_) => return Err(Failed::Away(format!("no answer in {DEADLINE:?}"))),
        };
        into.extend(page.items.into_iter().map(|item| kept(item.value, kind)));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(()),
        }
    }
}

/// What is kept of an object: items of a list need not say their kind, and there are many Pods.
fn kept(mut object: Value, kind: &Kind) -> Value {
    if kind.kind == "Pod" {
        let of = |field: &str| object.pointer(field).cloned().unwrap_or_default();
        let metadata = json!({
            "namespace": of("/metadata/namespace"), "name": of("/metadata/name"), "labels": of("/metadata/labels"),
            "annotations": of("/metadata/annotations"),
        });
        let names = |field: &str| {
            let all = object.pointer(field).and_then(Value::as_array).into_iter().flatten();
            all.map(|container| json!({"name": container.get("name")})).collect::<Vec<_>>()
        };
        let spec = json!({
            "containers": names("/spec/containers"), "initContainers": names("/spec/initContainers"),
            "hostNetwork": of("/spec/hostNetwork"),
        });
        return json!({"kind": kind.kind, "metadata": metadata, "spec": spec});
    }
    if let Some(fields) = object.as_object_mut() {
        fields.insert("kind".to_owned(), json!(kind.kind));
        fields.remove("status");
    }
    object
}
