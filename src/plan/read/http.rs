//! Checks the other Istio HTTPRoute fields of a route.

use serde_json::{Map, Value};

use super::super::{codes, node::Node, report::Report};
use super::{shape::place, syntax::duration_ns};

/// The fields that a route must not have, and why.
const REFUSED: [(&str, &str); 6] = [
    ("name", "the route's own `name` says it"),
    ("match", "the route's own `match` says it"),
    ("route", "tidegate writes the destinations itself"),
    ("redirect", "a redirect answers without any version"),
    ("directResponse", "a direct response answers without any version"),
    ("delegate", "a delegate routes without any weights of the plan"),
];
/// The other fields that Istio has, with what each is.
const FIELDS: [(&str, &str); 10] = [
    ("timeout", "text"),
    ("retries", "a map"),
    ("fault", "a map"),
    ("mirror", "a map"),
    ("mirrors", "a list"),
    ("mirrorPercentage", "a map"),
    ("mirrorPercent", "a number"),
    ("corsPolicy", "a map"),
    ("headers", "a map"),
    ("rewrite", "a map"),
];

/// The `http` of a route; empty where there is none.
pub(super) fn read(route: &Node, report: &mut Report<'_>) -> Map<String, Value> {
    let Some(http) = route.get("http").filter(|http| http.is_map()) else { return Map::new() };
    for entry in http.entries() {
        if let Some((field, why)) = REFUSED.iter().find(|(field, _)| *field == entry.key) {
            report.add(codes::PL14, &entry.key_span, format!("`http` must not have `{field}`: {why}"));
            continue;
        }
        match FIELDS.iter().find(|(field, _)| *field == entry.key) {
            None => {
                let message = format!("Istio's HTTPRoute is not known to have `{}`", entry.key);
                let known = FIELDS.iter().map(|(field, _)| *field);
                report.unknown(codes::PL16, &entry.key_span, message, &entry.key, known);
            }
            Some((field, wanted)) if !entry.node.is_null() && entry.node.kind() != *wanted => {
                let message = format!("`{field}` is {}, not {wanted}", entry.node.kind());
                report.add(codes::PL03, place(&entry.node), message);
            }
            Some(_) => {}
        }
    }
    duration(http.get("timeout").filter(|timeout| timeout.text().is_some()), "timeout", report);
    duration(http.get("retries").and_then(|retries| retries.get("perTryTimeout")), "perTryTimeout", report);
    fault(http, report);
    mirrors(http, report);
    http.map()
}

fn duration(node: Option<&Node>, name: &str, report: &mut Report<'_>) {
    let Some(node) = node else { return };
    if node.text().and_then(duration_ns).is_none_or(|ns| ns < 1_000_000) {
        let hint = "write e.g. `10s`, or leave it out for no limit";
        report.hint(codes::VS13, place(node), format!("`{name}` is no duration of a millisecond or more"), hint);
    }
}

fn fault(http: &Node, report: &mut Report<'_>) {
    let Some(entry) = http.entry("fault").filter(|entry| entry.node.is_map()) else { return };
    let kinds = ["abort", "delay"].map(|kind| entry.node.entry(kind));
    if kinds.iter().all(Option::is_none) {
        report.add(codes::VS11, &entry.key_span, "`fault` has neither `abort` nor `delay`");
    }
    for kind in kinds.into_iter().flatten() {
        let share = share(&kind.node, "percentage").or_else(|| kind.node.get("percent")?.scalar()?.as_f64());
        if !share.is_some_and(|share| (0.0..100.0).contains(&share)) {
            let message = format!("the {} hits every request", kind.key);
            report.hint(codes::TG06, &kind.key_span, message, "write `percentage: {value: …}` below 100");
        }
    }
}

fn mirrors(http: &Node, report: &mut Report<'_>) {
    let hint = "write the percentage of requests that are copied, `{value: …}`";
    if let Some(mirror) = http.entry("mirror").filter(|entry| !entry.node.is_null())
        && share(http, "mirrorPercentage").is_none()
        && http.get("mirrorPercent").is_none()
    {
        report.hint(codes::TG16, &mirror.key_span, "`mirror` without `mirrorPercentage` copies every request", hint);
    }
    for mirror in http.get("mirrors").map_or(&[][..], Node::items) {
        if share(mirror, "percentage").is_none() {
            report.hint(codes::TG16, place(mirror), "a mirror without `percentage` copies every request", hint);
        }
    }
}

/// The `value` of an Istio `Percent`.
fn share(node: &Node, field: &str) -> Option<f64> {
    node.get(field)?.get("value")?.scalar()?.as_f64()
}
