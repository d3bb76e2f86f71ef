//! Whether DestinationRules are for a host that is there, and leave its subsets to all callers.

use std::collections::BTreeSet;

use super::{Findings, Whose, view::View};
use crate::plan::codes;

pub(super) fn check(view: &View<'_>, findings: &mut Findings) {
    for rule in view.rules.iter().filter(|rule| rule.whose == Whose::Written) {
        let is_host = !rule.host.as_str().starts_with('*');
        if let Some(at) = rule.spec.get("host").filter(|_| is_host && view.is_missing(&rule.host)) {
            let message = format!("there is no Service or ServiceEntry for `{}`", rule.host);
            findings.add(rule.member, codes::IST0174, &at, message, "create it first, or correct the host");
        }
    }
    shadows(view, findings);
}

/// Callers take the rule of their own namespace before that of the Service: one that lacks subsets takes them away.
fn shadows(view: &View<'_>, findings: &mut Findings) {
    let mut told = BTreeSet::new();
    for route in &view.routes {
        for leg in &route.legs {
            let Some((at, subset)) = leg.subset.as_ref().and_then(|at| Some((at, at.text()?))) else { continue };
            let Some((_, home)) = leg.host.service() else { continue };
            if !view.exact_rules(&leg.host).any(|rule| rule.namespace == home && rule.subsets.contains_key(subset)) {
                continue;
            }
            for rule in view.exact_rules(&leg.host) {
                let lacks = rule.namespace != home && !rule.subsets.contains_key(subset);
                let (member, at) = match (rule.whose.is_own(), rule.spec.get("host")) {
                    (true, Some(host)) => (rule.member, host),
                    _ if route.whose.is_own() => (route.member, at.clone()),
                    _ => continue,
                };
                if !lacks || !told.insert((member, rule.member)) {
                    continue;
                }
                let (namespace, subset) = (rule.namespace, subset.escape_debug());
                let message = format!(
                    "DestinationRule {namespace}/{} is what callers in `{namespace}` take for `{}`, and it lacks `{subset}`: \
                     they get 503",
                    rule.name, leg.host
                );
                let hint = format!(
                    "remove the rule in `{namespace}`, or give it the same subsets; rules belong into `{home}`, beside the Service"
                );
                findings.add(member, codes::TG10, &at, message, hint);
            }
        }
    }
}
