//! The rules of a Gateway.

use std::collections::BTreeSet;

use super::{
    Object,
    at::At,
    report::Report,
    syntax::{Protocol, is_address, is_label, is_partial_wildcard, is_port, is_socket, is_wildcard_domain, protocol},
};
use crate::plan::codes;

const CERTIFICATES: [&str; 7] = [
    "serverCertificate",
    "privateKey",
    "caCertificates",
    "caCrl",
    "credentialName",
    "credentialNames",
    "tlsCertificates",
];

pub(super) fn check(object: &Object<'_>, report: &mut Report) {
    let name = object.metadata.text_of("name");
    if !is_label(name) {
        let at = object.metadata.get("name").unwrap_or_else(|| object.metadata.clone());
        let message = format!("`{}` is no name of a Gateway", name.escape_debug());
        report.add(codes::GW01, &at, message, "use letters, digits and `-`, at most 63");
    }
    let servers = object.spec.list("servers");
    if servers.is_empty() {
        report.add(codes::GW01, &object.spec, "the Gateway has no server", "write `servers`");
    }
    let mut names = BTreeSet::new();
    for server in &servers {
        hosts(server, report);
        let port = server.get("port");
        let kind = port.as_ref().and_then(|port| protocol(port.text_of("protocol")));
        if let Some(port) = &port {
            self::port(server, port, kind, report);
            if !names.insert(port.text_of("name")) {
                let message = format!("two servers have ports of the name `{}`", port.text_of("name").escape_debug());
                report.add(codes::GW01, port, message, "name each of them");
            }
        }
        bind(server, port.as_ref(), report);
        if let Some(tls) = server.get("tls") {
            self::tls(&tls, report);
            beside(&tls, kind, report);
        } else if kind == Some(Protocol::Tls) {
            let message = "the server's protocol is one of TLS, and it has no `tls`";
            report.add(codes::GW01, server, message, "write e.g. `tls: {mode: SIMPLE, credentialName: …}`");
        }
    }
}

fn hosts(server: &At<'_>, report: &mut Report) {
    if server.count("hosts") == 0 {
        report.add(codes::GW01, server, "the server has no host", "write `hosts`, with `*` for any");
    }
    for at in server.list("hosts") {
        let Some(written) = at.text() else { continue };
        let (namespace, host) = written.split_once('/').map_or((None, written), |(one, two)| (Some(one), two));
        if namespace.is_some_and(|namespace| !matches!(namespace, "*" | ".") && !is_label(namespace)) {
            let message = format!("`{}` names no namespace", written.escape_debug());
            report.add(codes::GW01, &at, message, "write `<namespace>/<host>`, `./<host>` or `*/<host>`");
        }
        let full = host == "*" || host.contains('.');
        if !full || !(is_wildcard_domain(host) || is_address(host)) || is_partial_wildcard(host) {
            let message = format!("`{}` is no full host", host.escape_debug());
            report.add(codes::GW01, &at, message, "write a full name, one with `*.` before it, or `*`");
        }
    }
}

fn port(server: &At<'_>, port: &At<'_>, kind: Option<Protocol>, report: &mut Report) {
    let mut add = |message: &str, hint: &str| report.add(codes::GW01, port, message, hint);
    if kind.is_none() {
        add(
            &format!("`{}` is no protocol", port.text_of("protocol").escape_debug()),
            "write HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TLS, TCP, MONGO, REDIS or MYSQL",
        );
    }
    let number = port.whole_of("number");
    let is_on_socket = server.text_of("bind").starts_with("unix://");
    if !is_port(number) && (number > 0 || !is_on_socket) {
        add("a port is a whole number from 1 to 65535", "write e.g. 80");
    }
    if port.whole_of("targetPort") > 0 {
        add("`targetPort` does nothing at a Gateway: Istio refuses it", "take it out");
    }
    if port.text_of("name").is_empty() {
        add("the port has no name", "write e.g. `name: http`");
    }
}

