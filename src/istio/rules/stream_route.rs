//! The rules of TLS and TCP routes.

use super::{
    at::At,
    http_route, names,
    report::Report,
    syntax::{is_address, is_generated_sni, is_subnet, is_wildcard_domain, is_within},
    virtual_service::Service,
};
use crate::plan::codes;

pub(super) fn check_tls(route: &At<'_>, service: &Service<'_>, report: &mut Report) {
    if route.count("match") == 0 {
        let hint = "write `match: [{sniHosts: [...]}]`";
        report.add(codes::VS18, route, "the TLS route has no match", hint);
    }
    for block in route.list("match") {
        if block.count("sniHosts") == 0 {
            report.add(codes::VS18, &block, "the match has no SNI host", "write `sniHosts: [...]`");
        }
        for host in block.list("sniHosts") {
            sni(&host, service, report);
        }
        common(&block, report);
    }
    if route.count("route") == 0 {
        report.add(codes::VS18, route, "the TLS route leads nowhere", "write `route`");
    }
    http_route::destinations(route, service.namespace, report);
}

pub(super) fn check_tcp(route: &At<'_>, service: &Service<'_>, report: &mut Report) {
    for block in route.list("match") {
        common(&block, report);
    }
    if route.count("route") == 0 {
        report.add(codes::VS04, route, "the TCP route leads nowhere", "write `route`");
    }
    http_route::destinations(route, service.namespace, report);
}

fn common(block: &At<'_>, report: &mut Report) {
    for at in block.list("destinationSubnets") {
        let text = at.text().unwrap_or_default();
        if !is_subnet(text) {
            let message = format!("`{}` is no range of addresses", text.escape_debug());
            report.add(codes::VS08, &at, message, "write e.g. `10.0.0.0/8`");
        }
    }
    names::port(block, report);
    names::labels(block, "sourceLabels", codes::VS08, report);
    names::gateways(block, report);
}

fn sni(at: &At<'_>, service: &Service<'_>, report: &mut Report) {
    let Some(host) = at.text() else { return };
    let generated = service.names_no_mesh && host.starts_with("outbound_");
    if !(if generated { is_generated_sni(host) } else { is_wildcard_domain(host) }) {
        if is_address(host) {
            let message = format!("`{host}` is an address: hardly any client sends one as SNI");
            return report.add(codes::VS22, at, message, "write the name that clients ask for");
        }
        let message = format!("`{}` is no SNI host", host.escape_debug());
        return report.add(codes::VS18, at, message, "write a full name, or one with `*.` before it");
    }
    if !service.hosts.iter().filter_map(At::text).any(|other| is_within(host, other)) {
        let message = format!("the SNI host `{host}` is none of the hosts of this VirtualService");
        report.add(codes::VS18, at, message, "name it under `hosts` too");
    }
}
