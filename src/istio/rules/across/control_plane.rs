//! Whether the istiods that run take an object in, and the mesh lets its callers out of their cluster.

use std::collections::BTreeSet;

use super::{
    super::{at::At, cluster_local::ClusterLocal},
    Findings,
    view::{View, labels},
};
use crate::plan::codes;

/// The label by which an object is for one revision of Istio, and by which istiod says its own.
pub(super) const REVISION: &str = "istio.io/rev";
const CLUSTER: &str = "topology.istio.io/cluster";

pub(super) fn check(view: &View<'_>, findings: &mut Findings) {
    revisions(view, findings);
    if let Some(mesh) = &view.mesh {
        split_across(view, &ClusterLocal::of(mesh.value), findings);
    }
}

/// An istiod passes over objects of other revisions; tags of revisions are names for injection alone.
fn revisions(view: &View<'_>, findings: &mut Findings) {
    let istiods = view.workloads.with(&[("app", "istiod")].into());
    let served: BTreeSet<&str> = istiods.iter().filter_map(|pod| pod.labels.get(REVISION).copied()).collect();
    if served.is_empty() {
        return;
    }
    for (member, at) in &view.revised {
        let Some(revision) = at.text().filter(|revision| !served.contains(revision)) else { continue };
        let message =
            format!("no istiod of the revision `{}` runs, and others pass over the object", revision.escape_debug());
        let known = served.iter().map(|revision| format!("`{revision}`")).collect::<Vec<_>>().join(" or ");
        let hint = format!("take the label out, which is for all revisions, or write {known}");
        findings.add(*member, codes::TG21, at, message, hint);
    }
}

fn split_across(view: &View<'_>, local: &ClusterLocal, findings: &mut Findings) {
    for route in view.routes.iter().filter(|route| route.whose.is_own()) {
        let mut told = BTreeSet::new();
        for leg in route.legs.iter().filter(|leg| local.has(leg.host.as_str())) {
            let Some((at, name)) = leg.subset.as_ref().and_then(|at| Some((at, at.text()?))) else { continue };
            let subset = view.rules_of(&leg.host).find_map(|rule| rule.subsets.get(name));
            let Some(cluster) = subset.and_then(|subset: &At<'_>| labels(subset, "labels").get(CLUSTER).copied())
            else {
                continue;
            };
            if !told.insert(name) {
                continue;
            }
            let (name, cluster) = (name.escape_debug(), cluster.escape_debug());
            let message = format!(
                "`{name}` lies in the cluster `{cluster}`, and the mesh keeps callers of `{}` to their own: others get 503",
                leg.host
            );
            let hint =
                "take the host out of those that the mesh config calls `clusterLocal`, or the label out of the version";
            findings.add(route.member, codes::TG19, at, message, hint);
        }
    }
}
