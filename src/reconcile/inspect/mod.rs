//! Looks at what plans render and at the objects beside them with the rules of Istio, before anything is written.
//!
//! ```text
//!  plans in force ─► what they render at each of their weights ─┐
//!  objects of the files ────────────────────────────────────────┼─► istio::rules ─► findings with their places
//!  what is live, where somebody listed it ──────────────────────┘
//! ```

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use serde_json::Value;

use crate::{
    istio::{
        self,
        rules::{self, Found, Known, Member, Whose},
    },
    plan::{self, Catalog, Document, Finding, ObjectKey, ParsedFile, Place, Plan, Traffic, codes},
    rollout,
};

/// What the reader of plans has told already, with the span that it knows better.
const TOLD: [&str; 5] = [codes::TG01, codes::TG03, codes::TG09, codes::TG20, codes::IST0133];
/// A thread costs more than it saves for fewer plans.
const PLANS_PER_THREAD_MIN: usize = 64;

/// What is live.
#[derive(Default)]
pub struct Surroundings {
    /// Objects with their kinds.
    pub objects: Vec<Value>,
    /// What of it is complete.
    pub known: Known,
}

/// One object that is looked at.
struct Subject {
    value: Value,
    whose: Whose,
    place: Place,
    origin: Origin,
}

/// Where an object comes from.
enum Origin {
    File,
    Route(Arc<Plan>),
    Rule(Arc<Plan>),
}

/// What a plan renders, and what is wrong with each object by its position.
type Rendered = (Vec<Subject>, Vec<(usize, Found)>);

/// Everything that is wrong with what these files mean for Istio. `catalog` says which plans are in force.
pub fn inspect(
    files: &BTreeMap<&str, (&str, Arc<ParsedFile>)>,
    catalog: &Catalog,
    live: &Surroundings,
) -> Vec<Finding> {
    let mut subjects = Vec::new();
    let mut plans = Vec::new();
    for (path, (text, parsed)) in files {
        for (document, place) in &parsed.documents {
            match document {
                Document::Object(object) => subjects.push(written(&object.value, object.key.namespace.as_str(), place)),
                Document::Plan(plan) => {
                    let in_force = catalog.entry(&plan.object()).is_some_and(|entry| entry.plan == *plan);
                    plans.extend(in_force.then_some((plan, place)));
                }
            }
        }
        if parsed.findings.iter().any(|finding| finding.code == codes::PL05) {
            let refused = plan::refused_objects(path, text);
            subjects.extend(refused.iter().map(|(object, place)| written(&object.value, &object.key.namespace, place)));
        }
    }
    let mut found: Vec<(usize, Found)> = Vec::new();
    for (position, subject) in subjects.iter().enumerate() {
        found.extend(rules::check(&subject.value).into_iter().map(|found| (position, found)));
    }
    for (rendered, wrong) in in_threads(&plans) {
        let first = subjects.len();
        subjects.extend(rendered);
        found.extend(wrong.into_iter().map(|(position, found)| (first + position, found)));
    }
    found.extend(across(&subjects, live));
    findings(&subjects, found, files)
}

fn written(value: &Value, namespace: &str, place: &Place) -> Subject {
    let mut value = value.clone();
    // Rules compare full names: what is left out is said.
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.entry("namespace").or_insert_with(|| namespace.into());
    }
    Subject { value, whose: Whose::Written, place: place.clone(), origin: Origin::File }
}

/// Renders the plans and checks each object alone, on all processors.
fn in_threads(plans: &[(&Arc<Plan>, &Place)]) -> Vec<Rendered> {
    let some = |plans: &[(&Arc<Plan>, &Place)]| plans.iter().map(|(plan, place)| rendered(plan, place)).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = plans.len().div_ceil(threads).max(PLANS_PER_THREAD_MIN);
    if plans.len() <= share {
        return some(plans);
    }
    std::thread::scope(|scope| {
        let parts: Vec<_> = plans.chunks(share).map(|plans| scope.spawn(move || -> Vec<_> { some(plans) })).collect();
        let whole = parts.into_iter().flat_map(|part| match part.join() {
            Ok(rendered) => rendered,
            // As it would have been without threads: whoever called is unwound.
            Err(panic) => std::panic::resume_unwind(panic),
        });
        whole.collect()
    })
}

