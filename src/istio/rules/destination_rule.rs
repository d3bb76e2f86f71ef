//! The rules of a DestinationRule.

use std::collections::BTreeSet;

use super::{
    Object,
    at::At,
    names,
    report::Report,
    syntax::{is_label, is_wildcard_domain},
    traffic_policy,
};
use crate::plan::codes;

pub(super) fn check(object: &Object<'_>, report: &mut Report) {
    let spec = &object.spec;
    if let Some(at) = spec.get("host") {
        let host = at.text().unwrap_or_default();
        if !is_wildcard_domain(host) {
            let message = format!("`{}` is no host", host.escape_debug());
            report.add(codes::DR01, &at, message, "write a Service's short name, or its full one");
        }
        names::external(&at, object.namespace, report);
    }
    if let Some(policy) = spec.get("trafficPolicy") {
        traffic_policy::check(&policy, object.namespace, report);
    }
    subsets(&spec.list("subsets"), object.namespace, report);
    hashing(spec, report);
    names::export_to(spec, object.namespace, false, report);
    if let Some(selector) = spec.get("workloadSelector") {
        callers(&selector, spec, object.namespace, report);
    }
}

fn subsets(subsets: &[At<'_>], namespace: &str, report: &mut Report) {
    let mut names = BTreeSet::new();
    for (position, subset) in subsets.iter().enumerate() {
        let name = subset.text_of("name");
        if let Some(at) = subset.get("name") {
            if !is_label(name) {
                let message = format!("`{}` is no name of a subset", name.escape_debug());
                report.add(codes::DR01, &at, message, "use letters, digits and `-`, at most 63");
            } else if !names.insert(name) {
                report.add(codes::DR01, &at, format!("two subsets have the name `{name}`"), "name each of them");
            }
        }
        names::labels(subset, "labels", codes::DR01, report);
        if let Some(policy) = subset.get("trafficPolicy") {
            traffic_policy::check(&policy, namespace, report);
        }
        let labels = pairs(subset);
        if labels.is_empty() {
            let message = format!("the subset `{}` has no labels: it selects every pod", name.escape_debug());
            report.add(codes::TG02, subset, message, format!("write `labels: {{version: {}}}`", name.escape_debug()));
            continue;
        }
        let alike = |other: &&At<'_>| {
            let other = pairs(other);
            !other.is_empty() && (other.is_subset(&labels) || labels.is_subset(&other))
        };
        if let Some(other) = subsets.iter().take(position).find(alike) {
            let other = other.text_of("name").escape_debug();
            let message = format!("the subsets `{other}` and `{}` select the same pods", name.escape_debug());
            report.add(codes::TG03, subset, message, "give them different values of the same label");
        }
    }
}

fn pairs<'v>(subset: &At<'v>) -> BTreeSet<(&'v str, &'v str)> {
    subset.map("labels").into_iter().filter_map(|(key, at)| Some((key, at.text()?))).collect()
}

fn hashing(spec: &At<'_>, report: &mut Report) {
    let subsets = spec.list("subsets");
    if subsets.len() < 2 {
        return;
    }
    let policies = std::iter::once(spec).chain(&subsets).filter_map(|owner| owner.get("trafficPolicy"));
    for hash in policies.filter_map(|policy| policy.reach(&["loadBalancer", "consistentHash"])) {
        let message = "consistent hashing works within a subset: a caller changes subsets by weight all the same";
        report.add(codes::TG09, &hash, message, "route by a header or cookie before the weighted route");
    }
}

/// Checks the pods that a rule is kept to.
fn callers(selector: &At<'_>, spec: &At<'_>, namespace: &str, report: &mut Report) {
    let labels = selector.map("matchLabels");
    for (key, at) in &labels {
        if key.is_empty() || key.contains('*') || at.text().is_some_and(|value| value.contains('*')) {
            let message = format!("`{}` selects by an empty name or a wildcard", key.escape_debug());
            report.add(codes::DR01, at, message, "write whole labels");
        }
    }
    if labels.is_empty() {
        report.add(codes::DR07, selector, "the selector has no labels", "write `matchLabels`, or leave it out");
    }
    let others: BTreeSet<&str> = spec.list("exportTo").iter().filter_map(At::text).collect();
    if let Some(at) = spec.get("exportTo").filter(|_| others.iter().any(|other| *other != "." && *other != namespace)) {
        let message = "a rule for selected pods is exported beyond its namespace";
        report.add(codes::DR06, &at, message, "write `exportTo: [.]`, or take `workloadSelector` out");
    }
}
