//! Looks at what plans render and at the objects beside them with the rules of Istio, before anything is written.
//!
//! ```text
//!  one document ──────► alone: what it renders ──► istio::rules ─► what refuses it, wherever plans are read
//!
//!  plans in force ────────────────────────┐
//!  objects of the files ──────────────────┼─► istio::rules, across ─► what `check` says beside that
//!  what is live, where somebody listed it ┘
//! ```

mod alone;
mod places;

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use serde_json::Value;

use crate::{
    istio::{
        self,
        rules::{self, Found, Known, Member, Whose},
    },
    plan::{self, Catalog, Document, Finding, ObjectKey, ParsedFile, Place, codes},
};

pub use alone::judge;
use places::{Origin, finding, in_order};

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

/// Everything that is wrong between what these files, each [`judge`]d, mean for Istio, and with the objects that stand in
/// them though a plan repository refuses them. `catalog` says which plans are in force.
pub fn inspect(
    files: &BTreeMap<&str, (&str, Arc<ParsedFile>)>,
    catalog: &Catalog,
    live: &Surroundings,
) -> Vec<Finding> {
    let mut subjects = Vec::new();
    let mut found = Vec::new();
    for (path, (text, parsed)) in files {
        for (document, place) in &parsed.documents {
            match document {
                Document::Object(object) => subjects.push(written(&object.value, object.key.namespace.as_str(), place)),
                Document::Plan(plan) => {
                    if catalog.entry(&plan.object()).is_some_and(|entry| entry.plan == *plan) {
                        let subject =
                            |value, origin| Subject { value, whose: Whose::Rendered, place: place.clone(), origin };
                        let route = istio::virtual_service(&plan.routing, &plan.traffic);
                        let rule = istio::destination_rule(&plan.routing, &plan.routing.versions);
                        subjects.push(subject(route, Origin::Route(plan.clone())));
                        subjects.push(subject(rule, Origin::Rule(plan.clone())));
                    }
                }
            }
        }
        if parsed.findings.iter().any(|finding| finding.code == codes::PL05) {
            for (object, place) in plan::refused_objects(path, text) {
                let subject = written(&object.value, &object.key.namespace, &place);
                found.extend(rules::check(&subject.value).into_iter().map(|found| (subjects.len(), found)));
                subjects.push(subject);
            }
        }
    }
    found.extend(across(&subjects, live));
    let placed = |(position, found): (usize, Found)| {
        let subject = subjects.get(position)?;
        let (text, _) = files.get(subject.place.file.as_str())?;
        Some(finding(found, &subject.origin, &subject.place, plan::Around::byte(text, subject.place.start).as_ref()))
    };
    in_order(found.into_iter().filter_map(placed).collect())
}

fn written(value: &Value, namespace: &str, place: &Place) -> Subject {
    let mut value = value.clone();
    // Rules compare full names: what is left out is said.
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.entry("namespace").or_insert_with(|| namespace.into());
    }
    Subject { value, whose: Whose::Written, place: place.clone(), origin: Origin::File }
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
