//! The rules of a ServiceEntry.

use std::collections::BTreeSet;

use super::{
    Object,
    at::At,
    names,
    report::Report,
    syntax::{
        Protocol, is_address, is_domain, is_label, is_partial_wildcard, is_port, is_socket, is_subnet,
        is_wildcard_domain, protocol,
    },
};
use crate::plan::codes;

pub(super) fn check(object: &Object<'_>, report: &mut Report) {
    let spec = &object.spec;
    let resolution = match spec.text_of("resolution") {
        "" => "NONE",
        resolution => resolution,
    };
    selector(spec, resolution, report);
    hosts(spec, resolution, report);
    addresses(spec, resolution, report);
    let ports = ports(spec, resolution, report);
    endpoints(spec, resolution, &ports, report);
    match resolution {
        "DYNAMIC_DNS" => dynamic(object, report),
        "NONE" => {}
        _ => shared_ports(spec, report),
    }
    names::export_to(spec, object.namespace, true, report);
}

fn selector(spec: &At<'_>, resolution: &str, report: &mut Report) {
    let Some(selector) = spec.get("workloadSelector") else { return };
    let labels = selector.map("labels");
    for (key, at) in &labels {
        if key.is_empty() || key.contains('*') || at.text().is_some_and(|value| value.contains('*')) {
            let message = format!("`{}` selects by an empty name or a wildcard", key.escape_debug());
            report.add(codes::SE01, at, message, "write whole labels");
        }
    }
    if spec.count("endpoints") > 0 {
        report.add(codes::SE01, &selector, "`workloadSelector` stands beside `endpoints`", "keep one of the two");
    }
    if labels.is_empty() {
        report.add(codes::SE02, &selector, "the selector has no labels: it takes every workload", "write `labels`");
    } else if resolution == "NONE" {
        report.add(
            codes::SE02,
            &selector,
            "with the resolution NONE nothing is selected",
            "write `resolution: STATIC`",
        );
    }
}

fn hosts(spec: &At<'_>, resolution: &str, report: &mut Report) {
    let hosts = spec.list("hosts");
    if hosts.is_empty() {
        report.add(codes::SE01, spec, "the ServiceEntry has no host", "write `hosts`");
    }
    let needs_names = matches!(resolution, "DNS" | "DNS_ROUND_ROBIN") && spec.count("endpoints") == 0;
    for at in &hosts {
        let Some(host) = at.text() else { continue };
        if host == "*" || !is_wildcard_domain(host) {
            let message = format!("`{}` is no host of a ServiceEntry", host.escape_debug());
            report.add(codes::SE01, at, message, "write a full name, or one with `*.` before it");
        } else if needs_names && !is_domain(host) {
            let message = format!("DNS cannot resolve `{host}`");
            report.add(codes::SE01, at, message, "write full names, or `endpoints`");
        } else if resolution == "DYNAMIC_DNS" && !host.starts_with('*') {
            report.add(codes::SE01, at, "DYNAMIC_DNS asks for hosts with a wildcard", "write e.g. `*.example.com`");
        } else if resolution != "DYNAMIC_DNS" && is_partial_wildcard(host) {
            report.add(codes::SE02, at, "the wildcard stands for a part of a label", "write `*.` before a full name");
        }
    }
}

fn addresses(spec: &At<'_>, resolution: &str, report: &mut Report) {
    for at in spec.list("addresses") {
        let text = at.text().unwrap_or_default();
        if !is_subnet(text) {
            let message = format!("`{}` is neither an address nor a range", text.escape_debug());
            report.add(codes::SE01, &at, message, "write e.g. `10.0.0.0/8`");
        } else if text.contains('/') && !matches!(resolution, "NONE" | "STATIC") {
            let message = "a range of addresses goes with the resolutions NONE and STATIC alone";
            report.add(codes::SE01, &at, message, "write single addresses");
        }
    }
}

