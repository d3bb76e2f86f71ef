//! Reads the service, hosts and gateways.

use std::ops::Range;

use super::super::{CLUSTER_DOMAIN, Host, MESH, codes, node::Node, report::Report};
use super::{
    shape::place,
    syntax::{is_dns_label, is_gateway, is_host},
};

/// The most hosts or gateways of a plan or route.
const ITEMS_MAX: usize = 100;

/// The Service in front of every version, which is one of the plan's own namespace.
pub(super) fn service(spec: &Node, namespace: &str, report: &mut Report<'_>) -> Option<Host> {
    let node = spec.get("service")?;
    let written = node.text()?;
    let host = Host::resolve(written, namespace);
    match host.service() {
        Some((short, own)) if own == namespace && is_dns_label(short) => return Some(host),
        Some((short, other)) if other != namespace && is_dns_label(short) => {
            let message = format!("the service `{written}` is in the namespace `{other}`, the plan in `{namespace}`");
            report.hint(codes::PL13, &node.span, message, "a plan stands in the namespace of its service");
        }
        Some(_) => {
            report.add(codes::PL06, &node.span, format!("`{written}` is no name of a service"));
        }
        None => match written.split_once('.') {
            Some((short, own)) if own == namespace => {
                let message = format!("Istio takes `{written}` for an external name, not for a service");
                report.hint(codes::TG08, &node.span, message, format!("write `{short}`"));
            }
            _ => {
                let message = format!("`{written}` is no service of the namespace `{namespace}`");
                let hint = format!("write the service's short name, or `<name>.{namespace}.svc.{CLUSTER_DOMAIN}`");
                report.hint(codes::PL13, &node.span, message, hint);
            }
        },
    }
    None
}

/// The hosts of the list in this node; none where it has no list.
pub(super) fn hosts(node: &Node, short: &str, namespace: &str, report: &mut Report<'_>) -> Option<Vec<String>> {
    list(node, "hosts", report, |host, at, report| {
        if !is_host(host) {
            report.add(codes::PL06, at, format!("`{host}` is no host"));
        }
        if let Some((first, second)) = host.split_once('.')
            && !second.contains('.')
            && first != "*"
            && (first == short || second == namespace)
        {
            let message = format!("Istio takes `{host}` for an external name, not for a service");
            let hint = format!("write `{first}`, or `{first}.{second}.svc.{CLUSTER_DOMAIN}`");
            report.hint(codes::TG08, at, message, hint);
        }
    })
}

/// The gateways of the list in this node; none where it has no list.
pub(super) fn gateways(node: &Node, report: &mut Report<'_>) -> Option<Vec<String>> {
    list(node, "gateways", report, |gateway, at, report| {
        if !is_gateway(gateway) {
            let message = format!("`{gateway}` is no gateway");
            report.hint(codes::PL06, at, message, format!("write `{MESH}`, `name` or `namespace/name`"));
        }
    })
}

fn list(
    node: &Node,
    field: &str,
    report: &mut Report<'_>,
    check: impl Fn(&str, &Range<usize>, &mut Report<'_>),
) -> Option<Vec<String>> {
    let entry = node.entry(field).filter(|entry| !entry.node.is_null())?;
    let items = entry.node.items();
    if items.is_empty() {
        if entry.node.kind() == "a list" {
            report.hint(codes::PL04, &entry.key_span, format!("`{field}` is empty"), "leave it out for the default");
        }
        return None;
    }
    if items.len() > ITEMS_MAX {
        let message = format!("`{field}` has {} items, the limit is {ITEMS_MAX}", items.len());
        report.add(codes::PL17, &entry.key_span, message);
        return None;
    }
    for item in items {
        if let Some(text) = item.text() {
            check(text, place(item), report);
        }
    }
    Some(items.iter().filter_map(Node::text).map(str::to_owned).collect())
}