/// What a plan renders at its target, and what is wrong with that or with what it renders on the way.
fn rendered(plan: &Arc<Plan>, place: &Place) -> Rendered {
    let subject = |value, origin| Subject { value, whose: Whose::Rendered, place: place.clone(), origin };
    let route = istio::virtual_service(&plan.routing, &plan.traffic);
    let rule = istio::destination_rule(&plan.routing, &plan.routing.versions);
    let mut wrong: BTreeSet<(usize, Found)> = rules::check(&rule).into_iter().map(|found| (1, found)).collect();
    wrong.extend(rules::check(&route).into_iter().map(|found| (0, found)));
    for traffic in on_the_way(plan) {
        let route = istio::virtual_service(&plan.routing, &traffic);
        wrong.extend(rules::check(&route).into_iter().map(|found| (0, found)));
    }
    let wrong = wrong.into_iter().filter(|(_, found)| !TOLD.contains(&found.code)).collect();
    (vec![subject(route, Origin::Route(plan.clone())), subject(rule, Origin::Rule(plan.clone()))], wrong)
}

/// The weights of a plan before its target. Where it does not say what callers get before, all of it goes to one version
/// that does not rise.
fn on_the_way(plan: &Plan) -> Vec<Traffic> {
    let names: Vec<_> = plan.routing.versions.iter().map(|version| version.name.clone()).collect();
    let origin = plan.from.clone().or_else(|| {
        let idle = names.iter().min_by_key(|name| plan.traffic.weight(name))?;
        Some(Traffic::all(idle.clone()))
    });
    let Some(origin) = origin else { return Vec::new() };
    let rising = names.iter().filter(|name| plan.traffic.weight(name) > origin.weight(name)).cloned().collect();
    let steps = plan.steps.iter();
    let steps = steps.filter_map(|step| rollout::at(step.weight, &origin, &plan.traffic, &rising, &names));
    let mut all: Vec<Traffic> = steps.collect();
    all.push(origin);
    all
}

/// What is wrong between the objects, and between them and what is live.
fn across(subjects: &[Subject], live: &Surroundings) -> Vec<(usize, Found)> {
    // Of what is live, what the files have is the files'.
    let own: HashSet<(&str, ObjectKey)> = match live.objects.is_empty() {
        true => HashSet::new(),
        false => subjects.iter().filter_map(|subject| identity(&subject.value)).collect(),
    };
    let others = live.objects.iter().filter(|object| !identity(object).is_some_and(|name| own.contains(&name)));
    let others = others.map(|object| Member { object, whose: Whose::Other });
    let members = subjects.iter().map(|subject| Member { object: &subject.value, whose: subject.whose });
    let members: Vec<Member<'_>> = members.chain(others).collect();
    rules::check_across(&members, live.known)
}

/// Kind, namespace and name of an object.
fn identity(object: &Value) -> Option<(&str, ObjectKey)> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let namespace = text("/metadata/namespace").unwrap_or("default").to_owned();
    Some((text("/kind")?, ObjectKey { namespace, name: text("/metadata/name")?.to_owned() }))
}

fn findings(
    subjects: &[Subject],
    found: Vec<(usize, Found)>,
    files: &BTreeMap<&str, (&str, Arc<ParsedFile>)>,
) -> Vec<Finding> {
    let finding = |(position, found): (usize, Found)| {
        let subject = subjects.get(position)?;
        let pointers = match &subject.origin {
            Origin::File => ancestors(&found.pointer),
            Origin::Route(plan) => in_plan(plan, &found.pointer, route_places),
            Origin::Rule(plan) => in_plan(plan, &found.pointer, rule_places),
        };
        let text = files.get(subject.place.file.as_str()).map_or("", |(text, _)| *text);
        let place = match plan::locate(text, subject.place.start, &pointers) {
            Some(bytes) => Place { start: bytes.start, end: bytes.end, ..subject.place.clone() },
            None => subject.place.clone(),
        };
        let severity = codes::severity(found.code);
        Some(Finding {
            code: found.code,
            severity,
            message: found.message,
            place: Some(place),
            hints: vec![found.hint],
        })
    };
    let mut findings: Vec<Finding> = found.into_iter().filter_map(finding).collect();
    findings.sort_by(|one, two| (&one.place, one.code, &one.message).cmp(&(&two.place, two.code, &two.message)));
    // What a plan renders in several routes is wrong in one place.
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