/// Checks the ports and returns their names.
fn ports<'v>(spec: &At<'v>, resolution: &str, report: &mut Report) -> BTreeSet<&'v str> {
    let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for port in spec.list("ports") {
        let (name, number) = (port.text_of("name"), port.whole_of("number"));
        let mut add = |message: &str, hint: &str| report.add(codes::SE01, &port, message, hint);
        if !names.insert(name) | !numbers.insert(number) {
            add("two ports have the same name or number", "give each its own");
        }
        if !is_label(name) {
            add("the port's name is none", "use letters, digits and `-`, at most 63");
        }
        let target = port.whole_of("targetPort");
        if !is_port(number) || (target != 0 && !is_port(target)) {
            add("a port is a whole number from 1 to 65535", "write e.g. 443");
        }
        let kind = port.text_of("protocol");
        if !kind.is_empty() && protocol(kind).is_none() {
            add(&format!("`{}` is no protocol", kind.escape_debug()), "write HTTP, HTTPS, HTTP2, GRPC, TLS or TCP");
        }
        // Other resolutions are given addresses by Istio itself.
        if resolution == "NONE" && spec.count("addresses") == 0 && matches!(kind, "" | "TCP") {
            report.add(codes::SE02, &port, "a port of TCP has no address to be told by", "write `addresses`");
        }
    }
    names
}

fn endpoints(spec: &At<'_>, resolution: &str, ports: &BTreeSet<&str>, report: &mut Report) {
    let endpoints = spec.list("endpoints");
    let refused = match resolution {
        "NONE" | "DYNAMIC_DNS" => !endpoints.is_empty(),
        "DNS_ROUND_ROBIN" => endpoints.len() > 1,
        _ => false,
    };
    if let Some(at) = spec.get("endpoints").filter(|_| refused) {
        let message = format!("the resolution {resolution} has no place for these endpoints");
        report.add(codes::SE01, &at, message, "write `resolution: STATIC` for addresses, DNS for names");
    }
    if !matches!(resolution, "STATIC" | "DNS" | "DNS_ROUND_ROBIN") {
        return;
    }
    for endpoint in &endpoints {
        address(endpoint, resolution == "STATIC", ports.len(), report);
        for (name, at) in endpoint.map("ports") {
            if !ports.contains(name) || !is_label(name) || !at.whole().is_some_and(is_port) {
                let message = format!("`{}` is none of the ports above, or its number is no port", name.escape_debug());
                report.add(codes::SE01, &at, message, "name ports as under `ports`");
            }
        }
        names::labels(endpoint, "labels", codes::SE01, report);
    }
}

fn address(endpoint: &At<'_>, is_static: bool, ports: usize, report: &mut Report) {
    let text = endpoint.text_of("address");
    let hint = "write an IP address, or with DNS a full name";
    let mut add = |message: &str| report.add(codes::SE01, endpoint, message, hint);
    match text.strip_prefix("unix://") {
        _ if is_address(text) => {}
        Some(path) if is_static => {
            if !is_socket(path) {
                add("the endpoint's socket has no absolute path");
            }
            if ports != 1 || !endpoint.map("ports").is_empty() {
                add("an endpoint on a socket has no ports, and its ServiceEntry has one");
            }
        }
        None if text.is_empty() && is_static && !endpoint.text_of("network").is_empty() => {}
        _ if !is_static && is_domain(text) => {}
        _ => add("the endpoint has no good address"),
    }
}

fn dynamic(object: &Object<'_>, report: &mut Report) {
    let spec = &object.spec;
    if let Some(at) = spec.get("addresses").filter(|_| spec.count("addresses") > 0) {
        report.add(codes::SE01, &at, "DYNAMIC_DNS resolves the hosts alone", "take `addresses` out");
    }
    for port in spec.list("ports") {
        if !matches!(port.text_of("protocol").to_ascii_lowercase().as_str(), "http" | "tls" | "grpc" | "http2") {
            report.add(
                codes::SE01,
                &port,
                "DYNAMIC_DNS goes with HTTP, HTTP2, GRPC and TLS alone",
                "write one of them",
            );
        }
    }
    let waypoint = object.metadata.get("labels").map_or("", |labels| labels.text_of("istio.io/use-waypoint"));
    if spec.text_of("location") == "MESH_INTERNAL" && !waypoint.is_empty() && !waypoint.eq_ignore_ascii_case("none") {
        report.add(codes::SE01, spec, "DYNAMIC_DNS within the mesh has no waypoint", "write `location: MESH_EXTERNAL`");
    }
}

/// Several hosts can share a port only where requests name their host.
fn shared_ports(spec: &At<'_>, report: &mut Report) {
    if spec.count("hosts") < 2 {
        return;
    }
    for port in spec.list("ports") {
        if !matches!(protocol(port.text_of("protocol")), Some(Protocol::Http | Protocol::Tls)) {
            report.add(
                codes::SE01,
                &port,
                "several hosts share a port that tells none of them",
                "write one ServiceEntry a host",
            );
        }
    }
}
