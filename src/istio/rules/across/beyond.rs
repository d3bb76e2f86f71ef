//! What objects say of the other clusters of their mesh: Services that are missing there, objects that nobody reads, and
//! versions whose pods are there alone though callers stay in their own cluster.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    super::cluster_local::ClusterLocal,
    Findings, Found, Known, Member, Whose,
    view::{Route, View, labels},
};
use crate::plan::{Host, codes};

/// Another cluster of the mesh.
#[derive(Clone, Copy, Debug)]
pub struct Beyond<'v> {
    /// Its name.
    pub cluster: &'v str,
    /// Whether no istiod reads Istio's objects there.
    pub is_remote: bool,
    /// Its objects.
    pub objects: &'v [Value],
    /// What of them is complete.
    pub known: Known,
}

/// What is wrong between the members of one cluster and the others of its mesh, each with the position of the member that
/// it is about.
pub fn check_beyond(members: &[Member<'_>], known: Known, others: &[Beyond<'_>]) -> Vec<(usize, Found)> {
    let view = View::new(members, known);
    let local = view.mesh.as_ref().map(|mesh| ClusterLocal::of(mesh.value)).unwrap_or_default();
    let mut findings = Findings::default();
    let there: Vec<(&Beyond<'_>, View<'_>)> = others
        .iter()
        .map(|other| {
            let objects = other.objects.iter().map(|object| Member { object, whose: Whose::Other });
            (other, View::new(&objects.collect::<Vec<_>>(), other.known))
        })
        .collect();
    for route in view.routes.iter().filter(|route| route.whose.is_own()) {
        for (other, there) in &there {
            missing(route, other, there, &mut findings);
            if other.is_remote {
                unread(route, other, there, &mut findings);
            }
        }
        kept_out(route, &view, &local, &there, &mut findings);
    }
    findings.found
}

/// Services that are not there.
fn missing(route: &Route<'_>, other: &Beyond<'_>, there: &View<'_>, findings: &mut Findings) {
    let mut told: BTreeSet<&Host> = BTreeSet::new();
    for leg in route.legs.iter().filter(|leg| other.known.hosts && leg.host.service().is_some()) {
        if there.service(&leg.host).is_none() && told.insert(&leg.host) {
            let message = format!(
                "cluster {} of the mesh has no Service for `{}`: callers there do not find it, and its pods there get nothing",
                other.cluster, leg.host
            );
            let hint = "make it there, with the same name, namespace and ports";
            findings.add(route.member, codes::TG41, &leg.destination, message, hint);
        }
    }
}

/// Routes and rules for the same hosts in a remote.
fn unread(route: &Route<'_>, other: &Beyond<'_>, there: &View<'_>, findings: &mut Findings) {
    let is_ours = |host: &Host| route.hosts.iter().any(|(own, _)| own == host);
    let is_to = |host: &Host| route.legs.iter().any(|leg| leg.host == *host);
    let routes = there.routes.iter().filter(|route| route.hosts.iter().any(|(host, _)| is_ours(host)));
    let routes = routes.map(|route| ("VirtualService", route.namespace, route.name));
    let rules = there.rules.iter().filter(|rule| is_to(&rule.host));
    let rules = rules.map(|rule| ("DestinationRule", rule.namespace, rule.name));
    let Some((_, at)) = route.hosts.first() else { return };
    for (kind, namespace, name) in routes.chain(rules) {
        let message = format!(
            "{kind} {namespace}/{name} in cluster {} says nothing to anybody: it is a remote, of which endpoints alone are read",
            other.cluster
        );
        findings.add(route.member, codes::TG42, at, message, "delete it there");
    }
}

/// Versions whose pods callers cannot reach from here.
fn kept_out(
    route: &Route<'_>,
    view: &View<'_>,
    local: &ClusterLocal,
    others: &[(&Beyond<'_>, View<'_>)],
    findings: &mut Findings,
) {
    for leg in route.legs.iter().filter(|leg| leg.is_served && view.known.workloads && local.has(leg.host.as_str())) {
        let (Some(at), Some((_, namespace))) = (&leg.subset, leg.host.service()) else { continue };
        let subset = at.text().and_then(|name| view.rules_of(&leg.host).find_map(|rule| rule.subsets.get(name)));
        let Some(mut wanted) = subset.map(|subset| labels(subset, "labels")) else { continue };
        wanted.extend(view.service(&leg.host).into_iter().flat_map(|service| &service.selector));
        let is_in = |view: &View<'_>| view.workloads.with(&wanted).iter().any(|pod| pod.namespace == namespace);
        let Some((elsewhere, _)) = others.iter().find(|(_, there)| is_in(there)).filter(|_| !is_in(view)) else {
            continue;
        };
        let message = format!(
            "the pods of `{}` are in cluster {}, and the mesh keeps callers of `{}` to their own: they get 503",
            at.text().unwrap_or_default().escape_debug(),
            elsewhere.cluster,
            leg.host
        );
        let hint = "take the host out of those that the mesh config calls `clusterLocal`, or run the version here";
        findings.add(route.member, codes::TG19, at, message, hint);
    }
}
