//! The rules of a VirtualService.

use super::{
    Object,
    at::At,
    http_route, names, order,
    report::Report,
    stream_route,
    syntax::{is_address, is_claim, is_generated_sni, is_wildcard_domain, overlap},
};
use crate::plan::{MESH, codes};

/// What rules of routes need to know of the whole.
pub(super) struct Service<'v> {
    pub(super) namespace: &'v str,
    pub(super) hosts: Vec<At<'v>>,
    /// Whether some gateway is named and `mesh` is not.
    pub(super) gateways_alone: bool,
    /// Whether `mesh` is not named.
    pub(super) names_no_mesh: bool,
}

pub(super) fn check(object: &Object<'_>, report: &mut Report) {
    let spec = &object.spec;
    let gateways = spec.list("gateways");
    let names_no_mesh = gateways.iter().all(|gateway| gateway.text() != Some(MESH));
    let service = Service {
        namespace: object.namespace,
        hosts: spec.list("hosts"),
        gateways_alone: names_no_mesh && !gateways.is_empty(),
        names_no_mesh,
    };
    if service.hosts.is_empty() {
        delegate(spec, report);
    }
    names::gateways(spec, report);
    hosts(spec, &service, report);
    let routes = spec.list("http");
    if ["http", "tls", "tcp"].iter().all(|field| spec.count(field) == 0) {
        report.add(codes::VS03, spec, "there is no route at all", "write `http`, `tls` or `tcp`");
    }
    for route in &routes {
        http_route::check(route, &service, report);
    }
    if !service.gateways_alone {
        claims(&routes, report);
    }
    for route in spec.list("tls") {
        stream_route::check_tls(&route, &service, report);
    }
    for route in spec.list("tcp") {
        stream_route::check_tcp(&route, &service, report);
    }
    names::export_to(spec, object.namespace, false, report);
    order::check(spec, report);
}

/// A VirtualService without hosts is one that others delegate to.
fn delegate(spec: &At<'_>, report: &mut Report) {
    for field in ["gateways", "tls", "tcp"] {
        if let Some(at) = spec.get(field).filter(|_| spec.count(field) > 0) {
            let message = format!("there are no hosts, so that others delegate here, and yet there is `{field}`");
            report.add(codes::VS09, &at, message, format!("name the hosts, or leave `{field}` to those who delegate"));
        }
    }
}

fn hosts(spec: &At<'_>, service: &Service<'_>, report: &mut Report) {
    let has_sni = spec.list("tls").iter().flat_map(|route| route.list("match")).any(|at| at.count("sniHosts") > 0);
    let mut all_good = true;
    for at in &service.hosts {
        let Some(host) = at.text() else { continue };
        let generated = service.gateways_alone && has_sni && host.starts_with("outbound_");
        let good = if generated { is_generated_sni(host) } else { is_wildcard_domain(host) };
        if !good {
            if !is_address(host) {
                let hint = "write a Service's short name, a full name, or one with `*.` before it";
                report.add(codes::VS08, at, format!("`{}` is no host", host.escape_debug()), hint);
                all_good = false;
            }
        } else if host == "*" && !service.gateways_alone {
            let message = "the host `*` applies to the mesh: Istio refuses it";
            report.add(codes::VS06, at, message, "name the hosts, or leave `mesh` out of `gateways`");
            all_good = false;
        }
        names::external(at, service.namespace, report);
    }
    for (position, at) in service.hosts.iter().enumerate().filter(|_| all_good) {
        let Some(host) = at.text() else { continue };
        let earlier = service.hosts.iter().take(position).filter_map(At::text).find(|other| overlap(other, host));
        if let Some(other) = earlier {
            let message = format!("hosts `{other}` and `{host}` are the same or cover each other");
            report.add(codes::VS07, at, message, "keep one of the two");
        }
    }
}

fn claims(routes: &[At<'_>], report: &mut Report) {
    let blocks: Vec<At<'_>> = routes.iter().flat_map(|route| route.list("match")).collect();
    let headers = blocks.iter().flat_map(|block| ["headers", "withoutHeaders"].map(|field| block.map(field)));
    for (name, at) in headers.flatten().filter(|(name, _)| is_claim(name)) {
        let message = format!("`{name}` is matched where there are sidecars: claims are known at gateways alone");
        report.add(codes::VS16, &at, message, "name gateways, and leave `mesh` out of them");
    }
}
