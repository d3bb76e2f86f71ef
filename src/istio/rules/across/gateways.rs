//! Whether gateways are there, carry the hosts of their routes, and are alone with them.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{at::At, syntax::overlap},
    Findings,
    view::{Gateway, Route, Service, View, Visible, labels},
};
use crate::plan::codes;

pub(super) fn check(view: &View<'_>, findings: &mut Findings) {
    for route in view.routes.iter().filter(|route| route.whose.is_own()) {
        for (full, at) in &route.gateways {
            named(view, route, full, at, findings);
        }
        carried(view, route, findings);
        seen(view, route, findings);
    }
    served(view, findings);
    alone(view, findings);
}

fn named(view: &View<'_>, route: &Route<'_>, full: &str, at: &At<'_>, findings: &mut Findings) {
    if view.gateways.contains_key(full) {
        return;
    }
    let written = at.text().unwrap_or_default();
    let elsewhere: Vec<String> = match view.gateway_names.get(written) {
        Some(namespaces) => namespaces.iter().map(|namespace| format!("`{namespace}/{written}`")).collect(),
        None => Vec::new(),
    };
    if !elsewhere.is_empty() {
        let message =
            format!("`{written}` is a Gateway of the namespace `{}`, which has none of that name", route.namespace);
        findings.add(route.member, codes::TG18, at, message, format!("write {}", elsewhere.join(" or ")));
    } else if view.known.gateways {
        let near = view.gateways.keys().min_by_key(|known| strsim::damerau_levenshtein(known, full));
        let hint = match near {
            Some(near) => format!("create it first; the nearest there is `{near}`"),
            None => "create it first: there is no Gateway at all".to_owned(),
        };
        let message = format!("there is no Gateway `{full}`: Istio ignores the routes there");
        findings.add(route.member, codes::IST0101, at, message, hint);
    }
}

/// Whether the hosts of a route are ones of its gateways.
fn carried(view: &View<'_>, route: &Route<'_>, findings: &mut Findings) {
    let known: Vec<&Gateway<'_>> = route.gateways.iter().filter_map(|(full, _)| view.gateways.get(full)).collect();
    if known.is_empty() {
        return;
    }
    if !route.is_in_mesh {
        if known.len() < route.gateways.len() {
            return;
        }
        for (host, at) in &route.hosts {
            if !known.iter().any(|gateway| carries(gateway, route, host.as_str())) {
                let message = format!("no server of its gateways has the host `{host}`: requests to it get 404");
                findings.add(route.member, codes::IST0132, at, message, offered(&known, route));
            }
        }
        return;
    }
    for (full, at) in &route.gateways {
        let Some(gateway) = view.gateways.get(full) else { continue };
        if !route.hosts.iter().any(|(host, _)| carries(gateway, route, host.as_str())) {
            let message =
                format!("no server of the Gateway `{full}` has one of the hosts: requests to them get 404 there");
            findings.add(route.member, codes::IST0132, at, message, offered(&[gateway], route));
        }
    }
}

/// The hosts of a Gateway that routes of this namespace may have.
fn hosts_for<'v>(gateway: &Gateway<'v>, namespace: &str) -> BTreeSet<&'v str> {
    let hosts = gateway.spec.list("servers").into_iter().flat_map(|server| server.list("hosts"));
    let of = |written: &'v str| match written.split_once('/') {
        None => Some(written),
        Some(("*", host)) => Some(host),
        Some((".", host)) => (gateway.namespace == namespace).then_some(host),
        Some((other, host)) => (other == namespace).then_some(host),
    };
    hosts.filter_map(|at| at.text()).filter_map(of).collect()
}

fn carries(gateway: &Gateway<'_>, route: &Route<'_>, host: &str) -> bool {
    hosts_for(gateway, route.namespace).iter().any(|offered| overlap(offered, host))
}

