//! Reads plain Istio objects that stand beside plans.

use super::super::{ObjectKey, PlainObject, codes, fields::KIND, node::Node, report::Report};
use super::{document::names, shape::place};

/// The kinds that are accepted, with their group.
const KINDS: [(&str, &str); 7] = [
    ("Gateway", NETWORKING),
    ("ServiceEntry", NETWORKING),
    ("Sidecar", NETWORKING),
    ("WorkloadEntry", NETWORKING),
    ("PeerAuthentication", SECURITY),
    ("RequestAuthentication", SECURITY),
    ("AuthorizationPolicy", SECURITY),
];
const NETWORKING: &str = "networking.istio.io";
const SECURITY: &str = "security.istio.io";

/// Every kind of document that a plan file may hold.
pub(in crate::plan) fn kinds() -> impl Iterator<Item = &'static str> {
    [KIND].into_iter().chain(KINDS.iter().map(|(kind, _)| *kind))
}

pub(super) fn read(node: &Node, kind: &str, api_version: &str, report: &mut Report<'_>) -> Option<PlainObject> {
    let Some((_, group)) = KINDS.iter().find(|(known, _)| *known == kind) else {
        refuse(node, kind, report);
        return None;
    };
    let version = api_version.strip_prefix(group).and_then(|rest| rest.strip_prefix('/'));
    if !version.is_some_and(|version| matches!(version, "v1" | "v1beta1" | "v1alpha3")) {
        let message = format!("the apiVersion `{api_version}` is none of the kind {kind}");
        let at = node.get("apiVersion").map_or(&node.span, place);
        report.hint(codes::PL05, at, message, format!("write `{group}/v1`"));
    }
    match node.get("metadata") {
        Some(metadata) if metadata.get("name").and_then(Node::text).is_some() => {}
        Some(metadata) if metadata.get("name").is_some() || !metadata.is_map() => {
            report.add(codes::PL03, place(metadata), "the object's metadata has no name that is text");
        }
        _ => report.add(codes::PL04, place(node), "`metadata.name` is missing"),
    }
    if let Some(spec) = node.get("spec").filter(|spec| !spec.is_map()) {
        report.add(codes::PL03, place(spec), format!("`spec` is {}, not a map", spec.kind()));
    }
    let (namespace, name) = names(node, report)?;
    let key = ObjectKey { namespace: namespace.to_owned(), name: name.to_owned() };
    Some(PlainObject { kind: kind.to_owned(), key, value: node.value() })
}

fn refuse(node: &Node, kind: &str, report: &mut Report<'_>) {
    let at = node.get("kind").map_or(&node.span, place);
    let message = format!("the kind `{kind}` is not accepted beside plans");
    if matches!(kind, "VirtualService" | "DestinationRule") {
        let hint = format!("write a {KIND}: tidegate makes VirtualService and DestinationRule from it");
        return report.hint(codes::PL05, at, message, hint);
    }
    report.unknown(codes::PL05, at, message, kind, KINDS.iter().map(|(kind, _)| *kind).chain([KIND]));
}
