//! Reads which clusters a plan chooses, and labels wherever they stand.

use std::{collections::BTreeMap, ops::Range};

use super::super::{Chosen, codes, node::Node, report::Report};
use super::{
    shape::place,
    syntax::{is_label_key, is_label_value},
};

/// The clusters that a plan goes to.
pub(super) fn read(spec: &Node, report: &mut Report<'_>) -> Chosen {
    let Some(entry) = spec.entry("clusters").filter(|entry| !entry.node.is_null()) else { return Chosen::All };
    let node = &entry.node;
    if node.is_map() {
        let chosen = node.get("matchLabels");
        if chosen.is_none_or(|labels| labels.is_map() && labels.entries().is_empty()) {
            let message = "`clusters` has no labels: it would choose every cluster";
            report.hint(codes::PL04, &entry.key_span, message, "leave `clusters` out for all of them");
        }
        return Chosen::Labelled(labels(chosen, report));
    }
    let names: Vec<&Node> = node.items().iter().filter(|item| item.text().is_some()).collect();
    if names.is_empty() && node.text().is_none() && node.items().is_empty() {
        let message = "`clusters` is empty: the plan would go nowhere";
        report.hint(codes::PL04, &entry.key_span, message, "leave it out for all clusters");
    }
    for (at, name) in names.iter().enumerate() {
        let text = name.text().unwrap_or_default();
        if text.is_empty() {
            report.add(codes::PL06, place(name), "the name of a cluster is empty");
        }
        if names.iter().take(at).any(|before| before.text() == Some(text)) {
            report.add(codes::PL03, place(name), format!("`{text}` stands twice in `clusters`"));
        }
    }
    Chosen::Named(names.into_iter().filter_map(Node::text).map(str::to_owned).collect())
}

/// Where that is written: the place of each name, or of the labels.
pub(super) fn places(spec: &Node) -> Vec<&Range<usize>> {
    match spec.get("clusters") {
        Some(node) if node.is_map() => vec![node.entry("matchLabels").map_or(place(node), |entry| &entry.key_span)],
        Some(node) => node.items().iter().map(place).collect(),
        None => Vec::new(),
    }
}

/// A map of labels; reports what Kubernetes would not take as one.
pub(crate) fn labels(node: Option<&Node>, report: &mut Report<'_>) -> BTreeMap<String, String> {
    let entries = node.map_or(&[][..], Node::entries);
    for entry in entries {
        if !is_label_key(&entry.key) {
            report.add(codes::PL06, &entry.key_span, format!("`{}` is no key of a label", entry.key));
        }
        if let Some(value) = entry.node.text().filter(|value| !is_label_value(value)) {
            report.add(codes::PL06, place(&entry.node), format!("`{value}` is no value of a label"));
        }
    }
    entries.iter().filter_map(|entry| Some((entry.key.clone(), entry.node.text()?.to_owned()))).collect()
}
