//! Whether routes are alone with their hosts, and nothing leads past the versions.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Findings, Whose,
    view::{Route, View},
};
use crate::plan::{Host, MESH, codes};

pub(super) fn check(view: &View<'_>, findings: &mut Findings) {
    let mut in_mesh: BTreeMap<&Host, Vec<&Route<'_>>> = BTreeMap::new();
    for route in view.routes.iter().filter(|route| route.is_in_mesh) {
        for (host, _) in &route.hosts {
            in_mesh.entry(host).or_default().push(route);
        }
    }
    alone(&in_mesh, findings);
    past(view, &in_mesh, findings);
    for route in view.routes.iter().filter(|route| route.whose.is_own() && view.known.routes) {
        unsplit(route, &in_mesh, findings);
    }
}

/// In the mesh the oldest VirtualService of a host counts alone.
fn alone(in_mesh: &BTreeMap<&Host, Vec<&Route<'_>>>, findings: &mut Findings) {
    for (host, routes) in in_mesh {
        for (position, route) in routes.iter().enumerate() {
            let clash = |other: &&&Route<'_>| {
                // Two plans with one host are the catalog's to refuse.
                let plans = route.whose == Whose::Rendered && other.whose == Whose::Rendered;
                let may = other.whose.is_own() || route.whose.is_own();
                may && !plans && other.member != route.member && other.visible.overlaps(&route.visible)
            };
            for other in routes.iter().take(position).filter(clash) {
                let (about, rival) = if route.whose.is_own() { (*route, *other) } else { (*other, *route) };
                let Some((_, at)) = about.hosts.iter().find(|(own, _)| own == *host) else { continue };
                let (namespace, name) = (rival.namespace, rival.name);
                let message = format!(
                    "VirtualService {namespace}/{name} has the host `{host}` in the mesh too, where the older one counts alone"
                );
                let hint = format!("remove {namespace}/{name}, or move its routes here");
                findings.add(about.member, codes::IST0109, at, message, hint);
            }
        }
    }
}

/// A route at a gateway without a subset leads past the split that another one makes in the mesh.
fn past(view: &View<'_>, in_mesh: &BTreeMap<&Host, Vec<&Route<'_>>>, findings: &mut Findings) {
    for bypass in view.routes.iter().filter(|route| !route.gateways.is_empty()) {
        let mut told = BTreeSet::new();
        for leg in bypass.legs.iter().filter(|leg| leg.subset.is_none() && leg.is_http) {
            let splits = |route: &&&Route<'_>| {
                let owned = route.whose.is_own() || bypass.whose.is_own();
                owned
                    && route.member != bypass.member
                    && route.legs.iter().any(|other| other.host == leg.host && other.subset.is_some())
            };
            let Some(split) = in_mesh.get(&leg.host).into_iter().flatten().find(splits) else { continue };
            if !told.insert(&leg.host) {
                continue;
            }
            if bypass.whose.is_own() {
                let message = format!(
                    "requests from the gateway go to `{}` without a subset, past what VirtualService {}/{} splits",
                    leg.host, split.namespace, split.name
                );
                let hint = "name the gateway in the one that splits, and leave the host to it";
                findings.add(bypass.member, codes::IST0140, &leg.destination, message, hint);
            } else if let Some((_, at)) = split.hosts.iter().find(|(host, _)| *host == leg.host) {
                let (namespace, name) = (bypass.namespace, bypass.name);
                let message = format!(
                    "VirtualService {namespace}/{name} sends requests from a gateway to `{}` without a subset, past the weights",
                    leg.host
                );
                let hint = format!("name its gateway here too, and take the host out of {namespace}/{name}");
                findings.add(split.member, codes::IST0140, at, message, hint);
            }
        }
    }
}

/// Callers in the mesh who ask the Service itself are not split by a route of gateways alone.
fn unsplit(route: &Route<'_>, in_mesh: &BTreeMap<&Host, Vec<&Route<'_>>>, findings: &mut Findings) {
    if route.is_in_mesh {
        return;
    }
    let leg = route.legs.iter().find(|leg| leg.subset.is_some() && leg.host.service().is_some());
    let Some(leg) = leg.filter(|leg| !in_mesh.contains_key(&leg.host)) else { return };
    let Some(at) = route.spec.get("gateways") else { return };
    let message = format!("callers in the mesh who ask `{}` get every pod of it, whatever the weights", leg.host);
    let hint = format!("add `{MESH}` to the gateways and the Service to the hosts, if there are such callers");
    findings.add(route.member, codes::TG12, &at, message, hint);
}
