//! Rules about names that several kinds share: gateways, visibility, labels, destinations.

use std::collections::BTreeSet;

use super::{
    at::At,
    report::Report,
    syntax::{duration_fault, is_domain, is_label, is_label_key, is_label_value, is_port, is_wildcard_domain},
};
use crate::plan::{CLUSTER_DOMAIN, codes};

/// Checks the gateways of a VirtualService or of a match.
pub(super) fn gateways(owner: &At<'_>, report: &mut Report) {
    for at in owner.list("gateways") {
        let Some(name) = at.text() else { continue };
        let good = match name.split_once('/') {
            Some((namespace, name)) => is_label(namespace) && is_label(name),
            None => is_domain(name),
        };
        if !good {
            let hint = "write `name`, `namespace/name` or `mesh`";
            report.add(codes::VS08, &at, format!("`{}` is no name of a gateway", name.escape_debug()), hint);
        } else if let (false, Some((short, rest))) = (name.contains('/'), name.split_once('.')) {
            let namespace = rest.split('.').next().unwrap_or(rest);
            let message = format!("`{name}` is the form that gateways were named by before Istio 1.1");
            report.add(codes::VS20, &at, message, format!("write `{namespace}/{short}`"));
        }
    }
}

/// Checks who sees an object.
pub(super) fn export_to(spec: &At<'_>, namespace: &str, may_be_nobody: bool, report: &mut Report) {
    let list = spec.list("exportTo");
    let mut seen = BTreeSet::new();
    for at in &list {
        let Some(written) = at.text() else { continue };
        let full = if written == "." { namespace } else { written };
        if !seen.insert(full) {
            report.add(codes::VS17, at, format!("`{written}` stands twice in `exportTo`"), "keep one of the two");
        } else if written == "~" && !may_be_nobody {
            let message = "`exportTo` is `~`: nobody would see the object";
            report.add(codes::VS17, at, message, "write `.`, `*` or names of namespaces");
        } else if !matches!(full, "*" | "~") && !is_label(full) {
            let message = format!("`{}` is no namespace", written.escape_debug());
            report.add(codes::VS17, at, message, "write `.`, `*` or names of namespaces");
        }
        if matches!(written, "*" | "~") && list.len() > 1 {
            let message = format!("`{written}` stands beside others in `exportTo`");
            report.add(codes::VS17, at, message, "leave it alone, or take it out");
        }
    }
}

/// Checks keys and values of labels.
pub(super) fn labels(owner: &At<'_>, field: &'static str, code: &'static str, report: &mut Report) {
    for (key, at) in owner.map(field) {
        if !is_label_key(key) {
            report.add(
                code,
                &at,
                format!("`{}` is no key of a label", key.escape_debug()),
                "use letters, digits, `-`, `_` and `.`",
            );
        }
        if let Some(value) = at.text().filter(|value| !is_label_value(value)) {
            let message = format!("`{}` is no value of a label", value.escape_debug());
            report.add(code, &at, message, "use letters, digits, `-`, `_` and `.`");
        }
    }
}

/// Checks a port that may be left out, or be 0 for that.
pub(super) fn port(owner: &At<'_>, report: &mut Report) {
    if let Some(at) = owner.get("port").filter(|at| at.whole().is_some_and(|port| port != 0 && !is_port(port))) {
        report.add(codes::VS08, &at, "a port is a whole number from 1 to 65535", "write the Service's port");
    }
}

/// Checks the destination under that field of a route or mirror.
pub(super) fn destination(at: &At<'_>, namespace: &str, report: &mut Report) {
    if let Some(host) = at.get("host") {
        let name = host.text().unwrap_or_default();
        if name == "*" || !is_wildcard_domain(name) {
            let hint = "write a Service's short name, or its full one";
            report.add(codes::VS08, &host, format!("`{}` is no host to send requests to", name.escape_debug()), hint);
        }
        external(&host, namespace, report);
    }
    if let Some(subset) = at.get("subset") {
        let name = subset.text().unwrap_or_default();
        if !name.is_empty() && !is_label(name) {
            let message = format!("`{}` is no name of a subset", name.escape_debug());
            report.add(codes::VS08, &subset, message, "use letters, digits and `-`, at most 63");
        }
    }
    if let Some(port) = at.get("port")
        && !is_port(port.whole_of("number"))
    {
        report.add(codes::VS08, &port, "a port is a whole number from 1 to 65535", "write `port: {number: …}`");
    }
}

/// Reports a host of the form `service.namespace`, which Istio takes for an external name.
pub(super) fn external(at: &At<'_>, namespace: &str, report: &mut Report) {
    let Some((service, rest)) = at.text().and_then(|host| host.split_once('.')) else { return };
    if rest == namespace && is_label(service) {
        let message = format!("Istio takes `{service}.{rest}` for an external name, not for a Service");
        report.add(codes::TG08, at, message, format!("write `{service}`, or `{service}.{rest}.svc.{CLUSTER_DOMAIN}`"));
    }
}

/// Checks a duration that is at least a millisecond.
pub(super) fn duration(owner: &At<'_>, field: &'static str, code: &'static str, report: &mut Report) {
    let Some(at) = owner.get(field) else { return };
    if let Some(fault) = at.text().and_then(duration_fault) {
        report.add(code, &at, format!("`{field}` {fault}"), "write e.g. `10s` or `250ms`, or leave it out");
    }
}
