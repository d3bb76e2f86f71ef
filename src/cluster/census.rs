//! Lists what a cluster's Istio knows: routes, rules, gateways, hosts and workloads.

use kube::Error;
use kube::api::{Api, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use super::untyped::Untyped;
use super::write::{DEADLINE, words};
use super::{CapabilityError, Cluster, istio_version};
use crate::istio::rules::Known;

/// A page is held in memory as a whole.
const PAGE_MAX: u32 = 500;

/// Everything of a cluster that could be listed.
pub struct Census {
    /// The objects, each with its kind; of Pods the labels alone.
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
    part: fn(&mut Known) -> &mut bool,
}

const KINDS: [Kind; 7] = [
    Kind { kind: "VirtualService", plural: "virtualservices", is_istio: true, part: |known| &mut known.routes },
    Kind { kind: "DestinationRule", plural: "destinationrules", is_istio: true, part: |known| &mut known.rules },
    Kind { kind: "Gateway", plural: "gateways", is_istio: true, part: |known| &mut known.gateways },
    Kind { kind: "ServiceEntry", plural: "serviceentries", is_istio: true, part: |known| &mut known.hosts },
    Kind { kind: "Service", plural: "services", is_istio: false, part: |known| &mut known.hosts },
    Kind { kind: "WorkloadEntry", plural: "workloadentries", is_istio: true, part: |known| &mut known.workloads },
    Kind { kind: "Pod", plural: "pods", is_istio: false, part: |known| &mut known.workloads },
];

/// Lists a cluster. What these credentials may not list is a gap; errs as [`CensusError`] where nothing answers, after
/// 10 s a page.
pub async fn census(cluster: &Cluster) -> Result<Census, CensusError> {
    let version = istio_version(cluster).await?;
    let known = Known { routes: true, rules: true, gateways: true, hosts: true, workloads: true };
    let mut census = Census { objects: Vec::new(), known, gaps: Vec::new() };
    for kind in &KINDS {
        let (group, version) = if kind.is_istio { ("networking.istio.io", version.as_str()) } else { ("", "v1") };
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind.kind), kind.plural);
        let api: Api<Untyped> = Api::all_with(cluster.client().clone(), &resource);
        match list(&api, kind, &mut census.objects).await {
            Ok(()) => {}
            // A kind that is not served has no objects.
            Err(Failed::Refused { code: 404, .. }) => {}
            Err(Failed::Refused { code: 401 | 403, message }) => {
                *(kind.part)(&mut census.known) = false;
                let plural = kind.plural;
                census.gaps.push(format!("cannot list {plural} of cluster {}: {message}", cluster.name()));
            }
            Err(Failed::Refused { message: why, .. } | Failed::Away(why)) => {
                return Err(CensusError::Away { plural: kind.plural, cluster: cluster.name().to_owned(), why });
            }
        }
    }
    Ok(census)
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
        });
        return json!({"kind": kind.kind, "metadata": metadata});
    }
    if let Some(fields) = object.as_object_mut() {
        fields.insert("kind".to_owned(), json!(kind.kind));
        fields.remove("status");
    }
    object
}
