//! Reads names and visibility of the plan's Istio objects.

use std::collections::BTreeSet;

use super::super::{ObjectSpec, codes, node::Node, report::Report};
use super::{
    plan::Names,
    shape::place,
    syntax::{is_dns_label, is_dns_subdomain},
};

/// The object under that field of `objects`.
pub(super) fn read(spec: &Node, field: &str, names: &Names<'_>, report: &mut Report<'_>) -> ObjectSpec {
    let Some(node) = spec.get("objects").and_then(|objects| objects.get(field)) else {
        return ObjectSpec { name: names.short.clone(), export_to: None };
    };
    let name = node.get("name").and_then(|name| Some((name, name.text()?)));
    if let Some((at, name)) = name.filter(|(_, name)| !is_dns_subdomain(name)) {
        report.add(codes::PL06, &at.span, format!("`{name}` is no name that Kubernetes accepts"));
    }
    let export_to = node.get("exportTo").filter(|list| list.kind() == "a list");
    if let Some(list) = export_to {
        check_export_to(list, report);
    }
    ObjectSpec {
        name: name.map_or_else(|| names.short.clone(), |(_, name)| name.to_owned()),
        export_to: export_to.map(|list| list.items().iter().filter_map(Node::text).map(str::to_owned).collect()),
    }
}

fn check_export_to(list: &Node, report: &mut Report<'_>) {
    let mut seen = BTreeSet::new();
    for item in list.items() {
        let Some(text) = item.text() else { continue };
        if !matches!(text, "." | "*" | "~") && !is_dns_label(text) {
            let message = format!("`{text}` is no namespace");
            report.hint(codes::VS17, place(item), message, "write `.`, `*` or names of namespaces");
        }
        if !seen.insert(text) {
            report.add(codes::VS17, place(item), format!("`{text}` stands twice in `exportTo`"));
        }
        if matches!(text, "*" | "~") && list.items().len() > 1 {
            report.add(codes::VS17, place(item), format!("`{text}` stands beside others in `exportTo`"));
        }
    }
}