fn offered(gateways: &[&Gateway<'_>], route: &Route<'_>) -> String {
    let hosts: BTreeSet<&str> = gateways.iter().flat_map(|gateway| hosts_for(gateway, route.namespace)).collect();
    match hosts.is_empty() {
        true => "add the host to a server of the Gateway".to_owned(),
        false => format!(
            "write one of its hosts ({}), or add the host to a server",
            hosts.into_iter().collect::<Vec<_>>().join(", ")
        ),
    }
}

/// Whether the gateways' pods see a route.
fn seen(view: &View<'_>, route: &Route<'_>, findings: &mut Findings) {
    let Visible::In(namespaces) = &route.visible else { return };
    for (full, at) in &route.gateways {
        let gateway = view.gateways.get(full);
        let run_in: BTreeSet<&str> = match gateway.filter(|_| view.known.workloads) {
            Some(gateway) => {
                let pods = view.workloads.with(&labels(&gateway.spec, "selector"));
                pods.into_iter().map(|pod| pod.namespace).collect()
            }
            // Where its pods run is not known: elsewhere than it, if the route stays at home.
            None if namespaces.iter().all(|seen| *seen == route.namespace) => full.split('/').take(1).collect(),
            None => continue,
        };
        if let Some(namespace) = run_in.iter().find(|namespace| !namespaces.contains(*namespace)) {
            let message = format!("`exportTo` keeps the routes from the Gateway `{full}`, which runs in `{namespace}`");
            findings.add(route.member, codes::TG17, at, message, format!("add `{namespace}` to `exportTo`"));
        }
    }
}

/// Whether some pod serves each Gateway.
fn served(view: &View<'_>, findings: &mut Findings) {
    for gateway in view.gateways.values().filter(|gateway| view.known.workloads && gateway.whose.is_own()) {
        let Some(at) = gateway.spec.get("selector").filter(|at| at.fields().is_some_and(|labels| !labels.is_empty()))
        else {
            continue;
        };
        let pods = view.workloads.with(&labels(&gateway.spec, "selector"));
        if pods.is_empty() {
            let message = "no pod has the labels of the selector: nothing serves the Gateway";
            let hint = "install a gateway with these labels, or correct them, e.g. `istio: ingressgateway`";
            findings.add(gateway.member, codes::IST0101, &at, message, hint);
        }
        let services: Vec<&Service<'_>> =
            pods.iter().flat_map(|pod| view.services_of(pod.namespace, &pod.labels)).collect();
        if !view.known.hosts || services.is_empty() {
            continue;
        }
        for server in gateway.spec.list("servers") {
            let Some(at) = server.reach(&["port", "number"]) else { continue };
            let number = at.whole().unwrap_or(0);
            let leads = |service: &&Service<'_>| {
                service.targets.contains(&number) || service.ports.iter().any(|(port, ..)| *port == number)
            };
            if number != 0 && !services.iter().any(leads) {
                let message = format!("no Service of the gateway's pods has the port {number}: nobody gets there");
                findings.add(gateway.member, codes::IST0162, &at, message, "add the port to the gateway's Service");
            }
        }
    }
}

/// Whether two Gateways claim a host on one port of the same pods. A wildcard beside a name is told apart by Istio.
fn alone(view: &View<'_>, findings: &mut Findings) {
    type Port<'v> = (Vec<(&'v str, &'v str)>, i64);
    let mut ports: BTreeMap<Port<'_>, BTreeMap<&str, (&Gateway<'_>, At<'_>)>> = BTreeMap::new();
    for gateway in view.gateways.values() {
        let selector: Vec<_> = labels(&gateway.spec, "selector").into_iter().collect();
        let mut told = BTreeSet::new();
        for server in gateway.spec.list("servers") {
            let port = server.reach(&["port", "number"]).and_then(|port| port.whole()).unwrap_or(0);
            let firsts = ports.entry((selector.clone(), port)).or_default();
            for written in server.list("hosts").iter().filter_map(At::text) {
                let host = written.split_once('/').map_or(written, |(_, host)| host);
                let (first, its) = firsts.entry(host).or_insert_with(|| (gateway, server.clone()));
                let own = gateway.whose.is_own();
                let (about, rival, at) = if own { (gateway, *first, &server) } else { (*first, gateway, &*its) };
                let is_new = first.member != gateway.member && told.insert((first.member, port));
                if !is_new || !about.whose.is_own() {
                    continue;
                }
                let (namespace, name) = (rival.namespace, rival.name);
                let message = format!("the Gateway `{namespace}/{name}` has port {port} and the host `{host}` too");
                let hint = "keep one of the two: which of them counts depends on their age";
                findings.add(about.member, codes::IST0145, at, message, hint);
            }
        }
    }
}
