//! Reads the versions.

use super::super::{Version, VersionName, codes, node::Node, report::Report};
use super::{clusters::labels, policy, syntax::is_dns_label};

/// The declared versions in plan order.
pub(super) fn read(spec: &Node, report: &mut Report<'_>) -> Vec<Version> {
    let Some(entry) = spec.entry("versions") else { return Vec::new() };
    let entries = entry.node.entries();
    if entry.node.is_map() && entries.is_empty() {
        report.add(codes::PL04, &entry.key_span, "`versions` is empty");
    }
    let mut versions: Vec<Version> = Vec::with_capacity(entries.len());
    for entry in entries {
        let (name, node) = (&entry.key, &entry.node);
        if !is_dns_label(name) {
            let message = format!("`{name}` is no name of a version");
            report.hint(codes::PL06, &entry.key_span, message, "use lower-case letters, digits and `-`, at most 63");
        }
        if node.is_map() && node.get("labels").is_none_or(|labels| labels.is_map() && labels.entries().is_empty()) {
            let message = format!("version `{name}` has no labels: it would select every pod");
            report.hint(codes::TG02, &entry.key_span, message, format!("write `labels: {{version: {name}}}`"));
        }
        let version = Version {
            name: VersionName::new(name.clone()),
            labels: labels(node.get("labels"), report),
            traffic_policy: policy::read(node, entries.len(), report),
            build: node.get("build").and_then(Node::text).map(str::to_owned),
        };
        if let Some(other) = versions.iter().find(|other| overlap(other, &version)) {
            let message = format!("versions `{}` and `{name}` select the same pods", other.name);
            let at = node.entry("labels").map_or(&entry.key_span, |labels| &labels.key_span);
            report.hint(codes::TG03, at, message, "give them different values of the same label");
        }
        versions.push(version);
    }
    versions
}

/// Whether the labels of one are all among those of the other, so that a pod can be of both.
fn overlap(one: &Version, two: &Version) -> bool {
    let within =
        |few: &Version, many: &Version| few.labels.iter().all(|(key, value)| many.labels.get(key) == Some(value));
    !one.labels.is_empty() && !two.labels.is_empty() && (within(one, two) || within(two, one))
}