fn bind(server: &At<'_>, port: Option<&At<'_>>, report: &mut Report) {
    let Some(at) = server.get("bind").filter(|at| at.text() != Some("")) else { return };
    let bind = at.text().unwrap_or_default();
    let Some(path) = bind.strip_prefix("unix://") else {
        if bind.parse::<core::net::IpAddr>().is_err() && !is_address(bind) {
            let message = format!("`{}` is no address to listen on", bind.escape_debug());
            report.add(codes::GW01, &at, message, "write an IP address, or `unix://` and a path");
        }
        return;
    };
    if !is_socket(path) {
        report.add(codes::GW01, &at, "the socket has no absolute path", "write `unix:///run/web.sock`");
    }
    if port.is_some_and(|port| port.whole_of("number") != 0) {
        report.add(codes::GW01, &at, "a server on a socket has a port number", "write `number: 0`");
    }
}

/// Checks TLS settings against the protocol that they stand beside.
fn beside(tls: &At<'_>, kind: Option<Protocol>, report: &mut Report) {
    let passes = matches!(mode(tls), "PASSTHROUGH" | "AUTO_PASSTHROUGH");
    let files =
        ["caCertificates", "privateKey", "serverCertificate"].iter().any(|field| !tls.text_of(field).is_empty());
    match kind {
        Some(Protocol::Http) if !passes || files => {
            let message = "the server speaks plain HTTP, and its `tls` says more than `httpsRedirect`";
            report.add(codes::GW01, tls, message, "write the protocol HTTPS, or keep `httpsRedirect` alone");
        }
        Some(Protocol::Other) => {
            report.add(codes::GW01, tls, "the server's protocol has no TLS", "write the protocol TLS or HTTPS");
        }
        _ => {}
    }
    if tls.is("httpsRedirect") && kind.is_some_and(|kind| kind != Protocol::Http) {
        report.add(codes::GW02, tls, "`httpsRedirect` does nothing here", "write it at the server of plain HTTP");
    }
}

/// The mode as Istio reads it: the first is the default.
fn mode<'v>(tls: &At<'v>) -> &'v str {
    match tls.text_of("mode") {
        "" => "PASSTHROUGH",
        mode => mode,
    }
}

fn tls(tls: &At<'_>, report: &mut Report) {
    let has = |field: &&&str| match **field {
        "credentialNames" | "tlsCertificates" => tls.count(field) > 0,
        _ => !tls.text_of(field).is_empty(),
    };
    let given: Vec<&str> = CERTIFICATES.iter().filter(has).copied().collect();
    let any = |fields: &[&str]| given.iter().any(|field| fields.contains(field));
    let mut add = |message: &str, hint: &str| report.add(codes::GW01, tls, message, hint);
    let mode = mode(tls);
    if mode == "ISTIO_MUTUAL" {
        let refused: Vec<&str> = given.iter().copied().filter(|field| *field != "caCrl").collect();
        if !refused.is_empty() {
            add(
                &format!("ISTIO_MUTUAL brings its own certificates, and there is {}", refused.join(", ")),
                "take them out",
            );
        }
        return;
    }
    let files = any(&["serverCertificate"]) && any(&["privateKey"]);
    let sources = [files, any(&["credentialName"]), any(&["credentialNames"]), any(&["tlsCertificates"])];
    if sources.iter().filter(|given| **given).count() > 1 {
        add(
            "certificates come from two places",
            "keep one of `credentialName`, `credentialNames`, `tlsCertificates` and files",
        );
    }
    let terminates = matches!(mode, "SIMPLE" | "MUTUAL" | "OPTIONAL_MUTUAL");
    if terminates && any(&["credentialName", "credentialNames"]) {
        return;
    }
    if terminates {
        if mode != "SIMPLE" && !any(&["caCertificates"]) {
            add("mutual TLS has no authority for its clients", "write `credentialName`, or `caCertificates`");
        }
        let pairs = if tls.count("tlsCertificates") > 0 { tls.list("tlsCertificates") } else { vec![tls.clone()] };
        for pair in pairs {
            if pair.text_of("serverCertificate").is_empty() || pair.text_of("privateKey").is_empty() {
                add("the server has no certificate, or no key to it", "write `credentialName`, or both files");
            }
        }
    } else if !given.is_empty() {
        let message = format!("{mode} uses no certificates");
        report.add(codes::GW02, tls, message, "take them out");
    }
    if any(&["caCrl"]) && (mode == "SIMPLE" || any(&["credentialName"])) {
        let message =
            "a list of revoked certificates needs mutual TLS, and stands in the credential where there is one";
        report.add(codes::GW01, tls, message, "take `caCrl` out");
    }
}
