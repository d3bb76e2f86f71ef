//! Tells by kind what a document is.

use std::sync::Arc;

use super::super::{
    Document, ParsedFile, PlanKey, codes,
    fields::{API_VERSION, KIND, LATER_KINDS},
    node::Node,
    report::Report,
};
use super::{
    clusters, plain, plan,
    shape::place,
    syntax::{is_dns_label, is_dns_subdomain},
};

/// Reads one document: adds it to the file if it is valid, and to the report what is wrong with it. Returns the plan's
/// name, as far as the document is a plan whose name can be read.
pub(in crate::plan) fn document(node: &Node, report: &mut Report<'_>, file: &mut ParsedFile) -> Option<PlanKey> {
    let at = place(node);
    if !node.is_map() {
        report.add(codes::PL03, at, format!("a document is {}, not a map", node.kind()));
        return None;
    }
    let (kind, api_version) = (node.get("kind"), node.get("apiVersion"));
    let (Some(kind), Some(api_version)) = (kind.and_then(Node::text), api_version.and_then(Node::text)) else {
        for field in ["apiVersion", "kind"] {
            let Some(found) = node.get(field) else {
                let hint = format!("a plan starts with `apiVersion: {API_VERSION}` and `kind: {KIND}`");
                report.hint(codes::PL04, at, format!("`{field}` is missing"), hint);
                continue;
            };
            if found.text().is_none() {
                report.add(codes::PL03, place(found), format!("`{field}` is {}, not text", found.kind()));
            }
        }
        return None;
    };
    let errors = report.errors();
    let (read, is_plan) = match api_version.split_once('/') {
        Some(("tidegate.dev", _)) if LATER_KINDS.contains(&kind) => {
            report.add(
                codes::PL02,
                value_place(node, "kind"),
                format!("the kind `{kind}` is not supported by this version"),
            );
            (None, false)
        }
        _ if kind == KIND => {
            if api_version != API_VERSION {
                let message = format!("a plan of apiVersion `{api_version}` is not accepted");
                report.hint(codes::PL05, value_place(node, "apiVersion"), message, format!("write `{API_VERSION}`"));
            }
            (plan::read(node, report).map(|plan| Document::Plan(Arc::new(plan))), true)
        }
        _ => (plain::read(node, kind, api_version, report).map(|object| Document::Object(Arc::new(object))), false),
    };
    let key = key(node).filter(|_| is_plan);
    match read {
        Some(document) if report.errors() == errors => {
            // What the catalog finds concerns the whole document: the name stands for it.
            let name = node.get("metadata").map_or(at, |metadata| value_place(metadata, "name"));
            if let (Document::Plan(plan), Some(spec)) = (&document, node.get("spec")) {
                let places = clusters::places(spec).into_iter().map(|at| report.place(at)).collect();
                file.chosen.insert(plan.key.clone(), places);
            }
            file.documents.push((document, report.place(name)));
        }
        _ => file.broken.extend(key.clone()),
    }
    key
}

/// The plan that a document is about, valid or not; none where it is about none, or its name cannot be read.
pub(in crate::plan) fn plan_key(node: &Node) -> Option<PlanKey> {
    key(node).filter(|_| node.get("kind").and_then(Node::text) == Some(KIND))
}

/// The bytes of a field's value.
fn value_place<'n>(node: &'n Node, field: &str) -> &'n std::ops::Range<usize> {
    node.get(field).map_or(&node.span, place)
}

/// The plan's name, as far as it can be read.
fn key(node: &Node) -> Option<PlanKey> {
    let metadata = node.get("metadata")?;
    let name = metadata.get("name")?.text().filter(|name| is_dns_label(name))?;
    let namespace = namespace(metadata)?;
    Some(PlanKey { namespace: namespace.to_owned(), name: name.to_owned() })
}

/// The namespace of an object's metadata; none where it is no name of a namespace.
pub(super) fn namespace(metadata: &Node) -> Option<&str> {
    match metadata.get("namespace") {
        None => Some("default"),
        Some(namespace) => namespace.text().filter(|name| is_dns_label(name)),
    }
}

/// Namespace and name of any document; reports those that have not the form of a name.
pub(super) fn names<'n>(node: &'n Node, report: &mut Report<'_>) -> Option<(&'n str, &'n str)> {
    let metadata = node.get("metadata")?;
    let is_plan = node.get("kind").and_then(Node::text) == Some(KIND);
    let name = metadata.get("name").filter(|name| name.text().is_some());
    let is_name = |text: &str| if is_plan { is_dns_label(text) } else { is_dns_subdomain(text) };
    let mut good = true;
    for (field, found, valid) in [
        ("name", name, name.and_then(Node::text).is_some_and(is_name)),
        ("namespace", metadata.get("namespace"), namespace(metadata).is_some()),
    ] {
        let Some(found) = found.filter(|_| !valid) else { continue };
        let message = format!("`{}` is no {field} that Kubernetes accepts", found.text().unwrap_or_default());
        report.hint(codes::PL06, place(found), message, "use lower-case letters, digits and `-`, at most 63 in all");
        good = false;
    }
    good.then_some((namespace(metadata)?, name?.text()?))
}
