//! Reads pins.

use super::super::{Pin, Version, VersionName, codes, node::Node, report::Report};
use super::{matches, routes::name, shape::place, traffic::unknown_version};

/// A pin, and where it is written.
pub(super) struct Written<'n> {
    pub(super) pin: Pin,
    pub(super) node: &'n Node,
}

/// What a caller sets on purpose.
const DELIBERATE: [&str; 4] = ["headers", "queryParams", "method", "authority"];

/// The pins in order.
pub(super) fn read<'n>(spec: &'n Node, versions: &[Version], report: &mut Report<'_>) -> Vec<Written<'n>> {
    let mut pins = Vec::new();
    for node in spec.get("pins").map_or(&[][..], Node::items).iter().filter(|node| node.is_map()) {
        let to = node.get("to").and_then(|to| Some((to, to.text()?)));
        if let Some((at, to)) = to
            && !versions.is_empty()
            && !versions.iter().any(|version| version.name.as_str() == to)
        {
            unknown_version(to, &at.span, versions, report);
        }
        if let Some(entry) = node.entry("match").filter(|entry| entry.node.kind() == "a list") {
            if entry.node.items().is_empty() {
                report.add(codes::PL04, &entry.key_span, "a pin's `match` is empty: it would take every request");
            }
            for block in entry.node.items().iter().filter(|block| block.is_map() && !is_deliberate(block)) {
                let at = if block.entries().is_empty() { &entry.key_span } else { place(block) };
                let message = "the pin takes requests by nothing that a caller sets on purpose";
                report.hint(
                    codes::TG23,
                    at,
                    message,
                    "match a header, a query parameter, a method, an authority or an exact uri",
                );
            }
        }
        let pin = Pin {
            name: name(node, report).unwrap_or_default().to_owned(),
            matches: matches::read(node, report),
            to: VersionName::new(to.map_or("", |(_, to)| to)),
        };
        pins.push(Written { pin, node });
    }
    pins
}

fn is_deliberate(block: &Node) -> bool {
    DELIBERATE.iter().any(|field| block.get(field).is_some())
        || block.get("uri").is_some_and(|uri| uri.get("exact").is_some())
}
