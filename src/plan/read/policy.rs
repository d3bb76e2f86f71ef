//! Checks Istio traffic policies.

use serde_json::Value;

use super::super::{codes, node::Node, report::Report};
use super::shape::place;

const FIELDS: [&str; 8] = [
    "loadBalancer",
    "connectionPool",
    "outlierDetection",
    "tls",
    "portLevelSettings",
    "tunnel",
    "proxyProtocol",
    "retryBudget",
];
const PORT_FIELDS: [&str; 5] = ["port", "loadBalancer", "connectionPool", "outlierDetection", "tls"];
const TLS_MODES: [&str; 4] = ["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"];

/// The `trafficPolicy` of a plan or of a version; an empty one, which Istio would refuse, counts as left out.
pub(super) fn read(owner: &Node, versions: usize, report: &mut Report<'_>) -> Option<Value> {
    let entry = owner.entry("trafficPolicy").filter(|entry| entry.node.is_map())?;
    entry.node.set_entries().next()?;
    settings(&entry.node, &FIELDS, versions, report);
    for port in entry.node.get("portLevelSettings").map_or(&[][..], Node::items) {
        let number = port.get("port").and_then(|port| port.get("number"));
        match number {
            None => {
                report.hint(codes::DR02, place(port), "a port's settings have no port", "write `port: {number: …}`")
            }
            Some(number) if !number.whole().is_some_and(|number| (1..=65_535).contains(&number)) => {
                report.add(codes::PL17, place(number), "a port is a whole number from 1 to 65535");
            }
            Some(_) => {}
        }
        settings(port, &PORT_FIELDS, versions, report);
    }
    Some(entry.node.value())
}

fn settings(node: &Node, known: &[&str], versions: usize, report: &mut Report<'_>) {
    for entry in node.entries() {
        if !known.contains(&entry.key.as_str()) {
            let message = format!("Istio's traffic policy is not known to have `{}`", entry.key);
            report.unknown(codes::PL16, &entry.key_span, message, &entry.key, known.iter().copied());
            continue;
        }
        let wanted = if entry.key == "portLevelSettings" { "a list" } else { "a map" };
        if !entry.node.is_null() && entry.node.kind() != wanted {
            let message = format!("`{}` is {}, not {wanted}", entry.key, entry.node.kind());
            report.add(codes::PL03, place(&entry.node), message);
        }
    }
    if let Some(mode) = node.get("tls").and_then(|tls| tls.get("mode")) {
        match mode.text() {
            Some(text) if TLS_MODES.contains(&text) => {}
            Some(text) => {
                report.unknown(codes::DR06, &mode.span, format!("the TLS mode `{text}` is unknown"), text, TLS_MODES);
            }
            None => report.add(codes::DR06, place(mode), format!("the TLS mode is {}, not text", mode.kind())),
        }
    }
    let hash = node.get("loadBalancer").and_then(|balancer| balancer.entry("consistentHash"));
    if let Some(hash) = hash.filter(|_| versions > 1) {
        let message = "consistent hashing works within a version: a caller changes versions by weight all the same";
        report.add(codes::TG09, &hash.key_span, message);
    }
}
