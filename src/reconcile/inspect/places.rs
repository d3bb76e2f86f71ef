//! Where in a file stands what the rules of Istio find in an object: in the object itself, or in the plan that renders it.

use std::sync::Arc;

use crate::{
    istio::rules::Found,
    plan::{Around, Finding, Place, Plan, codes},
};

/// Where an object comes from.
pub(super) enum Origin {
    /// It is written as it stands.
    File,
    /// It is the VirtualService of a plan.
    Route(Arc<Plan>),
    /// It is the DestinationRule of a plan.
    Rule(Arc<Plan>),
}

/// What was found in an object, as a finding at its nearest place in the document. `place` is that of its name.
pub(super) fn finding(found: Found, origin: &Origin, place: &Place, document: Option<&Around>) -> Finding {
    let pointers = match origin {
        Origin::File => ancestors(&found.pointer),
        Origin::Route(plan) => in_plan(plan, &found.pointer, route_places),
        Origin::Rule(plan) => in_plan(plan, &found.pointer, rule_places),
    };
    let place = match document.and_then(|document| document.locate(&pointers)) {
        Some(bytes) => Place { start: bytes.start, end: bytes.end, ..place.clone() },
        None => place.clone(),
    };
    let severity = codes::severity(found.code);
    Finding { code: found.code, severity, message: found.message, place: Some(place), hints: vec![found.hint] }
}

/// Findings in the order of their places. What a plan renders in several routes is wrong in one place.
pub(super) fn in_order(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by(|one, two| (&one.place, one.code, &one.message).cmp(&(&two.place, two.code, &two.message)));
    findings.dedup();
    findings
}

/// A pointer and those above it, as far as something of the object is meant.
fn ancestors(pointer: &str) -> Vec<String> {
    let cuts = pointer.rmatch_indices('/').map(|(cut, _)| pointer.split_at(cut).0).filter(|above| !above.is_empty());
    std::iter::once(pointer).chain(cuts).map(str::to_owned).collect()
}

/// Where in a plan stands what was rendered at a place; the nearest first, none for the plan as a whole.
fn in_plan(plan: &Plan, pointer: &str, places: fn(&Plan, &[&str]) -> Vec<String>) -> Vec<String> {
    let steps: Vec<&str> = pointer.split('/').skip(1).collect();
    let tops = places(plan, &steps);
    tops.iter().flat_map(|place| ancestors(place)).filter(|place| place.matches('/').count() > 1).collect()
}

fn route_places(plan: &Plan, steps: &[&str]) -> Vec<String> {
    let routes = plan.routing.routes.len();
    match steps {
        ["spec", "http", entry, rest @ ..] => {
            let entry: usize = entry.parse().unwrap_or(0);
            let pins = plan.routing.pins.len() * routes;
            let route = if entry < pins { entry.checked_rem(routes).unwrap_or(0) } else { entry - pins };
            let rest = rest.join("/");
            match rest.as_str() {
                "" => vec![format!("/spec/routes/{route}")],
                _ if rest.starts_with("route/") => {
                    let version = rest.contains("/subset").then(|| "/spec/traffic".to_owned());
                    let port = rest.contains("/port").then(|| "/spec/port".to_owned());
                    version.into_iter().chain(port).chain(["/spec/service".to_owned()]).collect()
                }
                _ if rest.starts_with("match") => {
                    let pin = (entry < pins).then(|| format!("/spec/pins/{}/{rest}", entry / routes.max(1)));
                    let own = [format!("/spec/routes/{route}/{rest}"), format!("/spec/{rest}")];
                    pin.into_iter().chain(own).collect()
                }
                _ => vec![format!("/spec/http/{rest}"), format!("/spec/routes/{route}/http/{rest}")],
            }
        }
        ["spec", field @ ("hosts" | "gateways"), rest @ ..] => {
            let rest = rest.iter().map(|step| format!("/{step}")).collect::<String>();
            let all = (0..routes).map(|route| format!("/spec/routes/{route}/{field}"));
            std::iter::once(format!("/spec/{field}{rest}")).chain(all).chain(["/spec/service".to_owned()]).collect()
        }
        ["spec", "exportTo", ..] => vec!["/spec/objects/virtualService/exportTo".to_owned()],
        _ => Vec::new(),
    }
}

fn rule_places(plan: &Plan, steps: &[&str]) -> Vec<String> {
    match steps {
        ["spec", "subsets", subset, rest @ ..] => {
            let version = subset.parse().ok().and_then(|at: usize| plan.routing.versions.get(at));
            let rest = rest.iter().map(|step| format!("/{step}")).collect::<String>();
            version.map(|version| format!("/spec/versions/{}{rest}", version.name)).into_iter().collect()
        }
        ["spec", "exportTo", ..] => vec!["/spec/objects/destinationRule/exportTo".to_owned()],
        ["spec", "host"] => vec!["/spec/service".to_owned()],
        ["spec", rest @ ..] => vec![format!("/spec/{}", rest.join("/"))],
        _ => Vec::new(),
    }
}
