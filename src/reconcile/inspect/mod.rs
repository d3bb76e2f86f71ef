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
mod fleet;
mod places;

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use serde_json::Value;

use crate::{
    istio::{
        self,
        rules::{self, Beyond, Found, Known, Member, Whose},
    },
    plan::{self, Catalog, Document, Finding, ObjectKey, ParsedFile, Place, Plan, codes},
};

pub use alone::judge;
pub use fleet::inspect_each;
use places::{Origin, finding, in_order};

/// What is live.
#[derive(Default)]
pub struct Surroundings {
    /// Objects with their kinds.
    pub objects: Vec<Value>,
    /// What of it is complete.
    pub known: Known,
    /// The other clusters of the mesh.
    pub beyond: Vec<Arc<Elsewhere>>,
    /// The cluster's name, and those that plans choose among: those that are not for it are left out. None: all are.
    pub only: Option<(String, plan::Known)>,
}

impl Surroundings {
    fn has(&self, plan: &Plan) -> bool {
        self.only.as_ref().is_none_or(|(name, known)| plan.clusters.of(known).contains(name))
    }
}

/// Another cluster of the mesh.
pub struct Elsewhere {
    /// Its name.
    pub cluster: String,
    /// Whether no istiod reads Istio's objects there.
    pub is_remote: bool,
    /// Objects with their kinds.
    pub objects: Vec<Value>,
    /// What of them is complete.
    pub known: Known,
}

impl Elsewhere {
    /// The pods that istiods of other clusters read there, too.
    fn workloads(&self) -> impl Iterator<Item = &Value> {
        let is_shared = |object: &&Value| {
            let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
            matches!(text("/kind"), Some("Pod" | "WorkloadEntry"))
                && text("/metadata/namespace") != Some("istio-system")
        };
        self.objects.iter().filter(is_shared)
    }
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
                    if catalog.entry(&plan.object()).is_some_and(|entry| entry.plan == *plan) && live.has(plan) {
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
    let beyond: Vec<Beyond<'_>> = live
        .beyond
        .iter()
        .map(|there| {
            let Elsewhere { cluster, is_remote, objects, known } = &**there;
            Beyond { cluster, is_remote: *is_remote, objects, known: *known }
        })
        .collect();
    let mut found = rules::check_beyond(&members, live.known, &beyond);
    let shared = live.beyond.iter().flat_map(|there| there.workloads());
    let shared = shared.map(|object| Member { object, whose: Whose::Other });
    let workloads = live.known.workloads && live.beyond.iter().all(|there| there.known.workloads);
    let members: Vec<Member<'_>> = members.into_iter().chain(shared).collect();
    found.extend(rules::check_across(&members, Known { workloads, ..live.known }));
    found
}

/// Kind, namespace and name of an object.
fn identity(object: &Value) -> Option<(&str, ObjectKey)> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let namespace = text("/metadata/namespace").unwrap_or("default").to_owned();
    Some((text("/kind")?, ObjectKey { namespace, name: text("/metadata/name")?.to_owned() }))
}
