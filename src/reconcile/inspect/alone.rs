//! Looks at each document of a file alone: what Istio would refuse of what it renders, it is refused for.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use crate::{
    istio::{
        self,
        rules::{self, Found},
    },
    plan::{Around, Document, ParsedFile, Plan, Severity, Traffic, VersionName, codes},
    rollout,
};

use super::places::{Origin, finding, in_order};

/// What the reader of plans has told already, with the span that it knows better.
const TOLD: [&str; 5] = [codes::TG01, codes::TG03, codes::TG09, codes::TG20, codes::IST0133];

/// Adds to a file what the rules of Istio find in its valid documents, and takes out those that they refuse.
pub fn judge(text: &str, file: &mut ParsedFile) {
    for (document, place) in std::mem::take(&mut file.documents) {
        let found = match &document {
            Document::Plan(plan) => of_plan(plan),
            Document::Object(object) => {
                rules::check(&object.value).into_iter().map(|found| (found, Origin::File)).collect()
            }
        };
        if found.is_empty() {
            file.documents.push((document, place));
            continue;
        }
        let around = Around::byte(text, place.start);
        let found = found.into_iter().map(|(found, origin)| finding(found, &origin, &place, around.as_ref()));
        let findings = in_order(found.collect());
        let refused = findings.iter().any(|finding| finding.severity == Severity::Error);
        if let Document::Plan(plan) = &document {
            file.noted.extend(around.map(|around| (plan.key.clone(), around.bytes)));
            file.broken.extend(refused.then(|| plan.key.clone()));
        }
        file.findings.extend(findings);
        if !refused {
            file.documents.push((document, place));
        }
    }
}

/// What is wrong with what a plan renders, at its target and on the way.
fn of_plan(plan: &Arc<Plan>) -> Vec<(Found, Origin)> {
    let rule = istio::destination_rule(&plan.routing, &plan.routing.versions);
    let of_rule = rules::check(&rule).into_iter().map(|found| (found, Origin::Rule(plan.clone())));
    let routes = shapes(plan).into_iter().map(|traffic| istio::virtual_service(&plan.routing, &traffic));
    let of_route: BTreeSet<Found> = routes.flat_map(|route| rules::check(&route)).collect();
    let of_route = of_route.into_iter().map(|found| (found, Origin::Route(plan.clone())));
    of_rule.chain(of_route).filter(|(found, _)| !TOLD.contains(&found.code)).collect()
}

/// The traffic of a plan from its origin to its target, once for each set of versions that have weight: how much they
/// have makes no difference to Istio. Where the plan does not say what callers get before, all of it goes to one version
/// that does not rise.
fn shapes(plan: &Plan) -> Vec<Traffic> {
    let names: Vec<VersionName> = plan.routing.versions.iter().map(|version| version.name.clone()).collect();
    let idle = || names.iter().min_by_key(|name| plan.traffic.weight(name)).map(|idle| Traffic::all(idle.clone()));
    let mut all = vec![plan.traffic.clone()];
    if let Some(origin) = plan.from.clone().or_else(idle) {
        let rising = names.iter().filter(|name| plan.traffic.weight(name) > origin.weight(name)).cloned().collect();
        let steps = plan.steps.iter();
        all.extend(steps.filter_map(|step| rollout::at(step.weight, &origin, &plan.traffic, &rising, &names)));
        all.push(origin);
    }
    let mut seen = HashSet::new();
    all.retain(|traffic| seen.insert(traffic.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>()));
    all
}
