//! Reads the order of clusters.

use std::collections::BTreeSet;

use super::super::{OnPartial, codes, node::Node, report::Report};
use super::shape::place;

/// The waves in order, each the names of its clusters.
pub(super) fn read(spec: &Node, report: &mut Report<'_>) -> Vec<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut waves = Vec::new();
    for wave in spec.get("waves").map_or(&[][..], Node::items).iter().filter(|wave| wave.kind() == "a list") {
        if wave.items().is_empty() {
            report.hint(codes::PL04, &wave.span, "a wave names no cluster", "leave it out, or name its clusters");
        }
        let mut names = Vec::new();
        for node in wave.items() {
            let Some(name) = node.text() else { continue };
            if name.is_empty() {
                report.add(codes::PL04, place(node), "the name of a cluster is empty");
            } else if !seen.insert(name.to_owned()) {
                let message = format!("cluster `{}` stands in the waves twice", name.escape_debug());
                report.hint(codes::PL10, &node.span, message, "a cluster enters each step once");
            }
            names.push(name.to_owned());
        }
        waves.push(names);
    }
    waves
}

/// How many clusters have to answer for a step to begin; none: all of them.
pub(super) fn quorum(spec: &Node) -> Option<u32> {
    u32::try_from(spec.get("barrier")?.get("quorum")?.whole()?).ok()
}

/// What becomes of a failure in some clusters alone.
pub(super) fn on_partial(spec: &Node) -> OnPartial {
    match spec.get("onPartial").and_then(Node::text) {
        Some("rollback-failed") => OnPartial::RollbackFailed,
        Some("hold") => OnPartial::Hold,
        _ => OnPartial::RollbackAll,
    }
}
