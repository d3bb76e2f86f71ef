//! Reads which clusters share their endpoints, and which of them istiods read Istio's objects in.

use crate::{
    cluster::Role,
    plan::{
        codes,
        node::Node,
        read::{is_rule_name, place},
        report::Report,
    },
};

/// The mesh of a cluster.
pub(super) fn name(node: &Node, report: &mut Report<'_>) -> Option<String> {
    let written = node.get("mesh")?;
    let name = written.text()?;
    if !is_rule_name(name) {
        let message = format!("`{}` is no name of a mesh", name.escape_debug());
        report.hint(codes::PL06, place(written), message, "use letters, digits, `-`, `_` and `.`, at most 63");
    }
    Some(name.to_owned())
}

/// What a cluster is there.
pub(super) fn role(node: &Node) -> Role {
    let written = node.get("role").and_then(Node::text);
    if written == Some(Role::Remote.name()) { Role::Remote } else { Role::Primary }
}

/// Reports remotes whose endpoints nobody could read, and those that are said to have an istiod.
pub(super) fn check(node: &Node, report: &mut Report<'_>) {
    let Some(clusters) = node.get("clusters") else { return };
    let mesh = |cluster: &Node| cluster.get("mesh").and_then(Node::text).map(str::to_owned);
    for cluster in clusters.items().iter().filter(|cluster| role(cluster) == Role::Remote) {
        let Some(written) = cluster.get("role") else { continue };
        let name = cluster.get("name").and_then(Node::text).unwrap_or_default().escape_debug();
        let primary = |other: &&Node| role(other) == Role::Primary && mesh(other) == mesh(cluster);
        match mesh(cluster) {
            None => {
                let message = format!("cluster `{name}` is remote, and of no mesh");
                report.hint(codes::CF04, place(written), message, "write the `mesh` of its primary, here and there");
            }
            Some(mesh) if !clusters.items().iter().any(|other| primary(&other)) => {
                let message =
                    format!("cluster `{name}` is remote in mesh `{}`, which has no primary", mesh.escape_debug());
                report.hint(codes::CF04, place(written), message, "write the same `mesh` at its primary");
            }
            Some(_) => {}
        }
        for field in ["istiod", "gatewayAdmin"] {
            if let Some(entry) = cluster.entry(field).filter(|entry| !entry.node.is_null()) {
                let message = format!("cluster `{name}` is remote, and has no istiod of its own to ask");
                report.hint(codes::CF04, &entry.key_span, message, format!("write `{field}` at its primary"));
            }
        }
    }
}
